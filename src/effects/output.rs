//! Effects of the output threads: pipes, logs, standard input and events of listeners.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::api::Ticket;
use crate::config::spec::ProcessSpec;
use crate::domain::{
    Channel, Envelope, Errno, InstanceId, ListenerOutput, LogPaths, OutputEvents, SpawnError,
};

/// An effect of the output threads.
#[derive(Debug, Clone, PartialEq)]
pub enum OutputEffect {
    /// Make pipes, store them where a successor finds them, and open the logs. Answered with
    /// [`OutputOutcome::Prepared`] or `PrepareFailed`.
    Prepare(InstanceId, Arc<ProcessSpec>, LogPaths),
    /// Like `Prepare`, for the next attempt, while the output of the previous instance is written out and the command
    /// is still being resolved. A missing command must not leave an empty log behind, so no log is created: a log that
    /// does not exist is a failure. Failures are not logged, because `Prepare` follows them.
    PrepareNext(InstanceId, Arc<ProcessSpec>, LogPaths),
    /// Start to read the output of the process with this PID. Sent after `Spawned` was handled, because events about
    /// output contain the PID.
    Read(InstanceId, i32),
    /// Write out what the pipes of the instance hold, then close them and the logs. Answered with
    /// [`OutputOutcome::Drained`]. It also undoes a `Prepare` or `PrepareNext` that is not used; the core ignores the
    /// answer then.
    Drain(InstanceId),
    /// Create these AUTO logs, empty and with mode 0600.
    CreateLogs(Vec<Arc<Path>>),
    /// Remove the logs of a process and, if it runs, open new ones. Answered with [`OutputOutcome::Answered`]: an error
    /// such as EACCES.
    ClearLogs {
        /// The request.
        ticket: Ticket,
        /// The slot of the process. The output thread finds its current instance, if there is one, by the slot.
        slot: u32,
        /// The files to clear.
        logs: LogPaths,
    },
    /// Remove the daemon's log and open a new one. Answered with [`OutputOutcome::Answered`]. ENOENT: there was no log.
    ClearDaemonLog(Ticket),
    /// Close all logs and open them again by name.
    ReopenLogs,
    /// Queue bytes for the standard input of an instance. Answered with [`OutputOutcome::Answered`]. EPIPE: the input is
    /// closed. EAGAIN: its queue is full.
    WriteStdin {
        /// The request.
        ticket: Ticket,
        /// The instance.
        instance: InstanceId,
        /// The bytes.
        data: Vec<u8>,
    },
    /// Send an event to a listener that is ready for it. Answered with [`OutputOutcome::NotDelivered`] if that fails.
    Deliver(InstanceId, Envelope),
    /// From now on report only these kinds of process output. Initially: none.
    Report(OutputEvents),
}

/// What a line of output that the output threads look for says about its process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum LineWatchKind {
    /// It matches `ready_log`: the process is ready.
    Ready,
    /// It matches `health_log`: the process is unhealthy.
    Unhealthy,
}

/// What the output threads answer or report.
#[derive(Debug, Clone, PartialEq)]
pub enum OutputOutcome {
    /// Pipes are made and logs are open.
    Prepared(InstanceId),
    /// The pipes could not be made or a log could not be opened. Nothing is left of the attempt.
    PrepareFailed(InstanceId, SpawnError),
    /// What the instance wrote last to standard error, or to its common output with `redirect_stderr`. Comes directly before
    /// `Drained`, and not if there is nothing.
    LastStderr {
        /// The instance.
        instance: InstanceId,
        /// The bytes: at most 4 KiB.
        data: Arc<[u8]>,
    },
    /// All output written before the exit is in the logs, and everything is closed.
    Drained(InstanceId),
    /// The result of an effect for a client.
    Answered {
        /// The request.
        ticket: Ticket,
        /// The first error.
        result: Result<(), Errno>,
    },
    /// A process wrote to a stream with events enabled, or between capture tokens.
    Wrote {
        /// The instance.
        instance: InstanceId,
        /// The stream.
        channel: Channel,
        /// The bytes.
        data: Arc<[u8]>,
        /// Whether the bytes were between capture tokens.
        captured: bool,
    },
    /// A process wrote a line that matches `ready_log` or `health_log`. Of many lines in a short time, only some are
    /// reported.
    LineMatched {
        /// The instance.
        instance: InstanceId,
        /// What the line says.
        kind: LineWatchKind,
        /// The beginning of the line, without control characters.
        line: String,
    },
    /// An event listener wrote a protocol message.
    ListenerOutput(InstanceId, ListenerOutput),
    /// An event did not reach its listener. EPIPE: the listener has closed its input. EAGAIN: its input is full, since
    /// it acknowledges events without reading them.
    NotDelivered(InstanceId, Errno),
}
