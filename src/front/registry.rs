//! Which connections there are, and which of them can be spared when another one comes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::stream::Stream;

/// The connections of all servers.
#[derive(Debug)]
pub(super) struct Registry {
    limit: usize,
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    /// Counts arrivals and changes to idle: a clock for "oldest".
    clock: u64,
    entries: HashMap<u64, Entry>,
}

#[derive(Debug)]
struct Entry {
    stream: Arc<Stream>,
    evicted: Arc<Notify>,
    /// Since when nothing is owed to the client; none: an answer is being made or sent.
    idle_since: Option<u64>,
}

/// A connection's place in the registry; leaves it when dropped.
#[derive(Debug)]
pub(super) struct Place {
    registry: Arc<Registry>,
    id: u64,
    /// Told when the connection has to make room.
    pub(super) evicted: Arc<Notify>,
}

impl Registry {
    pub(super) fn new(limit: usize) -> Arc<Self> {
        Arc::new(Self {
            limit,
            inner: Mutex::default(),
        })
    }

    /// Poison means that another connection panicked while it counted, which leaves nothing half done.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a new connection. At the limit one whose client is gone gives way, else the one that was idle longest;
    /// none: all are busy, and the new one has to go.
    pub(super) fn enter(self: &Arc<Self>, stream: &Arc<Stream>) -> Option<Place> {
        let mut inner = self.lock();
        if inner.entries.len() >= self.limit && !inner.evict() {
            return None;
        }
        inner.clock += 1;
        let id = inner.clock;
        let evicted = Arc::new(Notify::new());
        let entry = Entry {
            stream: stream.clone(),
            evicted: evicted.clone(),
            idle_since: Some(id),
        };
        inner.entries.insert(id, entry);
        Some(Place {
            registry: self.clone(),
            id,
            evicted,
        })
    }

    /// Makes room, because descriptors have run out.
    pub(super) fn spare_one(&self) {
        self.lock().evict();
    }
}

impl Inner {
    fn evict(&mut self) -> bool {
        let gone = self
            .entries
            .iter()
            .find(|(_, entry)| entry.idle_since.is_none() && entry.stream.peer_is_gone());
        let oldest = || {
            self.entries
                .iter()
                .filter(|(_, entry)| entry.idle_since.is_some())
                .min_by_key(|(_, entry)| entry.idle_since)
        };
        let Some(id) = gone.or_else(oldest).map(|(id, _)| *id) else {
            return false;
        };
        if let Some(entry) = self.entries.remove(&id) {
            entry.evicted.notify_one();
        }
        true
    }
}

impl Place {
    fn set_idle(&self, idle: bool) {
        let mut inner = self.registry.lock();
        inner.clock += 1;
        let now = inner.clock;
        if let Some(entry) = inner.entries.get_mut(&self.id) {
            entry.idle_since = idle.then_some(now);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.registry.lock().entries.remove(&self.id);
    }
}

/// While this lives, an answer is owed.
#[derive(Debug)]
pub(super) struct Busy(Arc<Place>);

impl Busy {
    pub(super) fn new(place: &Arc<Place>) -> Self {
        place.set_idle(false);
        Self(place.clone())
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.set_idle(true);
    }
}
