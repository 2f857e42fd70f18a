//! The start of a process: the steps of one attempt, and what follows if it fails.

use std::sync::Arc;

use super::Action;
use super::notify_state::NotifyState;
use super::process::{Ctx, LastError, NextAttempt, Process};
use super::stage::Stage;
use crate::domain::{ExitReason, InstanceId, Line, ResourceEvents, Seconds, SpawnError, Tick};

impl Process {
    /// Starts an attempt. Does nothing in a stage with a process or with an answer of the shell outstanding.
    pub(super) fn start(&mut self, slot: u32, ctx: &mut Ctx<'_>) {
        match self.run.stage {
            Stage::Stopped | Stage::Exited { .. } | Stage::Fatal | Stage::Backoff { .. } => {}
            // Admission refuses to start these. A second instance beside the first must never exist.
            Stage::Resolving(_)
            | Stage::Preparing(_)
            | Stage::Spawning(_)
            | Stage::Starting { .. }
            | Stage::AwaitingReady { .. }
            | Stage::Terminating { .. }
            | Stage::Running { .. }
            | Stage::StopPending(_)
            | Stage::Stopping { .. }
            | Stage::Reaped { .. }
            | Stage::Unknown { .. } => return,
        }
        let next = self.run.next.take();
        let instance = match &next {
            Some(next) => next.instance,
            None => ctx.new_instance(slot),
        };
        self.run.last_error = None;
        let notify = self.spec.notify;
        self.run.notify_state = notify
            .tells_ready()
            .then(|| NotifyState::new(notify.watchdog));
        self.run.exit_status = 0;
        self.run.resource_events = ResourceEvents::NONE;
        self.run.relimit = false;
        self.run.start = ctx.now.wall.secs();
        self.run.spawned_at = ctx.now.mono;
        self.enter_stage(Stage::Resolving(instance), 0, false, ctx);
        let Some(mut next) = next else {
            let spec = Arc::clone(&self.spec);
            ctx.out.push(Action::Resolve(instance, spec));
            return;
        };
        let held_up = next.held_up.take();
        let is_resolved = next.is_resolved;
        self.run.next = Some(next);
        if is_resolved {
            self.resolved(ctx);
        } else if let Some(why) = held_up {
            self.spawn_held(why, ctx);
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
        ctx.out.push(Action::PrepareNext(
            instance,
            Arc::clone(&self.spec),
            self.logs.clone(),
        ));
    }

    /// Drops an early attempt after one of its steps failed, and starts another attempt with the steps in order. The
    /// order decides which of several failures the log names.
    fn retry_in_order(&mut self, early: InstanceId, ctx: &mut Ctx<'_>) {
        self.run.next = None;
        ctx.out.push(Action::Drain(early));
        self.end_hold_up();
        let instance = ctx.new_instance(early.slot);
        self.run.stage = Stage::Resolving(instance);
        let spec = Arc::clone(&self.spec);
        ctx.out.push(Action::Resolve(instance, spec));
    }

    /// Continues after the command was found.
    pub(super) fn resolved(&mut self, ctx: &mut Ctx<'_>) {
        match self.run.stage {
            Stage::Resolving(instance) => {
                self.end_hold_up();
                self.run.stage = Stage::Preparing(instance);
                match &self.run.next {
                    Some(next) if next.is_prepared => self.prepared(ctx),
                    // Preparing was requested together with resolving.
                    Some(_) => {}
                    None => ctx.out.push(Action::Prepare(
                        instance,
                        Arc::clone(&self.spec),
                        self.logs.clone(),
                    )),
                }
            }
            // The shell sends this input once per instance, so it cannot come here.
            Stage::Stopped
            | Stage::Exited { .. }
            | Stage::Fatal
            | Stage::Backoff { .. }
            | Stage::Preparing(_)
            | Stage::Spawning(_)
            | Stage::Starting { .. }
            | Stage::AwaitingReady { .. }
            | Stage::Terminating { .. }
            | Stage::Running { .. }
            | Stage::StopPending(_)
            | Stage::Stopping { .. }
            | Stage::Reaped { .. }
            | Stage::Unknown { .. } => {}
        }
    }

    /// Continues after pipes were made and logs opened.
    pub(super) fn prepared(&mut self, ctx: &mut Ctx<'_>) {
        match self.run.stage {
            Stage::Preparing(instance) => {
                self.run.next = None;
                self.run.stage = Stage::Spawning(instance);
                ctx.out
                    .push(Action::Spawn(instance, Arc::clone(&self.spec)));
            }
            // The shell sends this input once per instance, after `Resolved`.
            Stage::Stopped
            | Stage::Exited { .. }
            | Stage::Fatal
            | Stage::Backoff { .. }
            | Stage::Resolving(_)
            | Stage::Spawning(_)
            | Stage::Starting { .. }
            | Stage::AwaitingReady { .. }
            | Stage::Terminating { .. }
            | Stage::Running { .. }
            | Stage::StopPending(_)
            | Stage::Stopping { .. }
            | Stage::Reaped { .. }
            | Stage::Unknown { .. } => {}
        }
    }

    /// Handles a resolve or spawn that takes long. Its result follows as another input.
    pub(super) fn spawn_held(&mut self, why: String, ctx: &mut Ctx<'_>) {
        match self.run.stage {
            Stage::Resolving(_) | Stage::Spawning(_) | Stage::StopPending(_) => {
                let name = self.spec.name.clone();
                self.run.last_error = Some(LastError::HeldUp(why.clone()));
                Self::log(ctx, Line::StartHeldUp { name, why });
            }
            // The attempt has ended meanwhile.
            Stage::Stopped
            | Stage::Exited { .. }
            | Stage::Fatal
            | Stage::Backoff { .. }
            | Stage::Preparing(_)
            | Stage::Starting { .. }
            | Stage::AwaitingReady { .. }
            | Stage::Terminating { .. }
            | Stage::Running { .. }
            | Stage::Stopping { .. }
            | Stage::Reaped { .. }
            | Stage::Unknown { .. } => {}
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
        match self.run.stage {
            // Preparing: the previous daemon asked for the process and was killed before it wrote that down.
            Stage::Spawning(instance) | Stage::Preparing(instance) => {
                self.note_spawn(instance, pid, ctx);
                let startsecs = self.spec.startsecs;
                if self.spec.notify.tells_ready() {
                    self.await_ready(instance, pid, ctx);
                } else if startsecs.0 > 0 {
                    self.run.stage = Stage::Starting {
                        instance,
                        pid,
                        promote_at: ctx.now.mono + startsecs,
                    };
                } else {
                    self.promote(instance, pid, ctx);
                }
            }
            Stage::StopPending(instance) => {
                self.note_spawn(instance, pid, ctx);
                self.send_stop(instance, pid, ctx);
            }
            // The shell sends this input once per instance, after it was asked to spawn.
            Stage::Stopped
            | Stage::Exited { .. }
            | Stage::Fatal
            | Stage::Backoff { .. }
            | Stage::Resolving(_)
            | Stage::Starting { .. }
            | Stage::AwaitingReady { .. }
            | Stage::Terminating { .. }
            | Stage::Running { .. }
            | Stage::Stopping { .. }
            | Stage::Reaped { .. }
            | Stage::Unknown { .. } => {}
        }
    }

    /// Records and logs a spawn, and requests what waited for the PID.
    fn note_spawn(&mut self, instance: InstanceId, pid: i32, ctx: &mut Ctx<'_>) {
        self.end_hold_up();
        self.run.spawns += 1;
        self.run.start = ctx.now.wall.secs();
        self.run.spawned_at = ctx.now.mono;
        Self::log(
            ctx,
            Line::Spawned {
                name: self.spec.name.clone(),
                pid,
            },
        );
        ctx.out.push(Action::Read(instance, pid));
        if std::mem::take(&mut self.run.relimit) {
            ctx.out
                .push(Action::Limit(instance, Arc::clone(&self.spec.resources)));
        }
    }

    /// STARTING → RUNNING, after `startsecs`.
    pub(super) fn promote(&mut self, instance: InstanceId, pid: i32, ctx: &mut Ctx<'_>) {
        self.run.tries = 0;
        self.enter_stage(Stage::Running { instance, pid }, pid, false, ctx);
        Self::log(
            ctx,
            Line::Success {
                name: self.spec.name.clone(),
                startsecs: self.spec.startsecs.0,
            },
        );
    }

    /// Handles a failed attempt without a process.
    pub(super) fn spawn_failed(&mut self, error: SpawnError, ctx: &mut Ctx<'_>) {
        match self.run.stage {
            Stage::Resolving(instance) if self.run.next.is_some() => {
                self.retry_in_order(instance, ctx)
            }
            Stage::Resolving(_) | Stage::Preparing(_) => {
                if let Some(next) = self.run.next.take() {
                    ctx.out.push(Action::Drain(next.instance));
                }
                self.note_failure(error, ctx);
            }
            Stage::Spawning(instance) => {
                ctx.out.push(Action::Drain(instance));
                self.note_failure(error, ctx);
            }
            Stage::StopPending(instance) => {
                ctx.out.push(Action::Drain(instance));
                Self::log(
                    ctx,
                    Line::SpawnFailed {
                        error: error.to_string(),
                    },
                );
                self.run.exit_reason = Some(ExitReason::NotSpawned(Box::new(error.clone())));
                self.run.last_error = Some(LastError::NotSpawned(Box::new(error)));
                self.enter_stage(Stage::Stopped, 0, false, ctx);
            }
            // An attempt fails only in the stages above.
            Stage::Stopped
            | Stage::Exited { .. }
            | Stage::Fatal
            | Stage::Backoff { .. }
            | Stage::Starting { .. }
            | Stage::AwaitingReady { .. }
            | Stage::Terminating { .. }
            | Stage::Running { .. }
            | Stage::Stopping { .. }
            | Stage::Reaped { .. }
            | Stage::Unknown { .. } => {}
        }
    }

    /// Records and logs an attempt that failed without a process.
    fn note_failure(&mut self, error: SpawnError, ctx: &mut Ctx<'_>) {
        Self::log(
            ctx,
            Line::SpawnFailed {
                error: error.to_string(),
            },
        );
        self.run.exit_reason = Some(ExitReason::NotSpawned(Box::new(error.clone())));
        self.run.last_error = Some(LastError::NotSpawned(Box::new(error)));
        self.back_off(ctx);
        self.give_up_if_spent(ctx);
    }

    /// Enters BACKOFF. The n-th failure in a row waits n seconds.
    pub(super) fn back_off(&mut self, ctx: &mut Ctx<'_>) {
        self.run.tries = self.run.tries.saturating_add(1);
        let retry_at = if ctx.may_start {
            ctx.now.mono + Seconds(i64::from(self.run.tries))
        } else {
            Tick::NEVER
        };
        self.enter_stage(Stage::Backoff { retry_at }, 0, false, ctx);
    }

    /// BACKOFF → FATAL if more than `startretries` retries have failed.
    pub(super) fn give_up_if_spent(&mut self, ctx: &mut Ctx<'_>) {
        if i64::from(self.run.tries) > self.spec.startretries {
            self.give_up(ctx);
            Self::log(
                ctx,
                Line::GaveUp {
                    name: self.spec.name.clone(),
                },
            );
        }
    }

    /// BACKOFF → FATAL, without a log line. A shutdown of the daemon does this.
    pub(super) fn give_up(&mut self, ctx: &mut Ctx<'_>) {
        if matches!(self.run.stage, Stage::Backoff { .. }) {
            self.run.tries = 0;
            self.enter_stage(Stage::Fatal, 0, false, ctx);
        }
    }
}
