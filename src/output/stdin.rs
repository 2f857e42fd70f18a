//! Bytes on their way into a process's standard input.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use nix::unistd::write;

use crate::domain::Errno;
use crate::sys::place::errno;

/// Bytes that wait for one process at most; one message that finds the queue empty may be longer.
const QUEUE_BYTES_MAX: usize = 1 << 20;

/// Our end of a process's standard input.
#[derive(Debug)]
pub(super) struct Stdin {
    /// None: the process has closed it.
    pipe: Option<Arc<OwnedFd>>,
    queue: Vec<u8>,
}

impl Stdin {
    /// `pipe` must not block.
    pub(super) fn new(pipe: OwnedFd) -> Self {
        Self {
            pipe: Some(Arc::new(pipe)),
            queue: Vec::new(),
        }
    }

    /// The process has none.
    pub(super) fn closed() -> Self {
        Self {
            pipe: None,
            queue: Vec::new(),
        }
    }

    /// Queues `data` and writes what fits.
    ///
    /// # Errors
    /// EPIPE: the process has closed it. EAGAIN: the queue is full, and nothing of `data` was taken.
    pub(super) fn put(&mut self, data: Vec<u8>) -> Result<(), Errno> {
        // First what waits: there may be room by now, or nobody who reads it.
        self.flush()?;
        if !self.queue.is_empty() && self.queue.len().saturating_add(data.len()) > QUEUE_BYTES_MAX {
            return Err(errno(nix::errno::Errno::EAGAIN));
        }
        if self.queue.is_empty() {
            self.queue = data;
        } else {
            self.queue.extend_from_slice(&data);
        }
        self.flush()
    }

    /// Writes what fits.
    ///
    /// # Errors
    /// EPIPE: the process has closed it, and what waited is gone.
    pub(super) fn flush(&mut self) -> Result<(), Errno> {
        let Some(pipe) = &self.pipe else {
            return Err(errno(nix::errno::Errno::EPIPE));
        };
        let mut done = 0;
        let result = loop {
            if done == self.queue.len() {
                break Ok(());
            }
            match write(&**pipe, &self.queue[done..]) {
                Ok(count) => done += count,
                Err(nix::errno::Errno::EINTR) => {}
                Err(nix::errno::Errno::EAGAIN) => break Ok(()),
                Err(_) => break Err(errno(nix::errno::Errno::EPIPE)),
            }
        };
        if done == self.queue.len() || result.is_err() {
            // Also gives the room of a long message back.
            self.queue = Vec::new();
        } else {
            self.queue.drain(..done);
        }
        result
    }

    /// The end and what waits for room in it, for a successor.
    pub(super) fn into_parts(self) -> (Option<Arc<OwnedFd>>, Vec<u8>) {
        (self.pipe, self.queue)
    }

    /// The same with bytes that wait.
    pub(super) fn with_queue(self, queue: Vec<u8>) -> Self {
        Self { queue, ..self }
    }

    /// Bytes wait for room.
    pub(super) fn is_waiting(&self) -> bool {
        !self.queue.is_empty()
    }

    /// For waiting until there is room.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// The end itself, for the fd holder.
    pub(super) fn shared(&self) -> Option<Arc<OwnedFd>> {
        self.pipe.clone()
    }

    /// Closes it.
    pub(super) fn close(&mut self) {
        self.pipe = None;
        self.queue = Vec::new();
    }
}
