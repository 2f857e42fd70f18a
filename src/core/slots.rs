//! The active groups and the table of slots that hold their processes.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::process::{NextAttempt, Process};
use super::stage::Stage;
use crate::config::spec::GroupSpec;
use crate::domain::{GroupName, InstanceId};

/// An active group.
#[derive(Debug)]
pub(super) struct Group {
    /// The configuration from when the group was added, with later changes at run time.
    pub(super) spec: Arc<GroupSpec>,
    /// A number that increases with each added group.
    pub(super) added: u64,
    /// The slots of its processes, in the order of the configuration.
    pub(super) slots: Vec<u32>,
    /// The same slots, ordered by process name.
    pub(super) by_name: Vec<u32>,
    /// The number of its processes that are not in a stopped state.
    pub(super) unstopped: u32,
}

/// The content of one slot.
#[derive(Debug)]
#[expect(
    clippy::large_enum_variant,
    reason = "nearly every entry is taken, so a box would cost more than it saves"
)]
pub(super) enum SlotEntry {
    /// No process.
    Empty,
    /// A process.
    Taken(Process),
    /// A process that was removed while it still ran (it was UNKNOWN). The slot stays occupied until the process exits,
    /// so that a slot never has two running processes.
    ReleasedOrphan(InstanceId),
}

/// The table of slots.
#[derive(Debug, Default)]
pub(super) struct SlotTable {
    /// The slots by number.
    pub(super) entries: Vec<SlotEntry>,
    /// The numbers of empty slots.
    pub(super) free: Vec<u32>,
}

impl SlotTable {
    /// Returns the process in a slot.
    pub(super) fn get(&self, slot: u32) -> Option<&Process> {
        match self.entries.get(slot as usize) {
            Some(SlotEntry::Taken(process)) => Some(process),
            Some(SlotEntry::Empty | SlotEntry::ReleasedOrphan(_)) | None => None,
        }
    }

    /// Returns the process in a slot.
    pub(super) fn get_mut(&mut self, slot: u32) -> Option<&mut Process> {
        match self.entries.get_mut(slot as usize) {
            Some(SlotEntry::Taken(process)) => Some(process),
            Some(SlotEntry::Empty | SlotEntry::ReleasedOrphan(_)) | None => None,
        }
    }

    /// Returns the process in the slot of `instance` if it is its current instance.
    pub(super) fn process_of(&self, instance: InstanceId) -> Option<&Process> {
        self.get(instance.slot)
            .filter(|process| process.run.stage.instance() == Some(instance))
    }

    /// Returns the early next attempt with this instance, and the stage of its process.
    pub(super) fn next_attempt(
        &mut self,
        instance: InstanceId,
    ) -> Option<(Stage, &mut NextAttempt)> {
        let run = &mut self.get_mut(instance.slot)?.run;
        let next = run.next.as_deref_mut();
        Some((*run.stage, next.filter(|next| next.instance == instance)?))
    }

    /// Inserts a process and returns its slot.
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

    /// Fills a slot from a snapshot.
    pub(super) fn set(&mut self, slot: u32, entry: SlotEntry) {
        let place = slot as usize;
        while self.entries.len() <= place {
            self.entries.push(SlotEntry::Empty);
        }
        self.entries[place] = entry;
    }

    /// Removes the process from a slot.
    pub(super) fn remove(&mut self, slot: u32) -> Option<Process> {
        let entry = self.entries.get_mut(slot as usize)?;
        let instance = match entry {
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
        match std::mem::replace(entry, left) {
            SlotEntry::Taken(process) => Some(process),
            SlotEntry::Empty | SlotEntry::ReleasedOrphan(_) => None,
        }
    }

    /// Frees the slot of a removed process after the exit of `instance`. Returns whether there was such a slot.
    pub(super) fn release_orphan(&mut self, instance: InstanceId) -> bool {
        if let Some(entry @ SlotEntry::ReleasedOrphan(_)) =
            self.entries.get_mut(instance.slot as usize)
            && matches!(entry, SlotEntry::ReleasedOrphan(own) if *own == instance)
        {
            *entry = SlotEntry::Empty;
            self.free.push(instance.slot);
            return true;
        }
        false
    }
}

/// The active groups by name.
pub(super) type Groups = BTreeMap<GroupName, Group>;

/// Returns the groups in starting order: by priority, then in the order in which they were added.
pub(super) fn in_start_order(groups: &Groups) -> Vec<&Group> {
    let mut list: Vec<&Group> = groups.values().collect();
    list.sort_by_key(|group| (group.spec.priority, group.added));
    list
}

/// Returns the groups in the order in which they were added.
pub(super) fn in_added_order(groups: &Groups) -> Vec<&Group> {
    let mut list: Vec<&Group> = groups.values().collect();
    list.sort_by_key(|group| group.added);
    list
}
