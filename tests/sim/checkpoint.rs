//! What a killed daemon leaves: the checkpoint from the last change of groups, and a record of each process that has
//! changed since. Together they always equal the state of the core.

use std::collections::BTreeMap;

use serde_json::Value;
use supervisord::core::{Fleet, ProcessRecord, Snapshot};

/// The checkpoint and the records.
#[derive(Default)]
pub(crate) struct Checkpoint {
    whole: Option<Snapshot>,
    records: BTreeMap<u32, Vec<u8>>,
}

impl Checkpoint {
    /// Writes what changed with an input, as the engine does.
    pub(crate) fn follow(&mut self, fleet: &mut Fleet) {
        if fleet.take_regrouped() {
            self.whole = Some(fleet.snapshot());
        }
        for slot in fleet.take_changed() {
            if let Some(bytes) = fleet.record_bytes(slot, usize::MAX) {
                self.records.insert(slot, bytes);
            }
        }
    }

    /// Asserts that the checkpoint and the records equal the state of the core.
    pub(crate) fn compare(&self, fleet: &Fleet) {
        let mut found = self.whole.clone().expect("written at the beginning");
        let read =
            |bytes: &Vec<u8>| ProcessRecord::decode(bytes).expect("what was written can be read");
        found.apply_records(self.records.values().map(read).collect());
        assert_eq!(processes(&found), processes(&fleet.snapshot()));
    }
}

/// The parts of each process's state that recovery must keep, by slot.
fn processes(snapshot: &Snapshot) -> BTreeMap<u64, Value> {
    let whole = serde_json::to_value(snapshot).expect("a snapshot can be written");
    let groups = whole["groups"].as_array().expect("a list").iter();
    let processes = groups.flat_map(|group| group["processes"].as_array().expect("a list"));
    processes
        .map(|process| {
            let mut run = process["run"].clone();
            // Waiting clients are gone with the daemon.
            run["waiters"] = Value::Null;
            run["report_at"] = Value::Null;
            // The next daemon begins the next attempt again.
            run["next"] = Value::Null;
            // The next daemon runs the hook again.
            run["hook"] = Value::Null;
            // The next daemon repeats an attempt without a process, and the attempt is no longer held up.
            let attempt = run["stage"]
                .get("Preparing")
                .or_else(|| run["stage"].get("Resolving"));
            if let Some(instance) = attempt.cloned() {
                run["stage"] = serde_json::json!({ "Resolving": instance });
                run["trouble"] = Value::Null;
            }
            (process["slot"].as_u64().expect("a number"), run)
        })
        .collect()
}
