//! The exit of a process. The core publishes it after the rest of the output is written.

use super::Action;
use super::process::{Ctx, LastError, Process};
use super::stage::{AlivePhase, Idle, ReapStep, Stage, StageAtExit, TerminationReason};
use crate::config::spec::{AutoRestart, KillMode};
use crate::domain::{ExitReason, ExitStatus, InstanceId, Line, ResourceEvents, Seconds, Tick};
use crate::effects::OutputEffect;

/// Seconds to write out the output of an exited process. After that its exit is published anyway.
const DRAIN_SECS_MAX: Seconds = Seconds(10);
/// Seconds for the processes left in the cgroup to die of SIGKILL. After that the exit is published anyway.
const EMPTY_SECS_MAX: Seconds = Seconds(10);

impl Process {
    /// Handles the exit of the process, which is reaped. What follows is decided when the output is written out.
    pub(super) fn exited(&mut self, status: ExitStatus, ctx: &mut Ctx<'_>) {
        let Stage::Alive {
            instance,
            pid,
            phase,
        } = *self.run.stage
        else {
            // No process exists, or it was reaped before.
            return;
        };
        let at_exit = self.stage_at_exit(phase, ctx);
        self.run.stop = ctx.now.wall.secs();
        let mut counts_as = at_exit;
        if at_exit == StageAtExit::Unknown {
            counts_as = self.stage_of_unknown(ctx);
            self.run.stage_before_unknown = Some(counts_as);
        }
        let reason = match counts_as {
            StageAtExit::TooQuick => ExitReason::TooQuick(status),
            StageAtExit::Unready => ExitReason::Unready(status),
            StageAtExit::Failed(
                TerminationReason::NotReady | TerminationReason::NotifiedFailure,
            ) => ExitReason::NotReady(status),
            StageAtExit::Failed(
                TerminationReason::WatchdogTimeout | TerminationReason::WatchdogTrigger,
            ) => ExitReason::Watchdog(status),
            StageAtExit::Failed(TerminationReason::Unhealthy) => ExitReason::Unhealthy(status),
            StageAtExit::Unpromoted | StageAtExit::Running | StageAtExit::Unknown => {
                ExitReason::ByItself(status)
            }
            StageAtExit::Stopping => ExitReason::OnRequest(status),
        };
        self.set_exit_reason(reason);
        self.log_foreign_count(ctx);
        // Processes left in the cgroup may hold the pipes and still write, so they are handled first.
        let reap_step = if self.spec.resources.is_some() {
            self.empty(instance, ctx);
            ReapStep::Emptying
        } else {
            self.drain(instance, at_exit, status, ctx);
            ReapStep::Draining
        };
        let to = Stage::Reaped {
            instance,
            pid,
            status,
            at_exit,
            reap_step,
            drain_by: ctx.now.mono
                + match reap_step {
                    ReapStep::Emptying => EMPTY_SECS_MAX,
                    ReapStep::Draining => DRAIN_SECS_MAX,
                },
        };
        self.change_stage(to, ctx);
    }

    /// Returns the stage that decides what follows an exit in this phase now.
    pub(super) fn stage_at_exit(&self, phase: AlivePhase, ctx: &Ctx<'_>) -> StageAtExit {
        phase.at_exit(self.is_too_quick(ctx))
    }

    /// Returns whether an exit now is before `startsecs`.
    fn is_too_quick(&self, ctx: &Ctx<'_>) -> bool {
        ctx.now.mono < self.run.spawned_at + self.spec.startsecs
    }

    /// Returns the stage that decides what follows the exit of an UNKNOWN process.
    fn stage_of_unknown(&self, ctx: &Ctx<'_>) -> StageAtExit {
        // A shutdown counts an UNKNOWN process as stopped and does not wait for it. A retry would delay the shutdown,
        // and nothing would cancel it.
        if !ctx.may_start {
            return StageAtExit::Stopping;
        }
        match self.run.stage_before_unknown {
            // An UNKNOWN process is not promoted to RUNNING, but this one has run for `startsecs`.
            Some(StageAtExit::TooQuick) if !self.is_too_quick(ctx) => StageAtExit::Running,
            Some(StageAtExit::Unpromoted) => StageAtExit::Running,
            Some(
                at_exit @ (StageAtExit::TooQuick
                | StageAtExit::Unready
                | StageAtExit::Failed(_)
                | StageAtExit::Running
                | StageAtExit::Stopping),
            ) => at_exit,
            // The kernel most likely refused a stop signal. A restart would contradict that stop.
            Some(StageAtExit::Unknown) | None => StageAtExit::Stopping,
        }
    }

    /// Asks the shell to handle the processes left in the cgroup.
    pub(super) fn empty(&self, instance: InstanceId, ctx: &mut Ctx<'_>) {
        ctx.out.push(Action::Empty {
            instance,
            kill: self.spec.resources.kill_mode == KillMode::ControlGroup,
        });
    }

    /// Continues the exit after the processes left in the cgroup were handled.
    pub(super) fn emptied(&mut self, resource_events: ResourceEvents, ctx: &mut Ctx<'_>) {
        let mut to = *self.run.stage;
        if let Stage::Reaped {
            instance,
            status,
            at_exit,
            reap_step: reap_step @ ReapStep::Emptying,
            drain_by,
            ..
        } = &mut to
        {
            *reap_step = ReapStep::Draining;
            *drain_by = ctx.now.mono + DRAIN_SECS_MAX;
            let (instance, status, at_exit) = (*instance, *status, *at_exit);
            self.change_stage(to, ctx);
            self.run.resource_events = resource_events;
            self.drain(instance, at_exit, status, ctx);
        }
    }

    /// Asks the shell to write out the rest of the output, and starts the next attempt early if the process restarts
    /// without a delay.
    fn drain(
        &mut self,
        instance: InstanceId,
        at_exit: StageAtExit,
        status: ExitStatus,
        ctx: &mut Ctx<'_>,
    ) {
        ctx.out.push(Action::Output(OutputEffect::Drain(instance)));
        let expected = match at_exit {
            StageAtExit::Unpromoted | StageAtExit::Running => self.expects(status),
            StageAtExit::Failed(
                TerminationReason::WatchdogTimeout
                | TerminationReason::WatchdogTrigger
                | TerminationReason::Unhealthy,
            ) => false,
            // These exits lead to STOPPED or BACKOFF, or the next state is not known yet.
            StageAtExit::TooQuick
            | StageAtExit::Unready
            | StageAtExit::Failed(
                TerminationReason::NotReady | TerminationReason::NotifiedFailure,
            )
            | StageAtExit::Stopping
            | StageAtExit::Unknown => return,
        };
        // The daemon closes an fcgi socket when the last instance that holds it exits and makes a new one for the next.
        if !self.has_socket()
            && !self.has_pre_start()
            && !self.is_on_hold()
            && self.restart_at(expected, ctx) <= ctx.now.mono
        {
            self.start_next_attempt(instance, ctx);
        }
    }

    /// Publishes the exit: the output is in the logs, or writing it took too long.
    pub(super) fn drained(&mut self, ctx: &mut Ctx<'_>) {
        // The core does not wait for the drain of an unused attempt.
        let Stage::Reaped {
            instance,
            pid,
            status,
            at_exit,
            ..
        } = *self.run.stage
        else {
            return;
        };
        self.report_exit(pid, status, at_exit, ctx);
        self.run_post_stop(instance, status, ctx);
        let resource_events = self.run.resource_events;
        if !resource_events.is_none() {
            let name = self.spec.name.clone();
            Self::log(
                ctx,
                Line::Caused {
                    name,
                    causes: resource_events,
                },
            );
        }
    }

    /// Continues the exit although the step has not finished.
    pub(super) fn reap_step_late(&mut self, reap_step: ReapStep, ctx: &mut Ctx<'_>) {
        let name = self.spec.name.clone();
        match reap_step {
            ReapStep::Emptying => {
                let seconds = EMPTY_SECS_MAX.0;
                Self::log(ctx, Line::CgroupLate { name, seconds });
                self.emptied(ResourceEvents::NONE, ctx);
            }
            ReapStep::Draining => {
                let seconds = DRAIN_SECS_MAX.0;
                Self::log(ctx, Line::DrainLate { name, seconds });
                self.drained(ctx);
            }
        }
    }

    /// Enters the stage that follows the exit, and logs the exit.
    fn report_exit(
        &mut self,
        pid: i32,
        status: ExitStatus,
        at_exit: StageAtExit,
        ctx: &mut Ctx<'_>,
    ) {
        match at_exit {
            StageAtExit::TooQuick => self.failed_start(status, LastError::TooQuick, ctx),
            StageAtExit::Unready => self.failed_start(status, LastError::Unready, ctx),
            StageAtExit::Failed(TerminationReason::NotReady) => {
                self.failed_start(status, LastError::NotReady, ctx);
            }
            StageAtExit::Failed(TerminationReason::NotifiedFailure) => {
                self.failed_start(status, LastError::NotifiedFailure, ctx)
            }
            StageAtExit::Failed(TerminationReason::WatchdogTimeout) => {
                self.finish_exit(pid, status, Some(LastError::WatchdogTimeout), ctx);
            }
            StageAtExit::Failed(TerminationReason::WatchdogTrigger) => {
                self.finish_exit(pid, status, Some(LastError::WatchdogTrigger), ctx);
            }
            StageAtExit::Failed(TerminationReason::Unhealthy) => {
                let error = self.unhealthy_error();
                self.finish_exit(pid, status, Some(error), ctx);
            }
            StageAtExit::Unpromoted => {
                self.note_running(ctx);
                // Subscribers see RUNNING before EXITED.
                self.count_as(StageAtExit::Running, ctx);
                self.finish_exit(pid, status, None, ctx);
            }
            StageAtExit::Running => self.finish_exit(pid, status, None, ctx),
            StageAtExit::Stopping => {
                self.run.exit_status = status.code();
                self.enter_stage(Stage::STOPPED, pid, false, ctx);
                let name = self.spec.name.clone();
                Self::log(
                    ctx,
                    if self.expects(status) {
                        Line::StoppedExpected { name, status }
                    } else {
                        Line::StoppedUnexpected { name, status }
                    },
                );
            }
            // Differs: the original fails an assertion here and exits (Supervisor#76, #445, #536, #839). The normal
            // rules apply: STOPPED if a stop was refused, else BACKOFF or EXITED with its automatic restart.
            StageAtExit::Unknown => {
                let at_exit = match self.run.stage_before_unknown.take() {
                    // An UNKNOWN process is not made RUNNING any more.
                    Some(StageAtExit::Unpromoted) if ctx.may_start => StageAtExit::Running,
                    Some(at_exit) if ctx.may_start => at_exit,
                    Some(_) | None => StageAtExit::Stopping,
                };
                self.report_exit(pid, status, at_exit, ctx);
            }
        }
    }

    /// Lets the exit of a reaped process count as an exit from another stage.
    pub(super) fn count_as(&mut self, counts_as: StageAtExit, ctx: &mut Ctx<'_>) {
        let mut to = *self.run.stage;
        if let Stage::Reaped { at_exit, pid, .. } = &mut to {
            *at_exit = counts_as;
            let pid = *pid;
            self.enter_stage(to, pid, false, ctx);
        }
    }

    /// Handles a start that failed after the process was spawned.
    fn failed_start(&mut self, status: ExitStatus, why: LastError, ctx: &mut Ctx<'_>) {
        self.run.exit_status = 0;
        self.run.last_error = Some(why);
        self.back_off(ctx);
        self.log_exit(status, false, ctx);
        self.give_up_if_spent(ctx);
    }

    /// Returns whether the exit status is expected: an exit code in `exitcodes`.
    pub(super) fn expects(&self, status: ExitStatus) -> bool {
        match status {
            ExitStatus::Exited(code) => self.spec.exitcodes.contains(&code),
            ExitStatus::Signalled { .. } | ExitStatus::Unknown(_) => false,
        }
    }

    fn log_exit(&self, status: ExitStatus, expected: bool, ctx: &mut Ctx<'_>) {
        let name = self.spec.name.clone();
        Self::log(
            ctx,
            if expected {
                Line::ExitedExpected { name, status }
            } else {
                Line::ExitedUnexpected { name, status }
            },
        );
    }

    /// Returns when the process restarts automatically after this exit. [`Tick::NEVER`]: it does not.
    fn restart_at(&self, expected: bool, ctx: &Ctx<'_>) -> Tick {
        let again = match self.spec.autorestart {
            AutoRestart::Always => true,
            // The health check of the program asks for it.
            AutoRestart::Never => self.run.stage.is_unhealthy(),
            AutoRestart::Unexpected => !expected,
        };
        if again && ctx.may_start && !self.run.stop_held {
            let floor = self.run.spawned_at + self.spec.restart_floor;
            self.restart_time(Seconds(0), ctx).max(floor)
        } else {
            Tick::NEVER
        }
    }

    /// RUNNING → EXITED. Decides whether and when the process restarts. If the daemon caused the exit, `cause` says
    /// why, and the exit counts as unexpected.
    fn finish_exit(
        &mut self,
        pid: i32,
        status: ExitStatus,
        cause: Option<LastError>,
        ctx: &mut Ctx<'_>,
    ) {
        let expected = cause.is_none() && self.expects(status);
        self.reset_after_run(ctx);
        self.run.exit_status = status.code();
        if !expected {
            self.run.last_error = Some(cause.unwrap_or(LastError::BadExit(status.code())));
        }
        let now = ctx.now.mono;
        self.count_restart();
        let restart_at = self.restart_at(expected, ctx);
        self.enter_stage(Stage::Idle(Idle::Exited { restart_at }), pid, expected, ctx);
        self.log_exit(status, expected, ctx);
        // Differs: the original restarts the process at its next poll, and only its poll interval of one second
        // prevents a hot loop.
        let is_logged = self.log_next_attempt(ctx);
        if !is_logged && !self.is_on_hold() && restart_at != Tick::NEVER && restart_at > now {
            Self::log(
                ctx,
                Line::RestartFloored {
                    name: self.spec.name.clone(),
                    millis: restart_at.nanos_since(now) / 1_000_000,
                },
            );
        }
    }
}
