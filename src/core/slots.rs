//! The active groups and the slots of their processes: who is where, found by name. It must not know what processes do.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::process::{NextAttempt, Process};
use super::stage::Stage;
use crate::config::spec::GroupSpec;
use crate::domain::{GroupName, InstanceId};

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
pub(super) enum SlotEntry {
    /// Nothing.
    Empty,
    /// A process.
    Taken(Process),
    /// A process that was removed while it lived on (it was UNKNOWN): the slot stays taken until it has ended, so that
    /// never two of one slot live.
    ReleasedOrphan(InstanceId),
}

/// The slots.
#[derive(Debug, Default)]
pub(super) struct SlotTable {
    /// By number.
    pub(super) entries: Vec<SlotEntry>,
    /// Numbers of the empty ones.
    pub(super) free: Vec<u32>,
}

impl SlotTable {
    /// The process of a slot.
    pub(super) fn get(&self, slot: u32) -> Option<&Process> {
        match self.entries.get(slot as usize) {
            Some(SlotEntry::Taken(process)) => Some(process),
            Some(SlotEntry::Empty | SlotEntry::ReleasedOrphan(_)) | None => None,
        }
    }

    /// The process of a slot.
    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Process> {
        match self.entries.get_mut(slot as usize) {
            Some(SlotEntry::Taken(process)) => Some(process),
            Some(SlotEntry::Empty | SlotEntry::ReleasedOrphan(_)) | None => None,
        }
    }

    /// The process of a slot if this is its instance now.
    pub(super) fn process_of(&self, instance: InstanceId) -> Option<&Process> {
        self.get(instance.slot)
            .filter(|process| process.run.stage.instance() == Some(instance))
    }

    /// The attempt that was begun early and is to be this instance, and where its process stands.
    pub(super) fn next_attempt(
        &mut self,
        instance: InstanceId,
    ) -> Option<(Stage, &mut NextAttempt)> {
        let run = &mut self.get_mut(instance.slot)?.run;
        let next = run.next.as_deref_mut();
        Some((run.stage, next.filter(|next| next.instance == instance)?))
    }

    /// Inserts a process; answers its slot.
    pub(super) fn insert(&mut self, process: Process) -> u32 {
        match self.free.pop() {
            Some(slot) => {
                self.entries[slot as usize] = SlotEntry::Taken(process);
                slot
            }
            None => {
                self.entries.push(SlotEntry::Taken(process));
                u32::try_from(self.entries.len() - 1)
                    .expect("invariant: 2^32 processes do not fit into memory")
            }
        }
    }

    /// Fills a slot that was written out.
    pub(super) fn set(&mut self, slot: u32, seat: SlotEntry) {
        let place = slot as usize;
        while self.entries.len() <= place {
            self.entries.push(SlotEntry::Empty);
        }
        self.entries[place] = seat;
    }

    /// Takes the process of a slot out.
    pub(super) fn remove(&mut self, slot: u32) -> Option<Process> {
        let seat = self.entries.get_mut(slot as usize)?;
        let instance = match seat {
            SlotEntry::Taken(process) => process.run.stage.instance(),
            SlotEntry::Empty | SlotEntry::ReleasedOrphan(_) => return None,
        };
        let left = match instance {
            Some(instance) => SlotEntry::ReleasedOrphan(instance),
            None => {
                self.free.push(slot);
                SlotEntry::Empty
            }
        };
        match std::mem::replace(seat, left) {
            SlotEntry::Taken(process) => Some(process),
            SlotEntry::Empty | SlotEntry::ReleasedOrphan(_) => None,
        }
    }

    /// The end of a removed process's instance has ended: its slot is free. Answers whether it was one's.
    pub(super) fn release_orphan(&mut self, instance: InstanceId) -> bool {
        if let Some(seat @ SlotEntry::ReleasedOrphan(_)) =
            self.entries.get_mut(instance.slot as usize)
            && matches!(seat, SlotEntry::ReleasedOrphan(own) if *own == instance)
        {
            *seat = SlotEntry::Empty;
            self.free.push(instance.slot);
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
