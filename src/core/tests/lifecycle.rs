//! Tests of starts, failures, exits and restarts (rows PRC-03 to PRC-15).

use super::bench::{Bench, CAT, exited, play, program, start, stop};
use crate::config::spec::AutoRestart;
use crate::core::{Fleet, Input};
use crate::domain::{ExitReason, ExitStatus, InstanceId, Seconds, Signal, SpawnError};
use crate::effects::{OutputOutcome, SpawnerOutcome};

const SPAWNED: Input = Input::Spawner(SpawnerOutcome::Spawned {
    instance: CAT,
    pid: 7,
});
const AGAIN: InstanceId = InstanceId {
    slot: 0,
    incarnation: 2,
};
const SUCCESS: &str = "INFO success: cat entered RUNNING state, process has stayed up for > than 1 seconds (startsecs)";

const STARTING: &str = "cat EXITED->STARTING tries 0";

fn missing(instance: InstanceId) -> Input {
    let error = SpawnError::NotFound("/bin/cat".to_owned());
    Input::Spawner(SpawnerOutcome::Failed { instance, error })
}

#[test]
fn prc_03_autostart_takes_every_step_to_running() {
    let config = super::bench::config(vec![(999, vec![program("cat", "cat")])]);
    let mut bench = Bench::new(config);
    play(
        &mut bench,
        vec![
            (
                0,
                Input::DaemonStarted,
                vec![
                    "PROCESS_GROUP_ADDED cat",
                    "SUPERVISOR_STATE_CHANGE_RUNNING",
                    "cat STOPPED->STARTING tries 0",
                    "resolve 0.1",
                ],
                None,
            ),
            (
                1,
                Input::Spawner(SpawnerOutcome::Resolved(CAT)),
                vec!["prepare 0.1"],
                None,
            ),
            (
                2,
                Input::Output(OutputOutcome::Prepared(CAT)),
                vec!["spawn 0.1"],
                None,
            ),
            (
                3,
                SPAWNED,
                vec!["INFO spawned: 'cat' with pid 7", "read 0.1"],
                Some(1003),
            ),
            (1002, Input::DeadlineReached, vec![], Some(1003)),
            (
                1003,
                Input::DeadlineReached,
                vec!["cat STARTING->RUNNING pid 7", SUCCESS],
                None,
            ),
        ],
    );
}

fn held(why: &str) -> Input {
    let why = why.to_owned();
    Input::Spawner(SpawnerOutcome::Held { instance: CAT, why })
}

#[test]
fn a_delayed_start_is_reported_until_it_continues() {
    let mut bench = Bench::cat(|_| {});
    let told = |bench: &Bench| bench.fleet.view(Bench::now(0))[0].spawn_error.clone();
    assert_eq!(
        bench.give(500, held("a mount is dead")),
        ["WARN start of cat is delayed: a mount is dead (other programs are not affected)"]
    );
    assert_eq!(bench.state(), "STARTING");
    assert_eq!(told(&bench), "Start delayed: a mount is dead");
    bench.give(600, Input::Spawner(SpawnerOutcome::Resolved(CAT)));
    assert_eq!(told(&bench), "");
    // This input cannot come in this stage: another thread does that work.
    assert!(bench.give(610, held("late")).is_empty());
    bench.give(620, Input::Output(OutputOutcome::Prepared(CAT)));
    bench.give(1500, held("it was stopped"));
    assert_eq!(told(&bench), "Start delayed: it was stopped");
    bench.give(1600, SPAWNED);
    assert_eq!(
        (bench.state().as_str(), told(&bench).as_str()),
        ("STARTING", "")
    );
    assert!(bench.give(1700, held("late")).is_empty());
}

#[test]
fn a_start_without_wait_does_not_wait_for_a_delayed_spawn() {
    for (wait, is_answered) in [(false, true), (true, false)] {
        let mut bench = Bench::cat(|spec| spec.autostart = false);
        bench.ask(0, start("cat", wait));
        let lines = bench.give(
            10,
            Input::Spawner(SpawnerOutcome::Answered {
                ticket: crate::api::Ticket(1),
                result: Ok(()),
            }),
        );
        assert!(lines.contains(&"resolve 0.1".to_owned()), "{lines:?}");
        let lines = bench.give(500, held("a mount is dead"));
        let answered = lines.iter().any(|line| line.starts_with("answer 1"));
        assert_eq!(answered, is_answered, "{lines:?}");
    }
}

#[test]
fn prc_03_without_autostart_nothing_starts() {
    let bench = Bench::cat(|spec| spec.autostart = false);
    assert_eq!((bench.state().as_str(), bench.due()), ("STOPPED", None));
    assert_eq!(bench.fleet.view(Bench::now(0))[0].start, 0);
}

#[test]
fn prc_04_autorestart_follows_the_exit_code() {
    use AutoRestart::{Always, Never, Unexpected};
    // (policy, exit code, restarts)
    let table = [
        (Always, 0, true),
        (Always, 1, true),
        (Never, 0, false),
        (Never, 1, false),
        (Unexpected, 0, false),
        (Unexpected, 1, true),
    ];
    for (policy, code, again) in table {
        let mut bench = Bench::up(|spec| spec.autorestart = policy);
        bench.give(1000, Input::DeadlineReached);
        let lines = bench.give(5000, exited(code));
        let next: &[&str] = if again {
            &["prepare-next 0.2", "resolve 0.2"]
        } else {
            &[]
        };
        assert_eq!(lines, [&["drain 0.1"], next].concat(), "{policy:?} {code}");
        let lines = bench.give(5000, Input::Output(OutputOutcome::Drained(CAT)));
        let told = format!("cat RUNNING->EXITED pid 7 expected {}", code == 0);
        assert_eq!(lines[0], told);
        let starts = lines.iter().any(|line| line == STARTING);
        assert_eq!(starts, again, "{policy:?} {code}");
    }
}

/// The cases in which the newest Go implementation stores another state than its older one.
#[test]
fn a10_an_exit_after_an_hour_follows_autorestart() {
    use AutoRestart::{Always, Never, Unexpected};
    const HOUR: u64 = 3_600_000;
    for (policy, expected) in [
        (Always, "STARTING"),
        (Unexpected, "EXITED"),
        (Never, "EXITED"),
    ] {
        let mut bench = Bench::up(|spec| spec.autorestart = policy);
        bench.give(1003, Input::DeadlineReached);
        assert_eq!(bench.state(), "RUNNING");
        bench.give(HOUR, exited(0));
        let lines = bench.give(HOUR, Input::Output(OutputOutcome::Drained(CAT)));
        assert_eq!(lines[0], "cat RUNNING->EXITED pid 7 expected true");
        assert_eq!(bench.state(), expected, "{policy:?}");
    }
}

#[test]
fn prc_05_a_restart_waits_for_restart_floor() {
    // (floor, time of the exit, time of the restart)
    for (floor, ended, again) in [
        (1, 300, Some(1000)),
        (5, 2000, Some(5000)),
        (1, 1500, None),
        (0, 300, None),
    ] {
        let mut bench = Bench::up(|spec| {
            spec.startsecs = Seconds(0);
            spec.restart_floor = Seconds(floor);
        });
        bench.give(ended, exited(1));
        let lines = bench.give(ended, Input::Output(OutputOutcome::Drained(CAT)));
        assert_eq!(bench.due(), again);
        assert_eq!(lines.contains(&STARTING.to_owned()), again.is_none());
        let Some(again) = again else { continue };
        let waits = format!(
            "DEBG cat: restart is delayed by {} ms (restart_floor)",
            again - ended
        );
        assert_eq!(lines.last(), Some(&waits));
        assert_eq!(bench.state(), "EXITED");
        assert_eq!(
            bench.give(again, Input::DeadlineReached),
            [STARTING, "resolve 0.2"]
        );
    }
}

#[test]
fn prc_06_startsecs_0_is_running_at_once() {
    let mut bench = Bench::cat(|spec| spec.startsecs = Seconds(0));
    bench.give(0, Input::Spawner(SpawnerOutcome::Resolved(CAT)));
    bench.give(0, Input::Output(OutputOutcome::Prepared(CAT)));
    let lines = bench.give(0, SPAWNED);
    assert_eq!(lines[2], "cat STARTING->RUNNING pid 7");
    assert!(lines[3].contains("> than 0 seconds"));
}

#[test]
fn prc_06_an_exit_is_judged_by_its_own_time() {
    // §11.2: the original may call a dead process RUNNING. (time of the exit, actions)
    let quick = vec![
        "cat STARTING->BACKOFF tries 1",
        "WARN exited: cat (exit status 0; not expected)",
    ];
    let late = vec![
        "cat STARTING->RUNNING pid 7",
        "cat RUNNING->EXITED pid 7 expected true",
        "INFO exited: cat (exit status 0; expected)",
    ];
    for (at, expected) in [(999, quick), (1000, late)] {
        let mut bench = Bench::up(|_| {});
        assert_eq!(bench.give(at, exited(0)), ["drain 0.1"]);
        // Slow output does not change how long the process ran.
        assert_eq!(bench.give(5000, Input::DeadlineReached), [""; 0]);
        assert_eq!(
            bench.give(5000, Input::Output(OutputOutcome::Drained(CAT))),
            expected,
            "{at}"
        );
    }
}

#[test]
fn prc_07_prc_08_prc_09_backoff_grows_and_ends_in_fatal() {
    let mut bench = Bench::cat(|spec| spec.startretries = 2);
    play(
        &mut bench,
        vec![
            (
                0,
                missing(CAT),
                vec![
                    "INFO spawnerr: can't find command '/bin/cat'",
                    "cat STARTING->BACKOFF tries 1",
                ],
                Some(1000),
            ),
            (
                1000,
                Input::DeadlineReached,
                vec!["cat BACKOFF->STARTING tries 1", "resolve 0.2"],
                None,
            ),
            (
                1000,
                Input::Spawner(SpawnerOutcome::Resolved(AGAIN)),
                vec!["prepare 0.2"],
                None,
            ),
            (
                1000,
                Input::Output(OutputOutcome::Prepared(AGAIN)),
                vec!["spawn 0.2"],
                None,
            ),
            // The preparation for the failed attempt is undone.
            (
                1000,
                missing(AGAIN),
                vec![
                    "drain 0.2",
                    "INFO spawnerr: can't find command '/bin/cat'",
                    "cat STARTING->BACKOFF tries 2",
                ],
                Some(3000),
            ),
            (
                3000,
                Input::DeadlineReached,
                vec!["cat BACKOFF->STARTING tries 2", "resolve 0.3"],
                None,
            ),
        ],
    );
    bench.bring_up(3000, 0, 3, 9);
    let instance = InstanceId {
        slot: 0,
        incarnation: 3,
    };
    let status = ExitStatus::Exited(0);
    bench.give(3500, Input::Exited { instance, status });
    assert_eq!(
        bench.give(3500, Input::Output(OutputOutcome::Drained(instance))),
        [
            "cat STARTING->BACKOFF tries 3",
            "WARN exited: cat (exit status 0; not expected)",
            "cat BACKOFF->FATAL",
            "INFO gave up: cat entered FATAL state, too many start retries too quickly",
        ]
    );
    assert_eq!(bench.due(), None);
    let view = &bench.fleet.view(Bench::now(3500))[0];
    assert_eq!(
        (view.spawn_error.as_str(), view.exit_status),
        ("Exited too quickly (process log may have details)", 0)
    );
}

#[test]
fn prc_10_a_stop_in_backoff_keeps_the_counter() {
    let mut bench = Bench::cat(|_| {});
    bench.give(0, missing(CAT));
    assert_eq!(
        bench.ask(500, super::bench::stop("cat", true)),
        [
            "DEBG Attempted to kill cat, which is in BACKOFF state.",
            "cat BACKOFF->STOPPED pid 0",
            "answer 1 Done",
        ]
    );
    assert_eq!(bench.due(), None);
    assert_eq!(bench.ask(600, start("cat", false)), ["check 2 cat"]);
    let checked = Input::Spawner(SpawnerOutcome::Answered {
        ticket: crate::api::Ticket(2),
        result: Ok(()),
    });
    assert_eq!(
        bench.give(600, checked),
        [
            "cat STOPPED->STARTING tries 1",
            "resolve 0.2",
            "audit start cat ok",
        ]
    );
}

#[test]
fn prc_12_a_signal_is_status_minus_1_and_unexpected() {
    let mut bench = Bench::up(|spec| spec.autorestart = AutoRestart::Never);
    bench.give(1000, Input::DeadlineReached);
    let status = ExitStatus::Signalled {
        signal: Signal::TERM,
        dumped: false,
    };
    bench.give(
        2000,
        Input::Exited {
            instance: CAT,
            status,
        },
    );
    assert_eq!(
        bench.give(2000, Input::Output(OutputOutcome::Drained(CAT))),
        [
            "cat RUNNING->EXITED pid 7 expected false",
            "WARN exited: cat (terminated by SIGTERM; not expected)",
        ]
    );
    let view = &bench.fleet.view(Bench::now(2000))[0];
    assert_eq!(
        (view.exit_status, view.spawn_error.as_str(), view.stop),
        (-1, "Bad exit code -1", 1002)
    );
}

#[test]
fn unwritten_output_delays_the_exit_by_ten_seconds_at_most() {
    let mut bench = Bench::up(|spec| spec.autorestart = AutoRestart::Never);
    bench.give(1000, Input::DeadlineReached);
    bench.give(2000, exited(0));
    assert_eq!(
        (bench.state().as_str(), bench.due()),
        ("RUNNING", Some(12_000))
    );
    assert_eq!(
        bench.give(12_000, Input::DeadlineReached)[0],
        "WARN cat: output was not written within 10 s after the exit; no longer waiting for it"
    );
    assert_eq!(bench.state(), "EXITED");
    // The late answer belongs to no current instance.
    assert_eq!(
        bench.give(13_000, Input::Output(OutputOutcome::Drained(CAT))),
        [""; 0]
    );
}

#[test]
fn prc_30_the_wall_clock_decides_nothing() {
    let mut bench = Bench::up(|_| {});
    let mut now = Bench::now(500);
    now.wall.0 -= 1_000_000_000_000_000;
    let mut out = Vec::new();
    bench.fleet.handle(now, Input::DeadlineReached, &mut out);
    assert_eq!((out.len(), bench.due()), (0, Some(1000)));
}

#[test]
fn inputs_for_a_past_instance_are_dropped_or_undone() {
    let mut bench = Bench::cat(|spec| spec.autostart = false);
    let status = ExitStatus::Exited(0);
    let table = [
        (
            Input::Spawner(SpawnerOutcome::Resolved(CAT)),
            vec!["drain 0.1"],
        ),
        (
            Input::Output(OutputOutcome::Prepared(CAT)),
            vec!["drain 0.1"],
        ),
        (SPAWNED, vec!["signal 0.1 SIGKILL Process"]),
        (missing(CAT), vec![]),
        (
            Input::Exited {
                instance: CAT,
                status,
            },
            vec!["drain 0.1"],
        ),
        (Input::Output(OutputOutcome::Drained(CAT)), vec![]),
    ];
    for (input, expected) in table {
        assert_eq!(bench.give(0, input.clone()), expected, "{input:?}");
    }
    assert_eq!(bench.state(), "STOPPED");
}

#[test]
fn restart_count_and_exit_reason_outlast_an_instance() {
    let mut bench = Bench::up(|spec| spec.autorestart = AutoRestart::Always);
    let look = |bench: &Bench| {
        let view = bench.fleet.view(Bench::now(0)).remove(0);
        (view.restarts, view.exit_reason)
    };
    assert_eq!(look(&bench), (0, None));
    bench.give(1000, Input::DeadlineReached);
    bench.give(2000, exited(3));
    bench.give(2000, Input::Output(OutputOutcome::Drained(CAT)));
    let exit_reason = Some(ExitReason::ByItself(ExitStatus::Exited(3)));
    assert_eq!(look(&bench), (0, exit_reason.clone()), "not yet again");
    bench.bring_up(2000, 0, 2, 8);
    assert_eq!(look(&bench), (1, exit_reason), "while the next life runs");
    let exits = |incarnation| Input::Exited {
        instance: InstanceId {
            slot: 0,
            incarnation,
        },
        status: ExitStatus::Exited(0),
    };
    bench.give(2500, exits(2));
    bench.give(2500, Input::Output(OutputOutcome::Drained(AGAIN)));
    let quick = Some(ExitReason::TooQuick(ExitStatus::Exited(0)));
    assert_eq!(look(&bench), (1, quick));
    bench.give(3500, Input::DeadlineReached);
    let third = InstanceId {
        slot: 0,
        incarnation: 3,
    };
    bench.give(3500, missing(third));
    let error = SpawnError::NotFound("/bin/cat".to_owned());
    let missing = Some(ExitReason::NotSpawned(Box::new(error)));
    assert_eq!(look(&bench), (1, missing.clone()), "no process, no restart");
    let restored = Fleet::restore(bench.fleet.snapshot(), Bench::now(3500));
    let view = restored.view(Bench::now(3500)).remove(0);
    assert_eq!((view.restarts, view.exit_reason), (1, missing));
}

#[test]
fn a_requested_stop_is_the_exit_reason() {
    let mut bench = Bench::up(|_| {});
    bench.ask(1500, stop("cat", false));
    bench.give(1600, exited(0));
    bench.give(1600, Input::Output(OutputOutcome::Drained(CAT)));
    assert_eq!(
        bench.fleet.view(Bench::now(1600))[0].exit_reason,
        Some(ExitReason::OnRequest(ExitStatus::Exited(0)))
    );
}
