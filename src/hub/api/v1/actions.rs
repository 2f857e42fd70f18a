//! `POST /api/v1/actions`: one action on many processes, with a result for each.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::body::Bytes;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::reply::{Reply, ok};
use super::selector::{NodeSelector, ProcessPattern};
use crate::hub::api::call::{Call, list_member, text_member};
use crate::hub::api::error::ApiError;
use crate::hub::api::json;
use crate::hub::api::perform::{Actor, TARGETS_MAX, act_on_all, is_unchanged, visible};
use crate::hub::fleet::{ActionResult, ActionTarget};
use crate::hub::node::{Action, ActionError};
use crate::hub::server::{HttpBody, HttpResponse, HubContext};

/// Number of lines that wait for a slow client.
const LINES_WAITING: usize = 64;
/// The content type of a list of JSON values, one a line.
const LINES: &str = "application/x-ndjson";

/// `POST /api/v1/actions`.
pub(in crate::hub::api) async fn actions(hub: &Arc<HubContext>, call: Call) -> Reply {
    let known = ["action", "targets", "environments", "tags", "max_parallel"];
    let members = call.checked_members(&known)?;
    let action = match text_member(&members, "action")?.as_deref() {
        Some("start") => Action::Start,
        Some("stop") => Action::Stop,
        Some("restart") => Action::Restart,
        _ => return Err(ApiError::wrong("action: expected start, stop or restart")),
    };
    let patterns = ProcessPattern::parse_all(&list_member(&members, "targets")?)?;
    if patterns.is_empty() {
        return Err(ApiError::wrong(
            "targets: expected a list of patterns (* means all)",
        ));
    }
    let parallel = match members.get("max_parallel") {
        None | Some(Value::Null) => None,
        Some(value) => {
            let number = value.as_u64().filter(|number| (1..=1000).contains(number));
            let wrong = || ApiError::wrong("max_parallel: expected a number from 1 to 1000");
            Some(usize::try_from(number.ok_or_else(wrong)?).unwrap_or(1))
        }
    };
    let selector = NodeSelector {
        names: Vec::new(),
        environments: list_member(&members, "environments")?,
        tags: list_member(&members, "tags")?,
    };
    let targets = targets_of(hub, &call, &selector, &patterns)?;
    let results = act_on_all(hub, Actor::of(&call), targets, action, parallel);
    let accepts = call.request.header("accept").unwrap_or_default();
    match accepts.contains(LINES) {
        true => Ok(as_lines(action, results)),
        false => as_list(action, results).await,
    }
}

/// The processes that the patterns match and the user may reach. Nodes that are not connected are included, so that each
/// of their last known processes gets its error.
fn targets_of(
    hub: &HubContext,
    call: &Call,
    selector: &NodeSelector,
    patterns: &[ProcessPattern],
) -> Result<Vec<ActionTarget>, ApiError> {
    let limits = call.limits();
    let mut targets = Vec::new();
    for node in selector.nodes(hub, call) {
        for process in visible(&node, &limits) {
            if !patterns
                .iter()
                .any(|pattern| pattern.matches(&node, process))
            {
                continue;
            }
            targets.push(ActionTarget {
                node: node.name.clone(),
                namespec: process.namespec(),
            });
        }
    }
    if targets.is_empty() {
        return Err(ApiError::unknown("no process matches the targets"));
    }
    match targets.len() <= TARGETS_MAX {
        true => Ok(targets),
        false => Err(ApiError::wrong(format!(
            "there are more than {TARGETS_MAX} processes"
        ))),
    }
}

/// The words for how an action ended.
fn status_of(action: Action, result: &Result<(), ActionError>) -> &'static str {
    match result {
        Ok(()) => "done",
        result if is_unchanged(action, result) => "unchanged",
        Err(ActionError::Fault { .. }) => "refused",
        Err(ActionError::UnknownNode | ActionError::NotConnected { .. }) => "not connected",
        Err(ActionError::NoAnswer(_)) => "no answer",
        Err(ActionError::TimedOut(_)) => "timed out",
    }
}

fn result_json(action: Action, result: &ActionResult) -> Value {
    let message = result.result.as_ref().err().map(ToString::to_string);
    json!({
        "node": &*result.target.node,
        "name": result.target.namespec,
        "status": status_of(action, &result.result),
        "message": message.unwrap_or_default(),
    })
}

async fn as_list(action: Action, mut results: mpsc::UnboundedReceiver<ActionResult>) -> Reply {
    let mut list = Vec::new();
    while let Some(result) = results.recv().await {
        list.push((
            result.target.node.clone(),
            result.target.namespec.clone(),
            result,
        ));
    }
    list.sort_by(|one, other| (&one.0, &one.1).cmp(&(&other.0, &other.1)));
    let list: Vec<Value> = list
        .iter()
        .map(|(_, _, result)| result_json(action, result))
        .collect();
    ok(&json!({"results": list}))
}

/// The results as lines. A client that goes away keeps further actions from beginning.
fn as_lines(action: Action, mut results: mpsc::UnboundedReceiver<ActionResult>) -> HttpResponse {
    let (lines, body) = mpsc::channel(LINES_WAITING);
    tokio::spawn(async move {
        while let Some(result) = results.recv().await {
            let mut line = json::text(&result_json(action, &result));
            line.push(b'\n');
            if lines.send(Bytes::from(line)).await.is_err() {
                return;
            }
        }
    });
    HttpResponse {
        status: StatusCode::OK,
        content_type: LINES,
        headers: Vec::new(),
        body: HttpBody::Growing(body),
    }
}
