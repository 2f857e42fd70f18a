//! What the D-Bus side needs from the server.

use tokio::sync::watch;

use crate::api::RpcInterfaces;
use crate::config::spec::BusChoice;
use crate::control::{ControlHandle, EventFeed};
use crate::server::LogFn;
use crate::server::recent_clients::RecentClients;

/// What the D-Bus side needs from the server.
pub(in crate::server) struct BusContext {
    pub(in crate::server) choice: BusChoice,
    pub(in crate::server) control: ControlHandle,
    pub(in crate::server) interface: RpcInterfaces,
    pub(in crate::server) feed: EventFeed,
    pub(in crate::server) log: LogFn,
    /// The callers' processes, for which a daemon that is PID 1 waits before it exits.
    pub(in crate::server) peers: RecentClients,
    pub(in crate::server) stop: watch::Receiver<bool>,
}
