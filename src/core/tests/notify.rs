//! Tests of notify messages: readiness, watchdog, extensions, ignored variables, foreign messages.

use super::bench::{Bench, CAT, exited, play, start, stop};
use crate::config::spec::{AutoRestart, NotifySpec, ProcessSpec, ReadyWhen};
use crate::core::{Input, NotifyMessage, Phase};
use crate::domain::{ExitReason, ExitStatus, Seconds, Signal};
use crate::effects::{OutputOutcome, SpawnerOutcome};

const READY: &str =
    "INFO success: cat entered RUNNING state, process has reported that it is ready";
const NOT_READY: &str =
    "WARN readiness timeout: cat (pid 7) is not ready after 5 s; stopping it (ready_timeout)";

/// Sets five seconds for readiness and two between watchdog messages.
fn speaker(spec: &mut ProcessSpec) {
    spec.notify = NotifySpec {
        socket: true,
        ready_fd: None,
        ready_timeout: Seconds(5),
        watchdog: Seconds(2),
        check: false,
        log: false,
    };
    spec.startretries = 1;
    spec.stopwaitsecs = Seconds(3);
}

fn says(message: &str) -> Input {
    Input::Notified(CAT, NotifyMessage::parse(message.as_bytes()))
}

/// Returns a fleet whose process is RUNNING since 1000 ms.
fn ready() -> Bench {
    let mut bench = Bench::up(speaker);
    assert_eq!(
        bench.give(1000, says("READY=1")),
        ["cat STARTING->RUNNING pid 7", READY]
    );
    bench
}

fn killed(signal: Signal) -> Input {
    Input::Exited {
        instance: CAT,
        status: ExitStatus::Signalled {
            signal,
            dumped: false,
        },
    }
}

fn text(bench: &Bench) -> String {
    bench.fleet.view(Bench::now(0))[0].status_text.clone()
}

#[test]
fn ready_makes_a_process_running_and_startsecs_does_not() {
    let mut bench = Bench::up(speaker);
    assert_eq!(
        (bench.state().as_str(), bench.due()),
        ("STARTING", Some(5000))
    );
    // `startsecs` has passed.
    assert!(bench.give(3000, Input::DeadlineReached).is_empty());
    assert!(bench.give(3100, says("STATUS=warming up")).is_empty());
    assert_eq!(text(&bench), "warming up");
    assert_eq!(
        bench.give(4999, says("STATUS=\nREADY=1")),
        ["cat STARTING->RUNNING pid 7", READY]
    );
    assert_eq!((text(&bench).as_str(), bench.due()), ("", Some(6999)));
    // A second READY changes nothing.
    assert!(bench.give(5000, says("READY=1")).is_empty());
}

#[test]
fn a_start_with_wait_waits_for_readiness() {
    let mut bench = Bench::cat(|spec| {
        speaker(spec);
        spec.autostart = false;
        spec.startsecs = Seconds(0);
    });
    bench.ask(0, start("cat", true));
    bench.give(
        0,
        Input::Spawner(SpawnerOutcome::Answered {
            ticket: crate::api::Ticket(1),
            result: Ok(()),
        }),
    );
    bench.bring_up(0, 0, 1, 7);
    let lines = bench.give(500, says("READY=1"));
    assert_eq!(lines.last().map(String::as_str), Some("answer 1 Done"));
}

#[test]
fn a_readiness_timeout_is_a_failed_start() {
    let mut bench = Bench::up(speaker);
    play(
        &mut bench,
        vec![
            (5000, Input::DeadlineReached, vec!["heed 0.1"], None),
            (
                5000,
                Input::NotifyPolled(CAT),
                vec![
                    NOT_READY,
                    "DEBG killing cat (pid 7) with signal SIGTERM",
                    "signal 0.1 SIGTERM Process",
                ],
                Some(8000),
            ),
            // Too late.
            (5001, says("READY=1"), vec![], Some(8000)),
            (
                8000,
                Input::DeadlineReached,
                vec![
                    "WARN killing 'cat' (7) with SIGKILL",
                    "DEBG killing cat (pid 7) with signal SIGKILL",
                    "signal 0.1 SIGKILL Process",
                ],
                Some(11_000),
            ),
            (8001, killed(Signal::KILL), vec!["drain 0.1"], Some(18_001)),
            (
                8001,
                Input::Output(OutputOutcome::Drained(CAT)),
                vec![
                    "cat STARTING->BACKOFF tries 1",
                    "WARN exited: cat (terminated by SIGKILL; not expected)",
                ],
                Some(9001),
            ),
        ],
    );
    let view = &bench.fleet.view(Bench::now(8001))[0];
    assert_eq!(
        view.spawn_error,
        "Readiness timeout (ready_timeout; process log may have details)"
    );
    assert!(matches!(view.exit_reason, Some(ExitReason::NotReady(_))));
}

#[test]
fn a_message_sent_before_the_deadline_counts() {
    // The daemon was suspended, but the message had been sent in time.
    let mut bench = Bench::up(speaker);
    assert_eq!(bench.give(60_000, Input::DeadlineReached), ["heed 0.1"]);
    assert_eq!(bench.give(60_000, says("READY=1")).len(), 2);
    assert!(bench.give(60_000, Input::NotifyPolled(CAT)).is_empty());
    assert_eq!(bench.due(), Some(62_000));
    // The same with a watchdog message.
    assert_eq!(bench.give(62_000, Input::DeadlineReached), ["heed 0.1"]);
    assert!(bench.give(62_000, says("WATCHDOG=1")).is_empty());
    assert!(bench.give(62_000, Input::NotifyPolled(CAT)).is_empty());
    assert_eq!(
        (bench.state().as_str(), bench.due()),
        ("RUNNING", Some(64_000))
    );
}

#[test]
fn an_exit_before_readiness_is_a_failed_start() {
    let mut bench = Bench::up(speaker);
    bench.give(3000, exited(0));
    assert_eq!(
        bench.give(3000, Input::Output(OutputOutcome::Drained(CAT))),
        [
            "cat STARTING->BACKOFF tries 1",
            "WARN exited: cat (exit status 0; not expected)",
        ]
    );
    let view = &bench.fleet.view(Bench::now(3000))[0];
    assert_eq!(
        view.spawn_error,
        "Exited before it was ready (process log may have details)"
    );
    assert_eq!(
        view.exit_reason,
        Some(ExitReason::Unready(ExitStatus::Exited(0)))
    );
}

#[test]
fn readiness_without_a_timeout_has_no_deadline() {
    let bench = Bench::up(|spec| {
        speaker(spec);
        spec.notify.ready_timeout = Seconds(0);
    });
    assert_eq!((bench.state().as_str(), bench.due()), ("STARTING", None));
}

#[test]
fn a_watchdog_timeout_kills_the_process_and_names_the_reason() {
    // (autorestart, restarts)
    for (policy, again) in [
        (AutoRestart::Never, false),
        (AutoRestart::Unexpected, true),
        (AutoRestart::Always, true),
    ] {
        let mut bench = Bench::up(|spec| {
            speaker(spec);
            spec.autorestart = policy;
        });
        bench.give(1000, says("READY=1"));
        assert!(bench.give(2500, says("WATCHDOG=1")).is_empty());
        assert_eq!(bench.due(), Some(4500));
        bench.give(4500, Input::DeadlineReached);
        assert_eq!(
            bench.give(4500, Input::NotifyPolled(CAT)),
            [
                "WARN watchdog timeout: cat (pid 7) sent no keepalive for 2000 ms; killing it with SIGABRT (watchdogsecs)",
                "DEBG killing cat (pid 7) with signal SIGABRT",
                "signal 0.1 SIGABRT Process",
            ]
        );
        assert_eq!(
            (bench.state().as_str(), bench.due()),
            ("RUNNING", Some(7500))
        );
        // The process handles the signal and exits with 0.
        bench.give(5000, exited(0));
        let lines = bench.give(5000, Input::Output(OutputOutcome::Drained(CAT)));
        assert_eq!(lines[0], "cat RUNNING->EXITED pid 7 expected false");
        let starting = "cat EXITED->STARTING tries 0".to_owned();
        assert_eq!(lines.contains(&starting), again, "{policy:?}");
        let view = &bench.fleet.view(Bench::now(5000))[0];
        assert_eq!(
            view.exit_reason,
            Some(ExitReason::Watchdog(ExitStatus::Exited(0)))
        );
        if !again {
            assert_eq!(view.spawn_error, "Watchdog timeout (watchdogsecs)");
        }
    }
}

#[test]
fn a_process_can_change_its_watchdog_interval() {
    // (message while RUNNING, when the next watchdog message is due)
    for (message, due) in [
        ("WATCHDOG_USEC=500000", Some(2500)),
        ("WATCHDOG_USEC=0", None),
        ("WATCHDOG_USEC=18446744073709551615", None),
        ("STOPPING=1", None),
        ("RELOADING=1", Some(3000)),
        ("RELOADING=1\nWATCHDOG=1", Some(4000)),
    ] {
        let mut bench = ready();
        assert!(bench.give(2000, says(message)).is_empty());
        assert_eq!(bench.due(), due, "{message}");
    }
    // Before readiness the other deadline applies.
    let mut bench = Bench::up(speaker);
    bench.give(1000, says("WATCHDOG=1"));
    assert_eq!(bench.due(), Some(5000));
}

#[test]
fn a_watchdog_trigger_kills_the_process() {
    let line = "WARN watchdog trigger: cat (pid 7) asked to be killed (WATCHDOG=trigger)";
    let mut bench = ready();
    let lines = bench.give(2000, says("WATCHDOG=trigger"));
    assert_eq!((lines[0].as_str(), lines.len()), (line, 3));
    assert!(bench.give(2000, says("WATCHDOG=trigger")).is_empty());
    bench.give(2001, killed(Signal::ABRT));
    let lines = bench.give(2001, Input::Output(OutputOutcome::Drained(CAT)));
    assert_eq!(lines[0], "cat RUNNING->EXITED pid 7 expected false");

    let mut bench = Bench::up(speaker);
    assert_eq!(bench.give(2000, says("WATCHDOG=trigger"))[0], line);
    bench.give(2001, killed(Signal::ABRT));
    let lines = bench.give(2001, Input::Output(OutputOutcome::Drained(CAT)));
    assert_eq!(lines[0], "cat STARTING->BACKOFF tries 1");
    assert_eq!(
        bench.fleet.view(Bench::now(0))[0].spawn_error,
        "Asked to be killed before it was ready (WATCHDOG=trigger)"
    );
}

#[test]
fn extend_timeout_is_bounded() {
    let mut bench = Bench::up(speaker);
    // An extension never shortens the deadline.
    bench.give(1000, says("EXTEND_TIMEOUT_USEC=1000000"));
    assert_eq!(bench.due(), Some(5000));
    bench.give(4000, says("EXTEND_TIMEOUT_USEC=3000000"));
    assert_eq!(bench.due(), Some(7000));
    bench.give(4000, says("EXTEND_TIMEOUT_USEC=18446744073709551615"));
    assert_eq!(bench.due(), Some(3_605_000));
    bench.give(4500, says("READY=1"));
    // While the process is RUNNING there is no deadline to extend.
    bench.give(5000, says("EXTEND_TIMEOUT_USEC=60000000"));
    assert_eq!(bench.due(), Some(6500));
    bench.ask(6000, stop("cat", true));
    bench.give(6000, says("EXTEND_TIMEOUT_USEC=60000000\nSTATUS=flushing"));
    assert_eq!(text(&bench), "flushing");
    // The deadline of the log line for the waiting client.
    assert_eq!(bench.due(), Some(8000));
    assert!(
        !bench
            .give(9000, Input::DeadlineReached)
            .contains(&"heed 0.1".to_owned())
    );
    let lines = bench.give(66_000, Input::DeadlineReached);
    assert!(lines.contains(&"heed 0.1".to_owned()), "{lines:?}");
    let lines = bench.give(66_000, Input::NotifyPolled(CAT));
    assert_eq!(lines[0], "WARN killing 'cat' (7) with SIGKILL");
    // After SIGKILL there is nothing to extend.
    let due = bench.due();
    bench.give(66_000, says("EXTEND_TIMEOUT_USEC=60000000"));
    assert_eq!(bench.due(), due);
}

#[test]
fn a_requested_stop_has_priority_over_other_exit_reasons() {
    let stopped = [
        "cat STOPPING->STOPPED pid 7",
        "WARN stopped: cat (terminated by SIGTERM)",
    ];
    for ms in [4000, 5000] {
        let mut bench = Bench::up(speaker);
        if ms == 5000 {
            bench.give(ms, Input::DeadlineReached);
            bench.give(ms, Input::NotifyPolled(CAT));
        }
        let lines = bench.ask(ms, stop("cat", false));
        assert_eq!(lines[1], "cat STARTING->STOPPING pid 7");
        assert_eq!(bench.due(), Some(ms + 3000));
        bench.give(ms + 1, killed(Signal::TERM));
        assert_eq!(
            bench.give(ms + 1, Input::Output(OutputOutcome::Drained(CAT)))[..2],
            stopped
        );
    }
}

#[test]
fn reloading_and_stopping_are_part_of_the_status() {
    let mut bench = ready();
    bench.give(1000, says("RELOADING=1"));
    assert_eq!(text(&bench), "reloading");
    bench.give(1000, says("STATUS=half"));
    assert_eq!(text(&bench), "reloading, half");
    bench.give(1000, says("READY=1"));
    assert_eq!(text(&bench), "half");
    bench.give(1000, says("STOPPING=1"));
    assert_eq!(
        (text(&bench).as_str(), bench.state().as_str()),
        ("stopping, half", "RUNNING")
    );
    bench.give(2000, exited(0));
    bench.give(2000, Input::Output(OutputOutcome::Drained(CAT)));
    assert_eq!(
        (text(&bench).as_str(), bench.state().as_str()),
        ("", "EXITED")
    );
}

#[test]
fn an_ignored_notification_is_logged_once_per_instance() {
    let mut bench = ready();
    let main_pid = "INFO cat: ignored notification MAINPID (a program cannot choose which process is supervised)";
    assert_eq!(bench.give(1000, says("MAINPID=1")), [main_pid]);
    assert!(bench.give(1000, says("MAINPID=2")).is_empty());
    assert_eq!(bench.give(1000, says("WHAT=1\nMAINPID=1")).len(), 1);
    assert_eq!(bench.fleet.view(Bench::now(0))[0].pid, 7);
}

#[test]
fn foreign_notifications_are_counted_and_change_nothing() {
    let mut bench = Bench::up(speaker);
    let forged = |sender| Input::ForeignNotify {
        instance: CAT,
        sender,
        uid: 33,
    };
    assert_eq!(
        bench.give(0, forged(99)),
        ["WARN cat: dropped a notification from process 99 (uid 33), which does not belong to cat"]
    );
    assert!(bench.give(1, forged(98)).is_empty());
    assert_eq!(
        (bench.state().as_str(), bench.due()),
        ("STARTING", Some(5000))
    );
    assert_eq!(
        bench.give(1000, exited(1)),
        [
            "WARN cat: dropped 2 notifications from processes that do not belong to cat",
            "drain 0.1"
        ]
    );
}

#[test]
fn ready_when_running_waits_for_readiness() {
    let mut bench = Bench::up(speaker);
    let look = |bench: &Bench| {
        let survey = bench
            .fleet
            .status_report(ReadyWhen::Running, Phase::Starting);
        (survey.phase, survey.busy_until.0 / 1_000_000)
    };
    assert_eq!(look(&bench), (Phase::Starting, 5000));
    bench.give(1000, says("EXTEND_TIMEOUT_USEC=30000000"));
    assert_eq!(look(&bench), (Phase::Starting, 31_000));
    bench.give(2000, says("READY=1"));
    assert_eq!(look(&bench), (Phase::Ready, 0));
}

#[test]
fn notifications_need_a_configured_socket() {
    let mut bench = Bench::up(|_| {});
    assert!(
        bench
            .give(100, says("READY=1\nSTATUS=x\nMAINPID=3"))
            .is_empty()
    );
    assert_eq!(
        (bench.state().as_str(), text(&bench).as_str()),
        ("STARTING", "")
    );
}
