//! What a node's task shares with the rest of the hub: the view that it publishes, and what others want of it.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use tokio::sync::{Notify, watch};

use super::config::NodeConfig;
use super::view::{NodeState, NodeView, WallMillis};

/// One node of a fleet.
#[derive(Debug)]
pub(in crate::hub) struct Node {
    pub(in crate::hub) config: Arc<NodeConfig>,
    view: watch::Sender<Arc<NodeView>>,
    /// Number of those who look at it.
    watchers: watch::Sender<usize>,
    /// Asks for the state now.
    refresh: Notify,
}

/// Somebody looks at a node. A node that is asked regularly is asked more often while one of these exists.
#[derive(Debug)]
pub struct WatchGuard(Arc<Node>);

impl Node {
    /// A node that nobody has asked yet. `before`: the same node with other settings, whose processes stay visible.
    pub(in crate::hub) fn new(config: Arc<NodeConfig>, before: Option<&NodeView>) -> Self {
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
            config,
            view: watch::Sender::new(Arc::new(view)),
            watchers: watch::Sender::new(0),
            refresh: Notify::new(),
        }
    }

    /// The view.
    pub(in crate::hub) fn view(&self) -> Arc<NodeView> {
        self.view.borrow().clone()
    }

    /// Replaces the view.
    pub(in crate::hub) fn set_view(&self, view: Arc<NodeView>) {
        self.view.send_replace(view);
    }

    /// Waits for the view to change, and returns its new state.
    pub(in crate::hub) fn follow_view(&self) -> watch::Receiver<Arc<NodeView>> {
        self.view.subscribe()
    }

    /// Counts one more who looks at it.
    pub(in crate::hub) fn watch(self: &Arc<Self>) -> WatchGuard {
        self.watchers.send_modify(|count| *count += 1);
        WatchGuard(self.clone())
    }

    /// The number of those who look at it, to wait for its change.
    pub(in crate::hub) fn watchers(&self) -> watch::Receiver<usize> {
        self.watchers.subscribe()
    }

    /// Makes the task ask for the state as soon as it can.
    pub(in crate::hub) fn request_refresh(&self) {
        self.refresh.notify_one();
    }

    /// Waits for [`Node::request_refresh`].
    pub(in crate::hub) async fn refresh_requested(&self) {
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
