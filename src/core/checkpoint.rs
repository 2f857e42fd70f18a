//! Records: the state of one process each, written whenever it changes. After a crash the next daemon applies them to
//! the last snapshot. The engine stores them.

use std::sync::Arc;

use super::Fleet;
use super::process_record::ProcessRecord;
use super::record::{self, Counts};
use super::snapshot::Snapshot;
use crate::config::spec::{Config, ProcessSpec};
use crate::domain::{GroupName, InstanceId, QualifiedName};

/// The step by which event serial numbers jump after a recovery. Events since the last record may have used numbers
/// that were not written down.
const EVENTS_BETWEEN_RECORDS_MAX: u64 = 1 << 20;

impl ProcessRecord {
    /// Reads bytes that [`Fleet::record_bytes`] of this or an earlier version made. `None`: they are not a valid
    /// record.
    #[must_use]
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        record::decode(bytes)
    }
}

impl Fleet {
    /// Takes the slots of processes that changed since the last call, sorted and each once.
    pub fn take_changed(&mut self) -> Vec<u32> {
        let mut changed = std::mem::take(&mut self.changes.slots);
        changed.sort_unstable();
        changed.dedup();
        changed
    }

    /// Drops the list of changes. Called when no records are written.
    pub fn discard_changes(&mut self) {
        self.changes.slots.clear();
        self.changes.is_regrouped = false;
    }

    /// Takes the names of processes that were removed since the last call.
    pub fn take_removed(&mut self) -> Vec<QualifiedName> {
        std::mem::take(&mut self.changes.removed)
    }

    /// Returns whether groups were added or removed since the last call. Records do not contain that, so a snapshot is
    /// needed.
    pub fn take_regrouped(&mut self) -> bool {
        std::mem::take(&mut self.changes.is_regrouped)
    }

    /// Returns the record of the process in this slot, at most `most` bytes long if possible. `None`: the slot is
    /// empty.
    #[must_use]
    pub fn record_bytes(&self, slot: u32, most: usize) -> Option<Vec<u8>> {
        let process = self.slots.get(slot)?;
        let counts = Counts {
            last_incarnation: self.last_incarnation,
            event_serial: self.events.next_serial,
        };
        Some(record::encode(slot, process, counts, most))
    }
}

impl Snapshot {
    /// Returns all instances with their PIDs. 0: not spawned yet.
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

    /// Returns the configuration read last.
    #[must_use]
    pub fn last_read(&self) -> &Arc<Config> {
        &self.last_read
    }

    /// Returns the configuration of the process that has this instance.
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

    /// Applies records that were written after the snapshot.
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
        // Events that waited then have been delivered since or are lost.
        for pool in &mut self.pools {
            pool.clear();
        }
    }
}
