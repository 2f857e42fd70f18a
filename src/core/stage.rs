//! The stage of one process: finer than its [`ProcessState`], because it also records which answer of the shell the
//! core awaits. Each stage holds only the data that is valid in it, so an impossible combination cannot be expressed.
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
//! If a process restarts without a delay, resolving and preparing start while it is still Reaped
//! (`process::NextAttempt`). The stages are the same, only shorter.

use serde::{Deserialize, Serialize};

use crate::domain::{ExitStatus, InstanceId, ProcessState, Tick};

/// The stage of one process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Stage {
    /// STOPPED: stopped on request, or never started.
    Stopped,
    /// EXITED: the process exited on its own. It may wait for its automatic restart.
    Exited {
        /// When the process is restarted. [`Tick::NEVER`]: no automatic restart.
        restart_at: Tick,
    },
    /// FATAL: all start attempts failed.
    Fatal,
    /// BACKOFF: the last attempt failed. The process waits for the next one.
    Backoff {
        /// When the next attempt starts. [`Tick::NEVER`] while the daemon stops.
        retry_at: Tick,
    },
    /// STARTING: the spawn thread looks up the command.
    Resolving(InstanceId),
    /// STARTING: the output thread makes pipes and opens logs.
    Preparing(InstanceId),
    /// STARTING: the spawn thread creates the process.
    Spawning(InstanceId),
    /// STARTING: the process exists, but has not run for `startsecs` yet.
    Starting {
        /// The running instance.
        #[serde(rename = "life")]
        instance: InstanceId,
        /// The PID.
        pid: i32,
        /// When the process becomes RUNNING.
        promote_at: Tick,
    },
    /// STARTING: the process exists and has not reported that it is ready.
    #[serde(rename = "Waking")]
    AwaitingReady {
        /// The running instance.
        #[serde(rename = "life")]
        instance: InstanceId,
        /// The PID.
        pid: i32,
        /// Deadline for readiness. [`Tick::NEVER`]: no deadline.
        ready_by: Tick,
    },
    /// STARTING or RUNNING: the daemon terminates the process after a readiness or watchdog failure.
    #[serde(rename = "Failing")]
    Terminating {
        /// The running instance.
        #[serde(rename = "life")]
        instance: InstanceId,
        /// The PID.
        pid: i32,
        /// Why the daemon terminates the process.
        why: TerminationReason,
        /// When SIGKILL is sent, for the first time or again.
        kill_at: Tick,
    },
    /// RUNNING: the process is up.
    Running {
        /// The running instance.
        #[serde(rename = "life")]
        instance: InstanceId,
        /// The PID.
        pid: i32,
    },
    /// STOPPING: a stop was requested while the spawn thread created the process. The stop signal is sent once the
    /// process exists.
    #[serde(rename = "Aborting")]
    StopPending(InstanceId),
    /// STOPPING: the stop signal was sent.
    Stopping {
        /// The running instance.
        #[serde(rename = "life")]
        instance: InstanceId,
        /// The PID.
        pid: i32,
        /// When SIGKILL is sent.
        kill_at: Tick,
        /// The kernel accepted the stop signal, or the process was gone already.
        sent: bool,
        /// SIGKILL was sent. The daemon can only wait for the exit.
        killed: bool,
    },
    /// The daemon reaped the process. First the rest of its cgroup is killed, then the rest of its output is written
    /// out. No signal may be sent any more, since the PID may be reused.
    #[serde(rename = "Dying")]
    Reaped {
        /// The instance that exited.
        #[serde(rename = "life")]
        instance: InstanceId,
        /// The PID that the process had, for events.
        pid: i32,
        /// The exit status.
        status: ExitStatus,
        /// The stage in which the process exited.
        #[serde(rename = "was")]
        at_exit: StageAtExit,
        /// The step in progress.
        #[serde(rename = "rite")]
        reap_step: ReapStep,
        /// When the core continues even if the step has not finished.
        drain_by: Tick,
    },
    /// UNKNOWN: the kernel refused a signal to the process. The process leaves this stage when it exits.
    Unknown {
        /// The instance and its PID. `None`: an older daemon saw the exit.
        alive: Option<(InstanceId, i32)>,
    },
}

/// Work that must finish before the exit of a reaped process is published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum ReapStep {
    /// The `cgroups` thread handles the processes left in its cgroup.
    Emptying,
    /// The output thread writes out the rest of its output.
    Draining,
}

/// The stage in which a process exited. It decides what follows the exit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum StageAtExit {
    /// STARTING, and the process exited before `startsecs`.
    TooQuick,
    /// STARTING, but the process had run for `startsecs`.
    Unpromoted,
    /// STARTING, and the process exited before it was ready.
    Unready,
    /// The daemon terminated the process.
    Failed(TerminationReason),
    /// RUNNING.
    Running,
    /// STOPPING.
    Stopping,
    /// UNKNOWN.
    Unknown,
}

/// Why the daemon terminates a process without a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum TerminationReason {
    /// STARTING, and not ready before the deadline.
    NotReady,
    /// STARTING, and the process itself reported a failure (`WATCHDOG=trigger`).
    #[serde(rename = "GaveUp")]
    NotifiedFailure,
    /// RUNNING, and no watchdog message came in time.
    #[serde(rename = "Starved")]
    WatchdogTimeout,
    /// RUNNING, and the process itself reported a failure (`WATCHDOG=trigger`).
    #[serde(rename = "Triggered")]
    WatchdogTrigger,
}

impl TerminationReason {
    /// Returns the state that the process keeps until it exits.
    const fn state(self) -> ProcessState {
        match self {
            Self::NotReady | Self::NotifiedFailure => ProcessState::Starting,
            Self::WatchdogTimeout | Self::WatchdogTrigger => ProcessState::Running,
        }
    }
}

impl Stage {
    /// Returns the state that clients see.
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

    /// Returns the instance that the shell holds resources for. `None`: there is none.
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

    /// Returns whether recovery treats a record of `before` and a record of this stage alike. In Resolving and in
    /// Preparing no process can exist yet, so the next daemon starts the attempt again for both.
    pub(super) fn recovers_same_as(&self, before: &Self) -> bool {
        matches!((before, self), (Self::Resolving(before), Self::Preparing(now)) if before == now)
    }

    /// Returns the PID for clients and events. 0: no process.
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

    /// Returns the process that can receive a signal or standard input. `None`: there is none, or it is reaped and its
    /// PID may belong to another process.
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

    /// Returns whether the processes left in the cgroup are still being handled. The output must not be drained before
    /// that.
    pub(super) const fn is_emptying(&self) -> bool {
        matches!(
            self,
            Self::Reaped {
                reap_step: ReapStep::Emptying,
                ..
            }
        )
    }

    /// Returns when the stage changes without an input. [`Tick::NEVER`]: it does not.
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
