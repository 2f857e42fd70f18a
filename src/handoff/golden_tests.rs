//! Reads what version 5.0.0 left to its successor: `tests/golden/handoff-5.0.0`, whose README says how it was made. An
//! upgrade from that version works as long as these tests pass, so the files never change.

use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

use serde_json::Value;

use super::checkpoint::{Checkpoint, read_records};
use super::recovery::{PreviousEnd, RecoveredState, restore_state};
use super::state::Handoff;
use super::written::WrittenHandoff;
use crate::core::{Action, Fleet, Input, ProcessRecord, ResumeKind};
use crate::domain::{Channel, FdName, InstanceId, ListenerOutput, Now, Tick, Verdict, Wall};
use crate::effects::{OutputEffect, OutputOutcome};
use crate::output::{IN_FLIGHT_LOG_BYTES, UnflushedChunk};
use crate::sys::{self, MemoryFile, NamedFds, SharedBuffer};

/// The processes of the daemon that wrote the files: name, state and whether there is a process.
const PROCESSES: [(&str, &str, bool); 24] = [
    ("asked", "STOPPED", false),
    ("awaiting", "STARTING", true),
    ("backoff", "BACKOFF", false),
    ("capture", "RUNNING", true),
    ("ear", "RUNNING", true),
    ("exited", "EXITED", false),
    ("failed", "FATAL", false),
    ("fatal", "FATAL", false),
    ("journal", "RUNNING", true),
    ("killed", "EXITED", false),
    ("limited", "RUNNING", true),
    ("notified", "RUNNING", true),
    ("left", "RUNNING", true),
    ("right", "RUNNING", true),
    ("readyfd", "STARTING", true),
    ("r0", "RUNNING", true),
    ("r1", "RUNNING", true),
    ("starting", "STARTING", true),
    ("stdin", "RUNNING", true),
    ("stopped", "STOPPED", false),
    ("stopping", "STOPPING", true),
    // The readiness timeout has passed and the process ignores SIGTERM.
    ("terminating", "STARTING", true),
    ("w0", "RUNNING", true),
    ("w1", "RUNNING", true),
];
/// Texts that clients see.
const TEXTS: [(&str, &str); 6] = [
    (
        "backoff",
        "Exited too quickly (process log may have details)",
    ),
    (
        "failed",
        "Exited too quickly (process log may have details)",
    ),
    ("fatal", "can't find command '/nonexistent/program'"),
    ("killed", "Bad exit code -1"),
    ("notified", "serving 3 clients"),
    ("r0", ""),
];
/// The listener, which has an event and has not answered it.
const EAR: InstanceId = InstanceId {
    slot: 0,
    incarnation: 1,
};
/// A time when no deadline in the files has passed.
const NOW: Now = Now {
    mono: Tick(2_950_000_000_000),
    wall: Wall(1_796_000_000_000_000_000),
};
/// Size of a record in the file of records, with its length.
const RECORD_BYTES: usize = 1024;

fn golden(name: &str) -> Vec<u8> {
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/handoff-5.0.0/");
    std::fs::read(format!("{directory}{name}")).expect(name)
}

fn golden_json(name: &str) -> Value {
    serde_json::from_slice(&golden(name)).expect(name)
}

fn sealed(name: &str) -> OwnedFd {
    sys::sealed_memory("golden", &golden(name)).expect("room")
}

fn null() -> OwnedFd {
    std::fs::File::open("/dev/null").expect("there").into()
}

/// Whether `whole` has every value of `part`. A later version may write more keys.
fn contains(whole: &Value, part: &Value) -> bool {
    match (whole, part) {
        (Value::Object(whole), Value::Object(part)) => part.iter().all(|(key, value)| {
            let found = whole.get(key);
            // A value that is left out is the default, which is null in these files.
            found.map_or(value.is_null(), |found| contains(found, value))
        }),
        (Value::Array(whole), Value::Array(part)) => {
            whole.len() == part.len()
                && whole
                    .iter()
                    .zip(part)
                    .all(|(whole, part)| contains(whole, part))
        }
        (whole, part) => whole == part,
    }
}

/// Descriptors with the names that the exec form lists.
fn descriptors() -> NamedFds {
    let exec = golden_json("exec.json");
    let numbers = exec["numbers"].as_array().expect("a list");
    let name = |number: &Value| number[0].as_str().expect("a name").to_owned();
    numbers
        .iter()
        .map(|number| (name(number), null()))
        .collect()
}

fn expect_processes(fleet: &Fleet, is_asked: bool) {
    let views = fleet.view(NOW);
    let views: BTreeMap<&str, _> = views
        .iter()
        .map(|view| (view.name.as_str(), view))
        .collect();
    assert_eq!(views.len(), PROCESSES.len());
    for (name, state, is_there) in PROCESSES {
        let expected = match (name, is_asked) {
            ("asked", true) => ("STARTING", true),
            _ => (state, is_there),
        };
        let view = views[name];
        assert_eq!((view.state.name(), view.pid > 0), expected, "{name}");
    }
    for (name, text) in TEXTS {
        let view = views[name];
        let shown = format!("{}{}", view.spawn_error, view.status_text);
        assert_eq!(shown, text, "{name}");
    }
}

/// Continues with the handoff as the engine does, and checks what the core asks for. `waiting`: serial numbers in their
/// pool of the events that wait for the listener.
fn expect_continues(handoff: Handoff, is_asked: bool, waiting: &[u64]) {
    let (mut fleet, _, _) = handoff.restore(ResumeKind::NewImage);
    expect_processes(&fleet, is_asked);
    let mut actions = Vec::new();
    fleet.handle(NOW, Input::Resumed(ResumeKind::NewImage), &mut actions);
    let adopted = |action: &&Action| matches!(action, Action::Adopt { pid, .. } if *pid > 0);
    let are_there = PROCESSES.iter().filter(|(_, _, is_there)| *is_there);
    assert_eq!(
        actions.iter().filter(adopted).count(),
        are_there.count() + usize::from(is_asked)
    );
    assert!(!fleet.has_waiting_clients());
    // The listener answers, and gets the events that wait, in order.
    for serial in waiting {
        actions.clear();
        let accepted = ListenerOutput::Result(Verdict::Ok);
        for output in [accepted, ListenerOutput::Ready] {
            fleet.handle(
                NOW,
                Input::Output(OutputOutcome::ListenerOutput(EAR, output)),
                &mut actions,
            );
        }
        let delivered: Vec<u64> = actions
            .iter()
            .filter_map(|action| match action {
                Action::Output(OutputEffect::Deliver(EAR, envelope)) => Some(envelope.pool_serial),
                _ => None,
            })
            .collect();
        assert_eq!(delivered, [*serial]);
    }
}

/// Checks that a handoff has everything that its file has, by writing it again. This version's bytes are then readable
/// for the old one too.
fn expect_whole(handoff: Handoff, file: &str) -> Handoff {
    assert_eq!((handoff.passed.len(), handoff.own.len()), (0, 1));
    assert!(handoff.fds.contains_key(&FdName::Stdout(EAR).name()));
    assert!(!handoff.fds.contains_key(&FdName::Server(0).name()));
    let (written, fds) = WrittenHandoff::of(handoff);
    let mut expected = golden_json(file);
    // These belong to the process that writes.
    expected["pid"] = std::process::id().into();
    expected["numbers"] = Value::Array(Vec::new());
    let found = serde_json::to_value(&written).expect("written");
    assert!(contains(&found, &expected));
    written.into_handoff(fds)
}

/// What the fd holder lists beside these descriptors.
fn listed(more: Vec<(FdName, Vec<OwnedFd>)>) -> BTreeMap<String, Vec<OwnedFd>> {
    let each = descriptors().into_iter().map(|(name, fd)| (name, vec![fd]));
    let more = more.into_iter().map(|(fd_name, all)| (fd_name.name(), all));
    each.chain(more).collect()
}

fn records() -> MemoryFile {
    let records = MemoryFile::new("golden").expect("room");
    records.write_at(&golden("records"), 0).expect("room");
    records
}

fn in_flight_log(state: &str) -> SharedBuffer {
    let buffer = SharedBuffer::new("golden", IN_FLIGHT_LOG_BYTES).expect("room");
    // The files end shortly after the text.
    let bytes = golden(&format!("in-flight-log.{state}"));
    buffer.file().write_at(&bytes, 0).expect("room");
    buffer
}

fn restored(stored: BTreeMap<String, Vec<OwnedFd>>) -> (Handoff, PreviousEnd) {
    let find_spawned = |_: &_, _| -> Option<(i32, OwnedFd)> { None };
    match restore_state(stored, Vec::new(), &find_spawned) {
        RecoveredState::Whole(handoff, end) => (*handoff, end),
        RecoveredState::Partial(partial) => panic!("{:?}", partial.why),
    }
}

#[test]
fn the_handoff_through_exec_is_read() {
    let written = WrittenHandoff::parse(&golden("exec.json")).expect("readable");
    assert!(written.numbers().len() > 50 && !written.is_of_this_process());
    let handoff = expect_whole(written.into_handoff(descriptors()), "exec.json");
    assert_eq!(handoff.output.instances.len(), 18);
    expect_continues(handoff, true, &[1, 2, 3]);
}

#[test]
fn the_handoff_in_the_fd_holder_is_read() {
    let state = (FdName::State, vec![sealed("state.json")]);
    let handoff = (FdName::Handoff, vec![sealed("stored.json")]);
    let in_flight_log = in_flight_log("read").file().try_clone().expect("room");
    let in_flight_log = (FdName::InFlightLog(0), vec![in_flight_log]);
    let (mut handoff, end) = restored(listed(vec![state, handoff, in_flight_log]));
    assert_eq!(end, PreviousEnd::Detached);
    assert_eq!(handoff.output.unflushed.len(), 1);
    handoff.output.unflushed.clear();
    let handoff = expect_whole(handoff, "stored.json");
    expect_continues(handoff, false, &[1, 2, 3]);
}

#[test]
fn the_checkpoint_and_the_records_are_read() {
    let checkpoint = Checkpoint::read(&sealed("state.json")).expect("readable");
    let snapshot = serde_json::to_value(&checkpoint.snapshot).expect("written");
    assert!(contains(&snapshot, &golden_json("state.json")["snapshot"]));
    // It was written before the processes were started.
    let instances = checkpoint.snapshot.instances();
    assert!(instances.iter().all(|(_, pid)| *pid == 0));
    assert_eq!(read_records(&records()).len(), PROCESSES.len() - 2);
    let records = records().try_clone().expect("room");
    let state = (FdName::State, vec![sealed("state.json"), records]);
    let logs = ["read", "overwritten"].map(|state| in_flight_log(state).file().try_clone());
    let logs = logs.map(|log| log.expect("room"));
    let logs = (FdName::InFlightLog(0), Vec::from(logs));
    let (handoff, end) = restored(listed(vec![state, logs]));
    assert_eq!(end, PreviousEnd::Killed);
    assert_eq!(handoff.output.unflushed.len(), 2);
    assert!(!handoff.engine.is_ready && handoff.own.is_empty());
    // The records have every PID, and the processes of all are there.
    assert!(handoff.engine.early.is_empty() && handoff.engine.pending_reports.is_empty());
    // Events that waited may have been delivered after the checkpoint.
    expect_continues(handoff, false, &[]);
}

#[test]
fn the_state_that_a_successor_examines_is_read() {
    let checkpoint = Checkpoint::read(&sealed("question.json")).expect("readable");
    let golden = golden_json("question.json");
    let config = serde_json::to_value(&checkpoint.config).expect("written");
    assert!(contains(&config, &golden["config"]));
    let snapshot = serde_json::to_value(&checkpoint.snapshot).expect("written");
    assert!(contains(&snapshot, &golden["snapshot"]));
    expect_processes(&Fleet::restore(checkpoint.snapshot, NOW), true);
}

/// Reports that arrive during a handoff, and bytes of logs that hang: a daemon seldom has them.
#[test]
fn late_reports_and_unflushed_chunks_are_read() {
    let late = golden_json("late.json");
    let mut exec = golden_json("exec.json");
    for (key, value) in late.as_object().expect("an object") {
        exec["legacy"][key] = value.clone();
    }
    let bytes = serde_json::to_vec(&exec).expect("written");
    let written = WrittenHandoff::parse(&bytes).expect("readable");
    let handoff = written.into_handoff(descriptors());
    assert_eq!(handoff.output.unflushed.len(), 5);
    assert_eq!(handoff.engine.pending_reports.len(), 10);
    let (written, _) = WrittenHandoff::of(handoff);
    let found = serde_json::to_value(&written).expect("written");
    assert!(contains(&found["legacy"], &late));
}

/// Every stage, every reason of a failure or an exit, every state of a listener and of a notify channel.
#[test]
fn a_record_of_every_stage_is_read() {
    let (records, lines) = (golden("every-stage.records"), golden("every-stage.json"));
    let lines: Vec<&str> = std::str::from_utf8(&lines).expect("text").lines().collect();
    assert_eq!((records.len(), lines.len()), (69 * RECORD_BYTES, 69));
    let memory = MemoryFile::new("golden").expect("room");
    memory.write_at(&records, 0).expect("room");
    let records = read_records(&memory);
    assert_eq!(records.len(), lines.len());
    for (record, line) in records.iter().zip(lines) {
        let expected: Value = serde_json::from_str(line).expect("an object");
        let found = serde_json::to_value(record).expect("written");
        assert!(contains(&found, &expected), "{found} {expected}");
        assert_eq!(
            ProcessRecord::decode(line.as_bytes()).as_ref(),
            Some(record)
        );
    }
}

#[test]
fn an_in_flight_log_in_every_state_is_read() {
    let find =
        |state: &str| UnflushedChunk::find(&mut in_flight_log(state)).expect("an in-flight log");
    assert_eq!(find("idle"), None);
    let text = b"this line was read from the pipe and is not in the log\n";
    let left_in_pipe = Some(text.len());
    // (state, stream, whether the log is a plain file, what the pipe holds, whether the text is recovered)
    for (state, channel, has_log, unread, is_there) in [
        ("reading", Channel::Stdout, true, left_in_pipe, false),
        ("guessed", Channel::Stdout, true, Some(0), false),
        ("overwritten", Channel::Stdout, false, Some(0), true),
        ("read", Channel::Stderr, true, None, true),
    ] {
        let chunk = find(state).expect(state);
        let instance = InstanceId {
            slot: 7,
            incarnation: 15,
        };
        assert_eq!(
            (chunk.instance, chunk.channel),
            (instance, channel),
            "{state}"
        );
        assert_eq!(chunk.has_log(), has_log, "{state}");
        let recovered = chunk.recover(unread, None);
        let expected = if is_there { &text[..] } else { b"" };
        assert_eq!(
            (recovered.missing(), recovered.lost),
            (expected, 0),
            "{state}"
        );
    }
}
