//! Actions: what the core asks the shell to do.

use std::path::Path;
use std::sync::Arc;

use super::LoadReason;
use crate::api::{AuditEntry, Caller, Fault, Reply, Ticket};
use crate::config::spec::{CgroupLimits, GroupChange, GroupSpec, ProcessSpec};
use crate::domain::{
    Change, Envelope, InstanceId, Line, ListenerState, LogPaths, OutputEvents, Signal,
};

/// The actions of one call of `handle`, in order.
pub type Actions = Vec<Action>;

/// Which processes a signal reaches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SignalScope {
    /// Only the process itself.
    Process,
    /// Its whole process group.
    Group,
}

/// How a run of the daemon ends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DaemonOutcome {
    /// The daemon exits.
    Shutdown,
    /// The daemon starts a new run in the same process.
    Restart,
}

/// One line of the audit trail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditLine {
    /// The caller of the request.
    pub caller: Caller,
    /// The requested change.
    pub entry: AuditEntry,
    /// Why it was refused. `None`: accepted.
    pub fault: Option<Fault>,
}

/// One action. The shell performs it and makes no decisions.
#[derive(Debug, Clone, PartialEq)]
pub enum Action {
    /// Look up the command. Answered with [`super::Input::Resolved`] or `SpawnFailed`.
    Resolve(InstanceId, Arc<ProcessSpec>),
    /// Make pipes, store them where a successor finds them, and open the logs. Answered with [`super::Input::Prepared`]
    /// or `SpawnFailed`.
    Prepare(InstanceId, Arc<ProcessSpec>, LogPaths),
    /// Resolve and prepare the next attempt while the output of the previous instance is written out. Both are
    /// answered, in any order; either may be answered with `SpawnFailed`. Preparing fails instead of creating a log
    /// file, since the command may be missing.
    PrepareNext(InstanceId, Arc<ProcessSpec>, LogPaths),
    /// Adopt an instance that the previous daemon started. Not answered.
    Adopt {
        /// The instance.
        instance: InstanceId,
        /// Its PID.
        pid: i32,
        /// Its configuration.
        spec: Arc<ProcessSpec>,
        /// The paths of its logs.
        logs: LogPaths,
        /// The state of an event listener. `None`: the process is no listener.
        listener: Option<ListenerState>,
    },
    /// Examine whether the program on disk can take over, and hand over if it can. Answered with
    /// [`super::Input::SuccessorExamined`].
    Upgrade(Ticket),
    /// Create the process. Answered with [`super::Input::Spawned`] or `SpawnFailed`.
    Spawn(InstanceId, Arc<ProcessSpec>),
    /// The process requested with [`Action::Spawn`] is no longer wanted. The spawn is still answered, and soon if it
    /// was held up.
    CallOff(InstanceId),
    /// Start to read the output of the process with this PID. Sent after `Spawned` was handled, because events about
    /// output contain the PID.
    Read(InstanceId, i32),
    /// Read all pending notify messages of the instance. Answered with [`super::Input::Notified`] for each message and
    /// then always with [`super::Input::NotifyPolled`], before any later message.
    PollNotify(InstanceId),
    /// Send a signal. Answered with [`super::Input::Signalled`].
    Signal {
        /// The receiver.
        instance: InstanceId,
        /// The signal.
        signal: Signal,
        /// The process alone or its process group.
        scope: SignalScope,
    },
    /// Write out what the pipes of the instance hold and close them. Answered with [`super::Input::Drained`]. It also
    /// undoes a `Prepare` or `PrepareNext` that is not used; the core ignores the answer then.
    Drain(InstanceId),
    /// Read which limits the exited process hit and, if wanted, kill the processes left in its cgroup. Sent for
    /// processes with keys that need a cgroup. Answered with [`super::Input::Emptied`] when there is nothing left to
    /// kill.
    Empty {
        /// The instance that exited.
        instance: InstanceId,
        /// Whether to kill the processes left in the cgroup.
        kill: bool,
    },
    /// Apply changed limits to a running instance.
    Limit(InstanceId, Arc<CgroupLimits>),
    /// The instance has exited and its exit was published: close its socket if no other instance holds it. Sent only
    /// for instances that have a socket.
    Release(InstanceId),
    /// Make the sockets of a group and close them again. Answered with [`super::Input::SocketsTried`].
    TrySockets(Ticket, Arc<GroupSpec>),
    /// Look up the command for a client. Answered with [`super::Input::Checked`].
    Check(Ticket, Arc<ProcessSpec>),
    /// Create these AUTO logs, empty and with mode 0600.
    CreateLogs(Vec<Arc<Path>>),
    /// Remove the logs of a process and reopen them if it runs. Answered with [`super::Input::Cleared`].
    ClearLogs {
        /// The request.
        ticket: Ticket,
        /// The slot of the process. The output thread finds its current instance, if there is one, by the slot.
        slot: u32,
        /// The files to clear.
        logs: LogPaths,
    },
    /// Remove the daemon's log and reopen it. Answered with [`super::Input::DaemonLogCleared`].
    ClearDaemonLog(Ticket),
    /// Close all logs and open them again by name.
    ReopenLogs,
    /// Write bytes to the standard input of an instance. Answered with [`super::Input::StdinTaken`].
    WriteStdin {
        /// The request.
        ticket: Ticket,
        /// The instance.
        instance: InstanceId,
        /// The bytes.
        data: Vec<u8>,
    },
    /// Read the configuration. Answered with [`super::Input::Loaded`].
    Load(LoadReason),
    /// Make processes from a section. Looking up users may block, so the loader thread does it. Answered with
    /// [`super::Input::Composed`].
    Compose(Ticket, GroupChange),
    /// Write a line to the activity log.
    Log(Line),
    /// Write a line to the audit trail.
    Audit(AuditLine),
    /// Send an event to a listener. Answered with [`super::Input::NotDelivered`] if that fails.
    Deliver(InstanceId, Envelope),
    /// From now on report only these kinds of process output as inputs. Initially: none.
    Report(OutputEvents),
    /// Publish an event to subscribers.
    Publish(Arc<Change>),
    /// Answer a client.
    Answer(Ticket, Result<Reply, Fault>),
    /// Everything has stopped: leave the engine's loop.
    Finish(DaemonOutcome),
}
