//! The active groups and the seats of their processes: who is where, found by name. It must not know what processes do.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::process::{NextAttempt, Process};
use super::stage::Stage;
use crate::config::spec::GroupSpec;
use crate::domain::{GroupName, Life};

/// An active group.
#[derive(Debug)]
pub(super) struct Group {
    /// Its configuration when it was added, with what was changed at run time since.
    pub(super) spec: Arc<GroupSpec>,
    /// Tells the order in which groups were added.
    pub(super) added: u64,
    /// Slots of its processes, in the order of the configuration.
    pub(super) slots: Vec<u32>,
    /// The same by the name of the process.
    pub(super) by_name: Vec<u32>,
    /// How many of its processes are in no stopped state.
    pub(super) unstopped: u32,
}

/// What one slot holds.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every seat is taken, so a box would cost more than it saves"
)]
pub(super) enum Seat {
    /// Nothing.
    Empty,
    /// A process.
    Taken(Process),
    /// A process that was removed while it lived on (it was UNKNOWN): the slot stays taken until it has ended, so that
    /// never two of one slot live.
    Ghost(Life),
}

/// The slots.
#[derive(Debug, Default)]
pub(super) struct Seats {
    /// By number.
    pub(super) seats: Vec<Seat>,
    /// Numbers of the empty ones.
    pub(super) free: Vec<u32>,
}

impl Seats {
    /// The process of a slot.
    pub(super) fn get(&self, slot: u32) -> Option<&Process> {
        match self.seats.get(slot as usize) {
            Some(Seat::Taken(process)) => Some(process),
            Some(Seat::Empty | Seat::Ghost(_)) | None => None,
        }
    }

    /// The process of a slot.
    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Process> {
        match self.seats.get_mut(slot as usize) {
            Some(Seat::Taken(process)) => Some(process),
            Some(Seat::Empty | Seat::Ghost(_)) | None => None,
        }
    }

    /// The process of a slot if this is its life now.
    pub(super) fn living(&self, life: Life) -> Option<&Process> {
        self.get(life.slot)
            .filter(|process| process.run.stage.life() == Some(life))
    }

    /// The attempt that was begun early and is to be this life, and where its process stands.
    pub(super) fn next_attempt(&mut self, life: Life) -> Option<(Stage, &mut NextAttempt)> {
        let run = &mut self.get_mut(life.slot)?.run;
        let next = run.next.as_deref_mut();
        Some((run.stage, next.filter(|next| next.life == life)?))
    }

    /// Seats a process; answers its slot.
    pub(super) fn seat(&mut self, process: Process) -> u32 {
        match self.free.pop() {
            Some(slot) => {
                self.seats[slot as usize] = Seat::Taken(process);
                slot
            }
            None => {
                self.seats.push(Seat::Taken(process));
                u32::try_from(self.seats.len() - 1)
                    .expect("invariant: 2^32 processes do not fit into memory")
            }
        }
    }

    /// Fills a seat that was written out.
    pub(super) fn put(&mut self, slot: u32, seat: Seat) {
        let place = slot as usize;
        while self.seats.len() <= place {
            self.seats.push(Seat::Empty);
        }
        self.seats[place] = seat;
    }

    /// Takes the process of a slot out.
    pub(super) fn vacate(&mut self, slot: u32) -> Option<Process> {
        let seat = self.seats.get_mut(slot as usize)?;
        let life = match seat {
            Seat::Taken(process) => process.run.stage.life(),
            Seat::Empty | Seat::Ghost(_) => return None,
        };
        let left = match life {
            Some(life) => Seat::Ghost(life),
            None => {
                self.free.push(slot);
                Seat::Empty
            }
        };
        match std::mem::replace(seat, left) {
            Seat::Taken(process) => Some(process),
            Seat::Empty | Seat::Ghost(_) => None,
        }
    }

    /// The end of a removed process's life is over: its slot is free. Answers whether it was one's.
    pub(super) fn lay_ghost(&mut self, life: Life) -> bool {
        if let Some(seat @ Seat::Ghost(_)) = self.seats.get_mut(life.slot as usize)
            && matches!(seat, Seat::Ghost(own) if *own == life)
        {
            *seat = Seat::Empty;
            self.free.push(life.slot);
            return true;
        }
        false
    }
}

/// The active groups by name.
pub(super) type Groups = BTreeMap<GroupName, Group>;

/// Groups in the order of starting: by priority, then as they were added.
pub(super) fn in_start_order(groups: &Groups) -> Vec<&Group> {
    let mut list: Vec<&Group> = groups.values().collect();
    list.sort_by_key(|group| (group.spec.priority, group.added));
    list
}

/// Groups in the order in which they were added.
pub(super) fn in_added_order(groups: &Groups) -> Vec<&Group> {
    let mut list: Vec<&Group> = groups.values().collect();
    list.sort_by_key(|group| group.added);
    list
}
