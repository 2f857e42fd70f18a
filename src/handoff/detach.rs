//! The handoff of a daemon that detaches from its programs: the fd holder keeps it until the next daemon starts.

use std::os::fd::AsFd as _;

use super::state::Handoff;
use super::written::WrittenHandoff;
use crate::domain::FdName;
use crate::fd_holder::FdStore;

/// Stores the handoff for the next daemon, with the listening sockets of this one. The descriptors of processes are
/// stored already, each when it was made.
///
/// # Errors
/// Why the fd holder may not have it.
pub fn store_handoff(fd_store: &FdStore, handoff: Handoff) -> Result<(), String> {
    let (written, fds) = WrittenHandoff::of(handoff);
    let memory = written.to_memory().map_err(|error| error.to_string())?;
    for (place, fd) in fds
        .iter()
        .filter_map(|(name, fd)| Some((FdName::server_place_in(name)?, fd)))
    {
        fd_store.store(FdName::Server(place), &[fd.as_fd()]);
    }
    fd_store.store(FdName::Handoff, &[memory.as_fd()]);
    match fd_store.barrier() {
        None => Ok(()),
        Some(line) => Err(line.to_string()),
    }
}
