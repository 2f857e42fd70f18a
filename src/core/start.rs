//! How a process starts: the steps of one attempt, and what follows when it fails. It must not know how one ends.

use std::sync::Arc;

use super::Action;
use super::notify_state::NotifyState;
use super::process::{Ctx, LastError, NextAttempt, Process};
use super::stage::Stage;
use crate::domain::{ExitReason, InstanceId, Line, ResourceEvents, Seconds, SpawnError, Tick};

impl Process {
    /// Begins an attempt. Only from a stage in which nothing lives and the shell owes nothing.
    pub(super) fn start(&mut self, slot: u32, ctx: &mut Ctx<'_>) {
        match self.run.stage {
            Stage::Stopped | Stage::Exited { .. } | Stage::Fatal | Stage::Backoff { .. } => {}
            // Admission refuses these, and nothing else asks: a second instance beside the first must never be.
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

    /// Begins the next attempt while the last output of `instance` is written out.
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

    /// Drops an early attempt of which one step failed, and begins another attempt with its steps in order. The order decides
    /// which of several failures the log names.
    fn retry_in_order(&mut self, early: InstanceId, ctx: &mut Ctx<'_>) {
        self.run.next = None;
        ctx.out.push(Action::Drain(early));
        self.end_hold_up();
        let instance = ctx.new_instance(early.slot);
        self.run.stage = Stage::Resolving(instance);
        let spec = Arc::clone(&self.spec);
        ctx.out.push(Action::Resolve(instance, spec));
    }

    /// The command was found.
    pub(super) fn resolved(&mut self, ctx: &mut Ctx<'_>) {
        match self.run.stage {
            Stage::Resolving(instance) => {
                self.end_hold_up();
                self.run.stage = Stage::Preparing(instance);
                match &self.run.next {
                    Some(next) if next.is_prepared => self.prepared(ctx),
                    // It was asked for.
                    Some(_) => {}
                    None => ctx.out.push(Action::Prepare(
                        instance,
                        Arc::clone(&self.spec),
                        self.logs.clone(),
                    )),
                }
            }
            // The shell says it once per instance.
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

    /// Pipes and logs are there.
    pub(super) fn prepared(&mut self, ctx: &mut Ctx<'_>) {
        match self.run.stage {
            Stage::Preparing(instance) => {
                self.run.next = None;
                self.run.stage = Stage::Spawning(instance);
                ctx.out
                    .push(Action::Spawn(instance, Arc::clone(&self.spec)));
            }
            // The shell says it once per instance, after it resolved.
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

    /// Resolving or spawning takes long. The result follows as another input.
    pub(super) fn spawn_held(&mut self, why: String, ctx: &mut Ctx<'_>) {
        match self.run.stage {
            Stage::Resolving(_) | Stage::Spawning(_) | Stage::StopPending(_) => {
                let name = self.spec.name.clone();
                self.run.last_error = Some(LastError::HeldUp(why.clone()));
                Self::log(ctx, Line::StartHeldUp { name, why });
            }
            // It has come to an end meanwhile.
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

    /// The attempt goes on.
    pub(super) fn end_hold_up(&mut self) {
        if matches!(self.run.last_error, Some(LastError::HeldUp(_))) {
            self.run.last_error = None;
        }
    }

    /// The process exists.
    pub(super) fn spawned(&mut self, pid: i32, ctx: &mut Ctx<'_>) {
        match self.run.stage {
            // Preparing: the kernel was asked, and the daemon was killed before that was written down.
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
            // The shell says it once per instance, and only after it was asked to spawn.
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

    /// No process came of the attempt.
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
            // An attempt fails only while it is made.
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

    pub(super) fn back_off(&mut self, ctx: &mut Ctx<'_>) {
        self.run.tries = self.run.tries.saturating_add(1);
        let retry_at = if ctx.may_start {
            ctx.now.mono + Seconds(i64::from(self.run.tries))
        } else {
            Tick::NEVER
        };
        self.enter_stage(Stage::Backoff { retry_at }, 0, false, ctx);
    }

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

    /// BACKOFF becomes FATAL, without a line: what a stop of the daemon does.
    pub(super) fn give_up(&mut self, ctx: &mut Ctx<'_>) {
        if matches!(self.run.stage, Stage::Backoff { .. }) {
            self.run.tries = 0;
            self.enter_stage(Stage::Fatal, 0, false, ctx);
        }
    }
}
