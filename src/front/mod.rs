//! The doors: each only translates between its protocol and the Control API. They know nothing of programs, and no state
//! but that of connections.

mod answer;
mod bind;
mod budget;
pub mod dbus;
mod http;
mod logs;
mod logtail;
mod passed;
mod peers;
mod pulse;
mod reclaim;
mod server;
mod socket_files;
mod stream;
mod throttle;
mod turn_away;
mod view;
mod web;
mod xmlrpc;

pub use bind::{BindError, BoundServer};
pub use passed::unused_sockets;
pub use peers::Peers;
pub use server::{Front, Limits, Options, start};
pub use socket_files::SocketCheck;

/// How the front writes to the activity log.
pub type Log = std::sync::Arc<dyn Fn(crate::domain::Line) + Send + Sync>;

#[cfg(test)]
mod tests;
