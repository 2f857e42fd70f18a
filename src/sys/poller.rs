//! Readiness: one epoll set with 64-bit tokens, and an eventfd to wake its owner from other threads.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};
use nix::sys::eventfd::{EfdFlags, EventFd};

/// What to wait for. Level-triggered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// Data to read, or the end of it.
    Read,
    /// Room to write.
    Write,
    /// Only errors and hang-ups.
    Hangup,
    /// A file of the kernel says something else than when it was read.
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

/// One ready descriptor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ready {
    /// As given to [`Poller::add`].
    pub token: u64,
    /// There is something to read, possibly the end.
    pub readable: bool,
    /// There is room to write.
    pub writable: bool,
    /// The other end is gone, or an error is pending.
    pub hangup: bool,
}

/// An epoll set. A descriptor must be removed before it is closed (a duplicate elsewhere would keep it in the set).
#[derive(Debug)]
pub struct Poller {
    epoll: Arc<Epoll>,
    events: Vec<EpollEvent>,
}

impl Poller {
    /// How many descriptors one [`Poller::wait`] reports at most.
    const BATCH: usize = 256;

    /// # Errors
    /// EMFILE, ENOMEM.
    pub fn new() -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        Ok(Self {
            epoll: Arc::new(epoll),
            events: vec![EpollEvent::empty(); Self::BATCH],
        })
    }

    /// The same set, to wait for from another thread.
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
    /// EPERM for plain files, EEXIST, ENOMEM, ENOSPC.
    pub fn add(&self, fd: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        Ok(self
            .epoll
            .add(fd, EpollEvent::new(interest.flags(), token))?)
    }

    /// Changes what is waited for.
    ///
    /// # Errors
    /// ENOENT if `fd` is not in the set.
    pub fn modify(&self, fd: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        Ok(self
            .epoll
            .modify(fd, &mut EpollEvent::new(interest.flags(), token))?)
    }

    /// Takes `fd` out of the set.
    ///
    /// # Errors
    /// ENOENT if `fd` is not in the set.
    pub fn remove(&self, fd: impl AsFd) -> io::Result<()> {
        Ok(self.epoll.delete(fd)?)
    }

    /// Waits until something is ready or `timeout` has passed (none: for ever), and reports it. A signal ends the wait
    /// early with an empty report. Rounds up to whole milliseconds, so that a deadline has passed when it returns.
    ///
    /// # Errors
    /// None that a correct caller can cause.
    pub fn wait(
        &mut self,
        timeout: Option<Duration>,
    ) -> io::Result<impl Iterator<Item = Ready> + '_> {
        let timeout = match timeout {
            None => EpollTimeout::NONE,
            Some(duration) => {
                let millis = duration.as_nanos().div_ceil(1_000_000).min(86_400_000);
                EpollTimeout::try_from(millis).unwrap_or(EpollTimeout::MAX)
            }
        };
        let count = match self.epoll.wait(&mut self.events, timeout) {
            Ok(count) => count,
            Err(nix::errno::Errno::EINTR) => 0,
            Err(error) => return Err(error.into()),
        };
        Ok(self.events[..count].iter().map(|event| {
            let flags = event.events();
            Ready {
                token: event.data(),
                readable: flags.contains(EpollFlags::EPOLLIN),
                writable: flags.contains(EpollFlags::EPOLLOUT),
                hangup: flags.intersects(EpollFlags::EPOLLHUP | EpollFlags::EPOLLERR),
            }
        }))
    }
}

/// Wakes the owner of a [`Poller`] from any thread. Clones share one eventfd.
#[derive(Debug, Clone)]
pub struct Waker(Arc<EventFd>);

impl Waker {
    /// A waker registered in `poller` under `token`.
    ///
    /// # Errors
    /// EMFILE, ENOMEM.
    pub fn new(poller: &Poller, token: u64) -> io::Result<Self> {
        let fd = EventFd::from_flags(EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        poller.add(&fd, token, Interest::Read)?;
        Ok(Self(Arc::new(fd)))
    }

    /// Makes the next (or current) wait return. Never blocks; many wakes before one wait are one.
    pub fn wake(&self) {
        // EAGAIN means that the counter is full, hence that the owner is about to wake anyway.
        let _ = self.0.write(1);
    }

    /// Forgets earlier wakes. The owner calls it before it looks at its queue.
    pub fn reset(&self) {
        let _ = self.0.read();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_waker_ends_the_wait_of_another_thread() {
        let mut poller = Poller::new().expect("epoll");
        let waker = Waker::new(&poller, 7).expect("eventfd");
        let other = waker.clone();
        let thread = std::thread::spawn(move || other.wake());
        let ready: Vec<_> = poller.wait(None).expect("wait").collect();
        thread.join().expect("joined");
        assert_eq!(
            ready,
            [Ready {
                token: 7,
                readable: true,
                writable: false,
                hangup: false
            }]
        );
        waker.reset();
        assert_eq!(poller.wait(Some(Duration::ZERO)).expect("wait").count(), 0);
    }
}
