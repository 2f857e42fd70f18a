//! The schedules of all processes in the order in which they are due, and their last runs.

use std::collections::{BTreeMap, BTreeSet};

use super::schedule::{NextRun, Schedule, ScheduleState};
use crate::domain::{CronZone, ProgramRuns, QualifiedName, Tick, Wall, ZoneOf};

/// The schedules by slot.
#[derive(Debug)]
pub(super) struct Schedules {
    pub(super) zone_of: ZoneOf,
    by_slot: BTreeMap<u32, Schedule>,
    /// Slots with a schedule that has not begun.
    pub(super) new: Vec<u32>,
    /// What an earlier daemon left for slots in `new`.
    pub(super) restored: BTreeMap<u32, ScheduleState>,
    /// The earlier daemon may have ended without writing down all of that.
    pub(super) is_stale: bool,
    wall: BTreeSet<(Wall, u32)>,
    mono: BTreeSet<(Tick, u32)>,
    /// Slots with a run that waits.
    waiting: BTreeSet<u32>,
    /// The last runs, also of programs that are not active any more.
    pub(super) runs: BTreeMap<QualifiedName, ProgramRuns>,
}

impl Default for Schedules {
    fn default() -> Self {
        Self {
            zone_of: |_| CronZone::UTC,
            by_slot: BTreeMap::new(),
            new: Vec::new(),
            restored: BTreeMap::new(),
            is_stale: false,
            wall: BTreeSet::new(),
            mono: BTreeSet::new(),
            waiting: BTreeSet::new(),
            runs: BTreeMap::new(),
        }
    }
}

impl Schedules {
    /// Returns whether no process has a schedule.
    pub(super) fn is_empty(&self) -> bool {
        self.by_slot.is_empty() && self.new.is_empty()
    }

    /// Returns the schedule of a process. `None`: it has none, or it has not begun.
    pub(super) fn get(&self, slot: u32) -> Option<&Schedule> {
        self.by_slot.get(&slot)
    }

    /// Changes the schedule of a process, and enters when it is due.
    pub(super) fn change<R>(
        &mut self,
        slot: u32,
        act: impl FnOnce(&mut Schedule) -> R,
    ) -> Option<R> {
        let schedule = self.by_slot.get_mut(&slot)?;
        let before = schedule.next();
        let result = act(schedule);
        let (after, is_waiting) = (schedule.next(), schedule.state.pending.is_some());
        self.enter(slot, before, after);
        match is_waiting {
            true => self.waiting.insert(slot),
            false => self.waiting.remove(&slot),
        };
        Some(result)
    }

    /// Inserts a schedule that has begun.
    pub(super) fn insert(&mut self, slot: u32, schedule: Schedule) {
        self.by_slot.insert(slot, schedule);
        let next = self.get(slot).map_or(NextRun::Never, Schedule::next);
        self.enter(slot, NextRun::Never, next);
        self.change(slot, |_| {});
    }

    /// Removes the schedule of a process that is removed.
    pub(super) fn remove(&mut self, slot: u32) {
        self.new.retain(|&new| new != slot);
        self.restored.remove(&slot);
        self.waiting.remove(&slot);
        if let Some(schedule) = self.by_slot.remove(&slot) {
            self.enter(slot, schedule.next(), NextRun::Never);
        }
    }

    fn enter(&mut self, slot: u32, before: NextRun, after: NextRun) {
        if before == after {
            return;
        }
        match before {
            NextRun::Never => {}
            NextRun::At { start, .. } => {
                self.wall.remove(&(start, slot));
            }
            NextRun::After { start, .. } => {
                self.mono.remove(&(start, slot));
            }
        }
        match after {
            NextRun::Never => {}
            NextRun::At { start, .. } => {
                self.wall.insert((start, slot));
            }
            NextRun::After { start, .. } => {
                self.mono.insert((start, slot));
            }
        }
    }

    /// Returns the earliest run on the wall clock. `None`: there is none.
    pub(super) fn next_wall(&self) -> Option<Wall> {
        self.wall.first().map(|&(wall, _)| wall)
    }

    /// Returns the earliest run on the monotonic clock. [`Tick::NEVER`]: there is none.
    pub(super) fn next_mono(&self) -> Tick {
        self.mono.first().map_or(Tick::NEVER, |&(tick, _)| tick)
    }

    /// Returns a slot whose run is due. `None`: no run is due.
    pub(super) fn due(&self, mono: Tick, wall: Wall) -> Option<u32> {
        let wall = self.wall.first().filter(|&&(start, _)| start <= wall);
        let mono = self.mono.first().filter(|&&(start, _)| start <= mono);
        wall.map(|&(_, slot)| slot).or(mono.map(|&(_, slot)| slot))
    }

    /// Returns the slots with a run that waits.
    pub(super) fn waiting(&self) -> Vec<u32> {
        self.waiting.iter().copied().collect()
    }

    /// Returns all slots with a schedule that has begun.
    pub(super) fn slots(&self) -> Vec<u32> {
        self.by_slot.keys().copied().collect()
    }

    /// Returns the states for a daemon that takes over.
    pub(super) fn states(&self) -> Vec<(u32, ScheduleState)> {
        let states = self.by_slot.iter();
        let states = states.map(|(&slot, schedule)| (slot, schedule.state.clone()));
        states.chain(self.restored.clone()).collect()
    }
}
