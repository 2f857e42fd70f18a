//! What has changed since the whole was written out last: one short record per process, for a successor that has to begin
//! where the daemon was killed. It must not know where records are kept.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Fleet;
use super::process::RunState;
use super::record::{self, Counts};
use super::snapshot::Snapshot;
use crate::config::spec::{Config, ProcessSpec};
use crate::domain::{GroupName, InstanceId, QualifiedName};

/// Numbers that successors must not use again. Events of a listener that nobody wrote down count too, hence the jump.
const EVENTS_BETWEEN_RECORDS_MAX: u64 = 1 << 20;

/// Where one process stands. (Its JSON is what versions before 5.1 wrote.)
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessRecord {
    /// Its slot …
    pub slot: u32,
    /// … if the same process still has it.
    #[serde(rename = "tenure")]
    pub(super) slot_generation: u64,
    pub(super) run: RunState,
    /// What the fleet counts, at that moment.
    #[serde(rename = "lives")]
    pub(super) last_incarnation: u64,
    pub(super) event_serial: u64,
}

impl ProcessRecord {
    /// Reads the bytes that [`Fleet::record_bytes`] of this or an earlier version has made. `None`: they are no record.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        record::decode(bytes)
    }
}

impl Fleet {
    /// Processes that have changed since the last call, each once.
    pub fn take_changed(&mut self) -> Vec<u32> {
        let mut changed = std::mem::take(&mut self.changed);
        changed.sort_unstable();
        changed.dedup();
        changed
    }

    /// Nobody writes down what has changed.
    pub fn discard_changes(&mut self) {
        self.changed.clear();
        self.regrouped = false;
    }

    /// Processes that have been removed since the last call.
    pub fn take_removed(&mut self) -> Vec<QualifiedName> {
        std::mem::take(&mut self.removed)
    }

    /// Groups have come or gone since the last call: records alone do not tell what there is.
    pub fn take_regrouped(&mut self) -> bool {
        std::mem::take(&mut self.regrouped)
    }

    /// Where the process of this slot stands, in `most` bytes if that can be. `None`: there is none.
    #[must_use]
    pub fn record_bytes(&self, slot: u32, most: usize) -> Option<Vec<u8>> {
        let process = self.slots.get(slot)?;
        let counts = Counts {
            last_incarnation: self.last_incarnation,
            event_serial: self.event_serial,
        };
        Some(record::encode(slot, process, counts, most))
    }
}

impl Snapshot {
    /// Every instance, with the pid of its process; 0: it had none yet.
    #[must_use]
    pub fn instances(&self) -> Vec<(InstanceId, i32)> {
        let processes = self.groups.iter().flat_map(|group| &group.processes);
        processes
            .filter_map(|process| {
                let stage = &process.run.stage;
                Some((stage.instance()?, stage.pid()))
            })
            .collect()
    }

    /// The configuration that was read last.
    #[must_use]
    pub fn last_read(&self) -> &Arc<Config> {
        &self.last_read
    }

    /// The configuration of the process of an instance.
    #[must_use]
    pub fn spec_of(&self, instance: InstanceId) -> Option<&ProcessSpec> {
        let read = |name: &GroupName| {
            let groups = self.last_read.groups.iter();
            groups.into_iter().find(|group| group.name == *name)
        };
        self.groups.iter().find_map(|group| {
            let place = group
                .processes
                .iter()
                .position(|process| process.run.stage.instance() == Some(instance))?;
            let spec = group.spec.as_ref().or_else(|| read(&group.name))?;
            spec.processes.get(place).map(|process| &**process)
        })
    }

    /// Brings it up to date with records that were written since.
    pub fn apply_records(&mut self, records: Vec<ProcessRecord>) {
        let mut event_serial = self.event_serial;
        for record in records {
            self.last_incarnation = self.last_incarnation.max(record.last_incarnation);
            event_serial = event_serial.max(record.event_serial);
            let mut processes = self
                .groups
                .iter_mut()
                .flat_map(|group| &mut group.processes);
            if let Some(process) = processes.find(|process| {
                (process.slot, process.slot_generation) == (record.slot, record.slot_generation)
            }) {
                process.run = record.run;
            }
        }
        self.event_serial = event_serial.saturating_add(EVENTS_BETWEEN_RECORDS_MAX);
        // What waited then was delivered since, or is lost.
        for pool in &mut self.pools {
            pool.clear();
        }
    }
}
