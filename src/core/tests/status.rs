//! Tests of the status report: phases, the status line, and how long an operation may take.

use std::sync::Arc;

use super::bench::{Bench, CAT, config, exited, program, stop};
use crate::api::{Request, Ticket};
use crate::config::spec::ReadyWhen;
use crate::core::{DaemonSignal, FleetStatus, Input, Phase};
use crate::domain::{InstanceId, Seconds, Signal, SpawnError, Tick};
use crate::effects::{LoadReason, LoaderOutcome, OutputOutcome, SpawnerOutcome};

fn look(bench: &Bench, ready_when: ReadyWhen, before: Phase) -> (Phase, String, u64) {
    let FleetStatus {
        phase,
        status,
        busy_until,
    } = bench.fleet.status_report(ready_when, before);
    (phase, status, busy_until.0 / 1_000_000)
}

fn at(bench: &Bench, before: Phase) -> (Phase, String, u64) {
    look(bench, ReadyWhen::Started, before)
}

fn seen(phase: Phase, status: &str, busy_until: u64) -> (Phase, String, u64) {
    (phase, status.to_owned(), busy_until)
}

const TERM: Input = Input::Received(DaemonSignal::Exit(Signal::TERM));

#[test]
fn a_daemon_that_has_not_started_is_not_ready() {
    let bench = Bench::new(config(vec![]));
    assert_eq!(
        at(&bench, Phase::Starting),
        seen(Phase::Starting, "starting, 0/0 running", 0)
    );
}

#[test]
fn ready_when_started_follows_the_first_attempts() {
    let mut bench = Bench::cat(|_| {});
    assert_eq!(
        at(&bench, Phase::Starting),
        seen(Phase::Starting, "starting, 0/1 running", 0)
    );
    bench.bring_up(5, 0, 1, 7);
    assert_eq!(
        at(&bench, Phase::Starting),
        seen(Phase::Ready, "0/1 running", 0)
    );
    bench.give(1005, Input::DeadlineReached);
    assert_eq!(
        at(&bench, Phase::Ready),
        seen(Phase::Ready, "1/1 running", 0)
    );
}

#[test]
fn a_failed_attempt_counts_as_finished_and_is_named() {
    let mut bench = Bench::cat(|_| {});
    let error = SpawnError::NotFound("x".to_owned());
    bench.give(
        5,
        Input::Spawner(SpawnerOutcome::Failed {
            instance: CAT,
            error,
        }),
    );
    assert_eq!(
        at(&bench, Phase::Starting),
        seen(Phase::Ready, "0/1 running, backoff: cat", 0)
    );
    let running = look(&bench, ReadyWhen::Running, Phase::Starting);
    assert_eq!(
        running,
        seen(Phase::Starting, "starting, 0/1 running, backoff: cat", 1005)
    );
}

#[test]
fn ready_when_running_waits_until_all_run_or_have_failed() {
    let mut bench = Bench::cat(|spec| spec.startsecs = Seconds(30));
    bench.bring_up(0, 0, 1, 7);
    let now = |bench: &Bench| look(bench, ReadyWhen::Running, Phase::Starting);
    assert_eq!(
        now(&bench),
        seen(Phase::Starting, "starting, 0/1 running", 30_000)
    );
    bench.give(30_000, Input::DeadlineReached);
    assert_eq!(now(&bench), seen(Phase::Ready, "1/1 running", 0));
    // Once the daemon is ready, a process that restarts does not change that.
    bench.give(40_000, exited(3));
    bench.give(40_000, Input::Output(OutputOutcome::Drained(CAT)));
    assert_eq!(
        look(&bench, ReadyWhen::Running, Phase::Ready),
        seen(Phase::Ready, "0/1 running", 0)
    );

    let mut bench = Bench::cat(|spec| spec.startretries = 0);
    let error = SpawnError::NotFound("x".to_owned());
    bench.give(
        5,
        Input::Spawner(SpawnerOutcome::Failed {
            instance: CAT,
            error,
        }),
    );
    bench.give(10_000, Input::DeadlineReached);
    assert_eq!(
        now(&bench),
        seen(Phase::Ready, "0/1 running, fatal: cat", 0)
    );
}

#[test]
fn programs_without_autostart_do_not_delay_readiness() {
    let bench = Bench::cat(|spec| spec.autostart = false);
    for when in [ReadyWhen::Started, ReadyWhen::Running] {
        assert_eq!(
            look(&bench, when, Phase::Starting),
            seen(Phase::Ready, "0/1 running", 0)
        );
    }
}

#[test]
fn a_stopped_start_does_not_delay_readiness() {
    let mut bench = Bench::cat(|_| {});
    bench.ask(3, stop("cat", false));
    assert_eq!(
        at(&bench, Phase::Starting),
        seen(Phase::Ready, "0/1 running", 0)
    );
}

#[test]
fn a_reread_is_reloading_until_added_programs_have_started() {
    let mut bench = Bench::up(|_| {});
    bench.ask(1000, Request::Reread);
    assert_eq!(at(&bench, Phase::Ready).0, Phase::Reloading);
    let more = config(vec![
        (999, vec![program("cat", "cat")]),
        (999, vec![program("dog", "dog")]),
    ]);
    let read = Input::Loader(LoaderOutcome::Loaded {
        reason: LoadReason::Reread(Ticket(1)),
        result: Ok(Arc::clone(&more)),
    });
    bench.give(1000, read);
    assert_eq!(
        at(&bench, Phase::Reloading),
        seen(Phase::Ready, "1/1 running", 0)
    );
    bench.ask(1100, Request::AddGroup("dog".to_owned()));
    assert_eq!(
        at(&bench, Phase::Ready),
        seen(Phase::Reloading, "reloading, 1/2 running", 0)
    );
    bench.bring_up(1100, 1, 2, 8);
    assert_eq!(
        at(&bench, Phase::Reloading),
        seen(Phase::Ready, "1/2 running", 0)
    );
}

#[test]
fn a_stop_reports_its_deadline_until_sigkill() {
    let mut bench = Bench::up(|spec| spec.stopwaitsecs = Seconds(600));
    bench.give(1000, TERM);
    assert_eq!(
        at(&bench, Phase::Ready),
        seen(Phase::Stopping, "stopping, 1 still to stop: cat", 601_000)
    );
    bench.give(601_000, Input::DeadlineReached);
    assert_eq!(
        at(&bench, Phase::Stopping),
        seen(Phase::Stopping, "stopping, 1 still to stop: cat", 0)
    );
    bench.give(601_500, exited(0));
    bench.give(601_500, Input::Output(OutputOutcome::Drained(CAT)));
    assert_eq!(
        at(&bench, Phase::Stopping),
        seen(Phase::Stopping, "stopping", 0)
    );
}

#[test]
fn a_restart_is_a_reload() {
    let mut bench = Bench::up(|_| {});
    let read = Input::Loader(LoaderOutcome::Loaded {
        reason: LoadReason::Hangup,
        result: Ok(Arc::clone(bench.fleet.config())),
    });
    bench.give(2000, read);
    assert_eq!(
        at(&bench, Phase::Ready),
        seen(Phase::Reloading, "restarting, 1 still to stop: cat", 12_000)
    );
    // A shutdown replaces the restart.
    bench.give(2500, TERM);
    assert_eq!(at(&bench, Phase::Reloading).0, Phase::Stopping);
}

#[test]
fn the_status_text_is_one_bounded_line() {
    let long = format!("a\nMAINPID=1{}", "x".repeat(500));
    let mut names = vec![long];
    names.extend((0..9).map(|n| format!("b{n}")));
    let groups = names
        .iter()
        .map(|name| (999, vec![program(name, name)]))
        .collect();
    let mut bench = Bench::new(config(groups));
    bench.give(0, Input::DaemonStarted);
    for slot in 0..10 {
        let instance = InstanceId {
            slot,
            incarnation: u64::from(slot) + 1,
        };
        let error = SpawnError::NotFound("x".to_owned());
        bench.give(
            1,
            Input::Spawner(SpawnerOutcome::Failed { instance, error }),
        );
    }
    let (_, status, _) = at(&bench, Phase::Starting);
    assert_eq!(
        status,
        format!(
            "0/10 running, backoff: a?MAINPID=1{}, b0, b1, b2, b3 and 5 more",
            "x".repeat(53)
        )
    );
    assert_eq!(
        Tick(0),
        bench
            .fleet
            .status_report(ReadyWhen::Started, Phase::Ready)
            .busy_until
    );
}
