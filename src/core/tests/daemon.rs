//! Tests of the daemon as a whole (rows DMN-15 to DMN-20, PRC-26 to PRC-29, RPC-13, RPC-31, RPC-37).

use std::sync::Arc;

use super::bench::{Bench, CAT, config, exited, program};
use crate::api::{AccessScope, Caller, Request, Ticket, Transport};
use crate::config::spec::LogTarget;
use crate::core::{DaemonSignal, Input};
use crate::domain::{ExitStatus, InstanceId, Signal, SpawnError};
use crate::effects::{LoadError, LoadReason, LoaderOutcome, OutputOutcome, SpawnerOutcome};

const TERM: Input = Input::Received(DaemonSignal::Exit(Signal::TERM));
const HUP: Input = Input::Received(DaemonSignal::Restart);

fn refused() -> LoadError {
    LoadError {
        all: Vec::new(),
        ..LoadError::of("bad".to_owned())
    }
}

fn hangup(result: Result<(), ()>) -> Input {
    Input::Loader(LoaderOutcome::Loaded {
        reason: LoadReason::Hangup,
        result: match result {
            Ok(()) => Ok(config(vec![(1, vec![program("new", "new")])])),
            Err(()) => Err(refused()),
        },
    })
}

#[test]
fn dmn_15_prc_28_term_stops_everything_and_names_the_processes_it_waits_for() {
    let mut bench = Bench::up(|_| {});
    assert_eq!(
        bench.give(100, TERM),
        [
            "WARN received SIGTERM indicating exit request",
            "SUPERVISOR_STATE_CHANGE_STOPPING",
            "DEBG killing cat (pid 7) with signal SIGTERM",
            "cat STARTING->STOPPING pid 7",
            "signal 0.1 SIGTERM Process",
            "INFO waiting for cat to die",
            "BLAT cat state: STOPPING",
        ]
    );
    assert_eq!(bench.due(), Some(3100));
    assert_eq!(
        bench.give(3100, Input::DeadlineReached)[0],
        "INFO waiting for cat to die"
    );
    bench.give(4000, exited(0));
    assert_eq!(
        bench.give(4000, Input::Output(OutputOutcome::Drained(CAT))),
        [
            "cat STOPPING->STOPPED pid 7",
            "INFO stopped: cat (exit status 0)",
            "finish Shutdown",
        ]
    );
    assert_eq!(bench.due(), None);
}

#[test]
fn prc_26_prc_27_levels_stop_from_the_highest_and_equals_together() {
    let mut bench = Bench::new(config(vec![
        (1, vec![program("first", "first")]),
        (999, vec![program("a", "a")]),
        (999, vec![program("b", "b")]),
    ]));
    let lines = bench.give(0, Input::DaemonStarted);
    let starts: Vec<_> = lines.iter().filter(|l| l.contains("STARTING")).collect();
    assert_eq!(
        starts,
        [
            "first STOPPED->STARTING tries 0",
            "a STOPPED->STARTING tries 0",
            "b STOPPED->STARTING tries 0",
        ]
    );
    for slot in 0..3 {
        bench.bring_up(0, slot, u64::from(slot) + 1, 10);
    }
    let stops = |lines: Vec<String>| {
        let mut stops = lines;
        stops.retain(|line| line.contains("->STOPPING") || line.contains("to die"));
        stops
    };
    assert_eq!(
        stops(bench.give(100, TERM)),
        [
            "b STARTING->STOPPING pid 10",
            "a STARTING->STOPPING pid 10",
            "INFO waiting for first, a, b to die",
        ]
    );
    let mut end = |slot| {
        let instance = InstanceId {
            slot,
            incarnation: u64::from(slot) + 1,
        };
        let status = ExitStatus::Exited(0);
        bench.give(200, Input::Exited { instance, status });
        bench.give(200, Input::Output(OutputOutcome::Drained(instance)))
    };
    assert_eq!(stops(end(1)), [""; 0]);
    assert_eq!(stops(end(2)), ["first STARTING->STOPPING pid 10"]);
    assert_eq!(end(0).last().map(String::as_str), Some("finish Shutdown"));
}

#[test]
fn prc_29_backoff_is_fatal_at_the_stop_without_a_line() {
    let mut bench = Bench::cat(|_| {});
    let error = SpawnError::Empty;
    bench.give(
        0,
        Input::Spawner(SpawnerOutcome::Failed {
            instance: CAT,
            error,
        }),
    );
    assert_eq!(
        bench.give(10, TERM)[1..],
        [
            "SUPERVISOR_STATE_CHANGE_STOPPING",
            "cat BACKOFF->FATAL",
            "finish Shutdown",
        ]
    );
}

#[test]
fn dmn_16_hup_reads_first_and_a_broken_file_stops_nothing() {
    let mut bench = Bench::up(|_| {});
    assert_eq!(
        bench.give(0, HUP),
        [
            "WARN received SIGHUP indicating restart request",
            "load Hangup",
        ]
    );
    assert_eq!(
        bench.give(0, hangup(Err(()))),
        ["ERRO restart refused: bad (nothing changed)"]
    );
    assert_eq!(bench.state(), "STARTING");
    bench.give(0, HUP);
    let lines = bench.give(0, hangup(Ok(())));
    assert_eq!(lines[0], "SUPERVISOR_STATE_CHANGE_STOPPING");
    bench.give(10, exited(0));
    let lines = bench.give(10, Input::Output(OutputOutcome::Drained(CAT)));
    assert_eq!(lines.last().map(String::as_str), Some("finish Restart"));
    let next = bench.fleet.take_next_config().expect("was read");
    assert_eq!(next.groups[0].name.as_str(), "new");
}

#[test]
fn dmn_16_hup_is_ignored_in_shutdown() {
    let mut bench = Bench::up(|_| {});
    bench.give(0, TERM);
    assert_eq!(
        bench.give(0, HUP),
        ["WARN ignored SIGHUP indicating restart request (shutdown in progress)"]
    );
}

#[test]
fn dmn_17_usr2_reopens_logs() {
    let mut bench = Bench::up(|_| {});
    assert_eq!(
        bench.give(0, Input::Received(DaemonSignal::ReopenLogs)),
        [
            "INFO received SIGUSR2 indicating log reopen request",
            "INFO supervisord logreopen",
            "reopen",
        ]
    );
}

#[test]
fn dmn_19_term_during_a_restart_is_a_shutdown() {
    let mut bench = Bench::up(|_| {});
    bench.give(0, HUP);
    bench.give(0, hangup(Ok(())));
    bench.give(5, TERM);
    bench.give(10, exited(0));
    let lines = bench.give(10, Input::Output(OutputOutcome::Drained(CAT)));
    assert_eq!(lines.last().map(String::as_str), Some("finish Shutdown"));
    assert!(bench.fleet.take_next_config().is_none());
}

#[test]
fn dmn_20_auto_logs_are_created_when_a_group_is_added() {
    let mut spec = program("cat", "cat");
    spec.autostart = false;
    spec.stdout.target = LogTarget::Auto;
    spec.stderr.target = LogTarget::Auto;
    let mut bench = Bench::new(config(vec![(999, vec![spec])]));
    let lines = bench.give(0, Input::DaemonStarted);
    assert!(lines[0].starts_with("create"), "{lines:?}");
    let view = bench.fleet.view(Bench::now(0)).remove(0);
    for (path, channel) in [
        (view.stdout_logfile, "stdout"),
        (view.stderr_logfile, "stderr"),
    ] {
        let path = path.expect("made");
        let text = path.to_str().expect("text");
        let random = text
            .strip_prefix(&format!("/tmp/cat-{channel}---supervisor-"))
            .and_then(|rest| rest.strip_suffix(".log"))
            .expect("named by rule");
        assert_eq!(random.len(), 8);
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        assert!(random.chars().all(allowed), "{random}");
    }
    // RPC-25: until the next reread the configuration shows the generated path too.
    let shown = |lines: Vec<String>| lines[0].contains("stdout_auto: Some");
    assert!(shown(bench.ask(0, Request::AllConfigInfo)));
    bench.ask(0, Request::Reread);
    let read = Arc::clone(bench.fleet.config());
    let reason = LoadReason::Reread(Ticket(2));
    let lines = bench.give(
        0,
        Input::Loader(LoaderOutcome::Loaded {
            reason,
            result: Ok(read),
        }),
    );
    assert_eq!(lines, ["answer 2 +[] ~[] -[]"], "AUTO is no change");
    assert!(!shown(bench.ask(0, Request::AllConfigInfo)));
}

#[test]
fn rpc_13_rpc_31_everything_but_an_event_is_refused_while_stopping() {
    let mut bench = Bench::up(|_| {});
    bench.give(0, TERM);
    for request in [
        Request::State,
        Request::AllProcessInfo,
        Request::Reread,
        Request::Shutdown,
        Request::Restart,
    ] {
        let client = Caller {
            transport: Transport::Unix,
            ..Caller::DAEMON
        };
        let lines = bench.ask_as(0, client, request, AccessScope::All);
        assert!(lines[0].ends_with("fault SHUTDOWN_STATE"), "{lines:?}");
    }
    // The daemon itself may still read, for open web pages.
    let lines = bench.ask(0, Request::AllProcessInfo);
    assert!(lines[0].starts_with("answer 6 "), "{lines:?}");
    assert!(!lines[0].contains("fault"), "{lines:?}");
    let lines = bench.ask(0, Request::State);
    assert!(lines[0].ends_with("fault SHUTDOWN_STATE"), "{lines:?}");
    let request = Request::RemoteEvent {
        kind: "k".to_owned(),
        data: "d".to_owned(),
    };
    assert_eq!(
        bench.ask(0, request),
        ["REMOTE_COMMUNICATION", "answer 8 Done"]
    );
}

#[test]
fn rpc_37_the_answer_comes_before_the_stop() {
    let mut bench = Bench::up(|_| {});
    let lines = bench.ask(0, Request::Shutdown);
    assert_eq!(
        lines[..2],
        ["answer 1 Done", "SUPERVISOR_STATE_CHANGE_STOPPING"]
    );
    let mut bench = Bench::up(|_| {});
    assert_eq!(bench.ask(0, Request::Restart), ["load Restart(Ticket(1))"]);
    let result = Ok(Arc::clone(bench.fleet.config()));
    let reason = LoadReason::Restart(Ticket(1));
    let lines = bench.give(0, Input::Loader(LoaderOutcome::Loaded { reason, result }));
    assert_eq!(
        lines[..2],
        ["answer 1 Done", "SUPERVISOR_STATE_CHANGE_STOPPING"]
    );
}

#[test]
fn rpc_37_a_broken_file_refuses_the_restart() {
    let mut bench = Bench::up(|_| {});
    bench.ask(0, Request::Restart);
    let result = Err(refused());
    let reason = LoadReason::Restart(Ticket(1));
    assert_eq!(
        bench.give(0, Input::Loader(LoaderOutcome::Loaded { reason, result })),
        [
            "answer 1 fault CANT_REREAD: bad",
            "ERRO restart refused: bad (nothing changed)",
        ]
    );
    assert_eq!(bench.state(), "STARTING");
}

#[test]
fn shutdown_answers_all_waiting_requests() {
    let mut bench = Bench::cat(|spec| spec.autostart = false);
    bench.ask(0, super::bench::start("cat", true));
    assert_eq!(
        bench.give(0, TERM)[2..],
        ["answer 1 fault SHUTDOWN_STATE", "finish Shutdown"]
    );
}
