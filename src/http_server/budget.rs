//! Limits the connections and memory of each client, and chooses the connection to close when room is needed.
//!
//! A client is a user (unix sockets), an address (TCP), or the trusted client: root and the daemon's own user, whose
//! share nobody else can use. Memory is counted where it is allocated: bodies and long heads as they arrive,
//! responses before they are sent. It is released when the last byte is written or the connection closes.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use hyper::body::Bytes;
use tokio::sync::{Notify, OwnedMutexGuard, OwnedSemaphorePermit, Semaphore};
use tokio::time::{Duration, Instant, timeout};

use crate::http_server::client_stream::ClientStream;
use crate::sys;

/// Memory for requests and responses of one untrusted client, in bytes. A body of the maximum length fits.
pub(crate) const CLIENT_BYTES_MAX: usize = 16 << 20;
/// Memory for requests and responses of all untrusted clients together, in bytes.
pub(crate) const OTHERS_BYTES_MAX: usize = 20 << 20;
/// Memory for the trusted client, in bytes. Beyond it the slowest trusted connection is closed, but no request is
/// refused.
const TRUSTED_BYTES_MAX: usize = 64 << 20;
/// Responses up to this size, in bytes, are sent even if the budget is exhausted, so that errors reach the client.
const SMALL_BYTES: usize = 4 << 10;
/// Bytes that must move before a connection counts as making progress.
pub(crate) const PROGRESS_BYTES: usize = 16 << 10;
/// Maximum number of large responses rendered at a time for all untrusted clients. One client may have one.
const LARGE_MAX: usize = 2;
/// How long a client waits for its turn to have a large response rendered.
const LARGE_WITHIN: Duration = Duration::from_secs(30);

/// The client for which connections and memory are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum BudgetClient {
    /// Root or the daemon's own user, on a unix socket.
    Trusted,
    /// Another user, on a unix socket.
    User(u32),
    /// Everybody at an address, because the kernel does not know the user.
    Address(IpAddr),
}

impl BudgetClient {
    /// The client for the UID of a unix socket's peer.
    pub(crate) fn user(uid: u32) -> Self {
        match uid == 0 || uid == sys::effective_uid() {
            true => Self::Trusted,
            false => Self::User(uid),
        }
    }

    /// The client at an address. Addresses that one host can choose from count as one client: all of loopback, and an
    /// IPv6 /64 network.
    pub(crate) fn address(address: IpAddr) -> Self {
        Self::Address(match address.to_canonical() {
            address if address.is_loopback() => IpAddr::from([127, 0, 0, 1]),
            IpAddr::V6(address) => IpAddr::from((u128::from(address) >> 64 << 64).to_be_bytes()),
            address @ IpAddr::V4(_) => address,
        })
    }

    pub(crate) fn is_trusted(self) -> bool {
        self == Self::Trusted
    }
}

/// The budget of all connections of all servers.
#[derive(Debug)]
pub(crate) struct Budget {
    connections_max: usize,
    inner: Mutex<BudgetState>,
    large: Arc<Semaphore>,
}

#[derive(Debug, Default)]
struct BudgetState {
    last_id: u64,
    entries: HashMap<u64, ConnectionEntry>,
    clients: HashMap<BudgetClient, ClientUsage>,
}

/// Connections and memory of one client.
#[derive(Debug, Default)]
struct ClientUsage {
    connections: usize,
    bytes: usize,
    /// Serialises the client's large responses.
    large: Weak<tokio::sync::Mutex<()>>,
}

#[derive(Debug)]
struct ConnectionEntry {
    client: BudgetClient,
    stream: Arc<ClientStream>,
    evicted: Arc<Notify>,
    /// Number of responses being rendered or sent. 0: the client is between two requests or is sending one.
    working: usize,
    /// Whether the client does not read what is written.
    blocked: bool,
    /// Whether the connection waits for its turn to have a large response rendered. No work is lost if it is closed.
    queued: bool,
    /// The last progress: a new request, [`PROGRESS_BYTES`] received or sent, or the end of a response.
    since: Instant,
    moved: usize,
    bytes: usize,
}

/// The resource that has run short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BudgetResource {
    Connections,
    Bytes,
}

/// The connections among which one is chosen to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum EvictionPool {
    /// The connections of one client.
    Of(BudgetClient),
    /// The connections of the untrusted client that uses most.
    Others,
}

/// One connection's entry in the budget. Dropping it removes the entry.
#[derive(Debug)]
pub(crate) struct ConnectionGuard {
    budget: Arc<Budget>,
    id: u64,
    pub(crate) client: BudgetClient,
    /// Notified when the connection must close to make room.
    pub(crate) evicted: Arc<Notify>,
}

/// Bytes of the budget held by a connection. Dropping it releases them.
#[derive(Debug)]
pub(crate) struct ReservedBytes {
    place: Arc<ConnectionGuard>,
    bytes: usize,
}

/// Permission to render a large response. `None` inside: a trusted client, which needs no permit.
pub(crate) type LargePermit = Option<(OwnedMutexGuard<()>, OwnedSemaphorePermit)>;

impl Budget {
    pub(crate) fn new(connections_max: usize) -> Arc<Self> {
        Arc::new(Self {
            connections_max,
            inner: Mutex::default(),
            large: Arc::new(Semaphore::new(LARGE_MAX)),
        })
    }

    /// A poisoned lock means that another connection panicked while it counted. The counters are still consistent.
    fn lock(&self) -> MutexGuard<'_, BudgetState> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Number of connections reserved for the trusted client.
    fn trusted_reserve(&self) -> usize {
        (self.connections_max / 8).max(1)
    }

    /// Maximum number of connections of one client.
    fn connections_max_of(&self, client: BudgetClient) -> usize {
        match client {
            BudgetClient::Trusted => self.connections_max,
            BudgetClient::User(_) => (self.connections_max / 4).max(1),
            // An address may be a proxy for many people.
            BudgetClient::Address(_) => (self.connections_max / 2).max(1),
        }
    }

    /// Adds a new connection. If there is no room, the connection that has made no progress for longest is closed.
    /// `None`: all connections are busy, so the new one must be closed.
    pub(crate) fn admit(
        self: &Arc<Self>,
        client: BudgetClient,
        stream: &Arc<ClientStream>,
    ) -> Option<ConnectionGuard> {
        let mut inner = self.lock();
        let need = BudgetResource::Connections;
        let own = inner.used(client, need);
        let all = inner.entries.len();
        let others = all - inner.used(BudgetClient::Trusted, need);
        let has_room = if client.is_trusted() {
            all < self.connections_max
                || inner.evict(need, EvictionPool::Others, None)
                || inner.evict(need, EvictionPool::Of(client), None)
        } else if own >= self.connections_max_of(client) {
            inner.evict(need, EvictionPool::Of(client), None)
        } else {
            others + self.trusted_reserve() < self.connections_max.max(2)
                || inner.evict(need, EvictionPool::Others, None)
        };
        if !has_room {
            return None;
        }
        inner.last_id += 1;
        let id = inner.last_id;
        let evicted = Arc::new(Notify::new());
        let entry = ConnectionEntry {
            client,
            stream: stream.clone(),
            evicted: evicted.clone(),
            working: 0,
            blocked: false,
            queued: false,
            since: Instant::now(),
            moved: 0,
            bytes: 0,
        };
        inner.entries.insert(id, entry);
        inner.clients.entry(client).or_default().connections += 1;
        Some(ConnectionGuard {
            budget: self.clone(),
            id,
            client,
            evicted,
        })
    }

    /// Closes one connection, because descriptors have run out.
    pub(crate) fn evict_one(&self) {
        let mut inner = self.lock();
        let need = BudgetResource::Connections;
        let _ = inner.evict(need, EvictionPool::Others, None)
            || inner.evict(need, EvictionPool::Of(BudgetClient::Trusted), None);
    }
}

impl BudgetState {
    fn used(&self, client: BudgetClient, need: BudgetResource) -> usize {
        self.clients.get(&client).map_or(0, |usage| match need {
            BudgetResource::Connections => usage.connections,
            BudgetResource::Bytes => usage.bytes,
        })
    }

    /// Bytes held by all untrusted clients.
    fn others_bytes(&self) -> usize {
        let others = self
            .clients
            .iter()
            .filter(|(client, _)| !client.is_trusted());
        others.map(|(_, usage)| usage.bytes).sum()
    }

    /// Closes the slowest connection of a pool; among several clients, the slowest of the one that uses most. A
    /// connection with a response in progress is closed only if its client has disconnected or does not read, or if
    /// the work has not begun. Returns false if no connection can be closed.
    fn evict(&mut self, need: BudgetResource, pool: EvictionPool, but: Option<u64>) -> bool {
        let pooled = |(id, entry): &(&u64, &ConnectionEntry)| {
            let is_in = match pool {
                EvictionPool::Of(client) => entry.client == client,
                EvictionPool::Others => !entry.client.is_trusted(),
            };
            is_in && Some(**id) != but && (need == BudgetResource::Connections || entry.bytes > 0)
        };
        let slowest = self
            .entries
            .iter()
            .filter(pooled)
            .filter(|(_, entry)| entry.working == 0 || entry.blocked || entry.queued)
            .min_by_key(|(_, entry)| {
                (
                    std::cmp::Reverse(self.used(entry.client, need)),
                    entry.since,
                )
            });
        let gone = || {
            self.entries
                .iter()
                .filter(pooled)
                .find(|(_, entry)| entry.stream.peer_is_gone())
        };
        let Some(id) = slowest.or_else(gone).map(|(id, _)| *id) else {
            return false;
        };
        if let Some(entry) = self.remove(id) {
            entry.evicted.notify_one();
        }
        true
    }

    fn remove(&mut self, id: u64) -> Option<ConnectionEntry> {
        let entry = self.entries.remove(&id)?;
        if let Some(usage) = self.clients.get_mut(&entry.client) {
            usage.connections -= 1;
            usage.bytes -= entry.bytes;
            if usage.connections == 0 {
                self.clients.remove(&entry.client);
            }
        }
        Some(entry)
    }

    /// Makes room for `more` bytes of a connection by closing others. Returns false if that does not make enough
    /// room.
    fn reserve(&mut self, id: u64, more: usize) -> bool {
        let Some(client) = self.entries.get(&id).map(|entry| entry.client) else {
            // The connection is already closed.
            return false;
        };
        let need = BudgetResource::Bytes;
        if client.is_trusted() {
            while self.used(client, need) + more > TRUSTED_BYTES_MAX
                && self.evict(need, EvictionPool::Of(client), Some(id))
            {}
        } else {
            while self.used(client, need) + more > CLIENT_BYTES_MAX {
                if !self.evict(need, EvictionPool::Of(client), Some(id)) {
                    return false;
                }
            }
            while self.others_bytes() + more > OTHERS_BYTES_MAX {
                if !self.evict(need, EvictionPool::Others, Some(id)) {
                    return false;
                }
            }
        }
        if let (Some(entry), Some(usage)) =
            (self.entries.get_mut(&id), self.clients.get_mut(&client))
        {
            entry.bytes += more;
            usage.bytes += more;
        }
        true
    }

    fn release(&mut self, id: u64, bytes: usize) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.bytes -= bytes;
            if let Some(usage) = self.clients.get_mut(&entry.client) {
                usage.bytes -= bytes;
            }
        }
    }
}

impl ConnectionGuard {
    fn update_entry(&self, change: impl FnOnce(&mut ConnectionEntry)) {
        let mut inner = self.budget.lock();
        if let Some(entry) = inner.entries.get_mut(&self.id) {
            change(entry);
        }
    }

    /// Records that a request has arrived.
    pub(crate) fn request_started(&self) {
        self.update_entry(|entry| {
            entry.since = Instant::now();
            entry.moved = 0;
        });
    }

    /// Records that bytes were received or sent.
    pub(crate) fn count_moved(&self, bytes: usize) {
        self.update_entry(|entry| {
            entry.blocked = false;
            entry.moved += bytes;
            if entry.moved >= PROGRESS_BYTES {
                entry.moved = 0;
                entry.since = Instant::now();
            }
        });
    }

    /// Records that the client does not read what is written.
    pub(crate) fn mark_blocked(&self) {
        self.update_entry(|entry| {
            if !entry.blocked {
                entry.blocked = true;
                entry.since = Instant::now();
            }
        });
    }

    /// Reserves bytes of the budget. `None`: there is no room, or the connection is already closed.
    pub(crate) fn reserve_bytes(self: &Arc<Self>, bytes: usize) -> Option<ReservedBytes> {
        let mut held = ReservedBytes {
            place: self.clone(),
            bytes: 0,
        };
        held.grow_to(bytes).then_some(held)
    }

    /// Whether this many bytes would fit if every connection that may be closed for them were closed.
    pub(crate) fn could_reserve(&self, bytes: usize) -> bool {
        let inner = self.budget.lock();
        let is_fixed = |entry: &ConnectionEntry| entry.working > 0 && !entry.blocked;
        let others = inner
            .entries
            .iter()
            .filter(|(id, entry)| **id != self.id && is_fixed(entry) && !entry.client.is_trusted());
        let (mut own, mut all) = (0, 0);
        for (_, entry) in others {
            all += entry.bytes;
            if entry.client == self.client {
                own += entry.bytes;
            }
        }
        self.client.is_trusted()
            || (own + bytes <= CLIENT_BYTES_MAX && all + bytes <= OTHERS_BYTES_MAX)
    }

    /// Charges `bytes` to the budget until they are sent. `None`: there is no room.
    pub(crate) fn budget_bytes(
        self: &Arc<Self>,
        bytes: impl AsRef<[u8]> + Send + 'static,
    ) -> Option<Bytes> {
        let length = bytes.as_ref().len();
        match self.reserve_bytes(length) {
            Some(held) => Some(Bytes::from_owner(BudgetedBytes { bytes, _held: held })),
            None if length <= SMALL_BYTES => Some(Bytes::from_owner(bytes)),
            None => None,
        }
    }

    /// Waits for permission to render a large response. Trusted clients do not wait. `None`: no permission within
    /// [`LARGE_WITHIN`].
    pub(crate) async fn acquire_large(&self) -> Option<LargePermit> {
        if self.client.is_trusted() {
            return Some(None);
        }
        let own = {
            let mut inner = self.budget.lock();
            // The connection is already closed, so it need not wait.
            let usage = inner.clients.get_mut(&self.client)?;
            usage.large.upgrade().unwrap_or_else(|| {
                let own = Arc::new(tokio::sync::Mutex::new(()));
                usage.large = Arc::downgrade(&own);
                own
            })
        };
        let _queued = QueuedGuard::new(self);
        let turn = async {
            let own = own.lock_owned().await;
            let one = self.budget.large.clone().acquire_owned().await.ok()?;
            Some((own, one))
        };
        timeout(LARGE_WITHIN, turn).await.ok().flatten().map(Some)
    }
}

/// Marks the connection as queued while it exists.
struct QueuedGuard<'a>(&'a ConnectionGuard);

impl<'a> QueuedGuard<'a> {
    fn new(place: &'a ConnectionGuard) -> Self {
        place.update_entry(|entry| entry.queued = true);
        Self(place)
    }
}

impl Drop for QueuedGuard<'_> {
    fn drop(&mut self) {
        self.0.update_entry(|entry| entry.queued = false);
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.budget.lock().remove(self.id);
    }
}

impl ReservedBytes {
    /// Grows the reservation to `to` bytes in total. Returns false if there is no room.
    pub(crate) fn grow_to(&mut self, to: usize) -> bool {
        // A response longer than a client's whole share counts as the whole share.
        let to = match self.place.client.is_trusted() {
            true => to,
            false => to.min(CLIENT_BYTES_MAX),
        };
        let more = to.saturating_sub(self.bytes);
        let has_room = self.place.budget.lock().reserve(self.place.id, more);
        if has_room {
            self.bytes += more;
        }
        has_room
    }
}

impl Drop for ReservedBytes {
    fn drop(&mut self) {
        self.place.budget.lock().release(self.place.id, self.bytes);
    }
}

/// Bytes with their reservation.
struct BudgetedBytes<T> {
    bytes: T,
    _held: ReservedBytes,
}

impl<T: AsRef<[u8]>> AsRef<[u8]> for BudgetedBytes<T> {
    fn as_ref(&self) -> &[u8] {
        self.bytes.as_ref()
    }
}

/// Marks the connection as busy while a response is rendered or sent.
#[derive(Debug)]
pub(crate) struct BusyGuard(Arc<ConnectionGuard>);

impl BusyGuard {
    pub(crate) fn new(place: &Arc<ConnectionGuard>) -> Self {
        place.update_entry(|entry| entry.working += 1);
        Self(place.clone())
    }
}

impl Drop for BusyGuard {
    fn drop(&mut self) {
        self.0.update_entry(|entry| {
            entry.working -= 1;
            entry.since = Instant::now();
        });
    }
}

/// A quota of one resource (followed logs, connected pages) and its use by each client. The trusted client has a
/// second quota of the same size. One user gets at most half.
#[derive(Debug)]
pub(crate) struct ClientQuota {
    max: usize,
    used_by: Mutex<HashMap<BudgetClient, usize>>,
}

/// A permit of a [`ClientQuota`]. Dropping it returns the permit.
#[derive(Debug)]
pub(crate) struct QuotaPermit {
    quota: Arc<ClientQuota>,
    client: BudgetClient,
}

impl ClientQuota {
    pub(crate) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            max: most,
            used_by: Mutex::default(),
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<BudgetClient, usize>> {
        self.used_by.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Acquires a permit. `None`: this client's quota is exhausted.
    pub(crate) fn acquire(self: &Arc<Self>, client: BudgetClient) -> Option<QuotaPermit> {
        let mut taken = self.lock();
        let own = taken.get(&client).copied().unwrap_or(0);
        let trusted = taken.get(&BudgetClient::Trusted).copied().unwrap_or(0);
        let others = taken.values().sum::<usize>() - trusted;
        let has_room = match client {
            BudgetClient::Trusted => trusted < self.max,
            BudgetClient::User(_) => own < self.max.div_ceil(2) && others < self.max,
            BudgetClient::Address(_) => others < self.max,
        };
        if !has_room {
            return None;
        }
        *taken.entry(client).or_default() += 1;
        Some(QuotaPermit {
            quota: self.clone(),
            client,
        })
    }
}

impl Drop for QuotaPermit {
    fn drop(&mut self) {
        let mut taken = self.quota.lock();
        if let Some(count) = taken.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.client);
            }
        }
    }
}
