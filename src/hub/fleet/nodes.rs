//! The handle of a fleet: which nodes there are, and their views.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio::task::{AbortHandle, JoinHandle};

use crate::domain::Channel;
use crate::hub::node::{
    ActionError, FleetChange, FleetFeed, FleetSubscription, LogPart, LogRange, Node, NodeConfig,
    NodeContext, NodeView, WatchGuard, run_node,
};

/// The pause between two questions to a node that somebody looks at, where the settings say nothing.
const POLL_INTERVAL_DEFAULT: Duration = Duration::from_secs(2);
/// Maximum number of actions that run at a time. The others wait.
const ACTIONS_MAX: usize = 128;

/// Settings of all nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetSettings {
    /// The pause between two questions to a node without an event stream, while somebody looks at it. It is varied by a
    /// fifth. Nodes that nobody looks at are asked every 15 seconds, or as rarely if this is longer.
    pub poll_interval: Duration,
}

/// A handle of the fleet. Clones are cheap and share it. It is used within a tokio runtime.
///
/// Readers only read memory: no node can delay them. The tasks of the nodes end with the last handle.
#[derive(Debug, Clone)]
pub struct Fleet(Arc<FleetShared>);

#[derive(Debug)]
struct FleetShared {
    table: Mutex<Arc<NodeTable>>,
    feed: FleetFeed,
    context: Arc<NodeContext>,
    /// One permit for each action that runs.
    permits: Semaphore,
}

/// The nodes in the order of the settings.
#[derive(Debug, Default)]
struct NodeTable {
    nodes: Vec<RunningNode>,
    by_name: HashMap<String, usize>,
}

#[derive(Debug, Clone)]
struct RunningNode {
    node: Arc<Node>,
    /// `None`: the node is disabled.
    _task: Option<Arc<NodeTask>>,
}

/// A task that ends when nobody needs it.
#[derive(Debug)]
struct NodeTask(AbortHandle);

impl Default for FleetSettings {
    fn default() -> Self {
        Self {
            poll_interval: POLL_INTERVAL_DEFAULT,
        }
    }
}

impl Fleet {
    /// Creates a fleet without nodes.
    #[must_use]
    pub fn new(settings: FleetSettings) -> Self {
        let feed = FleetFeed::new();
        Self(Arc::new(FleetShared {
            table: Mutex::default(),
            context: Arc::new(NodeContext::new(feed.clone(), settings.poll_interval)),
            feed,
            permits: Semaphore::new(ACTIONS_MAX),
        }))
    }

    /// Replaces the nodes. A node whose settings are the same, or differ in labels alone, keeps its connection. A node with
    /// another login keeps its last known processes until it answers. Of two nodes with one name the first counts.
    pub fn replace_nodes(&self, configs: Vec<NodeConfig>) {
        let mut current = self.0.table.lock().unwrap_or_else(PoisonError::into_inner);
        let mut table = NodeTable::default();
        for config in configs {
            if table.by_name.contains_key(&config.name) {
                continue;
            }
            let name = config.name.clone();
            let node = self.node_for(config, current.running(&name));
            table.by_name.insert(name, table.nodes.len());
            table.nodes.push(node);
        }
        for removed in &current.nodes {
            let name = removed.node.view().name.clone();
            if !table.by_name.contains_key(&*name) {
                self.0.feed.publish(FleetChange::NodeRemoved(name));
            }
        }
        *current = Arc::new(table);
    }

    /// The node of these settings: `known`, the one that has its name now, or a new one.
    fn node_for(&self, config: NodeConfig, known: Option<&RunningNode>) -> RunningNode {
        if let Some(known) = known {
            let present = known.node.config();
            if *present == config {
                return known.clone();
            }
            if present.has_connection_of(&config) {
                known.node.relabel(config);
                return known.clone();
            }
        }
        let before = known.map(|known| known.node.view());
        let is_enabled = config.enabled;
        let node = Arc::new(Node::new(config, &self.0.context, before.as_deref()));
        let task = is_enabled.then(|| {
            let task: JoinHandle<()> = tokio::spawn(run_node(node.clone()));
            Arc::new(NodeTask(task.abort_handle()))
        });
        self.0.feed.publish(FleetChange::Node(node.view()));
        RunningNode { node, _task: task }
    }

    fn table(&self) -> Arc<NodeTable> {
        let table = self.0.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.clone()
    }

    /// Returns all nodes in the order of the settings.
    #[must_use]
    pub fn nodes(&self) -> Vec<Arc<NodeView>> {
        self.table()
            .nodes
            .iter()
            .map(|running| running.node.view())
            .collect()
    }

    /// Returns a node. `None`: none has this name.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<Arc<NodeView>> {
        self.shared_node(name).map(|node| node.view())
    }

    /// Subscribes to all changes from now on. A subscriber that wants the whole state subscribes first and reads then.
    #[must_use]
    pub fn subscribe(&self) -> FleetSubscription {
        self.0.feed.subscribe()
    }

    /// Says that somebody looks at a node, as long as the guard exists. `None`: no node has this name.
    #[must_use]
    pub fn watch(&self, node: &str) -> Option<WatchGuard> {
        self.shared_node(node).map(|node| node.watch())
    }

    /// Reads a part of the log of a process, `group:name`.
    ///
    /// # Errors
    /// See [`ActionError`]. A process without a log file is a fault NO_FILE.
    pub async fn log(
        &self,
        node: &str,
        namespec: &str,
        channel: Channel,
        range: LogRange,
    ) -> Result<LogPart, ActionError> {
        let node = self.shared_node(node).ok_or(ActionError::UnknownNode)?;
        node.read_log(namespec, channel, range).await
    }

    /// The node with this name.
    pub(super) fn shared_node(&self, name: &str) -> Option<Arc<Node>> {
        self.table()
            .running(name)
            .map(|running| running.node.clone())
    }

    /// One permit for each action that runs.
    pub(super) fn permits(&self) -> &Semaphore {
        &self.0.permits
    }
}

impl NodeTable {
    fn running(&self, name: &str) -> Option<&RunningNode> {
        self.by_name.get(name).and_then(|&at| self.nodes.get(at))
    }
}

impl Drop for NodeTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}
