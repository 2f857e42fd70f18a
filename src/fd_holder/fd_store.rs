//! The descriptors that the daemon's threads store with the fd holder while they work, by [`FdName`].
//!
//! Pipes and pidfd of one instance are stored under one name ([`FdName::of_instance`]): one message before there is a
//! process, one when there is, one when the instance has ended. The second replaces what the first has stored, so the
//! descriptors are stored at every moment.
//!
//! The daemon itself has everything open that is stored; descriptors of instances are shared with the threads that use
//! them. When the fd holder exits for any reason, another one is started and gets all descriptors
//! ([`FdStore::replace`]). An fd holder that accepts nothing any more is killed, with the same result. Meanwhile only
//! the survival of programs depends on it, so its failure has no other effect.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::client::{FdHolder, FdHolderError};
use crate::domain::{Errno, FdName, INSTANCE_LETTERS, InstanceId, Line};

/// How long a thread waits for a full socket. The fd holder does nothing but receive.
const ROOM_WAIT: Duration = Duration::from_millis(200);
/// How long the end waits until everything is stored.
const BARRIER_WAIT: Duration = Duration::from_secs(2);
/// How long a full list may take: thousands of descriptors take some hundredths of a second.
const LIST_WAIT: Duration = Duration::from_secs(10);

/// The fd holder, shared by all threads.
#[derive(Debug)]
pub struct FdStore {
    state: Mutex<StoreState>,
    /// Whether a failure to store was logged.
    has_failed: AtomicBool,
}

#[derive(Debug)]
struct StoreState {
    holder: Arc<FdHolder>,
    /// Copies of the stored descriptors by name, without those of instances.
    stored: BTreeMap<Box<str>, Box<[OwnedFd]>>,
    /// The stored descriptors of instances by incarnation.
    instances: BTreeMap<u64, InstanceFds>,
    /// Whether the fd holder has exited or was killed. Until it is replaced, descriptors are kept for the next one.
    is_lost: bool,
}

/// The index of the pidfd in [`INSTANCE_LETTERS`]; those before it are pipes.
const PIDFD_PLACE: usize = INSTANCE_LETTERS.len() - 1;

/// The stored descriptors of one instance.
#[derive(Debug, Default)]
struct InstanceFds {
    /// In the order of [`INSTANCE_LETTERS`].
    fds: [Option<Arc<OwnedFd>>; INSTANCE_LETTERS.len()],
    /// The names under which the fd holder has them: one, unless a daemon of another version stored them.
    names: Vec<Box<str>>,
}

impl InstanceFds {
    fn has_pipes(&self) -> bool {
        self.fds[..PIDFD_PLACE].iter().any(Option::is_some)
    }

    /// The name under which they should be stored.
    fn name(&self, incarnation: u64) -> Box<str> {
        let mut has = self.fds.each_ref().map(Option::is_some);
        // The pidfd follows later under the same name.
        has[PIDFD_PLACE] = true;
        let instance = InstanceId {
            slot: 0,
            incarnation,
        };
        FdName::of_instance(instance, has).into()
    }

    fn borrowed(&self) -> Vec<BorrowedFd<'_>> {
        self.fds.iter().flatten().map(|fd| fd.as_fd()).collect()
    }
}

impl FdStore {
    /// A store with a new, empty fd holder.
    #[must_use]
    pub fn new(holder: FdHolder) -> Self {
        Self {
            state: Mutex::new(StoreState {
                holder: Arc::new(holder),
                stored: BTreeMap::new(),
                instances: BTreeMap::new(),
                is_lost: false,
            }),
            has_failed: AtomicBool::new(false),
        }
    }

    /// A store with an fd holder that has the descriptors of this daemon's previous image.
    #[must_use]
    pub fn from_running(holder: FdHolder) -> Self {
        let listed = holder.list(LIST_WAIT);
        let fd_store = Self::new(holder);
        match listed {
            Ok(items) => {
                for (name, descriptors) in items {
                    fd_store.note_stored(&name, &descriptors);
                }
            }
            // Its content is unknown, so it could not be copied to another fd holder.
            Err(_) => fd_store.has_failed.store(true, Ordering::Relaxed),
        }
        fd_store
    }

    fn state(&self) -> MutexGuard<'_, StoreState> {
        // No code panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records descriptors that the fd holder already has under this name.
    pub fn note_stored(&self, name: &str, descriptors: &[OwnedFd]) {
        let descriptors: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
        let mut state = self.state();
        // A descriptor that cannot be duplicated is only missing in a later fd holder.
        match FdName::places_in(name) {
            None => drop(state.copy(name, &descriptors)),
            Some((places, incarnation)) => {
                let instance = state.instances.entry(incarnation).or_default();
                instance.names.push(name.into());
                for (place, fd) in places.into_iter().zip(descriptors) {
                    instance.fds[place] = fd.try_clone_to_owned().ok().map(Arc::new);
                }
            }
        }
    }

    /// Stores the daemon's ends of an instance's pipes: standard input, standard output and standard error. Like
    /// [`Self::store`]. Pipes that are stored already stay, because an instance gets no other pipes later.
    pub fn store_pipes(
        &self,
        instance: InstanceId,
        pipes: [Option<Arc<OwnedFd>>; 3],
    ) -> Option<Line> {
        let mut state = self.state();
        let stored = state.instances.entry(instance.incarnation).or_default();
        for (place, pipe) in pipes.into_iter().enumerate() {
            stored.fds[place] = pipe.or_else(|| stored.fds[place].take());
        }
        let result = state.store_instance(instance.incarnation);
        drop(state);
        self.failure_line(result)
    }

    /// Stores the pidfd of an instance beside its pipes. Like [`Self::store`].
    pub fn store_pidfd(&self, instance: InstanceId, pidfd: &Arc<OwnedFd>) -> Option<Line> {
        let mut state = self.state();
        let stored = state.instances.entry(instance.incarnation).or_default();
        if stored.fds[PIDFD_PLACE].replace(Arc::clone(pidfd)).is_none() {
            // Forget this name, so that the set is sent again with the pidfd.
            let name = stored.name(instance.incarnation);
            stored.names.retain(|stored| *stored != name);
        }
        let result = state.store_instance(instance.incarnation);
        drop(state);
        self.failure_line(result)
    }

    /// The process of an instance was reaped. If pipes are stored, the pidfd stays until they are removed: that saves a
    /// message, and a daemon that finds the pidfd only learns that the process has exited.
    pub fn remove_pidfd(&self, instance: InstanceId) -> Option<Line> {
        let state = self.state();
        let stored = state.instances.get(&instance.incarnation)?;
        if stored.has_pipes() {
            return None;
        }
        drop(state);
        self.remove_instance(instance.incarnation)
    }

    /// An instance has ended: removes its pipes and pidfd.
    pub fn remove_instance(&self, incarnation: u64) -> Option<Line> {
        let mut state = self.state();
        let stored = state.instances.remove(&incarnation)?;
        let mut removed = Ok(());
        for name in stored.names {
            removed = removed.and(state.send(|holder| holder.remove(&name)));
        }
        drop(state);
        self.failure_line(removed)
    }

    /// Stores copies of these descriptors. They are safe when this returns. Returns a line for the log at the first
    /// failure.
    pub fn store(&self, fd_name: FdName, descriptors: &[BorrowedFd<'_>]) -> Option<Line> {
        let name = fd_name.name();
        let mut state = self.state();
        let copied = state.copy(&name, descriptors);
        let stored = state.send(|holder| holder.store(&name, descriptors));
        drop(state);
        self.failure_line(copied.and(stored))
    }

    /// Removes the copies of this name.
    pub fn remove(&self, fd_name: FdName) -> Option<Line> {
        self.remove_named(&fd_name.name())
    }

    /// Removes a name that a previous daemon stored. A pidfd is removed like by [`Self::remove_pidfd`], a pipe of an
    /// instance with the whole instance.
    pub fn remove_named(&self, name: &str) -> Option<Line> {
        if let Some((places, incarnation)) = FdName::places_in(name) {
            if places != [PIDFD_PLACE] {
                return self.remove_instance(incarnation);
            }
            let slot = 0;
            return self.remove_pidfd(InstanceId { slot, incarnation });
        }
        let mut state = self.state();
        state.stored.remove(name);
        let removed = state.send(|holder| holder.remove(name));
        drop(state);
        self.failure_line(removed)
    }

    /// Waits until everything is stored.
    pub fn barrier(&self) -> Option<Line> {
        match self.client().barrier(BARRIER_WAIT) {
            Ok(_) => None,
            Err(FdHolderError::Io(error)) => self.failure_line(Err(error)),
            Err(_) => self.failure_line(Err(io::ErrorKind::TimedOut.into())),
        }
    }

    /// Whether the fd holder has everything and answers. May take as long as [`Self::barrier`].
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        let client = self.client();
        // It may have been stopped.
        client.continue_process();
        !self.has_failed.load(Ordering::Relaxed)
            && !self.state().is_lost
            && client.barrier(BARRIER_WAIT).is_ok()
    }

    /// Ends the fd holder, when no program is left.
    pub fn quit(&self) {
        // If it is dead already, that is fine.
        let _ = self.client().quit();
    }

    /// The present fd holder, which the next image of the daemon inherits.
    #[must_use]
    pub fn client(&self) -> Arc<FdHolder> {
        self.state().holder.clone()
    }

    /// Records that the fd holder has exited. Descriptors are kept for the next one.
    pub fn mark_lost(&self) {
        self.state().is_lost = true;
    }

    /// Replaces the fd holder and stores everything in the new one. Returns the number of names.
    ///
    /// # Errors
    /// The new one does not accept everything. The previous one stays, marked as lost.
    pub fn replace(&self, holder: FdHolder) -> Result<usize, FdHolderError> {
        let mut state = self.state();
        let before = std::mem::replace(&mut state.holder, Arc::new(holder));
        state.is_lost = false;
        let stored = std::mem::take(&mut state.stored);
        let mut instances = std::mem::take(&mut state.instances);
        let all = stored.iter().try_for_each(|(name, descriptors)| {
            let descriptors: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
            state.send_now(|holder| holder.store(name, &descriptors))
        });
        let all = all.and_then(|()| {
            instances
                .iter_mut()
                .try_for_each(|(&incarnation, instance)| {
                    let name = instance.name(incarnation);
                    let stored = state.send_now(|holder| holder.store(&name, &instance.borrowed()));
                    instance.names = vec![name];
                    stored
                })
        });
        state.stored = stored;
        state.instances = instances;
        let count = state.stored.len() + state.instances.len();
        let barrier = all
            .map_err(FdHolderError::from)
            .and_then(|()| state.holder.barrier(BARRIER_WAIT).map(drop));
        if let Err(error) = barrier {
            let failed = std::mem::replace(&mut state.holder, before);
            state.is_lost = true;
            failed.kill();
            return Err(error);
        }
        self.has_failed.store(false, Ordering::Relaxed);
        Ok(count)
    }

    fn failure_line(&self, result: io::Result<()>) -> Option<Line> {
        let error = result.err()?;
        let is_first = !self.has_failed.swap(true, Ordering::Relaxed);
        is_first.then(|| Line::KeeperFailed {
            error: Errno::from(&error),
        })
    }
}

impl StoreState {
    fn copy(&mut self, name: &str, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let copies: io::Result<Vec<OwnedFd>> = descriptors
            .iter()
            .map(BorrowedFd::try_clone_to_owned)
            .collect();
        self.stored.insert(name.into(), copies?.into());
        Ok(())
    }

    /// Stores the descriptors of an instance, unless the fd holder already has them, then removes their other names.
    fn store_instance(&mut self, incarnation: u64) -> io::Result<()> {
        let Some(instance) = self.instances.remove(&incarnation) else {
            return Ok(());
        };
        let name = instance.name(incarnation);
        let is_stored = instance.names.contains(&name);
        let result = if is_stored {
            Ok(())
        } else {
            self.send(|holder| holder.store(&name, &instance.borrowed()))
        };
        let mut names = vec![name];
        for other in instance.names {
            // Remove other names only after the descriptors are stored again.
            if other != names[0]
                && (result.is_err() || self.send(|holder| holder.remove(&other)).is_err())
            {
                names.push(other);
            }
        }
        let fds = instance.fds;
        self.instances
            .insert(incarnation, InstanceFds { fds, names });
        result
    }

    /// Sends a request, unless the fd holder is lost. One that has exited or accepts nothing any more becomes lost,
    /// which is no error: the engine watches it and starts another.
    fn send(&mut self, act: impl Fn(&FdHolder) -> io::Result<()>) -> io::Result<()> {
        if self.is_lost {
            return Ok(());
        }
        match self.send_now(act) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.is_lost = true;
                // The engine notices its exit.
                self.holder.kill();
                Ok(())
            }
            Err(error) if is_gone(&error) => {
                self.is_lost = true;
                Ok(())
            }
            result => result,
        }
    }

    /// Retries while the socket is full, and reads the events of the fd holder.
    fn send_now(&self, act: impl Fn(&FdHolder) -> io::Result<()>) -> io::Result<()> {
        let until = Instant::now() + ROOM_WAIT;
        loop {
            match act(&self.holder) {
                Err(error)
                    if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < until =>
                {
                    // It may have been stopped.
                    self.holder.continue_process();
                    while matches!(self.holder.next_event(), Ok(Some(_))) {}
                    let left = until.saturating_duration_since(Instant::now());
                    let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
                    let mut room = [PollFd::new(self.holder.as_fd(), PollFlags::POLLOUT)];
                    let _ = poll(&mut room, left);
                }
                result => return result,
            }
        }
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::NotConnected
    )
}
