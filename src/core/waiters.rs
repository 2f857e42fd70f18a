//! Requests that wait for a process: registers them with the process, and records their results.

use super::batch::result;
use super::health_state::HealthVerdict;
use super::pending::Pending;
use super::process::{LastError, Process};
use super::rolling_restart::rolling_fault;
use super::stage::{AlivePhase, Idle, Stage};
use super::ticket::{Batch, BatchMember, WaitResult, WaitUntil, Waiter};
use super::transitions::Trigger;
use super::{Actions, Fleet};
use crate::api::{Fault, FaultCode, TargetResult, Ticket};
use crate::domain::{GroupName, Namespec, Now, ProcessName, ProcessState};

impl Fleet {
    /// Lets the next member of a batch wait for its process.
    pub(super) fn wait_for(
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
    pub(super) fn wait_at(
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
            match self.requests.pending.get_mut(&ticket) {
                Some(Pending::Scaling(scaling)) => scaling.stopped_one(index, result),
                Some(Pending::Rolling(rolling)) => rolling.record_result(index, result),
                // Other requests do not wait for processes.
                Some(_) | None => return,
            }
            self.requests.runnable.push(ticket);
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
        match self.requests.pending.get(&ticket) {
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
        let reason = match &process.run.last_error {
            Some(LastError::Dependency(text)) => Some(text.clone()),
            _ => None,
        };
        let why = process.start_failure();
        for (waiter, verdict) in over {
            let ticket = waiter.ticket;
            let is_rolling = matches!(
                self.requests.pending.get(&ticket),
                Some(Pending::Rolling(_))
            );
            let fault = verdict.fault.map(|code| match &reason {
                Some(reason) => code.of(reason.as_str()),
                None if is_rolling => {
                    let named = Namespec::print(group.as_str(), name.as_str());
                    rolling_fault(code, &named, &why)
                }
                None => self.fault_of(ticket, code, &group, &name),
            });
            let place = (waiter.index, verdict.immediate);
            self.settle_member(ticket, place.0, place.1, &name, &group, fault, out);
        }
    }

    /// Fails the requests that wait for a stop, because the kernel refused the signal.
    ///
    /// Differs: the original tells clients that already waited that the process has stopped.
    pub(super) fn fail_stops(&mut self, slot: u32, text: &str, out: &mut Actions) {
        let is_stop = |until| matches!(until, WaitUntil::Stopped | WaitUntil::StopSent);
        self.fail_waiters(slot, is_stop, FaultCode::Failed, text, out);
    }

    /// Fails the requests that wait for something of a process.
    pub(super) fn fail_waiters(
        &mut self,
        slot: u32,
        is_concerned: impl Fn(WaitUntil) -> bool,
        code: FaultCode,
        text: &str,
        out: &mut Actions,
    ) {
        let Some((name, group)) = self.names_of(slot) else {
            return;
        };
        let Some(process) = self.slots.get_mut(slot) else {
            return;
        };
        let (concerned, rest) = std::mem::take(&mut process.run.waiters)
            .into_iter()
            .partition(|waiter| is_concerned(waiter.until));
        process.run.waiters = rest;
        let concerned: Vec<Waiter> = concerned;
        for waiter in concerned {
            let fault = Some(code.of(text));
            let (ticket, index) = (waiter.ticket, waiter.index);
            self.settle_member(ticket, index, true, &name, &group, fault, out);
        }
    }
}

impl Waiter {
    /// Returns the result if the wait is over.
    pub(super) fn verdict(&self, process: &Process) -> Option<WaitResult> {
        let stage: &Stage = &process.run.stage;
        match self.until {
            WaitUntil::Spawned | WaitUntil::Running | WaitUntil::Healthy => {
                self.start_verdict(process)
            }
            WaitUntil::StopSent => match stage {
                Stage::Alive {
                    phase: AlivePhase::Stopping { sent: false, .. },
                    ..
                } => None,
                // The handling of the refused signal settles it with its own text.
                Stage::Alive {
                    phase: AlivePhase::Unknown,
                    ..
                }
                | Stage::Idle(Idle::UnknownGone) => None,
                Stage::Idle(_)
                | Stage::Attempt { .. }
                | Stage::Alive { .. }
                | Stage::Reaped { .. } => Some(WaitResult::done(true)),
            },
            WaitUntil::Stopped => match process.state() {
                ProcessState::Stopped | ProcessState::Exited | ProcessState::Fatal => {
                    Some(WaitResult::done(false))
                }
                // The handling of the refused signal settles it with its own text.
                ProcessState::Unknown => None,
                ProcessState::Starting
                | ProcessState::Running
                | ProcessState::Backoff
                | ProcessState::Stopping => None,
            },
        }
    }

    /// Returns the result of a wait for a start if the wait is over.
    fn start_verdict(&self, process: &Process) -> Option<WaitResult> {
        let done = |immediate| Some(WaitResult::done(immediate));
        let failed = |code, immediate| Some(WaitResult::failed(code, immediate));
        let stage: &Stage = &process.run.stage;
        let waited = !matches!(self.until, WaitUntil::Spawned);
        if matches!(stage, Stage::Idle(Idle::Waiting)) {
            // A client that does not wait for RUNNING gets success: the start was accepted.
            return if waited { None } else { done(true) };
        }
        match &process.run.last_error {
            Some(LastError::NotSpawned(_)) => return failed(FaultCode::SpawnError, true),
            Some(
                LastError::TooQuick
                | LastError::Unready
                | LastError::NotReady
                | LastError::NotifiedFailure
                | LastError::WatchdogTimeout
                | LastError::WatchdogTrigger
                | LastError::BadExit(_)
                | LastError::Unhealthy(_),
            ) => {
                return failed(FaultCode::SpawnError, false);
            }
            // A client that does not wait for RUNNING gets success now: the start was accepted.
            Some(LastError::HeldUp(_)) if !waited => return done(false),
            Some(LastError::HeldUp(_) | LastError::Dependency(_)) | None => {}
        }
        let health = match self.until {
            WaitUntil::Healthy => process.health_verdict(),
            _ => HealthVerdict::Passed,
        };
        match process.state() {
            ProcessState::Starting if matches!(stage, Stage::Attempt { .. }) => None,
            ProcessState::Running if health == HealthVerdict::Failed => {
                failed(FaultCode::Failed, false)
            }
            ProcessState::Running if health == HealthVerdict::Unknown => None,
            ProcessState::Running if stage.is_running() => {
                let at_once = process.spec.startsecs.0 <= 0 && !process.spec.notify.tells_ready();
                done(!waited || at_once)
            }
            // The process is being terminated, or it is reaped and its exit is not published yet.
            ProcessState::Starting | ProcessState::Running if waited => None,
            ProcessState::Starting | ProcessState::Running => done(true),
            ProcessState::Stopped
            | ProcessState::Exited
            | ProcessState::Fatal
            | ProcessState::Backoff
            | ProcessState::Stopping
            | ProcessState::Unknown => failed(FaultCode::AbnormalTermination, !waited),
        }
    }
}
