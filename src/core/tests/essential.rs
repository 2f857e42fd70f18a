//! Tests of programs whose end ends the daemon (rows T02 and T03 of the checklist).

use std::sync::Arc;

use super::bench::{Bench, CAT, config, exited, pool, program, start, stop};
use crate::api::Ticket;
use crate::config::spec::{AutoRestart, Config, ExitWhen, OnFatal, ProcessSpec};
use crate::core::{DaemonSignal, Input};
use crate::domain::{ExitStatus, InstanceId, Namespec, Seconds, Signal, SpawnError};
use crate::effects::{OutputOutcome, SpawnerOutcome};

fn drained(instance: InstanceId) -> Input {
    Input::Output(OutputOutcome::Drained(instance))
}

/// Returns a fleet with `cat` RUNNING and the program `other` RUNNING in a group that stops later.
fn two(change: impl FnOnce(&mut ProcessSpec), exit_when: ExitWhen) -> Bench {
    let mut cat = program("cat", "cat");
    cat.autorestart = AutoRestart::Never;
    cat.startsecs = Seconds(0);
    change(&mut cat);
    let mut other = program("other", "other");
    other.startsecs = Seconds(0);
    other.autorestart = AutoRestart::Never;
    let mut config: Config = (*config(vec![(5, vec![other]), (999, vec![cat])])).clone();
    config.daemon.exit_when = exit_when;
    let mut bench = Bench::new(Arc::new(config));
    bench.give(0, Input::DaemonStarted);
    bench.bring_up(0, OTHER.slot, OTHER.incarnation, 8);
    bench.bring_up(0, FIRST.slot, FIRST.incarnation, 7);
    bench
}

const FIRST: InstanceId = InstanceId {
    slot: 1,
    incarnation: 2,
};
const OTHER: InstanceId = InstanceId {
    slot: 0,
    incarnation: 1,
};

fn ends(bench: &mut Bench, status: ExitStatus) -> Vec<String> {
    let instance = FIRST;
    bench.give(5000, Input::Exited { instance, status });
    bench.give(5000, drained(FIRST))
}

#[test]
fn t02_the_end_of_an_essential_program_stops_the_others_and_sets_the_exit_status() {
    let signal = Signal::TERM;
    let killed = ExitStatus::Signalled {
        signal,
        dumped: false,
    };
    for (status, code, finish) in [
        (ExitStatus::Exited(3), 3, "finish ShutdownWith(3)"),
        (killed, 143, "finish ShutdownWith(143)"),
        (ExitStatus::Exited(0), 0, "finish Shutdown"),
        (ExitStatus::Unknown(0), 1, "finish ShutdownWith(1)"),
    ] {
        let mut bench = two(|spec| spec.essential = true, ExitWhen::Never);
        let lines = ends(&mut bench, status);
        let line = format!(
            "WARN cat: ended and is not restarted (essential); shutting down with exit status {code}"
        );
        // The exit is published before the daemon stops.
        let places = [
            "cat RUNNING->EXITED",
            &line,
            "SUPERVISOR_STATE_CHANGE_STOPPING",
        ]
        .map(|part| {
            let place = lines.iter().position(|line| line.starts_with(part));
            place.unwrap_or_else(|| panic!("{part}: {lines:?}"))
        });
        assert!(places.is_sorted(), "{lines:?}");
        assert!(lines.contains(&"other RUNNING->STOPPING pid 8".to_owned()));
        let instance = OTHER;
        let status = ExitStatus::Exited(0);
        bench.give(6000, Input::Exited { instance, status });
        assert_eq!(
            bench.give(6000, drained(OTHER)).last().map(String::as_str),
            Some(finish)
        );
    }
}

#[test]
fn t02_a_stop_on_request_is_no_end() {
    let mut bench = two(|spec| spec.essential = true, ExitWhen::AllExited);
    bench.ask(4000, stop("cat", true));
    let lines = ends(&mut bench, ExitStatus::Exited(3));
    assert_eq!(lines.last().map(String::as_str), Some("answer 1 Done"));
    // Nor is a restart that is cancelled.
    let mut bench = two(
        |spec| {
            spec.essential = true;
            spec.autorestart = AutoRestart::Always;
            spec.restart.pause = Seconds(9);
        },
        ExitWhen::Never,
    );
    let lines = ends(&mut bench, ExitStatus::Exited(3));
    assert!(!lines.join("\n").contains("shutting down"));
    bench.ask(6000, stop("cat", false));
    assert_eq!(bench.due(), None);
    assert_eq!(bench.state(), "EXITED");
    // An end during a stop of the daemon does not count.
    let mut bench = two(|spec| spec.essential = true, ExitWhen::Never);
    bench.give(4000, Input::Received(DaemonSignal::Exit(Signal::TERM)));
    ends(&mut bench, ExitStatus::Exited(3));
    let instance = OTHER;
    let status = ExitStatus::Exited(0);
    bench.give(6000, Input::Exited { instance, status });
    let last = bench.give(6000, drained(OTHER));
    assert_eq!(last.last().map(String::as_str), Some("finish Shutdown"));
}

#[test]
fn t02_a_fatal_program_ends_the_daemon_after_the_request_is_answered() {
    let mut bench = Bench::cat(|spec| {
        spec.autostart = false;
        spec.startretries = 0;
        spec.on_fatal = OnFatal::Shutdown;
    });
    bench.ask(0, start("cat", true));
    let (ticket, result) = (Ticket(1), Ok(()));
    bench.give(
        0,
        Input::Spawner(SpawnerOutcome::Answered { ticket, result }),
    );
    let (instance, error) = (CAT, SpawnError::Empty);
    let lines = bench.give(
        0,
        Input::Spawner(SpawnerOutcome::Failed { instance, error }),
    );
    let position = |part: &str| lines.iter().position(|line| line.contains(part));
    assert!(
        position("answer 1 fault SPAWN_ERROR").is_some(),
        "{lines:?}"
    );
    assert!(position("answer 1") < position("finish ShutdownWith(1)"));
    assert!(position("(on_fatal)").is_some());
    // FATAL is a failure even if the last exit status is 0.
    let mut bench = Bench::up(|spec| {
        spec.startretries = 0;
        spec.essential = true;
    });
    bench.give(100, exited(0));
    let lines = bench.give(100, drained(CAT));
    assert_eq!(
        lines.last().map(String::as_str),
        Some("finish ShutdownWith(1)")
    );
}

#[test]
fn t03_exit_when_all_have_exited() {
    for (code, finish) in [(0, "finish Shutdown"), (3, "finish ShutdownWith(1)")] {
        let mut bench = two(|_| {}, ExitWhen::AllExited);
        let lines = ends(&mut bench, ExitStatus::Exited(0)).join("\n");
        assert!(!lines.contains("shutting down"), "{lines}");
        let instance = OTHER;
        let status = ExitStatus::Exited(code);
        bench.give(6000, Input::Exited { instance, status });
        let lines = bench.give(6000, drained(OTHER));
        assert_eq!(lines.last().map(String::as_str), Some(finish));
        assert!(
            lines
                .join("\n")
                .contains("WARN all programs have ended (exit_when)")
        );
    }
}

#[test]
fn t03_listeners_are_not_waited_for() {
    let mut cat = program("cat", "cat");
    cat.autorestart = AutoRestart::Never;
    let mut config: Config = (*config(vec![(999, vec![cat])])).clone();
    config
        .groups
        .insert(0, Arc::new(pool("ears", &["EVENT"], 10, 1)));
    config.daemon.exit_when = ExitWhen::AllExited;
    let mut bench = Bench::new(Arc::new(config));
    let lines = bench.give(0, Input::DaemonStarted);
    assert!(lines.contains(&"resolve 1.2".to_owned()), "{lines:?}");
    bench.bring_up(0, 0, 1, 8);
    bench.bring_up(0, 1, 2, 7);
    bench.give(1000, Input::DeadlineReached);
    let (slot, incarnation) = (1, 2);
    let instance = InstanceId { slot, incarnation };
    let status = ExitStatus::Exited(0);
    bench.give(5000, Input::Exited { instance, status });
    let lines = bench.give(5000, drained(instance));
    assert!(lines.contains(&"SUPERVISOR_STATE_CHANGE_STOPPING".to_owned()));
}

#[test]
fn t02_exit_when_names_a_program_or_any_fatal_one() {
    let named = ExitWhen::Ended(Namespec::parse("cat"));
    let lines = ends(&mut two(|_| {}, named.clone()), ExitStatus::Exited(7));
    assert!(
        lines.contains(
            &"WARN cat: ended and is not restarted (exit_when); shutting down with exit status 7"
                .to_owned()
        )
    );
    // A restart is no end.
    let mut bench = two(|spec| spec.autorestart = AutoRestart::Always, named);
    assert!(
        !ends(&mut bench, ExitStatus::Exited(7))
            .join("")
            .contains("shutting")
    );
    let mut bench = two(
        |spec| {
            spec.startsecs = Seconds(10);
            spec.startretries = 0;
        },
        ExitWhen::AnyFatal,
    );
    let lines = ends(&mut bench, ExitStatus::Exited(7)).join("\n");
    assert!(
        lines.contains("(exit_when); shutting down with exit status 7"),
        "{lines}"
    );
}
