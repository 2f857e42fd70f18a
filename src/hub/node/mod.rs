//! One node: its settings, what is known of it, the task that keeps this up to date, and what it can be asked to do.

mod action;
mod change;
mod client;
mod config;
mod context;
mod event_stream;
mod failure;
mod follow;
mod interner;
mod log;
mod perform;
mod process_row;
mod resolver;
mod shared;
mod task;
mod view;

pub use action::{Action, ActionError, HubUser};
pub(in crate::hub) use change::FleetFeed;
pub use change::{CHANGES_WAITING_MAX, FleetChange, FleetItem, FleetSubscription};
pub use client::ANSWER_BYTES_MAX;
pub use config::{CALL_LIMIT_DEFAULT, NODE_NAME_CHARS_MAX, NodeAddress, NodeConfig, NodeLogin};
pub(in crate::hub) use context::NodeContext;
pub use log::{LOG_BYTES_MAX, LogPart, LogRange};
pub use perform::ACTION_LIMIT;
pub use process_row::PROCESSES_MAX;
pub use shared::WatchGuard;
pub(in crate::hub) use shared::{Node, wall_now};
pub(in crate::hub) use task::run_node;
pub use view::{NodeKind, NodeState, NodeView, ProcessView, WallMillis, uptime_text};

#[cfg(test)]
pub(in crate::hub) use view::tests;
