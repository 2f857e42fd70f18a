//! One node: its settings, what is known of it, and what it can be asked.

mod action;
mod config;
mod log;
mod shared;
mod view;

pub use action::{Action, ActionError, HubUser};
pub use config::{CALL_LIMIT_DEFAULT, NODE_NAME_CHARS_MAX, NodeAddress, NodeConfig, NodeLogin};
pub use log::{LOG_BYTES_MAX, LogPart, LogRange};
pub(in crate::hub) use shared::Node;
pub use shared::WatchGuard;
pub use view::{NodeKind, NodeState, NodeView, ProcessView, WallMillis, uptime_text};
