//! Performs actions on processes for a user: only within the user's limits, and each with its line in the activity log.

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;

use super::call::Call;
use super::error::ApiError;
use crate::api::FaultCode;
use crate::hub::activity::ActivityEvent;
use crate::hub::fleet::{ActionResult, ActionTarget};
use crate::hub::node::{Action, ActionError, HubUser, NodeView, ProcessView};
use crate::hub::server::HubContext;
use crate::hub::users::AccessLimits;

/// Maximum number of processes of one action.
pub(in crate::hub) const TARGETS_MAX: usize = 100_000;

/// The processes of a node within limits.
pub(in crate::hub) fn visible<'n>(
    node: &'n NodeView,
    limits: &'n AccessLimits,
) -> impl Iterator<Item = &'n Arc<ProcessView>> {
    let processes = node.processes.iter();
    processes.filter(|process| limits.has_group(&process.group))
}

/// A node that the user may see.
///
/// # Errors
/// 400: there is none with this name.
pub(in crate::hub) fn node_of(
    hub: &HubContext,
    call: &Call,
    name: &str,
) -> Result<Arc<NodeView>, ApiError> {
    let node = hub.fleet.node(name).filter(|node| call.sees(node));
    let node = node.ok_or_else(|| ApiError::wrong("Wrong node name"))?;
    hub.looks.look(&hub.fleet, &node);
    Ok(node)
}

/// Whether a process was already as the action would make it. Only the node knows: the hub's memory of a node that is asked
/// from time to time is old by seconds.
pub(in crate::hub) fn is_unchanged(action: Action, result: &Result<(), ActionError>) -> bool {
    let expected = match action {
        Action::Start => FaultCode::AlreadyStarted,
        Action::Stop => FaultCode::NotRunning,
        _ => return false,
    };
    matches!(result, Err(ActionError::Fault { code, .. }) if *code == i64::from(expected.code()))
}

fn event_of(
    target: &ActionTarget,
    action: Action,
    result: &Result<(), ActionError>,
) -> ActivityEvent {
    ActivityEvent::Action {
        action: action.word(),
        node: target.node.to_string(),
        process: target.namespec.clone(),
        failure: result.as_ref().err().map(ToString::to_string),
    }
}

/// Does an action with one process.
///
/// # Errors
/// See [`ActionError`].
pub(in crate::hub) async fn act(
    hub: &HubContext,
    call: &Call,
    target: &ActionTarget,
    action: Action,
) -> Result<(), ActionError> {
    let user = call.hub_user();
    let result = hub.fleet.act(&target.node, &target.namespec, action, &user);
    let result = result.await;
    call.record(hub, &event_of(target, action, &result));
    result
}

/// Who acts: a user, and the address for the activity log.
#[derive(Debug, Clone)]
pub(in crate::hub) struct Actor {
    user: HubUser,
    address: String,
}

impl Actor {
    /// The user of a call.
    pub(in crate::hub) fn of(call: &Call) -> Self {
        Self {
            user: call.hub_user(),
            address: call.request.address.to_string(),
        }
    }
}

/// Does an action with processes of many nodes, at most `parallel` at a time. `None`: as many as the fleet permits. The
/// results arrive as they end. Actions that have not begun when the receiver is dropped do not begin.
pub(in crate::hub) fn act_on_all(
    hub: &Arc<HubContext>,
    actor: Actor,
    targets: Vec<ActionTarget>,
    action: Action,
    parallel: Option<usize>,
) -> mpsc::UnboundedReceiver<ActionResult> {
    let (sender, results) = mpsc::unbounded_channel();
    let Actor { user, address } = actor;
    let hub = hub.clone();
    tokio::spawn(async move {
        let record = |result: &ActionResult| {
            if is_unchanged(action, &result.result) {
                return;
            }
            let event = event_of(&result.target, action, &result.result);
            hub.record(&user.name, &address, &event);
        };
        let Some(parallel) = parallel else {
            let mut ended = hub.fleet.act_on_all(targets, action, user.clone());
            while let Some(result) = ended.next().await {
                record(&result);
                // Without a client the actions that run are still recorded.
                if sender.send(result).is_err() {
                    return;
                }
            }
            return;
        };
        let permits = Arc::new(Semaphore::new(parallel.max(1)));
        let mut running = JoinSet::new();
        for target in targets {
            let Ok(permit) = permits.clone().acquire_owned().await else {
                return;
            };
            while let Some(Ok(result)) = running.try_join_next() {
                record(&result);
                let _ = sender.send(result);
            }
            if sender.is_closed() {
                break;
            }
            let (fleet, user) = (hub.fleet.clone(), user.clone());
            running.spawn(async move {
                let result = fleet.act(&target.node, &target.namespec, action, &user);
                let result = result.await;
                drop(permit);
                ActionResult { target, result }
            });
        }
        while let Some(Ok(result)) = running.join_next().await {
            record(&result);
            let _ = sender.send(result);
        }
    });
    results
}
