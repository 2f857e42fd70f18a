//! Actions on processes of many nodes side by side, with a result for each.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use super::nodes::Fleet;
use crate::hub::node::{Action, ActionError, HubUser, Node};

/// Number of tasks that act on one node. Each does one action at a time.
const WORKERS_PER_NODE: usize = 4;
/// Number of results that wait for their reader. Actions wait then too.
const RESULTS_WAITING_MAX: usize = 1024;

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
pub struct ActionResults(mpsc::Receiver<ActionResult>);

impl ActionResults {
    /// Waits for the next result. `None`: all have ended. Cancel safe.
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
        let node = self.shared_node(node).ok_or(ActionError::UnknownNode)?;
        self.act_on(&node, namespec, action, user).await
    }

    async fn act_on(
        &self,
        node: &Node,
        namespec: &str,
        action: Action,
        user: &HubUser,
    ) -> Result<(), ActionError> {
        // A node that is known not to answer takes no place from others.
        node.check_connected()?;
        // First that of the node: who waits for it has no permit of all. The semaphores are never closed.
        let _of_node = node.actions.acquire().await;
        let _of_all = self.permits().acquire().await;
        node.perform(namespec, action, user).await
    }

    /// Does an action with each of the processes, those of one node in their order. A bounded number runs at a time, and only
    /// a few of one node, so that nodes that do not answer hold up nobody else.
    #[must_use]
    pub fn act_on_all(
        &self,
        targets: Vec<ActionTarget>,
        action: Action,
        user: HubUser,
    ) -> ActionResults {
        let (sender, results) = mpsc::channel(RESULTS_WAITING_MAX);
        let mut by_node: BTreeMap<Arc<str>, VecDeque<String>> = BTreeMap::new();
        for ActionTarget { node, namespec } in targets {
            by_node.entry(node).or_default().push_back(namespec);
        }
        for (node, namespecs) in by_node {
            let workers = namespecs.len().min(WORKERS_PER_NODE);
            let batch = Arc::new(NodeBatch {
                fleet: self.clone(),
                node,
                namespecs: Mutex::new(namespecs),
                action,
                user: user.clone(),
            });
            for _ in 0..workers {
                tokio::spawn(batch.clone().work(sender.clone()));
            }
        }
        ActionResults(results)
    }
}

/// What is to be done on one node.
struct NodeBatch {
    fleet: Fleet,
    node: Arc<str>,
    namespecs: Mutex<VecDeque<String>>,
    action: Action,
    user: HubUser,
}

impl NodeBatch {
    fn next(&self) -> Option<String> {
        let mut namespecs = self
            .namespecs
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        namespecs.pop_front()
    }

    async fn work(self: Arc<Self>, results: mpsc::Sender<ActionResult>) {
        while !results.is_closed()
            && let Some(namespec) = self.next()
        {
            let result = self
                .fleet
                .act(&self.node, &namespec, self.action, &self.user)
                .await;
            let target = ActionTarget {
                node: self.node.clone(),
                namespec,
            };
            if results.send(ActionResult { target, result }).await.is_err() {
                return;
            }
        }
    }
}
