//! An epoll set with 64-bit tokens, and an eventfd with which other threads wake its owner.
#![expect(unsafe_code, reason = "epoll_pwait2, which nix does not wrap")]

use std::io;
use std::os::fd::{AsFd, AsRawFd as _};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};

/// The event to wait for. Level-triggered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Data or EOF to read.
    Read,
    /// Space to write.
    Write,
    /// Only errors and hang-ups.
    Hangup,
    /// A change of a kernel file since it was last read.
    Change,
}

impl Interest {
    fn flags(self) -> EpollFlags {
        match self {
            Self::Read => EpollFlags::EPOLLIN,
            Self::Write => EpollFlags::EPOLLOUT,
            Self::Hangup => EpollFlags::empty(),
            Self::Change => EpollFlags::EPOLLPRI,
        }
    }
}

/// A ready descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadyFd {
    /// The token passed to [`Poller::add`].
    pub token: u64,
    /// Data or EOF can be read.
    pub readable: bool,
    /// There is space to write.
    pub writable: bool,
    /// The other end is closed, or an error is pending.
    pub hangup: bool,
}

/// An epoll set. Remove a descriptor before closing it: if it has a duplicate, closing it leaves it in the set.
#[derive(Debug)]
pub struct Poller {
    epoll: Arc<Epoll>,
    events: Vec<EpollEvent>,
}

impl Poller {
    /// Maximum number of descriptors that one [`Poller::wait`] reports.
    const BATCH: usize = 256;

    /// Creates an empty set.
    ///
    /// # Errors
    /// EMFILE, ENOMEM.
    pub fn new() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Self {
            epoll: Arc::new(epoll),
            events: vec![EpollEvent::empty(); Self::BATCH],
        })
    }

    /// Returns another handle of the same set, for waiting in another thread.
    #[must_use]
    pub fn share(&self) -> Self {
        Self {
            epoll: self.epoll.clone(),
            events: vec![EpollEvent::empty(); Self::BATCH],
        }
    }

    /// Adds `fd` under `token`.
    ///
    /// # Errors
    /// EPERM for regular files, EEXIST, ENOMEM, ENOSPC.
    pub fn add(&self, fd: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        Ok(self
            .epoll
            .add(fd, EpollEvent::new(interest.flags(), token))?)
    }

    /// Changes the event to wait for.
    ///
    /// # Errors
    /// ENOENT: `fd` is not in the set.
    pub fn modify(&self, fd: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        Ok(self
            .epoll
            .modify(fd, &mut EpollEvent::new(interest.flags(), token))?)
    }

    /// Removes `fd` from the set.
    ///
    /// # Errors
    /// ENOENT: `fd` is not in the set.
    pub fn remove(&self, fd: impl AsFd) -> io::Result<()> {
        Ok(self.epoll.delete(fd)?)
    }

    /// Whether [`Poller::wait`] supports timeouts of less than a millisecond.
    #[must_use]
    pub fn is_precise() -> bool {
        static PRECISE: OnceLock<bool> = OnceLock::new();
        *PRECISE.get_or_init(|| {
            Self::new().is_ok_and(|mut poller| poller.wait_precisely(Duration::ZERO).is_ok())
        })
    }

    /// Waits until a descriptor is ready or `timeout` has passed, and returns the ready descriptors. `None`: no
    /// timeout. A signal ends the wait early with an empty result. Otherwise it never returns early: a timeout longer
    /// than a millisecond is rounded up to whole milliseconds, as is any timeout if [`Poller::is_precise`] is false.
    ///
    /// # Errors
    /// None that a correct caller can cause.
    pub fn wait(
        &mut self,
        timeout: Option<Duration>,
    ) -> io::Result<impl Iterator<Item = ReadyFd> + '_> {
        let precise = timeout.filter(|timeout| {
            !timeout.is_zero() && *timeout < Duration::from_millis(1) && Self::is_precise()
        });
        let result = match precise {
            Some(timeout) => self.wait_precisely(timeout),
            None => self.epoll.wait(&mut self.events, whole_millis(timeout)),
        };
        let count = match result {
            Ok(count) => count,
            Err(nix::errno::Errno::EINTR) => 0,
            Err(error) => return Err(error.into()),
        };
        Ok(self.events[..count].iter().map(|event| {
            let flags = event.events();
            ReadyFd {
                token: event.data(),
                readable: flags.contains(EpollFlags::EPOLLIN),
                writable: flags.contains(EpollFlags::EPOLLOUT),
                hangup: flags.intersects(EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR),
            }
        }))
    }

    /// Waits for at most `timeout`, which must be shorter than a second. Returns the number of ready descriptors.
    ///
    /// # Errors
    /// ENOSYS before Linux 5.11, EPERM if a seccomp filter does not know the call. EINTR.
    ///
    /// # Source
    /// epoll_wait(2), epoll_pwait2.
    fn wait_precisely(&mut self, timeout: Duration) -> nix::Result<usize> {
        /// `struct __kernel_timespec`. Both fields have 64 bits on every architecture.
        #[repr(C)]
        struct KernelTimespec {
            seconds: i64,
            nanos: i64,
        }
        let timeout = KernelTimespec {
            seconds: 0,
            nanos: i64::from(timeout.subsec_nanos()),
        };
        // SAFETY: the descriptor is open while `self` is borrowed. `EpollEvent` is a transparent wrapper of the kernel's
        // structure, and the array has as many of them as the call is told. The timeout is live, no signal mask is given.
        let count = unsafe {
            libc::syscall(
                libc::SYS_epoll_pwait2,
                self.epoll.0.as_raw_fd(),
                self.events.as_mut_ptr(),
                self.events.len(),
                &raw const timeout,
                std::ptr::null::<libc::sigset_t>(),
                0_usize,
            )
        };
        Ok(usize::try_from(nix::errno::Errno::result(count)?).unwrap_or(0))
    }
}

/// `timeout` for epoll_wait(2), rounded up. `None`: no timeout.
fn whole_millis(timeout: Option<Duration>) -> EpollTimeout {
    let Some(timeout) = timeout else {
        return EpollTimeout::NONE;
    };
    let millis = timeout.as_nanos().div_ceil(1_000_000).min(86_400_000);
    EpollTimeout::try_from(millis).unwrap_or(EpollTimeout::MAX)
}

/// Wakes the owner of a [`Poller`] from any thread. Clones share one eventfd.
#[derive(Debug, Clone)]
pub struct Waker(Arc<EventFd>);

impl Waker {
    /// Creates a waker and registers it in `poller` under `token`.
    ///
    /// # Errors
    /// EMFILE, ENOMEM.
    pub fn new(poller: &Poller, token: u64) -> io::Result<Self> {
        let fd = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        poller.add(&fd, token, Interest::Read)?;
        Ok(Self(Arc::new(fd)))
    }

    /// Makes the current or next wait return. Never blocks. Several wakes before a wait count as one.
    pub fn wake(&self) {
        // EAGAIN means that the counter is full, so the owner will wake anyway.
        let _ = self.0.write(1);
    }

    /// Clears earlier wakes. The owner calls it before it reads its queue.
    pub fn reset(&self) {
        let _ = self.0.read();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waker_wakes_another_thread() {
        let mut poller = Poller::new().expect("epoll");
        let waker = Waker::new(&poller, 7).expect("eventfd");
        let other = waker.clone();
        let thread = std::thread::spawn(move || other.wake());
        let ready: Vec<_> = poller.wait(None).expect("wait").collect();
        thread.join().expect("joined");
        assert_eq!(
            ready,
            [ReadyFd {
                token: 7,
                readable: true,
                writable: false,
                hangup: false
            }]
        );
        waker.reset();
        assert_eq!(poller.wait(Some(Duration::ZERO)).expect("wait").count(), 0);
    }

    #[test]
    fn no_wait_ends_before_its_timeout() {
        let mut poller = Poller::new().expect("epoll");
        for micros in [1, 150, 999, 1_000, 1_001] {
            let timeout = Duration::from_micros(micros);
            let began = std::time::Instant::now();
            assert_eq!(poller.wait(Some(timeout)).expect("wait").count(), 0);
            assert!(began.elapsed() >= timeout, "{micros} µs");
        }
    }

    #[test]
    fn a_short_wait_reports_ready_descriptors() {
        let mut poller = Poller::new().expect("epoll");
        let waker = Waker::new(&poller, 7).expect("eventfd");
        waker.wake();
        let tokens: Vec<_> = poller
            .wait(Some(Duration::from_micros(500)))
            .expect("wait")
            .map(|ready| ready.token)
            .collect();
        assert_eq!(tokens, [7]);
    }

    #[test]
    fn milliseconds_are_rounded_up() {
        let millis = |timeout| i32::from(whole_millis(timeout));
        assert_eq!(millis(None), -1);
        assert_eq!(millis(Some(Duration::ZERO)), 0);
        assert_eq!(millis(Some(Duration::from_nanos(1))), 1);
        assert_eq!(millis(Some(Duration::from_micros(1_001))), 2);
        assert_eq!(millis(Some(Duration::MAX)), 86_400_000);
    }
}
