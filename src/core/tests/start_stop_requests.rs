//! Tests of requests that start and stop processes, and of the order of their results (rows RPC-16 to RPC-20).

use super::bench::{Bench, CAT, config, exited, program, start, stop};
use super::requests::{checked, last};
use crate::api::{Request, RequestTarget};
use crate::core::Input;
use crate::domain::{InstanceId, Seconds, SpawnError};
use crate::effects::{OutputOutcome, SpawnerOutcome};

#[test]
fn rpc_16_start_is_refused_in_this_order() {
    let mut bench = Bench::up(|_| {});
    assert_eq!(
        bench.ask(0, start("dog", true)),
        ["answer 1 fault BAD_NAME: dog"]
    );
    // The command is checked before the state.
    let path = || "/bin/cat".to_owned();
    let table = [
        (
            Err(SpawnError::NotFound(path())),
            "NO_FILE: can't find command '/bin/cat'",
        ),
        (
            Err(SpawnError::Directory(path())),
            "NOT_EXECUTABLE: command at '/bin/cat' is a directory",
        ),
        (
            Err(SpawnError::NoPermission(path())),
            "NOT_EXECUTABLE: no permission to run command '/bin/cat'",
        ),
        (Ok(()), "ALREADY_STARTED: cat"),
    ];
    for (place, (result, fault)) in table.into_iter().enumerate() {
        let ticket = place as u64 + 2;
        assert_eq!(
            bench.ask(0, start("cat", true)),
            [format!("check {ticket} cat")]
        );
        let lines = bench.give(0, checked(ticket, result));
        assert_eq!(
            lines,
            [
                format!("audit start cat {fault}"),
                format!("answer {ticket} fault {fault}")
            ]
        );
    }
}

#[test]
fn rpc_16_a_stopping_process_is_not_started() {
    let mut bench = Bench::up(|_| {});
    bench.ask(0, stop("cat", false));
    for (ticket, wait, answer) in [
        (2, true, "answer 2 fault ABNORMAL_TERMINATION: cat"),
        (3, false, "answer 3 Done"),
    ] {
        bench.ask(0, start("cat", wait));
        let lines = bench.give(0, checked(ticket, Ok(())));
        assert_eq!(lines[0], "WARN process 'cat' already running");
        assert_eq!(last(&lines), answer);
    }
}

/// Returns a fleet with a stopped `cat` whose start was requested and checked.
fn starting(wait: bool, startsecs: i64) -> Bench {
    let mut bench = Bench::cat(|spec| {
        spec.autostart = false;
        spec.startsecs = Seconds(startsecs);
    });
    bench.ask(0, start("cat", wait));
    bench.give(0, checked(1, Ok(())));
    bench
}

#[test]
fn rpc_17_a_waited_start_is_answered_when_running() {
    let mut bench = starting(true, 1);
    bench.bring_up(0, 0, 1, 7);
    let lines = bench.give(1000, Input::DeadlineReached);
    assert_eq!(last(&lines), "answer 1 Done");
}

#[test]
fn rpc_17_startsecs_0_is_answered_at_the_spawn() {
    let mut bench = starting(true, 0);
    let lines = bench.bring_up(0, 0, 1, 7);
    assert_eq!(last(&lines), "answer 1 Done");
}

#[test]
fn rpc_17_the_first_failure_answers_and_retries_go_on() {
    for wait in [true, false] {
        let mut bench = starting(wait, 1);
        let error = SpawnError::Empty;
        let lines = bench.give(
            0,
            Input::Spawner(SpawnerOutcome::Failed {
                instance: CAT,
                error,
            }),
        );
        assert_eq!(last(&lines), "answer 1 fault SPAWN_ERROR: cat");
        assert_eq!(
            (bench.state().as_str(), bench.due()),
            ("BACKOFF", Some(1000))
        );
    }
}

#[test]
fn rpc_17_an_early_exit_is_a_spawn_error() {
    let mut bench = starting(true, 1);
    bench.bring_up(0, 0, 1, 7);
    bench.give(10, exited(0));
    let lines = bench.give(10, Input::Output(OutputOutcome::Drained(CAT)));
    assert_eq!(last(&lines), "answer 1 fault SPAWN_ERROR: cat");
}

#[test]
fn rpc_17_a_stop_ends_the_wait_for_a_start() {
    let mut bench = starting(true, 1);
    bench.bring_up(0, 0, 1, 7);
    let lines = bench.ask(10, stop("cat", false));
    assert_eq!(last(&lines), "answer 1 fault ABNORMAL_TERMINATION: cat");
}

#[test]
fn rpc_17_without_waiting_the_spawn_answers() {
    let mut bench = starting(false, 1);
    let lines = bench.bring_up(0, 0, 1, 7);
    assert_eq!(last(&lines), "answer 1 Done");
}

#[test]
fn rpc_18_stop_of_a_stopped_process_is_refused() {
    let mut bench = Bench::cat(|spec| spec.autostart = false);
    assert_eq!(
        bench.ask(0, stop("cat", true)),
        ["answer 1 fault NOT_RUNNING: cat"]
    );
    assert_eq!(
        bench.ask(0, stop("dog", true)),
        ["answer 2 fault BAD_NAME: dog"]
    );
}

/// Returns a fleet with a group `g` of `a`, `b`, `c`. `b` is stopped, the others are STARTING with PIDs 10 and 12.
fn trio() -> Bench {
    let mut specs = vec![program("g", "a"), program("g", "b"), program("g", "c")];
    specs[1].autostart = false;
    specs[1].startsecs = Seconds(0);
    let mut bench = Bench::new(config(vec![(999, specs)]));
    bench.give(0, Input::DaemonStarted);
    bench.bring_up(0, 0, 1, 10);
    bench.bring_up(0, 2, 2, 12);
    bench
}

#[test]
fn rpc_20_results_contain_only_affected_processes() {
    let mut bench = trio();
    let target = RequestTarget::Group("g".to_owned());
    let request = Request::Start { target, wait: true };
    assert_eq!(bench.ask(0, request), ["check 1 b"]);
    bench.give(0, checked(1, Ok(())));
    let instance = InstanceId {
        slot: 1,
        incarnation: 3,
    };
    bench.give(0, Input::Spawner(SpawnerOutcome::Resolved(instance)));
    bench.give(0, Input::Output(OutputOutcome::Prepared(instance)));
    let lines = bench.give(
        0,
        Input::Spawner(SpawnerOutcome::Spawned { instance, pid: 11 }),
    );
    assert_eq!(last(&lines), "answer 1 [\"g:b OK\"]");
    let target = RequestTarget::Group("x".to_owned());
    let request = Request::Start { target, wait: true };
    assert_eq!(bench.ask(0, request), ["answer 2 fault BAD_NAME: x"]);
}

#[test]
fn rpc_20_immediate_results_come_first_then_as_they_finish() {
    let mut bench = trio();
    // `c` is in BACKOFF and stops at once, although `a` comes before it. `a` takes its time.
    let instance = InstanceId {
        slot: 2,
        incarnation: 2,
    };
    let status = crate::domain::ExitStatus::Exited(0);
    bench.give(10, Input::Exited { instance, status });
    bench.give(10, Input::Output(OutputOutcome::Drained(instance)));
    let lines = bench.ask(
        20,
        Request::Stop {
            target: RequestTarget::All,
            wait: true,
        },
    );
    assert!(lines.contains(&"a STARTING->STOPPING pid 10".to_owned()));
    assert!(lines.contains(&"c BACKOFF->STOPPED pid 0".to_owned()));
    bench.give(30, exited(0));
    let lines = bench.give(30, Input::Output(OutputOutcome::Drained(CAT)));
    assert_eq!(last(&lines), "answer 1 [\"g:c OK\", \"g:a OK\"]");
}

#[test]
fn rpc_20_without_affected_processes_the_results_are_empty() {
    let mut bench = Bench::cat(|spec| spec.autostart = false);
    let request = Request::Stop {
        target: RequestTarget::All,
        wait: true,
    };
    assert_eq!(bench.ask(0, request), ["answer 1 []"]);
}
