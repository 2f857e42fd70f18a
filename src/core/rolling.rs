//! Restarts one process after another: the next is stopped only when the one before is up again, and none once one has
//! failed. It must not know how processes stop and start.
//!
//! ```text
//! queue ─→ Checking ─found→ Stopping ─stopped→ Starting ─RUNNING→ result
//!             └─ missing ─────┴─ called off ─────┴─ failed ─────→ result, and no more from the queue
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::admit::{Rights, not_permitted};
use super::batch::result;
use super::process::Process;
use super::ticket::{BatchMember, Pending, WaitUntil, Waiter};
use super::{Action, Actions, Fleet};
use crate::api::{Fault, FaultCode, Reply, RequestTarget, TargetResult, Ticket};
use crate::domain::{Namespec, Now, ProcessState, SpawnError, SupervisorState};

/// Where the restart of one process stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
enum RollingTurn {
    /// Its command is being looked up: what cannot start again is not stopped.
    Checking,
    /// Its command was found, or was not.
    Checked(Result<(), SpawnError>),
    /// It was asked to stop.
    Stopping,
    /// It has stopped.
    Stopped,
    /// It was started.
    Starting,
}

/// A rolling restart on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RollingRestart {
    /// How many may be restarted at the same time.
    at_once: u32,
    /// Processes whose turn has not come; and whether each was named itself, not by its group.
    queue: VecDeque<(BatchMember, bool)>,
    /// Processes whose turn it is, by the number that waiters know them by.
    under_way: BTreeMap<u32, (BatchMember, bool, RollingTurn)>,
    /// Turns so far.
    #[serde(deserialize_with = "crate::domain::counter::small_counter")]
    turns: u32,
    /// In the order of settling.
    results: Vec<TargetResult>,
    /// The first that failed.
    failed: Option<String>,
}

impl RollingRestart {
    /// The command was looked up that was asked for first.
    pub(super) fn checked(&mut self, found: Result<(), SpawnError>) {
        let first = self
            .under_way
            .values_mut()
            .find(|(_, _, turn)| *turn == RollingTurn::Checking);
        if let Some((_, _, turn)) = first {
            *turn = RollingTurn::Checked(found);
        }
    }

    /// A wait for a process is over.
    pub(super) fn record_result(&mut self, index: u32, settled: TargetResult) {
        match self.under_way.get_mut(&index) {
            Some((_, _, turn @ RollingTurn::Stopping)) if settled.fault.is_none() => {
                *turn = RollingTurn::Stopped
            }
            Some(_) => {
                self.under_way.remove(&index);
                self.end_turn(settled);
            }
            None => {}
        }
    }

    /// The turn of a process has ended.
    fn end_turn(&mut self, settled: TargetResult) {
        if settled.fault.is_some() && self.failed.is_none() {
            self.failed = Some(Namespec::print(
                settled.group.as_str(),
                settled.process.as_str(),
            ));
        }
        self.results.push(settled);
    }

    /// Somebody may begin.
    fn has_room(&self) -> bool {
        self.failed.is_none()
            && !self.queue.is_empty()
            && u32::try_from(self.under_way.len()).is_ok_and(|count| count < self.at_once)
    }
}

impl Fleet {
    /// Takes on a rolling restart of all that is named.
    pub(super) fn start_rolling(
        &mut self,
        ticket: Ticket,
        targets: Vec<RequestTarget>,
        at_once: u32,
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
            at_once,
            queue,
            under_way: BTreeMap::new(),
            turns: 0,
            results,
            failed: None,
        };
        self.tickets
            .insert(ticket, Pending::Rolling(Box::new(rolling)));
        self.roused.push(ticket);
        Ok(())
    }

    fn is_active(&self, member: &BatchMember) -> bool {
        let process = self.slots.get(member.slot);
        process.is_some_and(|process| process.state().is_running())
    }

    /// Processes (by slot_generation) that a rolling restart has yet to come to, or is at.
    fn rolled(&self) -> BTreeSet<u64> {
        let mut found = BTreeSet::new();
        for pending in self.tickets.values() {
            if let Pending::Rolling(rolling) = pending {
                found.extend(
                    rolling
                        .queue
                        .iter()
                        .map(|(member, _)| member.slot_generation),
                );
                found.extend(
                    rolling
                        .under_way
                        .values()
                        .map(|(member, ..)| member.slot_generation),
                );
            }
        }
        found
    }

    /// Somebody wants a process to stay down: no rolling restart that has stopped it starts it again.
    pub(super) fn call_off_restarts(&mut self, slot: u32, out: &mut Actions) {
        let tickets = &self.tickets;
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

    /// Goes on with a rolling restart as far as it goes, and answers it when all is done.
    pub(super) fn continue_rolling(&mut self, ticket: Ticket, now: Now, out: &mut Actions) {
        loop {
            let Some(Pending::Rolling(rolling)) = self.tickets.get_mut(&ticket) else {
                return;
            };
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
                }
            } else if rolling.under_way.is_empty() {
                self.end_rolling(ticket, out);
            } else {
                return;
            }
        }
    }

    /// The rolling restart behind a ticket that was just seen to be one.
    fn rolling(&mut self, ticket: Ticket) -> Option<&mut RollingRestart> {
        match self.tickets.get_mut(&ticket) {
            Some(Pending::Rolling(rolling)) => Some(rolling),
            Some(_) | None => None,
        }
    }

    /// Comes to a process.
    fn begin_turn(&mut self, ticket: Ticket, member: BatchMember, named: bool, out: &mut Actions) {
        let verdict = if !self.is_here(&member) {
            // It was removed since.
            named.then(|| FaultCode::BadName.of(name_of(&member)))
        } else if !named && !self.is_active(&member) {
            // What does not run, an administrator has stopped, or it has done its work: it stays so.
            None
        } else {
            let spec = self
                .slots
                .get(member.slot)
                .map(|process| process.spec.clone());
            if let (Some(rolling), Some(spec)) = (self.rolling(ticket), spec) {
                let index = rolling.turns;
                rolling.turns += 1;
                rolling
                    .under_way
                    .insert(index, (member, named, RollingTurn::Checking));
                out.push(Action::Check(ticket, spec));
            }
            return;
        };
        if let (Some(rolling), Some(fault)) = (self.rolling(ticket), verdict) {
            rolling.end_turn(result(&member, Some(fault)));
        }
    }

    /// Does the next step with a process whose turn it is.
    fn take_turn(&mut self, ticket: Ticket, index: u32, now: Now, out: &mut Actions) {
        let Some((member, named, turn)) = self
            .rolling(ticket)
            .and_then(|rolling| rolling.under_way.remove(&index))
        else {
            return;
        };
        let next = self.next_turn(&member, named, turn);
        let (until, turn) = match next {
            NextRollingStep::Leave => return,
            NextRollingStep::Fail(fault) => {
                if let Some(rolling) = self.rolling(ticket) {
                    rolling.end_turn(result(&member, Some(fault)));
                }
                return;
            }
            NextRollingStep::Stop => (WaitUntil::Stopped, RollingTurn::Stopping),
            NextRollingStep::Start => (WaitUntil::Running, RollingTurn::Starting),
        };
        let slot = member.slot;
        if let Some(rolling) = self.rolling(ticket) {
            rolling
                .under_way
                .insert(index, (member.clone(), named, turn));
        }
        self.update_process(slot, now, out, |process, ctx| match until {
            WaitUntil::Stopped | WaitUntil::StopSent => process.stop(ctx),
            WaitUntil::Running | WaitUntil::Spawned => process.start(slot, ctx),
        });
        let Some(process) = self.slots.get_mut(slot) else {
            return;
        };
        let waiter = Waiter {
            ticket,
            index,
            until,
        };
        match waiter.verdict(process) {
            Some(verdict) => {
                let fault = verdict.fault.map(|code| code.of(name_of(&member)));
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
            None => {
                process.run.waiters.push(waiter);
                self.update_process(slot, now, out, Process::report_stop);
            }
        }
    }

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
        if self.daemon_state != SupervisorState::Running {
            return NextRollingStep::Fail(FaultCode::ShutdownState.bare());
        }
        match turn {
            // These wait for something, and are not due.
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
                // It has stopped since it was come to, and stays so.
                ProcessState::Stopped | ProcessState::Exited | ProcessState::Fatal => {
                    NextRollingStep::Leave
                }
                // Somebody else is at it.
                ProcessState::Stopping => {
                    NextRollingStep::Fail(FaultCode::AbnormalTermination.of(name()))
                }
                ProcessState::Unknown => NextRollingStep::Fail(unknown(&name())),
            },
            RollingTurn::Stopped => match state {
                ProcessState::Stopped | ProcessState::Exited | ProcessState::Fatal => {
                    NextRollingStep::Start
                }
                // Somebody else has started it meanwhile.
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

    /// Nothing is under way any more: what was not reached is told to be as it was.
    fn end_rolling(&mut self, ticket: Ticket, out: &mut Actions) {
        let Some(Pending::Rolling(rolling)) = self.tickets.remove(&ticket) else {
            return;
        };
        let RollingRestart {
            queue,
            mut results,
            failed,
            ..
        } = *rolling;
        if let Some(failed) = failed {
            for (member, named) in queue {
                if named || (self.is_here(&member) && self.is_active(&member)) {
                    let text = format!("not restarted: {failed} failed before it");
                    results.push(result(&member, Some(FaultCode::Failed.of(text))));
                }
            }
        }
        out.push(Action::Answer(ticket, Ok(Reply::Results(results))));
    }
}

/// What is to be done with a process whose turn it is.
enum NextRollingStep {
    /// Nothing: it is no concern of ours any more.
    Leave,
    /// Its turn ends with this.
    Fail(Fault),
    /// It is asked to stop.
    Stop,
    /// It is started.
    Start,
}

fn unknown(name: &str) -> Fault {
    FaultCode::Failed.of(format!("{name} is in an unknown process state"))
}

fn name_of(member: &BatchMember) -> String {
    Namespec::print(member.group.as_str(), member.process.as_str())
}
