//! What the output thread is told, and what it reports.

use std::path::Path;
use std::sync::Arc;

use super::AdoptedStreams;
use crate::api::Ticket;
use crate::config::spec::ProcessSpec;
use crate::domain::{
    Channel, Envelope, Errno, InstanceId, Line, ListenerOutput, LogPaths, OutputEvents, SpawnError,
    Wall,
};
use crate::sys::ChildStdio;

/// What the output thread is told. Handled in order.
#[derive(Debug)]
pub enum OutputCommand {
    /// Make pipes and open logs; answered with `Prepared` or `PrepareFailed`.
    Prepare(InstanceId, Arc<ProcessSpec>, LogPaths),
    /// The same for an instance whose command is still being looked up. A command that is missing must not leave an empty log behind,
    /// so no log is created: one that does not exist is a failure. No line tells of failures, for they are not the last word.
    PrepareNext(InstanceId, Arc<ProcessSpec>, LogPaths),
    /// Take an instance over that a predecessor began, and go on reading its pipes.
    Adopt(Box<AdoptedStreams>),
    /// Begin to read the pipes; the process has this pid.
    Read(InstanceId, i32),
    /// Write out what the pipes hold now, close them and the logs; answered with `Drained`.
    Drain(InstanceId),
    /// Create these AUTO logs, empty, mode 0600.
    CreateLogs(Vec<Arc<Path>>),
    /// Remove the logs of a slot and, where its process runs, open them anew; answered with `Cleared`.
    ClearLogs {
        /// Of the request.
        ticket: Ticket,
        /// Whose.
        slot: u32,
        /// Which files.
        logs: LogPaths,
    },
    /// Remove the daemon's log and open it anew; answered with `DaemonLogCleared`.
    ClearDaemonLog(Ticket),
    /// Close and open all logs by name.
    ReopenLogs,
    /// Queue bytes for standard input; answered with `StdinTaken`.
    WriteStdin {
        /// Of the request.
        ticket: Ticket,
        /// Whose.
        instance: InstanceId,
        /// The bytes.
        data: Vec<u8>,
    },
    /// Write an event to a listener that is ready for it; answered with `NotDelivered` if that fails.
    Deliver(InstanceId, Envelope),
    /// Report these of what processes write, and no others.
    Report(OutputEvents),
    /// Write to the activity log.
    Log(Wall, Line),
    /// `strip_ansi` changed with a reread.
    StripAnsi(bool),
    /// Write out everything and end.
    Stop,
    /// End, and leave everything as it is to a successor: see [`super::OutputHandle::hand_over`].
    HandOver,
}

/// What the output thread reports to the engine.
#[derive(Debug)]
pub enum OutputReport {
    /// Pipes are made, logs are open; the child's ends come along.
    Prepared(InstanceId, ChildStdio),
    /// They could not be made or opened; nothing is left of the attempt.
    PrepareFailed(InstanceId, SpawnError),
    /// Everything is written out and closed.
    Drained(InstanceId),
    /// See [`Command::ClearLogs`].
    Cleared(Ticket, u32, Result<(), Errno>),
    /// See [`Command::ClearDaemonLog`].
    DaemonLogCleared(Ticket, Result<(), Errno>),
    /// See [`Command::WriteStdin`]. EPIPE: closed. EAGAIN: the queue is full.
    StdinTaken(Ticket, Result<(), Errno>),
    /// A listener said something.
    ListenerOutput(InstanceId, ListenerOutput),
    /// See [`Command::Deliver`]. EPIPE: closed. EAGAIN: the queue is full.
    NotDelivered(InstanceId, Errno),
    /// Bytes for an event.
    Wrote {
        /// Whose.
        instance: InstanceId,
        /// Which stream.
        channel: Channel,
        /// The bytes.
        data: Arc<[u8]>,
        /// They stood between capture tokens.
        captured: bool,
    },
}
