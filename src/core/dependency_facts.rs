//! What other processes see of a process that they depend on, and when a condition is met.

use super::process::{LastError, Process};
use super::stage::{Idle, Stage};
use crate::config::spec::DependencyCondition;
use crate::domain::{ExitReason, ProcessState, Tick};

/// The facts about a process that matter to its dependants and to its dependencies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DependencyFacts {
    /// The state that clients see.
    pub(super) state: ProcessState,
    /// The process exists, or has existed since its last start, and nobody stops it.
    is_started: bool,
    /// RUNNING, and the daemon does not terminate it. A process that reports readiness is RUNNING when it is ready.
    pub(super) is_ready: bool,
    /// Ready, and its health checks succeed, if it has any.
    is_healthy: bool,
    /// EXITED with an expected status.
    has_exited_ok: bool,
    /// EXITED, and no automatic restart is due.
    is_over: bool,
    /// STOPPED because of one of its own dependencies.
    was_failed: bool,
    /// It waits for its dependencies.
    pub(super) is_waiting: bool,
    /// It is being stopped, or is going to be: what it depends on must not be stopped before it.
    pub(super) is_stopping: bool,
    /// Its stop waits for processes that depend on it.
    pub(super) is_stop_held: bool,
    /// It starts again as soon as it has stopped.
    pub(super) starts_again: bool,
}

impl DependencyFacts {
    /// Returns the facts about a process.
    pub(super) fn of(process: &Process) -> Self {
        let stage: &Stage = &process.run.stage;
        let state = process.state();
        let is_exited = state == ProcessState::Exited;
        let is_idle = matches!(stage, Stage::Idle(_));
        Self {
            state,
            is_started: match stage {
                Stage::Alive { .. } | Stage::Reaped { .. } => {
                    matches!(state, ProcessState::Starting | ProcessState::Running)
                }
                Stage::Idle(_) | Stage::Attempt { .. } => is_exited,
            },
            is_ready: stage.is_running(),
            is_healthy: stage.is_running()
                && match &process.run.health {
                    Some(health) => health.is_healthy == Some(true),
                    None => process.spec.health.is_none(),
                },
            has_exited_ok: is_exited
                && match &process.run.exit_reason {
                    Some(ExitReason::ByItself(status)) => process.expects(*status),
                    _ => false,
                },
            is_over: matches!(stage, Stage::Idle(Idle::Exited { restart_at }) if *restart_at == Tick::NEVER),
            was_failed: matches!(stage, Stage::Idle(Idle::Stopped))
                && matches!(process.run.last_error, Some(LastError::Dependency(_))),
            is_waiting: matches!(stage, Stage::Idle(Idle::Waiting)),
            is_stopping: state == ProcessState::Stopping || (process.run.stop_held && !is_idle),
            is_stop_held: process.run.stop_held,
            // One that has exited by itself instead is restarted by its own rules.
            starts_again: process.run.starts_again && matches!(stage, Stage::Idle(Idle::Stopped)),
        }
    }

    /// Returns whether the condition is met.
    pub(super) fn meets(self, condition: DependencyCondition) -> bool {
        match condition {
            DependencyCondition::Up => self.is_ready || self.has_exited_ok,
            DependencyCondition::Started => self.is_started,
            DependencyCondition::Ready => self.is_ready,
            DependencyCondition::Healthy => self.is_healthy,
            DependencyCondition::ExitedOk => self.has_exited_ok,
            // A process that waits for its own start, or that the daemon terminates, is not in the state for long.
            DependencyCondition::States(states) => states.contains(self.state) && !self.is_waiting,
        }
    }

    /// Returns whether the condition is not met, and will not be unless somebody starts the process.
    pub(super) fn fails(self, condition: DependencyCondition) -> bool {
        !self.meets(condition)
            && (self.state == ProcessState::Fatal || self.is_over || self.was_failed)
    }

    /// Returns whether the process does nothing that could lead to another state by itself.
    pub(super) const fn is_inert(self) -> bool {
        match self.state {
            ProcessState::Stopped => !self.is_waiting,
            ProcessState::Unknown | ProcessState::Fatal => true,
            ProcessState::Exited => self.is_over,
            ProcessState::Starting
            | ProcessState::Running
            | ProcessState::Backoff
            | ProcessState::Stopping => false,
        }
    }
}
