//! The notify messages of a process, and the deadlines that follow from its notify state. Senders are verified before
//! messages get here.
//!
//! When a readiness, watchdog or stop deadline passes, the core first asks the shell to read pending messages
//! ([`Action::PollNotify`]). Otherwise a daemon or a machine that was suspended would terminate programs that reported
//! in time.

use super::notify_message::{NotifiedState, NotifyMessage, WatchdogNotify};
use super::process::{Ctx, Process};
use super::stage::{AlivePhase, Stage, TerminationReason};
use super::{Action, SignalScope};
use crate::domain::{InstanceId, Line, Seconds, Signal, Tick};

/// How much longer than configured a process may take to become ready or to stop if it asks for more time.
const EXTENSION_MAX: Seconds = Seconds(3600);

impl Process {
    /// Returns the status text of the process. Empty: none.
    pub(super) fn status_text(&self) -> String {
        let mut text = match (&self.run.notify_state, self.run.stage.reachable()) {
            (Some(notify_state), Some(_)) => notify_state.text(),
            (Some(_), None) | (None, _) => String::new(),
        };
        let health = self.health_text();
        if !text.is_empty() && !health.is_empty() {
            text.push_str(", ");
        }
        text + &health
    }

    /// Returns the deadline of the stage or of the watchdog. [`Tick::NEVER`] also while pending messages are being
    /// read, and while a hold postpones it.
    pub(super) fn stage_deadline(&self) -> Tick {
        if self.stage_is_on_hold() {
            return Tick::NEVER;
        }
        match &self.run.notify_state {
            Some(notify_state) if self.run.stage.awaits_notify().is_some() => {
                if notify_state.asked {
                    Tick::NEVER
                } else if self.run.stage.is_running() {
                    notify_state.watchdog_at
                } else {
                    self.run.stage.deadline()
                }
            }
            Some(_) | None => self.run.stage.deadline(),
        }
    }

    /// Starts the wait for readiness after the process was spawned.
    pub(super) fn await_ready(&mut self, instance: InstanceId, pid: i32, ctx: &Ctx<'_>) {
        let timeout = self.spec.notify.ready_timeout;
        let ready_by = if timeout.0 > 0 {
            ctx.now.mono + timeout
        } else {
            Tick::NEVER
        };
        let phase = AlivePhase::AwaitingReady { ready_by };
        self.change_stage(Stage::alive(instance, pid, phase), ctx);
        self.allow_extension(ready_by);
    }

    /// Limits extensions of a wait that ends at `until`.
    pub(super) fn allow_extension(&mut self, until: Tick) {
        if let Some(notify_state) = &mut self.run.notify_state {
            notify_state.extend_until = until + EXTENSION_MAX;
        }
    }

    /// Asks the shell to read pending messages before a deadline takes effect. Returns whether it was asked.
    pub(super) fn poll_notify_first(&mut self, ctx: &mut Ctx<'_>) -> bool {
        let Some(instance) = self.run.stage.awaits_notify() else {
            return false;
        };
        match &mut self.run.notify_state {
            Some(notify_state) if !notify_state.asked => {
                notify_state.asked = true;
                ctx.out.push(Action::PollNotify(instance));
                true
            }
            Some(_) | None => false,
        }
    }

    /// Acts on the deadline after all pending messages were handled.
    pub(super) fn notify_polled(&mut self, slot: u32, ctx: &mut Ctx<'_>) {
        if let Some(notify_state) = &mut self.run.notify_state {
            notify_state.asked = false;
        }
        self.act_on_deadline(slot, ctx);
    }

    /// Handles a notify message.
    pub(super) fn notified(&mut self, notice: NotifyMessage, ctx: &mut Ctx<'_>) {
        let now = ctx.now.mono;
        let Some(notify_state) = &mut self.run.notify_state else {
            return;
        };
        let name = self.spec.name.clone();
        for kind in notice.ignored {
            if notify_state.ignored & kind.bit() == 0 {
                notify_state.ignored |= kind.bit();
                let (name, what) = (name.clone(), kind.text().to_owned());
                Self::log(ctx, Line::NoticeIgnored { name, what });
            }
        }
        if let Some(status) = notice.status {
            notify_state.status = status;
        }
        if let Some(usec) = notice.watchdog_usec {
            notify_state.watchdog_nanos = usec.saturating_mul(1000);
        }
        if notice.announced.is_some() {
            notify_state.announced = notice.announced;
        }
        let is_sign = notice.beat == Some(WatchdogNotify::Alive)
            || notice.watchdog_usec.is_some()
            || notice.announced == Some(NotifiedState::Stopping);
        if is_sign {
            notify_state.rearm_watchdog(now);
        }
        if let Some(usec) = notice.extend_usec {
            let wanted = Tick(now.0.saturating_add(usec.saturating_mul(1000)));
            let until = wanted.min(notify_state.extend_until);
            if let Some(to) = self.run.stage.extended(until) {
                self.change_stage(to, ctx);
            }
        }
        if notice.announced == Some(NotifiedState::Ready)
            && let Stage::Alive {
                instance,
                pid,
                phase: AlivePhase::AwaitingReady { .. },
            } = *self.run.stage
        {
            self.ready(instance, pid, ctx);
        }
        if notice.beat == Some(WatchdogNotify::Trigger) {
            self.watchdog_trigger(ctx);
        }
    }

    /// Makes a process RUNNING after it reported that it is ready.
    pub(super) fn ready(&mut self, instance: InstanceId, pid: i32, ctx: &mut Ctx<'_>) {
        self.note_running(ctx);
        self.begin_health_checks(ctx);
        let to = Stage::alive(instance, pid, AlivePhase::Running);
        self.enter_stage(to, pid, false, ctx);
        let name = self.spec.name.clone();
        Self::log(ctx, Line::Ready { name });
        self.run_post_start(instance, ctx);
        if let Some(notify_state) = &mut self.run.notify_state {
            notify_state.rearm_watchdog(ctx.now.mono);
        }
    }

    /// Terminates a process that was not ready within `ready_timeout`.
    pub(super) fn not_ready(&mut self, instance: InstanceId, pid: i32, ctx: &mut Ctx<'_>) {
        let (name, seconds) = (self.spec.name.clone(), self.spec.notify.ready_timeout.0);
        Self::log(ctx, Line::NotReady { name, pid, seconds });
        self.terminate(instance, pid, TerminationReason::NotReady, ctx);
    }

    /// Terminates a RUNNING process whose watchdog deadline has passed.
    pub(super) fn watchdog_timeout(&mut self, instance: InstanceId, pid: i32, ctx: &mut Ctx<'_>) {
        let nanos = self
            .run
            .notify_state
            .as_ref()
            .map_or(0, |notify_state| notify_state.watchdog_nanos);
        let (name, millis) = (self.spec.name.clone(), nanos / 1_000_000);
        Self::log(ctx, Line::WatchdogMissed { name, pid, millis });
        self.terminate(instance, pid, TerminationReason::WatchdogTimeout, ctx);
    }

    /// Terminates a process that sent `WATCHDOG=trigger`.
    fn watchdog_trigger(&mut self, ctx: &mut Ctx<'_>) {
        let Stage::Alive {
            instance,
            pid,
            phase,
        } = *self.run.stage
        else {
            return;
        };
        let why = match phase {
            AlivePhase::AwaitingReady { .. } => TerminationReason::NotifiedFailure,
            AlivePhase::Running => TerminationReason::WatchdogTrigger,
            // The process is being terminated already, or sends no notify messages.
            _ => return,
        };
        let name = self.spec.name.clone();
        Self::log(ctx, Line::WatchdogTriggered { name, pid });
        self.terminate(instance, pid, why, ctx);
    }

    /// Terminates a process after a readiness or watchdog failure. Its state stays the same until it exits.
    pub(super) fn terminate(
        &mut self,
        instance: InstanceId,
        pid: i32,
        why: TerminationReason,
        ctx: &mut Ctx<'_>,
    ) {
        let (signal, scope) = match why {
            // The process may just be slow, so it is stopped as by a stop request.
            TerminationReason::NotReady | TerminationReason::Unhealthy => {
                (self.spec.stopsignal, self.stop_scope())
            }
            // As in systemd: SIGABRT makes a hanging process dump core, which helps to find the cause.
            TerminationReason::NotifiedFailure
            | TerminationReason::WatchdogTimeout
            | TerminationReason::WatchdogTrigger => (Signal::ABRT, SignalScope::Process),
        };
        let kill_at = ctx.now.mono + Seconds(self.spec.stopwaitsecs.0.max(0));
        let phase = AlivePhase::Terminating { why, kill_at };
        self.change_stage(Stage::alive(instance, pid, phase), ctx);
        self.send_signal(instance, pid, signal, scope, ctx);
    }

    /// Handles a message that another process sent. The first one is logged, the rest are counted.
    pub(super) fn foreign_notify(&mut self, sender: i32, uid: u32, ctx: &mut Ctx<'_>) {
        let Some(notify_state) = &mut self.run.notify_state else {
            return;
        };
        notify_state.foreign = notify_state.foreign.saturating_add(1);
        if notify_state.foreign == 1 {
            let name = self.spec.name.clone();
            Self::log(ctx, Line::NoticeForeign { name, sender, uid });
        }
    }

    /// Logs how many messages came from other processes, after the exit and if not logged already.
    pub(super) fn log_foreign_count(&mut self, ctx: &mut Ctx<'_>) {
        let count = self
            .run
            .notify_state
            .as_ref()
            .map_or(0, |notify_state| notify_state.foreign);
        if count > 1 {
            let name = self.spec.name.clone();
            Self::log(ctx, Line::NoticesForeign { name, count });
        }
    }
}
