//! The endpoints for clients: HTTP, the web page and D-Bus. Each endpoint translates between its protocol and the
//! Control API. An endpoint holds no state about programs, only about its connections.

mod accept;
mod buffer_pool;
mod calls;
pub mod dbus;
mod go_routes;
mod health;
mod http;
mod metrics;
mod options;
mod recent_clients;
mod reject_peer;
mod rest;
mod runtime_heartbeat;
mod sockets;
mod thread;
mod web;
mod xmlrpc;

pub use options::{ServerLimits, ServerOptions};
pub use recent_clients::RecentClients;
pub use sockets::bind_error::BindError;
pub use sockets::bound_server::BoundServer;
pub use sockets::socket_activation::unused_sockets;
pub use sockets::socket_file_watch::SocketCheck;
pub use thread::{ServerHandle, spawn_thread};

/// The function with which the server writes to the activity log.
pub type LogFn = std::sync::Arc<dyn Fn(crate::domain::Line) + Send + Sync>;

#[cfg(test)]
mod tests;
