//! One process: what is known of it, how it is shown, and what it does when its time has come. Its transitions stand in
//! `begin`, `end` and `halt`. It must not know groups, clients or timers; those are the fleet's.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::exit::{DRAIN_SECS_MAX, EMPTY_SECS_MAX};
use super::listener::ListenerStage;
use super::notify_state::NotifyState;
use super::stage::{ReapStep, Stage, StageAtExit};
use super::ticket::{SignalPurpose, Waiter};
use super::{Action, Actions};
use crate::api::ProcessView;
use crate::config::spec::{ProcessKind, ProcessSpec};
use crate::domain::{
    Event, EventKind, ExitReason, InstanceId, Line, LogPaths, Now, ProcessState, ResourceEvents,
    Signal, SpawnError, Tick,
};

/// One moment in which processes change: the clocks, the place for actions, and what the fleet lends.
pub(super) struct Ctx<'a> {
    /// Both clocks.
    pub(super) now: Now,
    /// Where actions go, in order.
    pub(super) out: &'a mut Actions,
    /// The number of the instance made last.
    pub(super) last_incarnation: &'a mut u64,
    /// Signals on their way.
    pub(super) signals: &'a mut VecDeque<(InstanceId, Signal, SignalPurpose)>,
    /// Starts are allowed: the daemon is not stopping.
    pub(super) may_start: bool,
}

impl Ctx<'_> {
    /// An instance that never was.
    pub(super) fn new_instance(&mut self, slot: u32) -> InstanceId {
        *self.last_incarnation += 1;
        InstanceId {
            slot,
            incarnation: *self.last_incarnation,
        }
    }
}

/// Why the last start is not a clean one; what `spawnerr` says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum LastError {
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
    #[serde(rename = "GaveUp")]
    NotifiedFailure,
    /// It gave no watchdog message in time.
    #[serde(rename = "Starved")]
    WatchdogTimeout,
    /// It wanted to be ended while it was RUNNING.
    #[serde(rename = "Triggered")]
    WatchdogTrigger,
    /// It ended by itself with this unexpected code.
    BadExit(i32),
}

impl std::fmt::Display for LastError {
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
            Self::NotifiedFailure => {
                f.write_str("Asked to be killed before it was ready (WATCHDOG=trigger)")
            }
            Self::WatchdogTimeout => f.write_str("Watchdog timeout (watchdogsecs)"),
            Self::WatchdogTrigger => f.write_str("Asked to be killed (WATCHDOG=trigger)"),
            Self::BadExit(code) => write!(f, "Bad exit code {code}"),
        }
    }
}

/// The next attempt of a process, begun while the last output of the instance before is written out. So a restart waits for the
/// slower of the two, and not for one after the other: four crossings between threads instead of eight.
///
/// The log and events say nothing of it before they say that the previous instance ended. A step that fails is tried again then,
/// in the usual order. The next daemon begins the attempt again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NextAttempt {
    /// The instance that it is to be.
    #[serde(rename = "life")]
    pub(super) instance: InstanceId,
    /// The command was found.
    pub(super) is_resolved: bool,
    /// Pipes are made, logs are open.
    pub(super) is_prepared: bool,
    /// Why looking the command up takes long.
    pub(super) held_up: Option<String>,
}

/// What changes while a process is supervised; the part of it that a successor of the daemon must be told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RunState {
    /// Where it stands.
    pub(super) stage: Stage,
    /// What was begun of the next attempt, while the stage is not yet past that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<Box<NextAttempt>>,
    /// What it was when the kernel refused a signal to it. Its exit counts as the exit of such a process. `None`: it is not
    /// UNKNOWN, or an older daemon wrote this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "refused")]
    pub(super) stage_before_unknown: Option<StageAtExit>,
    /// Failed attempts since it last was RUNNING.
    #[serde(deserialize_with = "crate::domain::counter::small_counter")]
    pub(super) tries: u32,
    /// Why the last start is not a clean one.
    #[serde(rename = "trouble")]
    pub(super) last_error: Option<LastError>,
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
    #[serde(rename = "ending")]
    pub(super) exit_reason: Option<ExitReason>,
    /// What of its limits it met in its last instance; none before that has ended.
    #[serde(rename = "causes")]
    pub(super) resource_events: ResourceEvents,
    /// Its limits changed while the kernel was being asked for it: it is told them when it is there.
    pub(super) relimit: bool,
    /// Clients that wait for this process.
    pub(super) waiters: Vec<Waiter>,
    /// For an event listener: where it stands.
    #[serde(rename = "hearing")]
    pub(super) listener: Option<ListenerStage>,
    /// What this instance, or the last one, has told of itself; none: its kind does not.
    #[serde(rename = "tidings")]
    pub(super) notify_state: Option<Box<NotifyState>>,
}

/// One supervised process.
#[derive(Debug)]
pub(super) struct Process {
    /// Its configuration when its group was added.
    pub(super) spec: Arc<ProcessSpec>,
    /// Where its streams are written.
    pub(super) logs: LogPaths,
    /// Tells the occupants of one slot apart; never used again.
    pub(super) slot_generation: u64,
    /// What changes.
    pub(super) run: RunState,
    /// The deadline that the fleet's timer list holds for it.
    pub(super) armed: Tick,
}

impl Process {
    /// A process that was never started.
    pub(super) fn new(spec: Arc<ProcessSpec>, logs: LogPaths, slot_generation: u64) -> Self {
        let listener = match spec.kind {
            ProcessKind::Listener => Some(ListenerStage::Acknowledged),
            ProcessKind::Program | ProcessKind::Fcgi(_) => None,
        };
        Self {
            spec,
            logs,
            slot_generation,
            run: RunState {
                stage: Stage::Stopped,
                next: None,
                stage_before_unknown: None,
                tries: 0,
                last_error: None,
                exit_status: 0,
                start: 0,
                stop: 0,
                spawned_at: Tick(0),
                report_at: Tick::NEVER,
                spawns: 0,
                exit_reason: None,
                resource_events: ResourceEvents::NONE,
                relimit: false,
                waiters: Vec::new(),
                listener,
                notify_state: None,
            },
            armed: Tick::NEVER,
        }
    }

    /// The state that clients see.
    pub(super) const fn state(&self) -> ProcessState {
        self.run.stage.state()
    }

    /// Takes what was begun of the next attempt if that will come to nothing.
    pub(super) fn take_abandoned_attempt(&mut self, now: Tick) -> Option<InstanceId> {
        let next = self.run.next.as_ref()?;
        let is_awaited = match self.run.stage {
            Stage::Reaped { at_exit, .. } => at_exit != StageAtExit::Stopping,
            Stage::Exited { restart_at } => restart_at <= now,
            Stage::Resolving(instance) | Stage::Preparing(instance) => instance == next.instance,
            Stage::Stopped
            | Stage::Fatal
            | Stage::Backoff { .. }
            | Stage::Spawning(_)
            | Stage::Starting { .. }
            | Stage::AwaitingReady { .. }
            | Stage::Terminating { .. }
            | Stage::Running { .. }
            | Stage::StopPending(_)
            | Stage::Stopping { .. }
            | Stage::Unknown { .. } => false,
        };
        if is_awaited {
            return None;
        }
        self.run.next.take().map(|next| next.instance)
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
        self.stage_deadline().min(self.run.report_at)
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
            spawn_error: match &self.run.last_error {
                None => String::new(),
                Some(last_error) if self.run.resource_events.is_none() => last_error.to_string(),
                Some(last_error) => format!("{last_error}, {}", self.run.resource_events),
            },
            resource_events: self.run.resource_events,
            exit_status: self.run.exit_status,
            restarts: self.run.spawns.saturating_sub(1),
            exit_reason: self.run.exit_reason.clone(),
            status_text: self.status_text(),
            events_discarded: 0,
            pid: self.run.stage.pid(),
            stdout_logfile: self.logs.stdout.clone(),
            stderr_logfile: self.logs.stderr.clone(),
        }
    }

    /// Enters `to` and tells subscribers, if that is another state. `pid` and `expected` are for the event.
    pub(super) fn enter_stage(&mut self, to: Stage, pid: i32, expected: bool, ctx: &mut Ctx<'_>) {
        let from = self.state();
        self.run.stage = to;
        self.publish(from, self.state(), pid, expected, ctx);
    }

    /// Tells subscribers of a step, if it is one.
    pub(super) fn publish(
        &self,
        from: ProcessState,
        to: ProcessState,
        pid: i32,
        expected: bool,
        ctx: &mut Ctx<'_>,
    ) {
        if from == to {
            return;
        }
        ctx.out.push(Action::Publish(Arc::new(Event {
            group: Some(self.spec.group.clone()),
            process: Some(self.spec.name.clone()),
            kind: EventKind::ProcessState {
                from,
                to,
                tries: self.run.tries,
                pid,
                expected,
                resource_events: match to {
                    ProcessState::Stopped
                    | ProcessState::Exited
                    | ProcessState::Backoff
                    | ProcessState::Fatal => self.run.resource_events,
                    ProcessState::Starting
                    | ProcessState::Running
                    | ProcessState::Stopping
                    | ProcessState::Unknown => ResourceEvents::NONE,
                },
            },
        })));
    }

    /// Writes a line to the activity log.
    pub(super) fn log(ctx: &mut Ctx<'_>, line: Line) {
        ctx.out.push(Action::Log(line));
    }

    /// What is due by itself at this moment.
    pub(super) fn deadline_reached(&mut self, slot: u32, ctx: &mut Ctx<'_>) {
        let now = ctx.now.mono;
        if self.run.report_at <= now {
            self.report_stop(ctx);
        }
        if self.stage_deadline() > now || self.poll_notify_first(ctx) {
            return;
        }
        self.act_on_deadline(slot, ctx);
    }

    /// What is due by itself, after whoever could have prevented it has been heard.
    pub(super) fn act_on_deadline(&mut self, slot: u32, ctx: &mut Ctx<'_>) {
        if self.stage_deadline() > ctx.now.mono {
            return;
        }
        match self.run.stage {
            Stage::Exited { .. } if ctx.may_start => self.start(slot, ctx),
            Stage::Exited { .. } => {
                self.run.stage = Stage::Exited {
                    restart_at: Tick::NEVER,
                };
            }
            Stage::Backoff { .. } if ctx.may_start => self.start(slot, ctx),
            Stage::Backoff { .. } => {
                self.run.stage = Stage::Backoff {
                    retry_at: Tick::NEVER,
                };
            }
            Stage::Starting { instance, pid, .. } => self.promote(instance, pid, ctx),
            Stage::AwaitingReady { instance, pid, .. } => self.not_ready(instance, pid, ctx),
            Stage::Running { instance, pid } => self.watchdog_timeout(instance, pid, ctx),
            Stage::Terminating {
                instance, pid, why, ..
            } => self.kill_failing(instance, pid, why, ctx),
            Stage::Stopping {
                instance,
                pid,
                sent,
                ..
            } => self.kill(instance, pid, sent, ctx),
            Stage::Reaped {
                reap_step: ReapStep::Emptying,
                ..
            } => {
                Self::log(
                    ctx,
                    Line::CgroupLate {
                        name: self.spec.name.clone(),
                        seconds: EMPTY_SECS_MAX.0,
                    },
                );
                self.emptied(ResourceEvents::NONE, ctx);
            }
            Stage::Reaped {
                reap_step: ReapStep::Draining,
                ..
            } => {
                Self::log(
                    ctx,
                    Line::DrainLate {
                        name: self.spec.name.clone(),
                        seconds: DRAIN_SECS_MAX.0,
                    },
                );
                self.drained(ctx);
            }
            // These have no deadline.
            Stage::Stopped
            | Stage::Fatal
            | Stage::Resolving(_)
            | Stage::Preparing(_)
            | Stage::Spawning(_)
            | Stage::StopPending(_)
            | Stage::Unknown { .. } => {}
        }
    }
}
