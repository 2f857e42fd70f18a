//! Batches: requests that act on several processes. The core handles one member after another and answers when all
//! members have a result.

use super::admit::not_permitted;
use super::process::Process;
use super::ticket::{Batch, BatchAction, BatchMember, Pending, SignalPurpose, WaitUntil, Waiter};
use super::transitions::Trigger;
use super::{Action, Actions, AuditLine, Fleet, SignalScope};
use crate::api::{AuditEntry, Fault, FaultCode, TargetResult, Ticket};
use crate::domain::{
    Errno, GroupName, Line, Namespec, Now, ProcessName, ProcessState, Signal, SpawnError,
    SupervisorState,
};
use crate::effects::{OutputEffect, SpawnerEffect};

/// Whether the core can continue with a batch now.
enum BatchStep {
    /// Continue with the next member.
    Next,
    /// Wait for an answer of the shell.
    Wait,
}

impl Fleet {
    /// Takes a pending request out of the table if `pick` accepts it. `None`: there is no such request, or `pick`
    /// returned it.
    pub(super) fn take_pending<T>(
        &mut self,
        ticket: Ticket,
        pick: impl FnOnce(Pending) -> Result<T, Pending>,
    ) -> Option<T> {
        match pick(self.tickets.remove(&ticket)?) {
            Ok(picked) => Some(picked),
            Err(other) => {
                self.tickets.insert(ticket, other);
                None
            }
        }
    }

    /// Takes the batch of a request out of the table.
    fn take_batch(&mut self, ticket: Ticket) -> Option<Box<Batch>> {
        self.take_pending(ticket, |pending| match pending {
            Pending::Batch(batch) => Ok(batch),
            other => Err(other),
        })
    }

    /// Puts a batch back, or answers it if it is done.
    fn store_batch(&mut self, ticket: Ticket, batch: Box<Batch>, out: &mut Actions) {
        if batch.is_done() {
            out.push(Action::Answer(ticket, batch.answer()));
        } else {
            self.tickets.insert(ticket, Pending::Batch(batch));
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
            out.push(Action::Audit(AuditLine {
                caller: audit.caller,
                entry: AuditEntry {
                    verb: batch.action.audit_verb(),
                    target: audit.target,
                },
                fault,
            }));
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
        let state = process.state();
        let concerned = match &batch.action {
            BatchAction::Start { .. } => !state.is_running(),
            BatchAction::Stop { .. } => state.is_running(),
            BatchAction::Signal(..) => state.is_signallable(),
            BatchAction::Clear => true,
        };
        if batch.one.is_none() {
            let covered = batch
                .scope
                .covers(member.group.as_str(), member.process.as_str());
            if concerned && !covered {
                let index = batch.next_index();
                batch.record_result(
                    index,
                    true,
                    result(
                        &member,
                        Some(not_permitted(&Namespec::print(
                            member.group.as_str(),
                            member.process.as_str(),
                        ))),
                    ),
                );
                return BatchStep::Next;
            }
            if !covered {
                return BatchStep::Next;
            }
        }
        match batch.action.clone() {
            BatchAction::Start { .. } if !concerned && batch.one.is_none() => BatchStep::Next,
            BatchAction::Start { .. } => self.check(ticket, batch, member, out),
            BatchAction::Stop { wait } => {
                if !concerned {
                    // An automatic restart may be due. The stop cancels it.
                    self.update_process(
                        member.slot,
                        Trigger::Stop,
                        now,
                        out,
                        Process::cancel_restart,
                    );
                    self.call_off_restarts(member.slot, out);
                    if batch.one.is_some() {
                        self.settle_member_now(batch, &member, Some(FaultCode::NotRunning));
                    }
                    return BatchStep::Next;
                }
                self.update_process(member.slot, Trigger::Stop, now, out, Process::stop);
                let until = if wait {
                    WaitUntil::Stopped
                } else {
                    WaitUntil::StopSent
                };
                self.wait_for(ticket, batch, &member, until, now, out);
                BatchStep::Next
            }
            BatchAction::Signal(None, text) => {
                if concerned || batch.one.is_some() {
                    let index = batch.next_index();
                    let fault = FaultCode::BadSignal.of(text);
                    batch.record_result(index, true, result(&member, Some(fault)));
                }
                BatchStep::Next
            }
            BatchAction::Signal(Some(signal), _) => {
                if concerned {
                    self.signal_member(ticket, batch, member, signal, out);
                } else if batch.one.is_some() {
                    self.settle_member_now(batch, &member, Some(FaultCode::NotRunning));
                }
                BatchStep::Next
            }
            BatchAction::Clear => self.clear_logs(ticket, batch, member, out),
        }
    }

    /// Records the result of a member that needs no wait. The fault's text is its name.
    fn settle_member_now(&self, batch: &mut Batch, member: &BatchMember, code: Option<FaultCode>) {
        let index = batch.next_index();
        let fault = code.map(|code| code.of(batch.named(&member.group, &member.process)));
        batch.record_result(index, true, result(member, fault));
    }

    /// Lets the next member of a batch wait for its process.
    fn wait_for(
        &mut self,
        ticket: Ticket,
        batch: &mut Batch,
        member: &BatchMember,
        until: WaitUntil,
        now: Now,
        out: &mut Actions,
    ) {
        let index = batch.next_index();
        self.wait_at(ticket, batch, member, (index, until), now, out);
    }

    /// Records the result of a member, or registers it as waiting for its process.
    fn wait_at(
        &mut self,
        ticket: Ticket,
        batch: &mut Batch,
        member: &BatchMember,
        (index, until): (u32, WaitUntil),
        now: Now,
        out: &mut Actions,
    ) {
        let Some(process) = self.slots.get_mut(member.slot) else {
            let fault = FaultCode::BadName.of(batch.named(&member.group, &member.process));
            batch.record_result(index, true, result(member, Some(fault)));
            return;
        };
        let waiter = Waiter {
            ticket,
            index,
            until,
        };
        if let Some(verdict) = waiter.verdict(process) {
            let named = batch.named(&member.group, &member.process);
            let fault = verdict.fault.map(|code| code.of(named));
            batch.record_result(index, true, result(member, fault));
            return;
        }
        let reports = waiter.reports();
        process.run.waiters.push(waiter);
        if reports {
            self.update_process(member.slot, Trigger::Other, now, out, Process::report_stop);
        }
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
        if let Some(Pending::Rolling(rolling)) = self.tickets.get_mut(&ticket) {
            rolling.checked(found);
            self.runnable.push(ticket);
            return;
        }
        let Some(mut batch) = self.take_batch(ticket) else {
            return;
        };
        if let (BatchAction::Start { wait }, Some((member, index))) =
            (&batch.action, batch.asked.take())
        {
            let wait = *wait;
            self.start_checked(ticket, &mut batch, (member, index), (found, wait), now, out);
        }
        self.tickets.insert(ticket, Pending::Batch(batch));
        self.advance_batch(ticket, now, out);
    }

    /// Starts a member whose command the shell has looked up, or records why it cannot start.
    fn start_checked(
        &mut self,
        ticket: Ticket,
        batch: &mut Batch,
        (member, index): (BatchMember, u32),
        (found, wait): (Result<(), SpawnError>, bool),
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
            (Some(_), Ok(())) if self.daemon_state != SupervisorState::Running => {
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
                    self.update_process(slot, Trigger::Start, now, out, |process, ctx| {
                        process.start(slot, ctx);
                    });
                    let until = if wait {
                        WaitUntil::Running
                    } else {
                        WaitUntil::Spawned
                    };
                    self.wait_at(ticket, batch, &member, (index, until), now, out);
                    return;
                }
            },
        };
        batch.record_result(index, immediate, result(&member, fault));
    }

    // Signalling

    /// Sends a signal of a client to a member, or records why that is impossible.
    fn signal_member(
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
            self.signals.push_back((
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
        self.tickets.insert(ticket, Pending::Batch(batch));
        self.advance_batch(ticket, now, out);
    }

    // Results

    /// Records the result of one member. The last result answers the request.
    #[expect(clippy::too_many_arguments, reason = "a result, and where it belongs")]
    pub(super) fn settle_member(
        &mut self,
        ticket: Ticket,
        index: u32,
        immediate: bool,
        process: &ProcessName,
        group: &GroupName,
        fault: Option<Fault>,
        out: &mut Actions,
    ) {
        let result = TargetResult {
            process: process.clone(),
            group: group.clone(),
            fault,
        };
        let Some(mut batch) = self.take_batch(ticket) else {
            match self.tickets.get_mut(&ticket) {
                Some(Pending::Scaling(scaling)) => scaling.stopped_one(index, result),
                Some(Pending::Rolling(rolling)) => rolling.record_result(index, result),
                // Other requests do not wait for processes.
                Some(_) | None => return,
            }
            self.runnable.push(ticket);
            return;
        };
        batch.record_result(index, immediate, result);
        self.store_batch(ticket, batch, out);
    }

    /// Returns a fault about a process that names it as the request did.
    pub(super) fn fault_of(
        &self,
        ticket: Ticket,
        code: FaultCode,
        group: &GroupName,
        process: &ProcessName,
    ) -> Fault {
        match self.tickets.get(&ticket) {
            Some(Pending::Batch(batch)) => code.of(batch.named(group, process)),
            Some(Pending::Scaling(_) | Pending::Rolling(_)) => {
                code.of(Namespec::print(group.as_str(), process.as_str()))
            }
            // Other requests do not wait for processes.
            Some(_) | None => code.bare(),
        }
    }

    /// Records results for the requests whose wait for this process is over.
    pub(super) fn answer_waiters(&mut self, slot: u32, out: &mut Actions) {
        let Some(process) = self.slots.get_mut(slot) else {
            return;
        };
        if process.run.waiters.is_empty() {
            return;
        }
        let mut over = Vec::new();
        let waiters = std::mem::take(&mut process.run.waiters);
        let mut waiting = Vec::with_capacity(waiters.len());
        for waiter in waiters {
            match waiter.verdict(process) {
                Some(verdict) => over.push((waiter, verdict)),
                None => waiting.push(waiter),
            }
        }
        waiting.shrink_to_fit();
        process.run.waiters = waiting;
        let (name, group) = (process.spec.name.clone(), process.spec.group.clone());
        for (waiter, verdict) in over {
            let ticket = waiter.ticket;
            let fault = verdict
                .fault
                .map(|code| self.fault_of(ticket, code, &group, &name));
            let place = (waiter.index, verdict.immediate);
            self.settle_member(ticket, place.0, place.1, &name, &group, fault, out);
        }
    }

    /// Fails the requests that wait for a stop, because the kernel refused the signal.
    ///
    /// Differs: the original tells clients that already waited that the process has stopped.
    pub(super) fn fail_stops(&mut self, slot: u32, text: &str, out: &mut Actions) {
        let Some((name, group)) = self.names_of(slot) else {
            return;
        };
        let Some(process) = self.slots.get_mut(slot) else {
            return;
        };
        let (stops, rest) = std::mem::take(&mut process.run.waiters)
            .into_iter()
            .partition(|waiter| matches!(waiter.until, WaitUntil::Stopped | WaitUntil::StopSent));
        process.run.waiters = rest;
        let stops: Vec<Waiter> = stops;
        for waiter in stops {
            let fault = Some(FaultCode::Failed.of(text));
            let (ticket, index) = (waiter.ticket, waiter.index);
            self.settle_member(ticket, index, true, &name, &group, fault, out);
        }
    }
}

/// Returns the result of one member.
pub(super) fn result(member: &BatchMember, fault: Option<Fault>) -> TargetResult {
    TargetResult {
        process: member.process.clone(),
        group: member.group.clone(),
        fault,
    }
}
