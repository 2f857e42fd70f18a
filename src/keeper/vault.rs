//! What the daemon's threads put into the keeper while they work, by the names of heirlooms. A keeper that fails costs
//! nothing but the survival of programs, so its failure is told once and changes nothing else.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::client::{Keeper, KeeperError};
use crate::domain::{Errno, Heirloom, Line};

/// How long a thread waits for a keeper that is behind. It does nothing but take what it is given.
const ROOM_WAIT: Duration = Duration::from_millis(200);
/// How long the end waits until everything is kept.
const SETTLE_WAIT: Duration = Duration::from_secs(2);

/// The keeper as all threads share it.
#[derive(Debug)]
pub struct Vault {
    keeper: Keeper,
    /// It has failed, and that was told.
    has_failed: AtomicBool,
}

impl Vault {
    /// Of a keeper that answers.
    #[must_use]
    pub const fn new(keeper: Keeper) -> Self {
        Self {
            keeper,
            has_failed: AtomicBool::new(false),
        }
    }

    /// Keeps copies of these descriptors. They are safe when this returns. Answers what the log is to say, the first time
    /// that something cannot be kept.
    pub fn keep(&self, heirloom: Heirloom, descriptors: &[BorrowedFd<'_>]) -> Option<Line> {
        let name = heirloom.name();
        self.complain(self.patiently(|| self.keeper.put(&name, descriptors)))
    }

    /// The copies are wanted no more.
    pub fn forget(&self, heirloom: Heirloom) -> Option<Line> {
        self.forget_named(&heirloom.name())
    }

    /// The same by a name that a predecessor has given.
    pub fn forget_named(&self, name: &str) -> Option<Line> {
        self.complain(self.patiently(|| self.keeper.drop(name)))
    }

    /// Waits until everything is kept.
    pub fn settle(&self) -> Option<Line> {
        match self.keeper.barrier(SETTLE_WAIT) {
            Ok(_) => None,
            Err(KeeperError::Io(error)) => self.complain(Err(error)),
            Err(_) => self.complain(Err(io::ErrorKind::TimedOut.into())),
        }
    }

    /// Whether it has kept everything that it was given, and answers. May take as long as [`Self::settle`].
    #[must_use]
    pub fn is_sound(&self) -> bool {
        !self.has_failed.load(Ordering::Relaxed) && self.keeper.barrier(SETTLE_WAIT).is_ok()
    }

    /// Ends the keeper, when no program is left.
    pub fn end(&self) {
        // If it is dead already, so much the better.
        let _ = self.keeper.quit();
    }

    /// To be inherited by another image of the daemon.
    #[must_use]
    pub fn fd(&self) -> BorrowedFd<'_> {
        self.keeper.as_fd()
    }

    /// Tries again while the keeper is behind, and takes out of the way what it tells.
    fn patiently(&self, act: impl Fn() -> io::Result<()>) -> io::Result<()> {
        let until = Instant::now() + ROOM_WAIT;
        loop {
            match act() {
                Err(error)
                    if error.kind() == io::ErrorKind::WouldBlock && Instant::now() < until =>
                {
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

    fn complain(&self, result: io::Result<()>) -> Option<Line> {
        let error = result.err()?;
        let is_first = !self.has_failed.swap(true, Ordering::Relaxed);
        is_first.then(|| Line::KeeperFailed {
            error: Errno::from(&error),
        })
    }
}
