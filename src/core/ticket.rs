//! Requests that wait for their answer. A request that acts on processes is a [`Batch`] of members: some have a result
//! at once, others wait for a process.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::hold_state::HoldOrder;
use crate::api::{AccessScope, Caller, Fault, FaultCode, Reply, TargetResult, Ticket};
use crate::domain::{GroupName, Namespec, ProcessName, Signal};

/// What a client waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum WaitUntil {
    /// The process was spawned, or the attempt failed.
    Spawned,
    /// The process is RUNNING, or the attempt failed.
    Running,
    /// The process is RUNNING and its health check succeeds, or one of both failed. Without a health check: as `Running`.
    Healthy,
    /// The stop signal was sent.
    StopSent,
    /// The process has stopped.
    Stopped,
}

/// A member of a batch that waits for a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Waiter {
    /// The request.
    pub(super) ticket: Ticket,
    /// The index of the member in the batch.
    pub(super) index: u32,
    /// What it waits for.
    pub(super) until: WaitUntil,
}

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WaitResult {
    /// The fault. Its text is the name of the process. `None`: success.
    pub(super) fault: Option<FaultCode>,
    /// Whether the original would have known the result within the call. Such results come first in the answer.
    pub(super) immediate: bool,
}

impl WaitResult {
    /// Returns success.
    pub(super) const fn done(immediate: bool) -> Self {
        Self {
            fault: None,
            immediate,
        }
    }

    /// Returns a failure.
    pub(super) const fn failed(code: FaultCode, immediate: bool) -> Self {
        Self {
            fault: Some(code),
            immediate,
        }
    }
}

impl Waiter {
    /// Returns whether "waiting for … to stop" lines are logged for this wait.
    pub(super) const fn reports(&self) -> bool {
        matches!(self.until, WaitUntil::Stopped)
    }
}

/// One process of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BatchMember {
    /// The slot of the process.
    pub(super) slot: u32,
    /// The member is gone if the slot has another generation.
    #[serde(rename = "tenure")]
    pub(super) slot_generation: u64,
    /// Its name.
    pub(super) process: ProcessName,
    /// Its group.
    pub(super) group: GroupName,
}

/// What a batch does with each member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum BatchAction {
    /// Start the process.
    Start {
        /// Whether to answer only when the process is RUNNING or has failed.
        wait: bool,
        /// Whether to start the process without what it depends on.
        #[serde(default)]
        alone: bool,
    },
    /// Stop the process.
    Stop {
        /// Whether to answer only when the process has stopped.
        wait: bool,
    },
    /// Send a signal, with its text as given. `None`: the text names no signal; each member gets a fault for that.
    Signal(Option<Signal>, String),
    /// Clear the logs of the process.
    Clear,
    /// Reload the process in place.
    Reload,
    /// Put the process on hold.
    Hold(HoldOrder),
    /// End the hold of the process.
    Release,
}

impl BatchAction {
    /// Returns the verb of the audit line.
    pub(super) const fn audit_verb(&self) -> &'static str {
        match self {
            Self::Start { .. } => "start",
            Self::Stop { .. } => "stop",
            Self::Signal(..) => "signal",
            Self::Clear => "clear-logs",
            Self::Reload => "reload",
            Self::Hold(_) => "hold",
            Self::Release => "release",
        }
    }
}

/// Data for the audit line of a request that is not audited yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AuditContext {
    /// The caller.
    pub(super) caller: Caller,
    /// The target, as typed.
    pub(super) target: String,
}

/// A request in progress that acts on processes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Batch {
    /// The action.
    #[serde(rename = "verb")]
    pub(super) action: BatchAction,
    /// The name as typed if the request named a single process. The answer is then the result of that process alone.
    pub(super) one: Option<String>,
    /// The processes that the caller may act on.
    pub(super) scope: AccessScope,
    /// Data for the audit line. `None` after the line is written.
    #[serde(rename = "trail")]
    pub(super) audit: Option<AuditContext>,
    /// Members not handled yet.
    pub(super) queue: VecDeque<BatchMember>,
    /// The member for which the core awaits an answer of the shell (a lookup or a clearing of logs), and its index.
    pub(super) asked: Option<(BatchMember, u32)>,
    /// The number of members handled so far.
    #[serde(deserialize_with = "crate::domain::counter::small_counter")]
    pub(super) reached: u32,
    /// The number of members handled so far and without a result.
    #[serde(deserialize_with = "crate::domain::counter::small_counter")]
    pub(super) open: u32,
    /// Whether every member was handled.
    pub(super) passed: bool,
    /// Results known within the call, with their indices.
    pub(super) first: Vec<(u32, TargetResult)>,
    /// Results known later, in the order in which they became known.
    pub(super) later: Vec<TargetResult>,
}

impl Batch {
    /// Returns the name that faults about a member contain.
    pub(super) fn named(&self, group: &GroupName, process: &ProcessName) -> String {
        match &self.one {
            Some(text) => text.clone(),
            None => Namespec::print(group.as_str(), process.as_str()),
        }
    }

    /// Returns whether the caller may act on a member.
    pub(super) fn covers(&self, member: &BatchMember) -> bool {
        let (group, process) = (member.group.as_str(), member.process.as_str());
        self.scope.covers(group, process)
    }

    /// Returns the index of the next member.
    pub(super) fn next_index(&mut self) -> u32 {
        let index = self.reached;
        self.reached += 1;
        self.open += 1;
        index
    }

    /// Records the result of a member.
    pub(super) fn record_result(&mut self, index: u32, immediate: bool, result: TargetResult) {
        self.open = self.open.saturating_sub(1);
        if immediate {
            self.first.push((index, result));
        } else {
            self.later.push(result);
        }
    }

    /// Returns whether all members have their results.
    pub(super) fn is_done(&self) -> bool {
        self.passed && self.open == 0
    }

    /// Returns the answer of a finished batch.
    pub(super) fn answer(mut self) -> Result<Reply, Fault> {
        self.first.sort_by_key(|&(index, _)| index);
        let mut results = self.first.into_iter().map(|(_, result)| result);
        if self.one.is_some() {
            let result = results.next().or_else(|| self.later.into_iter().next());
            return match result.and_then(|result| result.fault) {
                None => Ok(Reply::Done),
                Some(fault) => Err(fault),
            };
        }
        Ok(Reply::Results(results.chain(self.later).collect()))
    }
}

/// Why a signal was sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum SignalPurpose {
    /// To stop or kill a process.
    Stop,
    /// A client requested it.
    Client {
        /// The request.
        ticket: Ticket,
        /// The index of the member in the batch.
        index: u32,
        /// The name of the process.
        process: ProcessName,
        /// Its group.
        group: GroupName,
    },
    /// The spawned process belongs to an instance that is no longer wanted.
    Stray,
}
