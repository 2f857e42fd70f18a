//! Environments, and groups over all nodes.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;
use serde_json::{Value, json};

use super::nodes::visible_nodes;
use super::process_json::{CesiNode, CesiProcess};
use super::reply::{Reply, success};
use crate::hub::api::call::Call;
use crate::hub::api::error::ApiError;
use crate::hub::api::perform::{node_of, visible};
use crate::hub::node::{NodeState, NodeView};
use crate::hub::server::HubContext;

#[derive(Serialize)]
struct CesiEnvironment<'n> {
    members: Vec<CesiNode<'n>>,
    name: &'n str,
}

#[derive(Serialize)]
struct EnvironmentsReply<'n> {
    environments: Vec<CesiEnvironment<'n>>,
    status: &'static str,
}

/// `GET /environments/`.
pub(in crate::hub::api) async fn environments(hub: &Arc<HubContext>, call: Call) -> Reply {
    let (nodes, limits) = (visible_nodes(hub, &call), call.limits());
    let mut environments: Vec<CesiEnvironment<'_>> = Vec::new();
    for node in &nodes {
        let member = CesiNode::new(node, &limits);
        let known = environments
            .iter_mut()
            .find(|environment| environment.name == &*node.environment);
        match known {
            Some(known) => known.members.push(member),
            None => environments.push(CesiEnvironment {
                members: vec![member],
                name: &node.environment,
            }),
        }
    }
    success(&EnvironmentsReply {
        environments,
        status: "success",
    })
}

/// The names of nodes by group and environment, of the nodes that are connected.
type GroupTree = BTreeMap<String, BTreeMap<String, Vec<String>>>;

fn tree(hub: &HubContext, call: &Call) -> GroupTree {
    let limits = call.limits();
    let mut tree = GroupTree::new();
    let nodes = visible_nodes(hub, call);
    for node in nodes.iter().filter(|node| is_connected(node)) {
        for process in visible(node, &limits) {
            let environments = tree.entry(process.group.to_string()).or_default();
            let members = environments
                .entry(node.environment.to_string())
                .or_default();
            if members.last().is_none_or(|last| **last != *node.name) {
                members.push(node.name.to_string());
            }
        }
    }
    tree
}

fn is_connected(node: &NodeView) -> bool {
    node.state == NodeState::Connected
}

fn group_json(name: &str, environments: &BTreeMap<String, Vec<String>>) -> Value {
    let environments: Vec<Value> = environments
        .iter()
        .map(|(name, members)| json!({"members": members, "name": name}))
        .collect();
    json!({"environments": environments, "name": name})
}

/// `GET /groups/`.
pub(in crate::hub::api) async fn groups(hub: &Arc<HubContext>, call: Call) -> Reply {
    let tree = tree(hub, &call);
    let groups: Vec<Value> = tree
        .iter()
        .map(|(name, environments)| group_json(name, environments))
        .collect();
    success(&json!({"groups": groups, "status": "success"}))
}

/// `GET /groups/G/`.
pub(in crate::hub::api) async fn group(hub: &Arc<HubContext>, call: Call) -> Reply {
    let tree = tree(hub, &call);
    let name = call.param("group");
    let environments = tree.get(name).ok_or_else(wrong_group)?;
    success(&json!({"group": [group_json(name, environments)], "status": "success"}))
}

fn wrong_group() -> ApiError {
    ApiError::wrong("Wrong group name")
}

/// `GET /groups/G/node/N/`.
// Differs: Cesi answers 500 in all cases.
pub(in crate::hub::api) async fn group_on_node(hub: &Arc<HubContext>, call: Call) -> Reply {
    let (group, limits) = (call.param("group"), call.limits());
    if !tree(hub, &call).contains_key(group) {
        return Err(wrong_group());
    }
    let node = node_of(hub, &call, call.param("node"))?;
    let processes: Vec<CesiProcess<'_>> = visible(&node, &limits)
        .filter(|process| is_connected(&node) && &*process.group == group)
        .map(|process| CesiProcess::new(&node, process, true))
        .collect();
    let result = BTreeMap::from([(&*node.name, processes)]);
    success(&ResultReply {
        result,
        status: "success",
    })
}

#[derive(Serialize)]
struct ResultReply<'n> {
    result: BTreeMap<&'n str, Vec<CesiProcess<'n>>>,
    status: &'static str,
}
