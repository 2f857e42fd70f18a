//! Reactions to changed files: the watches follow the active groups, changes are gathered, and then a script runs, signals
//! are sent, or the processes are stopped and started again.

use std::sync::Arc;

use super::change_state::ChangeState;
use super::process::{Ctx, Process};
use super::script_runs::{ScriptOwner, ScriptPurpose};
use super::stage::{Idle, Stage};
use super::transitions::Trigger;
use super::watch_table::{Watch, watches_of};
use super::{Action, Actions, Fleet, SignalScope};
use crate::config::spec::{ChangeReaction, Script, WatchSpec};
use crate::domain::{GroupName, Line, Now, ProcessState, Seconds, Signal, SupervisorState, Tick};
use crate::effects::{ScriptFailure, ScriptId, WatchEffect, WatchId, WatchKind, WatchOutcome};

/// Maximum seconds of a script that reacts to a change.
const SCRIPT_LIMIT: Seconds = Seconds(60);
/// A stream of changes is acted on after this many delays.
const DELAYS_MAX: i64 = 10;

/// Returns the key of the script for changes of this kind.
const fn script_key(kind: WatchKind) -> &'static str {
    match kind {
        WatchKind::Binary => "restart_cmd_when_binary_changed",
        WatchKind::Directory => "restart_cmd_when_file_changed",
    }
}

fn reaction(spec: &WatchSpec, kind: WatchKind) -> Option<&ChangeReaction> {
    match kind {
        WatchKind::Binary => spec.binary.as_ref().map(|binary| &binary.reaction),
        WatchKind::Directory => spec.directory.as_ref().map(|directory| &directory.reaction),
    }
}

impl Fleet {
    /// Compares the watches with the groups that changed, and asks the shell for the differences.
    pub(super) fn update_watches(&mut self, out: &mut Actions) {
        let mut stale = std::mem::take(&mut self.watches.stale);
        stale.sort_unstable();
        stale.dedup();
        for name in stale {
            let wanted = match self.groups.get(&name) {
                Some(group) => watches_of(group, &self.slots),
                None => Vec::new(),
            };
            let had = self.watches.by_group.remove(&name).unwrap_or_default();
            let is_same = |a: &Watch, b: &Watch| a.id == b.id && a.spec == b.spec;
            for watch in &had {
                if !wanted.iter().any(|other| other.id == watch.id) {
                    out.push(Action::Watch(WatchEffect::Clear(watch.id)));
                }
            }
            for watch in &wanted {
                if !had.iter().any(|other| is_same(other, watch)) {
                    self.set_watch(watch, out);
                }
            }
            if !wanted.is_empty() {
                self.watches.by_group.insert(name, wanted);
            }
        }
    }

    /// Asks the shell for all watches again.
    pub(super) fn set_watches_again(&mut self, out: &mut Actions) {
        for watch in self.watches.by_group.values().flatten() {
            self.set_watch(watch, out);
        }
    }

    fn set_watch(&self, watch: &Watch, out: &mut Actions) {
        if let Some(process) = self.slots.get(watch.id.slot) {
            out.push(Action::Watch(WatchEffect::Set {
                id: watch.id,
                watch: Arc::clone(&watch.spec),
                spec: Arc::clone(&process.spec),
            }));
        }
    }

    /// Notes a group whose processes change.
    pub(super) fn note_watches_of(&mut self, group: &GroupName) {
        if self.watches.stale.last() != Some(group) {
            self.watches.stale.push(group.clone());
        }
    }

    /// Returns the watch with this ID. `None`: it was ended.
    fn watch(&self, id: WatchId) -> Option<&Watch> {
        let process = self.slots.get(id.slot)?;
        self.watches.find(&process.spec.group, id)
    }

    /// Gathers a change.
    pub(super) fn watch_outcome(&mut self, outcome: WatchOutcome, now: Now, out: &mut Actions) {
        let WatchOutcome::Changed { id, kind, path } = outcome;
        let Some(watch) = self.watch(id) else {
            return;
        };
        if reaction(&watch.spec, kind).is_none() {
            return;
        }
        let delay = watch.spec.delay;
        self.update_process(id.slot, Trigger::Other, now, out, |process, ctx| {
            process.file_changed(kind, path, delay, ctx);
        });
    }

    /// Acts on the changes that the process in `slot` holds, if they are due.
    pub(super) fn act_on_changes(&mut self, slot: u32, now: Now, out: &mut Actions) {
        let Some(process) = self.slots.get(slot) else {
            return;
        };
        let is_due = process
            .run
            .changes
            .as_ref()
            .is_some_and(|changes| changes.due <= now.mono);
        if !is_due {
            return;
        }
        let id = WatchId {
            slot,
            slot_generation: process.slot_generation,
        };
        let watch = self.watch(id).cloned();
        let mut due = Vec::new();
        self.update_process(slot, Trigger::Other, now, out, |process, ctx| {
            let delay = watch.as_ref().map_or(Seconds(1), |watch| watch.spec.delay);
            due = process.take_changes(delay, ctx);
        });
        // Without the watch, the changes are about files that count no more.
        if let Some(watch) = watch
            && self.daemon.state == SupervisorState::Running
        {
            self.react(&watch, due, now, out);
        }
    }

    fn react(&mut self, watch: &Watch, due: Vec<(WatchKind, String)>, now: Now, out: &mut Actions) {
        let up: Vec<u32> = watch
            .slots
            .iter()
            .copied()
            .filter(|&slot| self.slots.get(slot).is_some_and(Process::follows_changes))
            .collect();
        let Some(&first) = up.first() else {
            return;
        };
        let mut restart = None;
        for (kind, path) in due {
            match reaction(&watch.spec, kind) {
                Some(ChangeReaction::Script(script)) => {
                    self.run_change_script(watch.id, first, script, (kind, path), now, out);
                }
                Some(ChangeReaction::Signals(signals)) => {
                    for &slot in &up {
                        self.update_process(slot, Trigger::Other, now, out, |process, ctx| {
                            process.signal_after_change(signals, &path, ctx);
                        });
                    }
                }
                Some(ChangeReaction::Restart) => restart = restart.or(Some(path)),
                None => {}
            }
        }
        let Some(path) = restart else {
            return;
        };
        for &slot in &up {
            self.restart_after_change(slot, &path, now, out);
        }
    }

    /// Stops a process, which starts again when it has stopped. The reaction to another process may have changed it.
    fn restart_after_change(&mut self, slot: u32, path: &str, now: Now, out: &mut Actions) {
        if !self.slots.get(slot).is_some_and(Process::follows_changes) {
            return;
        }
        self.update_process(slot, Trigger::Other, now, out, |process, ctx| {
            process.log_change(path, "restarting", ctx);
        });
        self.stop_in_order(slot, Trigger::Stop, now, out);
        self.update_process(slot, Trigger::Other, now, out, |process, _| {
            process.run.restart_after_change = true;
        });
    }

    /// Runs the script of a watch for the process in `slot`.
    fn run_change_script(
        &mut self,
        id: WatchId,
        slot: u32,
        script: &Script,
        (kind, path): (WatchKind, String),
        now: Now,
        out: &mut Actions,
    ) {
        let mut run = None;
        let changed = path.clone();
        self.update_process(slot, Trigger::Other, now, out, |process, ctx| {
            run = Some(process.run_change_script(slot, script, (kind, &changed), id, ctx));
        });
        self.update_process(id.slot, Trigger::Other, now, out, |process, _| {
            let changes = process.run.changes.get_or_insert_with(ChangeState::boxed);
            changes.running = run.map(|run| (run, kind, path));
        });
    }

    /// Handles the end of the script of a watch.
    pub(super) fn change_script_ended(
        &mut self,
        (id, owner): (ScriptId, ScriptOwner),
        (kind, watch): (WatchKind, WatchId),
        (failure, output): (Option<ScriptFailure>, &str),
        now: Now,
        out: &mut Actions,
    ) {
        let is_there = |slot: u32, generation: u64| {
            let process = self.slots.get(slot);
            process.is_some_and(|process| process.slot_generation == generation)
        };
        let is_watch_there = is_there(watch.slot, watch.slot_generation);
        if is_there(owner.slot, owner.slot_generation) {
            self.update_process(owner.slot, Trigger::Other, now, out, |process, ctx| {
                process.log_failure(script_key(kind), failure, output, ctx);
            });
        }
        if is_watch_there {
            self.update_process(watch.slot, Trigger::Other, now, out, |process, _| {
                process.end_change_script(id);
            });
        }
    }
}

impl ChangeState {
    fn boxed() -> Box<Self> {
        Box::new(Self::new())
    }
}

impl Process {
    /// Returns whether a change of a file concerns the process: it is STARTING or RUNNING, has not exited,
    /// and is not on hold.
    fn follows_changes(&self) -> bool {
        matches!(self.state(), ProcessState::Starting | ProcessState::Running)
            && !matches!(*self.run.stage, Stage::Reaped { .. })
            && !self.is_on_hold()
    }

    /// Returns when the changes are acted on, or when the stopped process starts again. [`Tick::NEVER`]: neither.
    pub(super) fn change_deadline(&self) -> Tick {
        if self.is_start_due() {
            return Tick(0);
        }
        self.run
            .changes
            .as_ref()
            .map_or(Tick::NEVER, |changes| changes.due)
    }

    /// Returns whether the process has stopped and is to start again because of a change.
    pub(super) fn is_start_due(&self) -> bool {
        self.run.restart_after_change && matches!(*self.run.stage, Stage::Idle(Idle::Stopped))
    }

    /// Starts the process that was stopped because of a change.
    pub(super) fn start_after_change(&mut self, slot: u32, ctx: &mut Ctx<'_>) {
        self.run.restart_after_change = false;
        if ctx.may_start {
            self.start(slot, ctx);
        }
    }

    /// Notes a changed file. Further changes postpone the reaction.
    fn file_changed(&mut self, kind: WatchKind, path: String, delay: Seconds, ctx: &Ctx<'_>) {
        let changes = self.run.changes.get_or_insert_with(ChangeState::boxed);
        let now = ctx.now.mono;
        if changes.due == Tick::NEVER {
            changes.latest = now + Seconds(delay.0.saturating_mul(DELAYS_MAX));
        }
        changes.due = (now + delay).min(changes.latest);
        changes.path(kind).get_or_insert(path);
    }

    /// Takes the changes, or postpones them if the script of earlier changes still runs.
    fn take_changes(&mut self, delay: Seconds, ctx: &Ctx<'_>) -> Vec<(WatchKind, String)> {
        let Some(changes) = &mut self.run.changes else {
            return Vec::new();
        };
        if changes.running.is_some() {
            changes.due = ctx.now.mono + Seconds(delay.0.max(1));
            return Vec::new();
        }
        changes.due = Tick::NEVER;
        let binary = changes.binary.take().map(|path| (WatchKind::Binary, path));
        let directory = changes.directory.take();
        let directory = directory.map(|path| (WatchKind::Directory, path));
        self.run.changes = None;
        binary.into_iter().chain(directory).collect()
    }

    /// Acts again on the changes whose script the previous daemon has killed.
    pub(super) fn resume_changes(&mut self, ctx: &Ctx<'_>) {
        if let Some(changes) = &mut self.run.changes
            && let Some((_, kind, path)) = changes.running.take()
        {
            changes.path(kind).get_or_insert(path);
            changes.due = changes.due.min(ctx.now.mono);
        }
    }

    fn end_change_script(&mut self, id: ScriptId) {
        if let Some(changes) = &mut self.run.changes
            && matches!(&changes.running, Some((running, ..)) if *running == id)
        {
            changes.running = None;
            if changes.is_empty() {
                self.run.changes = None;
            }
        }
    }

    fn log_change(&self, path: &str, action: &str, ctx: &mut Ctx<'_>) {
        let line = Line::FileChanged {
            name: self.spec.name.clone(),
            path: path.to_owned(),
            action: action.to_owned(),
        };
        Self::log(ctx, line);
    }

    fn run_change_script(
        &self,
        slot: u32,
        script: &Script,
        (kind, path): (WatchKind, &str),
        watch: WatchId,
        ctx: &mut Ctx<'_>,
    ) -> ScriptId {
        let key = script_key(kind);
        self.log_change(path, &format!("running {key}"), ctx);
        let mut variables = vec![
            ("SUPERVISOR_HOOK".to_owned(), key.to_owned()),
            ("SUPERVISOR_CHANGED_FILE".to_owned(), path.to_owned()),
        ];
        if let Some((_, pid)) = self.run.stage.reachable() {
            variables.push(("SUPERVISOR_PID".to_owned(), pid.to_string()));
        }
        let (watch_slot, watch_generation) = (watch.slot, watch.slot_generation);
        let purpose = ScriptPurpose::Changed {
            kind,
            watch_slot,
            watch_generation,
        };
        ctx.run_script(self, slot, purpose, script, (variables, SCRIPT_LIMIT))
    }

    fn signal_after_change(&self, signals: &[Signal], path: &str, ctx: &mut Ctx<'_>) {
        // An attempt without a process starts with the changed file.
        let Some((instance, _)) = self.run.stage.reachable() else {
            return;
        };
        let names: Vec<String> = signals.iter().map(ToString::to_string).collect();
        self.log_change(path, &format!("sending {}", names.join(", ")), ctx);
        for &signal in signals {
            Self::push_signal(instance, signal, SignalScope::Group, ctx);
        }
    }
}
