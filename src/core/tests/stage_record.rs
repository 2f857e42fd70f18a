//! Tests of the written forms of stages. `tests/golden/stages.txt` has what the daemon writes for each stage: its JSON,
//! its bytes in a record, and what the core derives from it. Daemons of other versions read both forms, so a line of
//! that file never changes.

use std::fmt::Write as _;
use std::sync::Arc;

use super::bench::program;
use crate::core::ProcessRecord;
use crate::core::process::Process;
use crate::core::record::{self, Counts};
use crate::domain::{LogPaths, Tick};

const GOLDEN: &str = include_str!("../../../tests/golden/stages.txt");
/// A JSON record with `STAGE` in place of the stage.
const RECORD: &str = r#"{"slot":3,"tenure":4,"run":{"stage":STAGE,"tries":0,"trouble":null,"exit_status":0,"start":1,"stop":2,"spawned_at":5,"report_at":6,"spawns":7,"ending":null,"causes":{"oom_kill":false,"pids_max":false,"memory_high":false},"relimit":false,"waiters":[],"hearing":null,"tidings":null},"lives":9,"event_serial":2}"#;
/// Bytes of a record before its stage, and after it.
const AROUND: (usize, usize) = (29, 82);
/// Bytes of the counts of exits, and those after them. Version 5.0 has no such counts.
const EXITS: (usize, usize) = (28, 3);

/// Returns the bytes of a record.
fn encode(record: &ProcessRecord) -> Vec<u8> {
    let spec = Arc::new(program("cat", "cat"));
    let mut process = Process::new(spec, LogPaths::default(), record.slot_generation);
    process.run = record.run.clone();
    let counts = Counts {
        last_incarnation: record.last_incarnation,
        event_serial: record.event_serial,
    };
    record::encode(record.slot, &process, counts, usize::MAX)
}

/// Returns the line of the golden file for a stage that is given as JSON.
fn line_of(json: &str) -> String {
    let text = RECORD.replace("STAGE", json);
    let record = ProcessRecord::decode(text.as_bytes()).expect(json);
    let bytes = encode(&record);
    let again = ProcessRecord::decode(&bytes).expect(json);
    assert_eq!(again, record);
    let mut without_exits = bytes.clone();
    let end = bytes.len() - EXITS.1;
    without_exits.drain(end - EXITS.0..end);
    without_exits[0] = 1;
    assert_eq!(ProcessRecord::decode(&without_exits), Some(again.clone()));
    let written = serde_json::to_string(&again).expect("can be written");
    assert_eq!(written, text);
    let stage = record.run.stage;
    let mut line = format!("{json}\t");
    for byte in &bytes[AROUND.0..bytes.len() - AROUND.1] {
        write!(line, "{byte:02x}").expect("a string takes everything");
    }
    let instance = stage.instance().map(|instance| instance.incarnation);
    let reachable = stage.reachable().map(|(instance, pid)| {
        assert_eq!(Some(instance), stage.instance());
        pid
    });
    let deadline = stage.deadline();
    let deadline = (deadline != Tick::NEVER).then_some(deadline.0);
    line + &format!(
        "\t{} instance {instance:?} pid {} reachable {reachable:?} deadline {deadline:?}",
        stage.state(),
        stage.pid(),
    )
}

#[test]
fn every_stage_is_written_and_read_as_in_version_5_0() {
    let mut lines = Vec::new();
    for line in GOLDEN.lines() {
        let json = line.split('\t').next().unwrap_or_default();
        lines.push(line_of(json));
    }
    let now = lines.join("\n") + "\n";
    assert!(now == GOLDEN, "other forms than version 5.0 has:\n{now}");
}
