//! What other threads ask of the source.

use std::path::PathBuf;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;

use super::item_of;
use super::status::SourceStatus;
use super::thread;
use crate::agent::no_agent;
use crate::agent::protocol::{
    AgentAnswer, FailureKind, HistoryEntry, ItemFailure, ItemText, NacosItem,
};
use crate::config::source::{RemoteText, SourceSettings};
use crate::control::ControlHandle;
use crate::domain::Line;
use crate::heartbeat::Heartbeats;
use crate::sys;

/// How long the end of a run waits for the thread, which waits for the agent.
const STOP_WAIT: Duration = Duration::from_secs(3);
/// How long a reading of the configuration waits for the newest text.
const REFRESH_WAIT: Duration = Duration::from_secs(5);

/// Maximum size of a report on a text that was refused, in bytes.
const REPORT_BYTES_MAX: usize = 16 << 10;

/// What the source needs of a run.
pub struct SourceOptions {
    /// The text of the running configuration. `None`: all of it is in local files.
    pub remote: Option<Arc<RemoteText>>,
    /// The agent's program.
    pub agent: PathBuf,
    /// Where the thread registers its end.
    pub heartbeats: Heartbeats,
}

/// What the thread needs of the daemon, known only when the other threads exist.
#[derive(Clone)]
pub(super) struct SourcePeers {
    pub(super) control: ControlHandle,
    pub(super) log: Arc<dyn Fn(Line) + Send + Sync>,
}

/// The newest texts and the state, which the thread writes and others read.
#[derive(Debug, Default)]
pub(super) struct SourceShared {
    /// The newest text that was read.
    pub(super) newest: Mutex<Option<Arc<RemoteText>>>,
    /// The text of the configuration that was read last without an error.
    pub(super) loaded: Mutex<Option<Arc<RemoteText>>>,
    pub(super) status: Mutex<SourceStatus>,
    /// The errors of the text that was read last and refused, with their lines.
    pub(super) report: Mutex<String>,
}

/// Locks one of the values of [`SourceShared`].
pub(super) fn lock<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code panics while it holds the lock.
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

/// An order to the thread.
pub(super) enum SourceOrder {
    /// Read the newest text, then answer.
    Refresh(SyncSender<Result<(), ItemFailure>>),
    /// The configuration with the text `loaded` was read on request of a client.
    Loaded,
    /// Ask the server.
    Ask(
        Box<ServerQuestion>,
        oneshot::Sender<Result<AgentAnswer, ItemFailure>>,
    ),
}

/// A question to the server of an item.
#[derive(Debug, Clone)]
pub(super) struct ServerQuestion {
    pub(super) item: NacosItem,
    pub(super) kind: QuestionKind,
}

/// The kinds of questions.
#[derive(Debug, Clone)]
pub(super) enum QuestionKind {
    Read,
    Publish {
        text: String,
        md5: String,
        author: String,
    },
    History,
    HistoryText(String),
    Listeners,
}

/// The source of a run. Clones are cheap.
#[derive(Clone)]
pub struct SourceHandle {
    inner: Arc<SourceInner>,
}

struct SourceInner {
    remote: Option<Arc<RemoteText>>,
    agent: PathBuf,
    heartbeats: Heartbeats,
    shared: Arc<SourceShared>,
    peers: Mutex<Option<SourcePeers>>,
    /// `None`: the thread does not exist.
    orders: Mutex<Option<UnboundedSender<SourceOrder>>>,
    /// Is disconnected when the thread ends. `None`: there was no thread.
    ended: Mutex<Option<Receiver<()>>>,
}

impl SourceHandle {
    /// Creates the source of a run, without a thread.
    #[must_use]
    pub fn new(options: SourceOptions) -> Self {
        let shared = SourceShared::default();
        *lock(&shared.newest) = options.remote.clone();
        *lock(&shared.loaded) = options.remote.clone();
        if let Some(remote) = &options.remote {
            let now = sys::now().wall.secs();
            *lock(&shared.status) = SourceStatus {
                kind: remote.settings.kind(),
                item: remote.settings.item_name(),
                md5: remote.md5.clone(),
                newest_md5: remote.md5.clone(),
                server: remote.server.clone(),
                is_up: !remote.server.is_empty(),
                read_at: if remote.server.is_empty() { 0 } else { now },
                applied_at: now,
                ..SourceStatus::default()
            };
        }
        Self {
            inner: Arc::new(SourceInner {
                remote: options.remote,
                agent: options.agent,
                heartbeats: options.heartbeats,
                shared: Arc::new(shared),
                peers: Mutex::new(None),
                orders: Mutex::new(None),
                ended: Mutex::new(None),
            }),
        }
    }

    /// Begins to watch the item, if there is one.
    pub fn start(&self, control: ControlHandle, log: Arc<dyn Fn(Line) + Send + Sync>) {
        *lock(&self.inner.peers) = Some(SourcePeers { control, log });
        if self.inner.remote.is_some() {
            let _ = self.orders();
        }
    }

    /// Ends the thread and the agent, and waits for their end, but not long. Later questions fail.
    ///
    /// An agent that outlives the run would be a child that the next image does not know.
    pub fn stop(&self) {
        *lock(&self.inner.peers) = None;
        *lock(&self.inner.orders) = None;
        if let Some(ended) = lock(&self.inner.ended).take() {
            // Nothing is sent: the thread drops the other end.
            let _ = ended.recv_timeout(STOP_WAIT);
        }
    }

    /// The settings of the source. `None`: the configuration is in local files.
    #[must_use]
    pub fn settings(&self) -> Option<&Arc<SourceSettings>> {
        self.inner.remote.as_ref().map(|remote| &remote.settings)
    }

    /// The state of the item. `None`: the configuration is in local files.
    #[must_use]
    pub fn status(&self) -> Option<SourceStatus> {
        self.inner.remote.as_ref()?;
        let mut status = lock(&self.inner.shared.status).clone();
        if status.is_rejected {
            status.report = lock(&self.inner.shared.report).clone();
        }
        Some(status)
    }

    /// Asks the server for the newest text and returns it, or the newest known one if no server answers. Blocks for some
    /// seconds at most. `None`: the configuration is in local files.
    ///
    /// # Errors
    /// The server answered that there is no usable text.
    pub fn newest_text(&self) -> Result<Option<Arc<RemoteText>>, String> {
        let shared = &self.inner.shared;
        if self.inner.remote.is_none() {
            return Ok(None);
        }
        let (reply, replied) = sync_channel(1);
        if let Some(orders) = self.orders()
            && orders.send(SourceOrder::Refresh(reply)).is_ok()
        {
            match replied.recv_timeout(REFRESH_WAIT) {
                Ok(Err(failure)) if failure.kind != FailureKind::Away => {
                    return Err(failure.message);
                }
                Ok(_) | Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
            }
        }
        Ok(lock(&shared.newest).clone())
    }

    /// Records that the newest text was refused. `report`: its errors with their lines, which may contain secrets.
    pub fn refused(&self, report: &str) {
        let mut end = report.len().min(REPORT_BYTES_MAX);
        while !report.is_char_boundary(end) {
            end -= 1;
        }
        report[..end].clone_into(&mut lock(&self.inner.shared.report));
    }

    /// Records that the configuration was read with this text.
    pub fn loaded(&self, remote: Option<&Arc<RemoteText>>, needs_restart: bool) {
        if self.inner.remote.is_none() {
            return;
        }
        *lock(&self.inner.shared.loaded) = remote.cloned();
        lock(&self.inner.shared.report).clear();
        lock(&self.inner.shared.status).needs_restart = needs_restart;
        if let Some(orders) = &*lock(&self.inner.orders) {
            // A thread that has ended stores nothing.
            let _ = orders.send(SourceOrder::Loaded);
        }
    }

    /// Reads the text of an item once.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn read_item(&self, settings: &SourceSettings) -> Result<ItemText, ItemFailure> {
        let item = nacos_item(Some(settings))?;
        match self.ask(item, QuestionKind::Read).await? {
            AgentAnswer::Text(text) => Ok(text),
            _ => Err(no_agent("")),
        }
    }

    /// Replaces the text of the item if its MD5 is `md5`. Returns the text that the server has then.
    ///
    /// # Errors
    /// Nothing was written, or another writer won.
    pub async fn publish(
        &self,
        text: String,
        md5: String,
        author: String,
    ) -> Result<ItemText, ItemFailure> {
        let item = nacos_item(self.settings().map(|settings| &**settings))?;
        let publish = QuestionKind::Publish { text, md5, author };
        match self.ask(item, publish).await? {
            AgentAnswer::Text(text) => Ok(text),
            _ => Err(no_agent("")),
        }
    }

    /// Lists earlier texts of the item, newest first.
    ///
    /// # Errors
    /// Why there is no list.
    pub async fn history(&self) -> Result<Vec<HistoryEntry>, ItemFailure> {
        let item = nacos_item(self.settings().map(|settings| &**settings))?;
        match self.ask(item, QuestionKind::History).await? {
            AgentAnswer::History { entries } => Ok(entries),
            _ => Err(no_agent("")),
        }
    }

    /// Reads an earlier text of the item.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn history_text(&self, entry: String) -> Result<ItemText, ItemFailure> {
        let item = nacos_item(self.settings().map(|settings| &**settings))?;
        match self.ask(item, QuestionKind::HistoryText(entry)).await? {
            AgentAnswer::Text(text) => Ok(text),
            _ => Err(no_agent("")),
        }
    }

    /// Lists the hosts that watch the item, each with the MD5 of its text.
    ///
    /// # Errors
    /// Why there is no list.
    pub async fn listeners(&self) -> Result<Vec<(String, String)>, ItemFailure> {
        let item = nacos_item(self.settings().map(|settings| &**settings))?;
        match self.ask(item, QuestionKind::Listeners).await? {
            AgentAnswer::Listeners { hosts } => Ok(hosts),
            _ => Err(no_agent("")),
        }
    }

    async fn ask(&self, item: NacosItem, kind: QuestionKind) -> Result<AgentAnswer, ItemFailure> {
        let (answer, answered) = oneshot::channel();
        let question = Box::new(ServerQuestion { item, kind });
        let orders = self.orders().ok_or_else(|| no_agent(""))?;
        let order = SourceOrder::Ask(question, answer);
        orders.send(order).map_err(|_| no_agent(""))?;
        answered.await.unwrap_or_else(|_| Err(no_agent("")))
    }

    /// The thread's inbox. Starts the thread if it does not exist. `None`: the run begins or ends, or there are no threads.
    fn orders(&self) -> Option<UnboundedSender<SourceOrder>> {
        let mut orders = lock(&self.inner.orders);
        if let Some(orders) = &*orders
            && !orders.is_closed()
        {
            return Some(orders.clone());
        }
        let peers = lock(&self.inner.peers).clone()?;
        let (sender, inbox) = unbounded_channel();
        let (running, ended) = sync_channel(0);
        let inner = &self.inner;
        let started = thread::spawn_thread(
            inner.remote.clone(),
            inner.agent.clone(),
            inner.heartbeats.clone(),
            (inner.shared.clone(), peers),
            (inbox, running),
        );
        started.ok()?;
        *lock(&inner.ended) = Some(ended);
        *orders = Some(sender.clone());
        Some(sender)
    }
}

/// The item of these settings, as the agent needs it.
fn nacos_item(settings: Option<&SourceSettings>) -> Result<NacosItem, ItemFailure> {
    let item = settings.and_then(SourceSettings::nacos).map(item_of);
    item.ok_or_else(|| ItemFailure {
        kind: FailureKind::Unsupported,
        message: "the configuration does not come from a Nacos server".to_owned(),
    })
}
