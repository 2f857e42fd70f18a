//! How a process is asked to stop, and what is done when it does not. It must not know who asks.

use super::process::{Moment, Process};
use super::stage::{Failure, Stage, Was};
use super::ticket::{Purpose, Waiter};
use super::{Action, SignalScope};
use crate::domain::{Life, Line, ProcessState, Seconds, Signal, Tick};

/// Seconds between two SIGKILLs, at least, however small `stopwaitsecs` is.
const KILL_AGAIN_SECS_MIN: i64 = 1;
/// Seconds between two "waiting for … to stop" lines of one process.
const STOP_REPORT_SECS: Seconds = Seconds(2);

impl Process {
    /// Asks it to stop. Answers whether that is a change: a process that is not running, or is stopping already, stays.
    pub(super) fn stop(&mut self, moment: &mut Moment<'_>) {
        match self.run.stage {
            // No process yet, and none will come: the answer of the shell will be stale.
            Stage::Resolving(_) => self.cancel(moment),
            Stage::Preparing(life) => {
                self.run.next = None;
                moment.out.push(Action::Drain(life));
                self.cancel(moment);
            }
            Stage::Spawning(life) => {
                self.enter(Stage::Aborting(life), 0, false, moment);
                moment.out.push(Action::CallOff(life));
            }
            // One that is being ended by us is now ended as somebody wishes.
            Stage::Starting { life, pid, .. }
            | Stage::Waking { life, pid, .. }
            | Stage::Failing { life, pid, .. }
            | Stage::Running { life, pid } => self.send_stop(life, pid, moment),
            Stage::Backoff { .. } => {
                Self::log(
                    moment,
                    Line::KillInBackoff {
                        name: self.spec.name.clone(),
                    },
                );
                self.enter(Stage::Stopped, 0, false, moment);
            }
            Stage::Dying {
                life,
                pid,
                status,
                was: Was::TooQuick | Was::Unpromoted | Was::Unready | Was::Failed(_) | Was::Running,
                rite,
                drain_by,
            } => {
                // It is reaped: its number may belong to somebody else. It only has to be told as stopped.
                let to = Stage::Dying {
                    life,
                    pid,
                    status,
                    was: Was::Stopping,
                    rite,
                    drain_by,
                };
                self.enter(to, pid, false, moment);
            }
            Stage::Exited { .. } => self.forget_restart(moment),
            Stage::Stopped
            | Stage::Fatal
            | Stage::Aborting(_)
            | Stage::Stopping { .. }
            | Stage::Dying {
                was: Was::Stopping | Was::Unknown,
                ..
            }
            | Stage::Unknown { .. } => {}
        }
    }

    /// Calls an automatic restart off that waits for its time.
    ///
    /// Differs: the original answers a stop of such a process with "not running" and starts it again a moment later.
    /// With a restart floor that moment is long, and a looping program could hardly be stopped: the wish is kept.
    pub(super) fn forget_restart(&mut self, _: &mut Moment<'_>) {
        if let Stage::Exited { restart_at } = &mut self.run.stage {
            *restart_at = Tick::NEVER;
        }
    }

    /// STARTING → STOPPING → STOPPED at once: both are told, so that subscribers see no new kind of step.
    fn cancel(&mut self, moment: &mut Moment<'_>) {
        self.publish(
            ProcessState::Starting,
            ProcessState::Stopping,
            0,
            false,
            moment,
        );
        self.run.stage = Stage::Stopped;
        self.publish(
            ProcessState::Stopping,
            ProcessState::Stopped,
            0,
            false,
            moment,
        );
    }

    pub(super) fn send_stop(&mut self, life: Life, pid: i32, moment: &mut Moment<'_>) {
        let (signal, scope) = (self.spec.stopsignal, self.stop_scope());
        self.log_killing(pid, signal, scope, moment);
        let kill_at = moment.now.mono + Seconds(self.spec.stopwaitsecs.0.max(0));
        self.allow_extension(kill_at);
        let to = Stage::Stopping {
            life,
            pid,
            kill_at,
            sent: false,
            killed: false,
        };
        self.enter(to, pid, false, moment);
        Self::signal(life, signal, scope, moment);
    }

    /// Sends the stop signal once more, since nobody knows whether it went out.
    pub(super) fn stop_again(&self, life: Life, moment: &mut Moment<'_>) {
        Self::signal(life, self.spec.stopsignal, self.stop_scope(), moment);
    }

    /// How far its stop signal reaches.
    pub(super) fn stop_scope(&self) -> SignalScope {
        scope(self.spec.stopasgroup)
    }

    /// Ends it with `signal`, for a reason that was told.
    pub(super) fn send(
        &self,
        life: Life,
        pid: i32,
        signal: Signal,
        scope: SignalScope,
        moment: &mut Moment<'_>,
    ) {
        self.log_killing(pid, signal, scope, moment);
        Self::signal(life, signal, scope, moment);
    }

    fn log_killing(&self, pid: i32, signal: Signal, scope: SignalScope, moment: &mut Moment<'_>) {
        let group = match scope {
            SignalScope::Process => String::new(),
            SignalScope::Group => "process group ".to_owned(),
        };
        Self::log(
            moment,
            Line::Killing {
                name: self.spec.name.clone(),
                pid,
                group,
                signal,
            },
        );
    }

    /// The stop signal (or SIGKILL) has reached the kernel, which took it or knows the process no more.
    pub(super) fn stop_sent(&mut self) {
        if let Stage::Stopping { sent, .. } = &mut self.run.stage {
            *sent = true;
        }
    }

    /// The kernel refused a signal: nothing is known any more, until the process ends.
    pub(super) fn refused(&mut self, moment: &mut Moment<'_>) {
        match self.run.stage {
            Stage::Starting { life, pid, .. }
            | Stage::Waking { life, pid, .. }
            | Stage::Failing { life, pid, .. }
            | Stage::Running { life, pid }
            | Stage::Stopping { life, pid, .. } => {
                self.run.refused = self.was(moment);
                self.run.report_at = Tick::NEVER;
                let alive = Some((life, pid));
                self.enter(Stage::Unknown { alive }, pid, false, moment);
            }
            // It ended before the refusal arrived, which then says nothing; or it is unknown already.
            Stage::Dying { .. } | Stage::Unknown { .. } => {}
            // There is nothing that a signal was sent to.
            Stage::Stopped
            | Stage::Exited { .. }
            | Stage::Fatal
            | Stage::Backoff { .. }
            | Stage::Resolving(_)
            | Stage::Preparing(_)
            | Stage::Spawning(_)
            | Stage::Aborting(_) => {}
        }
    }

    /// A client waits for the stop: says so now, and again until it has happened.
    pub(super) fn report_stop(&mut self, moment: &mut Moment<'_>) {
        let waited_for = self.run.waiters.iter().any(Waiter::reports);
        if !waited_for || self.state() != ProcessState::Stopping {
            self.run.report_at = Tick::NEVER;
            return;
        }
        if self.run.report_at == Tick::NEVER || self.run.report_at <= moment.now.mono {
            Self::log(
                moment,
                Line::WaitingToStop {
                    name: self.spec.name.clone(),
                },
            );
            self.run.report_at = moment.now.mono + STOP_REPORT_SECS;
        }
    }

    pub(super) fn kill(&mut self, life: Life, pid: i32, sent: bool, moment: &mut Moment<'_>) {
        Self::log(
            moment,
            Line::KillingNow {
                name: self.spec.name.clone(),
                pid,
            },
        );
        let scope = scope(self.spec.killasgroup);
        self.log_killing(pid, Signal::KILL, scope, moment);
        let again = self.spec.stopwaitsecs.0.max(KILL_AGAIN_SECS_MIN);
        self.run.stage = Stage::Stopping {
            life,
            pid,
            kill_at: moment.now.mono + Seconds(again),
            sent,
            killed: true,
        };
        Self::signal(life, Signal::KILL, scope, moment);
    }

    /// What was to end it by itself has not.
    pub(super) fn kill_failing(
        &mut self,
        life: Life,
        pid: i32,
        why: Failure,
        moment: &mut Moment<'_>,
    ) {
        let name = self.spec.name.clone();
        Self::log(moment, Line::KillingNow { name, pid });
        let again = self.spec.stopwaitsecs.0.max(KILL_AGAIN_SECS_MIN);
        self.run.stage = Stage::Failing {
            life,
            pid,
            why,
            kill_at: moment.now.mono + Seconds(again),
        };
        let scope = scope(self.spec.killasgroup);
        self.send(life, pid, Signal::KILL, scope, moment);
    }

    fn signal(life: Life, signal: Signal, scope: SignalScope, moment: &mut Moment<'_>) {
        moment.signals.push_back((life, signal, Purpose::Stop));
        moment.out.push(Action::Signal {
            life,
            signal,
            scope,
        });
    }
}

const fn scope(as_group: bool) -> SignalScope {
    if as_group {
        SignalScope::Group
    } else {
        SignalScope::Process
    }
}
