//! What the daemon's threads store with the fd holder while they work, by the names of FD names.
//!
//! Pipes and pidfd of one instance are stored under one name ([`FdName::of_instance`]): one message before there is a process, one
//! when there is, one when the instance has ended. The second replaces what the first has stored, so that no moment is without.
//!
//! The daemon has everything open that is stored, and shares the descriptors of instances with the threads that use them. When the fd holder ends, by whatever hand, another one is started and
//! is given all of it ([`FdStore::replace`]); an fd holder that takes nothing any more is ended, which comes to the same. Until
//! then nothing but the survival of programs depends on it, so its failure changes nothing else.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::client::{FdHolder, FdHolderError};
use crate::domain::{Errno, FdName, INSTANCE_LETTERS, InstanceId, Line};

/// How long a thread waits for an fd holder that is behind. It does nothing but take what it is given.
const ROOM_WAIT: Duration = Duration::from_millis(200);
/// How long the end waits until everything is stored.
const BARRIER_WAIT: Duration = Duration::from_secs(2);
/// How long a list of everything may take: thousands of descriptors take some hundredths of a second.
const LIST_WAIT: Duration = Duration::from_secs(10);

/// The fd holder as all threads share it.
#[derive(Debug)]
pub struct FdStore {
    state: Mutex<StoreState>,
    /// Something cannot be stored, and that was told.
    has_failed: AtomicBool,
}

#[derive(Debug)]
struct StoreState {
    holder: Arc<FdHolder>,
    /// Copies of what was stored, by name.
    stored: BTreeMap<Box<str>, Box<[OwnedFd]>>,
    /// What was stored of instances, by incarnation.
    instances: BTreeMap<u64, InstanceFds>,
    /// The fd holder has ended, or is about to; what is stored meanwhile is for the next one.
    is_lost: bool,
}

/// The place of the pidfd in [`INSTANCE_LETTERS`]; those before it are pipes.
const PIDFD_PLACE: usize = INSTANCE_LETTERS.len() - 1;

/// What is stored of one instance.
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

    /// The name under which they are to be stored.
    fn name(&self, incarnation: u64) -> Box<str> {
        let mut has = self.fds.each_ref().map(Option::is_some);
        // It comes later, under the same name.
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
    /// Of an fd holder that answers and has nothing yet.
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

    /// Of an fd holder that has what this daemon has stored before it replaced its own image.
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
            // What it has is not known, so another one could not be given it.
            Err(_) => fd_store.has_failed.store(true, Ordering::Relaxed),
        }
        fd_store
    }

    fn state(&self) -> MutexGuard<'_, StoreState> {
        // Nothing panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what the fd holder has already under this name.
    pub fn note_stored(&self, name: &str, descriptors: &[OwnedFd]) {
        let descriptors: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
        let mut state = self.state();
        // What cannot be copied is missing in the next fd holder only.
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

    /// Stores our ends of the pipes of an instance: to its standard input, from its standard output and from its standard error.
    /// As [`Self::store`]. Those that are stored already stay as they are: an instance has no other pipes later.
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

    /// Stores the pidfd of an instance beside its pipes. As [`Self::store`].
    pub fn store_pidfd(&self, instance: InstanceId, pidfd: &Arc<OwnedFd>) -> Option<Line> {
        let mut state = self.state();
        let stored = state.instances.entry(instance.incarnation).or_default();
        if stored.fds[PIDFD_PLACE].replace(Arc::clone(pidfd)).is_none() {
            // The fd holder has less than that under this name.
            let name = stored.name(instance.incarnation);
            stored.names.retain(|stored| *stored != name);
        }
        let result = state.store_instance(instance.incarnation);
        drop(state);
        self.failure_line(result)
    }

    /// The process of an instance has been reaped. Beside pipes its pidfd stays until they go: a message less, and a successor that
    /// finds it learns nothing but that the process has ended.
    pub fn remove_pidfd(&self, instance: InstanceId) -> Option<Line> {
        let state = self.state();
        let stored = state.instances.get(&instance.incarnation)?;
        if stored.has_pipes() {
            return None;
        }
        drop(state);
        self.remove_instance(instance.incarnation)
    }

    /// A instance has ended: pipes and pidfd are wanted no more.
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

    /// Stores copies of these descriptors. They are safe when this returns. Answers what the log is to say, the first time
    /// that something cannot be stored.
    pub fn store(&self, fd_name: FdName, descriptors: &[BorrowedFd<'_>]) -> Option<Line> {
        let name = fd_name.name();
        let mut state = self.state();
        let copied = state.copy(&name, descriptors);
        let stored = state.send(|holder| holder.store(&name, descriptors));
        drop(state);
        self.failure_line(copied.and(stored))
    }

    /// The copies are wanted no more.
    pub fn remove(&self, fd_name: FdName) -> Option<Line> {
        self.remove_named(&fd_name.name())
    }

    /// The same by a name that a predecessor has given. A pidfd is forgotten as by [`Self::remove_pidfd`], a pipe of an instance
    /// with the instance.
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

    /// Whether the fd holder has everything that it was given, and answers. May take as long as [`Self::barrier`].
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        let client = self.client();
        // Somebody may have stopped it.
        client.continue_process();
        !self.has_failed.load(Ordering::Relaxed)
            && !self.state().is_lost
            && client.barrier(BARRIER_WAIT).is_ok()
    }

    /// Ends the fd holder, when no program is left.
    pub fn quit(&self) {
        // If it is dead already, so much the better.
        let _ = self.client().quit();
    }

    /// The way to the fd holder there is now, which another image of the daemon inherits.
    #[must_use]
    pub fn client(&self) -> Arc<FdHolder> {
        self.state().holder.clone()
    }

    /// The fd holder has ended. What is stored from now on waits for the next one.
    pub fn mark_lost(&self) {
        self.state().is_lost = true;
    }

    /// Goes on with another fd holder, which is given everything. Answers how many names that were.
    ///
    /// # Errors
    /// It does not take all of it either; the one before stays in its place, and is lost.
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

    /// Stores what there is of an instance, unless the fd holder has it already; then drops what it has under other names.
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
            // Only what is stored again may go.
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

    /// Sends something, unless the fd holder is lost. One that has ended, or takes nothing any more, is lost from then on,
    /// which is no error: whoever watches it starts another.
    fn send(&mut self, act: impl Fn(&FdHolder) -> io::Result<()>) -> io::Result<()> {
        if self.is_lost {
            return Ok(());
        }
        match self.send_now(act) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.is_lost = true;
                // Its end is what is seen.
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

    /// Tries again while the fd holder is behind, and takes out of the way what it tells.
    fn send_now(&self, act: impl Fn(&FdHolder) -> io::Result<()>) -> io::Result<()> {
        let until = Instant::now() + ROOM_WAIT;
        loop {
            match act(&self.holder) {
                Err(error)
                    if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < until =>
                {
                    // Somebody may have stopped it.
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
