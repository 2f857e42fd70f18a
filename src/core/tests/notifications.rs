//! Tests of notifications.

use std::sync::Arc;

use super::bench::{Bench, config};
use super::scaling::instance;
use crate::api::Request;
use crate::config::spec::{
    FlappingLimit, NotificationSpec, OnFatal, ProcessSpec, ReportCondition, ReportFormat, Script,
};
use crate::config::testing::program;
use crate::core::{Input, ResumeKind};
use crate::domain::{ExitStatus, GroupName, ProcessName, Seconds};
use crate::effects::{OutputOutcome, ScriptFailure, ScriptId, ScriptOutcome};

fn notification(on: &[ReportCondition]) -> NotificationSpec {
    let name = ProcessName::parse("ops").expect("valid");
    let group = GroupName::parse("ops").expect("valid");
    NotificationSpec {
        on: on.to_vec(),
        programs: Vec::new(),
        format: ReportFormat::Text,
        interval: Seconds(60),
        flapping: FlappingLimit {
            exits: 3,
            seconds: 100,
        },
        script: Script::Command("page".to_owned()),
        timeout: Seconds(7),
        process: Arc::new(ProcessSpec::new(name, group)),
    }
}

/// A process whose first attempt is under way, with a notification.
fn bench(on: &[ReportCondition], change: impl FnOnce(&mut ProcessSpec)) -> Bench {
    let mut spec = program("cat", "cat");
    spec.startretries = 0;
    change(&mut spec);
    let mut config = config(vec![(999, vec![spec])]);
    Arc::make_mut(&mut config)
        .notifications
        .push(notification(on));
    let mut bench = Bench::new(config);
    bench.give(0, Input::DaemonStarted);
    bench.bring_up(0, 0, 1, 7);
    bench
}

/// The process exits with status 3. Returns the reports.
fn exits(bench: &mut Bench, ms: u64, incarnation: u64) -> Vec<String> {
    let (instance, status) = (instance(0, incarnation), ExitStatus::Exited(3));
    bench.give(ms, Input::Exited { instance, status });
    reports(bench.give(ms, Input::Output(OutputOutcome::Drained(instance))))
}

fn reports(lines: Vec<String>) -> Vec<String> {
    let is_report = |line: &String| line.starts_with("script ");
    lines.into_iter().filter(is_report).collect()
}

fn ended(bench: &mut Bench, ms: u64, id: u64, failure: Option<ScriptFailure>) -> Vec<String> {
    let (id, output) = (ScriptId(id), String::new());
    bench.give(
        ms,
        Input::Script(ScriptOutcome::Ended {
            id,
            failure,
            output,
        }),
    )
}

#[test]
fn a_fatal_process_is_reported_once_with_its_reason() {
    let mut bench = bench(&[ReportCondition::Fatal], |_| {});
    let sent = exits(&mut bench, 100, 1);
    let [report] = sent.as_slice() else {
        panic!("{sent:?}");
    };
    assert!(
        report.contains("SUPERVISOR_NOTIFY=ops SUPERVISOR_NOTIFY_SUBJECT=cat is FATAL SUPERVISOR_NOTIFY_CONDITIONS=fatal SUPERVISOR_NOTIFY_COUNT=1"),
        "{report}"
    );
    assert!(
        report.contains("cat is FATAL: Exited too quickly (process log may have details) (last exit: exit status 3), 1970-01-01 00:16:40"),
        "{report}"
    );
    let id = report
        .split(' ')
        .nth(1)
        .expect("an id")
        .parse()
        .expect("a number");
    assert_eq!(
        ended(&mut bench, 200, id, None),
        ["INFO notify ops: reported 1"]
    );
    assert_eq!(bench.due(), None);
    // The next daemon knows that it was reported.
    let again = reports(bench.give(300, Input::Resumed(ResumeKind::NewImage)));
    assert!(again.is_empty(), "{again:?}");
}

#[test]
fn a_failed_run_is_repeated_and_then_given_up() {
    let mut bench = bench(&[ReportCondition::Fatal], |_| {});
    exits(&mut bench, 100, 1);
    for (ms, id) in [(100, 1), (60_100, 2)] {
        let failure = Some(ScriptFailure::HttpStatus(503));
        assert_eq!(
            ended(&mut bench, ms, id, failure),
            ["WARN notify ops: HTTP status 503; trying again"]
        );
        let sent = reports(bench.give(ms + 60_000, Input::DeadlineReached));
        assert_eq!(sent.len(), 1, "{sent:?}");
    }
    assert_eq!(
        ended(
            &mut bench,
            120_200,
            3,
            Some(ScriptFailure::TimedOut(Seconds(7)))
        ),
        ["ERRO notify ops: not finished after 7 s; 1 not reported after 3 attempts"]
    );
    assert_eq!(bench.due(), None);
}

#[test]
fn exits_within_the_interval_are_one_report_and_flapping_ends_after_a_while() {
    use ReportCondition::{Exited, Flapping, Recovered};
    let mut bench = bench(&[Exited, Flapping, Recovered], |spec| {
        spec.startretries = 100;
        spec.startsecs = Seconds(1);
    });
    assert_eq!(exits(&mut bench, 100, 1).len(), 1);
    ended(&mut bench, 100, 1, None);
    for incarnation in 2..=4 {
        let ms = incarnation * 10_000;
        bench.give(ms, Input::DeadlineReached);
        bench.bring_up(ms, 0, incarnation, 7);
        assert!(exits(&mut bench, ms + 100, incarnation).is_empty());
    }
    let sent = reports(bench.give(60_100, Input::DeadlineReached));
    assert!(
        sent[0].contains("SUBJECT=1 exited, 1 flapping") && sent[0].contains(", 3 times"),
        "{sent:?}"
    );
    let id = sent[0]
        .split(' ')
        .nth(1)
        .expect("an id")
        .parse()
        .expect("a number");
    ended(&mut bench, 60_200, id, None);
    // It is RUNNING, and stable a hundred seconds after the last exit.
    bench.bring_up(60_200, 0, 5, 7);
    bench.give(62_000, Input::DeadlineReached);
    assert_eq!(bench.state(), "RUNNING");
    assert_eq!(bench.due(), Some(140_100));
    let sent = reports(bench.give(140_100, Input::DeadlineReached));
    assert!(sent[0].contains("SUBJECT=cat recovered"), "{sent:?}");
}

#[test]
fn a_stop_on_request_is_no_news() {
    use ReportCondition::{Exited, Fatal, Flapping, Recovered};
    let mut bench = bench(&[Fatal, Exited, Flapping, Recovered], |_| {});
    bench.ask(50, Request::Shutdown);
    assert!(exits(&mut bench, 100, 1).is_empty());
}

#[test]
fn the_exit_because_of_a_fatal_process_waits_for_its_report() {
    let essential = |spec: &mut ProcessSpec| spec.on_fatal = OnFatal::Shutdown;
    let mut first = bench(&[ReportCondition::Fatal], essential);
    assert_eq!(exits(&mut first, 100, 1).len(), 1);
    let lines = ended(&mut first, 200, 1, None);
    assert!(
        lines.iter().any(|line| line.starts_with("finish")),
        "{lines:?}"
    );
    // A script that takes too long is not waited for.
    let mut second = bench(&[ReportCondition::Fatal], essential);
    exits(&mut second, 100, 1);
    assert_eq!(second.due(), Some(5_100));
    let lines = second.give(5_100, Input::DeadlineReached);
    assert!(
        lines.iter().any(|line| line.starts_with("finish")),
        "{lines:?}"
    );
}

#[test]
fn the_next_daemon_repeats_a_report_that_was_being_sent() {
    let mut bench = bench(&[ReportCondition::Fatal], |_| {});
    exits(&mut bench, 100, 1);
    let sent = reports(bench.give(300, Input::Resumed(ResumeKind::NewDaemon)));
    assert_eq!(sent.len(), 1, "{sent:?}");
    assert!(sent[0].contains("COUNT=1 "), "{sent:?}");
}
