//! Adoption of running processes at the start of a fleet, when no record of their state exists. The daemon finds them
//! in their cgroups; this module takes over those that the configuration knows.

use std::sync::Arc;

use super::adopted_process::AdoptedProcess;
use super::listener_stage::ListenerStage;
use super::notify_state::NotifyState;
use super::process::{Ctx, Process};
use super::stage::{AlivePhase, Stage};
use super::transitions::Trigger;
use super::{Action, Actions, Fleet};
use crate::config::spec::{Config, ProcessSpec};
use crate::domain::{Line, LogPaths, Now, ResourceEvents};

impl Fleet {
    /// Returns the slots that a fleet started with `config` gives to its processes.
    pub fn slots(config: &Config) -> impl Iterator<Item = (u32, &Arc<ProcessSpec>)> {
        let groups = config.groups.iter();
        (0..).zip(groups.flat_map(|group| &group.processes))
    }

    /// Returns the configuration and the log paths of the process in this slot. `None`: the slot is empty.
    #[must_use]
    pub fn logs_of(&self, slot: u32) -> Option<(Arc<ProcessSpec>, LogPaths)> {
        let process = self.slots.get(slot)?;
        Some((Arc::clone(&process.spec), process.logs.clone()))
    }

    /// Prepares a fleet that has not started to adopt `found` at its start. Its next instances get incarnations greater
    /// than `last_incarnation` and those of `found`.
    #[must_use]
    pub fn with_adopted(mut self, last_incarnation: u64, found: Vec<AdoptedProcess>) -> Self {
        let greatest = found.iter().map(|found| found.instance.incarnation).max();
        self.last_incarnation = self
            .last_incarnation
            .max(last_incarnation)
            .max(greatest.unwrap_or(0));
        self.found = found;
        self
    }

    /// Adopts the processes that already run. It must be called before any process is started.
    pub(super) fn adopt_all(&mut self, now: Now, out: &mut Actions) {
        for found in std::mem::take(&mut self.found) {
            self.update_process(
                found.instance.slot,
                Trigger::Adopted,
                now,
                out,
                |process, ctx| {
                    process.adopt_one(found, ctx);
                },
            );
        }
    }
}

impl Process {
    /// Adopts a process. Its start time is unknown, so it counts as RUNNING at once. A failure is never assumed on a
    /// guess.
    fn adopt_one(&mut self, found: AdoptedProcess, ctx: &mut Ctx<'_>) {
        if *self.run.stage != Stage::STOPPED {
            return;
        }
        let AdoptedProcess {
            instance,
            pid,
            has_pipes,
            is_heard,
        } = found;
        // Without its notify socket, a missing watchdog message proves nothing.
        let notify = self.spec.notify;
        self.run.notify_state = (notify.tells_ready() && is_heard)
            .then(|| NotifyState::of_running(notify.watchdog, ctx.now.mono));
        self.run.resource_events = ResourceEvents::NONE;
        self.run.start = ctx.now.wall.secs();
        self.run.spawned_at = ctx.now.mono;
        self.run.spawns = 1;
        let promote_at = ctx.now.mono;
        let starting = AlivePhase::Starting { promote_at };
        self.enter_stage(Stage::alive(instance, pid, starting), 0, false, ctx);
        // Most listeners wait for an event. If a waiting listener counted as busy, it would never get one.
        if self.run.listener.is_some() {
            self.run.listener = Some(ListenerStage::Ready);
        }
        ctx.out.push(Action::Adopt {
            instance,
            pid,
            spec: Arc::clone(&self.spec),
            logs: self.logs.clone(),
            listener: self.run.listener.as_ref().map(ListenerStage::state),
        });
        ctx.trigger = Trigger::Deadline;
        let to = Stage::alive(instance, pid, AlivePhase::Running);
        self.enter_stage(to, pid, false, ctx);
        let name = self.spec.name.clone();
        Self::log(
            ctx,
            if has_pipes {
                Line::FoundRunning { name, pid }
            } else {
                Line::FoundWithoutPipes { name, pid }
            },
        );
    }
}
