//! What the daemon gives the server when it starts it.

use tokio::time::Duration;

use super::LogFn;
use super::sockets::bound_server::BoundServer;
use super::sockets::socket_file_watch::SocketCheck;
use crate::config::spec::BusChoice;
use crate::control::{ControlHandle, EventFeed};
use crate::heartbeat::Heartbeats;
use crate::sys;

/// Limits on what clients may use.
#[derive(Debug, Clone, Copy)]
pub struct ServerLimits {
    /// Maximum number of connections of all servers together. Beyond it the longest idle connection is closed.
    pub connections_max: usize,
    /// How long a connection may stay without a complete request head, also between requests. Supervisor closes such
    /// connections after half an hour.
    pub head_within: Duration,
}

impl ServerLimits {
    /// Upper bound of `connections_max`, however many descriptors are available.
    pub const CONNECTIONS_MAX: usize = 1000;
    /// Lower bound of `connections_max`.
    pub const CONNECTIONS_MIN: usize = 16;

    /// The limits that leave three quarters of the descriptors to the programs.
    #[must_use]
    pub fn of_this_process() -> Self {
        let files = sys::get_limit(sys::Resource::Files).map_or(1024, |limit| limit.soft);
        let quarter = usize::try_from(files / 4).unwrap_or(usize::MAX);
        Self {
            connections_max: quarter.clamp(Self::CONNECTIONS_MIN, Self::CONNECTIONS_MAX),
            head_within: Duration::from_secs(30 * 60),
        }
    }
}

/// Options of [`spawn_thread`](super::spawn_thread).
pub struct ServerOptions {
    /// The bound sockets.
    pub servers: Vec<BoundServer>,
    /// The handle with which the server calls the engine.
    pub control: ControlHandle,
    /// The feed from which the web page learns of changes.
    pub events: EventFeed,
    /// Writes to the activity log. Must not block.
    pub log: LogFn,
    /// Names of the `[rpcinterface:x]` sections. Without `supervisor` there are no `supervisor.*` methods.
    pub rpc_interfaces: Vec<String>,
    /// The whitelist of `[rpcinterface:twiddler]`. `None`: there are no `twiddler.*` methods.
    pub twiddler: Option<Vec<String>>,
    /// The D-Bus bus to connect to.
    pub dbus: BusChoice,
    /// Limits on what clients may use.
    pub limits: ServerLimits,
    /// Where the thread registers its heartbeats.
    pub heartbeats: Heartbeats,
    /// Requests a check of the socket files.
    pub socket_check: SocketCheck,
}
