//! The watches that the shell was asked for. They follow from the active groups.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::slots::{Group, SlotTable};
use crate::config::spec::WatchSpec;
use crate::domain::{GroupName, ProcessName};
use crate::effects::WatchId;

/// A watch and the processes that it serves.
#[derive(Debug, Clone)]
pub(super) struct Watch {
    pub(super) id: WatchId,
    pub(super) spec: Arc<WatchSpec>,
    /// The slots of the processes, the first one first.
    pub(super) slots: Vec<u32>,
}

/// The watches of all groups that have some.
#[derive(Debug, Default)]
pub(super) struct WatchTable {
    pub(super) by_group: BTreeMap<GroupName, Vec<Watch>>,
    /// Groups whose processes changed since the watches were last compared with them. Empty between two inputs.
    pub(super) stale: Vec<GroupName>,
}

impl WatchTable {
    /// Returns the watch with its ID.
    pub(super) fn find(&self, group: &GroupName, id: WatchId) -> Option<&Watch> {
        let watches = self.by_group.get(group)?;
        watches.iter().find(|watch| watch.id == id)
    }
}

/// Returns the watches that a group needs: one for all processes of a program with equal values.
pub(super) fn watches_of(group: &Group, slots: &SlotTable) -> Vec<Watch> {
    let has_watch = |slot: &&u32| {
        let process = slots.get(**slot);
        process.is_some_and(|process| process.spec.watch.is_some())
    };
    let watched: Vec<u32> = group.slots.iter().filter(has_watch).copied().collect();
    if watched.is_empty() {
        return Vec::new();
    }
    let programs: HashMap<&ProcessName, usize> = (0..)
        .zip(&group.spec.programs)
        .flat_map(|(place, program)| program.members.iter().map(move |name| (name, place)))
        .collect();
    let mut found: Vec<(Option<usize>, Watch)> = Vec::new();
    for slot in watched {
        let Some(process) = slots.get(slot) else {
            continue;
        };
        let Some(spec) = &process.spec.watch else {
            continue;
        };
        let program = programs.get(&process.spec.name).copied();
        let same = found
            .iter_mut()
            .find(|(place, watch)| *place == program && watch.spec == *spec);
        let id = WatchId {
            slot,
            slot_generation: process.slot_generation,
        };
        match same {
            Some((_, watch)) => {
                watch.slots.push(slot);
                // The oldest process names the watch. Processes that are added later do not change that.
                if id.slot_generation < watch.id.slot_generation {
                    watch.id = id;
                }
            }
            None => found.push((
                program,
                Watch {
                    id,
                    spec: Arc::clone(spec),
                    slots: vec![slot],
                },
            )),
        }
    }
    found.into_iter().map(|(_, watch)| watch).collect()
}
