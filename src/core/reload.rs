//! Reloads of processes in place, by `reload_command` or `reload_signal`. A batch reloads one process after another.

use super::batch::{BatchStep, result};
use super::hook::Hook;
use super::pending::Pending;
use super::script_runs::ScriptPurpose;
use super::ticket::{Batch, BatchMember};
use super::transitions::Trigger;
use super::{Actions, Fleet};
use crate::api::{FaultCode, Ticket};
use crate::domain::{Now, ProcessState};

impl Fleet {
    /// Begins the reload of a member, or records why that is impossible. Members without the keys are passed over,
    /// unless the request is for one process.
    pub(super) fn reload_member(
        &mut self,
        ticket: Ticket,
        batch: &mut Batch,
        member: BatchMember,
        now: Now,
        out: &mut Actions,
    ) -> BatchStep {
        let Some(process) = self.slots.get(member.slot) else {
            return BatchStep::Next;
        };
        let is_up = matches!(
            process.state(),
            ProcessState::Starting | ProcessState::Running
        ) && process.run.stage.reachable().is_some();
        let hooks = process.spec.hooks.clone();
        let command = hooks
            .as_ref()
            .is_some_and(|hooks| hooks.reload_command.is_some());
        let signal = hooks.and_then(|hooks| hooks.reload_signal);
        let is_single = batch.one.is_some();
        let fault = match (is_up, command, signal) {
            (false, ..) => FaultCode::NotRunning.of(batch.named(&member.group, &member.process)),
            (true, true, _) => {
                let slot = member.slot;
                self.update_process(slot, Trigger::Other, now, out, |process, ctx| {
                    let purpose = ScriptPurpose::Reload(ticket);
                    process.run_hook((Hook::ReloadCommand, purpose), slot, Vec::new(), ctx);
                });
                let index = batch.next_index();
                batch.asked = Some((member, index));
                return BatchStep::Wait;
            }
            (true, false, Some(signal)) => {
                self.signal_member(ticket, batch, member, signal, out);
                return BatchStep::Next;
            }
            (true, false, None) => FaultCode::Failed.of(format!(
                "{} has neither reload_command nor reload_signal",
                batch.named(&member.group, &member.process)
            )),
        };
        if is_single {
            let index = batch.next_index();
            batch.record_result(index, true, result(&member, Some(fault)));
        }
        BatchStep::Next
    }

    /// Continues a batch after the command of a member has ended.
    pub(super) fn reload_ended(
        &mut self,
        ticket: Ticket,
        why: Option<String>,
        now: Now,
        out: &mut Actions,
    ) {
        let Some(mut batch) = self.take_batch(ticket) else {
            return;
        };
        if let Some((member, index)) = batch.asked.take() {
            let fault = why.map(|why| {
                let named = batch.named(&member.group, &member.process);
                FaultCode::Failed.of(format!("{named}: reload_command failed: {why}"))
            });
            batch.record_result(index, true, result(&member, fault));
        }
        self.requests.pending.insert(ticket, Pending::Batch(batch));
        self.advance_batch(ticket, now, out);
    }
}
