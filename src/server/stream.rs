//! One accepted connection as a stream that several tasks may look at: the one that serves it, and those that want to
//! know whether the client is still there.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::{Duration, Sleep, sleep};

use super::budget::{ConnectionGuard, PROGRESS_BYTES, ReservedBytes};
use crate::sys;

/// Bytes that one read takes at most. Less than hyper's smallest buffer, which grows after a read that filled it: the
/// buffers of a thousand connections whose bodies are not finished are as small as those of idle ones.
const READ_MAX: usize = (8 << 10) - 1;
/// The part of a request's head that costs nothing extra, in bytes.
const HEAD_FREE: usize = 8 << 10;
/// How long a client may take for [`PROGRESS_BYTES`] of an answer, before the connection is closed.
pub(super) const WRITE_WITHIN: Duration = Duration::from_secs(30);

/// An accepted connection.
#[derive(Debug)]
pub(super) enum ClientStream {
    Inet(TcpStream),
    Unix(UnixStream),
}

impl ClientStream {
    /// Whether the client has ended its side, and we have read all that it sent.
    pub(super) fn peer_is_gone(&self) -> bool {
        match self {
            Self::Inet(stream) => sys::peer_is_gone(stream),
            Self::Unix(stream) => sys::peer_is_gone(stream),
        }
    }

    fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Inet(stream) => stream.poll_read_ready(cx),
            Self::Unix(stream) => stream.poll_read_ready(cx),
        }
    }

    fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Inet(stream) => stream.poll_write_ready(cx),
            Self::Unix(stream) => stream.poll_write_ready(cx),
        }
    }

    fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Inet(stream) => stream.try_read(buffer),
            Self::Unix(stream) => stream.try_read(buffer),
        }
    }

    fn try_write_vectored(&self, buffers: &[io::IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Inet(stream) => stream.try_write_vectored(buffers),
            Self::Unix(stream) => stream.try_write_vectored(buffers),
        }
    }

    fn end_writing(&self) -> io::Result<()> {
        match self {
            Self::Inet(stream) => sys::end_writing(stream),
            Self::Unix(stream) => sys::end_writing(stream),
        }
    }
}

/// A [`ClientStream`] as hyper wants it, which counts what moves.
pub(super) struct CountedIo {
    stream: Arc<ClientStream>,
    place: Arc<ConnectionGuard>,
    head: Arc<HeadCounter>,
    /// The budget's part for a long head.
    held: Option<ReservedBytes>,
    /// Set while the client does not take what is written.
    stalled: Option<WriteStall>,
}

/// The bytes that were read since the last request's head was whole.
#[derive(Debug, Default)]
pub(super) struct HeadCounter(AtomicUsize);

impl HeadCounter {
    /// The head is whole; what is read next is counted by whoever reads the body.
    pub(super) fn head_complete(&self) {
        self.0.store(usize::MAX, Ordering::Relaxed);
    }

    /// The answer is made; what is read next is a head.
    pub(super) fn head_expected(&self) {
        self.0.store(0, Ordering::Relaxed);
    }

    /// The length of the head so far; `None`: this is no head.
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
    pub(super) fn new(
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

    /// Counts what was read.
    ///
    /// # Errors
    /// `OutOfMemory`: a long head, for which there is no room.
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

    /// Counts what was written. `whole`: nothing waits to be written.
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

    /// Waits for the client, but not for ever.
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
            // The client was faster.
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Poll::Ready(Ok(())),
            other => Poll::Ready(other),
        }
    }
}
