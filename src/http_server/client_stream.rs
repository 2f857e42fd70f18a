//! An accepted connection, shared by the task that serves it and by tasks that check whether the client is still
//! connected.

use std::io;
use std::task::{Context, Poll};

use tokio::net::{TcpStream, UnixStream};

use crate::sys;

/// An accepted connection.
#[derive(Debug)]
pub(crate) enum ClientStream {
    Inet(TcpStream),
    Unix(UnixStream),
}

impl ClientStream {
    /// Whether the client has closed its side and we have read everything that it sent.
    pub(crate) fn peer_is_gone(&self) -> bool {
        match self {
            Self::Inet(stream) => sys::peer_is_gone(stream),
            Self::Unix(stream) => sys::peer_is_gone(stream),
        }
    }

    pub(crate) fn poll_read_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Inet(stream) => stream.poll_read_ready(cx),
            Self::Unix(stream) => stream.poll_read_ready(cx),
        }
    }

    pub(crate) fn poll_write_ready(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self {
            Self::Inet(stream) => stream.poll_write_ready(cx),
            Self::Unix(stream) => stream.poll_write_ready(cx),
        }
    }

    pub(crate) fn try_read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Inet(stream) => stream.try_read(buffer),
            Self::Unix(stream) => stream.try_read(buffer),
        }
    }

    pub(crate) fn try_write_vectored(&self, buffers: &[io::IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Inet(stream) => stream.try_write_vectored(buffers),
            Self::Unix(stream) => stream.try_write_vectored(buffers),
        }
    }

    pub(crate) fn end_writing(&self) -> io::Result<()> {
        match self {
            Self::Inet(stream) => sys::end_writing(stream),
            Self::Unix(stream) => sys::end_writing(stream),
        }
    }
}
