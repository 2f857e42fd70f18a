//! The descriptors of one instance in the reactor, their tokens, and their place in the epoll set.
//!
//! A token holds an index in the table, the generation of the instance at that index, and the role of the descriptor. A
//! descriptor leaves the epoll set before it is closed.

use std::collections::VecDeque;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use super::OutputCommand;
use super::pipe_reads::PipeReads;
use super::stdin::Stdin;
use super::stream::{Shared, Stream};
use crate::domain::{Channel, InstanceId, LogPaths, ProcessName};
use crate::sys::{Interest, Poller};

pub(super) const CHANNELS: [Channel; 2] = [Channel::Stdout, Channel::Stderr];

/// The daemon's ends of the output pipes of one instance.
pub(super) type Pipes = [Option<Arc<OwnedFd>>; 2];

/// The streams of one instance. Boxed, because each job takes and returns them.
pub(super) type Streams = [Option<Box<Stream>>; 2];

/// The role of a descriptor in an instance.
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

/// Layout of a token: 32 bits of index, 3 bits of role, 29 bits of generation (all ones: the waker).
const ROLE_BITS: u32 = 3;
pub(super) const GENERATIONS: u32 = (1 << 29) - 1;

pub(super) fn token(place: u32, generation: u32, role: FdRole) -> u64 {
    (u64::from(generation) << (32 + ROLE_BITS)) | (role.code() << 32) | u64::from(place)
}

/// The pipes and logs of one instance.
pub(super) struct InstanceIo {
    pub(super) instance: InstanceId,
    /// For log lines.
    pub(super) name: ProcessName,
    /// A number that is small enough for a token, unlike the instance's id.
    pub(super) generation: u32,
    /// Both are `None` while a job has them.
    pub(super) streams: Streams,
    /// `None`: the process has closed its end, or the pipe was drained.
    pub(super) pipes: Pipes,
    /// Which of the pipes are in the epoll set.
    pub(super) polled: [bool; 2],
    /// The pacing of each pipe's reads.
    pub(super) reads: [PipeReads; 2],
    /// Whether a read failed and was logged.
    pub(super) read_failed: [bool; 2],
    /// Whether the process exists, so that its pipes are read.
    pub(super) reading: bool,
    pub(super) stdin: Stdin,
    pub(super) stdin_polled: bool,
    /// Set when the process has ended.
    pub(super) draining: Option<DrainState>,
    /// When the drain was requested. It may have to wait for a job.
    pub(super) drain_asked: Option<Instant>,
    /// Whether the end of the instance was reported, or need not be.
    pub(super) told: bool,
    /// Whether a job has the streams, or will have them soon.
    pub(super) busy: bool,
    /// Whether the last job took too long. Then helper threads do the next one.
    pub(super) slow: bool,
    /// Commands to run when the instance is not busy any more.
    pub(super) queue: VecDeque<OutputCommand>,
    pub(super) paths: LogPaths,
    /// The devices of its logs: see `stalls.rs`.
    pub(super) devices: [u64; 2],
}

/// The state of a drain.
#[derive(Debug, Clone, Copy)]
pub(super) struct DrainState {
    /// The deadline for writing its logs.
    pub(super) by: Instant,
    /// The bytes still to be read from each pipe.
    pub(super) left: [usize; 2],
    /// Whether everything was read.
    pub(super) is_read: bool,
}

impl InstanceIo {
    /// Whether a job has the streams. False: a job waits for its turn.
    pub(super) fn is_in_job(&self) -> bool {
        self.busy && self.streams.iter().all(Option::is_none)
    }

    /// An instance without descriptors.
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

    /// Reports the lines of both streams that were found.
    pub(super) fn report_lines(&mut self, shared: &Shared) {
        let mut is_ready = false;
        for stream in self.streams.iter_mut().flatten() {
            is_ready |= stream.report_lines(shared);
        }
        if is_ready {
            self.end_ready_watch();
        }
    }

    /// Ends the watch for readiness of both streams: one of them has said that the process is ready.
    pub(super) fn end_ready_watch(&mut self) {
        for stream in self.streams.iter_mut().flatten() {
            stream.end_ready_watch();
        }
    }

    /// Whether this instance writes to one of these logs.
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
        // The pipe is in the set (`polled` says so), so this cannot fail.
        let _ = poller.remove(pipe);
    }
}

pub(super) fn unpoll_sink(poller: &Poller, run: &mut InstanceIo, channel: Channel) {
    if let Some(stream) = &mut run.streams[index(channel)]
        && std::mem::take(&mut stream.sink_polled)
        && let Some(fd) = stream.sinks.fd()
    {
        let _ = poller.remove(fd);
    }
}

/// Removes a stream's pipe from the epoll set and closes it.
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

/// Updates the epoll set: standard input is in it only while bytes wait for room.
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
