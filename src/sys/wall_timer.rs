//! A timer on the wall clock that also tells when the clock is set.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use super::timer;
use crate::domain::Wall;

/// A timer descriptor. It is readable from the time on to which it was last set, and when the wall clock was set.
///
/// # Source
/// timerfd_create(2), TFD_TIMER_CANCEL_ON_SET.
#[derive(Debug)]
pub struct WallTimer(OwnedFd);

/// Why a [`WallTimer`] was readable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WallEvent {
    /// Its time has come.
    Expired,
    /// The wall clock was set by a step. The timer must be set again.
    ClockSet,
    /// It was not readable.
    Nothing,
}

impl WallTimer {
    /// Creates a timer that is not set.
    ///
    /// # Errors
    /// EMFILE, ENOMEM.
    pub fn new() -> io::Result<Self> {
        timer::create(libc::CLOCK_REALTIME).map(Self)
    }

    /// Sets the timer, replacing the previous time. The time may be in the past. `None`: it only tells that the clock
    /// was set.
    pub fn set(&self, at: Option<Wall>) {
        // A time before the epoch is in the past too.
        let nanos = at.map_or(i64::MAX, |at| at.0).max(0).unsigned_abs();
        timer::set(&self.0, nanos, libc::TFD_TIMER_CANCEL_ON_SET);
    }

    /// Takes the reason why the timer is readable.
    pub fn take(&self) -> WallEvent {
        match nix::unistd::read(&self.0, &mut [0; 8]) {
            Ok(_) => WallEvent::Expired,
            Err(nix::errno::Errno::ECANCELED) => WallEvent::ClockSet,
            Err(_) => WallEvent::Nothing,
        }
    }
}

impl AsFd for WallTimer {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::sys::{Interest, Poller, now};

    #[test]
    fn a_wall_timer_is_readable_after_its_time() {
        let mut poller = Poller::new().expect("epoll");
        let timer = WallTimer::new().expect("timer");
        poller.add(&timer, 7, Interest::Read).expect("added");
        let mut count = |wait| poller.wait(Some(wait)).expect("waited").count();
        let (none, limit) = (Duration::ZERO, Duration::from_secs(20));
        timer.set(None);
        assert_eq!((count(none), timer.take()), (0, WallEvent::Nothing));
        timer.set(Some(Wall(now().wall.0 + 1_000_000_000_000)));
        assert_eq!(count(none), 0, "it has not expired");
        let soon = Wall(now().wall.0 + 5_000_000);
        // A new time replaces the first, and a time in the past expires at once.
        for at in [soon, Wall(0), Wall(-5)] {
            timer.set(Some(at));
            assert_eq!(count(limit), 1);
            assert!(now().wall >= at);
            assert_eq!(timer.take(), WallEvent::Expired);
            assert_eq!(count(none), 0, "it has told that");
        }
    }
}
