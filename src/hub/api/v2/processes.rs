//! Actions on processes, and their logs.

use std::sync::Arc;

use serde_json::{Value, json};

use super::nodes::{connected_node, process_of};
use super::reply::{Reply, message, success};
use crate::api::FaultCode;
use crate::domain::Channel;
use crate::hub::activity::ActivityEvent;
use crate::hub::api::call::Call;
use crate::hub::api::error::ApiError;
use crate::hub::api::perform::{Actor, act, act_on_all, is_unchanged, visible};
use crate::hub::fleet::ActionTarget;
use crate::hub::node::{Action, ActionError, LogRange, NodeView};
use crate::hub::server::HubContext;

/// How much of a log Cesi reads, in bytes.
const LOG_BYTES: u32 = 500;
/// The code of XML-RPC for a process without a log file.
const NO_FILE: i64 = FaultCode::NoFile.code() as i64;

/// `GET /nodes/N/processes/G:P/start/`.
pub(in crate::hub::api) async fn start(hub: &Arc<HubContext>, call: Call) -> Reply {
    act_on_one(hub, &call, Action::Start).await
}

/// `GET /nodes/N/processes/G:P/stop/`.
pub(in crate::hub::api) async fn stop(hub: &Arc<HubContext>, call: Call) -> Reply {
    act_on_one(hub, &call, Action::Stop).await
}

/// `GET /nodes/N/processes/G:P/restart/`.
pub(in crate::hub::api) async fn restart(hub: &Arc<HubContext>, call: Call) -> Reply {
    act_on_one(hub, &call, Action::Restart).await
}

async fn act_on_one(hub: &Arc<HubContext>, call: &Call, action: Action) -> Reply {
    let node = connected_node(hub, call, call.param("node"))?;
    let process = call.param("process");
    check_group(call, &node, process)?;
    let target = ActionTarget {
        node: node.name.clone(),
        namespec: process.to_owned(),
    };
    act(hub, call, &target, action).await?;
    // The spelling is that of Cesi.
    message(&format!(
        "{} {process} {action} event succesfully",
        node.name
    ))
}

/// Checks that a process is within the user's limits. Whether there is such a process, the node says.
fn check_group(call: &Call, node: &NodeView, process: &str) -> Result<(), ApiError> {
    let limits = call.limits();
    if limits.groups.is_empty() {
        return Ok(());
    }
    // A name alone would leave it to the node which group is meant.
    match process.split_once(':') {
        Some((group, _)) if limits.has_group(group) => Ok(()),
        _ => process_of(call, node, process).map(drop),
    }
}

/// `GET /nodes/N/all-processes/start/`.
pub(in crate::hub::api) async fn start_all(hub: &Arc<HubContext>, call: Call) -> Reply {
    act_on_node(hub, &call, Action::Start).await
}

/// `GET /nodes/N/all-processes/stop/`.
pub(in crate::hub::api) async fn stop_all(hub: &Arc<HubContext>, call: Call) -> Reply {
    act_on_node(hub, &call, Action::Stop).await
}

/// `GET /nodes/N/all-processes/restart/`.
pub(in crate::hub::api) async fn restart_all(hub: &Arc<HubContext>, call: Call) -> Reply {
    act_on_node(hub, &call, Action::Restart).await
}

/// Acts on all processes of a node side by side. Differs: Cesi acts on one after another and reports no failure.
async fn act_on_node(hub: &Arc<HubContext>, call: &Call, action: Action) -> Reply {
    let node = connected_node(hub, call, call.param("node"))?;
    let limits = call.limits();
    let targets: Vec<ActionTarget> = visible(&node, &limits)
        .map(|process| ActionTarget {
            node: node.name.clone(),
            namespec: process.namespec(),
        })
        .collect();
    let names: Vec<String> = targets
        .iter()
        .map(|target| target.namespec.clone())
        .collect();
    let mut ended = act_on_all(hub, Actor::of(call), targets, action, None);
    let mut results: Vec<(String, Value)> = Vec::new();
    while let Some(one) = ended.recv().await {
        if is_unchanged(action, &one.result) {
            continue;
        }
        let name = one.target.namespec;
        let (status, message) = match &one.result {
            Ok(()) => (
                "success",
                format!("{} {name} {action} event succesfully", node.name),
            ),
            Err(error) => ("error", error.to_string()),
        };
        let result = json!({"message": message, "name": name, "status": status});
        results.push((name, result));
    }
    results.sort_by_key(|(name, _)| names.iter().position(|other| other == name));
    let results: Vec<Value> = results.into_iter().map(|(_, result)| result).collect();
    success(&json!({"message": "ok", "results": results, "status": "success"}))
}

/// `GET /nodes/N/processes/G:P/log/`.
pub(in crate::hub::api) async fn log(hub: &Arc<HubContext>, call: Call) -> Reply {
    let node = connected_node(hub, &call, call.param("node"))?;
    let process = process_of(&call, &node, call.param("process"))?.namespec();
    let read = |channel| {
        let range = LogRange::Last(LOG_BYTES);
        hub.fleet.log(&node.name, &process, channel, range)
    };
    let (stdout, stderr) = tokio::join!(read(Channel::Stdout), read(Channel::Stderr));
    let mut logs = Vec::new();
    for part in [stdout, stderr] {
        logs.push(match part {
            Ok(part) => lines(&part.text),
            Err(ActionError::Fault { code: NO_FILE, .. }) => Vec::new(),
            Err(error) => return Err(error.into()),
        });
    }
    let (node, process) = (node.name.to_string(), process.clone());
    call.record(hub, &ActivityEvent::LogRead { node, process });
    let logs = json!({"stderr": logs.pop(), "stdout": logs.pop()});
    success(&json!({"logs": logs, "status": "success"}))
}

/// The lines of a text without the first and the last one, which are cut off in most cases.
fn lines(text: &str) -> Vec<String> {
    let lines: Vec<&str> = text.split('\n').collect();
    match lines.as_slice() {
        [_, middle @ .., _] => middle.iter().map(|line| (*line).to_owned()).collect(),
        _ => Vec::new(),
    }
}
