//! What all streams of events share.

use std::sync::Arc;

use crate::control::EventFeed;
use crate::http_server::budget::ClientQuota;

/// Maximum number of streams, all clients together. Never more than half of the connections, because these stay open.
const STREAMS_MAX: usize = 256;

/// What all streams share.
pub(in crate::server) struct EventStreams {
    pub(super) feed: EventFeed,
    pub(super) quota: Arc<ClientQuota>,
}

impl EventStreams {
    /// For a server with at most `connections_max` connections.
    pub(in crate::server) fn new(feed: EventFeed, connections_max: usize) -> Self {
        let streams = STREAMS_MAX.min(connections_max / 2).max(1);
        Self {
            feed,
            quota: ClientQuota::new(streams),
        }
    }
}
