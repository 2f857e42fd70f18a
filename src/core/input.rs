//! Inputs of the core.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::NotifyMessage;
use crate::api::{Caller, Grant, Request, Ticket};
use crate::config::spec::{Config, GroupChangeResult};
use crate::domain::{
    Channel, Errno, ExitStatus, InstanceId, ListenerOutput, ResourceEvents, Signal, SpawnError,
};

/// A signal that the daemon received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum DaemonSignal {
    /// TERM, INT or QUIT.
    Exit(Signal),
    /// HUP.
    Restart,
    /// USR2.
    ReopenLogs,
}

/// Why the configuration was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LoadReason {
    /// `reloadConfig`.
    Reread(Ticket),
    /// `restart`. Answered before anything stops.
    Restart(Ticket),
    /// SIGHUP.
    Hangup,
}

/// The errors of a configuration that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadError {
    /// The original's message for the first error. Faults contain it.
    pub sentence: String,
    /// All errors with file:line:column. The log contains them.
    pub all: Vec<String>,
    /// All errors and warnings, one per line, each marked as error or warning. Clients get them.
    pub lines: Vec<String>,
}

impl LoadError {
    /// Creates an error that belongs to no file.
    #[must_use]
    pub fn of(sentence: String) -> Self {
        Self {
            all: vec![sentence.clone()],
            lines: vec![format!("error: {sentence}")],
            sentence,
        }
    }
}

/// Which daemon continues after a handoff.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResumeKind {
    /// Another image in the same process.
    NewImage,
    /// Another process. The previous daemon has detached or was killed.
    NewDaemon,
    /// The same image, because the upgrade failed.
    SameImage,
}

/// One input: something that has happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// The daemon is up: start the autostart processes.
    DaemonStarted,
    /// The command was found and may be executed.
    Resolved(InstanceId),
    /// Pipes are made and logs are open.
    Prepared(InstanceId),
    /// The process exists.
    Spawned {
        /// The instance.
        instance: InstanceId,
        /// The PID.
        pid: i32,
    },
    /// Resolving or spawning takes long. Its result follows as another input.
    SpawnHeld {
        /// The instance.
        instance: InstanceId,
        /// Why, as the log shows it.
        why: String,
    },
    /// Resolving, preparing or spawning failed. No process exists.
    SpawnFailed {
        /// The instance.
        instance: InstanceId,
        /// Why it failed.
        error: SpawnError,
    },
    /// The process exited and was reaped.
    Exited {
        /// The instance.
        instance: InstanceId,
        /// Its exit status.
        status: ExitStatus,
    },
    /// The processes left in the cgroup are gone or may stay, or there is no cgroup.
    Emptied {
        /// The instance.
        instance: InstanceId,
        /// Resource limits that the instance hit.
        resource_events: ResourceEvents,
    },
    /// All output written before the exit is in the logs.
    Drained(InstanceId),
    /// A signal was delivered, or the kernel refused it.
    Signalled {
        /// The instance.
        instance: InstanceId,
        /// The signal.
        signal: Signal,
        /// ESRCH: the process is gone already.
        result: Result<(), Errno>,
    },
    /// The result of examining whether another image can take over. See [`super::Action::Upgrade`].
    SuccessorExamined {
        /// The request. `None`: it was answered before, and the upgrade failed afterwards.
        ticket: Option<Ticket>,
        /// The error says why the image cannot take over.
        result: Result<(), String>,
    },
    /// The previous daemon has handed over. Sent instead of [`Input::DaemonStarted`].
    Resumed(ResumeKind),
    /// The deadline of [`super::Fleet::next_deadline`] has passed.
    DeadlineReached,
    /// A client sent a request.
    Asked {
        /// The ticket. It is answered exactly once with [`super::Action::Answer`].
        ticket: Ticket,
        /// The client.
        caller: Caller,
        /// What the client may act on.
        grant: Grant,
        /// The request.
        request: Request,
    },
    /// The result of [`super::Action::Check`].
    Checked {
        /// The request.
        ticket: Ticket,
        /// Whether the command can be executed.
        result: Result<(), SpawnError>,
    },
    /// The result of [`super::Action::TrySockets`].
    SocketsTried {
        /// The request.
        ticket: Ticket,
        /// Whether the sockets could be made.
        result: Result<(), SpawnError>,
    },
    /// The configuration was read.
    Loaded {
        /// Why it was read.
        reason: LoadReason,
        /// The configuration, or its errors.
        result: Result<Arc<Config>, LoadError>,
    },
    /// The result of [`super::Action::Compose`].
    Composed {
        /// The request.
        ticket: Ticket,
        /// The processes, or the message about the error in their section.
        result: Result<Box<GroupChangeResult>, String>,
    },
    /// The result of [`super::Action::ClearLogs`].
    Cleared {
        /// The request.
        ticket: Ticket,
        /// The slot of the process.
        slot: u32,
        /// The first error, such as EACCES.
        result: Result<(), Errno>,
    },
    /// The result of [`super::Action::ClearDaemonLog`].
    DaemonLogCleared {
        /// The request.
        ticket: Ticket,
        /// ENOENT: there was no log.
        result: Result<(), Errno>,
    },
    /// The result of [`super::Action::WriteStdin`].
    StdinTaken {
        /// The request.
        ticket: Ticket,
        /// EPIPE: the input is closed. EAGAIN: its queue is full.
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
    /// A process sent a notify message. Its sender was verified.
    Notified(InstanceId, NotifyMessage),
    /// Another process sent a notify message on the channel of this instance. The message was ignored.
    ForeignNotify {
        /// The instance that owns the channel.
        instance: InstanceId,
        /// The PID of the sender, from the kernel. 0: it has none in this PID namespace.
        sender: i32,
        /// The UID of the sender.
        uid: u32,
    },
    /// All messages sent before [`super::Action::PollNotify`] have been passed on.
    NotifyPolled(InstanceId),
    /// An event listener wrote a protocol message.
    ListenerOutput(InstanceId, ListenerOutput),
    /// An event did not reach its listener. EPIPE: the listener has closed its input. EAGAIN: its input is full, since
    /// it acknowledges events without reading them.
    NotDelivered(InstanceId, Errno),
    /// The daemon received a signal.
    Received(DaemonSignal),
}
