//! The queue of bytes for a process's standard input.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use nix::unistd::write;

use crate::domain::Errno;
use crate::sys::safe_open::errno;

/// Maximum bytes that wait for one process. One message may be longer if the queue is empty.
const QUEUE_BYTES_MAX: usize = 1 << 20;

/// The daemon's end of a process's standard input.
#[derive(Debug)]
pub(super) struct Stdin {
    /// `None`: closed.
    pipe: Option<Arc<OwnedFd>>,
    /// Bytes that wait for room, after bytes that are already written. Written bytes are not removed each time: one
    /// event may be as long as a thousand pipes hold, and each removal moves all remaining bytes.
    queue: Vec<u8>,
    /// How many bytes of `queue` are already written.
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

    /// A closed standard input.
    pub(super) fn closed() -> Self {
        Self {
            pipe: None,
            queue: Vec::new(),
            written: 0,
        }
    }

    /// Queues `data` and writes as much as fits.
    ///
    /// # Errors
    /// EPIPE: the process has closed its end. EAGAIN: the queue is full, and nothing of `data` was taken.
    pub(super) fn queue(&mut self, data: Vec<u8>) -> Result<(), Errno> {
        // Write the waiting bytes first: there may be room by now, or the reader may be gone.
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

    /// Writes as much as fits.
    ///
    /// # Errors
    /// EPIPE: the process has closed its end, and the waiting bytes are lost.
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
            // This also frees the memory of a long message.
            self.queue = Vec::new();
            self.written = 0;
        }
        result
    }

    /// Returns the descriptor and the waiting bytes, for the next daemon.
    pub(super) fn into_parts(mut self) -> (Option<Arc<OwnedFd>>, Vec<u8>) {
        self.queue.drain(..self.written);
        (self.pipe, self.queue)
    }

    /// Sets the waiting bytes.
    pub(super) fn with_queue(self, queue: Vec<u8>) -> Self {
        Self {
            queue,
            written: 0,
            ..self
        }
    }

    /// Whether bytes wait for room.
    pub(super) fn is_waiting(&self) -> bool {
        !self.queue.is_empty()
    }

    /// The descriptor, to wait for room.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.pipe.as_ref().map(AsFd::as_fd)
    }

    /// The descriptor, for the fd holder.
    pub(super) fn shared(&self) -> Option<Arc<OwnedFd>> {
        self.pipe.clone()
    }

    /// Closes the descriptor and drops the waiting bytes.
    pub(super) fn close(&mut self) {
        self.pipe = None;
        self.queue = Vec::new();
        self.written = 0;
    }
}
