//! Runs processes by their schedules: what happens when a run is due, and the record of the last runs.

use std::sync::Arc;

use super::dependency_start::StartedBy;
use super::process::Process;
use super::schedule::{DueRun, PendingRun, Schedule, mixed};
use super::stage::{Idle, Stage};
use super::transitions::Trigger;
use super::{Action, Actions, Fleet};
use crate::api::{AccessScope, Reply};
use crate::config::spec::{CronMissed, CronOverlap};
use crate::domain::{
    ExitReason, Line, Now, ProcessState, ProgramRuns, QualifiedName, SupervisorState, Tick, Wall,
    ZoneOf,
};

/// What a process can do with a run that is due.
enum Readiness {
    /// It can start.
    Startable,
    /// It runs, or is about to.
    Busy,
}

impl Fleet {
    /// Sets how the time zones of schedules are found. Without this, all are UTC.
    pub fn use_zones(&mut self, zone_of: ZoneOf) {
        self.schedules.zone_of = zone_of;
    }

    /// Adds the last runs that earlier daemons have stored. Runs that this daemon knows are kept if they are newer.
    pub fn add_runs(&mut self, stored: impl IntoIterator<Item = (QualifiedName, ProgramRuns)>) {
        for (process, runs) in stored {
            let known = self.schedules.runs.entry(process).or_default();
            if runs.is_newer_than(known) {
                *known = runs;
            }
        }
    }

    /// Returns when [`super::Input::DeadlineReached`] is due on the wall clock. `None`: at no time.
    #[must_use]
    pub fn next_wall_deadline(&self) -> Option<Wall> {
        self.schedules.next_wall().filter(|_| self.runs_schedules())
    }

    /// Returns when a run is due on the monotonic clock. [`Tick::NEVER`]: at no time.
    pub(super) fn next_interval(&self) -> Tick {
        match self.runs_schedules() {
            true => self.schedules.next_mono(),
            false => Tick::NEVER,
        }
    }

    /// Whether programs are started by their schedules: not while the daemon stops.
    fn runs_schedules(&self) -> bool {
        self.daemon.state == SupervisorState::Running
    }

    /// Adapts all schedules to a clock that was set.
    pub(super) fn clock_set(&mut self, now: Now) {
        for slot in self.schedules.slots() {
            self.schedules
                .change(slot, |schedule| schedule.clock_set(now));
        }
    }

    /// Starts the runs that are due, and those that waited for the end of another run. Returns whether there was one.
    pub(super) fn run_schedules(&mut self, now: Now, out: &mut Actions) -> bool {
        self.begin_schedules(now);
        if self.schedules.is_empty() || !self.runs_schedules() {
            return false;
        }
        let mut has_run = false;
        // The loop ends, because a schedule that was taken is due later than now.
        while let Some(slot) = self.schedules.due(now.mono, now.wall) {
            let due = self
                .schedules
                .change(slot, |schedule| schedule.take_due(now));
            let Some(due) = due.flatten() else {
                break;
            };
            self.run_due(slot, due, now, out);
            has_run = true;
        }
        for slot in self.schedules.waiting() {
            has_run |= self.start_waiting_run(slot, now, out);
        }
        has_run
    }

    /// Begins the schedules of processes that were added or restored.
    pub(super) fn begin_schedules(&mut self, now: Now) {
        for slot in std::mem::take(&mut self.schedules.new) {
            self.begin_schedule(slot, now);
        }
    }

    fn begin_schedule(&mut self, slot: u32, now: Now) {
        let restored = self.schedules.restored.remove(&slot);
        let Some(process) = self.slots.get(slot) else {
            return;
        };
        let name = name_of(process);
        let text = name.to_string();
        let seed = text.bytes().fold(self.daemon.identity.seed, |seed, byte| {
            mixed(seed ^ u64::from(byte))
        });
        let spec = process.spec.schedule.as_ref();
        let Some(mut schedule) =
            spec.and_then(|spec| Schedule::new(spec, self.schedules.zone_of, seed))
        else {
            return;
        };
        // A copy of this daemon's own state goes on as it is.
        let is_of_another_daemon = restored.is_none() || self.schedules.is_stale;
        match restored {
            Some(state) => {
                schedule.state = state;
                let is_stale = self.schedules.is_stale;
                let spawned = Now {
                    mono: process.run.spawned_at,
                    wall: Wall(process.run.start.saturating_mul(1_000_000_000)),
                };
                if is_stale {
                    schedule.resume(spawned, now);
                }
            }
            None => {
                let runs = self.schedules.runs.get(&name);
                let last = runs.and_then(|runs| runs.last);
                let last = last.map(|last| Wall(last.saturating_mul(1_000_000_000)));
                schedule.begin(last, now);
            }
        }
        if is_of_another_daemon
            && process.run.stage.instance().is_none()
            && let Some(runs) = self.schedules.runs.get_mut(&name)
        {
            runs.lose_open_run();
        }
        self.schedules.insert(slot, schedule);
    }

    /// Does what `cron_missed` and `cron_overlap` say about a run that is due.
    fn run_due(&mut self, slot: u32, due: DueRun, now: Now, out: &mut Actions) {
        let (Some(process), Some(schedule)) = (self.slots.get(slot), self.schedules.get(slot))
        else {
            return;
        };
        let name = process.spec.name.clone();
        let when = schedule.zone.show(due.when);
        let (overlap, missed) = (schedule.spec.overlap, schedule.spec.missed);
        let last = schedule.state.last;
        let runs = self.schedules.runs.entry(name_of(process)).or_default();
        runs.last = last.map(Wall::secs).or(runs.last);
        if due.is_late {
            self.schedules
                .change(slot, |schedule| schedule.state.missed += 1);
            let name = name.clone();
            let when = when.clone();
            out.push(Action::Log(match missed {
                CronMissed::Skip => Line::RunMissed { name, when },
                CronMissed::Once => Line::RunMadeUp { name, when },
            }));
            if missed == CronMissed::Skip {
                return self.store_runs(slot, out);
            }
        }
        match readiness(self.slots.get(slot)) {
            Readiness::Startable => {
                self.start_with_dependencies(slot, StartedBy::Group, now, out);
            }
            Readiness::Busy => {
                let pending = match overlap {
                    CronOverlap::Skip => None,
                    CronOverlap::Queue => Some(PendingRun::Queued),
                    CronOverlap::Kill => Some(PendingRun::Killing),
                };
                self.schedules.change(slot, |schedule| {
                    // At most one run waits, so this one is skipped.
                    if pending.is_none() || schedule.state.pending.is_some() {
                        schedule.state.skipped += 1;
                    }
                    schedule.state.pending = pending.or(schedule.state.pending);
                });
                out.push(Action::Log(match overlap {
                    CronOverlap::Skip => Line::RunSkipped { name, when },
                    CronOverlap::Queue => Line::RunQueued { name, when },
                    CronOverlap::Kill => Line::RunReplaces { name, when },
                }));
                if overlap == CronOverlap::Kill {
                    self.stop_in_order(slot, Trigger::Stop, now, out);
                }
            }
        }
        self.store_runs(slot, out);
    }

    /// Starts a run that waited, if the present one has ended. A run that waited for a program that was then stopped by
    /// hand is dropped. Returns whether it waits no longer.
    fn start_waiting_run(&mut self, slot: u32, now: Now, out: &mut Actions) -> bool {
        let schedule = self.schedules.get(slot);
        let pending = schedule.and_then(|schedule| schedule.state.pending);
        let process = self.slots.get(slot);
        let (Some(pending), Readiness::Startable) = (pending, readiness(process)) else {
            return false;
        };
        let is_stopped = process.is_some_and(|process| process.state() == ProcessState::Stopped);
        self.schedules
            .change(slot, |schedule| schedule.state.pending = None);
        if pending == PendingRun::Killing || !is_stopped {
            self.start_with_dependencies(slot, StartedBy::Group, now, out);
        }
        true
    }

    /// Records the begin or the end of a run. `before`: the stage before the change.
    pub(super) fn note_run(&mut self, slot: u32, before: &Stage, now: Now, out: &mut Actions) {
        let Some(process) = self.slots.get(slot) else {
            return;
        };
        if process.spec.schedule.is_none() {
            return;
        }
        let after = *process.run.stage;
        let was_alive = before.pid() != 0;
        let is_alive = after.pid() != 0;
        let has_failed = matches!(before, Stage::Attempt { .. })
            && matches!(after, Stage::Idle(Idle::Backoff { .. } | Idle::Fatal));
        let runs = self.schedules.runs.entry(name_of(process)).or_default();
        if is_alive && !was_alive {
            runs.begin(process.run.start);
        } else if was_alive && !is_alive {
            runs.end(process.run.stop, result_of(process));
        } else if has_failed {
            runs.end(now.wall.secs(), result_of(process));
        } else {
            return;
        }
        self.store_runs(slot, out);
    }

    /// Has the shell store the last runs of a process.
    fn store_runs(&self, slot: u32, out: &mut Actions) {
        if let Some(process) = self.slots.get(slot) {
            let process = name_of(process);
            if let Some(runs) = self.schedules.runs.get(&process) {
                let runs = Arc::new(runs.clone());
                out.push(Action::StoreRuns(process, runs));
            }
        }
    }

    /// Returns when a process runs next, in seconds since the epoch. `None`: it has no schedule.
    pub(super) fn next_run(&self, process: &Process, slot: u32, now: Now) -> Option<i64> {
        process.spec.schedule.as_ref()?;
        let next = self.schedules.get(slot)?.next_wall(now)?;
        // Round up: the start is not before this second.
        Some(Wall(next.0.saturating_add(999_999_999)).secs())
    }

    /// Returns the schedules of the processes that `names` mean, one per line. No names: all.
    pub(super) fn schedule_lines(&self, names: &[String], scope: &AccessScope, now: Now) -> Reply {
        let slots = self.slots_asked(names, scope);
        let line = |&slot: &u32| {
            let process = self.slots.get(slot)?;
            let schedule = self.schedules.get(slot)?;
            let next = self.next_run(process, slot, now);
            let show = |next: i64| schedule.zone.show(Wall(next.saturating_mul(1_000_000_000)));
            Some(format!(
                "{}\t{}\t{}\t{}\t{}\t{}",
                name_of(process),
                next.unwrap_or_default(),
                next.map(show).unwrap_or_default(),
                schedule.state.skipped,
                schedule.state.missed,
                schedule.spec.cron,
            ))
        };
        Reply::Lines(slots.iter().filter_map(line).collect())
    }

    /// Returns the last runs of a process, one per line.
    pub(super) fn run_lines(&self, slot: u32) -> Reply {
        let process = self.slots.get(slot).map(name_of);
        let runs = process.and_then(|name| self.schedules.runs.get(&name));
        let zone = match self.schedules.get(slot) {
            Some(schedule) => schedule.zone.clone(),
            None => (self.schedules.zone_of)(None),
        };
        let show = |time: i64| zone.show(Wall(time.saturating_mul(1_000_000_000)));
        let lines = runs.into_iter().flat_map(|runs| &runs.runs).map(|run| {
            format!(
                "{}\t{}\t{}\t{}\t{}",
                run.start,
                show(run.start),
                run.end.unwrap_or_default(),
                run.end.map(show).unwrap_or_default(),
                match run.result.as_str() {
                    "" => "running",
                    result => result,
                }
            )
        });
        Reply::Lines(lines.collect())
    }

    /// Returns all last runs, for a daemon that takes over.
    pub(super) fn all_runs(&self) -> Vec<(QualifiedName, ProgramRuns)> {
        self.schedules.runs.clone().into_iter().collect()
    }

    /// Enters the schedule of a process that is added.
    pub(super) fn add_schedule(&mut self, slot: u32) {
        let process = self.slots.get(slot);
        if process.is_some_and(|process| process.spec.schedule.is_some()) {
            self.schedules.new.push(slot);
        }
    }
}

fn name_of(process: &Process) -> QualifiedName {
    QualifiedName {
        group: process.spec.group.clone(),
        process: process.spec.name.clone(),
    }
}

fn readiness(process: Option<&Process>) -> Readiness {
    match process.map(|process| *process.run.stage) {
        Some(Stage::Idle(Idle::Stopped | Idle::Exited { .. } | Idle::Fatal)) => {
            Readiness::Startable
        }
        Some(_) | None => Readiness::Busy,
    }
}

/// How the last run of a process ended, for people.
fn result_of(process: &Process) -> String {
    match &process.run.exit_reason {
        None => String::new(),
        Some(ExitReason::NotSpawned(error)) => error.to_string(),
        Some(ExitReason::OnRequest(status)) => format!("stopped: {status}"),
        Some(ExitReason::Unhealthy(status)) => format!("unhealthy: {status}"),
        Some(ExitReason::Watchdog(status)) => format!("watchdog timeout: {status}"),
        Some(
            ExitReason::TooQuick(status)
            | ExitReason::Unready(status)
            | ExitReason::NotReady(status)
            | ExitReason::ByItself(status),
        ) => status.to_string(),
    }
}
