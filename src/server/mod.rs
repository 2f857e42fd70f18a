//! The endpoints for clients: HTTP, the web page and D-Bus. Each endpoint translates between its protocol and the
//! Control API. An endpoint holds no state about programs, only about its connections.

mod bind;
mod budget;
mod buffer_pool;
pub mod dbus;
mod http;
mod logs;
mod logtail;
mod recent_clients;
mod reject_peer;
mod render;
mod response;
mod runtime_heartbeat;
mod socket_activation;
mod socket_files;
mod stream;
mod thread;
mod throttle;
mod web;
mod xmlrpc;

pub use bind::{BindError, BoundServer};
pub use recent_clients::RecentClients;
pub use socket_activation::unused_sockets;
pub use socket_files::SocketCheck;
pub use thread::{ServerHandle, ServerLimits, ServerOptions, spawn_thread};

/// The function with which the server writes to the activity log.
pub type LogFn = std::sync::Arc<dyn Fn(crate::domain::Line) + Send + Sync>;

#[cfg(test)]
mod tests;
