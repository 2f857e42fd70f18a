//! One instance in the reactor: its descriptors, their tokens, and their coming into and leaving the epoll set.
//!
//! A token is a place in the table, the number of the instance that stood there when the descriptor was added, and what it is.
//! Descriptors leave the set before they are closed.

use std::collections::VecDeque;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::OutputCommand;
use super::job::Pipes;
use super::pipe_reads::PipeReads;
use super::sink::Sink;
use super::stdin::Stdin;
use super::stream::{Shared, Stream};
use crate::domain::{Channel, InstanceId, LogPaths, ProcessName};
use crate::sys::{Interest, Poller};

pub(super) const CHANNELS: [Channel; 2] = [Channel::Stdout, Channel::Stderr];

/// Standard output and standard error of one instance. Boxed, for they come and go with each chunk.
pub(super) type Streams = [Option<Box<Stream>>; 2];

/// What a descriptor is in an instance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FdRole {
    Pipe(Channel),
    Sink(Channel),
    Stdin,
}

impl FdRole {
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

pub(super) fn token(place: u32, generation: u32, role: FdRole) -> u64 {
    (u64::from(generation) << (32 + ROLE_BITS)) | (role.code() << 32) | u64::from(place)
}

/// One instance: its pipes and logs.
pub(super) struct InstanceIo {
    pub(super) instance: InstanceId,
    /// For messages.
    pub(super) name: ProcessName,
    /// Unlike the instance's number, small enough for a token.
    pub(super) generation: u32,
    /// Both are away while a job has them.
    pub(super) streams: Streams,
    /// `None`: the process has closed it, or its end has come.
    pub(super) pipes: Pipes,
    /// Which of the pipes are in the epoll set.
    pub(super) polled: [bool; 2],
    /// How their reads follow each other.
    pub(super) reads: [PipeReads; 2],
    /// Reading failed, and was told.
    pub(super) read_failed: [bool; 2],
    /// Its process is there: its pipes are read.
    pub(super) reading: bool,
    pub(super) stdin: Stdin,
    pub(super) stdin_polled: bool,
    /// Its process has ended.
    pub(super) draining: Option<DrainState>,
    /// When its end was asked for. It may have to wait for a job.
    pub(super) drain_asked: Option<Instant>,
    /// Its end was told, or nobody wants to hear of it.
    pub(super) told: bool,
    /// A job has its streams, or is about to.
    pub(super) busy: bool,
    /// Its last job took too long: only threads that nobody waits for take the next one.
    pub(super) slow: bool,
    /// What to do once it is not busy.
    pub(super) queue: VecDeque<OutputCommand>,
    pub(super) paths: LogPaths,
    /// Which file systems its logs are on: see `stalls.rs`.
    pub(super) devices: [u64; 2],
}

/// The end of an instance.
#[derive(Debug, Clone, Copy)]
pub(super) struct DrainState {
    /// Until when its logs have.
    pub(super) by: Instant,
    /// What is to be read from its pipes yet, in bytes.
    pub(super) left: [usize; 2],
    /// Everything was read.
    pub(super) is_read: bool,
}

impl InstanceIo {
    /// An instance that has nothing yet.
    pub(super) fn new(
        instance: InstanceId,
        name: ProcessName,
        paths: LogPaths,
        generation: u32,
    ) -> Self {
        Self {
            instance,
            name,
            generation,
            streams: Streams::default(),
            pipes: Pipes::default(),
            polled: [false; 2],
            reads: [PipeReads::new(), PipeReads::new()],
            read_failed: [false; 2],
            reading: false,
            stdin: Stdin::closed(),
            stdin_polled: false,
            draining: None,
            drain_asked: None,
            told: false,
            busy: false,
            slow: false,
            queue: VecDeque::new(),
            paths,
            devices: [0; 2],
        }
    }

    /// It writes to one of these.
    pub(super) fn shares_log_with(&self, paths: &LogPaths) -> bool {
        let ours = [&self.paths.stdout, &self.paths.stderr];
        let theirs = [&paths.stdout, &paths.stderr];
        let ours = ours.into_iter().flatten();
        let mut both =
            ours.flat_map(|one| theirs.into_iter().flatten().map(move |other| (one, other)));
        both.any(|(one, other): (&Arc<Path>, &Arc<Path>)| one == other)
    }
}

pub(super) fn index(channel: Channel) -> usize {
    match channel {
        Channel::Stdout => 0,
        Channel::Stderr => 1,
    }
}

pub(super) fn is_waiting(run: &InstanceIo) -> bool {
    run.streams
        .iter()
        .flatten()
        .any(|stream| stream.is_waiting())
}

pub(super) fn remove_pipes(poller: &Poller, run: &mut InstanceIo) {
    for channel in CHANNELS {
        unpoll_pipe(poller, run, channel);
        unpoll_sink(poller, run, channel);
    }
}

pub(super) fn unpoll_pipe(poller: &Poller, run: &mut InstanceIo, channel: Channel) {
    if std::mem::take(&mut run.polled[index(channel)])
        && let Some(pipe) = &run.pipes[index(channel)]
    {
        // It is in the set, for we say so; there is nothing else that could fail.
        let _ = poller.remove(pipe);
    }
}

pub(super) fn unpoll_sink(poller: &Poller, run: &mut InstanceIo, channel: Channel) {
    if let Some(stream) = &mut run.streams[index(channel)]
        && std::mem::take(&mut stream.sink_polled)
        && let Some(fd) = stream.sink.as_ref().and_then(Sink::fd)
    {
        let _ = poller.remove(fd);
    }
}

/// Closes the pipe of a stream, out of the set first.
pub(super) fn shut(poller: &Poller, run: &mut InstanceIo, channel: Channel, shared: &mut Shared) {
    unpoll_pipe(poller, run, channel);
    if let Some(pipe) = run.pipes[index(channel)].take()
        && let Some(stream) = &run.streams[index(channel)]
    {
        shared.log(stream.closed_line(pipe.as_raw_fd()));
    }
}

pub(super) fn close_stdin(poller: &Poller, run: &mut InstanceIo) {
    if std::mem::take(&mut run.stdin_polled)
        && let Some(fd) = run.stdin.fd()
    {
        let _ = poller.remove(fd);
    }
    run.stdin.close();
}

/// Standard input is in the set only while bytes wait for room in it.
pub(super) fn settle_stdin(poller: &Poller, place: u32, run: &mut InstanceIo) {
    let Some(fd) = run.stdin.fd() else { return };
    if run.stdin.is_waiting() == run.stdin_polled {
        return;
    }
    if run.stdin_polled {
        let _ = poller.remove(fd);
        run.stdin_polled = false;
    } else {
        let token = token(place, run.generation, FdRole::Stdin);
        run.stdin_polled = poller.add(fd, token, Interest::Write).is_ok();
    }
}
