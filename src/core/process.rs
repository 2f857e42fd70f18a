//! One process: its data, its view for clients, and the actions at its deadlines. The transitions are in `start`,
//! `exit` and `stop`. Groups, clients and timers belong to the fleet.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::change_state::ChangeState;
use super::dead_instances::DeadInstances;
use super::health_state::HealthState;
use super::hold_state::Hold;
use super::listener_stage::ListenerStage;
use super::notify_state::NotifyState;
use super::restart_progress::RestartProgress;
use super::script_runs::ScriptRuns;
use super::stage::{AlivePhase, Idle, Stage, StageAtExit};
use super::state_history::StateHistory;
use super::ticket::{SignalPurpose, Waiter};
use super::transitions::{CurrentStage, Trigger};
use super::{Action, Actions};
use crate::api::{AttemptEnd, ProcessView, StateEntry};
use crate::config::spec::{ProcessKind, ProcessSpec};
use crate::domain::{
    Change, ExitCounts, ExitReason, InstanceId, Line, LogPaths, Now, ProcessState, ResourceEvents,
    Signal, SpawnError, Tick,
};
use crate::effects::ScriptId;

/// The context of one change to a process: the clocks, the list of actions, and borrowed parts of the fleet.
pub(super) struct Ctx<'a> {
    /// Monotonic and wall clock time.
    pub(super) now: Now,
    /// The list to which actions are appended, in order.
    pub(super) out: &'a mut Actions,
    /// The incarnation of the newest instance.
    pub(super) last_incarnation: &'a mut u64,
    /// The seed of random numbers.
    pub(super) seed: u64,
    /// Signals that were sent and not answered yet.
    pub(super) signals: &'a mut VecDeque<(InstanceId, Signal, SignalPurpose)>,
    /// The scripts that run.
    pub(super) scripts: &'a mut ScriptRuns,
    /// Whether processes may start. False while the daemon stops.
    pub(super) may_start: bool,
    /// Whether the process depends on others, or others on it.
    pub(super) is_linked: bool,
    /// Whether the process must not start now, because something that it depends on is not up.
    pub(super) must_wait: bool,
    /// Whether no process that depends on this one is stopping. Otherwise a stop waits for it.
    pub(super) may_stop: bool,
    /// Why the stage of the process may change now.
    pub(super) trigger: Trigger,
}

impl Ctx<'_> {
    /// Returns a new instance for `slot`. Its incarnation was never used before.
    pub(super) fn new_instance(&mut self, slot: u32) -> InstanceId {
        *self.last_incarnation += 1;
        InstanceId {
            slot,
            incarnation: *self.last_incarnation,
        }
    }
}

/// Why the last start or run failed. `spawnerr` shows its text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum LastError {
    /// The process could not be spawned.
    NotSpawned(Box<SpawnError>),
    /// Looking up the command or spawning takes long. The text says why.
    HeldUp(String),
    /// The process exited before `startsecs`.
    TooQuick,
    /// The process exited before it was ready.
    Unready,
    /// The process was not ready before `ready_timeout`.
    NotReady,
    /// The process sent `WATCHDOG=trigger` before it was ready.
    #[serde(rename = "GaveUp")]
    NotifiedFailure,
    /// No watchdog message came in time.
    #[serde(rename = "Starved")]
    WatchdogTimeout,
    /// The process sent `WATCHDOG=trigger` while it was RUNNING.
    #[serde(rename = "Triggered")]
    WatchdogTrigger,
    /// The process exited on its own with this unexpected code.
    BadExit(i32),
    /// Something that the process depends on failed. The text names it and says why.
    Dependency(String),
    /// The process was unhealthy, for this reason, and was restarted.
    Unhealthy(String),
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
            Self::Dependency(text) => f.write_str(text),
            Self::Unhealthy(reason) => write!(f, "Unhealthy: {reason}"),
        }
    }
}

/// The next attempt of a process, started while the output of the previous instance is still being written out. A
/// restart then waits for the slower of the two instead of for their sum: four crossings between threads instead of
/// eight.
///
/// Neither the log nor events mention the attempt before they report the exit of the previous instance. A step that
/// fails is repeated after that, in the usual order. A daemon that takes over starts the attempt again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct NextAttempt {
    /// The instance of the attempt.
    #[serde(rename = "life")]
    pub(super) instance: InstanceId,
    /// The command was found.
    pub(super) is_resolved: bool,
    /// Pipes exist and logs are open.
    pub(super) is_prepared: bool,
    /// Why looking up the command takes long. `None`: it does not.
    pub(super) held_up: Option<String>,
}

/// The state of a process that changes at run time. A daemon that takes over needs all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct RunState {
    /// The stage.
    pub(super) stage: CurrentStage,
    /// The next attempt if it was started early. `None`: it was not, or the stage has caught up with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) next: Option<Box<NextAttempt>>,
    /// The stage of the process when the kernel refused a signal to it. The exit is handled as an exit from this stage.
    /// `None`: the process is not UNKNOWN, or an older daemon wrote this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[serde(rename = "refused")]
    pub(super) stage_before_unknown: Option<StageAtExit>,
    /// Failed attempts since the process was RUNNING.
    #[serde(deserialize_with = "crate::domain::counter::small_counter")]
    pub(super) tries: u32,
    /// What the policy of restarts needs to know of the past.
    #[serde(default, skip_serializing_if = "RestartProgress::is_default")]
    pub(super) restart: RestartProgress,
    /// Why the last start or run failed. `None`: it did not.
    #[serde(rename = "trouble")]
    pub(super) last_error: Option<LastError>,
    /// The last exit code. -1: killed by a signal. 0 also means that there was none.
    pub(super) exit_status: i32,
    /// When the last attempt started, in seconds since the epoch. 0: never.
    pub(super) start: i64,
    /// When the process last exited, in seconds since the epoch. 0: never.
    pub(super) stop: i64,
    /// When the process was last spawned, on the monotonic clock.
    pub(super) spawned_at: Tick,
    /// When the process last became RUNNING, if others depend on it or it depends on others. 0: never.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) running_at: Tick,
    /// A stop was requested, and waits until the processes that depend on this one are gone.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) stop_held: bool,
    /// The process is stopped for a restart of its own: a dependency was restarted.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) starts_again: bool,
    /// When the next "waiting for … to stop" line is due. [`Tick::NEVER`]: no client waits.
    pub(super) report_at: Tick,
    /// How many times the process was spawned since its group was added.
    #[serde(deserialize_with = "crate::domain::counter::counter")]
    pub(super) spawns: u64,
    /// How the last attempt ended. It is kept while the next one runs.
    #[serde(rename = "ending")]
    pub(super) exit_reason: Option<ExitReason>,
    /// How often attempts ended, by reason.
    #[serde(default, skip_serializing_if = "ExitCounts::is_zero")]
    pub(super) exits: ExitCounts,
    /// Resource limits that the last instance hit. Empty while the first instance runs.
    #[serde(rename = "causes")]
    pub(super) resource_events: ResourceEvents,
    /// The limits changed while the process was being spawned. They are applied once it exists.
    pub(super) relimit: bool,
    /// Clients that wait for this process.
    pub(super) waiters: Vec<Waiter>,
    /// The state of an event listener. `None`: the process is no listener.
    #[serde(rename = "hearing")]
    pub(super) listener: Option<ListenerStage>,
    /// What the current or last instance reported through its notify channel. `None`: the process has no such channel.
    #[serde(rename = "tidings")]
    pub(super) notify_state: Option<Box<NotifyState>>,
    /// The checks of the current or last instance. `None`: the process has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) health: Option<Box<HealthState>>,
    /// The hook that the process waits for. The daemon that leaves kills it, so the next one runs it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) hook: Option<ScriptId>,
    /// The result of the last hook. `None`: none has ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) last_hook: Option<String>,
    /// The script of `on_fatal` that runs. The daemon that leaves kills it, so the next one runs it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) fatal_script: Option<ScriptId>,
    /// Changed files of the watch that this process names. `None`: there are none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) changes: Option<Box<ChangeState>>,
    /// The process stops because of a changed file, and starts again when it has stopped.
    #[serde(default, skip_serializing_if = "is_false")]
    pub(super) restart_after_change: bool,
    /// The daemon leaves the process alone. `None`: it does not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) hold: Option<Box<Hold>>,
}

/// For values that are not written if they are false.
pub(super) fn is_false(value: &bool) -> bool {
    !value
}

pub(super) const fn is_zero(tick: &Tick) -> bool {
    tick.0 == 0
}

/// One supervised process.
#[derive(Debug)]
pub(super) struct Process {
    /// The configuration that the process runs with.
    pub(super) spec: Arc<ProcessSpec>,
    /// The paths of its logs.
    pub(super) logs: LogPaths,
    /// Distinguishes the processes that use one slot after another. Never reused.
    pub(super) slot_generation: u64,
    /// The state that changes.
    pub(super) run: RunState,
    /// What dead instances wrote last. Not a part of [`RunState`]: the record of each step would become too long.
    pub(super) dead: DeadInstances,
    /// Its last states. Not a part of [`RunState`] for the same reason.
    pub(super) history: StateHistory,
    /// The deadline entered for this process in the fleet's list of timers.
    pub(super) armed: Tick,
}

impl Process {
    /// Returns a process that was never started.
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
                stage: CurrentStage::restored(Stage::STOPPED),
                next: None,
                stage_before_unknown: None,
                tries: 0,
                restart: RestartProgress::default(),
                last_error: None,
                exit_status: 0,
                start: 0,
                stop: 0,
                spawned_at: Tick(0),
                running_at: Tick(0),
                stop_held: false,
                starts_again: false,
                report_at: Tick::NEVER,
                spawns: 0,
                exit_reason: None,
                exits: ExitCounts::default(),
                resource_events: ResourceEvents::NONE,
                relimit: false,
                waiters: Vec::new(),
                listener,
                notify_state: None,
                health: None,
                hook: None,
                last_hook: None,
                fatal_script: None,
                changes: None,
                restart_after_change: false,
                hold: None,
            },
            dead: DeadInstances::default(),
            history: StateHistory::default(),
            armed: Tick::NEVER,
        }
    }

    /// Returns the state that clients see.
    pub(super) fn state(&self) -> ProcessState {
        self.run.stage.state()
    }

    /// Takes the early next attempt if the current stage will not use it.
    pub(super) fn take_abandoned_attempt(&mut self, now: Tick) -> Option<InstanceId> {
        let next = self.run.next.as_ref()?;
        if self.run.stage.leads_to(next.instance, now) {
            return None;
        }
        self.run.next.take().map(|next| next.instance)
    }

    /// Returns whether the process accepts bytes for its standard input: it exists and is not STOPPING.
    pub(super) fn takes_stdin(&self) -> bool {
        self.state() != ProcessState::Stopping && self.run.stage.reachable().is_some()
    }

    /// Returns whether the process shares a listening socket with the other processes of its program.
    pub(super) fn has_socket(&self) -> bool {
        matches!(self.spec.kind, ProcessKind::Fcgi(_))
    }

    /// Returns when something is due without an input.
    pub(super) fn deadline(&self) -> Tick {
        self.stage_deadline()
            .min(self.run.report_at)
            .min(self.check_deadline())
            .min(self.change_deadline())
            .min(self.hold_deadline())
    }

    /// Returns the process as clients see it.
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
            next_attempt: self.next_attempt(now),
            progress: self.progress(now),
            unexpected_exit: match &self.run.exit_reason {
                Some(ExitReason::ByItself(status)) => !self.expects(*status),
                _ => false,
            },
            exit_reason: self.run.exit_reason.clone(),
            status_text: self.status_text(),
            dependency_text: self.dependency_error().to_owned(),
            health: self.health(),
            exits: self.run.exits,
            hold: self.run.hold.as_ref().map(|hold| hold.view(now)),
            has_cgroup: self.spec.resources.is_some(),
            events_discarded: 0,
            events_waiting: 0,
            next_run: None,
            ready: self.spec.starts_with_group().then(|| self.is_ready()),
            pid: self.run.stage.pid(),
            stdout_logfile: self.logs.stdout.clone(),
            stderr_logfile: self.logs.stderr.clone(),
        }
    }

    /// Returns why a dependency ended the last start. Empty: none did.
    pub(super) fn dependency_error(&self) -> &str {
        match &self.run.last_error {
            Some(LastError::Dependency(text)) => text,
            _ => "",
        }
    }

    /// Records how an attempt to run the process ended.
    pub(super) fn set_exit_reason(&mut self, reason: ExitReason) {
        self.run.exits.add(&reason);
        self.run.exit_reason = Some(reason);
    }

    /// Enters the stage `to` and publishes the change if the state differs. `pid` and `expected` go into the event.
    pub(super) fn enter_stage(&mut self, to: Stage, pid: i32, expected: bool, ctx: &mut Ctx<'_>) {
        let (from, ended) = (self.state(), self.run.stage.pid());
        self.run.stage.enter(to, ctx.trigger);
        let to = self.state();
        if from != to {
            self.remember(from, to, if pid == 0 { ended } else { pid }, ctx.now);
        }
        self.publish(from, to, pid, expected, ctx);
    }

    /// Enters a stage of the same state, so nothing is published.
    pub(super) fn change_stage(&mut self, to: Stage, ctx: &Ctx<'_>) {
        debug_assert!(to.state() == self.state(), "{to:?} has to be published");
        self.run.stage.enter(to, ctx.trigger);
    }

    /// Publishes a change of state. Does nothing if `from` equals `to`.
    fn publish(
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
        ctx.out.push(Action::Publish(Arc::new(Change::ProcessState {
            group: self.spec.group.clone(),
            process: self.spec.name.clone(),
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
        })));
    }

    /// Adds a state to the history.
    fn remember(&mut self, from: ProcessState, to: ProcessState, pid: i32, now: Now) {
        let ends = match to {
            ProcessState::Exited | ProcessState::Backoff => true,
            ProcessState::Stopped => from == ProcessState::Stopping,
            ProcessState::Fatal
            | ProcessState::Starting
            | ProcessState::Running
            | ProcessState::Stopping
            | ProcessState::Unknown => false,
        };
        let millis = now.mono.nanos_since(self.run.spawned_at) / 1_000_000;
        let reason = self.run.exit_reason.clone().filter(|_| ends);
        let end = reason.map(|reason| AttemptEnd {
            lived: reason.status().map(|_| millis),
            resource_events: match reason.status() {
                Some(_) => self.run.resource_events,
                None => ResourceEvents::NONE,
            },
            reason,
        });
        self.history.push(StateEntry {
            at: now.wall.secs(),
            times: 1,
            since: 0,
            state: to,
            pid,
            end: end.map(Box::new),
        });
    }

    /// Writes a line to the activity log.
    pub(super) fn log(ctx: &mut Ctx<'_>, line: Line) {
        ctx.out.push(Action::Log(line));
    }

    /// Does what is due now. A deadline that a notify message can prevent is checked against unread messages first.
    pub(super) fn deadline_reached(&mut self, slot: u32, ctx: &mut Ctx<'_>) {
        let now = ctx.now.mono;
        if self.run.report_at <= now {
            self.report_stop(ctx);
        }
        if self.check_deadline() <= now {
            self.start_check(ctx);
        }
        if self.stage_deadline() > now || self.poll_notify_first(ctx) {
            return;
        }
        self.act_on_deadline(slot, ctx);
    }

    /// Acts on the deadline of the stage. All notify messages sent before it have been handled.
    pub(super) fn act_on_deadline(&mut self, slot: u32, ctx: &mut Ctx<'_>) {
        if self.stage_deadline() > ctx.now.mono {
            return;
        }
        match *self.run.stage {
            Stage::Idle(Idle::Exited { .. } | Idle::Backoff { .. }) if ctx.may_start => {
                self.start(slot, ctx);
            }
            Stage::Idle(Idle::Exited { .. }) => self.cancel_restart(ctx),
            Stage::Idle(Idle::Backoff { .. }) => {
                let retry_at = Tick::NEVER;
                self.change_stage(Stage::Idle(Idle::Backoff { retry_at }), ctx);
            }
            Stage::Alive {
                instance,
                pid,
                phase,
            } => match phase {
                AlivePhase::Starting { .. } => self.promote(instance, pid, ctx),
                AlivePhase::AwaitingReady { .. } => self.not_ready(instance, pid, ctx),
                AlivePhase::Running => self.watchdog_timeout(instance, pid, ctx),
                AlivePhase::Terminating { why, .. } => self.kill_failing(instance, pid, why, ctx),
                AlivePhase::PreStop { step, .. } => self.end_stop_step(instance, pid, step, ctx),
                AlivePhase::Stopping { .. } => self.stop_late(instance, pid, phase, ctx),
                // No deadline.
                _ => {}
            },
            Stage::Reaped { reap_step, .. } => self.reap_step_late(reap_step, ctx),
            // No deadline.
            Stage::Idle(_) | Stage::Attempt { .. } => {}
        }
    }
}
