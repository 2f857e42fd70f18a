//! The checks of one process: whether it is ready (`ready_check`, `ready_log`) and whether it is healthy (`health_*`,
//! `liveness_check_*`). One script runs at a time. It runs on the thread `scripts`, and its result comes as an input. The
//! output threads look for the lines of `ready_log` and `health_log`.

use std::sync::Arc;

use super::Action;
use super::health_state::{HealthState, HealthVerdict};
use super::hooks::described;
use super::process::{Ctx, LastError, Process};
use super::script_runs::ScriptPurpose;
use super::stage::{AlivePhase, Stage, TerminationReason};
use crate::config::spec::{HealthAction, HealthCheck, HealthSpec, Script};
use crate::domain::{Change, InstanceId, Line, ProcessHealth, ProcessState, Seconds, Tick};
use crate::effects::{LineWatchKind, ScriptEffect, ScriptFailure, ScriptId};

/// Seconds between two checks of readiness.
const READY_PERIOD: Seconds = Seconds(1);
/// Maximum seconds of one check of readiness.
const READY_LIMIT: Seconds = Seconds(30);
/// Maximum seconds of a script that reacts to a change of health.
const REACTION_LIMIT: Seconds = Seconds(60);

/// What a stage checks.
enum DueCheck<'a> {
    /// This script, with this time limit.
    Script(&'a Script, Seconds),
    /// That no line of the output has matched for some time, which is over when the check is due.
    QuietLog,
}

/// The time from the spawn to the first health check.
fn first_delay(health: &HealthSpec) -> Seconds {
    match health.check {
        HealthCheck::Script(_) => health.initial_delay,
        HealthCheck::Log { .. } => health.start_period,
    }
}

impl Process {
    /// Begins the checks of a new instance. Their delays count from its spawn, which is now.
    pub(super) fn begin_checks(&mut self, ctx: &Ctx<'_>) {
        let now = ctx.now.mono;
        let first = match (&self.spec.ready_check, &self.spec.health) {
            (Some(_), _) => now,
            (None, Some(health)) => now + first_delay(health),
            (None, None) => Tick::NEVER,
        };
        self.run.health = (first != Tick::NEVER).then(|| HealthState::new(first));
    }

    /// Returns the text about the health of a running process. Empty: none.
    pub(super) fn health_text(&self) -> String {
        match (&self.run.health, &self.spec.health) {
            (Some(state), Some(_)) if self.run.stage.is_running() => state.text(),
            _ => String::new(),
        }
    }

    /// Returns the health of the process as clients see it.
    pub(super) fn health(&self) -> ProcessHealth {
        let is_up = matches!(self.state(), ProcessState::Starting | ProcessState::Running);
        match (&self.run.health, &self.spec.health) {
            (Some(state), Some(_)) if is_up => state.health(),
            (None, Some(_)) if is_up => ProcessHealth::Starting,
            _ => ProcessHealth::None,
        }
    }

    /// Returns whether the process, which is to be RUNNING, passes its health check. A process whose checks succeed and
    /// fail in turns has failed after as many results as both thresholds allow, so that nobody waits for ever.
    pub(super) fn health_verdict(&self) -> HealthVerdict {
        let (Some(health), Some(state)) = (&self.spec.health, &self.run.health) else {
            return HealthVerdict::Passed;
        };
        let limit = health
            .success_threshold
            .saturating_add(health.failure_threshold);
        match state.is_healthy {
            Some(true) => HealthVerdict::Passed,
            Some(false) => HealthVerdict::Failed,
            None if state.undecided >= limit => HealthVerdict::Failed,
            None => HealthVerdict::Unknown,
        }
    }

    /// Returns why the process is not up after its start. Empty: no reason is known.
    pub(super) fn start_failure(&self) -> String {
        let health = self
            .run
            .health
            .as_ref()
            .filter(|_| self.spec.health.is_some());
        match (&self.run.last_error, health) {
            (Some(error), _) => error.to_string(),
            (None, Some(state)) => match state.is_healthy {
                Some(_) => state.text(),
                None if state.undecided > 0 => {
                    format!("not healthy after {} checks", state.undecided)
                }
                None => String::new(),
            },
            (None, None) => String::new(),
        }
    }

    /// Returns when the next check starts. [`Tick::NEVER`]: none is due in this stage, or one runs.
    pub(super) fn check_deadline(&self) -> Tick {
        match &self.run.health {
            Some(state) if state.running.is_none() && self.due_check().is_some() => state.next_at,
            Some(_) | None => Tick::NEVER,
        }
    }

    /// The check that belongs to the current stage. `None`: there is none.
    fn due_check(&self) -> Option<(InstanceId, DueCheck<'_>)> {
        let Stage::Alive {
            instance, phase, ..
        } = *self.run.stage
        else {
            return None;
        };
        match (phase, &self.spec.ready_check, &self.spec.health) {
            (AlivePhase::AwaitingReady { .. }, Some(check), _) => {
                Some((instance, DueCheck::Script(check, READY_LIMIT)))
            }
            (AlivePhase::Running, _, Some(health)) => Some((
                instance,
                match &health.check {
                    HealthCheck::Script(script) => DueCheck::Script(script, health.timeout),
                    HealthCheck::Log { .. } => DueCheck::QuietLog,
                },
            )),
            _ => None,
        }
    }

    /// Starts the check that is due.
    pub(super) fn start_check(&mut self, ctx: &mut Ctx<'_>) {
        let (instance, script, limit) = match self.due_check() {
            Some((instance, DueCheck::Script(script, limit))) => (instance, script, limit),
            Some((instance, DueCheck::QuietLog)) => return self.log_was_quiet(instance, ctx),
            None => return,
        };
        let given = (Vec::new(), limit);
        let id = ctx.run_script(self, instance.slot, ScriptPurpose::Check, script, given);
        if let Some(state) = &mut self.run.health {
            state.running = Some(id);
        }
    }

    /// Begins the health checks of a process that is ready. A check of readiness that still runs must not count as one.
    pub(super) fn begin_health_checks(&mut self, ctx: &mut Ctx<'_>) {
        self.cancel_check(ctx);
        let health = self.spec.health.as_ref();
        let first = health.map(|health| self.run.spawned_at + first_delay(health));
        self.run.health = first.map(|first| HealthState::new(first.max(ctx.now.mono)));
    }

    /// Cancels the check that runs if the stage has none any more.
    pub(super) fn cancel_stale_check(&mut self, ctx: &mut Ctx<'_>) {
        if self.due_check().is_none() {
            self.cancel_check(ctx);
        }
    }

    fn cancel_check(&mut self, ctx: &mut Ctx<'_>) {
        if let Some(state) = &mut self.run.health
            && let Some(id) = state.running.take()
        {
            ctx.out.push(Action::Script(ScriptEffect::Cancel(id)));
        }
    }

    /// Makes the process healthy, because no line of its output has matched `health_log` for long enough.
    fn log_was_quiet(&mut self, instance: InstanceId, ctx: &mut Ctx<'_>) {
        let (Some(state), Some(health)) = (&mut self.run.health, self.spec.health.clone()) else {
            return;
        };
        state.next_at = Tick::NEVER;
        state.failures = 0;
        state.reason.clear();
        state.is_healthy = Some(true);
        self.became_healthy(&health, instance, ctx);
    }

    /// Handles a line of output that matches `ready_log` or `health_log`.
    pub(super) fn line_matched(&mut self, kind: LineWatchKind, line: &str, ctx: &mut Ctx<'_>) {
        let Stage::Alive {
            instance,
            pid,
            phase,
        } = *self.run.stage
        else {
            return;
        };
        match (kind, phase) {
            (LineWatchKind::Ready, AlivePhase::AwaitingReady { .. }) if self.spec.notify.log => {
                self.ready(instance, pid, ctx);
            }
            (LineWatchKind::Unhealthy, AlivePhase::Running) => {
                self.count_unhealthy_line(line, (instance, pid), ctx);
            }
            // A line before the process is RUNNING or while it stops says nothing about its health.
            _ => {}
        }
    }

    /// Makes the process unhealthy because of a line of its output, and lets it recover in `health_interval`.
    fn count_unhealthy_line(&mut self, line: &str, process: (InstanceId, i32), ctx: &mut Ctx<'_>) {
        let now = ctx.now.mono;
        let (Some(state), Some(health)) = (&mut self.run.health, self.spec.health.clone()) else {
            return;
        };
        let is_starting = now < self.run.spawned_at + health.start_period;
        if !matches!(health.check, HealthCheck::Log { .. })
            || (state.is_healthy.is_none() && is_starting)
        {
            return;
        }
        state.next_at = now + health.period;
        state.reason = format!("log line: {line}");
        if state.is_healthy != Some(false) {
            state.is_healthy = Some(false);
            self.became_unhealthy(&health, process, ctx);
        }
    }

    /// Handles the result of a check.
    pub(super) fn check_ended(
        &mut self,
        id: ScriptId,
        failure: Option<ScriptFailure>,
        ctx: &mut Ctx<'_>,
    ) {
        let Some(state) = &mut self.run.health else {
            return;
        };
        if state.running != Some(id) {
            return;
        }
        state.running = None;
        let Stage::Alive {
            instance,
            pid,
            phase,
        } = *self.run.stage
        else {
            return;
        };
        match (phase, self.spec.health.clone()) {
            (AlivePhase::AwaitingReady { .. }, _) => match failure {
                Some(failure) => {
                    state.next_at = ctx.now.mono + READY_PERIOD;
                    state.reason = described(&failure, "");
                }
                None => self.ready(instance, pid, ctx),
            },
            (AlivePhase::Running, Some(health)) => {
                self.count_check(&health, failure, (instance, pid), ctx);
            }
            _ => {}
        }
    }

    /// Counts the result of a health check, and acts if the process becomes healthy or unhealthy.
    fn count_check(
        &mut self,
        health: &Arc<HealthSpec>,
        failure: Option<ScriptFailure>,
        (instance, pid): (InstanceId, i32),
        ctx: &mut Ctx<'_>,
    ) {
        let now = ctx.now.mono;
        let Some(state) = &mut self.run.health else {
            return;
        };
        let was = state.is_healthy;
        let is_starting = now < self.run.spawned_at + health.start_period;
        if was.is_none() && (failure.is_none() || !is_starting) {
            state.undecided = state.undecided.saturating_add(1);
        }
        match failure {
            None => {
                state.failures = 0;
                state.successes = state.successes.saturating_add(1);
                state.reason.clear();
                if state.successes >= health.success_threshold {
                    state.is_healthy = Some(true);
                }
            }
            Some(failure) => {
                state.successes = 0;
                state.reason = described(&failure, "");
                if was.is_some() || !is_starting {
                    state.failures = state.failures.saturating_add(1);
                }
                if state.failures >= health.failure_threshold {
                    state.is_healthy = Some(false);
                }
            }
        }
        let period = match state.is_healthy {
            Some(_) => health.period,
            None => health.first_period,
        };
        state.next_at = now + period;
        if state.is_healthy == was {
            return;
        }
        match state.is_healthy {
            Some(true) => self.became_healthy(health, instance, ctx),
            Some(false) => self.became_unhealthy(health, (instance, pid), ctx),
            None => {}
        }
    }

    fn became_healthy(&mut self, health: &HealthSpec, instance: InstanceId, ctx: &mut Ctx<'_>) {
        let name = self.spec.name.clone();
        Self::log(ctx, Line::Healthy { name });
        self.publish_health(true, String::new(), ctx);
        if let Some(script) = health.on_healthy.as_ref().filter(|_| !self.is_on_hold()) {
            self.react(script, "healthy", instance, ctx);
        }
    }

    fn became_unhealthy(
        &mut self,
        health: &HealthSpec,
        (instance, pid): (InstanceId, i32),
        ctx: &mut Ctx<'_>,
    ) {
        let Some(state) = &mut self.run.health else {
            return;
        };
        state.failures = 0;
        let reason = state.reason.clone();
        if health.initial_delay > Seconds(0) {
            state.next_at = ctx.now.mono + health.initial_delay;
        }
        let name = self.spec.name.clone();
        let line = Line::Unhealthy {
            name,
            pid,
            reason: reason.clone(),
        };
        Self::log(ctx, line);
        self.publish_health(false, reason, ctx);
        if self.is_on_hold() {
            return;
        }
        match &health.on_unhealthy {
            HealthAction::None => {}
            HealthAction::Restart => {
                self.terminate(instance, pid, TerminationReason::Unhealthy, ctx);
            }
            // A daemon that exits stops everything already, in an order of its own.
            HealthAction::Stop if !ctx.may_start => {}
            HealthAction::Stop => self.stop_in_order(ctx),
            HealthAction::Signal(signal) => {
                let scope = super::SignalScope::Process;
                Self::push_signal(instance, *signal, scope, ctx);
            }
            HealthAction::Script(script) => self.react(script, "failed", instance, ctx),
        }
    }

    /// Publishes that the health has changed.
    fn publish_health(&self, is_healthy: bool, reason: String, ctx: &mut Ctx<'_>) {
        ctx.out
            .push(Action::Publish(Arc::new(Change::ProcessHealth {
                group: self.spec.group.clone(),
                process: self.spec.name.clone(),
                is_healthy,
                pid: self.run.stage.pid(),
                reason,
            })));
    }

    /// Runs a script because of a change of health.
    fn react(&self, script: &Script, word: &str, instance: InstanceId, ctx: &mut Ctx<'_>) {
        let variables = vec![("SUPERVISOR_HEALTH".to_owned(), word.to_owned())];
        let given = (variables, REACTION_LIMIT);
        ctx.run_script(self, instance.slot, ScriptPurpose::Reaction, script, given);
    }

    /// Handles the end of a script whose result changes nothing.
    pub(super) fn reaction_ended(&self, failure: Option<ScriptFailure>, ctx: &mut Ctx<'_>) {
        if let Some(failure) = failure {
            let line = Line::ReactionFailed {
                name: self.spec.name.clone(),
                reason: failure.to_string(),
            };
            Self::log(ctx, line);
        }
    }

    /// Why the process counts as unhealthy, after the daemon terminated it.
    pub(super) fn unhealthy_error(&self) -> LastError {
        let reason = self.run.health.as_ref().map(|state| state.reason.clone());
        LastError::Unhealthy(reason.unwrap_or_default())
    }
}

#[cfg(test)]
impl Process {
    /// Begins the checks as if the check 1 ran.
    pub(super) fn begin_check_1(&mut self, now: crate::domain::Now) {
        let has_checks = self.spec.ready_check.is_some() || self.spec.health.is_some();
        self.run.health = has_checks.then(|| {
            let mut state = HealthState::new(now.mono);
            state.running = Some(ScriptId(1));
            state
        });
    }
}
