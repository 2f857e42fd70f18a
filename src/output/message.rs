//! The commands to the output threads and their reports to the engine.

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

/// A command to the output threads. They handle commands in order.
#[derive(Debug)]
pub enum OutputCommand {
    /// Make pipes and open logs. Reports `Prepared` or `PrepareFailed`.
    Prepare(InstanceId, Arc<ProcessSpec>, LogPaths),
    /// Like `Prepare`, while the command of the instance is still being resolved. A missing command must not leave an
    /// empty log behind, so no log is created: a log that does not exist is a failure. Failures are not logged, because
    /// `Prepare` follows them.
    PrepareNext(InstanceId, Arc<ProcessSpec>, LogPaths),
    /// Take over an instance that a previous daemon started, and continue to read its pipes.
    Adopt(Box<AdoptedStreams>),
    /// Start to read the pipes. The pid of the process.
    Read(InstanceId, i32),
    /// Write out what the pipes hold now, then close them and the logs. Reports `Drained`.
    Drain(InstanceId),
    /// Create these AUTO logs, empty, mode 0600.
    CreateLogs(Vec<Arc<Path>>),
    /// Remove the logs of a slot. If its process runs, open new ones. Reports `Cleared`.
    ClearLogs {
        /// The ticket of the request.
        ticket: Ticket,
        /// The slot of the process.
        slot: u32,
        /// The paths of the logs.
        logs: LogPaths,
    },
    /// Remove the daemon's log and open a new one. Reports `DaemonLogCleared`.
    ClearDaemonLog(Ticket),
    /// Close all logs and open them again by name.
    ReopenLogs,
    /// Queue bytes for standard input. Reports `StdinTaken`.
    WriteStdin {
        /// The ticket of the request.
        ticket: Ticket,
        /// The instance that gets the bytes.
        instance: InstanceId,
        /// The bytes.
        data: Vec<u8>,
    },
    /// Write an event to a listener that is ready for it. Reports `NotDelivered` if that fails.
    Deliver(InstanceId, Envelope),
    /// Report output of these kinds as events, and no other.
    Report(OutputEvents),
    /// Write a line to the activity log.
    Log(Wall, Line),
    /// Set `strip_ansi`, which a reread has changed.
    StripAnsi(bool),
    /// Write everything and exit.
    Stop,
    /// Exit and leave everything to the next daemon: see [`super::OutputHandle::hand_over`].
    HandOver,
}

/// A report of the output threads to the engine.
#[derive(Debug)]
pub enum OutputReport {
    /// The pipes are made and the logs are open. The child's ends of the pipes.
    Prepared(InstanceId, ChildStdio),
    /// The pipes could not be made or a log could not be opened. Nothing is left of the attempt.
    PrepareFailed(InstanceId, SpawnError),
    /// Everything is written and closed.
    Drained(InstanceId),
    /// The result of [`OutputCommand::ClearLogs`].
    Cleared(Ticket, u32, Result<(), Errno>),
    /// The result of [`OutputCommand::ClearDaemonLog`].
    DaemonLogCleared(Ticket, Result<(), Errno>),
    /// The result of [`OutputCommand::WriteStdin`]. EPIPE: closed. EAGAIN: the queue is full.
    StdinTaken(Ticket, Result<(), Errno>),
    /// A message of a listener.
    ListenerOutput(InstanceId, ListenerOutput),
    /// [`OutputCommand::Deliver`] failed. EPIPE: closed. EAGAIN: the queue is full.
    NotDelivered(InstanceId, Errno),
    /// Process output for an event.
    Wrote {
        /// The instance that wrote it.
        instance: InstanceId,
        /// Which stream.
        channel: Channel,
        /// The bytes.
        data: Arc<[u8]>,
        /// Whether the bytes were between capture tokens.
        captured: bool,
    },
}
