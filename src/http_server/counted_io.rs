//! An accepted connection as a stream shared by several tasks: the task that serves it, and tasks that check whether
//! the client is still connected.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Duration, Sleep, sleep};

use crate::http_server::budget::{ConnectionGuard, PROGRESS_BYTES, ReservedBytes};
use crate::http_server::client_stream::ClientStream;

/// Maximum number of bytes per read. Less than hyper's smallest buffer, which grows after a read that filled it. So
/// the buffers of connections with unfinished bodies stay as small as those of idle connections.
const READ_MAX: usize = (8 << 10) - 1;
/// Number of bytes of a request head that are not charged to the budget.
const HEAD_FREE: usize = 8 << 10;
/// How long a client may take for [`PROGRESS_BYTES`] of a response before the connection is closed.
pub(crate) const WRITE_WITHIN: Duration = Duration::from_secs(30);

/// A [`ClientStream`] with the I/O traits that hyper needs. It counts the bytes that move.
pub(crate) struct CountedIo {
    stream: Arc<ClientStream>,
    place: Arc<ConnectionGuard>,
    head: Arc<HeadCounter>,
    /// Budget reserved for a long request head.
    held: Option<ReservedBytes>,
    /// Set while the client does not read what is written.
    stalled: Option<WriteStall>,
}

/// Counts the bytes read since the last request head was complete.
#[derive(Debug, Default)]
pub(crate) struct HeadCounter(AtomicUsize);

impl HeadCounter {
    /// The head is complete. The reader of the body counts what follows.
    pub(crate) fn head_complete(&self) {
        self.0.store(usize::MAX, Ordering::Relaxed);
    }

    /// The response is complete. The next bytes belong to a request head.
    pub(crate) fn head_expected(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// Adds `count` and returns the length of the head so far. `None`: the bytes belong to no head.
    fn count(&self, count: usize) -> Option<usize> {
        let so_far = self.0.load(Ordering::Relaxed);
        let length = so_far.checked_add(count)?;
        self.0.store(length, Ordering::Relaxed);
        Some(length)
    }
}

struct WriteStall {
    deadline: Pin<Box<Sleep>>,
    moved: usize,
}

impl CountedIo {
    pub(crate) fn new(
        stream: Arc<ClientStream>,
        place: Arc<ConnectionGuard>,
        head: Arc<HeadCounter>,
    ) -> Self {
        Self {
            stream,
            place,
            head,
            held: None,
            stalled: None,
        }
    }

    /// Counts received bytes.
    ///
    /// # Errors
    /// `OutOfMemory`: the budget has no room for a long head.
    fn count_received(&mut self, count: usize) -> io::Result<()> {
        self.place.count_moved(count);
        match self.head.count(count) {
            Some(length) if length > HEAD_FREE => {
                let held = self.held.take().or_else(|| self.place.reserve_bytes(0));
                let mut held = held.ok_or(io::ErrorKind::OutOfMemory)?;
                if !held.grow_to(length) {
                    return Err(io::ErrorKind::OutOfMemory.into());
                }
                self.held = Some(held);
            }
            Some(_) => {}
            None => self.held = None,
        }
        Ok(())
    }

    /// Counts sent bytes. `whole`: nothing waits to be written.
    fn count_sent(&mut self, count: usize, whole: bool) {
        self.place.count_moved(count);
        if whole {
            self.stalled = None;
        } else if let Some(stalled) = &mut self.stalled {
            stalled.moved += count;
            if stalled.moved >= PROGRESS_BYTES {
                self.stalled = None;
            }
        }
    }

    /// Waits for the client to read, for at most [`WRITE_WITHIN`].
    ///
    /// # Errors
    /// `TimedOut`.
    fn poll_stalled(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let stalled = self.stalled.get_or_insert_with(|| {
            self.place.mark_blocked();
            WriteStall {
                deadline: Box::pin(sleep(WRITE_WITHIN)),
                moved: 0,
            }
        });
        ready!(stalled.deadline.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl AsyncRead for CountedIo {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            ready!(self.stream.poll_read_ready(cx))?;
            let room = buffer.remaining().min(READ_MAX);
            match self.stream.try_read(buffer.initialize_unfilled_to(room)) {
                Ok(count) => {
                    buffer.advance(count);
                    return Poll::Ready(self.count_received(count));
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsyncWrite for CountedIo {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[io::IoSlice::new(buffer)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        loop {
            match self.stream.poll_write_ready(cx) {
                Poll::Ready(ready) => ready?,
                Poll::Pending => return self.poll_stalled(cx),
            }
            match self.stream.try_write_vectored(buffers) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Ok(count) => {
                    let length: usize = buffers.iter().map(|buffer| buffer.len()).sum();
                    self.count_sent(count, count == length);
                    return Poll::Ready(Ok(count));
                }
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.stream.end_writing() {
            // The client closed the connection first.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            other => Poll::Ready(other),
        }
    }
}
