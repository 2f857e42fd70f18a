//! One process: what is known of it, how it is shown, and what it does when its time has come. Its transitions stand in
//! `begin`, `end` and `halt`. It must not know groups, clients or timers; those are the fleet's.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::end::{DRAIN_SECS_MAX, EMPTY_SECS_MAX};
use super::listener::Hearing;
use super::stage::{Rite, Stage, Was};
use super::ticket::{Purpose, Waiter};
use super::tidings::Tidings;
use super::{Action, Actions};
use crate::api::ProcessView;
use crate::config::spec::{ProcessKind, ProcessSpec};
use crate::domain::{
    Causes, Ending, Event, EventKind, Life, Line, LogPaths, Now, ProcessState, Signal, SpawnError,
    Tick,
};

/// One moment in which processes change: the clocks, the place for actions, and what the fleet lends.
pub(super) struct Moment<'a> {
    /// Both clocks.
    pub(super) now: Now,
    /// Where actions go, in order.
    pub(super) out: &'a mut Actions,
    /// The number of the life made last.
    pub(super) lives: &'a mut u64,
    /// Signals on their way.
    pub(super) signals: &'a mut VecDeque<(Life, Signal, Purpose)>,
    /// Starts are allowed: the daemon is not stopping.
    pub(super) may_start: bool,
}

impl Moment<'_> {
    /// A life that never was.
    pub(super) fn new_life(&mut self, slot: u32) -> Life {
        *self.lives += 1;
        Life {
            slot,
            incarnation: *self.lives,
        }
    }
}

/// Why the last start is not a clean one; what `spawnerr` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Trouble {
    /// It could not be spawned.
    NotSpawned(Box<SpawnError>),
    /// It is being spawned, which takes long.
    HeldUp(String),
    /// It ended before `startsecs`.
    TooQuick,
    /// It ended before it was ready.
    Unready,
    /// It was not ready in time.
    NotReady,
    /// It wanted to be ended before it was ready.
    GaveUp,
    /// It gave no sign of life in time.
    Starved,
    /// It wanted to be ended while it was RUNNING.
    Triggered,
    /// It ended by itself with this unexpected code.
    BadExit(i32),
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::NotSpawned(error) => error.fmt(f),
            Self::HeldUp(why) => write!(f, "Start delayed: {why}"),
            Self::TooQuick => f.write_str("Exited too quickly (process log may have details)"),
            Self::Unready => {
                f.write_str("Exited before it was ready (process log may have details)")
            }
            Self::NotReady => {
                f.write_str("Readiness timeout (ready_timeout; process log may have details)")
            }
            Self::GaveUp => {
                f.write_str("Asked to be killed before it was ready (WATCHDOG=trigger)")
            }
            Self::Starved => f.write_str("Watchdog timeout (watchdogsecs)"),
            Self::Triggered => f.write_str("Asked to be killed (WATCHDOG=trigger)"),
            Self::BadExit(code) => write!(f, "Bad exit code {code}"),
        }
    }
}

/// The next attempt of a process, begun while the last output of the life before is written out. So a restart waits for the
/// slower of the two, and not for one after the other: four crossings between threads instead of eight.
///
/// The log and events say nothing of it before they say that the previous life ended. A step that fails is tried again then,
/// in the usual order. The next daemon begins the attempt again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NextAttempt {
    /// The life that it is to be.
    pub(super) life: Life,
    /// The command was found.
    pub(super) is_resolved: bool,
    /// Pipes are made, logs are open.
    pub(super) is_prepared: bool,
    /// Why looking the command up takes long.
    pub(super) held_up: Option<String>,
}

/// What changes while a process is supervised; the part of it that a successor of the daemon must be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Run {
    /// Where it stands.
    pub(super) stage: Stage,
    /// What was begun of the next attempt, while the stage is not yet past that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<Box<NextAttempt>>,
    /// What it was when the kernel refused a signal to it. Its exit counts as the exit of such a process. `None`: it is not
    /// UNKNOWN, or an older daemon wrote this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) refused: Option<Was>,
    /// Failed attempts since it last was RUNNING.
    #[serde(deserialize_with = "crate::domain::counter::small_counter")]
    pub(super) tries: u32,
    /// Why the last start is not a clean one.
    pub(super) trouble: Option<Trouble>,
    /// The last exit code, -1 after a signal, 0 if there is none.
    pub(super) exit_status: i32,
    /// Seconds since the epoch of the last attempt; 0: never.
    pub(super) start: i64,
    /// Seconds since the epoch of the last exit; 0: never.
    pub(super) stop: i64,
    /// When it was spawned last, on the clock that decides.
    pub(super) spawned_at: Tick,
    /// When the next "waiting for … to stop" line is due; [`Tick::NEVER`] while nobody waits.
    pub(super) report_at: Tick,
    /// How often it was spawned since its group was added.
    #[serde(deserialize_with = "crate::domain::counter::counter")]
    pub(super) spawns: u64,
    /// How the last attempt ended; stays while the next one runs.
    pub(super) ending: Option<Ending>,
    /// What of its limits it met in its last life; none before that has ended.
    pub(super) causes: Causes,
    /// Its limits changed while the kernel was being asked for it: it is told them when it is there.
    pub(super) relimit: bool,
    /// Clients that wait for this process.
    pub(super) waiters: Vec<Waiter>,
    /// For an event listener: where it stands.
    pub(super) hearing: Option<Hearing>,
    /// What this life, or the last one, has told of itself; none: its kind does not.
    pub(super) tidings: Option<Box<Tidings>>,
}

/// One supervised process.
#[derive(Debug)]
pub(super) struct Process {
    /// Its configuration when its group was added.
    pub(super) spec: Arc<ProcessSpec>,
    /// Where its streams are written.
    pub(super) logs: LogPaths,
    /// Tells the occupants of one slot apart; never used again.
    pub(super) tenure: u64,
    /// What changes.
    pub(super) run: Run,
    /// The deadline that the fleet's timer list holds for it.
    pub(super) armed: Tick,
}

impl Process {
    /// A process that was never started.
    pub(super) fn new(spec: Arc<ProcessSpec>, logs: LogPaths, tenure: u64) -> Self {
        let hearing = match spec.kind {
            ProcessKind::Listener => Some(Hearing::Acknowledged),
            ProcessKind::Program | ProcessKind::Fcgi(_) => None,
        };
        Self {
            spec,
            logs,
            tenure,
            run: Run {
                stage: Stage::Stopped,
                next: None,
                refused: None,
                tries: 0,
                trouble: None,
                exit_status: 0,
                start: 0,
                stop: 0,
                spawned_at: Tick(0),
                report_at: Tick::NEVER,
                spawns: 0,
                ending: None,
                causes: Causes::NONE,
                relimit: false,
                waiters: Vec::new(),
                hearing,
                tidings: None,
            },
            armed: Tick::NEVER,
        }
    }

    /// The state that clients see.
    pub(super) const fn state(&self) -> ProcessState {
        self.run.stage.state()
    }

    /// Takes what was begun of the next attempt if that will come to nothing.
    pub(super) fn take_abandoned(&mut self, now: Tick) -> Option<Life> {
        let next = self.run.next.as_ref()?;
        let is_awaited = match self.run.stage {
            Stage::Dying { was, .. } => was != Was::Stopping,
            Stage::Exited { restart_at } => restart_at <= now,
            Stage::Resolving(life) | Stage::Preparing(life) => life == next.life,
            Stage::Stopped
            | Stage::Fatal
            | Stage::Backoff { .. }
            | Stage::Spawning(_)
            | Stage::Starting { .. }
            | Stage::Waking { .. }
            | Stage::Failing { .. }
            | Stage::Running { .. }
            | Stage::Aborting(_)
            | Stage::Stopping { .. }
            | Stage::Unknown { .. } => false,
        };
        if is_awaited {
            return None;
        }
        self.run.next.take().map(|next| next.life)
    }

    /// Bytes for its standard input are taken: it lives and nobody has asked it to stop.
    pub(super) fn takes_stdin(&self) -> bool {
        self.state() != ProcessState::Stopping && self.run.stage.reachable().is_some()
    }

    /// It shares a listening socket with the others of its program.
    pub(super) fn has_socket(&self) -> bool {
        matches!(self.spec.kind, ProcessKind::Fcgi(_))
    }

    /// When something happens by itself.
    pub(super) fn deadline(&self) -> Tick {
        self.told_deadline().min(self.run.report_at)
    }

    /// As clients see it.
    pub(super) fn view(&self, now: Now) -> ProcessView {
        let nanos = now.mono.nanos_since(self.run.spawned_at);
        ProcessView {
            uid: self.spec.user.as_ref().map(|user| user.uid),
            name: self.spec.name.clone(),
            group: self.spec.group.clone(),
            state: self.state(),
            start: self.run.start,
            stop: self.run.stop,
            now: now.wall.secs(),
            uptime: nanos / 1_000_000_000,
            spawn_error: match &self.run.trouble {
                None => String::new(),
                Some(trouble) if self.run.causes.is_none() => trouble.to_string(),
                Some(trouble) => format!("{trouble}, {}", self.run.causes),
            },
            causes: self.run.causes,
            exit_status: self.run.exit_status,
            restarts: self.run.spawns.saturating_sub(1),
            ending: self.run.ending.clone(),
            status_text: self.status_text(),
            events_discarded: 0,
            pid: self.run.stage.pid(),
            stdout_logfile: self.logs.stdout.clone(),
            stderr_logfile: self.logs.stderr.clone(),
        }
    }

    /// Enters `to` and tells subscribers, if that is another state. `pid` and `expected` are for the event.
    pub(super) fn enter(&mut self, to: Stage, pid: i32, expected: bool, moment: &mut Moment<'_>) {
        let from = self.state();
        self.run.stage = to;
        self.publish(from, self.state(), pid, expected, moment);
    }

    /// Tells subscribers of a step, if it is one.
    pub(super) fn publish(
        &self,
        from: ProcessState,
        to: ProcessState,
        pid: i32,
        expected: bool,
        moment: &mut Moment<'_>,
    ) {
        if from == to {
            return;
        }
        moment.out.push(Action::Publish(Arc::new(Event {
            group: Some(self.spec.group.clone()),
            process: Some(self.spec.name.clone()),
            kind: EventKind::ProcessState {
                from,
                to,
                tries: self.run.tries,
                pid,
                expected,
                causes: match to {
                    ProcessState::Stopped
                    | ProcessState::Exited
                    | ProcessState::Backoff
                    | ProcessState::Fatal => self.run.causes,
                    ProcessState::Starting
                    | ProcessState::Running
                    | ProcessState::Stopping
                    | ProcessState::Unknown => Causes::NONE,
                },
            },
        })));
    }

    /// Writes a line to the activity log.
    pub(super) fn log(moment: &mut Moment<'_>, line: Line) {
        moment.out.push(Action::Log(line));
    }

    /// What is due by itself at this moment.
    pub(super) fn deadline_reached(&mut self, slot: u32, moment: &mut Moment<'_>) {
        let now = moment.now.mono;
        if self.run.report_at <= now {
            self.report_stop(moment);
        }
        if self.told_deadline() > now || self.ask_first(moment) {
            return;
        }
        self.act_on_deadline(slot, moment);
    }

    /// What is due by itself, after whoever could have prevented it has been heard.
    pub(super) fn act_on_deadline(&mut self, slot: u32, moment: &mut Moment<'_>) {
        if self.told_deadline() > moment.now.mono {
            return;
        }
        match self.run.stage {
            Stage::Exited { .. } if moment.may_start => self.start(slot, moment),
            Stage::Exited { .. } => {
                self.run.stage = Stage::Exited {
                    restart_at: Tick::NEVER,
                };
            }
            Stage::Backoff { .. } if moment.may_start => self.start(slot, moment),
            Stage::Backoff { .. } => {
                self.run.stage = Stage::Backoff {
                    retry_at: Tick::NEVER,
                };
            }
            Stage::Starting { life, pid, .. } => self.promote(life, pid, moment),
            Stage::Waking { life, pid, .. } => self.not_ready(life, pid, moment),
            Stage::Running { life, pid } => self.starved(life, pid, moment),
            Stage::Failing { life, pid, why, .. } => self.kill_failing(life, pid, why, moment),
            Stage::Stopping {
                life, pid, sent, ..
            } => self.kill(life, pid, sent, moment),
            Stage::Dying {
                rite: Rite::Emptying,
                ..
            } => {
                Self::log(
                    moment,
                    Line::CgroupLate {
                        name: self.spec.name.clone(),
                        seconds: EMPTY_SECS_MAX.0,
                    },
                );
                self.emptied(Causes::NONE, moment);
            }
            Stage::Dying {
                rite: Rite::Draining,
                ..
            } => {
                Self::log(
                    moment,
                    Line::DrainLate {
                        name: self.spec.name.clone(),
                        seconds: DRAIN_SECS_MAX.0,
                    },
                );
                self.drained(moment);
            }
            // These have no deadline.
            Stage::Stopped
            | Stage::Fatal
            | Stage::Resolving(_)
            | Stage::Preparing(_)
            | Stage::Spawning(_)
            | Stage::Aborting(_)
            | Stage::Unknown { .. } => {}
        }
    }
}
