//! Where bytes from pipes come in: one buffer for all, which outlives us if there is somebody to keep it.

use std::os::fd::OwnedFd;

use nix::unistd::read;

use super::in_flight_log::{InFlightEntry, InFlightLog};
use crate::sys;

/// The one buffer.
#[derive(Debug)]
pub(super) enum ReadBuffer {
    /// Memory of ours.
    Own(Vec<u8>),
    /// Memory that a successor finds, with what it needs to know.
    Kept(InFlightLog),
}

impl ReadBuffer {
    /// Reads once, `max` bytes at most. `entry` is asked for only if it is written down.
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
        // Never more than is written down. With nothing there, one byte asks for the pipe's end; or is the first that came
        // just now, and is written down too.
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

    /// What the last read brought.
    pub(super) fn data(&mut self, count: usize) -> &[u8] {
        match self {
            Self::Own(buffer) => &buffer[..count],
            Self::Kept(in_flight_log) => &in_flight_log.bytes()[..count],
        }
    }

    /// What the last read brought is where it belongs.
    pub(super) fn mark_flushed(&mut self) {
        if let Self::Kept(in_flight_log) = self {
            in_flight_log.mark_flushed();
        }
    }
}
