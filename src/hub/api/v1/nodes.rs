//! Nodes, their processes, and logs.

use std::sync::Arc;

use hyper::StatusCode;
use serde::Serialize;
use serde_json::json;

use super::node_json::{NodeJson, ProcessJson};
use super::reply::{Reply, ok};
use super::selector::{NodeSelector, ProcessPattern};
use crate::domain::Channel;
use crate::hub::activity::ActivityEvent;
use crate::hub::api::call::Call;
use crate::hub::api::error::ApiError;
use crate::hub::api::perform::visible;
use crate::hub::node::{ActionError, LOG_BYTES_MAX, LogRange, NodeView};
use crate::hub::server::HubContext;

/// Size of a part of a log where the client names none, in bytes.
const LOG_BYTES_DEFAULT: u32 = 16 << 10;

#[derive(Serialize)]
struct NodesReply<'n> {
    nodes: Vec<NodeJson<'n>>,
}

#[derive(Serialize)]
struct NodeReply<'n> {
    node: NodeJson<'n>,
    processes: Vec<ProcessJson<'n>>,
}

#[derive(Serialize)]
struct ProcessesReply<'n> {
    processes: Vec<ProcessJson<'n>>,
}

/// A node that the user may see.
///
/// # Errors
/// 404: there is none with this name.
fn node_of(hub: &HubContext, call: &Call) -> Result<Arc<NodeView>, ApiError> {
    let name = call.param("node");
    let node = hub.fleet.node(name).filter(|node| call.sees(node));
    let node = node.ok_or_else(|| ApiError::unknown(format!("there is no node {name}")))?;
    hub.looks.look(&hub.fleet, &node);
    Ok(node)
}

/// `GET /api/v1/nodes`.
pub(in crate::hub::api) async fn nodes(hub: &Arc<HubContext>, call: Call) -> Reply {
    let nodes = NodeSelector::of_query(&call).nodes(hub, &call);
    let limits = call.limits();
    let nodes = nodes.iter().map(|node| NodeJson::new(node, &limits));
    ok(&NodesReply {
        nodes: nodes.collect(),
    })
}

/// `GET /api/v1/nodes/{node}`.
pub(in crate::hub::api) async fn node(hub: &Arc<HubContext>, call: Call) -> Reply {
    let (node, limits) = (node_of(hub, &call)?, call.limits());
    let processes = visible(&node, &limits);
    ok(&NodeReply {
        node: NodeJson::new(&node, &limits),
        processes: processes
            .map(|process| ProcessJson::new(&node, process))
            .collect(),
    })
}

/// `GET /api/v1/processes`.
pub(in crate::hub::api) async fn processes(hub: &Arc<HubContext>, call: Call) -> Reply {
    let patterns = ProcessPattern::parse_all(&call.query_values("match"))?;
    let states = call.query_values("state");
    let nodes = NodeSelector::of_query(&call).nodes(hub, &call);
    let limits = call.limits();
    let mut found = Vec::new();
    for node in &nodes {
        for process in visible(node, &limits) {
            let is_matched = patterns.is_empty()
                || patterns
                    .iter()
                    .any(|pattern| pattern.matches(node, process));
            let state = process.state.name();
            let has_state =
                states.is_empty() || states.iter().any(|word| word.eq_ignore_ascii_case(state));
            if is_matched && has_state {
                found.push(ProcessJson::new(node, process));
            }
        }
    }
    ok(&ProcessesReply { processes: found })
}

/// A number in the query string.
fn number<T: std::str::FromStr>(call: &Call, name: &str) -> Result<Option<T>, ApiError> {
    let wrong = || ApiError::wrong(format!("{name}: expected a number"));
    let value = call.query_value(name);
    value
        .map(|text| text.parse().map_err(|_| wrong()))
        .transpose()
}

/// `GET /api/v1/nodes/{node}/processes/{process}/log`.
pub(in crate::hub::api) async fn log(hub: &Arc<HubContext>, call: Call) -> Reply {
    let (node, name) = (node_of(hub, &call)?, call.param("process"));
    let parts = name.split_once(':').unwrap_or((name, name));
    let process = node.process(parts.0, parts.1);
    let process = process.filter(|process| call.limits().has_group(&process.group));
    let process =
        process.ok_or_else(|| ApiError::unknown(format!("there is no process {name}")))?;
    let channel = match call.query_value("stream").as_deref() {
        None | Some("stdout") => Channel::Stdout,
        Some("stderr") => Channel::Stderr,
        Some(_) => return Err(ApiError::wrong("stream: expected stdout or stderr")),
    };
    let bytes = number(&call, "bytes")?.unwrap_or(LOG_BYTES_DEFAULT);
    let bytes = bytes.clamp(1, LOG_BYTES_MAX);
    let offset = number(&call, "offset")?;
    let range = match offset {
        Some(offset) => LogRange::After { offset, bytes },
        None => LogRange::Last(bytes),
    };
    let namespec = process.namespec();
    let part = hub.fleet.log(&node.name, &namespec, channel, range).await;
    let part = part.map_err(|error| log_error(&error))?;
    // Each part of a log that is followed would be a line of its own.
    if offset.is_none() {
        let (node, process) = (node.name.to_string(), namespec);
        call.record(hub, &ActivityEvent::LogRead { node, process });
    }
    ok(&json!({"text": part.text, "end": part.end, "is_cut": part.is_cut}))
}

fn log_error(error: &ActionError) -> ApiError {
    let status = match error {
        ActionError::UnknownNode => StatusCode::NOT_FOUND,
        ActionError::NotConnected { .. } => StatusCode::SERVICE_UNAVAILABLE,
        ActionError::Fault { .. } => StatusCode::CONFLICT,
        ActionError::NoAnswer(_) => StatusCode::BAD_GATEWAY,
        ActionError::TimedOut(_) => StatusCode::GATEWAY_TIMEOUT,
    };
    ApiError::new(status, error.to_string())
}
