//! Rolling restarts: the next process is stopped only when the previous one is up again. After a failure no further
//! process is restarted.
//!
//! ```text
//! queue ─→ Checking ─found→ Stopping ─stopped→ Starting ─RUNNING→ result
//!             └─ missing ─────┴─ called off ─────┴─ failed ─────→ result, and no more from the queue
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::batch::result;
use super::dependency_index::Due;
use super::dependency_start::StartedBy;
use super::pending::Pending;
use super::process::Process;
use super::rights::{Rights, not_permitted};
use super::rolling_restart::{Replaced, RollingRestart, RollingTurn, name_of, rolling_fault};
use super::ticket::{BatchMember, WaitUntil, Waiter};
use super::transitions::Trigger;
use super::{Action, Actions, Fleet};
use crate::api::{Fault, FaultCode, Reply, RequestTarget, RollingLimits, Ticket};
use crate::domain::{Now, ProcessState, SupervisorState};
use crate::effects::SpawnerEffect;

impl Fleet {
    /// Starts a rolling restart of all targets.
    pub(super) fn start_rolling(
        &mut self,
        ticket: Ticket,
        targets: Vec<RequestTarget>,
        limits: RollingLimits,
        rights: Rights<'_>,
    ) -> Result<(), Fault> {
        let mut queue = VecDeque::new();
        let mut results = Vec::new();
        let mut places = BTreeMap::new();
        let mut refused = BTreeSet::new();
        for target in targets {
            let (slots, one) = self.targets(target, rights)?;
            for slot in slots {
                let Some(member) = self.member(slot) else {
                    continue;
                };
                let named = one.is_some();
                if let Some(&place) = places.get(&slot) {
                    let (_, known): &mut (BatchMember, bool) = &mut queue[place];
                    *known |= named;
                } else if rights
                    .scope
                    .covers(member.group.as_str(), member.process.as_str())
                {
                    places.insert(slot, queue.len());
                    queue.push_back((member, named));
                } else if self.is_active(&member) && refused.insert(slot) {
                    results.push(result(&member, Some(not_permitted(&name_of(&member)))));
                }
            }
        }
        let busy = self.rolled();
        if let Some((member, _)) = queue
            .iter()
            .find(|(member, _)| busy.contains(&member.slot_generation))
        {
            return Err(FaultCode::Failed.of(format!(
                "{}: a rolling restart is already running",
                name_of(member)
            )));
        }
        let rolling = RollingRestart {
            queue,
            results,
            ..RollingRestart::new(limits)
        };
        self.requests
            .pending
            .insert(ticket, Pending::Rolling(Box::new(rolling)));
        self.requests.runnable.push(ticket);
        Ok(())
    }

    pub(super) fn is_active(&self, member: &BatchMember) -> bool {
        let process = self.slots.get(member.slot);
        process.is_some_and(|process| process.state().is_running())
    }

    /// Returns the slot generations of processes that rolling restarts have queued or are restarting.
    pub(super) fn rolled(&self) -> BTreeSet<u64> {
        let pending = self.requests.pending.values();
        let rolling = pending.filter_map(|pending| match pending {
            Pending::Rolling(rolling) => Some(rolling),
            _ => None,
        });
        rolling
            .flat_map(|rolling| rolling.slot_generations())
            .collect()
    }

    /// Prevents rolling restarts from starting a process that a client has asked to stop.
    pub(super) fn call_off_restarts(&mut self, slot: u32, out: &mut Actions) {
        let tickets = &self.requests.pending;
        let is_rolling = |waiter: &Waiter| {
            waiter.until == WaitUntil::Stopped
                && matches!(tickets.get(&waiter.ticket), Some(Pending::Rolling(_)))
        };
        let Some(process) = self
            .slots
            .get_mut(slot)
            .filter(|process| process.run.waiters.iter().any(is_rolling))
        else {
            return;
        };
        let (called_off, rest) = std::mem::take(&mut process.run.waiters)
            .into_iter()
            .partition(is_rolling);
        process.run.waiters = rest;
        let called_off: Vec<Waiter> = called_off;
        let Some(member) = self.member(slot) else {
            return;
        };
        for Waiter { ticket, index, .. } in called_off {
            let text = format!("{}: stopped by another request", name_of(&member));
            let fault = Some(FaultCode::Failed.of(text));
            self.settle_member(
                ticket,
                index,
                false,
                &member.process,
                &member.group,
                fault,
                out,
            );
        }
    }

    /// Continues a rolling restart as far as possible and answers it when it is finished.
    pub(super) fn continue_rolling(&mut self, ticket: Ticket, now: Now, out: &mut Actions) {
        loop {
            let Some(Pending::Rolling(rolling)) = self.requests.pending.get_mut(&ticket) else {
                return;
            };
            // A daemon that exits changes no group: it stops them by the priorities that they had when it began.
            if self.shutdown_state.is_some() && rolling.update.is_some() {
                return;
            }
            let due = rolling
                .under_way
                .iter()
                .find(|(_, (_, _, turn))| {
                    matches!(turn, RollingTurn::Checked(_) | RollingTurn::Stopped)
                })
                .map(|(&index, _)| index);
            if let Some(index) = due {
                self.take_turn(ticket, index, now, out);
            } else if rolling.has_room() {
                if let Some((member, named)) = rolling.queue.pop_front() {
                    self.begin_turn(ticket, member, named, out);
                } else if let Some(update) = &mut rolling.update
                    && let Some(step) = update.steps.pop_front()
                {
                    self.begin_update_step(ticket, step, now, out);
                }
            } else if rolling.under_way.is_empty() {
                self.end_rolling(ticket, out);
            } else {
                return;
            }
        }
    }

    /// Returns the rolling restart of a ticket.
    pub(super) fn rolling(&mut self, ticket: Ticket) -> Option<&mut RollingRestart> {
        match self.requests.pending.get_mut(&ticket) {
            Some(Pending::Rolling(rolling)) => Some(rolling),
            Some(_) | None => None,
        }
    }

    /// Starts on one process.
    fn begin_turn(&mut self, ticket: Ticket, member: BatchMember, named: bool, out: &mut Actions) {
        let verdict = if !self.is_here(&member) {
            // The process was removed after the request.
            named.then(|| FaultCode::BadName.of(name_of(&member)))
        } else if !named && !self.is_active(&member) {
            // A stopped or finished process stays as it is, unless the request named it.
            None
        } else {
            let spec = self
                .slots
                .get(member.slot)
                .map(|process| process.spec.clone());
            if let (Some(rolling), Some(spec)) = (self.rolling(ticket), spec) {
                let index = rolling.next_turn_index();
                rolling
                    .under_way
                    .insert(index, (member, named, RollingTurn::Checking));
                out.push(Action::Spawner(SpawnerEffect::Check(ticket, spec)));
            }
            return;
        };
        if let (Some(rolling), Some(fault)) = (self.rolling(ticket), verdict) {
            rolling.end_turn(result(&member, Some(fault)));
        }
    }

    /// Performs the next step for a process.
    fn take_turn(&mut self, ticket: Ticket, index: u32, now: Now, out: &mut Actions) {
        let Some((member, named, turn)) = self
            .rolling(ticket)
            .and_then(|rolling| rolling.under_way.remove(&index))
        else {
            return;
        };
        let was_active = turn == RollingTurn::Stopped;
        match self.next_turn(&member, named, turn) {
            NextRollingStep::Leave => {}
            NextRollingStep::Fail(fault) => {
                if let Some(rolling) = self.rolling(ticket) {
                    rolling.end_turn(result(&member, Some(fault)));
                }
            }
            NextRollingStep::Stop => self.stop_turn(ticket, index, member, named, now, out),
            NextRollingStep::Start => {
                let is_update = self
                    .rolling(ticket)
                    .is_some_and(|rolling| rolling.update.is_some());
                let replaced = match is_update {
                    true => self.replace_for_update(ticket, &member, was_active, out),
                    false => Replaced::By(member.clone()),
                };
                match replaced {
                    Replaced::By(member) => {
                        self.start_turn(ticket, index, member, named, now, out);
                    }
                    Replaced::Done(fault) => {
                        if let Some(rolling) = self.rolling(ticket) {
                            rolling.end_turn(result(&member, fault));
                        }
                    }
                }
            }
        }
    }

    /// Stops a process of a rolling restart.
    fn stop_turn(
        &mut self,
        ticket: Ticket,
        index: u32,
        member: BatchMember,
        named: bool,
        now: Now,
        out: &mut Actions,
    ) {
        let slot = member.slot;
        if let Some(rolling) = self.rolling(ticket) {
            let turn = (member.clone(), named, RollingTurn::Stopping);
            rolling.under_way.insert(index, turn);
        }
        self.stop_in_order(slot, Trigger::Stop, now, out);
        let until = WaitUntil::Stopped;
        self.await_turn(ticket, index, &member, until, now, out);
    }

    /// Starts a process of a rolling restart.
    pub(super) fn start_turn(
        &mut self,
        ticket: Ticket,
        index: u32,
        member: BatchMember,
        named: bool,
        now: Now,
        out: &mut Actions,
    ) {
        let slot = member.slot;
        let mut until = WaitUntil::Running;
        if let Some(rolling) = self.rolling(ticket) {
            if rolling.healthy {
                until = WaitUntil::Healthy;
            }
            let turn = (member.clone(), named, RollingTurn::Starting);
            rolling.under_way.insert(index, turn);
        }
        // The caller may act on the process, and so on what it needs, as far as that is down.
        let by = StartedBy::Group;
        self.start_with_dependencies(slot, by, now, out);
        self.await_turn(ticket, index, &member, until, now, out);
    }

    /// Waits for a process of a rolling restart.
    fn await_turn(
        &mut self,
        ticket: Ticket,
        index: u32,
        member: &BatchMember,
        until: WaitUntil,
        now: Now,
        out: &mut Actions,
    ) {
        let Some(process) = self.slots.get_mut(member.slot) else {
            return;
        };
        let waiter = Waiter {
            ticket,
            index,
            until,
        };
        match waiter.verdict(process) {
            Some(verdict) => {
                let why = process.start_failure();
                let fault = verdict
                    .fault
                    .map(|code| rolling_fault(code, &name_of(member), &why));
                let (process, group) = (&member.process, &member.group);
                self.settle_member(ticket, index, false, process, group, fault, out);
            }
            None => {
                process.run.waiters.push(waiter);
                let slot = member.slot;
                self.update_process(slot, Trigger::Other, now, out, Process::report_stop);
                self.dependencies.push_due(Due::Blocked(slot));
            }
        }
    }

    /// Returns the next action for a process, given its step and its current state.
    fn next_turn(&self, member: &BatchMember, named: bool, turn: RollingTurn) -> NextRollingStep {
        let name = || name_of(member);
        let state = self
            .slots
            .get(member.slot)
            .filter(|_| self.is_here(member))
            .map(Process::state);
        let Some(state) = state else {
            return if named {
                NextRollingStep::Fail(FaultCode::BadName.of(name()))
            } else {
                NextRollingStep::Leave
            };
        };
        if self.daemon.state != SupervisorState::Running {
            return NextRollingStep::Fail(FaultCode::ShutdownState.bare());
        }
        match turn {
            // These steps wait for something and need no action.
            RollingTurn::Checking | RollingTurn::Stopping | RollingTurn::Starting => {
                NextRollingStep::Leave
            }
            RollingTurn::Checked(Err(error)) if error.is_not_found() => {
                NextRollingStep::Fail(FaultCode::NoFile.of(error.to_string()))
            }
            RollingTurn::Checked(Err(error)) => {
                NextRollingStep::Fail(FaultCode::NotExecutable.of(error.to_string()))
            }
            RollingTurn::Checked(Ok(())) => match state {
                ProcessState::Starting | ProcessState::Running | ProcessState::Backoff => {
                    NextRollingStep::Stop
                }
                ProcessState::Stopped | ProcessState::Exited | ProcessState::Fatal if named => {
                    NextRollingStep::Start
                }
                // The process has stopped meanwhile and stays stopped.
                ProcessState::Stopped | ProcessState::Exited | ProcessState::Fatal => {
                    NextRollingStep::Leave
                }
                // Another request is stopping the process.
                ProcessState::Stopping => {
                    NextRollingStep::Fail(FaultCode::AbnormalTermination.of(name()))
                }
                ProcessState::Unknown => NextRollingStep::Fail(unknown(&name())),
            },
            RollingTurn::Stopped => match state {
                ProcessState::Stopped | ProcessState::Exited | ProcessState::Fatal => {
                    NextRollingStep::Start
                }
                // Another request has started the process meanwhile.
                ProcessState::Starting
                | ProcessState::Running
                | ProcessState::Backoff
                | ProcessState::Stopping => {
                    NextRollingStep::Fail(FaultCode::AlreadyStarted.of(name()))
                }
                ProcessState::Unknown => NextRollingStep::Fail(unknown(&name())),
            },
        }
    }

    /// Answers a rolling restart in which no process is in progress. The results of processes not reached say so.
    fn end_rolling(&mut self, ticket: Ticket, out: &mut Actions) {
        let Some(Pending::Rolling(rolling)) = self.requests.pending.remove(&ticket) else {
            return;
        };
        let RollingRestart {
            queue,
            mut results,
            failures,
            update,
            ..
        } = *rolling;
        if !failures.is_empty() {
            let failed = failures.join(", ");
            for (member, named) in queue {
                if named || (self.is_here(&member) && self.is_active(&member)) {
                    let text = format!("not restarted: {failed} failed before it");
                    results.push(result(&member, Some(FaultCode::Failed.of(text))));
                }
            }
        }
        if let Some(update) = update {
            self.end_update(*update, &mut results, &failures, out);
        }
        out.push(Action::Answer(ticket, Ok(Reply::Results(results))));
    }
}

/// The next action for a process in a rolling restart.
enum NextRollingStep {
    /// Nothing: the process needs no restart any more.
    Leave,
    /// Record this fault as the result of the process.
    Fail(Fault),
    /// Stop the process.
    Stop,
    /// Start the process.
    Start,
}

fn unknown(name: &str) -> Fault {
    FaultCode::Failed.of(format!("{name} is in an unknown process state"))
}
