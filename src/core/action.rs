//! What the core wants done.

use std::path::Path;
use std::sync::Arc;

use super::LoadReason;
use crate::api::{AuditEntry, Caller, Fault, Reply, Ticket};
use crate::config::spec::{CgroupLimits, GroupChange, GroupSpec, ProcessSpec};
use crate::domain::{
    Envelope, Event, InstanceId, Line, ListenerState, LogPaths, OutputEvents, Signal,
};

/// The actions of one call of `handle`, in order.
pub type Actions = Vec<Action>;

/// Whom a signal reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalScope {
    /// The process alone.
    Process,
    /// Its process group.
    Group,
}

/// How the engine ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DaemonOutcome {
    /// End the daemon.
    Shutdown,
    /// Start again in place.
    Restart,
}

/// One change, for the audit trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditLine {
    /// Who asked.
    pub caller: Caller,
    /// What is to change.
    pub entry: AuditEntry,
    /// None: accepted.
    pub fault: Option<Fault>,
}

/// What the core wants done. Imperative: the shell does it and decides nothing.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Look the command up; answer [`super::Input::Resolved`] or `SpawnFailed`.
    Resolve(InstanceId, Arc<ProcessSpec>),
    /// Make pipes, where a successor finds them too, and open logs; answer [`super::Input::Prepared`] or `SpawnFailed`.
    Prepare(InstanceId, Arc<ProcessSpec>, LogPaths),
    /// Both for the next attempt of a process, while the output of its last instance is written out. Answer both, in any order;
    /// `SpawnFailed` may come for either. No log is created, since the command may be missing: then preparing fails.
    PrepareNext(InstanceId, Arc<ProcessSpec>, LogPaths),
    /// Take an instance over that a predecessor began. Not answered.
    Adopt {
        /// Which.
        instance: InstanceId,
        /// The kernel's number.
        pid: i32,
        /// Its configuration.
        spec: Arc<ProcessSpec>,
        /// Where its streams are written.
        logs: LogPaths,
        /// For a listener: where it stands.
        listener: Option<ListenerState>,
    },
    /// Ask the program that this image was started from whether it can take over; answer
    /// [`super::Input::SuccessorExamined`], and if it can, hand over.
    Upgrade(Ticket),
    /// Run it; answer [`super::Input::Spawned`] or `SpawnFailed`.
    Spawn(InstanceId, Arc<ProcessSpec>),
    /// The process that was asked for with [`Action::Spawn`] is not wanted any more. That is answered all the same; if it is
    /// held up, soon.
    CallOff(InstanceId),
    /// Begin to read what the process of this pid writes. Not before its number is known, which events about its output tell.
    Read(InstanceId, i32),
    /// Read what it has said of itself up to now: [`super::Input::Notified`] for each message, and then, in any case and
    /// before anything else of it, [`super::Input::NotifyPolled`].
    PollNotify(InstanceId),
    /// Send a signal; answer [`super::Input::Signalled`].
    Signal {
        /// To whom.
        instance: InstanceId,
        /// Which.
        signal: Signal,
        /// How far.
        scope: SignalScope,
    },
    /// Write out what its pipes held, close them; answer [`super::Input::Drained`]. Also sent to undo a `Prepare`
    /// or `PrepareNext` of which nothing comes (no answer is awaited then, a stale one is dropped).
    Drain(InstanceId),
    /// Its process, which has keys that need a cgroup, has ended: find out which limits it met, and kill what it left in
    /// its cgroup if that is wanted; answer [`super::Input::Emptied`] when nothing is left to kill.
    Empty {
        /// Whose.
        instance: InstanceId,
        /// What is left is killed.
        kill: bool,
    },
    /// Its limits have changed while it runs.
    Limit(InstanceId, Arc<CgroupLimits>),
    /// The instance has ended, and everything of it is told: its socket may be closed if nobody else has it. Sent for instances
    /// that have one.
    Release(InstanceId),
    /// Make the sockets of a group and close them again; answer [`super::Input::SocketsTried`].
    TrySockets(Ticket, Arc<GroupSpec>),
    /// Look the command up for a client; answer [`super::Input::Checked`].
    Check(Ticket, Arc<ProcessSpec>),
    /// Create these AUTO logs, empty, mode 0600.
    CreateLogs(Vec<Arc<Path>>),
    /// Remove the logs of a process and open them anew if it runs; answer [`super::Input::Cleared`].
    ClearLogs {
        /// Of the request.
        ticket: Ticket,
        /// Whose; its current instance, if it has one, is known to the output thread by slot.
        slot: u32,
        /// Which files.
        logs: LogPaths,
    },
    /// Remove the daemon's log and open it anew; answer [`super::Input::DaemonLogCleared`].
    ClearDaemonLog(Ticket),
    /// Close and open all logs by name.
    ReopenLogs,
    /// Hand bytes to standard input; answer [`super::Input::StdinTaken`].
    WriteStdin {
        /// Of the request.
        ticket: Ticket,
        /// Whose.
        instance: InstanceId,
        /// The bytes.
        data: Vec<u8>,
    },
    /// Read the configuration; answer [`super::Input::Loaded`].
    Load(LoadReason),
    /// Make processes of a section, where looking users up may stall; answer [`super::Input::Composed`].
    Compose(Ticket, GroupChange),
    /// Write a line to the activity log.
    Log(Line),
    /// Write a line to the audit trail.
    Audit(AuditLine),
    /// Hand an event to a listener; answer [`super::Input::NotDelivered`] if that fails.
    Deliver(InstanceId, Envelope),
    /// From now on report these of what processes write, and no others. At the start: none.
    Report(OutputEvents),
    /// Tell subscribers.
    Publish(Arc<Event>),
    /// Answer a client.
    Answer(Ticket, Result<Reply, Fault>),
    /// Everything is stopped: leave the loop.
    Finish(DaemonOutcome),
}
