//! What happens next to a process, as clients see it.

use super::process::Process;
use super::stage::{AlivePhase, AttemptStep, Idle, Stage};
use crate::api::ProcessProgress;
use crate::config::spec::UNLIMITED_RETRIES;
use crate::domain::{Now, Tick};

impl Process {
    /// Returns what happens next without a request.
    pub(super) fn progress(&self, now: Now) -> ProcessProgress {
        // Rounded up: a deadline in half a second is not in 0 s.
        let left = |at: Tick| at.nanos_since(now.mono).div_ceil(1_000_000_000);
        match *self.run.stage {
            Stage::Idle(Idle::Exited { restart_at }) if restart_at != Tick::NEVER => {
                ProcessProgress::Restart {
                    left: left(restart_at),
                }
            }
            Stage::Idle(Idle::Backoff { retry_at }) if retry_at != Tick::NEVER => {
                let retries = self.spec.startretries;
                ProcessProgress::Retry {
                    number: i64::from(self.run.tries),
                    of: (retries != UNLIMITED_RETRIES).then_some(retries),
                    left: left(retry_at),
                }
            }
            Stage::Attempt {
                step: AttemptStep::PreStart,
                ..
            } => ProcessProgress::PreStart,
            Stage::Alive { phase, .. } => match phase {
                AlivePhase::Starting { .. } => ProcessProgress::Starting {
                    up: now.mono.nanos_since(self.run.spawned_at) / 1_000_000_000,
                    needed: u64::try_from(self.spec.startsecs.0).unwrap_or(0),
                },
                AlivePhase::AwaitingReady { ready_by } => ProcessProgress::AwaitingReady {
                    left: (ready_by != Tick::NEVER).then(|| left(ready_by)),
                },
                AlivePhase::Terminating { kill_at, .. } => ProcessProgress::Kill {
                    left: left(kill_at),
                },
                AlivePhase::PreStop { until, .. } => ProcessProgress::PreStop { left: left(until) },
                AlivePhase::Stopping { .. } => match self.killed_by() {
                    Some(kill_at) => ProcessProgress::Kill {
                        left: left(kill_at),
                    },
                    None => ProcessProgress::Killed,
                },
                AlivePhase::Running | AlivePhase::Unknown => ProcessProgress::None,
            },
            Stage::Idle(_) | Stage::Attempt { .. } | Stage::Reaped { .. } => ProcessProgress::None,
        }
    }
}
