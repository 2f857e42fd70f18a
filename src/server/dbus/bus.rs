//! One connection to a bus, and the questions to the bus itself: who a sender is. This module does not know the
//! calls.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;
use tokio::time::{Duration, timeout};
use zbus::{Connection, OwnedVariant};

use super::context::BusContext;
use super::error::BusError;
use super::limits::CallLimits;
use super::sender::{BusKind, BusSender};
use crate::domain::{GroupName, ProcessName};

/// How long the bus itself may take to answer.
pub(super) const BUS_TIMEOUT: Duration = Duration::from_secs(10);

/// How long the bus may take to identify a sender. Its answer may queue behind thousands of calls of others, and the
/// caller must not be refused for that.
const SENDER_TIMEOUT: Duration = Duration::from_secs(60);

/// Maximum number of cached senders, including pending look-ups: the maximum number of connections of a system bus.
const SENDERS_MAX: usize = 2048;

/// State shared by everything on one connection.
pub(super) struct BusConnection {
    pub(super) connection: Connection,
    pub(super) kind: BusKind,
    pub(super) context: Arc<BusContext>,
    pub(super) limits: CallLimits,
    /// The objects last announced on the bus.
    announced: Mutex<Arc<KnownObjects>>,
    senders: Mutex<SenderCache>,
}

/// The senders, by unique name. The bus is asked once per name, because it never reuses a name.
#[derive(Default)]
struct SenderCache {
    /// Counts look-ups, as a clock for `used`.
    clock: u64,
    found: HashMap<String, CachedSender>,
}

struct CachedSender {
    sender: Arc<OnceCell<Result<BusSender, BusError>>>,
    used: u64,
}

impl SenderCache {
    /// Returns the cell of a sender. When the cache is full, a new sender replaces the least recently used one.
    fn sender_cell(&mut self, name: &str) -> Arc<OnceCell<Result<BusSender, BusError>>> {
        self.clock += 1;
        if self.found.len() >= SENDERS_MAX && !self.found.contains_key(name) {
            let oldest = self.found.iter().min_by_key(|(_, found)| found.used);
            if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                self.found.remove(&oldest);
            }
        }
        let found = self
            .found
            .entry(name.to_owned())
            .or_insert_with(|| CachedSender {
                sender: Arc::default(),
                used: 0,
            });
        found.used = self.clock;
        found.sender.clone()
    }
}

/// Groups with their processes.
pub(super) type KnownObjects = BTreeMap<GroupName, BTreeSet<ProcessName>>;

impl BusConnection {
    pub(super) fn new(connection: Connection, kind: BusKind, context: Arc<BusContext>) -> Self {
        Self {
            connection,
            kind,
            context,
            limits: CallLimits::default(),
            announced: Mutex::default(),
            senders: Mutex::default(),
        }
    }

    /// Returns the objects last announced. A poisoned lock is harmless: only a pointer is exchanged under it.
    pub(super) fn announced(&self) -> Arc<KnownObjects> {
        let known = self.announced.lock();
        Arc::clone(&known.unwrap_or_else(PoisonError::into_inner))
    }

    /// Records the objects that are announced by now.
    pub(super) fn set_announced(&self, known: KnownObjects) {
        let mut last = self
            .announced
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *last = Arc::new(known);
    }

    /// A poisoned lock means that another call panicked while it counted. The cache is still consistent.
    fn senders(&self) -> MutexGuard<'_, SenderCache> {
        self.senders.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns a sender from the cache. `None`: the bus has not been asked yet.
    pub(super) fn known_sender(&self, name: &str) -> Option<BusSender> {
        let mut senders = self.senders();
        senders.clock += 1;
        let now = senders.clock;
        let found = senders.found.get_mut(name)?;
        found.used = now;
        found.sender.get()?.clone().ok()
    }

    /// Returns the sender with this name. However many of its calls wait, the bus is asked once.
    ///
    /// # Errors
    /// As [`BusConnection::ask_sender`].
    pub(super) async fn sender(&self, name: &str) -> Result<BusSender, BusError> {
        let cell = self.senders().sender_cell(name);
        let sender = cell.get_or_init(|| self.ask_sender(name)).await.clone();
        if sender.is_err() {
            // The bus may have failed for a moment, so let the next call ask again.
            let mut senders = self.senders();
            if senders
                .found
                .get(name)
                .is_some_and(|found| Arc::ptr_eq(&found.sender, &cell))
            {
                senders.found.remove(name);
            }
        }
        sender
    }

    /// Asks the bus for the credentials of a connection, as they were when it connected.
    ///
    /// # Errors
    /// ACCESS_DENIED: the connection is gone, or the bus does not know its user.
    ///
    /// # Source
    /// D-Bus specification, `org.freedesktop.DBus.GetConnectionCredentials`.
    pub(super) async fn ask_sender(&self, name: &str) -> Result<BusSender, BusError> {
        let unknown =
            |why: String| BusError::denied(format!("the bus cannot identify the caller: {why}"));
        let question = (name,);
        let asked = self.connection.call_method(
            Some("org.freedesktop.DBus"),
            "/org/freedesktop/DBus",
            Some("org.freedesktop.DBus"),
            "GetConnectionCredentials",
            &question,
        );
        let reply = timeout(SENDER_TIMEOUT, asked)
            .await
            .map_err(|_| unknown("it does not answer".to_owned()))?
            .map_err(|error| unknown(error.to_string()))?;
        let body = reply.body();
        let known: HashMap<String, OwnedVariant> = body
            .deserialize()
            .map_err(|error| unknown(error.to_string()))?;
        let number = |key| known.get(key).and_then(|value| u32::try_from(value).ok());
        let uid = number("UnixUserID").ok_or_else(|| unknown("it has no user".to_owned()))?;
        Ok(BusSender {
            name: name.to_owned(),
            uid,
            pid: number("ProcessID").and_then(|pid| i32::try_from(pid).ok()),
        })
    }
}
