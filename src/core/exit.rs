//! How a process's end is taken in: reaped first, told when its output is written out. It must not know why it ended.

use super::Action;
use super::process::{Ctx, LastError, Process};
use super::stage::{ReapStep, Stage, StageAtExit, TerminationReason};
use crate::config::spec::{AutoRestart, KillMode};
use crate::domain::{ExitReason, ExitStatus, InstanceId, Line, ResourceEvents, Seconds, Tick};

/// Seconds that the output of an ended process may take to be written out before its end is told without it.
pub(super) const DRAIN_SECS_MAX: Seconds = Seconds(10);
/// Seconds that the processes which it left behind may take to die of SIGKILL before its end is told without theirs.
pub(super) const EMPTY_SECS_MAX: Seconds = Seconds(10);

impl Process {
    /// It was reaped. What becomes of it is decided when its output is written out.
    pub(super) fn exited(&mut self, status: ExitStatus, ctx: &mut Ctx<'_>) {
        let (Some((instance, pid)), Some(at_exit)) =
            (self.run.stage.reachable(), self.stage_at_exit(ctx))
        else {
            // Nothing lives here, or it was reaped before.
            return;
        };
        self.run.stop = ctx.now.wall.secs();
        let mut counts_as = at_exit;
        if at_exit == StageAtExit::Unknown {
            counts_as = self.stage_of_unknown(ctx);
            self.run.stage_before_unknown = Some(counts_as);
        }
        self.run.exit_reason = Some(match counts_as {
            StageAtExit::TooQuick => ExitReason::TooQuick(status),
            StageAtExit::Unready => ExitReason::Unready(status),
            StageAtExit::Failed(
                TerminationReason::NotReady | TerminationReason::NotifiedFailure,
            ) => ExitReason::NotReady(status),
            StageAtExit::Failed(
                TerminationReason::WatchdogTimeout | TerminationReason::WatchdogTrigger,
            ) => ExitReason::Watchdog(status),
            StageAtExit::Unpromoted | StageAtExit::Running | StageAtExit::Unknown => {
                ExitReason::ByItself(status)
            }
            StageAtExit::Stopping => ExitReason::OnRequest(status),
        });
        self.log_foreign_count(ctx);
        // What it left behind may hold its pipes and write to them: that comes first.
        let reap_step = if self.spec.resources.is_some() {
            self.empty(instance, ctx);
            ReapStep::Emptying
        } else {
            self.drain(instance, at_exit, status, ctx);
            ReapStep::Draining
        };
        self.run.stage = Stage::Reaped {
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
    }

    /// What it is, for the rules about its end. `None`: nothing lives here.
    pub(super) fn stage_at_exit(&self, ctx: &Ctx<'_>) -> Option<StageAtExit> {
        match self.run.stage {
            // Differs: the original may promote a process that is dead already, since it looks at the clock before it
            // reaps. Here the reap decides, by the monotonic clock.
            Stage::Starting { .. } if self.is_too_quick(ctx) => Some(StageAtExit::TooQuick),
            Stage::Starting { .. } => Some(StageAtExit::Unpromoted),
            Stage::AwaitingReady { .. } => Some(StageAtExit::Unready),
            Stage::Terminating { why, .. } => Some(StageAtExit::Failed(why)),
            Stage::Running { .. } => Some(StageAtExit::Running),
            Stage::Stopping { .. } => Some(StageAtExit::Stopping),
            Stage::Unknown { alive: Some(_) } => Some(StageAtExit::Unknown),
            Stage::Unknown { alive: None }
            | Stage::Stopped
            | Stage::Exited { .. }
            | Stage::Fatal
            | Stage::Backoff { .. }
            | Stage::Resolving(_)
            | Stage::Preparing(_)
            | Stage::Spawning(_)
            | Stage::StopPending(_)
            | Stage::Reaped { .. } => None,
        }
    }

    /// It ends before `startsecs`.
    fn is_too_quick(&self, ctx: &Ctx<'_>) -> bool {
        ctx.now.mono < self.run.spawned_at + self.spec.startsecs
    }

    /// As the exit of which process the exit of an UNKNOWN one counts.
    fn stage_of_unknown(&self, ctx: &Ctx<'_>) -> StageAtExit {
        // An UNKNOWN process counts as stopped, so the stop of everything does not wait for it; a retry would be waited for,
        // and nobody would call it off.
        if !ctx.may_start {
            return StageAtExit::Stopping;
        }
        match self.run.stage_before_unknown {
            // Nobody promotes an UNKNOWN process, but it has stayed up long enough.
            Some(StageAtExit::TooQuick) if !self.is_too_quick(ctx) => StageAtExit::Running,
            Some(StageAtExit::Unpromoted) => StageAtExit::Running,
            Some(
                at_exit @ (StageAtExit::TooQuick
                | StageAtExit::Unready
                | StageAtExit::Failed(_)
                | StageAtExit::Running
                | StageAtExit::Stopping),
            ) => at_exit,
            // Most likely a stop was refused. No restart against anybody's wish.
            Some(StageAtExit::Unknown) | None => StageAtExit::Stopping,
        }
    }

    /// Has what the process left behind looked after.
    pub(super) fn empty(&self, instance: InstanceId, ctx: &mut Ctx<'_>) {
        ctx.out.push(Action::Empty {
            instance,
            kill: self.spec.resources.kill_mode == KillMode::ControlGroup,
        });
    }

    /// Nothing of what it left behind is to be waited for any more.
    pub(super) fn emptied(&mut self, resource_events: ResourceEvents, ctx: &mut Ctx<'_>) {
        if let Stage::Reaped {
            instance,
            status,
            at_exit,
            reap_step: reap_step @ ReapStep::Emptying,
            drain_by,
            ..
        } = &mut self.run.stage
        {
            *reap_step = ReapStep::Draining;
            *drain_by = ctx.now.mono + DRAIN_SECS_MAX;
            self.run.resource_events = resource_events;
            let (instance, status, at_exit) = (*instance, *status, *at_exit);
            self.drain(instance, at_exit, status, ctx);
        }
    }

    /// Has its last output written out, and the next attempt begun meanwhile if that will follow at once.
    fn drain(
        &mut self,
        instance: InstanceId,
        at_exit: StageAtExit,
        status: ExitStatus,
        ctx: &mut Ctx<'_>,
    ) {
        ctx.out.push(Action::Drain(instance));
        let expected = match at_exit {
            StageAtExit::Unpromoted | StageAtExit::Running => self.expects(status),
            StageAtExit::Failed(
                TerminationReason::WatchdogTimeout | TerminationReason::WatchdogTrigger,
            ) => false,
            // These are told as STOPPED or BACKOFF, or nobody knows yet.
            StageAtExit::TooQuick
            | StageAtExit::Unready
            | StageAtExit::Failed(
                TerminationReason::NotReady | TerminationReason::NotifiedFailure,
            )
            | StageAtExit::Stopping
            | StageAtExit::Unknown => return,
        };
        // A socket is closed with the end of the last instance that had it, and made again for the next.
        if !self.has_socket() && self.restart_at(expected, ctx) <= ctx.now.mono {
            self.start_next_attempt(instance, ctx);
        }
    }

    /// Everything it wrote is in its logs (or has taken too long to get there): its end is told.
    pub(super) fn drained(&mut self, ctx: &mut Ctx<'_>) {
        match self.run.stage {
            Stage::Reaped {
                instance,
                pid,
                status,
                at_exit,
                ..
            } => {
                self.report_exit(instance, pid, status, at_exit, ctx);
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
            // Only a dying process is drained; the undoing of an attempt is not waited for.
            Stage::Stopped
            | Stage::Exited { .. }
            | Stage::Fatal
            | Stage::Backoff { .. }
            | Stage::Resolving(_)
            | Stage::Preparing(_)
            | Stage::Spawning(_)
            | Stage::Starting { .. }
            | Stage::AwaitingReady { .. }
            | Stage::Terminating { .. }
            | Stage::Running { .. }
            | Stage::StopPending(_)
            | Stage::Stopping { .. }
            | Stage::Unknown { .. } => {}
        }
    }

    fn report_exit(
        &mut self,
        instance: InstanceId,
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
            StageAtExit::Unpromoted => {
                self.run.tries = 0;
                self.enter_stage(Stage::Running { instance, pid }, pid, false, ctx);
                self.finish_exit(pid, status, None, ctx);
            }
            StageAtExit::Running => self.finish_exit(pid, status, None, ctx),
            StageAtExit::Stopping => {
                self.run.exit_status = status.code();
                self.enter_stage(Stage::Stopped, pid, false, ctx);
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
            // Differs: the original fails an assertion here and dies (Supervisor#76, #445, #536, #839). The ordinary rules
            // follow: STOPPED if a stop was refused, else BACKOFF or EXITED with its automatic restart.
            StageAtExit::Unknown => {
                let at_exit = self
                    .run
                    .stage_before_unknown
                    .take()
                    .unwrap_or(StageAtExit::Stopping);
                let at_exit = match ctx.may_start {
                    true => at_exit,
                    false => StageAtExit::Stopping,
                };
                self.report_exit(instance, pid, status, at_exit, ctx);
            }
        }
    }

    /// The start has come to nothing, though there was a process.
    fn failed_start(&mut self, status: ExitStatus, why: LastError, ctx: &mut Ctx<'_>) {
        self.run.exit_status = 0;
        self.run.last_error = Some(why);
        self.back_off(ctx);
        self.log_exit(status, false, ctx);
        self.give_up_if_spent(ctx);
    }

    fn expects(&self, status: ExitStatus) -> bool {
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

    /// When it starts again by itself after such an exit; [`Tick::NEVER`]: not at all.
    fn restart_at(&self, expected: bool, ctx: &Ctx<'_>) -> Tick {
        let again = match self.spec.autorestart {
            AutoRestart::Always => true,
            AutoRestart::Never => false,
            AutoRestart::Unexpected => !expected,
        };
        if again && ctx.may_start {
            let floor = self.run.spawned_at + self.spec.restart_floor;
            ctx.now.mono.max(floor)
        } else {
            Tick::NEVER
        }
    }

    /// RUNNING → EXITED, and whether and when it starts again by itself. An end that was our doing is never expected, and
    /// has its `cause`.
    fn finish_exit(
        &mut self,
        pid: i32,
        status: ExitStatus,
        cause: Option<LastError>,
        ctx: &mut Ctx<'_>,
    ) {
        let expected = cause.is_none() && self.expects(status);
        self.run.tries = 0;
        self.run.exit_status = status.code();
        if !expected {
            self.run.last_error = Some(cause.unwrap_or(LastError::BadExit(status.code())));
        }
        let now = ctx.now.mono;
        let restart_at = self.restart_at(expected, ctx);
        self.enter_stage(Stage::Exited { restart_at }, pid, expected, ctx);
        self.log_exit(status, expected, ctx);
        // Differs: the original starts it again at its next look, which its one-second lag keeps from being a hot loop.
        if restart_at != Tick::NEVER && restart_at > now {
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
