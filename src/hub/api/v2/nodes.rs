//! Nodes and their processes.

use std::sync::Arc;

use serde::Serialize;

use super::process_json::{CesiNode, CesiProcess, processes_of};
use super::reply::{Reply, success};
use crate::hub::api::call::Call;
use crate::hub::api::error::ApiError;
use crate::hub::api::perform::node_of;
use crate::hub::node::{NodeState, NodeView, ProcessView};
use crate::hub::server::HubContext;

/// All nodes that the user may see.
pub(super) fn visible_nodes(hub: &HubContext, call: &Call) -> Vec<Arc<NodeView>> {
    let limits = call.limits();
    let nodes = hub.fleet.nodes().into_iter();
    nodes
        .filter(|node| limits.has_environment(&node.environment))
        .inspect(|node| hub.looks.look(&hub.fleet, node))
        .collect()
}

/// A node that the user may see and that is connected.
///
/// # Errors
/// 400: it is not.
pub(super) fn connected_node(
    hub: &HubContext,
    call: &Call,
    name: &str,
) -> Result<Arc<NodeView>, ApiError> {
    let node = node_of(hub, call, name)?;
    match node.state {
        NodeState::Connected => Ok(node),
        _ => Err(ApiError::wrong("Node is not connected")),
    }
}

/// A process by `group:name`, if the user may see it.
///
/// # Errors
/// 400: there is none.
// Differs: Cesi answers 500 where it reads the log of an unknown process.
pub(super) fn process_of<'n>(
    call: &Call,
    node: &'n NodeView,
    namespec: &str,
) -> Result<&'n Arc<ProcessView>, ApiError> {
    let parts = namespec.split_once(':');
    let found = parts.and_then(|(group, name)| node.process(group, name));
    let limits = call.limits();
    let found = found.filter(|process| limits.has_group(&process.group));
    found.ok_or_else(|| ApiError::wrong("Wrong process name"))
}

#[derive(Serialize)]
struct NodesReply<'n> {
    nodes: Vec<CesiNode<'n>>,
    status: &'static str,
}

#[derive(Serialize)]
struct NodeReply<'n> {
    node: CesiNode<'n>,
    status: &'static str,
}

#[derive(Serialize)]
struct ProcessesReply<'n> {
    processes: Vec<CesiProcess<'n>>,
    status: &'static str,
}

#[derive(Serialize)]
struct ProcessReply<'n> {
    process: CesiProcess<'n>,
    status: &'static str,
}

/// `GET /nodes/`.
// Differs: in Cesi one node that answers 401 makes the whole list 500, and one that swallows packets delays it without limit.
pub(in crate::hub::api) async fn nodes(hub: &Arc<HubContext>, call: Call) -> Reply {
    let (nodes, limits) = (visible_nodes(hub, &call), call.limits());
    let nodes = nodes.iter().map(|node| CesiNode::new(node, &limits));
    success(&NodesReply {
        nodes: nodes.collect(),
        status: "success",
    })
}

/// `GET /nodes/N/`.
pub(in crate::hub::api) async fn node(hub: &Arc<HubContext>, call: Call) -> Reply {
    let (node, limits) = (node_of(hub, &call, call.param("node"))?, call.limits());
    success(&NodeReply {
        node: CesiNode::new(&node, &limits),
        status: "success",
    })
}

/// `GET /nodes/N/processes/`.
pub(in crate::hub::api) async fn processes(hub: &Arc<HubContext>, call: Call) -> Reply {
    let (node, limits) = (
        connected_node(hub, &call, call.param("node"))?,
        call.limits(),
    );
    success(&ProcessesReply {
        processes: processes_of(&node, &limits),
        status: "success",
    })
}

/// `GET /nodes/N/processes/G:P/`.
pub(in crate::hub::api) async fn process(hub: &Arc<HubContext>, call: Call) -> Reply {
    let node = connected_node(hub, &call, call.param("node"))?;
    let process = process_of(&call, &node, call.param("process"))?;
    success(&ProcessReply {
        process: CesiProcess::new(&node, process, false),
        status: "success",
    })
}
