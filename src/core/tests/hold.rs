//! Holds: while a process is on hold, the daemon leaves it alone.

use std::sync::Arc;

use super::bench::{Bench, CAT, exited, one, start, stop};
use crate::api::{Request, RequestTarget, Ticket};
use crate::config::spec::{AutoRestart, HealthAction, HealthCheck, HealthSpec, Script};
use crate::core::Input;
use crate::domain::{ExitStatus, InstanceId, Seconds};
use crate::effects::{OutputOutcome, ScriptFailure, ScriptId, ScriptOutcome, SpawnerOutcome};

fn hold(seconds: u32, reason: &str) -> Request {
    Request::Hold {
        target: one("cat"),
        seconds,
        reason: reason.to_owned(),
    }
}

fn release() -> Request {
    Request::Release(one("cat"))
}

fn exit(bench: &mut Bench, ms: u64, incarnation: u64) -> Vec<String> {
    let instance = InstanceId {
        slot: 0,
        incarnation,
    };
    let status = ExitStatus::Exited(3);
    let mut lines = bench.give(ms, Input::Exited { instance, status });
    lines.extend(bench.give(ms, Input::Output(OutputOutcome::Drained(instance))));
    lines
}

/// A process that is RUNNING since 0 ms and restarts after each exit.
fn running() -> Bench {
    Bench::up(|spec| {
        spec.startsecs = Seconds(0);
        spec.autorestart = AutoRestart::Always;
    })
}

#[test]
fn a_restart_waits_for_the_end_of_the_hold() {
    let mut bench = running();
    assert_eq!(
        bench.ask(0, hold(0, "broken\ndisk")),
        [
            "INFO cat: on hold for 0 s (0: until it is released): broken disk",
            "answer 1 Done"
        ]
    );
    let lines = exit(&mut bench, 5000, 1);
    assert!(
        lines.iter().all(|line| !line.starts_with("resolve")),
        "{lines:?}"
    );
    assert_eq!((bench.state(), bench.due()), ("EXITED".to_owned(), None));
    let view = &bench.fleet.view(Bench::now(5000))[0];
    let shown = view.hold.as_ref().expect("on hold");
    assert_eq!(
        (shown.since, shown.until, &*shown.reason),
        (1000, None, "broken disk")
    );
    let lines = bench.ask(9000, release());
    assert_eq!(lines[0], "INFO cat: no longer on hold");
    assert!(lines.contains(&"resolve 0.2".to_owned()), "{lines:?}");
    assert_eq!(bench.fleet.view(Bench::now(9000))[0].hold, None);
    // A release without a hold changes nothing.
    assert_eq!(bench.ask(9000, release()), ["answer 3 Done"]);
}

#[test]
fn a_hold_ends_at_its_time() {
    let mut bench = running();
    bench.ask(1000, hold(60, ""));
    exit(&mut bench, 5000, 1);
    assert_eq!(bench.due(), Some(61_000));
    let until = bench.fleet.view(Bench::now(5000))[0].hold.clone();
    assert_eq!(until.and_then(|hold| hold.until), Some(1061));
    let lines = bench.give(61_000, Input::DeadlineReached);
    assert_eq!(lines[0], "INFO cat: no longer on hold");
    assert!(lines.contains(&"resolve 0.2".to_owned()), "{lines:?}");
}

#[test]
fn a_retry_waits_and_requests_work() {
    let mut bench = Bench::up(|_| {});
    bench.ask(0, hold(0, ""));
    exit(&mut bench, 100, 1);
    assert_eq!((bench.state(), bench.due()), ("BACKOFF".to_owned(), None));
    bench.ask(200, stop("cat", false));
    assert_eq!(bench.state(), "STOPPED");
    bench.ask(300, start("cat", false));
    let found = SpawnerOutcome::Answered {
        ticket: Ticket(3),
        result: Ok(()),
    };
    let lines = bench.give(300, Input::Spawner(found));
    assert!(lines.contains(&"resolve 0.2".to_owned()), "{lines:?}");
    // A process that was stopped on request is not started by the release.
    bench.ask(400, stop("cat", false));
    let lines = bench.ask(500, release());
    assert_eq!(lines, ["INFO cat: no longer on hold", "answer 5 Done"]);
    assert_eq!(bench.due(), None);
}

#[test]
fn an_unhealthy_process_is_restarted_after_the_hold() {
    let mut bench = Bench::up(|spec| {
        spec.startsecs = Seconds(0);
        spec.health = Some(Arc::new(HealthSpec {
            check: HealthCheck::Script(Script::Command("check".to_owned())),
            initial_delay: Seconds(0),
            first_period: Seconds(1),
            period: Seconds(1),
            timeout: Seconds(10),
            start_period: Seconds(0),
            success_threshold: 1,
            failure_threshold: 1,
            on_healthy: None,
            on_unhealthy: HealthAction::Restart,
        }));
    });
    let fail = |bench: &mut Bench, ms: u64, id: u64| {
        let outcome = ScriptOutcome::Ended {
            id: ScriptId(id),
            failure: Some(ScriptFailure::HttpStatus(503)),
            output: String::new(),
        };
        bench.give(ms, Input::Script(outcome))
    };
    bench.ask(0, hold(0, ""));
    let lines = fail(&mut bench, 10, 1);
    assert!(
        lines.iter().any(|line| line.contains("UNHEALTHY")),
        "{lines:?}"
    );
    assert!(
        lines.iter().all(|line| !line.starts_with("signal")),
        "{lines:?}"
    );
    bench.ask(20, release());
    bench.give(1010, Input::DeadlineReached);
    let lines = fail(&mut bench, 1020, 2);
    assert!(
        lines.iter().any(|line| line.starts_with("signal")),
        "{lines:?}"
    );
}

#[test]
fn a_group_is_held_and_an_essential_process_does_not_end_the_daemon() {
    let mut bench = Bench::up(|spec| {
        spec.startsecs = Seconds(0);
        spec.essential = true;
        spec.autorestart = AutoRestart::Never;
    });
    let target = RequestTarget::Group("cat".to_owned());
    let lines = bench.ask(
        0,
        Request::Hold {
            target,
            seconds: 0,
            reason: String::new(),
        },
    );
    assert!(
        lines.iter().any(|line| line.contains("cat:cat OK")),
        "{lines:?}"
    );
    bench.give(100, exited(3));
    bench.give(100, Input::Output(OutputOutcome::Drained(CAT)));
    assert_eq!(bench.state(), "EXITED");
    assert_eq!(bench.fleet.state(), crate::domain::SupervisorState::Running);
}
