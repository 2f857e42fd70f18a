//! Tests of the requests that the next daemon repeats in each stage of a process.

use super::bench::{Bench, CAT, config, exited, one, program, start, stop};
use crate::api::{Request, RollingLimits, Ticket};
use crate::config::spec::AutoRestart;
use crate::core::{DaemonSignal, Input, ResumeKind};
use crate::domain::{Errno, ExitStatus, InstanceId, Seconds, Signal, SpawnError};
use crate::effects::{OutputOutcome, SpawnerOutcome};

const TAKEN_OVER: &str = "INFO re-executed: version 5.0.0 adopted";

/// Returns the actions after `Resumed` in a new image, without those that always occur.
fn resumed(bench: &mut Bench, ms: u64) -> Vec<String> {
    let mut lines = bench.give(ms, Input::Resumed(ResumeKind::NewImage));
    assert_eq!(lines.first().map(String::as_str), Some("report"));
    let last = lines.pop().unwrap_or_default();
    assert!(last.starts_with(TAKEN_OVER), "{last}");
    let adopted = lines.iter().filter(|line| line.starts_with("adopt"));
    let dying = lines.iter().filter(|line| line.starts_with("drain"));
    let ends = bench.state() == "STOPPED";
    let count = adopted.count() - if ends { 0 } else { dying.count() };
    assert_eq!(last, format!("{TAKEN_OVER} {count} processes"));
    lines.split_off(1)
}

/// The process was created, and the daemon was killed before it recorded the request: the process belongs to that
/// attempt.
#[test]
fn an_unrecorded_spawn_is_not_repeated() {
    let mut bench = Bench::cat(|spec| spec.startsecs = Seconds(0));
    bench.give(1, Input::Spawner(SpawnerOutcome::Resolved(CAT)));
    bench.give(
        2,
        Input::Spawner(SpawnerOutcome::Spawned {
            instance: CAT,
            pid: 7,
        }),
    );
    assert_eq!(bench.state(), "RUNNING");
    assert_eq!(resumed(&mut bench, 3), ["adopt 0.1 7"]);
}

#[test]
fn every_stage_resumes_at_its_own_step() {
    type Prepare = fn() -> Bench;
    // (stage, requests that are repeated, state afterwards)
    let table: Vec<(&str, Prepare, Vec<&str>, &str)> = vec![
        (
            "stopped",
            || Bench::cat(|spec| spec.autostart = false),
            vec![],
            "STOPPED",
        ),
        (
            "resolving",
            || Bench::cat(|_| {}),
            vec!["resolve 0.1"],
            "STARTING",
        ),
        (
            "preparing",
            || {
                let mut bench = Bench::cat(|_| {});
                bench.give(1, Input::Spawner(SpawnerOutcome::Resolved(CAT)));
                bench
            },
            vec!["resolve 0.1"],
            "STARTING",
        ),
        (
            "spawning",
            || {
                let mut bench = Bench::cat(|_| {});
                bench.give(1, Input::Spawner(SpawnerOutcome::Resolved(CAT)));
                bench.give(1, Input::Output(OutputOutcome::Prepared(CAT)));
                bench
            },
            vec!["resolve 0.1"],
            "STARTING",
        ),
        (
            "aborting",
            || {
                let mut bench = Bench::cat(|_| {});
                bench.give(1, Input::Spawner(SpawnerOutcome::Resolved(CAT)));
                bench.give(1, Input::Output(OutputOutcome::Prepared(CAT)));
                bench.ask(2, stop("cat", false));
                assert_eq!(bench.state(), "STOPPING");
                bench
            },
            vec!["cat STOPPING->STOPPED pid 0", "drain 0.1"],
            "STOPPED",
        ),
        (
            "starting",
            || Bench::up(|_| {}),
            vec!["adopt 0.1 7"],
            "STARTING",
        ),
        (
            "running",
            || Bench::up(|spec| spec.startsecs = Seconds(0)),
            vec!["adopt 0.1 7"],
            "RUNNING",
        ),
        (
            "stopping",
            || {
                let mut bench = Bench::up(|_| {});
                bench.ask(2, stop("cat", false));
                bench
            },
            // Whether the signal was sent is unknown, so it is sent again.
            vec!["adopt 0.1 7", "signal 0.1 SIGTERM Process"],
            "STOPPING",
        ),
        (
            "stopping, and told so",
            || {
                let mut bench = Bench::up(|_| {});
                bench.ask(2, stop("cat", false));
                let (instance, signal, result) = (CAT, Signal::TERM, Ok(()));
                bench.give(
                    2,
                    Input::Signalled {
                        instance,
                        signal,
                        result,
                    },
                );
                bench
            },
            vec!["adopt 0.1 7"],
            "STOPPING",
        ),
        (
            "dying",
            || {
                let mut bench = Bench::up(|spec| spec.startsecs = Seconds(0));
                bench.give(2, exited(0));
                bench
            },
            vec!["adopt 0.1 7", "drain 0.1"],
            "RUNNING",
        ),
        (
            "exited",
            || {
                let mut bench = Bench::up(|spec| {
                    spec.startsecs = Seconds(0);
                    spec.autorestart = AutoRestart::Never;
                });
                bench.give(2, exited(0));
                bench.give(2, Input::Output(OutputOutcome::Drained(CAT)));
                bench
            },
            vec![],
            "EXITED",
        ),
        (
            "backing off",
            || {
                let mut bench = Bench::cat(|_| {});
                let error = SpawnError::NotFound("/bin/cat".to_owned());
                bench.give(
                    1,
                    Input::Spawner(SpawnerOutcome::Failed {
                        instance: CAT,
                        error,
                    }),
                );
                bench
            },
            vec![],
            "BACKOFF",
        ),
        (
            "given up",
            || {
                let mut bench = Bench::cat(|spec| spec.startretries = 0);
                let error = SpawnError::NotFound("/bin/cat".to_owned());
                bench.give(
                    1,
                    Input::Spawner(SpawnerOutcome::Failed {
                        instance: CAT,
                        error,
                    }),
                );
                let due = bench.due();
                if let Some(due) = due {
                    bench.give(due, Input::DeadlineReached);
                }
                bench
            },
            vec![],
            "FATAL",
        ),
        (
            "unknown",
            || {
                let mut bench = Bench::up(|_| {});
                bench.ask(2, stop("cat", false));
                let (instance, signal) = (CAT, Signal::TERM);
                let result = Err(Errno(1));
                bench.give(
                    2,
                    Input::Signalled {
                        instance,
                        signal,
                        result,
                    },
                );
                bench
            },
            vec!["adopt 0.1 7"],
            "UNKNOWN",
        ),
    ];
    for (name, prepare, expected, state) in table {
        let mut bench = prepare();
        let due = bench.due();
        // Long before any deadline.
        assert_eq!(resumed(&mut bench, 3), expected, "{name}");
        assert_eq!(bench.state(), state, "{name}");
        assert_eq!(bench.due(), due, "{name}: what is due has moved");
    }
}

#[test]
fn a_repeated_start_attempt_counts_once() {
    let mut bench = Bench::cat(|spec| spec.startretries = 1);
    bench.give(1, Input::Spawner(SpawnerOutcome::Resolved(CAT)));
    resumed(&mut bench, 2);
    let error = SpawnError::NotFound("/bin/cat".to_owned());
    let lines = bench.give(
        3,
        Input::Spawner(SpawnerOutcome::Failed {
            instance: CAT,
            error,
        }),
    );
    assert!(
        lines.contains(&"cat STARTING->BACKOFF tries 1".to_owned()),
        "{lines:?}"
    );
    let due = bench.due().expect("another attempt");
    let lines = bench.give(due, Input::DeadlineReached);
    assert!(lines.contains(&"resolve 0.2".to_owned()), "{lines:?}");
}

#[test]
fn a_start_continues_without_its_waiting_client() {
    let mut bench = Bench::cat(|spec| spec.autostart = false);
    bench.ask(1, start("cat", true));
    let found = Input::Spawner(SpawnerOutcome::Answered {
        ticket: Ticket(1),
        result: Ok(()),
    });
    bench.give(1, found);
    bench.bring_up(2, 0, 1, 7);
    assert!(bench.fleet.has_waiting_clients());
    assert_eq!(resumed(&mut bench, 3), ["adopt 0.1 7"]);
    assert!(!bench.fleet.has_waiting_clients());
    let due = bench.due().expect("startsecs go on");
    let lines = bench.give(due, Input::DeadlineReached);
    assert!(
        lines.contains(&"cat STARTING->RUNNING pid 7".to_owned()),
        "{lines:?}"
    );
    let answers = lines.iter().filter(|line| line.starts_with("answer"));
    assert_eq!(
        answers.count(),
        0,
        "the same ticket may be another's by now"
    );
}

#[test]
fn a_shutdown_continues_across_a_handoff() {
    // In each image alone, and across both.
    for crosses in [false, true] {
        let two = ["a", "b"].map(|name| program("g", name)).into();
        let mut bench = Bench::new(config(vec![(999, two)]));
        bench.give(0, Input::DaemonStarted);
        bench.bring_up(0, 0, 1, 7);
        bench.bring_up(0, 1, 2, 8);
        let term = DaemonSignal::Exit(Signal::TERM);
        bench.give(1, Input::Received(term));
        let why = bench.fleet.can_hand_off();
        assert_eq!(why, Err("the daemon is stopping"));
        if crosses {
            let lines = bench.give(2, Input::Resumed(ResumeKind::NewImage));
            let expected = [
                "adopt 0.1 7",
                "signal 0.1 SIGTERM Process",
                "adopt 1.2 8",
                "signal 1.2 SIGTERM Process",
            ];
            assert_eq!(lines[1..5], expected);
        }
        let mut end = |slot, incarnation| {
            let instance = InstanceId { slot, incarnation };
            let status = ExitStatus::Exited(0);
            bench.give(3, Input::Exited { instance, status });
            bench.give(3, Input::Output(OutputOutcome::Drained(instance)))
        };
        end(1, 2);
        let lines = end(0, 1);
        let last = lines.last().map(String::as_str);
        assert_eq!(last, Some("finish Shutdown"), "crosses: {crosses}");
    }
}

#[test]
fn a_failed_exec_keeps_the_generation() {
    let mut bench = Bench::up(|_| {});
    let lines = bench.ask(1, Request::Upgrade);
    assert_eq!(lines, ["upgrade 1"]);
    let second = bench.ask(1, Request::Upgrade);
    assert_eq!(second, ["answer 2 fault FAILED: an upgrade is running"]);
    let (ticket, result) = (Some(Ticket(1)), Ok(()));
    let lines = bench.give(2, Input::SuccessorExamined { ticket, result });
    assert_eq!(lines, ["answer 1 Done"]);
    // The exec failed.
    let lines = bench.give(3, Input::Resumed(ResumeKind::SameImage));
    assert_eq!(lines, ["report", "adopt 0.1 7"]);
    let told = |generation, is_upgrading| {
        format!("answer 3 Generation {{ generation: {generation}, is_upgrading: {is_upgrading} }}")
    };
    assert_eq!(bench.ask(4, Request::Generation), [told(0, false)]);
    // Another upgrade may be tried.
    assert_eq!(bench.ask(5, Request::Upgrade), ["upgrade 4"]);
    let (ticket, result) = (
        Some(Ticket(4)),
        Err("it cannot adopt the processes".to_owned()),
    );
    assert_eq!(
        bench.give(6, Input::SuccessorExamined { ticket, result }),
        [
            "ERRO upgrade refused: it cannot adopt the processes (nothing changed)",
            "answer 4 fault FAILED: it cannot adopt the processes",
        ]
    );
    resumed(&mut bench, 7);
    let lines = bench.ask(8, Request::Generation);
    assert_eq!(lines, [told(1, false).replace("answer 3", "answer 5")]);
}

#[test]
fn an_upgrade_is_refused_during_work_that_cannot_be_interrupted() {
    let mut bench = Bench::up(|spec| spec.startsecs = Seconds(0));
    let refused = |bench: &mut Bench| bench.ask(2, Request::Upgrade);
    bench.ask(1, Request::Reread);
    assert_eq!(
        refused(&mut bench),
        ["answer 2 fault FAILED: not while the configuration is being read"]
    );
    let mut bench = Bench::up(|spec| spec.startsecs = Seconds(0));
    bench.give(1, Input::DeadlineReached);
    bench.ask(
        1,
        Request::RollingRestart {
            targets: vec![one("cat")],
            limits: RollingLimits {
                at_once: 1,
                max_failures: 0,
                healthy: false,
            },
        },
    );
    assert_eq!(
        refused(&mut bench),
        ["answer 2 fault FAILED: not while a rolling restart is running"]
    );
}
