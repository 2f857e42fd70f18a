//! The bytes of a [`Record`]: numbers of fixed width, in the order of [`encode`], least significant byte first; what
//! few processes have stands behind them as JSON. A record is made at each step of a process, several times a restart.
//!
//! Versions before 5.1 wrote JSON alone, which begins with a brace; [`Record::decode`] reads both.

use serde::{Deserialize, Serialize};

use super::chronicle::Record;
use super::listener::Hearing;
use super::process::{Process, Run, Trouble};
use super::stage::{Failure, Rite, Stage, Was};
use super::tidings::Tidings;
use crate::domain::{Causes, Ending, ExitStatus, Life, Signal, Tick, counter};

/// The first byte of a record: the version of its format.
const FORM: u8 = 1;
/// The first byte of a JSON record.
const BRACE: u8 = b'{';
/// The code of an absent value.
const NONE: u8 = 0;
/// The code of a field whose value is in the JSON part.
const ELSEWHERE: u8 = u8::MAX;

/// What has no fixed width, and is rare.
#[derive(Default, Serialize, Deserialize)]
struct Rest {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trouble: Option<Trouble>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ending: Option<Ending>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hearing: Option<Hearing>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    tidings: Option<Box<Tidings>>,
}

impl Rest {
    fn is_empty(&self) -> bool {
        self.trouble.is_none()
            && self.ending.is_none()
            && self.hearing.is_none()
            && self.tidings.is_none()
    }
}

/// The numbers of the fleet that stand in each record.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counts {
    pub(super) lives: u64,
    pub(super) event_serial: u64,
}

/// The bytes of the record of a process. In fewer than `most`, if it must be: without the reason of its last end, and
/// without the event that a listener has, which makes it one that cannot be talked to any more.
pub(super) fn encode(slot: u32, process: &Process, counts: Counts, most: usize) -> Vec<u8> {
    let bytes = encoded(slot, process, counts, false);
    if bytes.len() <= most {
        return bytes;
    }
    encoded(slot, process, counts, true)
}

fn encoded(slot: u32, process: &Process, counts: Counts, is_short: bool) -> Vec<u8> {
    // Whoever waits will be gone. A successor drops the next attempt and begins it again.
    let Run {
        stage,
        next: _,
        refused,
        tries,
        trouble,
        exit_status,
        start,
        stop,
        spawned_at,
        report_at,
        spawns,
        ending,
        causes,
        relimit,
        waiters: _,
        hearing,
        tidings,
    } = &process.run;
    let mut rest = Rest::default();
    let mut to = Writer(Vec::with_capacity(160));
    to.u8(FORM);
    to.u32(slot);
    to.u64(process.tenure);
    to.u64(counts.lives);
    to.u64(counts.event_serial);
    to.stage(*stage);
    match refused {
        None => to.u8(NONE),
        Some(was) => to.u8(1 + code_of_was(*was)),
    }
    to.u32(*tries);
    to.i32(*exit_status);
    to.i64(*start);
    to.i64(*stop);
    to.u64(spawned_at.0);
    to.u64(report_at.0);
    to.u64(*spawns);
    to.u8(code_of_causes(*causes));
    to.u8(u8::from(*relimit));
    match trouble {
        None => to.u8(NONE),
        Some(Trouble::TooQuick) => to.u8(1),
        Some(Trouble::Unready) => to.u8(2),
        Some(Trouble::NotReady) => to.u8(3),
        Some(Trouble::GaveUp) => to.u8(4),
        Some(Trouble::Starved) => to.u8(5),
        Some(Trouble::Triggered) => to.u8(6),
        Some(Trouble::BadExit(code)) => {
            to.u8(7);
            to.i32(*code);
        }
        Some(Trouble::NotSpawned(_) | Trouble::HeldUp(_)) if is_short => to.u8(NONE),
        Some(Trouble::NotSpawned(_) | Trouble::HeldUp(_)) => {
            to.u8(ELSEWHERE);
            rest.trouble.clone_from(trouble);
        }
    }
    match ending {
        None => to.u8(NONE),
        Some(Ending::TooQuick(status)) => to.ending(1, *status),
        Some(Ending::Unready(status)) => to.ending(2, *status),
        Some(Ending::NotReady(status)) => to.ending(3, *status),
        Some(Ending::Watchdog(status)) => to.ending(4, *status),
        Some(Ending::ByItself(status)) => to.ending(5, *status),
        Some(Ending::OnRequest(status)) => to.ending(6, *status),
        Some(Ending::NotSpawned(_)) if is_short => to.u8(NONE),
        Some(Ending::NotSpawned(_)) => {
            to.u8(ELSEWHERE);
            rest.ending.clone_from(ending);
        }
    }
    match hearing {
        None => to.u8(NONE),
        Some(Hearing::Acknowledged) => to.u8(1),
        Some(Hearing::Ready) => to.u8(2),
        Some(Hearing::Deaf) => to.u8(3),
        Some(Hearing::Unknown) => to.u8(4),
        Some(Hearing::Busy(_)) if is_short => to.u8(4),
        Some(Hearing::Busy(_)) => {
            to.u8(ELSEWHERE);
            rest.hearing.clone_from(hearing);
        }
    }
    rest.tidings.clone_from(tidings);
    if !rest.is_empty() {
        // Values that are made of strings and numbers can be written.
        to.0.extend(serde_json::to_vec(&rest).unwrap_or_default());
    }
    to.0
}

/// What [`encode`] has written, or a version before 5.1. `None`: it is neither, or its numbers could not be counted on.
pub(super) fn decode(bytes: &[u8]) -> Option<Record> {
    if bytes.first() == Some(&BRACE) {
        return serde_json::from_slice(bytes).ok();
    }
    let mut from = Reader(bytes);
    if from.u8()? != FORM {
        return None;
    }
    let slot = counter::checked_slot(from.u32()?)?;
    let tenure = counter::checked(from.u64()?)?;
    let lives = counter::checked(from.u64()?)?;
    let event_serial = counter::checked(from.u64()?)?;
    let stage = from.stage()?;
    let refused = match from.u8()? {
        NONE => None,
        code => Some(was_of_code(code - 1)?),
    };
    let tries = counter::checked_small(from.u32()?)?;
    let exit_status = from.i32()?;
    let (start, stop) = (from.i64()?, from.i64()?);
    let (spawned_at, report_at) = (from.tick()?, from.tick()?);
    let spawns = counter::checked(from.u64()?)?;
    let causes = causes_of_code(from.u8()?)?;
    let relimit = from.bool()?;
    // In the JSON, with the code that says so.
    let (mut trouble_there, mut ending_there, mut hearing_there) = (false, false, false);
    let trouble = match from.u8()? {
        NONE => None,
        1 => Some(Trouble::TooQuick),
        2 => Some(Trouble::Unready),
        3 => Some(Trouble::NotReady),
        4 => Some(Trouble::GaveUp),
        5 => Some(Trouble::Starved),
        6 => Some(Trouble::Triggered),
        7 => Some(Trouble::BadExit(from.i32()?)),
        ELSEWHERE => {
            trouble_there = true;
            None
        }
        _ => return None,
    };
    let ending = match from.u8()? {
        NONE => None,
        1 => Some(Ending::TooQuick(from.status()?)),
        2 => Some(Ending::Unready(from.status()?)),
        3 => Some(Ending::NotReady(from.status()?)),
        4 => Some(Ending::Watchdog(from.status()?)),
        5 => Some(Ending::ByItself(from.status()?)),
        6 => Some(Ending::OnRequest(from.status()?)),
        ELSEWHERE => {
            ending_there = true;
            None
        }
        _ => return None,
    };
    let hearing = match from.u8()? {
        NONE => None,
        1 => Some(Hearing::Acknowledged),
        2 => Some(Hearing::Ready),
        3 => Some(Hearing::Deaf),
        4 => Some(Hearing::Unknown),
        ELSEWHERE => {
            hearing_there = true;
            None
        }
        _ => return None,
    };
    let rest: Rest = match from.0 {
        [] => Rest::default(),
        json => serde_json::from_slice(json).ok()?,
    };
    let is_whole = rest.trouble.is_some() == trouble_there
        && rest.ending.is_some() == ending_there
        && rest.hearing.is_some() == hearing_there;
    let run = Run {
        stage,
        next: None,
        refused,
        tries,
        trouble: trouble.or(rest.trouble),
        exit_status,
        start,
        stop,
        spawned_at,
        report_at,
        spawns,
        ending: ending.or(rest.ending),
        causes,
        relimit,
        waiters: Vec::new(),
        hearing: hearing.or(rest.hearing),
        tidings: rest.tidings,
    };
    is_whole.then_some(Record {
        slot,
        tenure,
        run,
        lives,
        event_serial,
    })
}

const fn code_of_was(was: Was) -> u8 {
    match was {
        Was::TooQuick => 0,
        Was::Unpromoted => 1,
        Was::Unready => 2,
        Was::Running => 3,
        Was::Stopping => 4,
        Was::Unknown => 5,
        Was::Failed(why) => 6 + code_of_failure(why),
    }
}

const fn was_of_code(code: u8) -> Option<Was> {
    Some(match code {
        0 => Was::TooQuick,
        1 => Was::Unpromoted,
        2 => Was::Unready,
        3 => Was::Running,
        4 => Was::Stopping,
        5 => Was::Unknown,
        _ => match failure_of_code(code - 6) {
            Some(why) => Was::Failed(why),
            None => return None,
        },
    })
}

const fn code_of_failure(why: Failure) -> u8 {
    match why {
        Failure::NotReady => 0,
        Failure::GaveUp => 1,
        Failure::Starved => 2,
        Failure::Triggered => 3,
    }
}

const fn failure_of_code(code: u8) -> Option<Failure> {
    Some(match code {
        0 => Failure::NotReady,
        1 => Failure::GaveUp,
        2 => Failure::Starved,
        3 => Failure::Triggered,
        _ => return None,
    })
}

fn code_of_causes(causes: Causes) -> u8 {
    let Causes {
        oom_kill,
        pids_max,
        memory_high,
    } = causes;
    u8::from(oom_kill) | (u8::from(pids_max) << 1) | (u8::from(memory_high) << 2)
}

fn causes_of_code(code: u8) -> Option<Causes> {
    (code < 8).then_some(Causes {
        oom_kill: code & 1 != 0,
        pids_max: code & 2 != 0,
        memory_high: code & 4 != 0,
    })
}

struct Writer(Vec<u8>);

impl Writer {
    fn u8(&mut self, number: u8) {
        self.0.push(number);
    }

    fn u32(&mut self, number: u32) {
        self.0.extend(number.to_le_bytes());
    }

    fn i32(&mut self, number: i32) {
        self.0.extend(number.to_le_bytes());
    }

    fn u64(&mut self, number: u64) {
        self.0.extend(number.to_le_bytes());
    }

    fn i64(&mut self, number: i64) {
        self.0.extend(number.to_le_bytes());
    }

    fn tick(&mut self, tick: Tick) {
        self.u64(tick.0);
    }

    fn status(&mut self, status: ExitStatus) {
        let (code, number) = match status {
            ExitStatus::Exited(code) => (0, i32::from(code)),
            ExitStatus::Signalled { signal, dumped } => (1 + u8::from(dumped), signal.number()),
            ExitStatus::Unknown(raw) => (3, raw),
        };
        self.u8(code);
        self.i32(number);
    }

    fn ending(&mut self, code: u8, status: ExitStatus) {
        self.u8(code);
        self.status(status);
    }

    fn life(&mut self, code: u8, life: Life) {
        self.u8(code);
        self.u32(life.slot);
        self.u64(life.incarnation);
    }

    fn process(&mut self, code: u8, life: Life, pid: i32) {
        self.life(code, life);
        self.i32(pid);
    }

    fn stage(&mut self, stage: Stage) {
        match stage {
            Stage::Stopped => self.u8(0),
            Stage::Exited { restart_at } => {
                self.u8(1);
                self.tick(restart_at);
            }
            Stage::Fatal => self.u8(2),
            Stage::Backoff { retry_at } => {
                self.u8(3);
                self.tick(retry_at);
            }
            Stage::Resolving(life) => self.life(4, life),
            Stage::Preparing(life) => self.life(5, life),
            Stage::Spawning(life) => self.life(6, life),
            Stage::Starting {
                life,
                pid,
                promote_at,
            } => {
                self.process(7, life, pid);
                self.tick(promote_at);
            }
            Stage::Waking {
                life,
                pid,
                ready_by,
            } => {
                self.process(8, life, pid);
                self.tick(ready_by);
            }
            Stage::Failing {
                life,
                pid,
                why,
                kill_at,
            } => {
                self.process(9, life, pid);
                self.u8(code_of_failure(why));
                self.tick(kill_at);
            }
            Stage::Running { life, pid } => self.process(10, life, pid),
            Stage::Aborting(life) => self.life(11, life),
            Stage::Stopping {
                life,
                pid,
                kill_at,
                sent,
                killed,
            } => {
                self.process(12, life, pid);
                self.tick(kill_at);
                self.u8(u8::from(sent));
                self.u8(u8::from(killed));
            }
            Stage::Dying {
                life,
                pid,
                status,
                was,
                rite,
                drain_by,
            } => {
                self.process(13, life, pid);
                self.status(status);
                self.u8(code_of_was(was));
                self.u8(match rite {
                    Rite::Emptying => 0,
                    Rite::Draining => 1,
                });
                self.tick(drain_by);
            }
            Stage::Unknown { alive: None } => self.u8(14),
            Stage::Unknown {
                alive: Some((life, pid)),
            } => self.process(15, life, pid),
        }
    }
}

/// What is left to be read.
struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn take<const COUNT: usize>(&mut self) -> Option<[u8; COUNT]> {
        let (bytes, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*bytes)
    }

    fn u8(&mut self) -> Option<u8> {
        self.take::<1>().map(|[byte]| byte)
    }

    fn bool(&mut self) -> Option<bool> {
        match self.u8()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn u32(&mut self) -> Option<u32> {
        self.take().map(u32::from_le_bytes)
    }

    fn i32(&mut self) -> Option<i32> {
        self.take().map(i32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take().map(u64::from_le_bytes)
    }

    fn i64(&mut self) -> Option<i64> {
        self.take().map(i64::from_le_bytes)
    }

    fn tick(&mut self) -> Option<Tick> {
        self.u64().map(Tick)
    }

    fn status(&mut self) -> Option<ExitStatus> {
        let (code, number) = (self.u8()?, self.i32()?);
        Some(match code {
            0 => ExitStatus::Exited(u8::try_from(number).ok()?),
            1 | 2 => ExitStatus::Signalled {
                signal: Signal::from_number(i64::from(number))?,
                dumped: code == 2,
            },
            3 => ExitStatus::Unknown(number),
            _ => return None,
        })
    }

    fn life(&mut self) -> Option<Life> {
        Some(Life {
            slot: counter::checked_slot(self.u32()?)?,
            incarnation: counter::checked(self.u64()?)?,
        })
    }

    fn process(&mut self) -> Option<(Life, i32)> {
        Some((self.life()?, self.i32()?))
    }

    fn stage(&mut self) -> Option<Stage> {
        Some(match self.u8()? {
            0 => Stage::Stopped,
            1 => Stage::Exited {
                restart_at: self.tick()?,
            },
            2 => Stage::Fatal,
            3 => Stage::Backoff {
                retry_at: self.tick()?,
            },
            4 => Stage::Resolving(self.life()?),
            5 => Stage::Preparing(self.life()?),
            6 => Stage::Spawning(self.life()?),
            7 => {
                let (life, pid) = self.process()?;
                Stage::Starting {
                    life,
                    pid,
                    promote_at: self.tick()?,
                }
            }
            8 => {
                let (life, pid) = self.process()?;
                Stage::Waking {
                    life,
                    pid,
                    ready_by: self.tick()?,
                }
            }
            9 => {
                let (life, pid) = self.process()?;
                Stage::Failing {
                    life,
                    pid,
                    why: failure_of_code(self.u8()?)?,
                    kill_at: self.tick()?,
                }
            }
            10 => {
                let (life, pid) = self.process()?;
                Stage::Running { life, pid }
            }
            11 => Stage::Aborting(self.life()?),
            12 => {
                let (life, pid) = self.process()?;
                Stage::Stopping {
                    life,
                    pid,
                    kill_at: self.tick()?,
                    sent: self.bool()?,
                    killed: self.bool()?,
                }
            }
            13 => {
                let (life, pid) = self.process()?;
                Stage::Dying {
                    life,
                    pid,
                    status: self.status()?,
                    was: was_of_code(self.u8()?)?,
                    rite: match self.u8()? {
                        0 => Rite::Emptying,
                        1 => Rite::Draining,
                        _ => return None,
                    },
                    drain_by: self.tick()?,
                }
            }
            14 => Stage::Unknown { alive: None },
            15 => Stage::Unknown {
                alive: Some(self.process()?),
            },
            _ => return None,
        })
    }
}
