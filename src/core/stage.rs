//! Where one process stands, finer than its [`ProcessState`]: what the shell owes us is part of it, so that pairs that
//! make no sense cannot be written down. It must not know groups, clients or clocks.
//!
//! ```text
//! Stopped ─start→ Resolving → Preparing → Spawning → Starting → Running ─exit→ Reaped → Exited ─autorestart→ Resolving
//!    ↑                │ fail      │ fail      │ fail     │ exit      │                       Backoff ─retry→ Resolving
//!    │                └───────────┴───────────┴→ Backoff ┤ (Reaped)  │                          └─too often→ Fatal
//!    └──── Reaped ←exit─ Stopping ←stop──────────────────┴───────────┘
//!                          ↑ StopPending ←stop─ Spawning
//!
//! Starting, Running, Stopping ─signal refused→ Unknown ─exit→ Reaped → Backoff, Exited or Stopped
//!
//! With readiness of its own:    Spawning → AwaitingReady ─ready→ Running ─watchdog→ Terminating ─exit→ Reaped → Exited
//!                                            └─timeout→ Terminating ─exit→ Reaped → Backoff
//! ```
//!
//! Where a restart follows at once, resolving and preparing begin with Reaped (`process::NextAttempt`): the stages are the
//! same, and passed sooner.

use serde::{Deserialize, Serialize};

use crate::domain::{ExitStatus, InstanceId, ProcessState, Tick};

/// Where one process stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Stage {
    /// Stopped on request, or never started.
    Stopped,
    /// Ended by itself; may wait for its automatic restart.
    Exited {
        /// When it is started again; [`Tick::NEVER`]: not by itself.
        restart_at: Tick,
    },
    /// Given up on.
    Fatal,
    /// Failed; waits for the next attempt.
    Backoff {
        /// When; [`Tick::NEVER`] while the daemon stops.
        retry_at: Tick,
    },
    /// STARTING: the command is being looked up.
    Resolving(InstanceId),
    /// STARTING: pipes are being made, logs opened.
    Preparing(InstanceId),
    /// STARTING: the kernel was asked for a process.
    Spawning(InstanceId),
    /// STARTING: it runs, not yet for `startsecs`.
    Starting {
        /// Which instance.
        #[serde(rename = "life")]
        instance: InstanceId,
        /// The kernel's number.
        pid: i32,
        /// When it counts as RUNNING.
        promote_at: Tick,
    },
    /// STARTING: it runs, and has not said yet that it is ready.
    #[serde(rename = "Waking")]
    AwaitingReady {
        /// Which instance.
        #[serde(rename = "life")]
        instance: InstanceId,
        /// The kernel's number.
        pid: i32,
        /// When it must be; [`Tick::NEVER`]: some time.
        ready_by: Tick,
    },
    /// STARTING or RUNNING: it is being ended, since it has not done what it had to.
    #[serde(rename = "Failing")]
    Terminating {
        /// Which instance.
        #[serde(rename = "life")]
        instance: InstanceId,
        /// The kernel's number.
        pid: i32,
        /// What it has not done.
        why: TerminationReason,
        /// When SIGKILL follows, for the first time or again.
        kill_at: Tick,
    },
    /// RUNNING.
    Running {
        /// Which instance.
        #[serde(rename = "life")]
        instance: InstanceId,
        /// The kernel's number.
        pid: i32,
    },
    /// STOPPING: asked to stop while the kernel was being asked for a process; the signal goes out when it is there.
    #[serde(rename = "Aborting")]
    StopPending(InstanceId),
    /// STOPPING: the stop signal is out.
    Stopping {
        /// Which instance.
        #[serde(rename = "life")]
        instance: InstanceId,
        /// The kernel's number.
        pid: i32,
        /// When SIGKILL follows.
        kill_at: Tick,
        /// The kernel has taken (or missed) the stop signal.
        sent: bool,
        /// SIGKILL was sent: nothing more can be done but to wait.
        killed: bool,
    },
    /// Reaped; what it left behind is being killed, then its last output is being written out. No signal may be sent any
    /// more.
    #[serde(rename = "Dying")]
    Reaped {
        /// Which instance.
        #[serde(rename = "life")]
        instance: InstanceId,
        /// The kernel's former number, for events.
        pid: i32,
        /// How it ended.
        status: ExitStatus,
        /// What it was.
        #[serde(rename = "was")]
        at_exit: StageAtExit,
        /// What is waited for.
        #[serde(rename = "rite")]
        reap_step: ReapStep,
        /// When we go on without that.
        drain_by: Tick,
    },
    /// The kernel refused a signal to it. Its exit leads out of this.
    Unknown {
        /// The process. `None`: an older daemon saw its exit.
        alive: Option<(InstanceId, i32)>,
    },
}

/// What is done for a dying process before its end is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum ReapStep {
    /// What it left in its cgroup is being looked after.
    Emptying,
    /// Its last output is being written out.
    Draining,
}

/// What a dying process was when it ended, and with that what becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum StageAtExit {
    /// STARTING, and it ended too early.
    TooQuick,
    /// STARTING, but it had stayed up for `startsecs`.
    Unpromoted,
    /// STARTING, and it ended before it was ready.
    Unready,
    /// Being ended by us.
    Failed(TerminationReason),
    /// RUNNING.
    Running,
    /// STOPPING.
    Stopping,
    /// UNKNOWN.
    Unknown,
}

/// Why a process is ended without anybody's wish.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum TerminationReason {
    /// STARTING, and not ready in time.
    NotReady,
    /// STARTING, and it said itself that nothing will come of it.
    #[serde(rename = "GaveUp")]
    NotifiedFailure,
    /// RUNNING, and it gave no watchdog message.
    #[serde(rename = "Starved")]
    WatchdogTimeout,
    /// RUNNING, and it said itself that it is not well.
    #[serde(rename = "Triggered")]
    WatchdogTrigger,
}

impl TerminationReason {
    /// The state that it has until it has ended.
    const fn state(self) -> ProcessState {
        match self {
            Self::NotReady | Self::NotifiedFailure => ProcessState::Starting,
            Self::WatchdogTimeout | Self::WatchdogTrigger => ProcessState::Running,
        }
    }
}

impl Stage {
    /// The state that clients see.
    pub(super) const fn state(&self) -> ProcessState {
        match self {
            Self::Stopped => ProcessState::Stopped,
            Self::Exited { .. } => ProcessState::Exited,
            Self::Fatal => ProcessState::Fatal,
            Self::Backoff { .. } => ProcessState::Backoff,
            Self::Resolving(_)
            | Self::Preparing(_)
            | Self::Spawning(_)
            | Self::Starting { .. }
            | Self::AwaitingReady { .. } => ProcessState::Starting,
            Self::Terminating { why, .. } => why.state(),
            Self::Running { .. } => ProcessState::Running,
            Self::StopPending(_) | Self::Stopping { .. } => ProcessState::Stopping,
            Self::Reaped { at_exit, .. } => match at_exit {
                StageAtExit::TooQuick | StageAtExit::Unpromoted | StageAtExit::Unready => {
                    ProcessState::Starting
                }
                StageAtExit::Failed(why) => why.state(),
                StageAtExit::Running => ProcessState::Running,
                StageAtExit::Stopping => ProcessState::Stopping,
                StageAtExit::Unknown => ProcessState::Unknown,
            },
            Self::Unknown { .. } => ProcessState::Unknown,
        }
    }

    /// The instance that the shell knows of, if there is one.
    pub(super) const fn instance(&self) -> Option<InstanceId> {
        match *self {
            Self::Stopped | Self::Exited { .. } | Self::Fatal | Self::Backoff { .. } => None,
            Self::Resolving(instance)
            | Self::Preparing(instance)
            | Self::Spawning(instance)
            | Self::StopPending(instance)
            | Self::Starting { instance, .. }
            | Self::AwaitingReady { instance, .. }
            | Self::Terminating { instance, .. }
            | Self::Running { instance, .. }
            | Self::Stopping { instance, .. }
            | Self::Reaped { instance, .. } => Some(instance),
            Self::Unknown { alive } => match alive {
                Some((instance, _)) => Some(instance),
                None => None,
            },
        }
    }

    /// Whether the next daemon does the same for a record of `before` as for a record of this stage. It begins an attempt again
    /// if no process can exist yet, in Resolving and in Preparing.
    pub(super) fn recovers_same_as(&self, before: &Self) -> bool {
        matches!((before, self), (Self::Resolving(before), Self::Preparing(now)) if before == now)
    }

    /// The kernel's number for clients and events; 0 if there is none.
    pub(super) const fn pid(&self) -> i32 {
        match *self {
            Self::Stopped
            | Self::Exited { .. }
            | Self::Fatal
            | Self::Backoff { .. }
            | Self::Resolving(_)
            | Self::Preparing(_)
            | Self::Spawning(_)
            | Self::StopPending(_) => 0,
            Self::Starting { pid, .. }
            | Self::AwaitingReady { pid, .. }
            | Self::Terminating { pid, .. }
            | Self::Running { pid, .. }
            | Self::Stopping { pid, .. }
            | Self::Reaped { pid, .. } => pid,
            Self::Unknown { alive } => match alive {
                Some((_, pid)) => pid,
                None => 0,
            },
        }
    }

    /// The process a signal or a byte for standard input can reach. A reaped one is none: its number may be somebody
    /// else's by now.
    pub(super) const fn reachable(&self) -> Option<(InstanceId, i32)> {
        match *self {
            Self::Starting { instance, pid, .. }
            | Self::AwaitingReady { instance, pid, .. }
            | Self::Terminating { instance, pid, .. }
            | Self::Running { instance, pid }
            | Self::Stopping { instance, pid, .. } => Some((instance, pid)),
            Self::Unknown { alive } => alive,
            Self::Stopped
            | Self::Exited { .. }
            | Self::Fatal
            | Self::Backoff { .. }
            | Self::Resolving(_)
            | Self::Preparing(_)
            | Self::Spawning(_)
            | Self::StopPending(_)
            | Self::Reaped { .. } => None,
        }
    }

    /// What a process left behind is being looked after; its output is not to be drained before.
    pub(super) const fn is_emptying(&self) -> bool {
        matches!(
            self,
            Self::Reaped {
                reap_step: ReapStep::Emptying,
                ..
            }
        )
    }

    /// When something happens by itself; [`Tick::NEVER`]: nothing does.
    pub(super) const fn deadline(&self) -> Tick {
        match *self {
            Self::Exited { restart_at } => restart_at,
            Self::Backoff { retry_at } => retry_at,
            Self::Starting { promote_at, .. } => promote_at,
            Self::AwaitingReady { ready_by, .. } => ready_by,
            Self::Terminating { kill_at, .. } => kill_at,
            Self::Stopping { kill_at, .. } => kill_at,
            Self::Reaped { drain_by, .. } => drain_by,
            Self::Stopped
            | Self::Fatal
            | Self::Resolving(_)
            | Self::Preparing(_)
            | Self::Spawning(_)
            | Self::Running { .. }
            | Self::StopPending(_)
            | Self::Unknown { .. } => Tick::NEVER,
        }
    }
}
