//! The state that all open pages share.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use hyper::body::Bytes;
use tokio::sync::broadcast;

use crate::control::EventFeed;
use crate::http_server::budget::ClientQuota;
use crate::server::calls::usage_sources::UsageSources;
use crate::web::texts::Language;

/// Maximum number of concurrent actions, all clients together. Each runs to its end, even if its client disconnects.
const ACTIONS_MAX: usize = 256;
/// Maximum number of connected pages, all clients together. Never more than a quarter of the connections, because
/// these stay open.
const STREAMS_MAX: usize = 64;
/// Maximum number of messages queued for a page that does not read. Beyond it the page loses the oldest and gets a
/// full update.
const WAITING_MAX: usize = 16;

/// State shared by all pages.
pub(in crate::server) struct LiveUpdates {
    pub(super) feed: EventFeed,
    /// The messages to the pages of each language.
    messages: [broadcast::Sender<Bytes>; Language::ALL.len()],
    /// Whether the task is running.
    pub(super) running: AtomicBool,
    pub(super) streams: Arc<ClientQuota>,
    /// Quota of the actions that pages run.
    pub(super) actions: Arc<ClientQuota>,
    /// The use of processes, which pages, REST and scrapes of metrics share.
    pub(in crate::server) usage: Arc<UsageSources>,
}

impl LiveUpdates {
    /// Creates the state for a server with at most `connections_max` connections.
    pub(in crate::server) fn new(feed: EventFeed, connections_max: usize) -> Arc<Self> {
        let streams = STREAMS_MAX.min(connections_max / 4).max(1);
        Arc::new(Self {
            feed,
            messages: Language::ALL.map(|_| broadcast::channel(WAITING_MAX).0),
            running: AtomicBool::new(false),
            streams: ClientQuota::new(streams),
            actions: ClientQuota::new(ACTIONS_MAX),
            usage: Arc::default(),
        })
    }

    /// The messages to the pages in `language`.
    pub(super) const fn messages(&self, language: Language) -> &broadcast::Sender<Bytes> {
        let [english, chinese] = &self.messages;
        match language {
            Language::English => english,
            Language::Chinese => chinese,
        }
    }

    /// The languages in which a page is open.
    pub(super) fn languages(&self) -> Vec<Language> {
        let is_open = |language: &Language| self.messages(*language).receiver_count() > 0;
        Language::ALL.into_iter().filter(is_open).collect()
    }
}
