//! Holds: while a process is on hold, the daemon does not restart it, does not act on its health or its watchdog, and reports
//! nothing about it. Requests of clients work as usual, and the states stay true. What would have happened meanwhile and is
//! still to be done happens when the hold ends.

use super::hold_state::{Hold, HoldOrder};
use super::process::{Ctx, Process};
use super::stage::{Idle, Stage};
use super::transitions::Trigger;
use super::{Actions, Fleet};
use crate::domain::{Line, Now, ProcessState, Seconds, Tick};

impl Fleet {
    /// Puts a process on hold, or changes its hold.
    pub(super) fn hold(
        &mut self,
        slot: u32,
        order: &HoldOrder,
        by: &str,
        now: Now,
        out: &mut Actions,
    ) {
        self.update_process(slot, Trigger::Other, now, out, |process, ctx| {
            process.hold(order, by, ctx);
        });
        self.changes.slots.push(slot);
    }

    /// Ends the hold of a process.
    pub(super) fn release(&mut self, slot: u32, now: Now, out: &mut Actions) {
        self.update_process(slot, Trigger::Other, now, out, Process::release);
        self.changes.slots.push(slot);
        let process = self.slots.get(slot);
        let fatal = process.filter(|process| process.state() == ProcessState::Fatal);
        if let Some(process) = fatal {
            let key = (process.spec.group.clone(), process.spec.name.clone());
            self.report_fatal(&key, now);
        }
    }

    /// Ends the hold of a process if it is over.
    pub(super) fn release_if_over(&mut self, slot: u32, now: Now, out: &mut Actions) {
        let process = self.slots.get(slot);
        if process.is_some_and(|process| process.hold_deadline() <= now.mono) {
            self.release(slot, now, out);
        }
    }
}

impl Process {
    /// Returns whether the daemon leaves the process alone.
    pub(super) const fn is_on_hold(&self) -> bool {
        self.run.hold.is_some()
    }

    /// Returns when the hold ends by itself. [`Tick::NEVER`]: never, or there is none.
    pub(super) fn hold_deadline(&self) -> Tick {
        self.run
            .hold
            .as_ref()
            .map_or(Tick::NEVER, |hold| hold.until)
    }

    /// Returns whether the deadline of the stage must wait until the hold ends: an automatic start, or the watchdog.
    pub(super) fn stage_is_on_hold(&self) -> bool {
        self.is_on_hold()
            && (self.run.stage.is_running()
                || matches!(
                    *self.run.stage,
                    Stage::Idle(Idle::Exited { .. } | Idle::Backoff { .. })
                ))
    }

    fn hold(&mut self, order: &HoldOrder, by: &str, ctx: &mut Ctx<'_>) {
        let until = match order.seconds {
            0 => Tick::NEVER,
            seconds => ctx.now.mono + Seconds(i64::from(seconds)),
        };
        self.run.hold = Some(Box::new(Hold {
            until,
            since: ctx.now.wall.secs(),
            by: by.to_owned(),
            reason: order.reason.clone(),
        }));
        let line = Line::OnHold {
            name: self.spec.name.clone(),
            seconds: order.seconds,
            reason: order.reason.clone(),
        };
        Self::log(ctx, line);
    }

    /// Ends the hold. A restart that is overdue is due now, an unhealthy process is checked anew, and the watchdog waits
    /// for a whole period again.
    fn release(&mut self, ctx: &mut Ctx<'_>) {
        if self.run.hold.take().is_none() {
            return;
        }
        let name = self.spec.name.clone();
        Self::log(ctx, Line::Released { name });
        if let Some(state) = &mut self.run.notify_state
            && self.run.stage.is_running()
        {
            state.rearm_watchdog(ctx.now.mono);
        }
        if let Some(state) = &mut self.run.health
            && state.is_healthy == Some(false)
        {
            state.forget_verdict();
        }
    }
}
