//! The feed of changes of a fleet: bounded subscriptions. A slow subscriber loses its oldest changes and gets their number.

use std::sync::Arc;

use tokio::sync::broadcast::error::{RecvError, TryRecvError};
use tokio::sync::broadcast::{self, Receiver};

use super::view::{NodeView, ProcessView};

/// Maximum number of changes that wait for the slowest subscriber.
pub const CHANGES_WAITING_MAX: usize = 4096;

/// A change of the fleet's memory. It contains what is true after it.
#[derive(Debug, Clone)]
pub enum FleetChange {
    /// A node appeared, or something but its processes changed.
    Node(Arc<NodeView>),
    /// A node is no longer in the settings.
    NodeRemoved(Arc<str>),
    /// A process appeared or changed.
    Process {
        /// The node.
        node: Arc<str>,
        /// The process.
        process: Arc<ProcessView>,
    },
    /// A process is gone.
    ProcessRemoved {
        /// The node.
        node: Arc<str>,
        /// The process as it was.
        process: Arc<ProcessView>,
    },
    /// All processes of a node may have changed: it is new, or many did at once.
    Processes(Arc<NodeView>),
}

/// An item that a subscriber receives.
#[derive(Debug, Clone)]
pub enum FleetItem {
    /// A change, in order.
    Change(FleetChange),
    /// The subscriber was too slow: this number of changes was lost before the next one. It reads the fleet again.
    Lost(u64),
}

/// The subscription of one subscriber.
#[derive(Debug)]
pub struct FleetSubscription(Receiver<FleetChange>);

/// What the tasks of nodes publish to.
#[derive(Debug, Clone)]
pub(in crate::hub) struct FleetFeed(broadcast::Sender<FleetChange>);

impl FleetFeed {
    pub(in crate::hub) fn new() -> Self {
        Self(broadcast::channel(CHANGES_WAITING_MAX).0)
    }

    /// Passes a change to all subscribers. It never waits.
    pub(in crate::hub) fn publish(&self, change: FleetChange) {
        // An error means that nobody subscribes.
        let _ = self.0.send(change);
    }

    pub(in crate::hub) fn subscribe(&self) -> FleetSubscription {
        FleetSubscription(self.0.subscribe())
    }
}

impl FleetSubscription {
    /// Waits for the next item. `None`: the fleet is gone. Cancel safe.
    pub async fn next(&mut self) -> Option<FleetItem> {
        match self.0.recv().await {
            Ok(change) => Some(FleetItem::Change(change)),
            Err(RecvError::Lagged(count)) => Some(FleetItem::Lost(count)),
            Err(RecvError::Closed) => None,
        }
    }

    /// Returns the next item if one waits. `None`: none waits.
    pub fn try_next(&mut self) -> Option<FleetItem> {
        match self.0.try_recv() {
            Ok(change) => Some(FleetItem::Change(change)),
            Err(TryRecvError::Lagged(count)) => Some(FleetItem::Lost(count)),
            Err(TryRecvError::Empty | TryRecvError::Closed) => None,
        }
    }
}
