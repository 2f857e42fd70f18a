//! Tests of stopping one process (rows PRC-11, PRC-22 to PRC-25, RPC-18).

use super::bench::{Bench, CAT, exited, stop};
use crate::core::{Input, ResumeKind};
use crate::domain::{Errno, ExitStatus, InstanceId, Seconds, Signal, SpawnError};
use crate::effects::{OutputOutcome, SpawnerOutcome};

fn signalled(signal: Signal, result: Result<(), Errno>) -> Input {
    let instance = CAT;
    Input::Signalled {
        instance,
        signal,
        result,
    }
}

#[test]
fn prc_22_prc_23_prc_25_a_stop_repeats_sigkill_until_the_exit() {
    let mut bench = Bench::up(|spec| {
        spec.stopwaitsecs = Seconds(3);
        spec.killasgroup = true;
    });
    bench.give(1000, Input::DeadlineReached);
    assert_eq!(
        bench.ask(5000, stop("cat", true)),
        [
            "DEBG killing cat (pid 7) with signal SIGTERM",
            "cat RUNNING->STOPPING pid 7",
            "signal 0.1 SIGTERM Process",
            "INFO waiting for cat to stop",
        ]
    );
    assert_eq!(bench.give(5000, signalled(Signal::TERM, Ok(()))), [""; 0]);
    assert_eq!(bench.due(), Some(7000));
    assert_eq!(
        bench.give(7000, Input::DeadlineReached),
        ["INFO waiting for cat to stop"]
    );
    let kill = [
        "WARN killing 'cat' (7) with SIGKILL",
        "DEBG killing cat (pid 7) process group with signal SIGKILL",
        "signal 0.1 SIGKILL Group",
    ];
    assert_eq!(bench.give(8000, Input::DeadlineReached), kill);
    assert_eq!(bench.give(8000, signalled(Signal::KILL, Ok(()))), [""; 0]);
    bench.give(9000, Input::DeadlineReached);
    assert_eq!(bench.due(), Some(11_000));
    let again = bench.give(11_000, Input::DeadlineReached);
    assert_eq!(again[again.len() - 3..], kill);
    let status = ExitStatus::Signalled {
        signal: Signal::KILL,
        dumped: false,
    };
    bench.give(
        11_500,
        Input::Exited {
            instance: CAT,
            status,
        },
    );
    assert_eq!(
        bench.give(11_500, Input::Output(OutputOutcome::Drained(CAT))),
        [
            "cat STOPPING->STOPPED pid 7",
            "WARN stopped: cat (terminated by SIGKILL)",
            "answer 1 Done",
        ]
    );
    assert_eq!(bench.due(), None);
}

#[test]
fn prc_23_stopwaitsecs_of_zero_causes_no_hot_loop() {
    for secs in [0, -1, i64::MIN] {
        let mut bench = Bench::up(|spec| spec.stopwaitsecs = Seconds(secs));
        let lines = bench.ask(500, stop("cat", false));
        let kills = lines.iter().filter(|line| line.starts_with("signal"));
        assert_eq!(kills.count(), 2, "SIGTERM and SIGKILL");
        assert_eq!(bench.due(), Some(1500));
    }
}

#[test]
fn g28_stop_signals_follow_one_another_before_sigkill() {
    let mut bench = Bench::up(|spec| {
        spec.later_stopsignals = [2, 3]
            .map(|n| Signal::from_number(n).expect("valid"))
            .into();
        spec.stopwaitsecs = Seconds(3);
        spec.stopasgroup = true;
    });
    bench.give(1000, Input::DeadlineReached);
    let sent = |name: &str| {
        [
            format!("DEBG killing cat (pid 7) process group with signal {name}"),
            format!("signal 0.1 {name} Group"),
        ]
    };
    let first = bench.ask(5000, stop("cat", false));
    assert_eq!(first[1], "cat RUNNING->STOPPING pid 7");
    assert_eq!([first[0].clone(), first[2].clone()], sent("SIGTERM"));
    // The exits of other processes and answers about signals do not shorten the wait.
    bench.give(5000, signalled(Signal::TERM, Ok(())));
    let (slot, incarnation) = (7, 99);
    let other = Input::Exited {
        instance: InstanceId { slot, incarnation },
        status: ExitStatus::Exited(0),
    };
    bench.give(6000, other);
    assert_eq!(bench.due(), Some(8000));
    assert_eq!(bench.give(8000, Input::DeadlineReached), sent("SIGINT"));
    assert_eq!(bench.due(), Some(11_000));
    assert_eq!(bench.state(), "STOPPING");
    // The previous daemon was killed before it knew that the signal was sent, so it is sent again.
    let resumed = bench.give(9000, Input::Resumed(ResumeKind::NewDaemon));
    assert_eq!(resumed.last(), Some(&sent("SIGINT")[1]));
    assert_eq!(bench.due(), Some(11_000));
    assert_eq!(bench.give(11_000, Input::DeadlineReached), sent("SIGQUIT"));
    let killed = bench.give(14_000, Input::DeadlineReached);
    assert_eq!(killed[0], "WARN killing 'cat' (7) with SIGKILL");
    assert_eq!(killed[2], "signal 0.1 SIGKILL Process");
    // SIGKILL is repeated, the list is not.
    let again = bench.give(17_000, Input::DeadlineReached);
    assert_eq!(again[2], "signal 0.1 SIGKILL Process");
    bench.give(17_500, exited(0));
    let ended = bench.give(17_500, Input::Output(OutputOutcome::Drained(CAT)));
    assert_eq!(ended[0], "cat STOPPING->STOPPED pid 7");
}

#[test]
fn prc_24_an_expected_code_is_info() {
    for (code, line) in [(0, "INFO"), (3, "WARN")] {
        let mut bench = Bench::up(|_| {});
        bench.ask(100, stop("cat", false));
        bench.give(200, exited(code));
        let expected = format!("{line} stopped: cat (exit status {code})");
        assert_eq!(
            bench.give(200, Input::Output(OutputOutcome::Drained(CAT)))[1],
            expected
        );
    }
}

/// Makes `cat` UNKNOWN at 100 ms: the kernel refuses the signal of a client (ticket 1) or of a stop.
fn unknown(bench: &mut Bench, by_stop: bool) -> Vec<String> {
    if by_stop {
        bench.ask(100, stop("cat", true));
        return bench.give(100, signalled(Signal::TERM, Err(Errno(1))));
    }
    bench.ask(
        100,
        crate::api::Request::Signal {
            target: super::bench::one("cat"),
            signal: "ABRT".to_owned(),
        },
    );
    bench.give(100, signalled(Signal::ABRT, Err(Errno(1))))
}

#[test]
fn prc_11_b7_a_refused_stop_is_unknown_until_the_exit() {
    let mut bench = Bench::up(|_| {});
    let problem = "unknown problem killing cat (7):[Errno 1] Operation not permitted";
    assert_eq!(
        unknown(&mut bench, true),
        [
            format!("CRIT {problem}"),
            "cat STOPPING->UNKNOWN".to_owned(),
            format!("answer 1 fault FAILED: {problem}"),
        ]
    );
    assert_eq!(bench.due(), None);
    bench.ask(150, super::bench::start("cat", true));
    let checked = Input::Spawner(SpawnerOutcome::Answered {
        ticket: crate::api::Ticket(2),
        result: Ok(()),
    });
    let lines = bench.give(150, checked);
    let refused = "answer 2 fault FAILED: cat is in an unknown process state";
    assert_eq!(lines.last().map(String::as_str), Some(refused));
    bench.give(200, exited(1));
    assert_eq!(bench.state(), "UNKNOWN");
    // A stop was requested, so the process is not restarted.
    assert_eq!(
        bench.give(200, Input::Output(OutputOutcome::Drained(CAT))),
        [
            "cat UNKNOWN->STOPPED pid 7",
            "WARN stopped: cat (exit status 1)"
        ]
    );
    assert_eq!(bench.due(), None);
}

#[test]
fn b7_an_unknown_process_that_was_not_stopped_exits_by_the_ordinary_rules() {
    // RUNNING: the automatic restart follows.
    let mut bench = Bench::up(|spec| spec.startsecs = Seconds(0));
    unknown(&mut bench, false);
    assert_eq!(bench.state(), "UNKNOWN");
    bench.give(9000, exited(3));
    assert_eq!(
        bench.give(9000, Input::Output(OutputOutcome::Drained(CAT)))[..3],
        [
            "cat UNKNOWN->EXITED pid 7 expected false",
            "WARN exited: cat (exit status 3; not expected)",
            "cat EXITED->STARTING tries 0",
        ]
    );
    // STARTING, and the exit is before startsecs: a failed attempt. The time of the exit decides.
    let mut bench = Bench::up(|spec| spec.startsecs = Seconds(1));
    unknown(&mut bench, false);
    bench.give(900, exited(0));
    assert_eq!(
        bench.give(5000, Input::Output(OutputOutcome::Drained(CAT))),
        [
            "cat UNKNOWN->BACKOFF tries 1",
            "WARN exited: cat (exit status 0; not expected)",
        ]
    );
    // The same, but the process has run for startsecs.
    let mut bench = Bench::up(|spec| spec.startsecs = Seconds(1));
    unknown(&mut bench, false);
    bench.give(1100, exited(0));
    assert_eq!(
        bench.give(1100, Input::Output(OutputOutcome::Drained(CAT))),
        [
            "cat UNKNOWN->EXITED pid 7 expected true",
            "INFO exited: cat (exit status 0; expected)",
        ]
    );
}

#[test]
fn a_late_signal_does_not_change_the_state() {
    let mut bench = Bench::up(|_| {});
    bench.ask(100, stop("cat", true));
    assert_eq!(
        bench.give(100, signalled(Signal::TERM, Err(Errno::SRCH))),
        [
            "DEBG unable to signal cat (pid 7), it probably just exited on its own: [Errno 3] No such process"
        ]
    );
    assert_eq!(bench.state(), "STOPPING");
}

#[test]
fn a_stop_before_the_spawn_cancels_the_attempt() {
    let mut bench = Bench::cat(|_| {});
    bench.give(0, Input::Spawner(SpawnerOutcome::Resolved(CAT)));
    assert_eq!(
        bench.ask(10, stop("cat", true)),
        [
            "drain 0.1",
            "cat STARTING->STOPPING pid 0",
            "cat STOPPING->STOPPED pid 0",
            "answer 1 Done",
        ]
    );
    assert_eq!(
        bench.give(20, Input::Output(OutputOutcome::Prepared(CAT))),
        ["drain 0.1"]
    );
    assert_eq!(bench.state(), "STOPPED");
}

#[test]
fn a_stop_during_the_spawn_signals_after_the_spawn() {
    let mut bench = Bench::cat(|_| {});
    bench.give(0, Input::Spawner(SpawnerOutcome::Resolved(CAT)));
    bench.give(0, Input::Output(OutputOutcome::Prepared(CAT)));
    assert_eq!(
        bench.ask(10, stop("cat", true)),
        [
            "cat STARTING->STOPPING pid 0",
            "call-off 0.1",
            "INFO waiting for cat to stop",
        ]
    );
    assert_eq!(
        bench.give(
            50,
            Input::Spawner(SpawnerOutcome::Spawned {
                instance: CAT,
                pid: 7
            })
        ),
        [
            "INFO spawned: 'cat' with pid 7",
            "read 0.1",
            "DEBG killing cat (pid 7) with signal SIGTERM",
            "signal 0.1 SIGTERM Process",
        ]
    );
}

#[test]
fn a_stop_during_a_spawn_that_fails_is_a_stop() {
    let mut bench = Bench::cat(|_| {});
    bench.give(0, Input::Spawner(SpawnerOutcome::Resolved(CAT)));
    bench.give(0, Input::Output(OutputOutcome::Prepared(CAT)));
    bench.ask(10, stop("cat", true));
    let error = SpawnError::Empty;
    assert_eq!(
        bench.give(
            20,
            Input::Spawner(SpawnerOutcome::Failed {
                instance: CAT,
                error
            })
        ),
        [
            "drain 0.1",
            "INFO spawnerr: command is empty",
            "cat STOPPING->STOPPED pid 0",
            "answer 1 Done",
        ]
    );
}

#[test]
fn a_reaped_process_is_never_signalled() {
    let mut bench = Bench::up(|_| {});
    bench.give(100, exited(0));
    assert_eq!(
        bench.ask(200, stop("cat", true)),
        [
            "cat STARTING->STOPPING pid 7",
            "INFO waiting for cat to stop",
        ]
    );
    let lines = bench.give(300, Input::Output(OutputOutcome::Drained(CAT)));
    assert_eq!(lines[0], "cat STOPPING->STOPPED pid 7");
    assert_eq!(lines.last().map(String::as_str), Some("answer 1 Done"));
}

#[test]
fn a_stop_cancels_a_waiting_restart() {
    let mut bench = Bench::up(|spec| spec.startsecs = Seconds(0));
    bench.give(100, exited(1));
    bench.give(100, Input::Output(OutputOutcome::Drained(CAT)));
    assert_eq!(bench.due(), Some(1000));
    assert_eq!(
        bench.ask(200, stop("cat", true)),
        ["answer 1 fault NOT_RUNNING: cat"]
    );
    assert_eq!((bench.state().as_str(), bench.due()), ("EXITED", None));
}
