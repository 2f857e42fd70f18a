//! What a node's task shares with the rest of the hub: the view that it publishes, and what others want of it.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::{Notify, Semaphore, watch};

use super::change::FleetChange;
use super::client::NodeClient;
use super::config::NodeConfig;
use super::context::NodeContext;
use super::failure::NodeFailure;
use super::process_row::MergedProcesses;
use super::view::{NodeKind, NodeState, NodeView, WallMillis};

/// Maximum number of actions on one node at a time, so that one that does not answer leaves room for the others.
const ACTIONS_PER_NODE_MAX: usize = 4;
/// Number of processes that change at once from which on they are published as one change.
const CHANGES_ONE_BY_ONE_MAX: usize = 64;
/// By how many seconds a node's clock differs from what is known before the view changes. A second is rounding.
const CLOCK_STEP: u64 = 2;

/// One node of a fleet.
#[derive(Debug)]
pub(in crate::hub) struct Node {
    config: Mutex<Arc<NodeConfig>>,
    pub(super) client: NodeClient,
    view: watch::Sender<Arc<NodeView>>,
    /// Number of those who look at it.
    watchers: watch::Sender<usize>,
    /// Asks for the state now.
    refresh: Notify,
    /// One permit for each action that runs.
    pub(in crate::hub) actions: Semaphore,
}

/// A client watches a node. While a guard exists, the hub polls the node more often.
#[derive(Debug)]
pub struct WatchGuard(Arc<Node>);

impl Node {
    /// A node that nobody has asked yet. `before`: the same node with other settings, whose processes stay visible.
    pub(in crate::hub) fn new(
        config: NodeConfig,
        context: &Arc<NodeContext>,
        before: Option<&NodeView>,
    ) -> Self {
        let config = Arc::new(config);
        let (state, reason) = match config.enabled {
            true => (NodeState::Connecting, ""),
            false => (NodeState::Disabled, "disabled in the settings"),
        };
        let address: Arc<str> = config.address.to_string().into();
        let before = before.filter(|view| view.address == address);
        let view = NodeView {
            name: config.name.as_str().into(),
            environment: config.environment.as_str().into(),
            tags: config.tags.as_slice().into(),
            address,
            state,
            reason: reason.into(),
            since: wall_now(),
            last_success: before.and_then(|view| view.last_success),
            kind: before.and_then(|view| view.kind),
            version: before.map_or_else(|| "".into(), |view| view.version.clone()),
            clock_offset: before.map_or(0, |view| view.clock_offset),
            hidden: before.map_or(0, |view| view.hidden),
            processes: before.map_or_else(|| [].into(), |view| view.processes.clone()),
        };
        Self {
            client: NodeClient::new(config.clone(), context.clone()),
            config: Mutex::new(config),
            view: watch::Sender::new(Arc::new(view)),
            watchers: watch::Sender::new(0),
            refresh: Notify::new(),
            actions: Semaphore::new(ACTIONS_PER_NODE_MAX),
        }
    }

    /// The settings.
    pub(in crate::hub) fn config(&self) -> Arc<NodeConfig> {
        let config = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        config.clone()
    }

    /// The view.
    pub(in crate::hub) fn view(&self) -> Arc<NodeView> {
        self.view.borrow().clone()
    }

    /// Replaces settings that differ in labels alone.
    pub(in crate::hub) fn relabel(&self, config: NodeConfig) {
        self.change_view(|view| {
            view.environment = config.environment.as_str().into();
            view.tags = config.tags.as_slice().into();
        });
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
        self.publish_node();
    }

    fn change_view(&self, change: impl FnOnce(&mut NodeView)) {
        self.view.send_modify(|view| change(Arc::make_mut(view)));
    }

    fn publish_node(&self) {
        self.publish(FleetChange::Node(self.view()));
    }

    fn publish(&self, change: FleetChange) {
        self.client.context().feed.publish(change);
    }

    /// Records that something arrived from the node. Sends no change to subscribers, because this happens all the time.
    pub(super) fn record_success(&self) {
        self.change_view(|view| view.last_success = Some(wall_now()));
    }

    /// Says that the node is not connected, and why.
    pub(super) fn show_failure(&self, failure: NodeFailure) {
        let NodeFailure { state, reason } = failure;
        {
            let view = self.view.borrow();
            if view.state == state && *view.reason == *reason {
                return;
            }
        }
        self.change_view(|view| {
            if view.state != state {
                view.state = state;
                view.since = wall_now();
            }
            view.reason = reason.into();
        });
        self.publish_node();
    }

    /// Says that the node is connected, that this program answers, and how its clock differs.
    pub(super) fn show_connected(&self, kind: NodeKind, version: &str, clock_offset: Option<i64>) {
        let is_new = {
            let view = self.view.borrow();
            let offset = clock_offset.unwrap_or(view.clock_offset);
            let is_shown = view.state == NodeState::Connected
                && view.kind == Some(kind)
                && *view.version == *version
                && view.clock_offset.abs_diff(offset) < CLOCK_STEP;
            !is_shown
        };
        if !is_new {
            return;
        }
        self.change_view(|view| {
            if view.state != NodeState::Connected {
                view.state = NodeState::Connected;
                view.reason = "".into();
                view.since = wall_now();
            }
            view.kind = Some(kind);
            view.version = version.into();
            if let Some(offset) = clock_offset
                && view.clock_offset.abs_diff(offset) >= CLOCK_STEP
            {
                view.clock_offset = offset;
            }
        });
        self.publish_node();
    }

    /// Shows other processes. `hidden`: how many are left out. `None`: as many as before.
    pub(super) fn show_processes(&self, merged: MergedProcesses, hidden: Option<usize>) {
        let MergedProcesses {
            processes,
            changed,
            removed,
        } = merged;
        let is_same_number = hidden.is_none_or(|hidden| hidden == self.view.borrow().hidden);
        if changed.is_empty() && removed.is_empty() && is_same_number {
            self.record_success();
            return;
        }
        self.change_view(|view| {
            view.last_success = Some(wall_now());
            view.processes = processes.into();
            if let Some(hidden) = hidden {
                view.hidden = hidden;
            }
        });
        if !is_same_number {
            self.publish_node();
        }
        let view = self.view();
        if changed.len() + removed.len() > CHANGES_ONE_BY_ONE_MAX {
            self.publish(FleetChange::Processes(view));
            return;
        }
        for process in removed {
            let node = view.name.clone();
            self.publish(FleetChange::ProcessRemoved { node, process });
        }
        for process in changed {
            let node = view.name.clone();
            self.publish(FleetChange::Process { node, process });
        }
    }

    /// Counts one more who looks at it.
    pub(in crate::hub) fn watch(self: &Arc<Self>) -> WatchGuard {
        self.watchers.send_modify(|count| *count += 1);
        WatchGuard(self.clone())
    }

    /// The number of those who look at it, to wait for its change.
    pub(super) fn watchers(&self) -> watch::Receiver<usize> {
        self.watchers.subscribe()
    }

    /// Makes the task ask for the state as soon as it can.
    pub(super) fn request_refresh(&self) {
        self.refresh.notify_one();
    }

    /// Waits for [`Node::request_refresh`].
    pub(super) async fn refresh_requested(&self) {
        self.refresh.notified().await;
    }
}

impl Drop for WatchGuard {
    fn drop(&mut self) {
        self.0.watchers.send_modify(|count| *count -= 1);
    }
}

/// The time now.
pub(in crate::hub) fn wall_now() -> WallMillis {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |now| i64::try_from(now.as_millis()).unwrap_or(i64::MAX))
}
