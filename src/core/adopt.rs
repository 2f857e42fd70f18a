//! Processes that run already when a fleet begins, though nobody has written down what became of them: they are taken over
//! as far as the configuration knows them. It must not know how they are found.

use std::sync::Arc;

use super::listener::ListenerStage;
use super::notify_state::NotifyState;
use super::process::{Ctx, Process};
use super::stage::Stage;
use super::{Action, Actions, Fleet};
use crate::config::spec::{Config, ProcessSpec};
use crate::domain::{InstanceId, Line, LogPaths, Now, ResourceEvents};

/// A process that runs already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AdoptedProcess {
    /// Its slot is one of [`Fleet::slots`]; nothing else has its incarnation.
    pub instance: InstanceId,
    /// The kernel's number.
    pub pid: i32,
    /// The other ends of its output are there too.
    pub has_pipes: bool,
    /// So is the socket on which it tells of itself.
    pub is_heard: bool,
}

impl Fleet {
    /// The slots that the processes of a configuration have in a fleet that begins with it.
    pub fn slots(config: &Config) -> impl Iterator<Item = (u32, &Arc<ProcessSpec>)> {
        let groups = config.groups.iter();
        (0..).zip(groups.flat_map(|group| &group.processes))
    }

    /// Where the process of this slot logs. `None`: the slot is empty.
    #[must_use]
    pub fn logs_of(&self, slot: u32) -> Option<(Arc<ProcessSpec>, LogPaths)> {
        let process = self.slots.get(slot)?;
        Some((Arc::clone(&process.spec), process.logs.clone()))
    }

    /// A fleet that has not begun, which will begin with these and go on counting after `instances`.
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

    /// Takes over what runs already. Nothing was started yet.
    pub(super) fn adopt_all(&mut self, now: Now, out: &mut Actions) {
        for found in std::mem::take(&mut self.found) {
            self.update_process(found.instance.slot, now, out, |process, ctx| {
                process.adopt_one(found, ctx);
            });
        }
    }
}

impl Process {
    /// It runs, and nobody knows for how long: it counts as RUNNING at once, since what would hurt it is not done on a guess.
    fn adopt_one(&mut self, found: AdoptedProcess, ctx: &mut Ctx<'_>) {
        let AdoptedProcess {
            instance,
            pid,
            has_pipes,
            is_heard,
        } = found;
        // Who cannot be heard must not be ended for its silence.
        let notify = self.spec.notify;
        self.run.notify_state = (notify.tells_ready() && is_heard)
            .then(|| NotifyState::of_running(notify.watchdog, ctx.now.mono));
        self.run.resource_events = ResourceEvents::NONE;
        self.run.start = ctx.now.wall.secs();
        self.run.spawned_at = ctx.now.mono;
        self.run.spawns = 1;
        let promote_at = ctx.now.mono;
        let starting = Stage::Starting {
            instance,
            pid,
            promote_at,
        };
        self.enter_stage(starting, 0, false, ctx);
        // Most listeners wait for an event at any moment, and one that is taken for another would wait for ever.
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
        self.enter_stage(Stage::Running { instance, pid }, pid, false, ctx);
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
