//! The written forms of a stage: JSON in handoffs and checkpoints, bytes in records. Both are flat, as version 5.0 writes
//! them, and daemons of other versions read them. `tests/golden/stages.txt` has every stage in both forms.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::record_bytes::{Reader, Writer};
use super::stage::{
    AlivePhase, AttemptStep, Idle, PreStopStep, ReapStep, Stage, StageAtExit, TerminationReason,
};
use super::stage_codes::{
    code_of_stage_at_exit, code_of_termination, stage_at_exit_of_code, termination_of_code,
};
use crate::domain::{ExitStatus, InstanceId, Tick};

/// A stage as it is written. The variants and serde names are the JSON that version 5.0 writes, so they never change. A
/// daemon of another version reads them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum StageRecord {
    Stopped,
    Exited {
        restart_at: Tick,
    },
    Fatal,
    Backoff {
        retry_at: Tick,
    },
    Resolving(InstanceId),
    /// Daemons before 5.1 cannot read it, as [`Self::PreStop`].
    PreStart(InstanceId),
    Preparing(InstanceId),
    Spawning(InstanceId),
    Starting {
        #[serde(rename = "life")]
        instance: InstanceId,
        pid: i32,
        promote_at: Tick,
    },
    #[serde(rename = "Waking")]
    AwaitingReady {
        #[serde(rename = "life")]
        instance: InstanceId,
        pid: i32,
        ready_by: Tick,
    },
    #[serde(rename = "Failing")]
    Terminating {
        #[serde(rename = "life")]
        instance: InstanceId,
        pid: i32,
        why: TerminationReason,
        kill_at: Tick,
    },
    Running {
        #[serde(rename = "life")]
        instance: InstanceId,
        pid: i32,
    },
    PreStop {
        #[serde(rename = "life")]
        instance: InstanceId,
        pid: i32,
        step: PreStopStep,
        until: Tick,
    },
    #[serde(rename = "Aborting")]
    StopPending(InstanceId),
    Stopping {
        #[serde(rename = "life")]
        instance: InstanceId,
        pid: i32,
        kill_at: Tick,
        sent: bool,
        killed: bool,
        /// Not written for the first stop signal, as version 5.0 knows only that one.
        #[serde(default, skip_serializing_if = "is_first")]
        signal_index: u8,
    },
    #[serde(rename = "Dying")]
    Reaped {
        #[serde(rename = "life")]
        instance: InstanceId,
        pid: i32,
        status: ExitStatus,
        #[serde(rename = "was")]
        at_exit: StageAtExit,
        #[serde(rename = "rite")]
        reap_step: ReapStep,
        drain_by: Tick,
    },
    Unknown {
        alive: Option<(InstanceId, i32)>,
    },
    /// Daemons before 5.1 cannot read it.
    Waiting,
}

const fn is_first(signal_index: &u8) -> bool {
    *signal_index == 0
}

impl From<Stage> for StageRecord {
    fn from(stage: Stage) -> Self {
        match stage {
            Stage::Idle(idle) => match idle {
                Idle::Stopped => Self::Stopped,
                Idle::Exited { restart_at } => Self::Exited { restart_at },
                Idle::Fatal => Self::Fatal,
                Idle::Backoff { retry_at } => Self::Backoff { retry_at },
                Idle::Waiting => Self::Waiting,
                Idle::UnknownGone => Self::Unknown { alive: None },
            },
            Stage::Attempt { instance, step } => match step {
                AttemptStep::Resolving => Self::Resolving(instance),
                AttemptStep::PreStart => Self::PreStart(instance),
                AttemptStep::Preparing => Self::Preparing(instance),
                AttemptStep::Spawning => Self::Spawning(instance),
                AttemptStep::StopPending => Self::StopPending(instance),
            },
            Stage::Alive {
                instance,
                pid,
                phase,
            } => Self::of_alive(instance, pid, phase),
            Stage::Reaped {
                instance,
                pid,
                status,
                at_exit,
                reap_step,
                drain_by,
            } => Self::Reaped {
                instance,
                pid,
                status,
                at_exit,
                reap_step,
                drain_by,
            },
        }
    }
}

impl StageRecord {
    const fn of_alive(instance: InstanceId, pid: i32, phase: AlivePhase) -> Self {
        match phase {
            AlivePhase::Starting { promote_at } => Self::Starting {
                instance,
                pid,
                promote_at,
            },
            AlivePhase::AwaitingReady { ready_by } => Self::AwaitingReady {
                instance,
                pid,
                ready_by,
            },
            AlivePhase::Running => Self::Running { instance, pid },
            AlivePhase::PreStop { step, until } => Self::PreStop {
                instance,
                pid,
                step,
                until,
            },
            AlivePhase::Terminating { why, kill_at } => Self::Terminating {
                instance,
                pid,
                why,
                kill_at,
            },
            AlivePhase::Stopping {
                kill_at,
                sent,
                killed,
                signal_index,
            } => Self::Stopping {
                instance,
                pid,
                kill_at,
                sent,
                killed,
                signal_index,
            },
            AlivePhase::Unknown => Self::Unknown {
                alive: Some((instance, pid)),
            },
        }
    }
}

impl From<StageRecord> for Stage {
    fn from(record: StageRecord) -> Self {
        use StageRecord as R;
        let (instance, pid, phase) = match record {
            R::Stopped => return Self::STOPPED,
            R::Exited { restart_at } => return Self::Idle(Idle::Exited { restart_at }),
            R::Fatal => return Self::Idle(Idle::Fatal),
            R::Backoff { retry_at } => return Self::Idle(Idle::Backoff { retry_at }),
            R::Waiting => return Self::Idle(Idle::Waiting),
            R::Unknown { alive: None } => return Self::Idle(Idle::UnknownGone),
            R::Resolving(instance) => return Self::attempt(instance, AttemptStep::Resolving),
            R::PreStart(instance) => return Self::attempt(instance, AttemptStep::PreStart),
            R::Preparing(instance) => return Self::attempt(instance, AttemptStep::Preparing),
            R::Spawning(instance) => return Self::attempt(instance, AttemptStep::Spawning),
            R::StopPending(instance) => return Self::attempt(instance, AttemptStep::StopPending),
            R::Reaped {
                instance,
                pid,
                status,
                at_exit,
                reap_step,
                drain_by,
            } => {
                return Self::Reaped {
                    instance,
                    pid,
                    status,
                    at_exit,
                    reap_step,
                    drain_by,
                };
            }
            R::Starting {
                instance,
                pid,
                promote_at,
            } => (instance, pid, AlivePhase::Starting { promote_at }),
            R::AwaitingReady {
                instance,
                pid,
                ready_by,
            } => (instance, pid, AlivePhase::AwaitingReady { ready_by }),
            R::Terminating {
                instance,
                pid,
                why,
                kill_at,
            } => (instance, pid, AlivePhase::Terminating { why, kill_at }),
            R::Running { instance, pid } => (instance, pid, AlivePhase::Running),
            R::PreStop {
                instance,
                pid,
                step,
                until,
            } => (instance, pid, AlivePhase::PreStop { step, until }),
            R::Stopping {
                instance,
                pid,
                kill_at,
                sent,
                killed,
                signal_index,
            } => {
                let phase = AlivePhase::Stopping {
                    kill_at,
                    sent,
                    killed,
                    signal_index,
                };
                (instance, pid, phase)
            }
            R::Unknown {
                alive: Some((instance, pid)),
            } => (instance, pid, AlivePhase::Unknown),
        };
        Self::alive(instance, pid, phase)
    }
}

// Not derived: the attributes for that would make the file of the stage name this one.
impl Serialize for Stage {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        StageRecord::from(*self).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Stage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        StageRecord::deserialize(deserializer).map(Self::from)
    }
}

impl StageRecord {
    /// Writes the stage: a code, and numbers that depend on it.
    pub(super) fn write(self, to: &mut Writer) {
        match self {
            Self::Stopped => to.u8(0),
            Self::Exited { restart_at } => {
                to.u8(1);
                to.tick(restart_at);
            }
            Self::Fatal => to.u8(2),
            Self::Backoff { retry_at } => {
                to.u8(3);
                to.tick(retry_at);
            }
            Self::Resolving(instance) => to.instance(4, instance),
            Self::Preparing(instance) => to.instance(5, instance),
            Self::Spawning(instance) => to.instance(6, instance),
            Self::Starting {
                instance,
                pid,
                promote_at,
            } => {
                to.process(7, instance, pid);
                to.tick(promote_at);
            }
            Self::AwaitingReady {
                instance,
                pid,
                ready_by,
            } => {
                to.process(8, instance, pid);
                to.tick(ready_by);
            }
            Self::Terminating {
                instance,
                pid,
                why,
                kill_at,
            } => {
                to.process(9, instance, pid);
                to.u8(code_of_termination(why));
                to.tick(kill_at);
            }
            Self::Running { instance, pid } => to.process(10, instance, pid),
            Self::StopPending(instance) => to.instance(11, instance),
            Self::PreStart(instance) => to.instance(17, instance),
            Self::PreStop {
                instance,
                pid,
                step,
                until,
            } => {
                to.process(18, instance, pid);
                to.u8(match step {
                    PreStopStep::Hook => 0,
                    PreStopStep::Command => 1,
                });
                to.tick(until);
            }
            Self::Stopping { .. } | Self::Reaped { .. } => self.write_late(to),
            Self::Waiting => to.u8(32),
            Self::Unknown { alive: None } => to.u8(14),
            Self::Unknown {
                alive: Some((instance, pid)),
            } => to.process(15, instance, pid),
        }
    }

    /// Writes a process that stops or is reaped.
    fn write_late(self, to: &mut Writer) {
        match self {
            Self::Stopping {
                instance,
                pid,
                kill_at,
                sent,
                killed,
                signal_index,
            } => {
                let code = if is_first(&signal_index) { 12 } else { 16 };
                to.process(code, instance, pid);
                to.tick(kill_at);
                to.u8(u8::from(sent));
                to.u8(u8::from(killed));
                write_later(to, signal_index);
            }
            Self::Reaped {
                instance,
                pid,
                status,
                at_exit,
                reap_step,
                drain_by,
            } => {
                to.process(13, instance, pid);
                to.status(status);
                to.u8(code_of_stage_at_exit(at_exit));
                to.u8(u8::from(reap_step == ReapStep::Draining));
                to.tick(drain_by);
            }
            // `write` passes no other stage.
            _ => {}
        }
    }

    /// Reads what [`StageRecord::write`] wrote. `None`: the bytes are invalid.
    pub(super) fn read(from: &mut Reader<'_>) -> Option<Self> {
        Some(match from.u8()? {
            0 => Self::Stopped,
            1 => Self::Exited {
                restart_at: from.tick()?,
            },
            2 => Self::Fatal,
            3 => Self::Backoff {
                retry_at: from.tick()?,
            },
            4 => Self::Resolving(from.instance()?),
            5 => Self::Preparing(from.instance()?),
            6 => Self::Spawning(from.instance()?),
            7 => {
                let (instance, pid) = from.process()?;
                Self::Starting {
                    instance,
                    pid,
                    promote_at: from.tick()?,
                }
            }
            8 => {
                let (instance, pid) = from.process()?;
                Self::AwaitingReady {
                    instance,
                    pid,
                    ready_by: from.tick()?,
                }
            }
            9 => {
                let (instance, pid) = from.process()?;
                Self::Terminating {
                    instance,
                    pid,
                    why: termination_of_code(from.u8()?)?,
                    kill_at: from.tick()?,
                }
            }
            10 => {
                let (instance, pid) = from.process()?;
                Self::Running { instance, pid }
            }
            11 => Self::StopPending(from.instance()?),
            code @ (12 | 16) => {
                let (instance, pid) = from.process()?;
                Self::Stopping {
                    instance,
                    pid,
                    kill_at: from.tick()?,
                    sent: from.bool()?,
                    killed: from.bool()?,
                    signal_index: if code == 16 { from.u8()? } else { 0 },
                }
            }
            13 => Self::read_reaped(from)?,
            14 => Self::Unknown { alive: None },
            15 => Self::Unknown {
                alive: Some(from.process()?),
            },
            32 => Self::Waiting,
            17 => Self::PreStart(from.instance()?),
            18 => Self::read_pre_stop(from)?,
            _ => return None,
        })
    }

    /// Reads a process that is reaped.
    fn read_reaped(from: &mut Reader<'_>) -> Option<Self> {
        let (instance, pid) = from.process()?;
        Some(Self::Reaped {
            instance,
            pid,
            status: from.status()?,
            at_exit: stage_at_exit_of_code(from.u8()?)?,
            reap_step: match from.u8()? {
                0 => ReapStep::Emptying,
                1 => ReapStep::Draining,
                _ => return None,
            },
            drain_by: from.tick()?,
        })
    }

    /// Reads a process whose stop is prepared.
    fn read_pre_stop(from: &mut Reader<'_>) -> Option<Self> {
        let (instance, pid) = from.process()?;
        Some(Self::PreStop {
            instance,
            pid,
            step: match from.u8()? {
                0 => PreStopStep::Hook,
                1 => PreStopStep::Command,
                _ => return None,
            },
            until: from.tick()?,
        })
    }
}

/// Writes which stop signal was sent last, unless it is the first one: version 5.0 writes nothing there.
fn write_later(to: &mut Writer, signal_index: u8) {
    if !is_first(&signal_index) {
        to.u8(signal_index);
    }
}
