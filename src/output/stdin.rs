//! Bytes on their way into a process's standard input.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use nix::unistd::write;

use crate::domain::Errno;
use crate::sys::safe_open::errno;

/// Bytes that wait for one process at most; one message that finds the queue empty may be longer.
const QUEUE_BYTES_MAX: usize = 1 << 20;

/// Our end of a process's standard input.
#[derive(Debug)]
pub(super) struct Stdin {
    /// None: the process has closed it.
    pipe: Option<Arc<OwnedFd>>,
    /// What waits for room, behind bytes that were written. They are not removed each time: one event may be as long as
    /// a thousand pipes hold, and each removal moves all that is left.
    queue: Vec<u8>,
    /// How many bytes of `queue` were written.
    written: usize,
}

impl Stdin {
    /// `pipe` must not block.
    pub(super) fn new(pipe: OwnedFd) -> Self {
        Self {
            pipe: Some(Arc::new(pipe)),
            queue: Vec::new(),
            written: 0,
        }
    }

    /// The process has none.
    pub(super) fn closed() -> Self {
        Self {
            pipe: None,
            queue: Vec::new(),
            written: 0,
        }
    }

    /// Queues `data` and writes what fits.
    ///
    /// # Errors
    /// EPIPE: the process has closed it. EAGAIN: the queue is full, and nothing of `data` was taken.
    pub(super) fn queue(&mut self, data: Vec<u8>) -> Result<(), Errno> {
        // First what waits: there may be room by now, or nobody who reads it.
        self.flush()?;
        let waiting = self.queue.len() - self.written;
        if waiting > 0 && waiting.saturating_add(data.len()) > QUEUE_BYTES_MAX {
            return Err(errno(nix::errno::Errno::EAGAIN));
        }
        if self.queue.is_empty() {
            self.queue = data;
        } else {
            self.queue.drain(..std::mem::take(&mut self.written));
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
        let result = loop {
            if self.written == self.queue.len() {
                break Ok(());
            }
            match write(&**pipe, &self.queue[self.written..]) {
                Ok(count) => self.written += count,
                Err(nix::errno::Errno::EINTR) => {}
                Err(nix::errno::Errno::EAGAIN) => break Ok(()),
                Err(_) => break Err(errno(nix::errno::Errno::EPIPE)),
            }
        };
        if self.written == self.queue.len() || result.is_err() {
            // Also gives the room of a long message back.
            self.queue = Vec::new();
            self.written = 0;
        }
        result
    }

    /// The end and what waits for room in it, for a successor.
    pub(super) fn into_parts(mut self) -> (Option<Arc<OwnedFd>>, Vec<u8>) {
        self.queue.drain(..self.written);
        (self.pipe, self.queue)
    }

    /// The same with bytes that wait.
    pub(super) fn with_queue(self, queue: Vec<u8>) -> Self {
        Self {
            queue,
            written: 0,
            ..self
        }
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
        self.written = 0;
    }
}
