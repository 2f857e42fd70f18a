//! The state of one HTTP connection, and the state that all connections share.

use std::sync::Arc;

use tokio::sync::watch;

use super::endpoint_logins::EndpointLogins;
use super::throttle::PasswordThrottle;
use crate::api::{Caller, RpcInterfaces};
use crate::control::{ControlHandle, PageToken};
use crate::http_server::budget::{BudgetClient, ClientQuota, ConnectionGuard};
use crate::http_server::client_stream::ClientStream;
use crate::http_server::counted_io::HeadCounter;
use crate::server::LogFn;
use crate::server::buffer_pool::BufferPool;
use crate::server::go_routes::OwnNode;
use crate::server::recent_clients::RecentClients;
use crate::server::rest::EventStreams;
use crate::server::web::LiveUpdates;

/// State shared by all connections.
pub(in crate::server) struct ServerContext {
    pub(in crate::server) control: ControlHandle,
    pub(in crate::server) log: LogFn,
    pub(in crate::server) interface: RpcInterfaces,
    /// Host names besides addresses and `localhost` under which a browser may address us.
    pub(in crate::server) host_names: Vec<String>,
    /// Throttles wrong passwords.
    pub(in crate::server) throttle: PasswordThrottle,
    /// Quota of followed logs.
    pub(in crate::server) followers: Arc<ClientQuota>,
    /// Recent clients, for which a daemon that is PID 1 waits before it exits.
    pub(in crate::server) peers: RecentClients,
    /// Buffers for large responses.
    pub(in crate::server) reclaim: Arc<BufferPool>,
    /// Live updates for open pages.
    pub(in crate::server) live: Arc<LiveUpdates>,
    /// The streams of events of the REST interface.
    pub(in crate::server) event_streams: EventStreams,
    /// This node in the Go project's addresses.
    pub(in crate::server) node: OwnNode,
    /// When the page's static files were last changed, in seconds since the epoch.
    pub(in crate::server) assets_modified: i64,
    /// True when the server stops.
    pub(in crate::server) stop: watch::Receiver<bool>,
}

/// One HTTP connection.
pub(in crate::server) struct HttpConnection {
    pub(in crate::server) shared: Arc<ServerContext>,
    pub(in crate::server) logins: Arc<EndpointLogins>,
    /// The token in the forms of this server's page.
    pub(in crate::server) token: Arc<PageToken>,
    /// The caller as the transport identifies it. The user name comes with each request.
    pub(in crate::server) caller: Caller,
    /// The client's name in access lines.
    pub(in crate::server) peer: String,
    pub(in crate::server) stream: Arc<ClientStream>,
    pub(in crate::server) guard: Arc<ConnectionGuard>,
    pub(in crate::server) head: Arc<HeadCounter>,
}

impl HttpConnection {
    pub(super) fn record_client(&self) {
        match self.guard.client {
            BudgetClient::Address(address) if address.is_loopback() => {
                self.shared.peers.record_loopback()
            }
            _ => self.shared.peers.record(self.caller.pid),
        }
    }
}
