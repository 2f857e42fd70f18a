//! The start of a process: the steps of one attempt, and what follows if it fails.

use std::sync::Arc;

use super::Action;
use super::notify_state::NotifyState;
use super::process::{Ctx, LastError, NextAttempt, Process};
use super::restart_progress::RestartProgress;
use super::stage::{AlivePhase, AttemptStep, Idle, Stage};
use super::transitions::Trigger;
use crate::config::spec::UNLIMITED_RETRIES;
use crate::domain::{
    ExitReason, InstanceId, Line, ProcessState, ResourceEvents, Seconds, SpawnError, Tick,
};
use crate::effects::{OutputEffect, SpawnerEffect};

impl Process {
    /// Starts an attempt. Does nothing in a stage with a process or with an answer of the shell outstanding.
    pub(super) fn start(&mut self, slot: u32, ctx: &mut Ctx<'_>) {
        match *self.run.stage {
            // Admission refuses to start the others. A second instance beside the first must never exist.
            Stage::Idle(Idle::UnknownGone)
            | Stage::Attempt { .. }
            | Stage::Alive { .. }
            | Stage::Reaped { .. } => return,
            Stage::Idle(_) => {}
        }
        if ctx.must_wait {
            self.wait_for_dependencies(ctx);
            return;
        }
        self.run.starts_again = false;
        self.run.restart_after_change = false;
        let next = self.run.next.take();
        let instance = match &next {
            Some(next) => next.instance,
            None => ctx.new_instance(slot),
        };
        self.run.last_error = None;
        self.begin_restarts_again(ctx);
        let notify = self.spec.notify;
        self.run.notify_state = notify
            .tells_ready()
            .then(|| NotifyState::new(notify.watchdog));
        self.run.exit_status = 0;
        self.run.resource_events = ResourceEvents::NONE;
        self.run.relimit = false;
        self.run.start = ctx.now.wall.secs();
        self.run.spawned_at = ctx.now.mono;
        self.enter_stage(
            Stage::attempt(instance, AttemptStep::Resolving),
            0,
            false,
            ctx,
        );
        let Some(mut next) = next else {
            let spec = Arc::clone(&self.spec);
            ctx.out
                .push(Action::Spawner(SpawnerEffect::Resolve(instance, spec)));
            return;
        };
        let held_up = next.held_up.take();
        let is_resolved = next.is_resolved;
        self.run.next = Some(next);
        if is_resolved {
            ctx.trigger = Trigger::Resolved;
            self.resolved(ctx);
        } else if let Some(why) = held_up {
            self.spawn_held(why, ctx);
        }
    }

    /// Enters the stage in which the process waits for what it depends on. The wait is no attempt, so it uses up no retry.
    fn wait_for_dependencies(&mut self, ctx: &mut Ctx<'_>) {
        self.run.starts_again = false;
        self.run.last_error = None;
        if *self.run.stage != Stage::Idle(Idle::Waiting) {
            self.enter_stage(Stage::Idle(Idle::Waiting), 0, false, ctx);
        }
    }

    /// Leaves the stage in which the process waits: something that it depends on failed. `why` names it.
    pub(super) fn dependency_failed(&mut self, why: String, ctx: &mut Ctx<'_>) {
        if *self.run.stage == Stage::Idle(Idle::Waiting) {
            let name = self.spec.name.clone();
            Self::log(
                ctx,
                Line::DependencyFailed {
                    name,
                    why: why.clone(),
                },
            );
            self.run.last_error = Some(LastError::Dependency(why));
            self.change_stage(Stage::STOPPED, ctx);
        }
    }

    /// Starts the next attempt while the output of the previous `instance` is written out.
    pub(super) fn start_next_attempt(&mut self, instance: InstanceId, ctx: &mut Ctx<'_>) {
        let instance = ctx.new_instance(instance.slot);
        self.run.next = Some(Box::new(NextAttempt {
            instance,
            is_resolved: false,
            is_prepared: false,
            held_up: None,
        }));
        // Prepare first, so that the output threads, which also drain, get both effects together.
        ctx.out.push(Action::Output(OutputEffect::PrepareNext(
            instance,
            Arc::clone(&self.spec),
            self.logs.clone(),
        )));
        let spec = Arc::clone(&self.spec);
        ctx.out
            .push(Action::Spawner(SpawnerEffect::Resolve(instance, spec)));
    }

    /// Drops an early attempt after one of its steps failed, and starts another attempt with the steps in order. The
    /// order decides which of several failures the log names.
    fn retry_in_order(&mut self, early: InstanceId, ctx: &mut Ctx<'_>) {
        self.run.next = None;
        ctx.out.push(Action::Output(OutputEffect::Drain(early)));
        self.end_hold_up();
        let instance = ctx.new_instance(early.slot);
        self.change_stage(Stage::attempt(instance, AttemptStep::Resolving), ctx);
        let spec = Arc::clone(&self.spec);
        ctx.out
            .push(Action::Spawner(SpawnerEffect::Resolve(instance, spec)));
    }

    /// Continues after the command was found.
    pub(super) fn resolved(&mut self, ctx: &mut Ctx<'_>) {
        // The shell sends this input once per instance, so no other stage gets it.
        let Some(instance) = self.at_step(AttemptStep::Resolving) else {
            return;
        };
        self.end_hold_up();
        if self.has_pre_start() && self.run.next.is_none() {
            self.begin_pre_start(instance, ctx);
            return;
        }
        self.change_stage(Stage::attempt(instance, AttemptStep::Preparing), ctx);
        match &self.run.next {
            Some(next) if next.is_prepared => {
                ctx.trigger = Trigger::Prepared;
                self.prepared(ctx);
            }
            // Preparing was requested together with resolving.
            Some(_) => {}
            None => ctx.out.push(Action::Output(OutputEffect::Prepare(
                instance,
                Arc::clone(&self.spec),
                self.logs.clone(),
            ))),
        }
    }

    /// Returns the instance of the attempt if it is at this step. `None`: there is no attempt, or it is at another step.
    fn at_step(&self, expected: AttemptStep) -> Option<InstanceId> {
        match *self.run.stage {
            Stage::Attempt { instance, step } if step == expected => Some(instance),
            Stage::Idle(_) | Stage::Attempt { .. } | Stage::Alive { .. } | Stage::Reaped { .. } => {
                None
            }
        }
    }

    /// Continues after pipes were made and logs opened.
    pub(super) fn prepared(&mut self, ctx: &mut Ctx<'_>) {
        // The shell sends this input once per instance, after `Resolved`, so no other stage gets it.
        let Some(instance) = self.at_step(AttemptStep::Preparing) else {
            return;
        };
        self.run.next = None;
        self.change_stage(Stage::attempt(instance, AttemptStep::Spawning), ctx);
        ctx.out
            .push(Action::Spawn(instance, Arc::clone(&self.spec)));
    }

    /// Handles a resolve or spawn that takes long. Its result follows as another input.
    pub(super) fn spawn_held(&mut self, why: String, ctx: &mut Ctx<'_>) {
        match *self.run.stage {
            Stage::Attempt { step, .. } if step != AttemptStep::Preparing => {
                let name = self.spec.name.clone();
                self.run.last_error = Some(LastError::HeldUp(why.clone()));
                Self::log(ctx, Line::StartHeldUp { name, why });
            }
            // The attempt has ended meanwhile, or another thread has its work.
            Stage::Idle(_) | Stage::Attempt { .. } | Stage::Alive { .. } | Stage::Reaped { .. } => {
            }
        }
    }

    /// Clears the error of a held-up attempt that continues.
    pub(super) fn end_hold_up(&mut self) {
        if matches!(self.run.last_error, Some(LastError::HeldUp(_))) {
            self.run.last_error = None;
        }
    }

    /// Handles the creation of the process.
    pub(super) fn spawned(&mut self, pid: i32, ctx: &mut Ctx<'_>) {
        // The shell sends this input once per instance, after it was asked to spawn.
        let Stage::Attempt { instance, step } = *self.run.stage else {
            return;
        };
        match step {
            AttemptStep::Resolving | AttemptStep::PreStart => {}
            AttemptStep::StopPending => {
                self.note_spawn(instance, pid, ctx);
                self.send_stop(instance, pid, ctx);
            }
            // Preparing: the previous daemon asked for the process and was killed before it wrote that down.
            _ => {
                self.note_spawn(instance, pid, ctx);
                let startsecs = self.spec.startsecs;
                if self.spec.notify.tells_ready() {
                    self.await_ready(instance, pid, ctx);
                } else if startsecs.0 > 0 {
                    let promote_at = ctx.now.mono + startsecs;
                    let phase = AlivePhase::Starting { promote_at };
                    self.change_stage(Stage::alive(instance, pid, phase), ctx);
                } else {
                    self.promote(instance, pid, ctx);
                }
            }
        }
    }

    /// Records and logs a spawn, and requests what waited for the PID.
    fn note_spawn(&mut self, instance: InstanceId, pid: i32, ctx: &mut Ctx<'_>) {
        self.end_hold_up();
        self.run.spawns += 1;
        self.run.start = ctx.now.wall.secs();
        self.run.spawned_at = ctx.now.mono;
        self.begin_checks(ctx);
        Self::log(
            ctx,
            Line::Spawned {
                name: self.spec.name.clone(),
                pid,
            },
        );
        ctx.out
            .push(Action::Output(OutputEffect::Read(instance, pid)));
        if std::mem::take(&mut self.run.relimit) {
            ctx.out
                .push(Action::Limit(instance, Arc::clone(&self.spec.resources)));
        }
    }

    /// STARTING → RUNNING, after `startsecs`.
    pub(super) fn promote(&mut self, instance: InstanceId, pid: i32, ctx: &mut Ctx<'_>) {
        if ctx.is_linked {
            self.run.running_at = ctx.now.mono;
        }
        self.note_running(ctx);
        let to = Stage::alive(instance, pid, AlivePhase::Running);
        self.enter_stage(to, pid, false, ctx);
        Self::log(
            ctx,
            Line::Success {
                name: self.spec.name.clone(),
                startsecs: self.spec.startsecs.0,
            },
        );
        self.run_post_start(instance, ctx);
    }

    /// Handles a failed attempt without a process.
    pub(super) fn spawn_failed(&mut self, error: SpawnError, ctx: &mut Ctx<'_>) {
        // An attempt fails only before its process exists.
        let Stage::Attempt { instance, step } = *self.run.stage else {
            return;
        };
        if step == AttemptStep::Resolving && self.run.next.is_some() {
            self.retry_in_order(instance, ctx);
            return;
        }
        if let Some(next) = self.run.next.take() {
            ctx.out
                .push(Action::Output(OutputEffect::Drain(next.instance)));
        }
        if matches!(step, AttemptStep::Spawning | AttemptStep::StopPending) {
            ctx.out.push(Action::Output(OutputEffect::Drain(instance)));
        }
        Self::log(
            ctx,
            Line::SpawnFailed {
                error: error.to_string(),
            },
        );
        self.set_exit_reason(ExitReason::NotSpawned(Box::new(error.clone())));
        self.run.last_error = Some(LastError::NotSpawned(Box::new(error)));
        if step == AttemptStep::StopPending {
            self.enter_stage(Stage::STOPPED, 0, false, ctx);
        } else {
            self.back_off(ctx);
            self.give_up_if_spent(ctx);
        }
    }

    /// Enters BACKOFF. The n-th failure in a row waits n seconds, unless the restart policy says otherwise.
    pub(super) fn back_off(&mut self, ctx: &mut Ctx<'_>) {
        self.run.tries = self.run.tries.saturating_add(1);
        self.count_restart();
        let retry_at = if ctx.may_start {
            self.restart_time(Seconds(i64::from(self.run.tries)), ctx)
        } else {
            Tick::NEVER
        };
        self.enter_stage(Stage::Idle(Idle::Backoff { retry_at }), 0, false, ctx);
    }

    /// BACKOFF → FATAL if more than `startretries` retries have failed.
    pub(super) fn give_up_if_spent(&mut self, ctx: &mut Ctx<'_>) {
        let spent = i64::from(self.run.tries) > self.spec.startretries;
        if spent && self.spec.startretries != UNLIMITED_RETRIES {
            ctx.trigger = Trigger::RetriesSpent;
            self.give_up(ctx);
            Self::log(
                ctx,
                Line::GaveUp {
                    name: self.spec.name.clone(),
                },
            );
            if let Some(text) = self.last_stderr_line() {
                let (name, text) = (self.spec.name.clone(), text.to_owned());
                let line = match self.spec.redirect_stderr {
                    true => Line::LastOutputLine { name, text },
                    false => Line::LastStderrLine { name, text },
                };
                Self::log(ctx, line);
            }
        } else {
            self.log_next_attempt(ctx);
        }
    }

    /// BACKOFF → FATAL, without a log line. A shutdown of the daemon does this.
    pub(super) fn give_up(&mut self, ctx: &mut Ctx<'_>) {
        if self.state() == ProcessState::Backoff {
            self.run.tries = 0;
            self.run.restart = RestartProgress::default();
            self.enter_stage(Stage::Idle(Idle::Fatal), 0, false, ctx);
        }
    }
}
