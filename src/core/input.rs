//! What can happen to the core.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::NotifyMessage;
use crate::api::{Caller, Grant, Request, Ticket};
use crate::config::spec::{Config, GroupChangeResult};
use crate::domain::{
    Channel, Errno, ExitStatus, InstanceId, ListenerOutput, ResourceEvents, Signal, SpawnError,
};

/// A signal to the daemon.
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
    /// `restart`; answered before anything stops.
    Restart(Ticket),
    /// SIGHUP.
    Hangup,
}

/// A configuration that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadError {
    /// The original's sentence for its first error; what faults carry.
    pub sentence: String,
    /// Every error with file:line:column; what the log carries.
    pub all: Vec<String>,
    /// Every error and warning, each in one line that says which it is; what clients are told.
    pub lines: Vec<String>,
}

impl LoadError {
    /// One that stands in no file.
    #[must_use]
    pub fn of(sentence: String) -> Self {
        Self {
            all: vec![sentence.clone()],
            lines: vec![format!("error: {sentence}")],
            sentence,
        }
    }
}

/// Who goes on where a predecessor has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResumeKind {
    /// Another image of the same process.
    NewImage,
    /// Another process: the predecessor has detached, or was killed.
    NewDaemon,
    /// The same image, for there could be no other.
    SameImage,
}

/// What can happen to the core. Past tense: these are facts.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// The daemon is up: start what is to start.
    DaemonStarted,
    /// The command was found and may be executed.
    Resolved(InstanceId),
    /// Pipes are made, logs are open.
    Prepared(InstanceId),
    /// The process exists.
    Spawned {
        /// Whose.
        instance: InstanceId,
        /// The kernel's number.
        pid: i32,
    },
    /// Resolving or spawning takes long; its answer comes yet.
    SpawnHeld {
        /// Whose.
        instance: InstanceId,
        /// Why, as it reads in the log.
        why: String,
    },
    /// Resolving, preparing or spawning failed; no process exists.
    SpawnFailed {
        /// Whose.
        instance: InstanceId,
        /// Why.
        error: SpawnError,
    },
    /// The process ended and was reaped.
    Exited {
        /// Whose.
        instance: InstanceId,
        /// How.
        status: ExitStatus,
    },
    /// What an ended process left in its cgroup is gone, or was to stay; or it has no cgroup.
    Emptied {
        /// Whose.
        instance: InstanceId,
        /// What it met.
        resource_events: ResourceEvents,
    },
    /// Everything it wrote before its exit is in its logs.
    Drained(InstanceId),
    /// A signal was delivered, or refused by the kernel.
    Signalled {
        /// Whose.
        instance: InstanceId,
        /// The signal.
        signal: Signal,
        /// ESRCH: it is gone already.
        result: Result<(), Errno>,
    },
    /// Whether another image of the daemon can take over, see [`super::Action::Upgrade`].
    SuccessorExamined {
        /// Of the request; none: it was answered before, and the plan has come to nothing since.
        ticket: Option<Ticket>,
        /// Why not.
        result: Result<(), String>,
    },
    /// In place of [`Input::Began`]: a predecessor has handed over.
    Resumed(ResumeKind),
    /// The deadline of [`super::Fleet::next_deadline`] has come.
    DeadlineReached,
    /// A client asks.
    Asked {
        /// To be answered exactly once with [`super::Action::Answer`].
        ticket: Ticket,
        /// Who.
        caller: Caller,
        /// What they may touch.
        grant: Grant,
        /// What they want.
        request: Request,
    },
    /// A command was looked up for a client, see [`super::Action::Check`].
    Checked {
        /// Of the request.
        ticket: Ticket,
        /// The verdict.
        result: Result<(), SpawnError>,
    },
    /// The sockets of a group were tried, see [`super::Action::TrySockets`].
    SocketsTried {
        /// Of the request.
        ticket: Ticket,
        /// The verdict.
        result: Result<(), SpawnError>,
    },
    /// The configuration was read.
    Loaded {
        /// Why.
        reason: LoadReason,
        /// What came of it.
        result: Result<Arc<Config>, LoadError>,
    },
    /// Processes were made, see [`super::Action::Compose`].
    Composed {
        /// Of the request.
        ticket: Ticket,
        /// The processes, or the sentence for what is wrong with their section.
        result: Result<Box<GroupChangeResult>, String>,
    },
    /// Logs were cleared, see [`super::Action::ClearLogs`].
    Cleared {
        /// Of the request.
        ticket: Ticket,
        /// Whose.
        slot: u32,
        /// EACCES and the like.
        result: Result<(), Errno>,
    },
    /// The daemon's log was cleared, see [`super::Action::ClearDaemonLog`].
    DaemonLogCleared {
        /// Of the request.
        ticket: Ticket,
        /// ENOENT: there was none.
        result: Result<(), Errno>,
    },
    /// Bytes were taken for a process's standard input, or refused.
    StdinTaken {
        /// Of the request.
        ticket: Ticket,
        /// EPIPE: it is closed; EAGAIN: its queue is full.
        result: Result<(), Errno>,
    },
    /// A process wrote to a channel with events enabled, or between capture tokens.
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
    /// A process said something of itself: it, and nobody else.
    Notified(InstanceId, NotifyMessage),
    /// Somebody else spoke in the name of a process, in vain.
    ForeignNotify {
        /// In whose name.
        instance: InstanceId,
        /// Who, by the kernel's word; 0: that is not known here.
        sender: i32,
        /// As which user.
        uid: u32,
    },
    /// Everything that it said until [`super::Action::PollNotify`] was asked for has been told.
    NotifyPolled(InstanceId),
    /// A listener said something.
    ListenerOutput(InstanceId, ListenerOutput),
    /// An event did not reach its listener. EPIPE: it reads no more; EAGAIN: it has not read what it acknowledged.
    NotDelivered(InstanceId, Errno),
    /// A signal came to the daemon.
    Received(DaemonSignal),
}
