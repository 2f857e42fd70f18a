//! How a process's end is taken in: reaped first, told when its output is written out. It must not know why it ended.

use super::Action;
use super::process::{Moment, Process, Trouble};
use super::stage::{Failure, Rite, Stage, Was};
use crate::config::spec::{AutoRestart, KillMode};
use crate::domain::{Causes, Ending, ExitStatus, Life, Line, Seconds, Tick};

/// Seconds that the output of an ended process may take to be written out before its end is told without it.
pub(super) const DRAIN_SECS_MAX: Seconds = Seconds(10);
/// Seconds that the processes which it left behind may take to die of SIGKILL before its end is told without theirs.
pub(super) const EMPTY_SECS_MAX: Seconds = Seconds(10);

impl Process {
    /// It was reaped. What becomes of it is decided when its output is written out.
    pub(super) fn exited(&mut self, status: ExitStatus, moment: &mut Moment<'_>) {
        let (Some((life, pid)), Some(was)) = (self.run.stage.reachable(), self.was(moment)) else {
            // Nothing lives here, or it was reaped before.
            return;
        };
        self.run.stop = moment.now.wall.secs();
        let mut counts_as = was;
        if was == Was::Unknown {
            counts_as = self.ordinary(moment);
            self.run.refused = Some(counts_as);
        }
        self.run.ending = Some(match counts_as {
            Was::TooQuick => Ending::TooQuick(status),
            Was::Unready => Ending::Unready(status),
            Was::Failed(Failure::NotReady | Failure::GaveUp) => Ending::NotReady(status),
            Was::Failed(Failure::Starved | Failure::Triggered) => Ending::Watchdog(status),
            Was::Unpromoted | Was::Running | Was::Unknown => Ending::ByItself(status),
            Was::Stopping => Ending::OnRequest(status),
        });
        self.sum_up(moment);
        // What it left behind may hold its pipes and write to them: that comes first.
        let rite = if self.spec.resources.is_some() {
            self.empty(life, moment);
            Rite::Emptying
        } else {
            self.drain(life, was, status, moment);
            Rite::Draining
        };
        self.run.stage = Stage::Dying {
            life,
            pid,
            status,
            was,
            rite,
            drain_by: moment.now.mono
                + match rite {
                    Rite::Emptying => EMPTY_SECS_MAX,
                    Rite::Draining => DRAIN_SECS_MAX,
                },
        };
    }

    /// What it is, for the rules about its end. `None`: nothing lives here.
    pub(super) fn was(&self, moment: &Moment<'_>) -> Option<Was> {
        match self.run.stage {
            // Differs: the original may promote a process that is dead already, since it looks at the clock before it
            // reaps. Here the reap decides, by the monotonic clock.
            Stage::Starting { .. } if self.is_too_quick(moment) => Some(Was::TooQuick),
            Stage::Starting { .. } => Some(Was::Unpromoted),
            Stage::Waking { .. } => Some(Was::Unready),
            Stage::Failing { why, .. } => Some(Was::Failed(why)),
            Stage::Running { .. } => Some(Was::Running),
            Stage::Stopping { .. } => Some(Was::Stopping),
            Stage::Unknown { alive: Some(_) } => Some(Was::Unknown),
            Stage::Unknown { alive: None }
            | Stage::Stopped
            | Stage::Exited { .. }
            | Stage::Fatal
            | Stage::Backoff { .. }
            | Stage::Resolving(_)
            | Stage::Preparing(_)
            | Stage::Spawning(_)
            | Stage::Aborting(_)
            | Stage::Dying { .. } => None,
        }
    }

    /// It ends before `startsecs`.
    fn is_too_quick(&self, moment: &Moment<'_>) -> bool {
        moment.now.mono < self.run.spawned_at + self.spec.startsecs
    }

    /// As the exit of which process the exit of an UNKNOWN one counts.
    fn ordinary(&self, moment: &Moment<'_>) -> Was {
        // An UNKNOWN process counts as stopped, so the stop of everything does not wait for it; a retry would be waited for,
        // and nobody would call it off.
        if !moment.may_start {
            return Was::Stopping;
        }
        match self.run.refused {
            // Nobody promotes an UNKNOWN process, but it has stayed up long enough.
            Some(Was::TooQuick) if !self.is_too_quick(moment) => Was::Running,
            Some(Was::Unpromoted) => Was::Running,
            Some(
                was
                @ (Was::TooQuick | Was::Unready | Was::Failed(_) | Was::Running | Was::Stopping),
            ) => was,
            // Most likely a stop was refused. No restart against anybody's wish.
            Some(Was::Unknown) | None => Was::Stopping,
        }
    }

    /// Has what the process left behind looked after.
    pub(super) fn empty(&self, life: Life, moment: &mut Moment<'_>) {
        moment.out.push(Action::Empty {
            life,
            kill: self.spec.resources.kill_mode == KillMode::ControlGroup,
        });
    }

    /// Nothing of what it left behind is to be waited for any more.
    pub(super) fn emptied(&mut self, causes: Causes, moment: &mut Moment<'_>) {
        if let Stage::Dying {
            life,
            status,
            was,
            rite: rite @ Rite::Emptying,
            drain_by,
            ..
        } = &mut self.run.stage
        {
            *rite = Rite::Draining;
            *drain_by = moment.now.mono + DRAIN_SECS_MAX;
            self.run.causes = causes;
            let (life, status, was) = (*life, *status, *was);
            self.drain(life, was, status, moment);
        }
    }

    /// Has its last output written out, and the next attempt begun meanwhile if that will follow at once.
    fn drain(&mut self, life: Life, was: Was, status: ExitStatus, moment: &mut Moment<'_>) {
        moment.out.push(Action::Drain(life));
        let expected = match was {
            Was::Unpromoted | Was::Running => self.expects(status),
            Was::Failed(Failure::Starved | Failure::Triggered) => false,
            // These are told as STOPPED or BACKOFF, or nobody knows yet.
            Was::TooQuick
            | Was::Unready
            | Was::Failed(Failure::NotReady | Failure::GaveUp)
            | Was::Stopping
            | Was::Unknown => return,
        };
        // A socket is closed with the end of the last life that had it, and made again for the next.
        if !self.has_socket() && self.restart_at(expected, moment) <= moment.now.mono {
            self.begin_next(life, moment);
        }
    }

    /// Everything it wrote is in its logs (or has taken too long to get there): its end is told.
    pub(super) fn drained(&mut self, moment: &mut Moment<'_>) {
        match self.run.stage {
            Stage::Dying {
                life,
                pid,
                status,
                was,
                ..
            } => {
                self.told(life, pid, status, was, moment);
                let causes = self.run.causes;
                if !causes.is_none() {
                    let name = self.spec.name.clone();
                    Self::log(moment, Line::Caused { name, causes });
                }
            }
            // Only a dying process is drained; the undoing of an attempt is not waited for.
            Stage::Stopped
            | Stage::Exited { .. }
            | Stage::Fatal
            | Stage::Backoff { .. }
            | Stage::Resolving(_)
            | Stage::Preparing(_)
            | Stage::Spawning(_)
            | Stage::Starting { .. }
            | Stage::Waking { .. }
            | Stage::Failing { .. }
            | Stage::Running { .. }
            | Stage::Aborting(_)
            | Stage::Stopping { .. }
            | Stage::Unknown { .. } => {}
        }
    }

    fn told(
        &mut self,
        life: Life,
        pid: i32,
        status: ExitStatus,
        was: Was,
        moment: &mut Moment<'_>,
    ) {
        match was {
            Was::TooQuick => self.failed_start(status, Trouble::TooQuick, moment),
            Was::Unready => self.failed_start(status, Trouble::Unready, moment),
            Was::Failed(Failure::NotReady) => {
                self.failed_start(status, Trouble::NotReady, moment);
            }
            Was::Failed(Failure::GaveUp) => self.failed_start(status, Trouble::GaveUp, moment),
            Was::Failed(Failure::Starved) => {
                self.end(pid, status, Some(Trouble::Starved), moment);
            }
            Was::Failed(Failure::Triggered) => {
                self.end(pid, status, Some(Trouble::Triggered), moment);
            }
            Was::Unpromoted => {
                self.run.tries = 0;
                self.enter(Stage::Running { life, pid }, pid, false, moment);
                self.end(pid, status, None, moment);
            }
            Was::Running => self.end(pid, status, None, moment),
            Was::Stopping => {
                self.run.exit_status = status.code();
                self.enter(Stage::Stopped, pid, false, moment);
                let name = self.spec.name.clone();
                Self::log(
                    moment,
                    if self.expects(status) {
                        Line::StoppedExpected { name, status }
                    } else {
                        Line::StoppedUnexpected { name, status }
                    },
                );
            }
            // Differs: the original fails an assertion here and dies (Supervisor#76, #445, #536, #839). The ordinary rules
            // follow: STOPPED if a stop was refused, else BACKOFF or EXITED with its automatic restart.
            Was::Unknown => {
                let was = self.run.refused.take().unwrap_or(Was::Stopping);
                let was = match moment.may_start {
                    true => was,
                    false => Was::Stopping,
                };
                self.told(life, pid, status, was, moment);
            }
        }
    }

    /// The start has come to nothing, though there was a process.
    fn failed_start(&mut self, status: ExitStatus, why: Trouble, moment: &mut Moment<'_>) {
        self.run.exit_status = 0;
        self.run.trouble = Some(why);
        self.back_off(moment);
        self.log_exit(status, false, moment);
        self.give_up_if_spent(moment);
    }

    fn expects(&self, status: ExitStatus) -> bool {
        match status {
            ExitStatus::Exited(code) => self.spec.exitcodes.contains(&code),
            ExitStatus::Signalled { .. } | ExitStatus::Unknown(_) => false,
        }
    }

    fn log_exit(&self, status: ExitStatus, expected: bool, moment: &mut Moment<'_>) {
        let name = self.spec.name.clone();
        Self::log(
            moment,
            if expected {
                Line::ExitedExpected { name, status }
            } else {
                Line::ExitedUnexpected { name, status }
            },
        );
    }

    /// When it starts again by itself after such an exit; [`Tick::NEVER`]: not at all.
    fn restart_at(&self, expected: bool, moment: &Moment<'_>) -> Tick {
        let again = match self.spec.autorestart {
            AutoRestart::Always => true,
            AutoRestart::Never => false,
            AutoRestart::Unexpected => !expected,
        };
        if again && moment.may_start {
            let floor = self.run.spawned_at + self.spec.restart_floor;
            moment.now.mono.max(floor)
        } else {
            Tick::NEVER
        }
    }

    /// RUNNING → EXITED, and whether and when it starts again by itself. An end that was our doing is never expected, and
    /// has its `cause`.
    fn end(
        &mut self,
        pid: i32,
        status: ExitStatus,
        cause: Option<Trouble>,
        moment: &mut Moment<'_>,
    ) {
        let expected = cause.is_none() && self.expects(status);
        self.run.tries = 0;
        self.run.exit_status = status.code();
        if !expected {
            self.run.trouble = Some(cause.unwrap_or(Trouble::BadExit(status.code())));
        }
        let now = moment.now.mono;
        let restart_at = self.restart_at(expected, moment);
        self.enter(Stage::Exited { restart_at }, pid, expected, moment);
        self.log_exit(status, expected, moment);
        // Differs: the original starts it again at its next look, which its one-second lag keeps from being a hot loop.
        if restart_at != Tick::NEVER && restart_at > now {
            Self::log(
                moment,
                Line::RestartFloored {
                    name: self.spec.name.clone(),
                    millis: restart_at.nanos_since(now) / 1_000_000,
                },
            );
        }
    }
}
