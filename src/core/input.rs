//! Inputs of the core.

use serde::{Deserialize, Serialize};

use super::NotifyMessage;
use crate::api::{Caller, Grant, Request, Ticket};
use crate::domain::{Errno, ExitStatus, InstanceId, ResourceEvents, Signal};
use crate::effects::{LoaderOutcome, OutputOutcome, ScriptOutcome, SpawnerOutcome};

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
    /// An outcome or report of the output threads.
    Output(OutputOutcome),
    /// An outcome of the spawner threads.
    Spawner(SpawnerOutcome),
    /// An outcome of the loader thread.
    Loader(LoaderOutcome),
    /// An outcome of the script thread.
    Script(ScriptOutcome),
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
    /// The wall clock was set.
    ClockSet,
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
    /// The daemon received a signal.
    Received(DaemonSignal),
}
