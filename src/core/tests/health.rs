//! Health checks and checks of readiness.

use std::sync::Arc;

use super::bench::{Bench, CAT, config, exited, program, stop};
use crate::config::spec::{
    AutoRestart, HealthAction, HealthCheck, HealthSpec, ProcessSpec, Script,
};
use crate::core::{DaemonSignal, Input, ResumeKind};
use crate::domain::{LinePattern, ProcessHealth, Seconds, Signal};
use crate::effects::{LineWatchKind, OutputOutcome, ScriptFailure, ScriptId, ScriptOutcome};

const FAILED: Option<ScriptFailure> = Some(ScriptFailure::HttpStatus(503));

fn command(text: &str) -> Script {
    Script::Command(text.to_owned())
}

/// A check with the defaults of `health_command` and two retries.
fn health(on_unhealthy: HealthAction) -> HealthSpec {
    HealthSpec {
        check: HealthCheck::Script(command("check")),
        initial_delay: Seconds(0),
        first_period: Seconds(1),
        period: Seconds(30),
        timeout: Seconds(10),
        start_period: Seconds(0),
        success_threshold: 1,
        failure_threshold: 2,
        on_healthy: None,
        on_unhealthy,
    }
}

/// A process that is RUNNING at 0 ms.
fn up(change: impl FnOnce(&mut ProcessSpec)) -> Bench {
    Bench::up(|spec| {
        spec.startsecs = Seconds(0);
        change(spec);
    })
}

fn ended(bench: &mut Bench, ms: u64, id: u64, failure: Option<ScriptFailure>) -> Vec<String> {
    let outcome = ScriptOutcome::Ended {
        id: ScriptId(id),
        failure,
        output: String::new(),
    };
    bench.give(ms, Input::Script(outcome))
}

fn status(bench: &Bench) -> String {
    bench.fleet.view(Bench::now(0))[0].status_text.clone()
}

#[test]
fn g45_a_check_makes_a_process_healthy_and_is_repeated() {
    let mut bench = up(|spec| spec.health = Some(Arc::new(health(HealthAction::Restart))));
    assert_eq!(
        (bench.due(), status(&bench).as_str()),
        (None, ""),
        "a check runs"
    );
    assert_eq!(
        ended(&mut bench, 40, 1, None),
        [
            "INFO healthy: cat passes its health check",
            "PROCESS_HEALTH_HEALTHY",
        ]
    );
    assert_eq!(
        (bench.due(), status(&bench).as_str()),
        (Some(30_040), "healthy")
    );
    assert_eq!(
        bench.give(30_040, Input::DeadlineReached),
        ["script 2 Command(\"check\")"]
    );
    // A late answer to an earlier check, and one that nobody asked for.
    assert_eq!(ended(&mut bench, 30_050, 1, FAILED), Vec::<String>::new());
    assert_eq!(ended(&mut bench, 30_050, 77, FAILED), Vec::<String>::new());
    assert_eq!(ended(&mut bench, 30_060, 2, FAILED), Vec::<String>::new());
    assert_eq!(status(&bench), "healthy", "one failure is not enough");
}

#[test]
fn g46_a_process_that_stays_unhealthy_is_restarted() {
    let mut bench = up(|spec| {
        spec.autorestart = AutoRestart::Never;
        spec.health = Some(Arc::new(health(HealthAction::Restart)));
    });
    ended(&mut bench, 0, 1, None);
    bench.give(30_000, Input::DeadlineReached);
    ended(&mut bench, 30_000, 2, FAILED);
    bench.give(60_000, Input::DeadlineReached);
    assert_eq!(
        ended(&mut bench, 60_000, 3, FAILED),
        [
            "WARN unhealthy: cat (pid 7) failed its health check: HTTP status 503",
            "PROCESS_HEALTH_UNHEALTHY",
            "DEBG killing cat (pid 7) with signal SIGTERM",
            "signal 0.1 SIGTERM Process",
        ]
    );
    assert_eq!(
        (bench.state().as_str(), bench.due()),
        ("RUNNING", Some(70_000))
    );
    // autorestart=false does not matter.
    bench.give(60_500, exited(0));
    let lines = bench.give(60_600, Input::Output(OutputOutcome::Drained(CAT)));
    assert!(
        lines.contains(&"cat RUNNING->EXITED pid 7 expected false".to_owned()),
        "{lines:?}"
    );
    assert_eq!(bench.state(), "STARTING");
    bench.bring_up(60_700, 0, 2, 8);
    assert_eq!(
        (bench.state().as_str(), status(&bench).as_str()),
        ("RUNNING", "")
    );
}

#[test]
fn g46_the_action_fires_on_the_change_and_the_delay_applies_again() {
    let mut bench = up(|spec| {
        spec.health = Some(Arc::new(HealthSpec {
            initial_delay: Seconds(60),
            first_period: Seconds(30),
            on_healthy: Some(command("/Up")),
            ..health(HealthAction::Script(command("/Down")))
        }));
    });
    assert_eq!(bench.due(), Some(60_000));
    let mut id = 0;
    let mut check = |bench: &mut Bench, failure| {
        let ms = bench.due().expect("a check is due");
        let begun = bench.give(ms, Input::DeadlineReached);
        let number = begun[0].split(' ').nth(1).expect("an id");
        id = number.parse().expect("a number");
        ended(bench, ms, id, failure)
    };
    assert_eq!(check(&mut bench, FAILED), Vec::<String>::new());
    assert_eq!(bench.due(), Some(90_000));
    assert_eq!(
        check(&mut bench, FAILED)[2],
        "script 3 Command(\"/Down\") SUPERVISOR_HEALTH=failed"
    );
    assert_eq!(bench.due(), Some(150_000), "the delay again");
    assert_eq!(status(&bench), "unhealthy: HTTP status 503");
    for _ in 0..2 {
        assert_eq!(check(&mut bench, FAILED), Vec::<String>::new(), "no change");
    }
    assert_eq!(
        check(&mut bench, None)[2],
        "script 7 Command(\"/Up\") SUPERVISOR_HEALTH=healthy"
    );
    let due = bench.due().expect("a check is due");
    assert_eq!(
        ended(&mut bench, due - 1, 7, FAILED),
        ["WARN cat: the script for its change of health failed: HTTP status 503"]
    );
}

#[test]
fn failures_in_the_start_period_do_not_count() {
    let mut bench = up(|spec| {
        spec.health = Some(Arc::new(HealthSpec {
            start_period: Seconds(5),
            failure_threshold: 1,
            ..health(HealthAction::None)
        }));
    });
    // Before the first success the checks follow each other quickly.
    for (ms, id) in [(0, 1), (1000, 2), (2000, 3), (3000, 4), (4000, 5)] {
        assert_eq!(
            ended(&mut bench, ms, id, FAILED),
            Vec::<String>::new(),
            "{id}"
        );
        assert_eq!(bench.due(), Some(ms + 1000));
        bench.give(ms + 1000, Input::DeadlineReached);
    }
    let lines = ended(&mut bench, 5000, 6, FAILED);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(status(&bench), "unhealthy: HTTP status 503");
}

#[test]
fn a_check_decides_when_a_process_is_ready() {
    let mut bench = Bench::up(|spec| {
        spec.notify.check = true;
        spec.notify.ready_timeout = Seconds(10);
        spec.ready_check = Some(Arc::new(command("ready")));
        spec.health = Some(Arc::new(health(HealthAction::Restart)));
    });
    assert_eq!(
        (bench.state().as_str(), bench.due()),
        ("STARTING", Some(10_000))
    );
    ended(&mut bench, 100, 1, FAILED);
    assert_eq!(bench.due(), Some(1100));
    bench.give(1100, Input::DeadlineReached);
    let lines = ended(&mut bench, 1200, 2, None);
    assert_eq!(
        lines,
        [
            "cat STARTING->RUNNING pid 7",
            "INFO success: cat entered RUNNING state, process has reported that it is ready",
            "script 3 Command(\"check\")",
        ]
    );
}

#[test]
fn a_stop_cancels_the_check_and_the_next_daemon_repeats_it() {
    let mut bench = up(|spec| spec.health = Some(Arc::new(health(HealthAction::Restart))));
    let lines = bench.give(10, Input::Resumed(ResumeKind::NewImage));
    assert!(
        lines.contains(&"script 1 Command(\"check\")".to_owned()),
        "{lines:?}"
    );
    let lines = bench.ask(20, stop("cat", false));
    assert!(lines.contains(&"cancel 1".to_owned()), "{lines:?}");
    let cancelled = Some(ScriptFailure::Cancelled);
    assert_eq!(ended(&mut bench, 30, 1, cancelled), Vec::<String>::new());
}

/// A check of the output with the default interval.
fn health_log(on_unhealthy: HealthAction) -> HealthSpec {
    HealthSpec {
        check: HealthCheck::Log {
            log: LinePattern::parse("ERROR").expect("valid"),
        },
        ..health(on_unhealthy)
    }
}

fn matched(bench: &mut Bench, ms: u64, kind: LineWatchKind, line: &str) -> Vec<String> {
    let outcome = OutputOutcome::LineMatched {
        instance: CAT,
        kind,
        line: line.to_owned(),
    };
    bench.give(ms, Input::Output(outcome))
}

fn health_of(bench: &Bench) -> ProcessHealth {
    bench.fleet.view(Bench::now(0))[0].health.clone()
}

#[test]
fn a_line_decides_when_a_process_is_ready() {
    let mut bench = Bench::up(|spec| {
        spec.notify.log = true;
        spec.notify.ready_timeout = Seconds(10);
        spec.ready_log = LinePattern::parse("ready").ok();
    });
    assert_eq!(
        (bench.state().as_str(), bench.due()),
        ("STARTING", Some(10_000))
    );
    let nothing = Vec::<String>::new();
    assert_eq!(
        matched(&mut bench, 5, LineWatchKind::Unhealthy, "x"),
        nothing
    );
    assert_eq!(
        matched(&mut bench, 10, LineWatchKind::Ready, "is ready"),
        [
            "cat STARTING->RUNNING pid 7",
            "INFO success: cat entered RUNNING state, process has reported that it is ready",
        ]
    );
    assert_eq!(
        matched(&mut bench, 20, LineWatchKind::Ready, "is ready"),
        nothing,
        "standard error says so too"
    );
}

#[test]
fn a_line_that_waits_in_the_pipe_is_read_before_the_deadline_counts() {
    let mut bench = Bench::up(|spec| {
        spec.notify.log = true;
        spec.notify.ready_timeout = Seconds(10);
        spec.ready_log = LinePattern::parse("ready").ok();
    });
    bench.give(60_000, Input::Resumed(ResumeKind::NewDaemon));
    assert_eq!(bench.due(), Some(62_000));
    matched(&mut bench, 60_010, LineWatchKind::Ready, "ready");
    assert_eq!(bench.state(), "RUNNING");
}

#[test]
fn a_line_makes_a_process_unhealthy_until_it_is_quiet() {
    let mut bench = up(|spec| spec.health = Some(Arc::new(health_log(HealthAction::None))));
    assert_eq!(health_of(&bench), ProcessHealth::Healthy, "no line yet");
    assert_eq!(bench.due(), None);
    assert_eq!(
        matched(&mut bench, 5_000, LineWatchKind::Unhealthy, "ERROR no db"),
        [
            "WARN unhealthy: cat (pid 7) failed its health check: log line: ERROR no db",
            "PROCESS_HEALTH_UNHEALTHY",
        ]
    );
    assert_eq!(status(&bench), "unhealthy: log line: ERROR no db");
    assert_eq!(bench.due(), Some(35_000));
    let again = matched(&mut bench, 20_000, LineWatchKind::Unhealthy, "ERROR disk");
    assert_eq!(again, Vec::<String>::new(), "no change");
    let reason = ProcessHealth::Unhealthy("log line: ERROR disk".to_owned());
    assert_eq!((health_of(&bench), bench.due()), (reason, Some(50_000)));
    bench.give(50_000, Input::DeadlineReached);
    assert_eq!(
        (health_of(&bench), bench.due()),
        (ProcessHealth::Healthy, None)
    );
    bench.ask(51_000, stop("cat", false));
    assert_eq!(health_of(&bench), ProcessHealth::None);
}

#[test]
fn a_line_restarts_a_process_but_not_in_the_start_period() {
    let mut bench = up(|spec| {
        spec.health = Some(Arc::new(HealthSpec {
            start_period: Seconds(10),
            ..health_log(HealthAction::Restart)
        }));
    });
    assert_eq!(bench.due(), Some(10_000));
    assert_eq!(health_of(&bench), ProcessHealth::Starting);
    let early = matched(&mut bench, 9_000, LineWatchKind::Unhealthy, "ERROR no db");
    assert_eq!(early, Vec::<String>::new());
    bench.give(10_000, Input::DeadlineReached);
    assert_eq!(health_of(&bench), ProcessHealth::Healthy);
    let lines = matched(&mut bench, 11_000, LineWatchKind::Unhealthy, "ERROR no db");
    assert!(
        lines.contains(&"signal 0.1 SIGTERM Process".to_owned()),
        "{lines:?}"
    );
    assert_eq!(bench.state(), "RUNNING", "until it exits");
    let late = matched(&mut bench, 11_500, LineWatchKind::Unhealthy, "ERROR");
    assert_eq!(late, Vec::<String>::new());
}

#[test]
fn a_check_of_readiness_that_still_runs_is_no_health_check() {
    let mut bench = Bench::up(|spec| {
        spec.notify.check = true;
        spec.notify.log = true;
        spec.ready_check = Some(Arc::new(command("ready")));
        spec.health = Some(Arc::new(health(HealthAction::Restart)));
    });
    let lines = matched(&mut bench, 100, LineWatchKind::Ready, "ready");
    let (cancelled, begun) = (
        "cancel 1".to_owned(),
        "script 2 Command(\"check\")".to_owned(),
    );
    assert!(
        lines.contains(&cancelled) && lines.contains(&begun),
        "{lines:?}"
    );
    let late = ended(&mut bench, 200, 1, FAILED);
    assert_eq!(late, Vec::<String>::new());
    assert_eq!(health_of(&bench), ProcessHealth::Starting);
}

#[test]
fn an_unhealthy_process_is_not_stopped_before_its_turn_when_the_daemon_exits() {
    let process = |name: &str| ProcessSpec {
        startsecs: Seconds(0),
        health: Some(Arc::new(HealthSpec {
            failure_threshold: 1,
            ..health(HealthAction::Stop)
        })),
        ..program(name, name)
    };
    let mut bench = Bench::new(config(vec![
        (1, vec![process("first")]),
        (999, vec![process("last")]),
    ]));
    bench.give(0, Input::DaemonStarted);
    bench.bring_up(0, 0, 1, 7);
    bench.bring_up(0, 1, 2, 8);
    let stopping = bench.give(0, Input::Received(DaemonSignal::Exit(Signal::TERM)));
    assert!(
        stopping
            .iter()
            .any(|line| line.contains("last RUNNING->STOPPING"))
    );
    let lines = ended(&mut bench, 0, 1, FAILED);
    assert!(
        lines[0].starts_with("WARN unhealthy: first ") && !lines.concat().contains("STOPPING"),
        "{lines:?}"
    );
}
