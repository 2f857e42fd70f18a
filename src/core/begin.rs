//! How a process comes to life: the steps of one attempt, and what follows when it fails. It must not know how one ends.

use std::sync::Arc;

use super::Action;
use super::process::{Moment, NextAttempt, Process, Trouble};
use super::stage::Stage;
use super::tidings::Tidings;
use crate::domain::{Causes, Ending, Life, Line, Seconds, SpawnError, Tick};

impl Process {
    /// Begins an attempt. Only from a stage in which nothing lives and the shell owes nothing.
    pub(super) fn start(&mut self, slot: u32, moment: &mut Moment<'_>) {
        match self.run.stage {
            Stage::Stopped | Stage::Exited { .. } | Stage::Fatal | Stage::Backoff { .. } => {}
            // Admission refuses these, and nothing else asks: a second life beside the first must never be.
            Stage::Resolving(_)
            | Stage::Preparing(_)
            | Stage::Spawning(_)
            | Stage::Starting { .. }
            | Stage::Waking { .. }
            | Stage::Failing { .. }
            | Stage::Running { .. }
            | Stage::Aborting(_)
            | Stage::Stopping { .. }
            | Stage::Dying { .. }
            | Stage::Unknown { .. } => return,
        }
        let next = self.run.next.take();
        let life = match &next {
            Some(next) => next.life,
            None => moment.new_life(slot),
        };
        self.run.trouble = None;
        let notify = self.spec.notify;
        self.run.tidings = notify.tells_ready().then(|| Tidings::new(notify.watchdog));
        self.run.exit_status = 0;
        self.run.causes = Causes::NONE;
        self.run.relimit = false;
        self.run.start = moment.now.wall.secs();
        self.run.spawned_at = moment.now.mono;
        self.enter(Stage::Resolving(life), 0, false, moment);
        let Some(mut next) = next else {
            let spec = Arc::clone(&self.spec);
            moment.out.push(Action::Resolve(life, spec));
            return;
        };
        let held_up = next.held_up.take();
        let is_resolved = next.is_resolved;
        self.run.next = Some(next);
        if is_resolved {
            self.resolved(moment);
        } else if let Some(why) = held_up {
            self.held_up(why, moment);
        }
    }

    /// Begins the next attempt while the last output of `life` is written out.
    pub(super) fn begin_next(&mut self, life: Life, moment: &mut Moment<'_>) {
        let life = moment.new_life(life.slot);
        self.run.next = Some(Box::new(NextAttempt {
            life,
            is_resolved: false,
            is_prepared: false,
            held_up: None,
        }));
        moment.out.push(Action::PrepareNext(
            life,
            Arc::clone(&self.spec),
            self.logs.clone(),
        ));
    }

    /// Drops an early attempt of which one step failed, and begins another attempt with its steps in order. The order decides
    /// which of several failures the log names.
    fn try_in_order(&mut self, early: Life, moment: &mut Moment<'_>) {
        self.run.next = None;
        moment.out.push(Action::Drain(early));
        self.goes_on();
        let life = moment.new_life(early.slot);
        self.run.stage = Stage::Resolving(life);
        let spec = Arc::clone(&self.spec);
        moment.out.push(Action::Resolve(life, spec));
    }

    /// The command was found.
    pub(super) fn resolved(&mut self, moment: &mut Moment<'_>) {
        match self.run.stage {
            Stage::Resolving(life) => {
                self.goes_on();
                self.run.stage = Stage::Preparing(life);
                match &self.run.next {
                    Some(next) if next.is_prepared => self.prepared(moment),
                    // It was asked for.
                    Some(_) => {}
                    None => moment.out.push(Action::Prepare(
                        life,
                        Arc::clone(&self.spec),
                        self.logs.clone(),
                    )),
                }
            }
            // The shell says it once per life.
            Stage::Stopped
            | Stage::Exited { .. }
            | Stage::Fatal
            | Stage::Backoff { .. }
            | Stage::Preparing(_)
            | Stage::Spawning(_)
            | Stage::Starting { .. }
            | Stage::Waking { .. }
            | Stage::Failing { .. }
            | Stage::Running { .. }
            | Stage::Aborting(_)
            | Stage::Stopping { .. }
            | Stage::Dying { .. }
            | Stage::Unknown { .. } => {}
        }
    }

    /// Pipes and logs are there.
    pub(super) fn prepared(&mut self, moment: &mut Moment<'_>) {
        match self.run.stage {
            Stage::Preparing(life) => {
                self.run.next = None;
                self.run.stage = Stage::Spawning(life);
                moment.out.push(Action::Spawn(life, Arc::clone(&self.spec)));
            }
            // The shell says it once per life, after it resolved.
            Stage::Stopped
            | Stage::Exited { .. }
            | Stage::Fatal
            | Stage::Backoff { .. }
            | Stage::Resolving(_)
            | Stage::Spawning(_)
            | Stage::Starting { .. }
            | Stage::Waking { .. }
            | Stage::Failing { .. }
            | Stage::Running { .. }
            | Stage::Aborting(_)
            | Stage::Stopping { .. }
            | Stage::Dying { .. }
            | Stage::Unknown { .. } => {}
        }
    }

    /// Resolving or spawning takes long. The result follows as another input.
    pub(super) fn held_up(&mut self, why: String, moment: &mut Moment<'_>) {
        match self.run.stage {
            Stage::Resolving(_) | Stage::Spawning(_) | Stage::Aborting(_) => {
                let name = self.spec.name.clone();
                self.run.trouble = Some(Trouble::HeldUp(why.clone()));
                Self::log(moment, Line::StartHeldUp { name, why });
            }
            // It has come to an end meanwhile.
            Stage::Stopped
            | Stage::Exited { .. }
            | Stage::Fatal
            | Stage::Backoff { .. }
            | Stage::Preparing(_)
            | Stage::Starting { .. }
            | Stage::Waking { .. }
            | Stage::Failing { .. }
            | Stage::Running { .. }
            | Stage::Stopping { .. }
            | Stage::Dying { .. }
            | Stage::Unknown { .. } => {}
        }
    }

    /// The attempt goes on.
    pub(super) fn goes_on(&mut self) {
        if matches!(self.run.trouble, Some(Trouble::HeldUp(_))) {
            self.run.trouble = None;
        }
    }

    /// The process exists.
    pub(super) fn spawned(&mut self, pid: i32, moment: &mut Moment<'_>) {
        match self.run.stage {
            // Preparing: the kernel was asked, and the daemon was killed before that was written down.
            Stage::Spawning(life) | Stage::Preparing(life) => {
                self.note_spawn(life, pid, moment);
                let startsecs = self.spec.startsecs;
                if self.spec.notify.tells_ready() {
                    self.await_ready(life, pid, moment);
                } else if startsecs.0 > 0 {
                    self.run.stage = Stage::Starting {
                        life,
                        pid,
                        promote_at: moment.now.mono + startsecs,
                    };
                } else {
                    self.promote(life, pid, moment);
                }
            }
            Stage::Aborting(life) => {
                self.note_spawn(life, pid, moment);
                self.send_stop(life, pid, moment);
            }
            // The shell says it once per life, and only after it was asked to spawn.
            Stage::Stopped
            | Stage::Exited { .. }
            | Stage::Fatal
            | Stage::Backoff { .. }
            | Stage::Resolving(_)
            | Stage::Starting { .. }
            | Stage::Waking { .. }
            | Stage::Failing { .. }
            | Stage::Running { .. }
            | Stage::Stopping { .. }
            | Stage::Dying { .. }
            | Stage::Unknown { .. } => {}
        }
    }

    fn note_spawn(&mut self, life: Life, pid: i32, moment: &mut Moment<'_>) {
        self.goes_on();
        self.run.spawns += 1;
        self.run.start = moment.now.wall.secs();
        self.run.spawned_at = moment.now.mono;
        Self::log(
            moment,
            Line::Spawned {
                name: self.spec.name.clone(),
                pid,
            },
        );
        moment.out.push(Action::Read(life, pid));
        if std::mem::take(&mut self.run.relimit) {
            moment
                .out
                .push(Action::Limit(life, Arc::clone(&self.spec.resources)));
        }
    }

    pub(super) fn promote(&mut self, life: Life, pid: i32, moment: &mut Moment<'_>) {
        self.run.tries = 0;
        self.enter(Stage::Running { life, pid }, pid, false, moment);
        Self::log(
            moment,
            Line::Success {
                name: self.spec.name.clone(),
                startsecs: self.spec.startsecs.0,
            },
        );
    }

    /// No process came of the attempt.
    pub(super) fn spawn_failed(&mut self, error: SpawnError, moment: &mut Moment<'_>) {
        match self.run.stage {
            Stage::Resolving(life) if self.run.next.is_some() => self.try_in_order(life, moment),
            Stage::Resolving(_) | Stage::Preparing(_) => {
                if let Some(next) = self.run.next.take() {
                    moment.out.push(Action::Drain(next.life));
                }
                self.note_failure(error, moment);
            }
            Stage::Spawning(life) => {
                moment.out.push(Action::Drain(life));
                self.note_failure(error, moment);
            }
            Stage::Aborting(life) => {
                moment.out.push(Action::Drain(life));
                Self::log(
                    moment,
                    Line::SpawnFailed {
                        error: error.to_string(),
                    },
                );
                self.run.ending = Some(Ending::NotSpawned(Box::new(error.clone())));
                self.run.trouble = Some(Trouble::NotSpawned(Box::new(error)));
                self.enter(Stage::Stopped, 0, false, moment);
            }
            // An attempt fails only while it is made.
            Stage::Stopped
            | Stage::Exited { .. }
            | Stage::Fatal
            | Stage::Backoff { .. }
            | Stage::Starting { .. }
            | Stage::Waking { .. }
            | Stage::Failing { .. }
            | Stage::Running { .. }
            | Stage::Stopping { .. }
            | Stage::Dying { .. }
            | Stage::Unknown { .. } => {}
        }
    }

    fn note_failure(&mut self, error: SpawnError, moment: &mut Moment<'_>) {
        Self::log(
            moment,
            Line::SpawnFailed {
                error: error.to_string(),
            },
        );
        self.run.ending = Some(Ending::NotSpawned(Box::new(error.clone())));
        self.run.trouble = Some(Trouble::NotSpawned(Box::new(error)));
        self.back_off(moment);
        self.give_up_if_spent(moment);
    }

    pub(super) fn back_off(&mut self, moment: &mut Moment<'_>) {
        self.run.tries = self.run.tries.saturating_add(1);
        let retry_at = if moment.may_start {
            moment.now.mono + Seconds(i64::from(self.run.tries))
        } else {
            Tick::NEVER
        };
        self.enter(Stage::Backoff { retry_at }, 0, false, moment);
    }

    pub(super) fn give_up_if_spent(&mut self, moment: &mut Moment<'_>) {
        if i64::from(self.run.tries) > self.spec.startretries {
            self.give_up(moment);
            Self::log(
                moment,
                Line::GaveUp {
                    name: self.spec.name.clone(),
                },
            );
        }
    }

    /// BACKOFF becomes FATAL, without a line: what a stop of the daemon does.
    pub(super) fn give_up(&mut self, moment: &mut Moment<'_>) {
        if matches!(self.run.stage, Stage::Backoff { .. }) {
            self.run.tries = 0;
            self.enter(Stage::Fatal, 0, false, moment);
        }
    }
}
