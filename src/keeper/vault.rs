//! What the daemon's threads store with the fd holder while they work, by the names of heirlooms.
//!
//! The daemon has a copy of everything that is stored. When the fd holder ends, by whatever hand, another one is started and
//! is given all of it ([`Vault::replace`]); a fd holder that takes nothing any more is ended, which comes to the same. Until
//! then nothing but the survival of programs depends on it, so its failure changes nothing else.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::client::{Keeper, KeeperError};
use crate::domain::{Errno, Heirloom, Line};

/// How long a thread waits for a fd holder that is behind. It does nothing but take what it is given.
const ROOM_WAIT: Duration = Duration::from_millis(200);
/// How long the end waits until everything is stored.
const SETTLE_WAIT: Duration = Duration::from_secs(2);
/// How long a list of everything may take: thousands of descriptors take some hundredths of a second.
const LIST_WAIT: Duration = Duration::from_secs(10);

/// The fd holder as all threads share it.
#[derive(Debug)]
pub struct Vault {
    state: Mutex<State>,
    /// Something cannot be stored, and that was told.
    has_failed: AtomicBool,
}

#[derive(Debug)]
struct State {
    keeper: Arc<Keeper>,
    /// Copies of what was stored, by name.
    stored: BTreeMap<Box<str>, Box<[OwnedFd]>>,
    /// The fd holder has ended, or is about to; what is stored meanwhile is for the next one.
    is_lost: bool,
}

impl Vault {
    /// Of a fd holder that answers and has nothing yet.
    #[must_use]
    pub fn new(keeper: Keeper) -> Self {
        Self {
            state: Mutex::new(State {
                keeper: Arc::new(keeper),
                stored: BTreeMap::new(),
                is_lost: false,
            }),
            has_failed: AtomicBool::new(false),
        }
    }

    /// Of a fd holder that has what this daemon has stored before it replaced its own image.
    #[must_use]
    pub fn resumed(keeper: Keeper) -> Self {
        let listed = keeper.list(LIST_WAIT);
        let vault = Self::new(keeper);
        match listed {
            Ok(items) => {
                for (name, descriptors) in items {
                    vault.remember(&name, &descriptors);
                }
            }
            // What it has is not known, so another one could not be given it.
            Err(_) => vault.has_failed.store(true, Ordering::Relaxed),
        }
        vault
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing panics while it holds the lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what the fd holder has already under this name.
    pub fn remember(&self, name: &str, descriptors: &[OwnedFd]) {
        let descriptors: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
        // What cannot be copied is missing in the next fd holder only.
        let _ = self.state().copy(name, &descriptors);
    }

    /// Stores copies of these descriptors. They are safe when this returns. Answers what the log is to say, the first time
    /// that something cannot be stored.
    pub fn keep(&self, heirloom: Heirloom, descriptors: &[BorrowedFd<'_>]) -> Option<Line> {
        let name = heirloom.name();
        let mut state = self.state();
        let copied = state.copy(&name, descriptors);
        let stored = state.send(|keeper| keeper.put(&name, descriptors));
        drop(state);
        self.complain(copied.and(stored))
    }

    /// The copies are wanted no more.
    pub fn forget(&self, heirloom: Heirloom) -> Option<Line> {
        self.forget_named(&heirloom.name())
    }

    /// The same by a name that a predecessor has given.
    pub fn forget_named(&self, name: &str) -> Option<Line> {
        let mut state = self.state();
        state.stored.remove(name);
        let removed = state.send(|keeper| keeper.drop(name));
        drop(state);
        self.complain(removed)
    }

    /// Waits until everything is stored.
    pub fn settle(&self) -> Option<Line> {
        match self.client().barrier(SETTLE_WAIT) {
            Ok(_) => None,
            Err(KeeperError::Io(error)) => self.complain(Err(error)),
            Err(_) => self.complain(Err(io::ErrorKind::TimedOut.into())),
        }
    }

    /// Whether the fd holder has everything that it was given, and answers. May take as long as [`Self::settle`].
    #[must_use]
    pub fn is_sound(&self) -> bool {
        let client = self.client();
        // Somebody may have stopped it.
        client.resume();
        !self.has_failed.load(Ordering::Relaxed)
            && !self.state().is_lost
            && client.barrier(SETTLE_WAIT).is_ok()
    }

    /// Ends the fd holder, when no program is left.
    pub fn end(&self) {
        // If it is dead already, so much the better.
        let _ = self.client().quit();
    }

    /// The way to the fd holder there is now, which another image of the daemon inherits.
    #[must_use]
    pub fn client(&self) -> Arc<Keeper> {
        self.state().keeper.clone()
    }

    /// The fd holder has ended. What is stored from now on waits for the next one.
    pub fn lost(&self) {
        self.state().is_lost = true;
    }

    /// Goes on with another fd holder, which is given everything. Answers how many names that were.
    ///
    /// # Errors
    /// It does not take all of it either; the one before stays in its place, and is lost.
    pub fn replace(&self, keeper: Keeper) -> Result<usize, KeeperError> {
        let mut state = self.state();
        let before = std::mem::replace(&mut state.keeper, Arc::new(keeper));
        state.is_lost = false;
        let stored = std::mem::take(&mut state.stored);
        let all = stored.iter().try_for_each(|(name, descriptors)| {
            let descriptors: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
            state.send_now(|keeper| keeper.put(name, &descriptors))
        });
        state.stored = stored;
        let count = state.stored.len();
        let barrier = all
            .map_err(KeeperError::from)
            .and_then(|()| state.keeper.barrier(SETTLE_WAIT).map(drop));
        if let Err(error) = barrier {
            let failed = std::mem::replace(&mut state.keeper, before);
            state.is_lost = true;
            failed.kill();
            return Err(error);
        }
        self.has_failed.store(false, Ordering::Relaxed);
        Ok(count)
    }

    fn complain(&self, result: io::Result<()>) -> Option<Line> {
        let error = result.err()?;
        let is_first = !self.has_failed.swap(true, Ordering::Relaxed);
        is_first.then(|| Line::KeeperFailed {
            error: Errno::from(&error),
        })
    }
}

impl State {
    fn copy(&mut self, name: &str, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let copies: io::Result<Vec<OwnedFd>> = descriptors
            .iter()
            .map(BorrowedFd::try_clone_to_owned)
            .collect();
        self.stored.insert(name.into(), copies?.into());
        Ok(())
    }

    /// Sends something, unless the fd holder is lost. One that has ended, or takes nothing any more, is lost from then on,
    /// which is no error: whoever watches it starts another.
    fn send(&mut self, act: impl Fn(&Keeper) -> io::Result<()>) -> io::Result<()> {
        if self.is_lost {
            return Ok(());
        }
        match self.send_now(act) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.is_lost = true;
                // Its end is what is seen.
                self.keeper.kill();
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
    fn send_now(&self, act: impl Fn(&Keeper) -> io::Result<()>) -> io::Result<()> {
        let until = Instant::now() + ROOM_WAIT;
        loop {
            match act(&self.keeper) {
                Err(error)
                    if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < until =>
                {
                    // Somebody may have stopped it.
                    self.keeper.resume();
                    while matches!(self.keeper.told(), Ok(Some(_))) {}
                    let left = until.saturating_duration_since(Instant::now());
                    let left = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
                    let mut room = [PollFd::new(self.keeper.as_fd(), PollFlags::POLLOUT)];
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
