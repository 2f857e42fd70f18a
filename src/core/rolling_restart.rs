//! A rolling restart in progress, as data. `rolling` performs it.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::ticket::BatchMember;
use crate::api::{Fault, FaultCode, RollingLimits, TargetResult};
use crate::config::spec::GroupSpec;
use crate::domain::{GroupName, Namespec, ProcessName, SpawnError};

/// The step of one process in a rolling restart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum RollingTurn {
    /// The shell looks up the command. A process that cannot start again is not stopped.
    Checking,
    /// The result of looking up the command.
    Checked(Result<(), SpawnError>),
    /// The process was asked to stop.
    Stopping,
    /// The process has stopped.
    Stopped,
    /// The process was started.
    Starting,
}

/// What a rolling update still has to do with one process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum UpdateStep {
    /// Replace it by the process of the same name that was read.
    Replace(BatchMember),
    /// Add the process of this name that was read.
    Add(ProcessName),
    /// Stop and remove it.
    Remove(BatchMember),
}

impl UpdateStep {
    /// Returns the result of the step.
    pub(super) fn result(&self, group: &GroupName, fault: Option<Fault>) -> TargetResult {
        let process = match self {
            Self::Replace(member) | Self::Remove(member) => &member.process,
            Self::Add(name) => name,
        };
        TargetResult {
            process: process.clone(),
            group: group.clone(),
            fault,
        }
    }
}

/// The update of a group in progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct GroupUpdate {
    /// Distinguishes the group from a later one of the same name.
    pub(super) added: u64,
    /// What is left to do.
    pub(super) steps: VecDeque<UpdateStep>,
    /// The group as it was read.
    pub(super) read: Arc<GroupSpec>,
}

/// What becomes of a process that has stopped for an update.
pub(super) enum Replaced {
    /// It has its new configuration, and is to be started.
    By(BatchMember),
    /// Nothing is left to do. The fault says why that is a failure.
    Done(Option<Fault>),
}

/// A rolling restart in progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RollingRestart {
    /// How many processes may restart at the same time.
    pub(super) at_once: u32,
    /// How many processes may fail before no further process is restarted.
    #[serde(default)]
    pub(super) max_failures: u32,
    /// Whether a restarted process must be healthy before the next one is stopped, if it has a health check.
    #[serde(default)]
    pub(super) healthy: bool,
    /// Processes not started on yet, and whether the request named each process itself rather than its group.
    pub(super) queue: VecDeque<(BatchMember, bool)>,
    /// Processes that are being restarted, by the index that their waiters have.
    pub(super) under_way: BTreeMap<u32, (BatchMember, bool, RollingTurn)>,
    /// The number of processes started on so far.
    #[serde(deserialize_with = "crate::domain::counter::small_counter")]
    pub(super) turns: u32,
    /// The update of a group that replaces the processes. `None`: they are only restarted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) update: Option<Box<GroupUpdate>>,
    /// The results, in the order in which they became known.
    pub(super) results: Vec<TargetResult>,
    /// The names of the processes that failed.
    #[serde(default)]
    pub(super) failures: Vec<String>,
}

impl RollingRestart {
    /// Returns a rolling restart of no process.
    pub(super) fn new(limits: RollingLimits) -> Self {
        let RollingLimits {
            at_once,
            max_failures,
            healthy,
        } = limits;
        Self {
            at_once,
            max_failures,
            healthy,
            queue: VecDeque::new(),
            under_way: BTreeMap::new(),
            turns: 0,
            update: None,
            results: Vec::new(),
            failures: Vec::new(),
        }
    }

    /// Returns the index of the next process that is started on.
    pub(super) fn next_turn_index(&mut self) -> u32 {
        let index = self.turns;
        self.turns += 1;
        index
    }

    /// Returns whether this is an update of the group.
    pub(super) fn is_update_of(&self, group: &GroupName) -> bool {
        let update = self.update.as_ref();
        update.is_some_and(|update| update.read.name == *group)
    }

    /// Returns the slot generations of the processes that are queued or being restarted.
    pub(super) fn slot_generations(&self) -> impl Iterator<Item = u64> {
        let steps = self.update.iter().flat_map(|update| &update.steps);
        let steps = steps.filter_map(|step| match step {
            UpdateStep::Replace(member) | UpdateStep::Remove(member) => Some(member),
            UpdateStep::Add(_) => None,
        });
        let queued = self.queue.iter().map(|(member, _)| member);
        let under_way = self.under_way.values().map(|(member, ..)| member);
        let members = queued.chain(under_way).chain(steps);
        members.map(|member| member.slot_generation)
    }

    /// Handles the result of the oldest outstanding command lookup.
    pub(super) fn checked(&mut self, found: Result<(), SpawnError>) {
        let first = self
            .under_way
            .values_mut()
            .find(|(_, _, turn)| *turn == RollingTurn::Checking);
        if let Some((_, _, turn)) = first {
            *turn = RollingTurn::Checked(found);
        }
    }

    /// Handles the end of a wait for a process.
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

    /// Records the result of a process.
    pub(super) fn end_turn(&mut self, settled: TargetResult) {
        if settled.fault.is_some() {
            self.failures.push(Namespec::print(
                settled.group.as_str(),
                settled.process.as_str(),
            ));
        }
        self.results.push(settled);
    }

    /// Returns whether more processes failed than `max_failures` allows. No further process is restarted then.
    pub(super) fn is_halted(&self) -> bool {
        u32::try_from(self.failures.len()).map_or(true, |count| count > self.max_failures)
    }

    /// Returns whether another process may be started on.
    pub(super) fn has_room(&self) -> bool {
        let steps = self.update.as_ref().map_or(0, |update| update.steps.len());
        !self.is_halted()
            && self.queue.len() + steps > 0
            && u32::try_from(self.under_way.len()).is_ok_and(|count| count < self.at_once)
    }
}

/// Returns the fault of a process that is not up after its start. `why`: the reason; empty: none is known.
pub(super) fn rolling_fault(code: FaultCode, name: &str, why: &str) -> Fault {
    match why {
        "" => code.of(name),
        why => code.of(format!("{name}: {why}")),
    }
}

/// Returns the name of a process as users write it.
pub(super) fn name_of(member: &BatchMember) -> String {
    Namespec::print(member.group.as_str(), member.process.as_str())
}
