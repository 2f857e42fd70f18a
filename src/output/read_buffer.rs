//! The buffer into which a thread reads from pipes. It may be an in-flight log, which outlives the daemon.

use std::os::fd::OwnedFd;

use nix::unistd::read;

use super::in_flight_log::{InFlightEntry, InFlightLog};
use crate::sys;

/// The buffer of one thread.
#[derive(Debug)]
pub(super) enum ReadBuffer {
    /// Private memory.
    Own(Vec<u8>),
    /// An in-flight log that the next daemon can read.
    Kept(InFlightLog),
}

impl ReadBuffer {
    /// Reads once, at most `max` bytes. `entry` is called only if the read is recorded.
    ///
    /// # Errors
    /// As read(2).
    pub(super) fn read(
        &mut self,
        pipe: &OwnedFd,
        max: usize,
        entry: impl FnOnce() -> InFlightEntry,
    ) -> nix::Result<usize> {
        let in_flight_log = match self {
            Self::Own(buffer) => {
                let room = buffer.len().min(max);
                return read(pipe, &mut buffer[..room]);
            }
            Self::Kept(in_flight_log) => in_flight_log,
        };
        let room = in_flight_log.bytes().len().min(max);
        // Never read more than is recorded. If the pipe looks empty, read one byte to detect end-of-file; a byte that
        // arrives just now is recorded too.
        let there = sys::unread(pipe).unwrap_or(0);
        let count = there.clamp(1, room);
        in_flight_log.mark_reading(&entry(), count, there == 0);
        let result = read(pipe, &mut in_flight_log.bytes()[..count]);
        match result {
            Ok(count) if count > 0 => in_flight_log.mark_read(count),
            _ => in_flight_log.mark_flushed(),
        }
        result
    }

    /// The bytes of the last read.
    pub(super) fn data(&mut self, count: usize) -> &[u8] {
        match self {
            Self::Own(buffer) => &buffer[..count],
            Self::Kept(in_flight_log) => &in_flight_log.bytes()[..count],
        }
    }

    /// Records that the bytes of the last read are written or counted as lost.
    pub(super) fn mark_flushed(&mut self) {
        if let Self::Kept(in_flight_log) = self {
            in_flight_log.mark_flushed();
        }
    }
}
