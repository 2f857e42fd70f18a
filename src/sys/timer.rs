//! A timer that any thread may set, to wake the owner of a [`super::Poller`].
#![expect(
    unsafe_code,
    reason = "timerfd, which nix has with a feature that nothing else needs"
)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::domain::Tick;

/// Readable from the time on that it was set to last.
///
/// # Source
/// timerfd_create(2).
#[derive(Debug)]
pub struct Timer(OwnedFd);

impl Timer {
    /// One that is not set.
    ///
    /// # Errors
    /// EMFILE, ENOMEM.
    pub fn new() -> io::Result<Self> {
        let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
        // SAFETY: no memory is involved.
        let fd = unsafe { libc::timerfd_create(libc::CLOCK_MONOTONIC, flags) };
        if fd == -1 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: a new descriptor that nobody else knows.
        Ok(Self(unsafe { OwnedFd::from_raw_fd(fd) }))
    }

    /// Sets it to a time, which may have passed, in place of the one before.
    pub fn set(&self, at: Tick) {
        const SECOND: u64 = 1_000_000_000;
        // 0 would mean never.
        let nanos = at.0.max(1);
        // SAFETY: all fields are integers.
        let mut value: libc::itimerspec = unsafe { std::mem::zeroed() };
        value.it_value.tv_sec = libc::time_t::try_from(nanos / SECOND).unwrap_or(libc::time_t::MAX);
        // Less than a second, which fits.
        value.it_value.tv_nsec = libc::c_long::try_from(nanos % SECOND).unwrap_or(0);
        // SAFETY: the descriptor is open, the struct is live; the old value is not asked for. Cannot fail so.
        unsafe {
            libc::timerfd_settime(
                self.0.as_raw_fd(),
                libc::TFD_TIMER_ABSTIME,
                &raw const value,
                std::ptr::null_mut(),
            )
        };
    }

    /// Makes it unreadable until it expires the next time.
    pub fn reset(&self) {
        // EAGAIN: it has not expired.
        let _ = nix::unistd::read(&self.0, &mut [0; 8]);
    }
}

impl AsFd for Timer {
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
    fn a_timer_is_readable_from_its_time_on() {
        let mut poller = Poller::new().expect("epoll");
        let timer = Timer::new().expect("timer");
        poller.add(&timer, 7, Interest::Read).expect("added");
        let mut count = |wait| poller.wait(Some(wait)).expect("waited").count();
        let (none, limit) = (Duration::ZERO, Duration::from_secs(20));
        assert_eq!(count(none), 0, "it was not set");
        timer.set(now().mono.plus_millis(1_000_000));
        timer.reset();
        assert_eq!(count(none), 0, "it has not expired");
        // Another time takes the place of the first, and one that has passed is as good as now.
        for at in [now().mono.plus_millis(5), Tick(0)] {
            timer.set(at);
            assert_eq!(count(limit), 1);
            assert!(now().mono >= at);
            timer.reset();
            assert_eq!(count(none), 0, "it has told that");
        }
    }
}
