//! The stage of one process: finer than its [`ProcessState`], because it also records which answer of the shell the
//! core awaits. Each stage holds only the data that is valid in it, so an impossible combination cannot be expressed.
//!
//! A stage has an outer shape, which says whether a process exists, and details within it. Other files match on the shape
//! or call a method of [`Stage`]. Only this file, `stage_record` and `transitions` name every stage: the compiler points
//! at the first two when a stage is added, and at `transitions` when its [`StageKind`] is added.
//!
//! The stages that may follow each other, generated from the table in `transitions`:
#![doc = include_str!("stages.md")]

use serde::{Deserialize, Serialize};

use crate::domain::{ExitStatus, InstanceId, ProcessState, Tick};

/// The stage of one process. `stage_record` has its written forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// There is no process, and no attempt to start one is in progress.
    Idle(Idle),
    /// STARTING or STOPPING: an attempt is in progress, and its process does not exist yet.
    Attempt {
        /// The instance of the attempt.
        instance: InstanceId,
        /// The step in progress.
        step: AttemptStep,
    },
    /// The process exists.
    Alive {
        /// The running instance.
        instance: InstanceId,
        /// The PID.
        pid: i32,
        /// How far it is.
        phase: AlivePhase,
    },
    /// The daemon reaped the process. First the rest of its cgroup is killed, then the rest of its output is written
    /// out. No signal may be sent any more, since the PID may be reused.
    Reaped {
        /// The instance that exited.
        instance: InstanceId,
        /// The PID that the process had, for events.
        pid: i32,
        /// The exit status.
        status: ExitStatus,
        /// The stage in which the process exited.
        at_exit: StageAtExit,
        /// The step in progress.
        reap_step: ReapStep,
        /// When the core continues even if the step has not finished.
        drain_by: Tick,
    },
}

/// Why there is no process, and what is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Idle {
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
    /// STOPPED: a start was requested or is due, and what the process depends on is not up yet.
    Waiting,
    /// UNKNOWN: an older daemon saw the exit of an UNKNOWN process and left it in this state.
    UnknownGone,
}

/// A step of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AttemptStep {
    /// STARTING: the spawn thread looks up the command.
    Resolving,
    /// STARTING: `pre_start_hook` runs.
    PreStart,
    /// STARTING: the output thread makes pipes and opens logs.
    Preparing,
    /// STARTING: the spawn thread creates the process.
    Spawning,
    /// STOPPING: a stop was requested during the attempt. If the spawn thread creates the process nevertheless, the stop
    /// signal is sent as soon as the process exists.
    StopPending,
}

/// How far a process is that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AlivePhase {
    /// STARTING: the process has not run for `startsecs` yet.
    Starting {
        /// When the process becomes RUNNING.
        promote_at: Tick,
    },
    /// STARTING: the process has not reported that it is ready.
    AwaitingReady {
        /// Deadline for readiness. [`Tick::NEVER`]: no deadline.
        ready_by: Tick,
    },
    /// RUNNING: the process is up.
    Running,
    /// STARTING or RUNNING: the daemon terminates the process after a readiness or watchdog failure.
    Terminating {
        /// Why the daemon terminates the process.
        why: TerminationReason,
        /// When SIGKILL is sent, for the first time or again.
        kill_at: Tick,
    },
    /// STOPPING: `pre_stop_hook` or `stop_command` runs, and no stop signal was sent.
    PreStop {
        /// What runs or has run.
        step: PreStopStep,
        /// When the next step begins, whatever the hook does.
        until: Tick,
    },
    /// STOPPING: the stop signal was sent.
    Stopping {
        /// When SIGKILL is sent.
        kill_at: Tick,
        /// The kernel accepted the stop signal, or the process was gone already.
        sent: bool,
        /// SIGKILL was sent. The daemon can only wait for the exit.
        killed: bool,
        /// Which signal of the list of stop signals was sent last. 0: the first one.
        signal_index: u8,
    },
    /// UNKNOWN: the kernel refused a signal to the process. The process leaves this phase when it exits.
    Unknown,
}

/// A step of a stop before the stop signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum PreStopStep {
    /// `pre_stop_hook` runs.
    Hook,
    /// `stop_command` runs or has succeeded, and the process is expected to exit.
    Command,
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
    /// RUNNING, and the health check failed as often as allowed.
    Unhealthy,
}

impl TerminationReason {
    /// Returns the state that the process keeps until it exits.
    const fn state(self) -> ProcessState {
        match self {
            Self::NotReady | Self::NotifiedFailure => ProcessState::Starting,
            Self::WatchdogTimeout | Self::WatchdogTrigger | Self::Unhealthy => {
                ProcessState::Running
            }
        }
    }
}

impl AlivePhase {
    /// Returns what decides what follows if the process exits now. `is_too_quick`: it has not run for `startsecs`.
    pub(super) const fn at_exit(self, is_too_quick: bool) -> StageAtExit {
        match self {
            // Differs: the original may promote a dead process to RUNNING, since it looks at the clock before it reaps.
            // Here the time of the reap decides, by the monotonic clock.
            Self::Starting { .. } if is_too_quick => StageAtExit::TooQuick,
            Self::Starting { .. } => StageAtExit::Unpromoted,
            Self::AwaitingReady { .. } => StageAtExit::Unready,
            Self::Terminating { why, .. } => StageAtExit::Failed(why),
            Self::Running => StageAtExit::Running,
            Self::PreStop { .. } | Self::Stopping { .. } => StageAtExit::Stopping,
            Self::Unknown => StageAtExit::Unknown,
        }
    }

    /// Returns the deadline that the process itself can extend by asking for more time. `None`: there is none.
    const fn extensible(&mut self) -> Option<&mut Tick> {
        match self {
            Self::AwaitingReady { ready_by: at }
            | Self::Stopping {
                kill_at: at,
                killed: false,
                ..
            } => Some(at),
            Self::Starting { .. }
            | Self::Running
            | Self::Terminating { .. }
            | Self::PreStop { .. }
            | Self::Stopping { .. }
            | Self::Unknown => None,
        }
    }
}

impl Stage {
    /// STOPPED, as before the first start.
    pub(super) const STOPPED: Self = Self::Idle(Idle::Stopped);

    /// Returns the stage of a process that exists.
    pub(super) const fn alive(instance: InstanceId, pid: i32, phase: AlivePhase) -> Self {
        Self::Alive {
            instance,
            pid,
            phase,
        }
    }

    /// Returns the stage of an attempt.
    pub(super) const fn attempt(instance: InstanceId, step: AttemptStep) -> Self {
        Self::Attempt { instance, step }
    }

    /// Returns the kind, which names the stage without its data.
    pub(super) const fn kind(&self) -> StageKind {
        match *self {
            Self::Idle(idle) => match idle {
                Idle::Stopped => StageKind::Stopped,
                Idle::Exited { .. } => StageKind::Exited,
                Idle::Fatal => StageKind::Fatal,
                Idle::Backoff { .. } => StageKind::Backoff,
                Idle::Waiting => StageKind::Waiting,
                Idle::UnknownGone => StageKind::UnknownGone,
            },
            Self::Attempt { step, .. } => match step {
                AttemptStep::Resolving => StageKind::Resolving,
                AttemptStep::PreStart => StageKind::PreStart,
                AttemptStep::Preparing => StageKind::Preparing,
                AttemptStep::Spawning => StageKind::Spawning,
                AttemptStep::StopPending => StageKind::StopPending,
            },
            Self::Alive { phase, .. } => match phase {
                AlivePhase::Starting { .. } => StageKind::Starting,
                AlivePhase::AwaitingReady { .. } => StageKind::AwaitingReady,
                AlivePhase::Running => StageKind::Running,
                AlivePhase::Terminating { why, .. } => match why.state() {
                    ProcessState::Starting => StageKind::TerminatingStarting,
                    _ => StageKind::TerminatingRunning,
                },
                AlivePhase::PreStop { .. } => StageKind::PreStop,
                AlivePhase::Stopping { .. } => StageKind::Stopping,
                AlivePhase::Unknown => StageKind::Unknown,
            },
            Self::Reaped { at_exit, .. } => match at_exit {
                StageAtExit::TooQuick | StageAtExit::Unready => StageKind::ReapedStarting,
                StageAtExit::Unpromoted => StageKind::ReapedUnpromoted,
                StageAtExit::Failed(why) => match why.state() {
                    ProcessState::Starting => StageKind::ReapedStarting,
                    _ => StageKind::ReapedRunning,
                },
                StageAtExit::Running => StageKind::ReapedRunning,
                StageAtExit::Stopping => StageKind::ReapedStopping,
                StageAtExit::Unknown => StageKind::ReapedUnknown,
            },
        }
    }

    /// Returns the state that clients see.
    pub(super) const fn state(&self) -> ProcessState {
        self.kind().state()
    }

    /// Returns the instance that the shell holds resources for. `None`: there is none.
    pub(super) const fn instance(&self) -> Option<InstanceId> {
        match *self {
            Self::Idle(_) => None,
            Self::Attempt { instance, .. }
            | Self::Alive { instance, .. }
            | Self::Reaped { instance, .. } => Some(instance),
        }
    }

    /// Returns whether recovery treats a record of `before` and a record of this stage alike. In Resolving and in
    /// Preparing no process can exist yet, so the next daemon starts the attempt again for both.
    pub(super) fn recovers_same_as(&self, before: &Self) -> bool {
        before.instance() == self.instance()
            && before.kind() == StageKind::Resolving
            && self.kind() == StageKind::Preparing
    }

    /// Returns the PID for clients and events. 0: no process.
    pub(super) const fn pid(&self) -> i32 {
        match *self {
            Self::Idle(_) | Self::Attempt { .. } => 0,
            Self::Alive { pid, .. } | Self::Reaped { pid, .. } => pid,
        }
    }

    /// Returns the process that can receive a signal or standard input. `None`: there is none, or it is reaped and its
    /// PID may belong to another process.
    pub(super) const fn reachable(&self) -> Option<(InstanceId, i32)> {
        match *self {
            Self::Alive { instance, pid, .. } => Some((instance, pid)),
            Self::Idle(_) | Self::Attempt { .. } | Self::Reaped { .. } => None,
        }
    }

    /// Returns whether the daemon terminates or has terminated the process because it was unhealthy.
    pub(super) const fn is_unhealthy(&self) -> bool {
        matches!(
            *self,
            Self::Alive {
                phase: AlivePhase::Terminating {
                    why: TerminationReason::Unhealthy,
                    ..
                },
                ..
            } | Self::Reaped {
                at_exit: StageAtExit::Failed(TerminationReason::Unhealthy),
                ..
            }
        )
    }

    /// Returns whether the process is RUNNING and the daemon does not terminate it.
    pub(super) fn is_running(&self) -> bool {
        self.kind() == StageKind::Running
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

    /// Returns whether this stage leads to the attempt of the instance `next`, which was started early.
    pub(super) fn leads_to(&self, next: InstanceId, now: Tick) -> bool {
        match *self {
            Self::Reaped { at_exit, .. } => at_exit != StageAtExit::Stopping,
            Self::Idle(Idle::Exited { restart_at }) => restart_at <= now,
            Self::Attempt { instance, step } => {
                matches!(step, AttemptStep::Resolving | AttemptStep::Preparing) && instance == next
            }
            Self::Idle(_) | Self::Alive { .. } => false,
        }
    }

    /// Returns the process whose notify messages can move the deadline of this stage: by an extension, or by a watchdog
    /// message. `None`: no message can.
    pub(super) fn awaits_notify(&self) -> Option<InstanceId> {
        let Self::Alive {
            instance,
            mut phase,
            ..
        } = *self
        else {
            return None;
        };
        let is_awaited = phase == AlivePhase::Running || phase.extensible().is_some();
        is_awaited.then_some(instance)
    }

    /// Returns this stage with its deadline moved to `until` if that is later. `None`: the process cannot extend it.
    pub(super) fn extended(mut self, until: Tick) -> Option<Self> {
        let Self::Alive { phase, .. } = &mut self else {
            return None;
        };
        let at = phase.extensible()?;
        *at = until.max(*at);
        Some(self)
    }

    /// Returns when the stage changes without an input. [`Tick::NEVER`]: it does not.
    pub(super) const fn deadline(&self) -> Tick {
        match *self {
            Self::Idle(idle) => match idle {
                Idle::Exited { restart_at } => restart_at,
                Idle::Backoff { retry_at } => retry_at,
                Idle::Stopped | Idle::Fatal | Idle::Waiting | Idle::UnknownGone => Tick::NEVER,
            },
            Self::Attempt { .. } => Tick::NEVER,
            Self::Alive { phase, .. } => match phase {
                AlivePhase::Starting { promote_at } => promote_at,
                AlivePhase::AwaitingReady { ready_by } => ready_by,
                AlivePhase::Terminating { kill_at, .. } | AlivePhase::Stopping { kill_at, .. } => {
                    kill_at
                }
                AlivePhase::PreStop { until, .. } => until,
                AlivePhase::Running | AlivePhase::Unknown => Tick::NEVER,
            },
            Self::Reaped { drain_by, .. } => drain_by,
        }
    }
}

/// A stage without its data. It is as fine as the table of transitions needs it: each kind belongs to one
/// [`ProcessState`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum StageKind {
    /// [`Idle::Stopped`].
    Stopped,
    /// [`Idle::Exited`].
    Exited,
    /// [`Idle::Fatal`].
    Fatal,
    /// [`Idle::Backoff`].
    Backoff,
    /// [`Idle::Waiting`].
    Waiting,
    /// [`Idle::UnknownGone`].
    UnknownGone,
    /// [`AttemptStep::Resolving`].
    Resolving,
    /// [`AttemptStep::PreStart`].
    PreStart,
    /// [`AttemptStep::Preparing`].
    Preparing,
    /// [`AttemptStep::Spawning`].
    Spawning,
    /// [`AttemptStep::StopPending`].
    StopPending,
    /// [`AlivePhase::Starting`].
    Starting,
    /// [`AlivePhase::AwaitingReady`].
    AwaitingReady,
    /// [`AlivePhase::Running`].
    Running,
    /// [`AlivePhase::Terminating`] after a readiness failure.
    TerminatingStarting,
    /// [`AlivePhase::Terminating`] after a watchdog failure.
    TerminatingRunning,
    /// [`AlivePhase::PreStop`].
    PreStop,
    /// [`AlivePhase::Stopping`].
    Stopping,
    /// [`AlivePhase::Unknown`].
    Unknown,
    /// [`Stage::Reaped`] before the process was RUNNING: the attempt failed.
    ReapedStarting,
    /// [`Stage::Reaped`] after `startsecs`, but before the process was made RUNNING.
    ReapedUnpromoted,
    /// [`Stage::Reaped`] while RUNNING.
    ReapedRunning,
    /// [`Stage::Reaped`] after a stop request.
    ReapedStopping,
    /// [`Stage::Reaped`] while UNKNOWN.
    ReapedUnknown,
}

impl StageKind {
    /// Every kind.
    pub(super) const ALL: [Self; 24] = [
        Self::Stopped,
        Self::Exited,
        Self::Fatal,
        Self::Backoff,
        Self::Waiting,
        Self::UnknownGone,
        Self::Resolving,
        Self::PreStart,
        Self::Preparing,
        Self::Spawning,
        Self::StopPending,
        Self::Starting,
        Self::AwaitingReady,
        Self::Running,
        Self::TerminatingStarting,
        Self::TerminatingRunning,
        Self::PreStop,
        Self::Stopping,
        Self::Unknown,
        Self::ReapedStarting,
        Self::ReapedUnpromoted,
        Self::ReapedRunning,
        Self::ReapedStopping,
        Self::ReapedUnknown,
    ];

    /// Returns the state that clients see.
    pub(super) const fn state(self) -> ProcessState {
        match self {
            Self::Stopped | Self::Waiting => ProcessState::Stopped,
            Self::Exited => ProcessState::Exited,
            Self::Fatal => ProcessState::Fatal,
            Self::Backoff => ProcessState::Backoff,
            Self::Resolving
            | Self::PreStart
            | Self::Preparing
            | Self::Spawning
            | Self::Starting
            | Self::AwaitingReady
            | Self::TerminatingStarting
            | Self::ReapedStarting
            | Self::ReapedUnpromoted => ProcessState::Starting,
            Self::Running | Self::TerminatingRunning | Self::ReapedRunning => ProcessState::Running,
            Self::StopPending | Self::PreStop | Self::Stopping | Self::ReapedStopping => {
                ProcessState::Stopping
            }
            Self::UnknownGone | Self::Unknown | Self::ReapedUnknown => ProcessState::Unknown,
        }
    }
}
