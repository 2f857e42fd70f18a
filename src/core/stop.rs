//! The stop of a process: the stop signal, and SIGKILL if the process does not exit.

use super::process::{Ctx, Process};
use super::stage::{AlivePhase, AttemptStep, Idle, Stage, StageAtExit, TerminationReason};
use super::ticket::{SignalPurpose, Waiter};
use super::transitions::Trigger;
use super::{Action, SignalScope};
use crate::domain::{InstanceId, Line, ProcessState, Seconds, Signal, Tick};
use crate::effects::OutputEffect;

/// Minimum seconds between two SIGKILLs, even if `stopwaitsecs` is smaller.
const KILL_AGAIN_SECS_MIN: i64 = 1;
/// Seconds between two "waiting for … to stop" lines of one process.
const STOP_REPORT_SECS: Seconds = Seconds(2);

impl Process {
    /// Asks the process to stop. Nothing changes if it is not running or stops already.
    pub(super) fn stop(&mut self, ctx: &mut Ctx<'_>) {
        self.run.stop_held = false;
        self.run.starts_again = false;
        self.run.restart_after_change = false;
        match *self.run.stage {
            Stage::Attempt { instance, step } => self.stop_attempt(instance, step, ctx),
            Stage::Alive {
                phase:
                    AlivePhase::PreStop { .. } | AlivePhase::Stopping { .. } | AlivePhase::Unknown,
                ..
            } => {}
            // A process that the daemon terminates is now stopped on request.
            Stage::Alive { instance, pid, .. } => self.send_stop(instance, pid, ctx),
            Stage::Reaped {
                at_exit: StageAtExit::Stopping | StageAtExit::Unknown,
                ..
            } => {}
            // The process is reaped, so its PID may belong to another process. Only the published exit changes to
            // STOPPED.
            Stage::Reaped { .. } => self.count_as(StageAtExit::Stopping, ctx),
            Stage::Idle(Idle::Backoff { .. }) => {
                Self::log(
                    ctx,
                    Line::KillInBackoff {
                        name: self.spec.name.clone(),
                    },
                );
                self.enter_stage(Stage::STOPPED, 0, false, ctx);
            }
            Stage::Idle(Idle::Waiting) => self.change_stage(Stage::STOPPED, ctx),
            Stage::Idle(_) => self.cancel_restart(ctx),
        }
    }

    /// Stops the process, now or when the processes that depend on it and are being stopped are gone.
    pub(super) fn stop_in_order(&mut self, ctx: &mut Ctx<'_>) {
        if ctx.may_stop || !self.can_be_held() {
            self.stop(ctx);
            return;
        }
        self.run.starts_again = false;
        self.run.restart_after_change = false;
        self.run.stop_held = true;
    }

    /// Returns whether the process exists and does not stop yet. An attempt without a process is stopped at once.
    pub(super) fn can_be_held(&self) -> bool {
        matches!(*self.run.stage, Stage::Alive { .. }) && self.state() != ProcessState::Stopping
    }

    /// Stops a process whose stop was held.
    pub(super) fn stop_after_hold(&mut self, ctx: &mut Ctx<'_>) {
        let is_restart = self.run.restart_after_change;
        self.stop(ctx);
        self.run.restart_after_change = is_restart;
    }

    /// Stops the process, which starts again as soon as it has stopped.
    pub(super) fn stop_to_restart(&mut self, ctx: &mut Ctx<'_>) {
        self.stop(ctx);
        self.run.starts_again = true;
    }

    /// Stops an attempt. A late answer of the shell will be ignored as stale.
    fn stop_attempt(&mut self, instance: InstanceId, step: AttemptStep, ctx: &mut Ctx<'_>) {
        match step {
            AttemptStep::StopPending => return,
            // The attempt holds the plan of its process.
            AttemptStep::PreStart => ctx.out.push(Action::Output(OutputEffect::Drain(instance))),
            AttemptStep::Preparing => {
                self.run.next = None;
                ctx.out.push(Action::Output(OutputEffect::Drain(instance)));
            }
            AttemptStep::Resolving | AttemptStep::Spawning => {}
        }
        let to = Stage::attempt(instance, AttemptStep::StopPending);
        self.enter_stage(to, 0, false, ctx);
        if step == AttemptStep::Spawning {
            ctx.out.push(Action::CallOff(instance));
        } else {
            // No process exists. Both changes are published, so that subscribers see only changes that they know.
            ctx.trigger = Trigger::Cancelled;
            self.cancelled(ctx);
        }
    }

    /// STOPPING → STOPPED: the attempt leads to no process.
    pub(super) fn cancelled(&mut self, ctx: &mut Ctx<'_>) {
        if let Stage::Attempt {
            step: AttemptStep::StopPending,
            ..
        } = *self.run.stage
        {
            self.enter_stage(Stage::STOPPED, 0, false, ctx);
        }
    }

    /// Cancels an automatic restart that waits for its time.
    ///
    /// Differs: the original answers a stop of such a process with "not running" and restarts it a moment later. With a
    /// restart delay that moment is long, and a looping program could hardly be stopped. Here the stop is honoured.
    pub(super) fn cancel_restart(&mut self, ctx: &mut Ctx<'_>) {
        self.run.starts_again = false;
        self.run.restart_after_change = false;
        if let Stage::Idle(Idle::Exited { .. }) = *self.run.stage {
            let restart_at = Tick::NEVER;
            self.change_stage(Stage::Idle(Idle::Exited { restart_at }), ctx);
        }
    }

    /// Enters STOPPING: begins the hooks before the stop signal, or sends it.
    pub(super) fn send_stop(&mut self, instance: InstanceId, pid: i32, ctx: &mut Ctx<'_>) {
        if !self.begin_pre_stop(instance, pid, ctx) {
            self.send_stop_signal(instance, pid, ctx);
        }
    }

    /// Sends the first stop signal.
    pub(super) fn send_stop_signal(&mut self, instance: InstanceId, pid: i32, ctx: &mut Ctx<'_>) {
        let (signal, scope) = (self.spec.stopsignal, self.stop_scope());
        self.log_killing(pid, signal, scope, ctx);
        let kill_at = ctx.now.mono + self.stop_wait();
        self.allow_extension(kill_at);
        let phase = AlivePhase::Stopping {
            kill_at,
            sent: false,
            killed: false,
            signal_index: 0,
        };
        self.enter_stage(Stage::alive(instance, pid, phase), pid, false, ctx);
        Self::push_signal(instance, signal, scope, ctx);
    }

    /// Returns how long each stop signal is waited for.
    pub(super) fn stop_wait(&self) -> Seconds {
        Seconds(self.spec.stopwaitsecs.0.max(0))
    }

    /// Returns a signal of the list of stop signals. `None`: the list has fewer.
    fn stop_signal(&self, index: u8) -> Option<Signal> {
        match index.checked_sub(1) {
            None => Some(self.spec.stopsignal),
            Some(later) => self.spec.later_stopsignals.get(usize::from(later)).copied(),
        }
    }

    /// Sends a stop signal again, since it is unknown whether the previous daemon sent it.
    pub(super) fn stop_again(&self, instance: InstanceId, signal_index: u8, ctx: &mut Ctx<'_>) {
        let signal = self
            .stop_signal(signal_index)
            .unwrap_or(self.spec.stopsignal);
        Self::push_signal(instance, signal, self.stop_scope(), ctx);
    }

    /// Handles a process that has not exited within `stopwaitsecs` after a stop signal: the next signal of the list
    /// follows, and SIGKILL after the last one.
    pub(super) fn stop_late(
        &mut self,
        instance: InstanceId,
        pid: i32,
        phase: AlivePhase,
        ctx: &mut Ctx<'_>,
    ) {
        let AlivePhase::Stopping {
            sent,
            killed,
            signal_index,
            ..
        } = phase
        else {
            return;
        };
        let next_index = signal_index.saturating_add(1);
        match self.stop_signal(next_index) {
            Some(signal) if !killed => {
                let phase = AlivePhase::Stopping {
                    kill_at: ctx.now.mono + self.stop_wait(),
                    sent: false,
                    killed: false,
                    signal_index: next_index,
                };
                self.change_stage(Stage::alive(instance, pid, phase), ctx);
                self.send_signal(instance, pid, signal, self.stop_scope(), ctx);
            }
            _ => self.kill(instance, pid, sent, signal_index, ctx),
        }
    }

    /// Returns when SIGKILL is sent if the process does not exit and asks for no more time. `None`: the process does
    /// not stop, or SIGKILL was sent.
    pub(super) fn killed_by(&self) -> Option<Tick> {
        let Stage::Alive {
            phase:
                AlivePhase::Stopping {
                    kill_at,
                    killed: false,
                    signal_index,
                    ..
                },
            ..
        } = *self.run.stage
        else {
            return None;
        };
        let later = self.spec.later_stopsignals.len();
        let signals_left = i64::try_from(later.saturating_sub(usize::from(signal_index)));
        let seconds = self.stop_wait().0.saturating_mul(signals_left.unwrap_or(0));
        Some(kill_at + Seconds(seconds))
    }

    /// Returns which processes the stop signal reaches.
    pub(super) fn stop_scope(&self) -> SignalScope {
        scope(self.spec.stopasgroup)
    }

    /// Logs and sends `signal` to terminate the process.
    pub(super) fn send_signal(
        &self,
        instance: InstanceId,
        pid: i32,
        signal: Signal,
        scope: SignalScope,
        ctx: &mut Ctx<'_>,
    ) {
        self.log_killing(pid, signal, scope, ctx);
        Self::push_signal(instance, signal, scope, ctx);
    }

    fn log_killing(&self, pid: i32, signal: Signal, scope: SignalScope, ctx: &mut Ctx<'_>) {
        let group = match scope {
            SignalScope::Process => String::new(),
            SignalScope::Group => "process group ".to_owned(),
        };
        Self::log(
            ctx,
            Line::Killing {
                name: self.spec.name.clone(),
                pid,
                group,
                signal,
            },
        );
    }

    /// Records that the kernel accepted the stop signal or SIGKILL, or that the process was gone.
    pub(super) fn stop_sent(&mut self, ctx: &mut Ctx<'_>) {
        let mut to = *self.run.stage;
        if let Stage::Alive {
            phase: AlivePhase::Stopping { sent, .. },
            ..
        } = &mut to
        {
            *sent = true;
            self.change_stage(to, ctx);
        }
    }

    /// Handles a signal that the kernel refused. The process is UNKNOWN until it exits.
    pub(super) fn signal_refused(&mut self, ctx: &mut Ctx<'_>) {
        match *self.run.stage {
            // The process is UNKNOWN already.
            Stage::Alive {
                phase: AlivePhase::Unknown,
                ..
            } => {}
            Stage::Alive {
                instance,
                pid,
                phase,
            } => {
                self.run.stage_before_unknown = Some(self.stage_at_exit(phase, ctx));
                self.run.report_at = Tick::NEVER;
                let to = Stage::alive(instance, pid, AlivePhase::Unknown);
                self.enter_stage(to, pid, false, ctx);
            }
            // The process exited before the refusal arrived.
            Stage::Reaped { .. } => {}
            // No signal is sent in these stages.
            Stage::Idle(_) | Stage::Attempt { .. } => {}
        }
    }

    /// Logs that a client waits for the stop, now and then at intervals.
    pub(super) fn report_stop(&mut self, ctx: &mut Ctx<'_>) {
        let waited_for = self.run.waiters.iter().any(Waiter::reports);
        if !waited_for || self.state() != ProcessState::Stopping {
            self.run.report_at = Tick::NEVER;
            return;
        }
        if self.run.report_at == Tick::NEVER || self.run.report_at <= ctx.now.mono {
            Self::log(
                ctx,
                Line::WaitingToStop {
                    name: self.spec.name.clone(),
                },
            );
            self.run.report_at = ctx.now.mono + STOP_REPORT_SECS;
        }
    }

    /// Sends SIGKILL to a process that has not stopped in time. `sent`, `signal_index`: see [`AlivePhase::Stopping`].
    fn kill(
        &mut self,
        instance: InstanceId,
        pid: i32,
        sent: bool,
        signal_index: u8,
        ctx: &mut Ctx<'_>,
    ) {
        Self::log(
            ctx,
            Line::KillingNow {
                name: self.spec.name.clone(),
                pid,
            },
        );
        let scope = scope(self.spec.killasgroup);
        self.log_killing(pid, Signal::KILL, scope, ctx);
        let again = self.spec.stopwaitsecs.0.max(KILL_AGAIN_SECS_MIN);
        let phase = AlivePhase::Stopping {
            kill_at: ctx.now.mono + Seconds(again),
            sent,
            killed: true,
            signal_index,
        };
        self.change_stage(Stage::alive(instance, pid, phase), ctx);
        Self::push_signal(instance, Signal::KILL, scope, ctx);
    }

    /// Sends SIGKILL to a process that the daemon terminates and that has not exited in time.
    pub(super) fn kill_failing(
        &mut self,
        instance: InstanceId,
        pid: i32,
        why: TerminationReason,
        ctx: &mut Ctx<'_>,
    ) {
        let name = self.spec.name.clone();
        Self::log(ctx, Line::KillingNow { name, pid });
        let again = self.spec.stopwaitsecs.0.max(KILL_AGAIN_SECS_MIN);
        let kill_at = ctx.now.mono + Seconds(again);
        let phase = AlivePhase::Terminating { why, kill_at };
        self.change_stage(Stage::alive(instance, pid, phase), ctx);
        let scope = scope(self.spec.killasgroup);
        self.send_signal(instance, pid, Signal::KILL, scope, ctx);
    }

    pub(super) fn push_signal(
        instance: InstanceId,
        signal: Signal,
        scope: SignalScope,
        ctx: &mut Ctx<'_>,
    ) {
        ctx.signals
            .push_back((instance, signal, SignalPurpose::Stop));
        ctx.out.push(Action::Signal {
            instance,
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
