//! Actions: what the core asks the shell to do.

use std::sync::Arc;

use crate::api::{AuditEntry, Caller, Fault, Reply, Ticket};
use crate::config::spec::{CgroupLimits, ProcessSpec};
use crate::domain::{
    Change, InstanceId, Line, ListenerState, LogPaths, ProgramRuns, QualifiedName, Signal,
};
use crate::effects::{LoaderEffect, OutputEffect, ScriptEffect, SpawnerEffect};

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
    /// The daemon exits with this status, because a program has ended.
    ShutdownWith(u8),
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
    /// An effect of the output threads.
    Output(OutputEffect),
    /// An effect of the spawner threads.
    Spawner(SpawnerEffect),
    /// An effect of the loader thread.
    Loader(LoaderEffect),
    /// An effect of the script thread.
    Script(ScriptEffect),
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
    /// Create the process. Answered with [`SpawnerOutcome::Spawned`] or `Failed`.
    ///
    /// [`SpawnerOutcome::Spawned`]: crate::effects::SpawnerOutcome::Spawned
    Spawn(InstanceId, Arc<ProcessSpec>),
    /// The process requested with [`Action::Spawn`] is no longer wanted. The spawn is still answered, and soon if it
    /// was held up.
    CallOff(InstanceId),
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
    /// Write a line to the activity log.
    Log(Line),
    /// Write a line to the audit trail.
    Audit(AuditLine),
    /// Store the last runs of a process, where a later daemon finds them.
    StoreRuns(QualifiedName, Arc<ProgramRuns>),
    /// Publish an event to subscribers.
    Publish(Arc<Change>),
    /// Answer a client.
    Answer(Ticket, Result<Reply, Fault>),
    /// Everything has stopped: leave the engine's loop.
    Finish(DaemonOutcome),
}
