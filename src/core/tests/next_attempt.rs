//! Tests of the next attempt that starts while the output of the previous instance is still being written out.

use super::bench::{Bench, CAT, exited, play, stop};
use crate::config::spec::AutoRestart;
use crate::core::{DaemonSignal, Input, ResumeKind};
use crate::domain::{InstanceId, Seconds, Signal, SpawnError};
use crate::effects::{OutputOutcome, SpawnerOutcome};

const NEXT: InstanceId = InstanceId {
    slot: 0,
    incarnation: 2,
};
const AFTER_NEXT: InstanceId = InstanceId {
    slot: 0,
    incarnation: 3,
};
const EXITED: [&str; 2] = [
    "cat RUNNING->EXITED pid 7 expected false",
    "WARN exited: cat (exit status 1; not expected)",
];
const STARTING: &str = "cat EXITED->STARTING tries 0";

/// Returns a fleet whose process ran for long and was just reaped.
fn dying() -> Bench {
    let mut bench = Bench::up(|spec| {
        spec.autorestart = AutoRestart::Always;
        spec.startsecs = Seconds(0);
    });
    let lines = bench.give(5000, exited(1));
    assert_eq!(lines, ["drain 0.1", "prepare-next 0.2", "resolve 0.2"]);
    assert_eq!(bench.state(), "RUNNING", "nobody is told yet");
    bench
}

fn missing(instance: InstanceId) -> Input {
    let error = SpawnError::NotFound("/bin/cat".to_owned());
    Input::Spawner(SpawnerOutcome::Failed { instance, error })
}

/// The lines and actions at the exit of the previous instance.
fn told(done: &[&'static str]) -> Vec<&'static str> {
    let told = EXITED.into_iter().chain([STARTING]);
    told.chain(done.iter().copied()).collect()
}

#[test]
fn a_spawn_follows_the_exit_and_both_preparations() {
    let (drained, resolved, prepared) = (
        Input::Output(OutputOutcome::Drained(CAT)),
        Input::Spawner(SpawnerOutcome::Resolved(NEXT)),
        Input::Output(OutputOutcome::Prepared(NEXT)),
    );
    let orders = [
        [&drained, &resolved, &prepared],
        [&drained, &prepared, &resolved],
        [&resolved, &drained, &prepared],
        [&resolved, &prepared, &drained],
        [&prepared, &drained, &resolved],
        [&prepared, &resolved, &drained],
    ];
    for order in orders {
        let mut bench = dying();
        for (place, input) in order.into_iter().enumerate() {
            let is_last = place == 2;
            let spawn: &[&str] = if is_last { &["spawn 0.2"] } else { &[] };
            let expected = match input {
                Input::Output(OutputOutcome::Drained(_)) => told(spawn),
                _ => spawn.to_vec(),
            };
            assert_eq!(bench.give(5001, input.clone()), expected, "{order:?}");
        }
        bench.give(
            5002,
            Input::Spawner(SpawnerOutcome::Spawned {
                instance: NEXT,
                pid: 8,
            }),
        );
        assert_eq!(bench.state(), "RUNNING");
    }
}

/// The order of the steps decides which of several failures the log names.
#[test]
fn an_early_failure_is_repeated_in_order() {
    let mut bench = dying();
    assert_eq!(bench.give(5001, missing(NEXT)), ["drain 0.2"]);
    // The other answer belongs to no current attempt.
    assert_eq!(
        bench.give(5001, Input::Output(OutputOutcome::Prepared(NEXT))),
        ["drain 0.2"]
    );
    assert_eq!(
        bench.give(5001, Input::Output(OutputOutcome::Drained(CAT))),
        told(&["resolve 0.3"])
    );
    assert_eq!(
        bench.give(5001, missing(AFTER_NEXT)),
        [
            "INFO spawnerr: can't find command '/bin/cat'",
            "cat STARTING->BACKOFF tries 1",
        ]
    );

    let mut bench = dying();
    bench.give(5001, Input::Output(OutputOutcome::Drained(CAT)));
    play(
        &mut bench,
        vec![
            (5002, missing(NEXT), vec!["drain 0.2", "resolve 0.3"], None),
            (
                5002,
                Input::Spawner(SpawnerOutcome::Resolved(NEXT)),
                vec!["drain 0.2"],
                None,
            ),
            (
                5003,
                Input::Spawner(SpawnerOutcome::Resolved(AFTER_NEXT)),
                vec!["prepare 0.3"],
                None,
            ),
            (
                5004,
                Input::Output(OutputOutcome::Prepared(AFTER_NEXT)),
                vec!["spawn 0.3"],
                None,
            ),
        ],
    );

    // The command was found, so the log names the failure of the log files.
    let mut bench = dying();
    bench.give(5001, Input::Spawner(SpawnerOutcome::Resolved(NEXT)));
    bench.give(5001, Input::Output(OutputOutcome::Drained(CAT)));
    assert_eq!(
        bench.give(5002, missing(NEXT)),
        [
            "drain 0.2",
            "INFO spawnerr: can't find command '/bin/cat'",
            "cat STARTING->BACKOFF tries 1",
        ]
    );
}

#[test]
fn an_unneeded_preparation_is_undone() {
    let mut bench = dying();
    bench.give(5001, Input::Spawner(SpawnerOutcome::Resolved(NEXT)));
    let lines = bench.ask(5001, stop("cat", false));
    assert!(lines.contains(&"drain 0.2".to_owned()), "{lines:?}");
    let lines = bench.give(5002, Input::Output(OutputOutcome::Drained(CAT)));
    assert_eq!(lines[0], "cat STOPPING->STOPPED pid 7");
    assert!(!lines.iter().any(|line| line.contains("0.2")), "{lines:?}");

    // A stop in the middle of the attempt.
    let mut bench = dying();
    bench.give(5001, Input::Output(OutputOutcome::Prepared(NEXT)));
    bench.give(5001, Input::Output(OutputOutcome::Drained(CAT)));
    let lines = bench.ask(5002, stop("cat", false));
    assert_eq!(
        lines[..3],
        [
            "cat STARTING->STOPPING pid 0",
            "cat STOPPING->STOPPED pid 0",
            "drain 0.2",
        ]
    );

    let mut bench = dying();
    let signal = DaemonSignal::Exit(Signal::TERM);
    let mut lines = bench.give(5001, Input::Received(signal));
    lines.extend(bench.give(5002, Input::Output(OutputOutcome::Drained(CAT))));
    let undone = lines.iter().filter(|line| *line == "drain 0.2");
    assert_eq!(undone.count(), 1, "{lines:?}");
}

#[test]
fn a_slow_command_lookup_is_reported_with_the_start() {
    let mut bench = dying();
    let why = "a file system does not answer".to_owned();
    let held = Input::Spawner(SpawnerOutcome::Held {
        instance: NEXT,
        why,
    });
    assert_eq!(bench.give(5500, held), [""; 0]);
    let lines = bench.give(5600, Input::Output(OutputOutcome::Drained(CAT)));
    assert_eq!(lines[..3], told(&[]));
    assert!(
        lines[3].contains("a file system does not answer"),
        "{lines:?}"
    );
    assert_eq!(
        bench.give(5700, Input::Spawner(SpawnerOutcome::Resolved(NEXT))),
        [""; 0]
    );
    assert_eq!(
        bench.give(5700, Input::Output(OutputOutcome::Prepared(NEXT))),
        ["spawn 0.2"]
    );
}

#[test]
fn only_an_immediate_restart_is_prepared_early() {
    type Change = fn(&mut crate::config::spec::ProcessSpec);
    let table: [(&str, Change, u64); 4] = [
        ("never", |spec| spec.autorestart = AutoRestart::Never, 5000),
        ("floor", |spec| spec.restart_floor = Seconds(10), 5000),
        ("too quick", |_| {}, 500),
        (
            "its socket is made for each life",
            super::sockets::with_socket,
            5000,
        ),
    ];
    for (what, change, at) in table {
        let mut bench = Bench::up(|spec| {
            spec.autorestart = AutoRestart::Always;
            change(spec);
        });
        assert_eq!(bench.give(at, exited(1)), ["drain 0.1"], "{what}");
    }
}

/// The instance is never reused, since the fd holder may have descriptors of it.
#[test]
fn a_new_daemon_repeats_the_attempt() {
    let mut bench = dying();
    bench.give(5001, Input::Spawner(SpawnerOutcome::Resolved(NEXT)));
    let lines = bench.give(5002, Input::Resumed(ResumeKind::NewDaemon));
    assert_eq!(lines[1..3], ["adopt 0.1 7", "drain 0.1"]);
    assert_eq!(
        bench.give(5003, Input::Output(OutputOutcome::Drained(CAT))),
        told(&["resolve 0.3"])
    );
}
