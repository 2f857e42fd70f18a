//! All nodes of a hub: their memory, a task for each, the feed of changes, and actions on many nodes at once.

mod actions;
mod change;
mod nodes;

pub use actions::{ActionResult, ActionResults, ActionTarget};
pub use change::{CHANGES_WAITING_MAX, FleetChange, FleetItem, FleetSubscription};
pub use nodes::{Fleet, FleetSettings};
