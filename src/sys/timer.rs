//! A timer that any thread can set, to wake the owner of a [`super::Poller`].
#![expect(
    unsafe_code,
    reason = "timerfd, which nix has with a feature that nothing else needs"
)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use crate::domain::Tick;

/// A timer descriptor. It is readable from the time on to which it was last set.
///
/// # Source
/// timerfd_create(2).
#[derive(Debug)]
pub struct Timer(OwnedFd);

impl Timer {
    /// Creates a timer that is not set.
    ///
    /// # Errors
    /// EMFILE, ENOMEM.
    pub fn new() -> io::Result<Self> {
        create(libc::CLOCK_MONOTONIC).map(Self)
    }

    /// Sets the timer, replacing the previous time. The time may be in the past.
    pub fn set(&self, at: Tick) {
        set(&self.0, at.0, 0);
    }

    /// Makes the timer unreadable until it expires again.
    pub fn reset(&self) {
        // EAGAIN: it has not expired.
        let _ = nix::unistd::read(&self.0, &mut [0; 8]);
    }
}

/// Creates a timer descriptor on a clock.
///
/// # Errors
/// EMFILE, ENOMEM.
pub(super) fn create(clock: libc::clockid_t) -> io::Result<OwnedFd> {
    let flags = libc::TFD_CLOEXEC | libc::TFD_NONBLOCK;
    // SAFETY: no memory is involved.
    let fd = unsafe { libc::timerfd_create(clock, flags) };
    if fd == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: a new descriptor that no other code knows.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sets a timer descriptor to a time on its clock, in nanoseconds. `flags` are added to TFD_TIMER_ABSTIME.
pub(super) fn set(timer: &OwnedFd, nanos: u64, flags: libc::c_int) {
    const SECOND: u64 = 1_000_000_000;
    // 0 would disarm the timer.
    let nanos = nanos.max(1);
    // SAFETY: all fields are integers.
    let mut value: libc::itimerspec = unsafe { std::mem::zeroed() };
    value.it_value.tv_sec = libc::time_t::try_from(nanos / SECOND).unwrap_or(libc::time_t::MAX);
    // Less than a second, so it fits.
    value.it_value.tv_nsec = libc::c_long::try_from(nanos % SECOND).unwrap_or(0);
    // SAFETY: the descriptor is open and the struct is live; the old value is not requested. The call cannot fail then.
    unsafe {
        libc::timerfd_settime(
            timer.as_raw_fd(),
            libc::TFD_TIMER_ABSTIME | flags,
            &raw const value,
            std::ptr::null_mut(),
        )
    };
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
    fn a_timer_is_readable_after_its_time() {
        let mut poller = Poller::new().expect("epoll");
        let timer = Timer::new().expect("timer");
        poller.add(&timer, 7, Interest::Read).expect("added");
        let mut count = |wait| poller.wait(Some(wait)).expect("waited").count();
        let (none, limit) = (Duration::ZERO, Duration::from_secs(20));
        assert_eq!(count(none), 0, "it was not set");
        timer.set(now().mono.plus_millis(1_000_000));
        timer.reset();
        assert_eq!(count(none), 0, "it has not expired");
        // A new time replaces the first, and a time in the past expires at once.
        for at in [now().mono.plus_millis(5), Tick(0)] {
            timer.set(at);
            assert_eq!(count(limit), 1);
            assert!(now().mono >= at);
            timer.reset();
            assert_eq!(count(none), 0, "it has told that");
        }
    }
}
