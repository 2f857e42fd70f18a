//! Batches: requests that act on several processes. The core handles one member after another and answers when all
//! members have a result.

use super::dependency_index::Due;
use super::dependency_start::StartedBy;
use super::pending::Pending;
use super::process::Process;
use super::rights::not_permitted;
use super::stage::{Idle, Stage};
use super::ticket::{Batch, BatchAction, BatchMember, SignalPurpose, WaitUntil};
use super::transitions::Trigger;
use super::{Action, Actions, Fleet, SignalScope};
use crate::api::{AuditEntry, Fault, FaultCode, TargetResult, Ticket};
use crate::domain::{
    Errno, Line, Namespec, Now, ProcessState, Signal, SpawnError, SupervisorState,
};
use crate::effects::{OutputEffect, SpawnerEffect};

/// Whether the core can continue with a batch now.
pub(super) enum BatchStep {
    /// Continue with the next member.
    Next,
    /// Wait for an answer of the shell.
    Wait,
}

impl Fleet {
    /// Takes the batch of a request out of the table.
    pub(super) fn take_batch(&mut self, ticket: Ticket) -> Option<Box<Batch>> {
        self.requests.take(ticket, |pending| match pending {
            Pending::Batch(batch) => Ok(batch),
            other => Err(other),
        })
    }

    /// Puts a batch back, or answers it if it is done.
    pub(super) fn store_batch(&mut self, ticket: Ticket, batch: Box<Batch>, out: &mut Actions) {
        if batch.is_done() {
            out.push(Action::Answer(ticket, batch.answer()));
        } else {
            self.requests.pending.insert(ticket, Pending::Batch(batch));
        }
    }

    /// Handles members of a batch until the core must wait for the shell or no member is left.
    pub(super) fn advance_batch(&mut self, ticket: Ticket, now: Now, out: &mut Actions) {
        let Some(mut batch) = self.take_batch(ticket) else {
            return;
        };
        while batch.asked.is_none() {
            let Some(member) = batch.queue.pop_front() else {
                batch.passed = true;
                break;
            };
            match self.reach_member(ticket, &mut batch, member, now, out) {
                BatchStep::Next => {}
                BatchStep::Wait => break,
            }
        }
        if batch.passed
            && let Some(audit) = batch.audit.take()
        {
            let first = batch.first.first().map(|(_, result)| result);
            let fault = match &batch.one {
                Some(_) => first
                    .or(batch.later.first())
                    .and_then(|result| result.fault.clone()),
                None => None,
            };
            let entry = AuditEntry {
                verb: batch.action.audit_verb(),
                target: audit.target,
            };
            self.audit(audit.caller, Some(entry), fault, now, out);
        }
        self.store_batch(ticket, batch, out);
    }

    /// Returns whether the member still occupies its slot.
    pub(super) fn is_here(&self, member: &BatchMember) -> bool {
        self.slots
            .get(member.slot)
            .is_some_and(|process| process.slot_generation == member.slot_generation)
    }

    /// Handles one member of a batch.
    fn reach_member(
        &mut self,
        ticket: Ticket,
        batch: &mut Batch,
        member: BatchMember,
        now: Now,
        out: &mut Actions,
    ) -> BatchStep {
        let Some(process) = self
            .slots
            .get(member.slot)
            .filter(|_| self.is_here(&member))
        else {
            // The process was removed. Only a request for this single process reports that.
            if batch.one.is_some() {
                self.settle_member_now(batch, &member, Some(FaultCode::BadName));
            }
            return BatchStep::Next;
        };
        let is_affected = is_affected(&batch.action, process);
        let is_single = batch.one.is_some();
        if !is_single && !batch.covers(&member) {
            if is_affected {
                record_not_permitted(batch, &member);
            }
            return BatchStep::Next;
        }
        match batch.action.clone() {
            BatchAction::Start { .. } if !is_affected && !is_single => {}
            BatchAction::Start { .. } => return self.check(ticket, batch, member, out),
            BatchAction::Stop { wait } if is_affected => {
                self.stop_member(ticket, batch, &member, wait, now, out);
            }
            BatchAction::Stop { .. } => self.cancel_member_restart(batch, &member, now, out),
            BatchAction::Reload => {
                return self.reload_member(ticket, batch, member, now, out);
            }
            BatchAction::Hold(order) => {
                let by = batch.audit.as_ref().map(|audit| audit.caller.identity());
                self.hold(member.slot, &order, &by.unwrap_or_default(), now, out);
                self.settle_member_now(batch, &member, None);
            }
            BatchAction::Release if !is_affected && !is_single => {}
            BatchAction::Release => {
                self.release(member.slot, now, out);
                self.settle_member_now(batch, &member, None);
            }
            BatchAction::Signal(None, text) => {
                if is_affected || is_single {
                    let index = batch.next_index();
                    let fault = FaultCode::BadSignal.of(text);
                    batch.record_result(index, true, result(&member, Some(fault)));
                }
            }
            BatchAction::Signal(Some(signal), _) => {
                if is_affected {
                    self.signal_member(ticket, batch, member, signal, out);
                } else if is_single {
                    self.settle_member_now(batch, &member, Some(FaultCode::NotRunning));
                }
            }
            BatchAction::Clear => return self.clear_logs(ticket, batch, member, out),
        }
        BatchStep::Next
    }

    /// Stops a member.
    fn stop_member(
        &mut self,
        ticket: Ticket,
        batch: &mut Batch,
        member: &BatchMember,
        wait: bool,
        now: Now,
        out: &mut Actions,
    ) {
        self.stop_in_order(member.slot, Trigger::Stop, now, out);
        let until = if wait {
            WaitUntil::Stopped
        } else {
            WaitUntil::StopSent
        };
        self.wait_for(ticket, batch, member, until, now, out);
    }

    /// Cancels the automatic restart that may be due for a member to be stopped that does not run.
    fn cancel_member_restart(
        &mut self,
        batch: &mut Batch,
        member: &BatchMember,
        now: Now,
        out: &mut Actions,
    ) {
        self.update_process(
            member.slot,
            Trigger::Stop,
            now,
            out,
            Process::cancel_restart,
        );
        self.call_off_restarts(member.slot, out);
        if batch.one.is_some() {
            self.settle_member_now(batch, member, Some(FaultCode::NotRunning));
        }
    }

    /// Records the result of a member that needs no wait. The fault's text is its name.
    fn settle_member_now(&self, batch: &mut Batch, member: &BatchMember, code: Option<FaultCode>) {
        let index = batch.next_index();
        let fault = code.map(|code| code.of(batch.named(&member.group, &member.process)));
        batch.record_result(index, true, result(member, fault));
    }

    // Starting

    /// Asks the shell to look up the command before anything changes, as the original does.
    fn check(
        &mut self,
        ticket: Ticket,
        batch: &mut Batch,
        member: BatchMember,
        out: &mut Actions,
    ) -> BatchStep {
        let Some(process) = self.slots.get(member.slot) else {
            return BatchStep::Next;
        };
        out.push(Action::Spawner(SpawnerEffect::Check(
            ticket,
            process.spec.clone(),
        )));
        let index = batch.next_index();
        batch.asked = Some((member, index));
        BatchStep::Wait
    }

    /// Continues a start after the shell has looked up the command.
    pub(super) fn checked(
        &mut self,
        ticket: Ticket,
        found: Result<(), SpawnError>,
        now: Now,
        out: &mut Actions,
    ) {
        if let Some(Pending::Rolling(rolling)) = self.requests.pending.get_mut(&ticket) {
            rolling.checked(found);
            self.requests.runnable.push(ticket);
            return;
        }
        let Some(mut batch) = self.take_batch(ticket) else {
            return;
        };
        if let (&BatchAction::Start { wait, alone }, Some((member, index))) =
            (&batch.action, batch.asked.take())
        {
            let how = (found, wait, alone);
            self.start_checked(ticket, &mut batch, (member, index), how, now, out);
        }
        self.requests.pending.insert(ticket, Pending::Batch(batch));
        self.advance_batch(ticket, now, out);
    }

    /// Starts a member whose command the shell has looked up, or records why it cannot start.
    fn start_checked(
        &mut self,
        ticket: Ticket,
        batch: &mut Batch,
        (member, index): (BatchMember, u32),
        (found, wait, alone): (Result<(), SpawnError>, bool, bool),
        now: Now,
        out: &mut Actions,
    ) {
        let named = batch.named(&member.group, &member.process);
        let state = self
            .slots
            .get(member.slot)
            .filter(|_| self.is_here(&member))
            .map(Process::state);
        let (immediate, fault) = match (state, found) {
            (None, _) => (true, Some(FaultCode::BadName.of(named))),
            (Some(_), Err(error)) if error.is_not_found() => {
                (true, Some(FaultCode::NoFile.of(error.to_string())))
            }
            (Some(_), Err(error)) => (true, Some(FaultCode::NotExecutable.of(error.to_string()))),
            (Some(_), Ok(())) if self.daemon.state != SupervisorState::Running => {
                (true, Some(FaultCode::ShutdownState.bare()))
            }
            (Some(state), Ok(())) => match state {
                ProcessState::Starting | ProcessState::Running | ProcessState::Backoff => {
                    (true, Some(FaultCode::AlreadyStarted.of(named)))
                }
                ProcessState::Unknown => (
                    true,
                    Some(FaultCode::Failed.of(format!("{named} is in an unknown process state"))),
                ),
                ProcessState::Stopping => {
                    out.push(Action::Log(Line::AlreadyRunning {
                        name: member.process.clone(),
                    }));
                    let fault = wait.then(|| FaultCode::AbnormalTermination.of(named));
                    (!wait, fault)
                }
                ProcessState::Stopped | ProcessState::Exited | ProcessState::Fatal => {
                    let slot = member.slot;
                    let scope = batch.scope.clone();
                    let by = if alone {
                        StartedBy::Alone
                    } else {
                        StartedBy::Client(&scope)
                    };
                    self.start_with_dependencies(slot, by, now, out);
                    let until = if wait {
                        WaitUntil::Running
                    } else {
                        WaitUntil::Spawned
                    };
                    self.wait_at(ticket, batch, &member, (index, until), now, out);
                    self.dependencies.push_due(Due::Blocked(slot));
                    return;
                }
            },
        };
        batch.record_result(index, immediate, result(&member, fault));
    }

    // Signalling

    /// Sends a signal of a client to a member, or records why that is impossible.
    pub(super) fn signal_member(
        &mut self,
        ticket: Ticket,
        batch: &mut Batch,
        member: BatchMember,
        signal: Signal,
        out: &mut Actions,
    ) {
        let Some(process) = self.slots.get(member.slot) else {
            return;
        };
        let name = member.process.clone();
        let index = batch.next_index();
        if let Some((instance, pid)) = process.run.stage.reachable() {
            out.push(Action::Log(Line::Sending { name, pid, signal }));
            self.requests.signals.push_back((
                instance,
                signal,
                SignalPurpose::Client {
                    ticket,
                    index,
                    process: member.process,
                    group: member.group,
                },
            ));
            out.push(Action::Signal {
                instance,
                signal,
                scope: SignalScope::Process,
            });
            return;
        }
        let pid = process.run.stage.pid();
        let fault = if pid != 0 {
            // The process is reaped and its exit will be published soon. The original would send the signal to the
            // zombie and report success.
            let error = Errno::SRCH;
            out.push(Action::Log(Line::SendMissed { name, pid, error }));
            None
        } else {
            let line = Line::SendNotRunning { name, signal };
            let fault = FaultCode::Failed.of(line.to_string());
            out.push(Action::Log(line));
            Some(fault)
        };
        batch.record_result(index, true, result(&member, fault));
    }

    // Clearing logs

    /// Clears the logs of one member at a time, so that a long batch does not flood the output thread.
    fn clear_logs(
        &mut self,
        ticket: Ticket,
        batch: &mut Batch,
        member: BatchMember,
        out: &mut Actions,
    ) -> BatchStep {
        let Some(process) = self.slots.get(member.slot) else {
            return BatchStep::Next;
        };
        if process.logs.stdout.is_none() && process.logs.stderr.is_none() {
            self.settle_member_now(batch, &member, None);
            return BatchStep::Next;
        }
        // Differs: the original clears nothing if the process does not run, and reports success.
        out.push(Action::Output(OutputEffect::ClearLogs {
            ticket,
            slot: member.slot,
            logs: process.logs.clone(),
        }));
        let index = batch.next_index();
        batch.asked = Some((member, index));
        BatchStep::Wait
    }

    /// Continues a batch after the shell has cleared the logs of a member.
    pub(super) fn cleared(
        &mut self,
        ticket: Ticket,
        done: Result<(), Errno>,
        now: Now,
        out: &mut Actions,
    ) {
        let Some(mut batch) = self.take_batch(ticket) else {
            return;
        };
        if batch.action == BatchAction::Clear
            && let Some((member, index)) = batch.asked.take()
        {
            let fault = match done {
                Ok(()) | Err(Errno::NOENT) => None,
                // Differs: in the original the text is only the name.
                Err(error) => Some(FaultCode::Failed.of(format!(
                    "{}: cannot clear its log: {error}",
                    batch.named(&member.group, &member.process)
                ))),
            };
            batch.record_result(index, true, result(&member, fault));
        }
        self.requests.pending.insert(ticket, Pending::Batch(batch));
        self.advance_batch(ticket, now, out);
    }
}

/// Returns whether an action does something with a process.
fn is_affected(action: &BatchAction, process: &Process) -> bool {
    let state = process.state();
    let is_waiting = *process.run.stage == Stage::Idle(Idle::Waiting);
    match action {
        BatchAction::Start { .. } => !state.is_running(),
        BatchAction::Stop { .. } => state.is_running() || is_waiting,
        BatchAction::Signal(..) | BatchAction::Reload => state.is_signallable(),
        BatchAction::Clear | BatchAction::Hold(_) => true,
        BatchAction::Release => process.is_on_hold(),
    }
}

/// Records that the caller may not act on a member.
fn record_not_permitted(batch: &mut Batch, member: &BatchMember) {
    let index = batch.next_index();
    let named = Namespec::print(member.group.as_str(), member.process.as_str());
    let fault = not_permitted(&named);
    batch.record_result(index, true, result(member, Some(fault)));
}

/// Returns the result of one member.
pub(super) fn result(member: &BatchMember, fault: Option<Fault>) -> TargetResult {
    TargetResult {
        process: member.process.clone(),
        group: member.group.clone(),
        fault,
    }
}
