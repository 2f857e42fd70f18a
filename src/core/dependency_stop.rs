//! The stop of processes that others depend on: a process gets its stop signal when the processes that depend on it and
//! stop too are gone.

use super::process::Process;
use super::ticket::Waiter;
use super::transitions::Trigger;
use super::{Action, Actions, Fleet};
use crate::domain::{Line, Now};

impl Fleet {
    /// Stops a process, or lets its stop wait for processes that depend on it and are being stopped.
    pub(super) fn stop_in_order(
        &mut self,
        slot: u32,
        trigger: Trigger,
        now: Now,
        out: &mut Actions,
    ) {
        let must_wait = !self.dependencies.may_stop(slot)
            && self.slots.get(slot).is_some_and(Process::can_be_held);
        if must_wait && let Some((name, _)) = self.names_of(slot) {
            let dependants = self.stopping_dependants(slot);
            out.push(Action::Log(Line::StopHeld { name, dependants }));
        }
        self.update_process(slot, trigger, now, out, Process::stop_in_order);
    }

    /// Stops a process whose stop has waited long enough, or that has gone down meanwhile.
    pub(super) fn stop_held(&mut self, slot: u32, now: Now, out: &mut Actions) {
        let Some(process) = self.slots.get(slot) else {
            return;
        };
        if !process.run.stop_held || (process.can_be_held() && !self.dependencies.may_stop(slot)) {
            return;
        }
        self.update_process(slot, Trigger::Stop, now, out, Process::stop_after_hold);
        let process = self.slots.get(slot);
        if process.is_some_and(|process| process.run.waiters.iter().any(Waiter::reports)) {
            self.update_process(slot, Trigger::Other, now, out, Process::report_stop);
        }
    }

    /// Returns the first of the processes that a stop waits for, for the log.
    fn stopping_dependants(&self, slot: u32) -> String {
        let ids = self.dependencies.member_of(slot).iter();
        let targets = ids.filter_map(|id| self.dependencies.target(*id));
        let dependants = targets.flat_map(|target| target.dependants.iter());
        let is_stopping = |slot: &&u32| {
            let facts = self.dependencies.facts(**slot);
            facts.is_some_and(|facts| facts.is_stopping)
        };
        let mut stopping = dependants.filter(is_stopping);
        let first = stopping.next().map(|&slot| self.shown(slot));
        let more = if stopping.next().is_some() {
            " and others"
        } else {
            ""
        };
        first.unwrap_or_default() + more
    }
}
