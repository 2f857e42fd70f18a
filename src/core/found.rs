//! Processes that run already when a fleet begins, though nobody has written down what became of them: they are taken over
//! as far as the configuration knows them. It must not know how they are found.

use std::sync::Arc;

use super::listener::Hearing;
use super::process::{Moment, Process};
use super::stage::Stage;
use super::tidings::Tidings;
use super::{Action, Actions, Fleet};
use crate::config::spec::{Config, ProcessSpec};
use crate::domain::{Causes, Life, Line, LogPaths, Now};

/// A process that runs already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Found {
    /// Its slot is one of [`Fleet::slots`]; nothing else has its incarnation.
    pub life: Life,
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
        let process = self.seats.get(slot)?;
        Some((Arc::clone(&process.spec), process.logs.clone()))
    }

    /// A fleet that has not begun, which will begin with these and go on counting after `lives`.
    #[must_use]
    pub fn with_found(mut self, lives: u64, found: Vec<Found>) -> Self {
        let greatest = found.iter().map(|found| found.life.incarnation).max();
        self.lives = self.lives.max(lives).max(greatest.unwrap_or(0));
        self.found = found;
        self
    }

    /// Takes over what runs already. Nothing was started yet.
    pub(super) fn take_in_found(&mut self, now: Now, out: &mut Actions) {
        for found in std::mem::take(&mut self.found) {
            self.step(found.life.slot, now, out, |process, moment| {
                process.found(found, moment);
            });
        }
    }
}

impl Process {
    /// It runs, and nobody knows for how long: it counts as RUNNING at once, since what would hurt it is not done on a guess.
    fn found(&mut self, found: Found, moment: &mut Moment<'_>) {
        let Found {
            life,
            pid,
            has_pipes,
            is_heard,
        } = found;
        // Who cannot be heard must not be ended for its silence.
        let notify = self.spec.notify;
        self.run.tidings = (notify.tells_ready() && is_heard)
            .then(|| Tidings::of_running(notify.watchdog, moment.now.mono));
        self.run.causes = Causes::NONE;
        self.run.start = moment.now.wall.secs();
        self.run.spawned_at = moment.now.mono;
        self.run.spawns = 1;
        let promote_at = moment.now.mono;
        let starting = Stage::Starting {
            life,
            pid,
            promote_at,
        };
        self.enter(starting, 0, false, moment);
        // Most listeners wait for an event at any moment, and one that is taken for another would wait for ever.
        if self.run.hearing.is_some() {
            self.run.hearing = Some(Hearing::Ready);
        }
        moment.out.push(Action::Adopt {
            life,
            pid,
            spec: Arc::clone(&self.spec),
            logs: self.logs.clone(),
            listener: self.run.hearing.as_ref().map(Hearing::state),
        });
        self.enter(Stage::Running { life, pid }, pid, false, moment);
        let name = self.spec.name.clone();
        Self::log(
            moment,
            if has_pipes {
                Line::FoundRunning { name, pid }
            } else {
                Line::FoundWithoutPipes { name, pid }
            },
        );
    }
}
