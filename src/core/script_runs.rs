//! The scripts that run, and the processes they belong to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::hook::Hook;
use crate::api::Ticket;
use crate::effects::{ScriptId, WatchKind};

/// What a script is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum ScriptPurpose {
    /// It checks whether the process is ready or healthy.
    Check,
    /// It is a hook that the process waits for.
    Hook,
    /// It is a hook after a start or an exit. Nothing waits for it.
    Afterwards(Hook),
    /// It reacts to a process that is FATAL.
    Fatal,
    /// It reloads the process for this request.
    Reload(Ticket),
    /// It reacts to a change of health. Nothing depends on its result.
    Reaction,
    /// It reacts to a changed file of a watch.
    Changed {
        kind: WatchKind,
        #[serde(deserialize_with = "crate::domain::counter::slot")]
        watch_slot: u32,
        #[serde(deserialize_with = "crate::domain::counter::counter")]
        watch_generation: u64,
    },
}

/// The process that a script belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ScriptOwner {
    pub(super) slot: u32,
    pub(super) slot_generation: u64,
    pub(super) purpose: ScriptPurpose,
}

/// The scripts that were requested and have not ended. The daemon that leaves kills them, and the next one runs again what
/// it needs.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct ScriptRuns {
    #[serde(deserialize_with = "crate::domain::counter::counter")]
    last: u64,
    running: BTreeMap<ScriptId, ScriptOwner>,
}

impl ScriptRuns {
    /// Adds a script that is about to run.
    pub(super) fn add(&mut self, owner: ScriptOwner) -> ScriptId {
        let id = self.new_id();
        self.running.insert(id, owner);
        id
    }

    /// Makes an id for a script that belongs to no process.
    pub(super) fn new_id(&mut self) -> ScriptId {
        self.last += 1;
        ScriptId(self.last)
    }

    /// Takes the owner of a script that has ended. `None`: the script belongs to the previous daemon or
    /// to no process.
    pub(super) fn take(&mut self, id: ScriptId) -> Option<ScriptOwner> {
        self.running.remove(&id)
    }
}

#[cfg(test)]
impl ScriptRuns {
    /// Adds the script 1 of a process.
    pub(super) fn insert_1(&mut self, slot: u32, slot_generation: u64, purpose: ScriptPurpose) {
        self.last = 1;
        let owner = ScriptOwner {
            slot,
            slot_generation,
            purpose,
        };
        self.running.insert(ScriptId(1), owner);
    }
}
