//! Tests of schedules (rows G43 and G67): what happens when a run is due, and what a successor continues.

use std::sync::Arc;

use super::bench::{Bench, CAT, exited};
use crate::api::{Request, RequestTarget};
use crate::config::spec::{CronMissed, CronOverlap, ProcessSpec, ScheduleSpec};
use crate::core::Input;
use crate::domain::{InstanceId, Namespec, Now, Seconds, Wall};
use crate::effects::OutputOutcome;

/// `cat` with a run every minute. The clock of the bench begins 40 s after a full minute.
fn minutely(overlap: CronOverlap) -> impl FnOnce(&mut ProcessSpec) {
    move |spec| {
        spec.autostart = false;
        spec.startsecs = Seconds(0);
        spec.autorestart = crate::config::spec::AutoRestart::Never;
        spec.schedule = Some(Arc::new(ScheduleSpec {
            cron: Arc::from("* * * * *"),
            overlap,
            missed: CronMissed::Skip,
            jitter: Seconds(0),
        }));
    }
}

const DUE: Input = Input::DeadlineReached;
const FIRST: u64 = 20_000;

fn starts(lines: &[String]) -> bool {
    lines.iter().any(|line| line.starts_with("resolve"))
}

fn has(lines: &[String], text: &str) -> bool {
    lines.iter().any(|line| line.contains(text))
}

/// A running instance of `cat` that began with the first run.
fn running(overlap: CronOverlap) -> Bench {
    let mut bench = Bench::cat(minutely(overlap));
    assert!(!starts(&bench.give(FIRST - 1, DUE)));
    assert!(starts(&bench.give(FIRST, DUE)));
    assert!(!starts(&bench.give(FIRST, DUE)), "one run for each time");
    bench.bring_up(FIRST, 0, 1, 7);
    assert_eq!(bench.state(), "RUNNING");
    bench
}

/// Ends the running instance.
fn end(bench: &mut Bench, ms: u64) -> Vec<String> {
    bench.give(ms, exited(0));
    bench.give(ms, Input::Output(OutputOutcome::Drained(CAT)))
}

#[test]
fn g43_a_run_that_meets_another_is_skipped_and_counted() {
    let mut bench = running(CronOverlap::Skip);
    let lines = bench.give(FIRST + 60_000, DUE);
    assert!(
        has(&lines, "skipped the run of 1970-01-01 00:18:00"),
        "{lines:?}"
    );
    assert!(!starts(&end(&mut bench, FIRST + 61_000)));
    assert!(starts(&bench.give(FIRST + 120_000, DUE)));
    let lines = bench.ask(FIRST + 120_000, Request::Schedules(Vec::new()));
    assert!(
        has(&lines, "\\t1\\t0\\t* * * * *") || has(&lines, "\t1\t0\t* * * * *"),
        "{lines:?}"
    );
}

#[test]
fn a_queued_run_starts_when_the_present_one_ends() {
    let mut bench = running(CronOverlap::Queue);
    let lines = bench.give(FIRST + 60_000, DUE);
    assert!(
        has(&lines, "waits until the program has ended"),
        "{lines:?}"
    );
    bench.give(FIRST + 120_000, DUE);
    assert!(
        starts(&end(&mut bench, FIRST + 121_000)),
        "one run for both"
    );
    let second = InstanceId {
        slot: 0,
        incarnation: 2,
    };
    bench.bring_up(FIRST + 121_000, 0, 2, 8);
    let exited = Input::Exited {
        instance: second,
        status: crate::domain::ExitStatus::Exited(0),
    };
    bench.give(FIRST + 122_000, exited);
    let lines = bench.give(
        FIRST + 122_000,
        Input::Output(OutputOutcome::Drained(second)),
    );
    assert!(!starts(&lines), "{lines:?}");
}

#[test]
fn a_queued_run_is_dropped_by_a_stop_by_hand() {
    let mut bench = running(CronOverlap::Queue);
    bench.give(FIRST + 60_000, DUE);
    let target = RequestTarget::One(Namespec::parse("cat"), "cat".to_owned());
    bench.ask(
        FIRST + 61_000,
        Request::Stop {
            target,
            wait: false,
        },
    );
    assert!(!starts(&end(&mut bench, FIRST + 62_000)));
    assert_eq!(bench.state(), "STOPPED");
    assert!(starts(&bench.give(FIRST + 120_000, DUE)), "the next run");
}

#[test]
fn a_run_can_replace_the_present_one() {
    let mut bench = running(CronOverlap::Kill);
    let lines = bench.give(FIRST + 60_000, DUE);
    assert!(
        has(&lines, "stopping the program for the run of"),
        "{lines:?}"
    );
    assert!(has(&lines, "signal 0.1 SIGTERM"), "{lines:?}");
    assert!(starts(&end(&mut bench, FIRST + 61_000)));
}

#[test]
fn no_run_starts_while_the_daemon_stops() {
    let mut bench = running(CronOverlap::Skip);
    bench.give(
        FIRST + 1_000,
        Input::Received(crate::core::DaemonSignal::Exit(crate::domain::Signal::TERM)),
    );
    assert_eq!(bench.fleet.next_wall_deadline(), None);
    assert!(!starts(&bench.give(FIRST + 60_000, DUE)));
}

/// Sets the wall clock to `wall` seconds at `ms`, and returns the time then.
fn set_clock(bench: &mut Bench, ms: u64, wall: i64) -> (Now, Vec<String>) {
    let now = Now {
        wall: Wall(wall * 1_000_000_000),
        ..Bench::now(ms)
    };
    let lines = bench.give_at(now, Input::ClockSet);
    (now, lines)
}

/// Lets `secs` pass on both clocks.
const fn later(now: Now, secs: u64) -> Now {
    Now {
        mono: crate::domain::Tick(now.mono.0 + secs * 1_000_000_000),
        wall: Wall(now.wall.0 + secs.cast_signed() * 1_000_000_000),
    }
}

#[test]
fn g43_a_clock_set_back_a_day_starts_nothing_and_loses_nothing() {
    const DAY: i64 = 86_400;
    let mut bench = Bench::cat(minutely(CronOverlap::Skip));
    // A full minute, many days after the epoch.
    let (now, lines) = set_clock(&mut bench, 1_000, 100 * DAY + 1);
    assert!(!starts(&lines), "{lines:?}");
    assert!(starts(&bench.give_at(later(now, 59), DUE)));
    bench.bring_up(60_000, 0, 1, 7);
    assert!(!starts(&end(&mut bench, 61_000)));
    // A day back, half a minute after a full one.
    let (now, lines) = set_clock(&mut bench, 62_000, 99 * DAY + 30);
    assert!(!starts(&lines), "{lines:?}");
    // The next run is in the next minute of the new clock.
    assert!(!starts(&bench.give_at(later(now, 29), DUE)));
    assert!(starts(&bench.give_at(later(now, 30), DUE)));
    bench.bring_up(92_000, 0, 2, 8);
    let second = InstanceId {
        slot: 0,
        incarnation: 2,
    };
    let status = crate::domain::ExitStatus::Exited(0);
    let exit = Input::Exited {
        instance: second,
        status,
    };
    bench.give_at(later(now, 31), exit);
    let drained = Input::Output(OutputOutcome::Drained(second));
    assert!(!starts(&bench.give_at(later(now, 31), drained)));
    // And a day forward again: one missed run, which cron_missed=skip does not make up for, then each minute.
    let (now, lines) = set_clock(&mut bench, 94_000, 100 * DAY + 130);
    assert!(!starts(&lines), "{lines:?}");
    assert!(!starts(&bench.give_at(later(now, 49), DUE)));
    assert!(starts(&bench.give_at(later(now, 50), DUE)));
}

/// The Go implementation waits five seconds after a run of less than two.
#[test]
fn a7_a_short_run_delays_no_other() {
    let mut bench = Bench::cat(|spec| {
        minutely(CronOverlap::Skip)(spec);
        let schedule = spec.schedule.as_mut().map(Arc::make_mut).expect("set");
        schedule.cron = Arc::from("*/2 * * * * *");
    });
    for run in 1..=4 {
        let ms = run * 2000;
        assert!(starts(&bench.give(ms, DUE)), "run {run}");
        bench.bring_up(ms, 0, run, 7);
        let instance = InstanceId {
            slot: 0,
            incarnation: run,
        };
        let status = crate::domain::ExitStatus::Exited(0);
        bench.give(ms + 200, Input::Exited { instance, status });
        let drained = Input::Output(OutputOutcome::Drained(instance));
        assert!(!starts(&bench.give(ms + 200, drained)));
        assert!(!starts(&bench.give(ms + 1999, DUE)));
    }
}
