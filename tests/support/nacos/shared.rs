//! The state that the connections of one stub share.

use std::collections::{BTreeMap, VecDeque};
use std::net::{Shutdown, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::http::StubRequest;
use super::settings::{Fault, NacosSettings};
use super::store::{ItemKey, Store};

/// An item that a waiting listener watches.
#[derive(Debug, Clone)]
pub(super) struct Watched {
    pub(super) key: ItemKey,
    /// The MD5 of the text that the client has, empty if it has none.
    pub(super) md5: String,
}

/// A waiting listener.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) id: u64,
    pub(super) host: String,
    pub(super) watched: Vec<Watched>,
}

/// A fault for some of the next requests.
#[derive(Debug)]
pub(super) struct PlannedFault {
    /// Only for paths that contain this text.
    pub(super) path: String,
    /// How many more requests.
    pub(super) left: usize,
    pub(super) fault: Fault,
}

/// The state behind the lock.
#[derive(Debug)]
pub(super) struct State {
    pub(super) settings: NacosSettings,
    pub(super) store: Store,
    /// The valid tokens and their ends.
    pub(super) tokens: BTreeMap<String, Instant>,
    pub(super) requests: Vec<StubRequest>,
    /// How many requests the record has lost by being cleared.
    pub(super) cleared_requests: usize,
    pub(super) faults: VecDeque<PlannedFault>,
    pub(super) waiting: Vec<Waiting>,
    /// Host → MD5 of listeners that do not exist, by item.
    pub(super) other_listeners: BTreeMap<ItemKey, BTreeMap<String, String>>,
    pub(super) is_ready: bool,
    /// Which run of the server this is. A connection of an earlier run ends.
    pub(super) run: u64,
    pub(super) is_running: bool,
    pub(super) connections: BTreeMap<u64, Arc<TcpStream>>,
    /// The last number of a connection, a listener or a token.
    pub(super) last_number: u64,
}

impl State {
    pub(super) fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }

    /// The fault for a request to this path.
    fn take_fault(&mut self, path: &str) -> Option<Fault> {
        let mut faults = self.faults.iter_mut();
        let planned = faults.find(|planned| planned.left > 0 && path.contains(&planned.path))?;
        planned.left -= 1;
        let fault = planned.fault.clone();
        self.faults.retain(|planned| planned.left > 0);
        Some(fault)
    }
}

/// The state and the news of its changes.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

impl Shared {
    pub(super) fn new(settings: NacosSettings) -> Self {
        let state = State {
            settings,
            store: Store::default(),
            tokens: BTreeMap::new(),
            requests: Vec::new(),
            cleared_requests: 0,
            faults: VecDeque::new(),
            waiting: Vec::new(),
            other_listeners: BTreeMap::new(),
            is_ready: true,
            run: 0,
            is_running: false,
            connections: BTreeMap::new(),
            last_number: 0,
        };
        Self {
            state: Mutex::new(state),
            changed: Condvar::new(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the state and wakes everybody who waits.
    pub(super) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        let result = change(&mut self.lock());
        self.changed.notify_all();
        result
    }

    /// Records a request. Returns its number and its fault.
    pub(super) fn record(&self, request: &StubRequest) -> (usize, Option<Fault>) {
        self.change(|state| {
            let number = state.cleared_requests + state.requests.len();
            state.requests.push(request.clone());
            (number, state.take_fault(&request.path))
        })
    }

    /// Records the status of an answer, unless the request was cleared meanwhile.
    pub(super) fn record_status(&self, number: usize, status: u16) {
        self.change(|state| {
            let place = number.checked_sub(state.cleared_requests);
            if let Some(request) = place.and_then(|place| state.requests.get_mut(place)) {
                request.status = Some(status);
            }
        });
    }

    /// Waits for this long. False: the run ended before.
    pub(super) fn pause(&self, run: u64, pause: Duration) -> bool {
        let end = Instant::now() + pause;
        let mut state = self.lock();
        while state.is_running && state.run == run {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        false
    }

    /// Waits until one of the items differs from what the client has. Returns the places of those that do, none if the time
    /// is over. `None`: the run ended before.
    pub(super) fn wait_for_change(
        &self,
        run: u64,
        host: &str,
        watched: &[Watched],
        hold: Duration,
    ) -> Option<Vec<usize>> {
        let end = Instant::now() + hold;
        let mut state = self.lock();
        let id = state.next_number();
        let store = &state.store;
        let before: Vec<u64> = watched.iter().map(|one| store.revision(&one.key)).collect();
        state.waiting.push(Waiting {
            id,
            host: host.to_owned(),
            watched: watched.to_vec(),
        });
        let result = loop {
            if !state.is_running || state.run != run {
                break None;
            }
            let store = &state.store;
            let differs = |place: &usize| {
                let one: &Watched = &watched[*place];
                store.md5(&one.key) != one.md5 || store.revision(&one.key) != before[*place]
            };
            let changed: Vec<usize> = (0..watched.len()).filter(differs).collect();
            let left = end.saturating_duration_since(Instant::now());
            if !changed.is_empty() || left.is_zero() {
                break Some(changed);
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        };
        state.waiting.retain(|waiting| waiting.id != id);
        result
    }

    /// Ends the run and its connections.
    pub(super) fn end_run(&self) {
        self.change(|state| {
            state.is_running = false;
            for stream in state.connections.values() {
                drop(stream.shutdown(Shutdown::Both));
            }
        });
    }
}
