//! Promises to answer: a request that touches processes is a [`Batch`] of members, some settled at once, others waited
//! for. It must not know how processes change; it asks them where they stand.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use super::process::{LastError, Process};
use super::rolling::RollingRestart;
use super::scale::Scaling;
use super::stage::{Stage, StageAtExit};
use crate::api::{AccessScope, Caller, Fault, FaultCode, Reply, TargetResult, Ticket};
use crate::domain::{GroupName, Namespec, ProcessName, ProcessState, Signal};

/// Requests that may wait for their answer at once; further ones are refused. Far above what fronts let through.
pub(super) const TICKETS_MAX: usize = 16_384;

/// What a client waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum WaitUntil {
    /// The attempt has come to a process, or to nothing.
    Spawned,
    /// RUNNING, or it will not come to that.
    Running,
    /// The stop signal is on its way.
    StopSent,
    /// Stopped.
    Stopped,
}

/// A member of a batch that waits for a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Waiter {
    /// Of the request.
    pub(super) ticket: Ticket,
    /// Place of the member in the batch.
    pub(super) index: u32,
    /// For what.
    pub(super) until: WaitUntil,
}

/// How a wait ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WaitResult {
    /// None: well. The fault's text is the process's name.
    pub(super) fault: Option<FaultCode>,
    /// The original would have known it within the call, so it stands among the first results of a group.
    pub(super) immediate: bool,
}

impl Waiter {
    /// "waiting for … to stop" lines are written for it.
    pub(super) const fn reports(&self) -> bool {
        matches!(self.until, WaitUntil::Stopped)
    }

    /// Whether the wait is over.
    pub(super) fn verdict(&self, process: &Process) -> Option<WaitResult> {
        let done = |immediate| {
            Some(WaitResult {
                fault: None,
                immediate,
            })
        };
        let failed = |code, immediate| {
            Some(WaitResult {
                fault: Some(code),
                immediate,
            })
        };
        let stage = &process.run.stage;
        match self.until {
            WaitUntil::Spawned | WaitUntil::Running => {
                let waited = matches!(self.until, WaitUntil::Running);
                match &process.run.last_error {
                    Some(LastError::NotSpawned(_)) => return failed(FaultCode::SpawnError, true),
                    Some(
                        LastError::TooQuick
                        | LastError::Unready
                        | LastError::NotReady
                        | LastError::NotifiedFailure
                        | LastError::WatchdogTimeout
                        | LastError::WatchdogTrigger
                        | LastError::BadExit(_),
                    ) => {
                        return failed(FaultCode::SpawnError, false);
                    }
                    // Whoever does not wait for RUNNING has been told what there is: it was accepted.
                    Some(LastError::HeldUp(_)) if !waited => return done(false),
                    Some(LastError::HeldUp(_)) | None => {}
                }
                match stage {
                    Stage::Resolving(_) | Stage::Preparing(_) | Stage::Spawning(_) => None,
                    Stage::Running { .. } => {
                        let at_once =
                            process.spec.startsecs.0 <= 0 && !process.spec.notify.tells_ready();
                        done(!waited || at_once)
                    }
                    Stage::Starting { .. }
                    | Stage::AwaitingReady { .. }
                    | Stage::Terminating { .. }
                        if waited =>
                    {
                        None
                    }
                    Stage::Starting { .. }
                    | Stage::AwaitingReady { .. }
                    | Stage::Terminating { .. } => done(true),
                    // It is reaped, but what of it is not told yet.
                    Stage::Reaped {
                        at_exit:
                            StageAtExit::TooQuick
                            | StageAtExit::Unpromoted
                            | StageAtExit::Unready
                            | StageAtExit::Failed(_)
                            | StageAtExit::Running,
                        ..
                    } if waited => None,
                    Stage::Reaped {
                        at_exit:
                            StageAtExit::TooQuick
                            | StageAtExit::Unpromoted
                            | StageAtExit::Unready
                            | StageAtExit::Failed(_)
                            | StageAtExit::Running,
                        ..
                    } => done(true),
                    Stage::Stopped
                    | Stage::Exited { .. }
                    | Stage::Fatal
                    | Stage::Backoff { .. }
                    | Stage::StopPending(_)
                    | Stage::Stopping { .. }
                    | Stage::Reaped {
                        at_exit: StageAtExit::Stopping | StageAtExit::Unknown,
                        ..
                    }
                    | Stage::Unknown { .. } => failed(FaultCode::AbnormalTermination, !waited),
                }
            }
            WaitUntil::StopSent => match stage {
                Stage::Stopping { sent: false, .. } => None,
                // The refusal itself settles it, with its text.
                Stage::Unknown { .. } => None,
                Stage::Stopping { sent: true, .. }
                | Stage::Stopped
                | Stage::Exited { .. }
                | Stage::Fatal
                | Stage::Backoff { .. }
                | Stage::Resolving(_)
                | Stage::Preparing(_)
                | Stage::Spawning(_)
                | Stage::Starting { .. }
                | Stage::AwaitingReady { .. }
                | Stage::Terminating { .. }
                | Stage::Running { .. }
                | Stage::StopPending(_)
                | Stage::Reaped { .. } => done(true),
            },
            WaitUntil::Stopped => match process.state() {
                ProcessState::Stopped | ProcessState::Exited | ProcessState::Fatal => done(false),
                // The refusal itself settles it, with its text.
                ProcessState::Unknown => None,
                ProcessState::Starting
                | ProcessState::Running
                | ProcessState::Backoff
                | ProcessState::Stopping => None,
            },
        }
    }
}

/// One process of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct BatchMember {
    /// Its slot …
    pub(super) slot: u32,
    /// … if it is still the same occupant.
    #[serde(rename = "tenure")]
    pub(super) slot_generation: u64,
    /// Its name.
    pub(super) process: ProcessName,
    /// Its group.
    pub(super) group: GroupName,
}

/// What a batch does to each member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum BatchAction {
    /// Start it.
    Start {
        /// Answer when RUNNING or failed.
        wait: bool,
    },
    /// Stop it.
    Stop {
        /// Answer when stopped.
        wait: bool,
    },
    /// Send it a signal; none: the text names none, which is each member's own fault.
    Signal(Option<Signal>, String),
    /// Clear its logs.
    Clear,
}

impl BatchAction {
    /// The word of the audit line.
    pub(super) const fn audit_verb(&self) -> &'static str {
        match self {
            Self::Start { .. } => "start",
            Self::Stop { .. } => "stop",
            Self::Signal(..) => "signal",
            Self::Clear => "clear-logs",
        }
    }
}

/// Who asked for what, until the audit trail has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct AuditContext {
    /// Who.
    pub(super) caller: Caller,
    /// To whom, as typed.
    pub(super) target: String,
}

/// A request that touches processes, on its way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Batch {
    /// What is done.
    #[serde(rename = "verb")]
    pub(super) action: BatchAction,
    /// The name as typed, if one process was named: then the answer is its result alone.
    pub(super) one: Option<String>,
    /// What the caller may touch.
    pub(super) scope: AccessScope,
    /// For the audit trail; gone once it is written.
    #[serde(rename = "trail")]
    pub(super) audit: Option<AuditContext>,
    /// Members not reached yet.
    pub(super) queue: VecDeque<BatchMember>,
    /// The member that the shell looks at for us (a check, a clearing), and its place.
    pub(super) asked: Option<(BatchMember, u32)>,
    /// Members reached.
    #[serde(deserialize_with = "crate::domain::counter::small_counter")]
    pub(super) reached: u32,
    /// Members reached and not settled.
    #[serde(deserialize_with = "crate::domain::counter::small_counter")]
    pub(super) open: u32,
    /// Every member was reached.
    pub(super) passed: bool,
    /// Settled within the call, by place.
    pub(super) first: Vec<(u32, TargetResult)>,
    /// Settled later, in the order of settling.
    pub(super) later: Vec<TargetResult>,
}

impl Batch {
    /// The name that faults about a member carry.
    pub(super) fn named(&self, group: &GroupName, process: &ProcessName) -> String {
        match &self.one {
            Some(text) => text.clone(),
            None => Namespec::print(group.as_str(), process.as_str()),
        }
    }

    /// One place further.
    pub(super) fn next_index(&mut self) -> u32 {
        let index = self.reached;
        self.reached += 1;
        self.open += 1;
        index
    }

    /// A member is settled.
    pub(super) fn record_result(&mut self, index: u32, immediate: bool, result: TargetResult) {
        self.open = self.open.saturating_sub(1);
        if immediate {
            self.first.push((index, result));
        } else {
            self.later.push(result);
        }
    }

    /// Nothing is left to do.
    pub(super) fn is_done(&self) -> bool {
        self.passed && self.open == 0
    }

    /// The answer of a batch that is done.
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

/// A request that waits for its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Pending {
    /// Processes are touched.
    Batch(Box<Batch>),
    /// The configuration is being read for a reread.
    Reread,
    /// The configuration is being read for a restart.
    Restart,
    /// The daemon's log is being cleared.
    ClearDaemonLog,
    /// The sockets of a group to be added are being tried.
    AddGroup(GroupName),
    /// Bytes are on their way to a standard input; the name as typed.
    Stdin(String),
    /// A program is on its way to a group.
    Adding(GroupName),
    /// A program is on its way to another number of processes.
    Scaling(Box<Scaling>),
    /// Processes are restarted one after another.
    Rolling(Box<RollingRestart>),
}

/// Why a signal is out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum SignalPurpose {
    /// To stop or to kill a process.
    Stop,
    /// A client wanted it.
    Client {
        /// Of the request.
        ticket: Ticket,
        /// Place of the member in the batch.
        index: u32,
        /// The process.
        process: ProcessName,
        /// Its group.
        group: GroupName,
    },
    /// A process came to an instance that nobody wants any more.
    Stray,
}
