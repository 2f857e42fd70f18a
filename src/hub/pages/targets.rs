//! The processes on which an action works, and the start of an operation on them.

use std::sync::Arc;

use hyper::StatusCode;

use super::hub_page::HubPage;
use crate::hub::api::error::ApiError;
use crate::hub::api::perform::{Actor, TARGETS_MAX, act_on_all, is_unchanged, visible};
use crate::hub::fleet::ActionTarget;
use crate::hub::node::{Action, NodeView, ProcessView};
use crate::hub::operations::{Operation, OperationTask};
use crate::web::texts::Text;

/// Maximum number of actions at a time that a user can ask for.
pub(super) const AT_ONCE_MAX: usize = 1000;

/// The action with the name of a button. `None`: there is none.
pub(super) fn action_named(name: &str) -> Option<Action> {
    match name {
        "start" => Some(Action::Start),
        "stop" => Some(Action::Stop),
        "restart" => Some(Action::Restart),
        "clear" => Some(Action::ClearLogs),
        _ => None,
    }
}

/// The processes of nodes that are chosen and that the user may see.
pub(super) fn targets_of(
    page: &HubPage<'_>,
    nodes: &[Arc<NodeView>],
    is_chosen: impl Fn(&NodeView, &ProcessView) -> bool,
) -> Vec<ActionTarget> {
    let mut targets = Vec::new();
    for node in nodes {
        let processes = visible(node, &page.limits).filter(|process| is_chosen(node, process));
        targets.extend(processes.map(|process| ActionTarget {
            node: node.name.clone(),
            namespec: process.namespec(),
        }));
    }
    targets
}

/// The number of actions at a time that a form asks for. `None`: as many as the hub permits.
pub(super) fn at_once(page: &HubPage<'_>) -> Option<usize> {
    let given = page.field("at_once").parse::<usize>().ok()?;
    Some(given.clamp(1, AT_ONCE_MAX))
}

/// Begins an action on processes. It goes on when the browser is gone.
///
/// # Errors
/// 404: there are no processes. 400: there are too many. 503: too many operations run.
pub(super) fn begin(
    page: &HubPage<'_>,
    action: Action,
    subject: String,
    targets: Vec<ActionTarget>,
    at_once: Option<usize>,
) -> Result<Arc<Operation>, ApiError> {
    if targets.is_empty() {
        return Err(ApiError::unknown(page.say(Text::NoSuchProcess).trim()));
    }
    if targets.len() > TARGETS_MAX {
        let message = page.fill(Text::TooManyProcesses, &[&TARGETS_MAX]);
        return Err(ApiError::wrong(message));
    }
    let task = OperationTask {
        user: page.user().to_owned(),
        action,
        subject,
        total: targets.len(),
    };
    let is_single = targets.len() == 1;
    let operation = page.hub.operations.begin(task).ok_or_else(|| {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        ApiError::new(status, page.say(Text::TooManyOperations))
    })?;
    let mut results = act_on_all(page.hub, Actor::of(page.call), targets, action, at_once);
    let running = operation.clone();
    tokio::spawn(async move {
        loop {
            let result = tokio::select! {
                result = results.recv() => result,
                () = running.stopped() => None,
            };
            let Some(result) = result else { break };
            // A single process that was already so is worth telling.
            let is_failure =
                result.result.is_err() && (is_single || !is_unchanged(action, &result.result));
            running.push(result, is_failure);
        }
        running.end();
    });
    Ok(operation)
}
