//! All nodes of a hub: their memory, a task for each, the feed of changes, and actions on many nodes at once.

mod actions;
mod nodes;

pub use super::node::{CHANGES_WAITING_MAX, FleetChange, FleetItem, FleetSubscription};
pub use actions::{ActionResult, ActionResults, ActionTarget};
pub use nodes::{Fleet, FleetSettings};
