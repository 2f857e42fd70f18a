//! Tests of a fleet that starts by adopting running processes.

use std::sync::Arc;

use super::bench::{Bench, config, pool, program};
use crate::config::spec::{Config, ProcessSpec};
use crate::core::{AdoptedProcess, Fleet, Input};
use crate::domain::{ExitStatus, InstanceId, Seconds};
use crate::effects::OutputOutcome;

fn found(slot: u32, incarnation: u64, has_pipes: bool) -> AdoptedProcess {
    AdoptedProcess {
        instance: InstanceId { slot, incarnation },
        pid: 70 + i32::try_from(slot).expect("small"),
        has_pipes,
        is_heard: has_pipes,
    }
}

/// Starts a fleet with this configuration and these processes at 5 ms. Returns it and the resulting actions.
fn begun(
    config: Arc<Config>,
    last_incarnation: u64,
    found: Vec<AdoptedProcess>,
) -> (Bench, Vec<String>) {
    let mut bench = Bench::new(config);
    let fleet = std::mem::replace(
        &mut bench.fleet,
        Bench::new(super::bench::config(Vec::new())).fleet,
    );
    bench.fleet = fleet.with_adopted(last_incarnation, found);
    let lines = bench.give(5, Input::DaemonStarted);
    (bench, lines)
}

fn three() -> Arc<Config> {
    let off = ProcessSpec {
        autostart: false,
        ..program("a", "off")
    };
    config(vec![
        (1, vec![program("a", "on"), off]),
        (2, vec![program("b", "b")]),
    ])
}

#[test]
fn adopted_processes_are_running_and_only_the_others_start() {
    let slots: Vec<String> = Fleet::slots(&three())
        .map(|(slot, spec)| format!("{slot} {}", spec.name))
        .collect();
    assert_eq!(slots, ["0 on", "1 off", "2 b"]);
    // Slot 0 with its pipes, and slot 1, which was started manually and has lost them.
    let (mut bench, lines) = begun(three(), 20, vec![found(0, 9, true), found(1, 21, false)]);
    assert_eq!(
        lines,
        [
            "PROCESS_GROUP_ADDED a",
            "PROCESS_GROUP_ADDED b",
            "SUPERVISOR_STATE_CHANGE_RUNNING",
            "on STOPPED->STARTING tries 0",
            "adopt 0.9 70",
            "on STARTING->RUNNING pid 70",
            "WARN adopted: 'on' with pid 70, found running (its state is RUNNING now)",
            "off STOPPED->STARTING tries 0",
            "adopt 1.21 71",
            "off STARTING->RUNNING pid 71",
            "WARN adopted: 'off' with pid 71, found running without its pipes (its output is lost until it is restarted)",
            "b STOPPED->STARTING tries 0",
            // An incarnation is never used twice.
            "resolve 2.22",
        ]
    );
    assert_eq!(bench.due(), None, "startsecs are not waited for");
    // From now on they behave like any other process.
    let instance = InstanceId {
        slot: 0,
        incarnation: 9,
    };
    let status = ExitStatus::Exited(0);
    bench.give(10, Input::Exited { instance, status });
    let lines = bench.give(10, Input::Output(OutputOutcome::Drained(instance)));
    assert_eq!(lines[0], "on RUNNING->EXITED pid 70 expected true");
}

#[test]
fn instance_numbers_continue_after_the_greatest_known() {
    // Descriptors of an instance that is gone were stored.
    let (_, lines) = begun(three(), 40, Vec::new());
    assert!(lines.contains(&"resolve 0.41".to_owned()), "{lines:?}");
    let (_, lines) = begun(three(), 0, vec![found(2, 50, true)]);
    assert!(lines.contains(&"resolve 0.51".to_owned()), "{lines:?}");
}

#[test]
fn a_process_without_a_notify_socket_gets_no_watchdog_timeout() {
    let silent = || {
        let mut spec = program("g", "g");
        spec.notify.socket = true;
        spec.notify.watchdog = Seconds(3);
        config(vec![(1, vec![spec])])
    };
    let (bench, _) = begun(silent(), 0, vec![found(0, 1, false)]);
    assert_eq!(bench.due(), None);
    // A process with a notify socket gets as much time as after its start.
    let (bench, _) = begun(silent(), 0, vec![found(0, 1, true)]);
    assert_eq!(bench.due(), Some(3005));
}

#[test]
fn an_adopted_listener_is_ready_for_an_event() {
    let mut config = Config::clone(&three());
    config.groups = vec![Arc::new(pool("l", &["TICK_5"], 10, 1))];
    let (mut bench, lines) = begun(Arc::new(config), 0, vec![found(0, 3, true)]);
    assert!(lines.contains(&"adopt 0.3 70".to_owned()), "{lines:?}");
    // Most listeners wait for an event. If a waiting one counted as busy, it would never get one.
    let lines = bench.give(6_000, Input::DeadlineReached);
    assert!(
        lines.iter().any(|line| line.starts_with("deliver 0.3")),
        "{lines:?}"
    );
}
