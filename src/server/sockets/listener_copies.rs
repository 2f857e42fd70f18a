//! Duplicates of our listening sockets, for the next run of the daemon.

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::socket_file::SocketFile;

/// A duplicate of one of our listening sockets, and its file.
#[derive(Debug)]
pub(in crate::server) struct ListenerCopy {
    pub(in crate::server) socket: OwnedFd,
    pub(in crate::server) file: Option<SocketFile>,
}

/// Duplicates of our listening sockets, for the next run of the daemon.
pub(in crate::server) type ListenerCopies = Arc<Mutex<Vec<ListenerCopy>>>;

pub(in crate::server) fn lock(copies: &ListenerCopies) -> MutexGuard<'_, Vec<ListenerCopy>> {
    // No code panics while it holds the lock.
    copies.lock().unwrap_or_else(PoisonError::into_inner)
}
