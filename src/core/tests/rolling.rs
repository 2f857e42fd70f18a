//! Tests of rolling restarts.

use super::bench::{Bench, config, exited, one, program, stop};
use crate::api::{AccessScope, Request, RequestTarget, RollingLimits, Ticket};
use std::sync::Arc;

use crate::config::spec::{HealthAction, HealthCheck, HealthSpec, Script};
use crate::core::{DaemonOutcome, Input};
use crate::domain::{ExitStatus, InstanceId, Seconds, Signal, SpawnError};
use crate::effects::{OutputOutcome, ScriptFailure, ScriptId, ScriptOutcome, SpawnerOutcome};

/// Returns a fleet with a group `g` of processes `p0` …, all RUNNING since 0 ms. Slot n has PID 100 + n and incarnation
/// n + 1.
fn running(count: u32) -> Bench {
    let processes = (0..count).map(|n| program("g", &format!("p{n}"))).collect();
    let mut bench = Bench::new(config(vec![(999, processes)]));
    bench.give(0, Input::DaemonStarted);
    for slot in 0..count {
        let pid = i32::try_from(100 + slot).expect("small");
        bench.bring_up(0, slot, u64::from(slot) + 1, pid);
    }
    bench.give(1000, Input::DeadlineReached);
    bench
}

fn roll(target: RequestTarget, at_once: u32) -> Request {
    Request::RollingRestart {
        targets: vec![target],
        limits: RollingLimits {
            at_once,
            max_failures: 0,
            healthy: false,
        },
    }
}

fn group() -> RequestTarget {
    RequestTarget::Group("g".to_owned())
}

fn found(ticket: u64) -> Input {
    Input::Spawner(SpawnerOutcome::Answered {
        ticket: Ticket(ticket),
        result: Ok(()),
    })
}

/// Lets a process exit because of its stop signal.
fn stops(bench: &mut Bench, ms: u64, slot: u32, incarnation: u64) -> Vec<String> {
    let instance = InstanceId { slot, incarnation };
    let status = ExitStatus::Signalled {
        signal: Signal::TERM,
        dumped: false,
    };
    bench.give(ms, Input::Exited { instance, status });
    bench.give(ms, Input::Output(OutputOutcome::Drained(instance)))
}

fn states(bench: &Bench) -> Vec<&'static str> {
    let views = bench.fleet.view(Bench::now(0));
    views.into_iter().map(|view| view.state.name()).collect()
}

#[test]
fn the_next_process_stops_when_the_previous_one_is_running() {
    let mut bench = running(2);
    assert_eq!(bench.ask(1000, roll(group(), 1)), ["check 1 p0"]);
    assert_eq!(
        bench.give(1000, found(1)),
        [
            "DEBG killing p0 (pid 100) with signal SIGTERM",
            "p0 RUNNING->STOPPING pid 100",
            "signal 0.1 SIGTERM Process",
            "INFO waiting for p0 to stop",
        ]
    );
    let lines = stops(&mut bench, 1500, 0, 1);
    assert_eq!(
        lines[lines.len() - 2..],
        ["p0 STOPPED->STARTING tries 0", "resolve 0.3"]
    );
    bench.bring_up(1500, 0, 3, 200);
    assert_eq!(states(&bench), ["STARTING", "RUNNING"]);
    assert_eq!(bench.due(), Some(2500));
    let lines = bench.give(2500, Input::DeadlineReached);
    assert_eq!(lines[lines.len() - 1], "check 1 p1", "only now");
    bench.give(2500, found(1));
    stops(&mut bench, 2600, 1, 2);
    bench.bring_up(2600, 1, 4, 201);
    let lines = bench.give(3600, Input::DeadlineReached);
    assert_eq!(
        lines[lines.len() - 1],
        "answer 1 [\"g:p0 OK\", \"g:p1 OK\"]"
    );
    assert_eq!(states(&bench), ["RUNNING", "RUNNING"]);
}

#[test]
fn a_failure_ends_the_rolling_restart_and_leaves_the_rest_running() {
    let mut bench = running(3);
    bench.ask(1000, roll(group(), 1));
    bench.give(1000, found(1));
    stops(&mut bench, 1000, 0, 1);
    bench.bring_up(1000, 0, 4, 200);
    let instance = InstanceId {
        slot: 0,
        incarnation: 4,
    };
    let status = ExitStatus::Exited(1);
    bench.give(1200, Input::Exited { instance, status });
    let lines = bench.give(1200, Input::Output(OutputOutcome::Drained(instance)));
    assert_eq!(
        lines[lines.len() - 1],
        "answer 1 [\"g:p0 SPAWN_ERROR: g:p0: Exited too quickly (process log may have details)\", \"g:p1 FAILED: not restarted: g:p0 failed before it\", \"g:p2 FAILED: not \
         restarted: g:p0 failed before it\"]"
    );
    assert_eq!(states(&bench), ["BACKOFF", "RUNNING", "RUNNING"]);
}

#[test]
fn a_process_that_cannot_start_is_not_stopped() {
    for (error, fault) in [
        (
            SpawnError::NotFound("/bin/cat".to_owned()),
            "NO_FILE: can't find command '/bin/cat'",
        ),
        (
            SpawnError::NoPermission("/bin/cat".to_owned()),
            "NOT_EXECUTABLE: no permission to run command '/bin/cat'",
        ),
    ] {
        let mut bench = running(1);
        bench.ask(1000, roll(group(), 1));
        let checked = Input::Spawner(SpawnerOutcome::Answered {
            ticket: Ticket(1),
            result: Err(error),
        });
        assert_eq!(
            bench.give(1000, checked),
            [format!("answer 1 [\"g:p0 {fault}\"]")]
        );
        assert_eq!(states(&bench), ["RUNNING"]);
    }
}

#[test]
fn several_processes_restart_at_once() {
    let mut bench = running(3);
    assert_eq!(
        bench.ask(1000, roll(group(), 2)),
        ["check 1 p0", "check 1 p1"]
    );
    bench.give(1000, found(1));
    bench.give(1000, found(1));
    assert_eq!(states(&bench), ["STOPPING", "STOPPING", "RUNNING"]);
    stops(&mut bench, 1100, 1, 2);
    bench.bring_up(1100, 1, 4, 201);
    let lines = bench.give(2100, Input::DeadlineReached);
    assert_eq!(lines[lines.len() - 1], "check 1 p2", "a place is free");
    assert_eq!(states(&bench), ["STOPPING", "RUNNING", "RUNNING"]);
}

#[test]
fn processes_under_way_are_started_after_a_failure() {
    let mut bench = running(3);
    bench.ask(1000, roll(group(), 2));
    bench.give(1000, found(1));
    bench.give(1000, found(1));
    stops(&mut bench, 1100, 0, 1);
    let instance = InstanceId {
        slot: 0,
        incarnation: 4,
    };
    let error = SpawnError::Empty;
    bench.give(
        1100,
        Input::Spawner(SpawnerOutcome::Failed { instance, error }),
    );
    // The other process is already stopping and must be started again.
    let lines = stops(&mut bench, 1200, 1, 2);
    assert!(lines.contains(&"resolve 1.5".to_owned()), "{lines:?}");
    bench.bring_up(1200, 1, 5, 201);
    let lines = bench.give(2200, Input::DeadlineReached);
    let answer = lines.iter().find(|line| line.starts_with("answer 1"));
    assert_eq!(
        answer.map(String::as_str),
        Some(
            "answer 1 [\"g:p0 SPAWN_ERROR: g:p0: command is empty\", \"g:p1 OK\", \"g:p2 FAILED: not restarted: g:p0 failed before it\"]"
        )
    );
}

#[test]
fn a_stopped_process_restarts_only_by_its_own_name() {
    let mut bench = Bench::cat(|spec| spec.autostart = false);
    assert_eq!(
        bench.ask(0, roll(RequestTarget::All, 1)),
        ["answer 1 []"],
        "it stays stopped"
    );
    assert_eq!(bench.ask(0, roll(one("cat"), 1)), ["check 2 cat"]);
    assert_eq!(
        bench.give(0, found(2)),
        ["cat STOPPED->STARTING tries 0", "resolve 0.1"]
    );
    bench.bring_up(0, 0, 1, 7);
    let lines = bench.give(1000, Input::DeadlineReached);
    assert_eq!(lines[lines.len() - 1], "answer 2 [\"cat:cat OK\"]");
}

#[test]
fn a_stop_by_another_request_stays() {
    let mut bench = running(1);
    bench.ask(1000, roll(group(), 1));
    bench.give(1000, found(1));
    let lines = bench.ask(1100, stop("g:p0", true));
    assert_eq!(
        lines,
        [
            "answer 2 fault NOT_RUNNING: g:p0",
            "answer 1 [\"g:p0 FAILED: g:p0: stopped by another request\"]",
        ]
    );
    let lines = stops(&mut bench, 1200, 0, 1);
    assert!(!lines.iter().any(|line| line.starts_with("resolve")));
    assert_eq!(states(&bench), ["STOPPED"]);
    assert_eq!(bench.due(), None);
}

#[test]
fn a_process_is_restarted_once_at_a_time() {
    let mut bench = running(2);
    bench.ask(1000, roll(group(), 1));
    for target in [RequestTarget::All, one("g:p1")] {
        let lines = bench.ask(1000, roll(target, 1));
        assert!(
            lines[0].contains("a rolling restart is already running"),
            "{lines:?}"
        );
    }
    assert_eq!(
        bench.ask(1000, roll(one("g:x"), 1)),
        ["answer 4 fault BAD_NAME: g:x"]
    );
}

#[test]
fn a_process_named_twice_restarts_once() {
    let mut bench = running(1);
    let request = Request::RollingRestart {
        targets: vec![RequestTarget::All, group(), one("g:p0")],
        limits: RollingLimits {
            at_once: 9,
            max_failures: 0,
            healthy: false,
        },
    };
    assert_eq!(bench.ask(1000, request), ["check 1 p0"]);
}

#[test]
fn a_process_without_permission_is_reported_and_not_touched() {
    let mut bench = running(1);
    let lines = bench.ask_within(
        1000,
        roll(RequestTarget::All, 1),
        AccessScope::Only(vec![crate::domain::Namespec::parse("x:*")]),
    );
    assert_eq!(
        lines,
        ["answer 1 [\"g:p0 FAILED: permission denied: g:p0\"]"]
    );
    assert_eq!(states(&bench), ["RUNNING"]);
}

#[test]
fn a_process_removed_during_its_restart_is_not_started() {
    let mut bench = running(1);
    bench.ask(1000, roll(group(), 1));
    bench.give(1000, found(1));
    stops(&mut bench, 1000, 0, 1);
    let instance = InstanceId {
        slot: 0,
        incarnation: 2,
    };
    // The process is about to start again when a client stops it and removes its group.
    let lines = bench.ask(1000, stop("g:p0", false));
    assert!(
        lines.contains(&"answer 1 [\"g:p0 ABNORMAL_TERMINATION: g:p0\"]".to_owned()),
        "{lines:?}"
    );
    let lines = bench.ask(1000, Request::RemoveGroup("g".to_owned()));
    assert!(lines[lines.len() - 1].ends_with("Done"), "{lines:?}");
    let lines = bench.give(1000, Input::Spawner(SpawnerOutcome::Resolved(instance)));
    assert!(
        !lines.iter().any(|line| line.starts_with("prepare")),
        "{lines:?}"
    );
}

#[test]
fn a_shutdown_ends_the_rolling_restart() {
    let mut bench = running(2);
    bench.ask(1000, roll(group(), 1));
    bench.give(1000, found(1));
    bench.ask(1000, Request::Shutdown);
    let lines = stops(&mut bench, 1100, 0, 1);
    let answer = lines.iter().find(|line| line.starts_with("answer 1"));
    assert!(
        answer.is_some_and(|line| line.contains("g:p0 SHUTDOWN_STATE")),
        "{lines:?}"
    );
    let lines = stops(&mut bench, 1100, 1, 2);
    assert_eq!(
        lines[lines.len() - 1],
        format!("finish {:?}", DaemonOutcome::Shutdown)
    );
}

#[test]
fn a_process_in_backoff_restarts_immediately() {
    let mut bench = Bench::up(|_| {});
    bench.give(100, exited(1));
    bench.give(
        100,
        Input::Output(OutputOutcome::Drained(InstanceId {
            slot: 0,
            incarnation: 1,
        })),
    );
    assert_eq!(bench.state(), "BACKOFF");
    bench.ask(200, roll(RequestTarget::All, 1));
    let lines = bench.give(200, found(1));
    assert!(lines.contains(&"resolve 0.2".to_owned()), "{lines:?}");
}

/// A fleet as [`running`] with a health check of each process. The check n + 1 of p`n` runs.
fn checked(count: u32, threshold: (u32, u32)) -> Bench {
    let processes = (0..count).map(|n| {
        let mut spec = program("g", &format!("p{n}"));
        spec.startsecs = Seconds(0);
        spec.health = Some(Arc::new(HealthSpec {
            check: HealthCheck::Script(Script::Command("check".to_owned())),
            initial_delay: Seconds(0),
            first_period: Seconds(1),
            period: Seconds(30),
            timeout: Seconds(10),
            start_period: Seconds(0),
            success_threshold: threshold.0,
            failure_threshold: threshold.1,
            on_healthy: None,
            on_unhealthy: HealthAction::None,
        }));
        spec
    });
    let mut bench = Bench::new(config(vec![(999, processes.collect())]));
    bench.give(0, Input::DaemonStarted);
    for slot in 0..count {
        let pid = i32::try_from(100 + slot).expect("small");
        bench.bring_up(0, slot, u64::from(slot) + 1, pid);
    }
    bench
}

fn check_ended(bench: &mut Bench, ms: u64, id: u64, failure: Option<ScriptFailure>) -> Vec<String> {
    let outcome = ScriptOutcome::Ended {
        id: ScriptId(id),
        failure,
        output: String::new(),
    };
    bench.give(ms, Input::Script(outcome))
}

fn answer_of(lines: &[String]) -> Option<&str> {
    let mut lines = lines.iter();
    let answer = lines.find(|line| line.starts_with("answer 1"));
    answer.map(String::as_str)
}

fn healthy(max_failures: u32) -> Request {
    Request::RollingRestart {
        targets: vec![group()],
        limits: RollingLimits {
            at_once: 1,
            max_failures,
            healthy: true,
        },
    }
}

#[test]
fn the_next_process_stops_when_the_previous_one_is_healthy() {
    let mut bench = checked(2, (1, 2));
    bench.ask(0, healthy(0));
    bench.give(0, found(1));
    stops(&mut bench, 100, 0, 1);
    bench.bring_up(100, 0, 3, 200);
    assert_eq!(states(&bench), ["RUNNING", "RUNNING"], "not healthy yet");
    let lines = check_ended(&mut bench, 200, 3, None);
    assert_eq!(lines[lines.len() - 1], "check 1 p1", "only now");
    bench.give(200, found(1));
    stops(&mut bench, 300, 1, 2);
    bench.bring_up(300, 1, 4, 201);
    // One failure is not enough to know.
    let failure = || Some(ScriptFailure::HttpStatus(503));
    assert_eq!(answer_of(&check_ended(&mut bench, 400, 4, failure())), None);
    bench.give(1400, Input::DeadlineReached);
    let lines = check_ended(&mut bench, 1400, 5, failure());
    assert_eq!(
        answer_of(&lines),
        Some("answer 1 [\"g:p0 OK\", \"g:p1 FAILED: g:p1: unhealthy: HTTP status 503\"]")
    );
}

#[test]
fn checks_that_contradict_each_other_do_not_hold_a_rolling_restart_for_ever() {
    let mut bench = checked(1, (2, 2));
    bench.ask(0, healthy(0));
    bench.give(0, found(1));
    stops(&mut bench, 0, 0, 1);
    bench.bring_up(0, 0, 2, 200);
    let mut answer = None;
    for round in 0..4_u32 {
        let now = u64::from(round) * 1000;
        bench.give(now, Input::DeadlineReached);
        let failure = (round % 2 == 0).then_some(ScriptFailure::HttpStatus(503));
        let lines = check_ended(&mut bench, now, u64::from(round) + 2, failure);
        answer = answer_of(&lines).map(str::to_owned);
        assert_eq!(answer.is_some(), round == 3, "{round}: {lines:?}");
    }
    assert_eq!(
        answer.as_deref(),
        Some("answer 1 [\"g:p0 FAILED: g:p0: not healthy after 4 checks\"]")
    );
}

#[test]
fn a_process_without_a_health_check_need_only_be_ready() {
    let mut bench = running(1);
    bench.ask(1000, healthy(0));
    bench.give(1000, found(1));
    stops(&mut bench, 1000, 0, 1);
    bench.bring_up(1000, 0, 2, 200);
    let lines = bench.give(2000, Input::DeadlineReached);
    assert_eq!(answer_of(&lines), Some("answer 1 [\"g:p0 OK\"]"));
}

#[test]
fn a_rolling_restart_goes_on_until_too_many_have_failed() {
    let mut bench = running(4);
    bench.ask(
        1000,
        Request::RollingRestart {
            targets: vec![group()],
            limits: RollingLimits {
                at_once: 1,
                max_failures: 1,
                healthy: false,
            },
        },
    );
    let mut last = Vec::new();
    for (slot, incarnation) in [(0, 5), (1, 6)] {
        bench.give(1000, found(1));
        stops(&mut bench, 1000, slot, u64::from(slot) + 1);
        let instance = InstanceId { slot, incarnation };
        let error = SpawnError::Empty;
        last = bench.give(
            1000,
            Input::Spawner(SpawnerOutcome::Failed { instance, error }),
        );
    }
    let answer = answer_of(&last).unwrap_or_default();
    assert!(
        answer.contains("g:p2 FAILED: not restarted: g:p0, g:p1 failed before it"),
        "{last:?}"
    );
    assert_eq!(states(&bench)[2..], ["RUNNING", "RUNNING"]);
}
