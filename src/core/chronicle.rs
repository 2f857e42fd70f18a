//! What has changed since the whole was written out last: one short record per process, for a successor that has to begin
//! where the daemon was killed. It must not know where records are kept.

use serde::{Deserialize, Serialize};

use super::Fleet;
use super::listener::Hearing;
use super::process::Run;
use super::snapshot::Snapshot;
use crate::config::spec::ProcessSpec;
use crate::domain::{GroupName, Life, QualifiedName};

/// Numbers that successors must not use again. Events of a listener that nobody wrote down count too, hence the jump.
const EVENTS_BETWEEN_RECORDS_MAX: u64 = 1 << 20;

/// Where one process stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Its slot …
    pub slot: u32,
    /// … if the same process still has it.
    tenure: u64,
    run: Run,
    /// What the fleet counts, at that moment.
    lives: u64,
    event_serial: u64,
}

impl Record {
    /// The same in fewer bytes: without the reason of the last end, and without the event that a listener has, which makes
    /// it one that cannot be talked to any more.
    #[must_use]
    pub fn shortened(mut self) -> Self {
        self.run.ending = None;
        self.run.trouble = None;
        if matches!(self.run.hearing, Some(Hearing::Busy(_))) {
            self.run.hearing = Some(Hearing::Unknown);
        }
        self
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
    pub fn forget_changes(&mut self) {
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

    /// Where the process of this slot stands; none: there is none.
    #[must_use]
    pub fn record(&self, slot: u32) -> Option<Record> {
        let process = self.seats.get(slot)?;
        let mut run = process.run.clone();
        // Whoever waits will be gone.
        run.waiters = Vec::new();
        Some(Record {
            slot,
            tenure: process.tenure,
            run,
            lives: self.lives,
            event_serial: self.event_serial,
        })
    }
}

impl Snapshot {
    /// Every life, with the pid of its process; 0: it had none yet.
    #[must_use]
    pub fn lives(&self) -> Vec<(Life, i32)> {
        let processes = self.groups.iter().flat_map(|group| &group.processes);
        processes
            .filter_map(|process| {
                let stage = &process.run.stage;
                Some((stage.life()?, stage.pid()))
            })
            .collect()
    }

    /// The configuration of the process of a life.
    #[must_use]
    pub fn whose(&self, life: Life) -> Option<&ProcessSpec> {
        let read = |name: &GroupName| {
            let groups = self.last_read.groups.iter();
            groups.into_iter().find(|group| group.name == *name)
        };
        self.groups.iter().find_map(|group| {
            let place = group
                .processes
                .iter()
                .position(|process| process.run.stage.life() == Some(life))?;
            let spec = group.spec.as_ref().or_else(|| read(&group.name))?;
            spec.processes.get(place).map(|process| &**process)
        })
    }

    /// Brings it up to date with records that were written since.
    pub fn overlay(&mut self, records: Vec<Record>) {
        let mut event_serial = self.event_serial;
        for record in records {
            self.lives = self.lives.max(record.lives);
            event_serial = event_serial.max(record.event_serial);
            let mut processes = self
                .groups
                .iter_mut()
                .flat_map(|group| &mut group.processes);
            if let Some(process) = processes
                .find(|process| (process.slot, process.tenure) == (record.slot, record.tenure))
            {
                process.run = record.run;
            }
        }
        self.event_serial = event_serial.saturating_add(EVENTS_BETWEEN_RECORDS_MAX);
        // What waited then was delivered since, or is lost.
        for pool in &mut self.pools {
            pool.forget_waiting();
        }
    }
}
