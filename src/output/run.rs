//! One life in the reactor: its descriptors, their tokens, and their coming into and leaving the epoll set.
//!
//! A token is a place in the table, the number of the life that stood there when the descriptor was added, and what it is.
//! Descriptors leave the set before they are closed.

use std::os::fd::AsRawFd;
use std::time::Instant;

use super::sink::Sink;
use super::stdin::Stdin;
use super::stream::{Shared, Stream};
use crate::domain::{Channel, Life};
use crate::sys::{Interest, Poller};

/// What a descriptor is in a life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    Pipe(Channel),
    Sink(Channel),
    Stdin,
}

impl Role {
    pub(super) const ALL: [Self; 5] = [
        Self::Pipe(Channel::Stdout),
        Self::Pipe(Channel::Stderr),
        Self::Sink(Channel::Stdout),
        Self::Sink(Channel::Stderr),
        Self::Stdin,
    ];

    fn code(self) -> u64 {
        match self {
            Self::Pipe(Channel::Stdout) => 0,
            Self::Pipe(Channel::Stderr) => 1,
            Self::Sink(Channel::Stdout) => 2,
            Self::Sink(Channel::Stderr) => 3,
            Self::Stdin => 4,
        }
    }
}

/// Bits of a token: 32 of place, 3 of role, 29 of generation (all ones is the waker's).
const ROLE_BITS: u32 = 3;
pub(super) const GENERATIONS: u32 = (1 << 29) - 1;

pub(super) fn token(place: u32, generation: u32, role: Role) -> u64 {
    (u64::from(generation) << (32 + ROLE_BITS)) | (role.code() << 32) | u64::from(place)
}

/// One life: its pipes and logs.
pub(super) struct Run {
    pub(super) life: Life,
    /// Unlike the life's number, small enough for a token.
    pub(super) generation: u32,
    pub(super) streams: [Option<Stream>; 2],
    /// Its process is there: its pipes are read.
    pub(super) reading: bool,
    pub(super) stdin: Stdin,
    pub(super) stdin_polled: bool,
    /// Its process has ended, and its logs have until then.
    pub(super) draining: Option<Instant>,
}

pub(super) fn index(channel: Channel) -> usize {
    match channel {
        Channel::Stdout => 0,
        Channel::Stderr => 1,
    }
}

pub(super) fn is_waiting(run: &Run) -> bool {
    run.streams.iter().flatten().any(Stream::is_waiting)
}

pub(super) fn remove_pipes(poller: &Poller, run: &mut Run) {
    for stream in run.streams.iter_mut().flatten() {
        unpoll_pipe(poller, stream);
        unpoll_sink(poller, stream);
    }
}

pub(super) fn unpoll_pipe(poller: &Poller, stream: &mut Stream) {
    if std::mem::take(&mut stream.pipe_polled)
        && let Some(pipe) = stream.pipe_fd()
    {
        // It is in the set, for we say so; there is nothing else that could fail.
        let _ = poller.remove(pipe);
    }
}

pub(super) fn unpoll_sink(poller: &Poller, stream: &mut Stream) {
    if std::mem::take(&mut stream.sink_polled)
        && let Some(fd) = stream.sink.as_ref().and_then(Sink::fd)
    {
        let _ = poller.remove(fd);
    }
}

/// Closes the pipe of a stream, out of the set first.
pub(super) fn shut(poller: &Poller, stream: &mut Stream, shared: &mut Shared) {
    unpoll_pipe(poller, stream);
    if let Some(pipe) = stream.pipe.take() {
        shared.log(&stream.closed_line(pipe.as_raw_fd()));
    }
}

pub(super) fn close_stdin(poller: &Poller, run: &mut Run) {
    if std::mem::take(&mut run.stdin_polled)
        && let Some(fd) = run.stdin.fd()
    {
        let _ = poller.remove(fd);
    }
    run.stdin.close();
}

/// Standard input is in the set only while bytes wait for room in it.
pub(super) fn settle_stdin(poller: &Poller, place: u32, run: &mut Run) {
    let Some(fd) = run.stdin.fd() else { return };
    if run.stdin.is_waiting() == run.stdin_polled {
        return;
    }
    if run.stdin_polled {
        let _ = poller.remove(fd);
        run.stdin_polled = false;
    } else {
        let token = token(place, run.generation, Role::Stdin);
        run.stdin_polled = poller.add(fd, token, Interest::Write).is_ok();
    }
}
