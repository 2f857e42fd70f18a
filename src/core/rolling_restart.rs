//! A rolling restart in progress, as data. `rolling` performs it.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};

use super::ticket::BatchMember;
use crate::api::TargetResult;
use crate::domain::{Namespec, SpawnError};

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

/// A rolling restart in progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RollingRestart {
    /// How many processes may restart at the same time.
    pub(super) at_once: u32,
    /// Processes not started on yet, and whether the request named each process itself rather than its group.
    pub(super) queue: VecDeque<(BatchMember, bool)>,
    /// Processes that are being restarted, by the index that their waiters have.
    pub(super) under_way: BTreeMap<u32, (BatchMember, bool, RollingTurn)>,
    /// The number of processes started on so far.
    #[serde(deserialize_with = "crate::domain::counter::small_counter")]
    pub(super) turns: u32,
    /// The results, in the order in which they became known.
    pub(super) results: Vec<TargetResult>,
    /// The name of the first process that failed. `None`: none failed.
    pub(super) failed: Option<String>,
}

impl RollingRestart {
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
        if settled.fault.is_some() && self.failed.is_none() {
            self.failed = Some(Namespec::print(
                settled.group.as_str(),
                settled.process.as_str(),
            ));
        }
        self.results.push(settled);
    }

    /// Returns whether another process may be started on.
    pub(super) fn has_room(&self) -> bool {
        self.failed.is_none()
            && !self.queue.is_empty()
            && u32::try_from(self.under_way.len()).is_ok_and(|count| count < self.at_once)
    }
}
