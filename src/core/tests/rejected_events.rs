//! Tests of events that a listener rejects or does not finish, and that go back to their pool (rows EVT-10 to EVT-16).

use super::bench::pool;
use super::events::{FAIL, L0, L1, OK, delivery, ready, remote, said};
use crate::config::spec::GroupKind;
use crate::core::Input;
use crate::domain::{Errno, ExitStatus, InstanceId, ListenerOutput, Verdict};
use crate::effects::{OutputOutcome, SpawnerOutcome};

#[test]
fn evt_10_evt_14_a_rejected_event_keeps_its_serials_and_is_next() {
    let mut bench = ready(vec![pool("p", &["REMOTE_COMMUNICATION"], 10, 1)]);
    assert_eq!(remote(&mut bench, "x")[0], delivery(0, 0, "p", 0, "x"));
    assert_eq!(remote(&mut bench, "y"), [""; 0]);
    assert_eq!(
        said(&mut bench, L0, FAIL),
        [
            "WARN p0: event was rejected",
            "DEBG p0: BUSY -> ACKNOWLEDGED",
            "DEBG rebuffering event 0 for pool p (buf size=1, max=10)",
        ]
    );
    assert_eq!(
        said(&mut bench, L0, ListenerOutput::Ready)[1],
        delivery(0, 0, "p", 0, "x")
    );
    assert_eq!(
        said(&mut bench, L0, OK),
        [
            "DEBG p0: event was processed",
            "DEBG p0: BUSY -> ACKNOWLEDGED",
        ]
    );
    assert_eq!(
        said(&mut bench, L0, ListenerOutput::Ready)[1],
        delivery(0, 1, "p", 1, "y")
    );
}

#[test]
fn b6_a_rejected_event_waits_longer_each_time_and_keeps_its_position() {
    let mut bench = ready(vec![pool("p", &["REMOTE_COMMUNICATION"], 10, 2)]);
    assert_eq!(remote(&mut bench, "x")[0], delivery(0, 0, "p", 0, "x"));
    let mut now = 0;
    let mut pauses = Vec::new();
    for round in 0..10 {
        let lines = bench.give(now, Input::Output(OutputOutcome::ListenerOutput(L0, FAIL)));
        if round == 0 {
            assert_eq!(lines[0], "WARN p0: event was rejected");
            // The other listener is ready and gets the event at once, as in Supervisor.
            assert_eq!(lines[3], delivery(1, 0, "p", 0, "x"));
            bench.give(now, Input::Output(OutputOutcome::ListenerOutput(L1, FAIL)));
            bench.give(
                now,
                Input::Output(OutputOutcome::ListenerOutput(L1, ListenerOutput::Ready)),
            );
            assert_eq!(remote(&mut bench, "y"), [""; 0]);
        }
        let lines = bench.give(
            now,
            Input::Output(OutputOutcome::ListenerOutput(L0, ListenerOutput::Ready)),
        );
        assert_eq!(lines, ["DEBG p0: ACKNOWLEDGED -> READY"]);
        let due = bench.due().expect("a pause");
        assert_eq!(bench.give(due - 1, Input::DeadlineReached), [""; 0]);
        let lines = bench.give(due, Input::DeadlineReached);
        assert_eq!(lines[0], delivery(0, 0, "p", 0, "x"));
        // The next event goes to the other listener.
        if round == 0 {
            assert_eq!(lines[2], delivery(1, 1, "p", 1, "y"));
        }
        pauses.push(due - now);
        now = due;
    }
    assert_eq!(
        pauses,
        [50, 100, 200, 400, 800, 1600, 3200, 5000, 5000, 5000]
    );
    // An accepted event resets the pause.
    bench.give(now, Input::Output(OutputOutcome::ListenerOutput(L1, OK)));
    bench.give(now, Input::Output(OutputOutcome::ListenerOutput(L0, FAIL)));
    let lines = bench.give(
        now,
        Input::Output(OutputOutcome::ListenerOutput(L0, ListenerOutput::Ready)),
    );
    assert_eq!(lines[1], delivery(0, 0, "p", 0, "x"));
}

#[test]
fn b6_lines_about_rejections_are_bounded_and_the_rest_is_counted() {
    let mut bench = ready(vec![pool("p", &["REMOTE_COMMUNICATION"], 1000, 1)]);
    let mut told = 0;
    for _ in 0..100 {
        // Each event is rejected once and then accepted, so there is no pause.
        remote(&mut bench, "x");
        for verdict in [FAIL, OK] {
            let lines = said(&mut bench, L0, verdict);
            told += lines
                .iter()
                .filter(|line| line.contains("rejected"))
                .count();
            said(&mut bench, L0, ListenerOutput::Ready);
        }
    }
    assert_eq!(told, 10);
    assert_eq!(bench.due(), Some(60_000));
    assert_eq!(
        bench.give(60_000, Input::DeadlineReached),
        ["WARN pool p: listeners rejected 90 more events"]
    );
    assert_eq!(bench.due(), None);
}

#[test]
fn evt_14_a_rejected_event_goes_back_to_its_own_pool_only() {
    // §6.4: in the original every pool with a process of equal priority gets the event.
    let mut bench = ready(vec![
        pool("a", &["REMOTE_COMMUNICATION"], 10, 1),
        pool("b", &["TICK"], 10, 1),
    ]);
    remote(&mut bench, "x");
    said(&mut bench, L0, FAIL);
    assert_eq!(said(&mut bench, L1, ListenerOutput::Nonsense).len(), 2);
    let lines = said(&mut bench, L0, ListenerOutput::Ready);
    assert_eq!(lines[1], delivery(0, 0, "a", 0, "x"));
}

#[test]
fn evt_13_a_bad_result_gives_the_event_back() {
    let mut bench = ready(vec![pool("p", &["REMOTE_COMMUNICATION"], 10, 2)]);
    remote(&mut bench, "x");
    let lines = said(
        &mut bench,
        L0,
        ListenerOutput::BadResult("NONSENSE".to_owned()),
    );
    assert_eq!(
        lines,
        [
            "WARN p0: bad result line: 'NONSENSE'",
            "DEBG p0: BUSY -> UNKNOWN",
            "WARN p0: has entered the UNKNOWN state and will no longer receive events, this usually indicates the process \
             violated the eventlistener protocol",
            "DEBG rebuffering event 0 for pool p (buf size=0, max=10)",
            &delivery(1, 0, "p", 0, "x"),
            "DEBG event 0 sent to listener p1",
        ]
    );
}

#[test]
fn evt_15_with_a_handler_in_python_only_fail_rejects() {
    // (configured handler, result, accepted)
    for (handler, verdict, accepted) in [
        ("supervisor.dispatchers:default_handler", Verdict::Ok, true),
        (
            "supervisor.dispatchers:default_handler",
            Verdict::Fail,
            false,
        ),
        (
            "supervisor.dispatchers:default_handler",
            Verdict::Other,
            false,
        ),
        ("mine:handler", Verdict::Ok, true),
        ("mine:handler", Verdict::Fail, false),
        ("mine:handler", Verdict::Other, true),
    ] {
        let mut spec = pool("p", &["REMOTE_COMMUNICATION"], 10, 1);
        if let GroupKind::Listeners { result_handler, .. } = &mut spec.kind {
            handler.clone_into(result_handler);
        }
        let mut bench = ready(vec![spec]);
        remote(&mut bench, "x");
        let lines = said(&mut bench, L0, ListenerOutput::Result(verdict));
        let expected = if accepted {
            "DEBG p0: event was processed"
        } else {
            "WARN p0: event was rejected"
        };
        assert_eq!(lines[0], expected, "{handler} {verdict:?}");
        assert_eq!(lines.len(), if accepted { 2 } else { 3 });
    }
}

#[test]
fn evt_16_death_while_busy_gives_the_event_back() {
    let mut bench = ready(vec![pool("p", &["REMOTE_COMMUNICATION"], 10, 1)]);
    remote(&mut bench, "x");
    bench.give(
        5000,
        Input::Exited {
            instance: L0,
            status: ExitStatus::Exited(0),
        },
    );
    assert_eq!(
        bench.give(5000, Input::Output(OutputOutcome::Drained(L0)))[..3],
        [
            "p0 RUNNING->EXITED pid 10 expected true",
            "INFO exited: p0 (exit status 0; expected)",
            "DEBG rebuffering event 0 for pool p (buf size=0, max=10)",
        ]
    );
    let lines = bench.ask(5000, super::bench::start("p:p0", false));
    assert_eq!(lines, ["check 2 p0"]);
    bench.give(
        5000,
        Input::Spawner(SpawnerOutcome::Answered {
            ticket: crate::api::Ticket(2),
            result: Ok(()),
        }),
    );
    bench.bring_up(5000, 0, 2, 8);
    let instance = InstanceId {
        slot: 0,
        incarnation: 2,
    };
    let lines = bench.give(
        5000,
        Input::Output(OutputOutcome::ListenerOutput(
            instance,
            ListenerOutput::Ready,
        )),
    );
    assert!(lines[1].starts_with("deliver 0.2 0/p:0 "), "{lines:?}");
}

#[test]
fn evt_16_a_result_in_the_last_output_counts() {
    let mut bench = ready(vec![pool("p", &["REMOTE_COMMUNICATION"], 10, 1)]);
    remote(&mut bench, "x");
    let status = ExitStatus::Exited(0);
    bench.give(
        5000,
        Input::Exited {
            instance: L0,
            status,
        },
    );
    said(&mut bench, L0, OK);
    let lines = bench.give(5000, Input::Output(OutputOutcome::Drained(L0)));
    assert!(!lines.iter().any(|line| line.contains("rebuffering")));
}

#[test]
fn invalid_output_during_a_delivery_requeues_the_event_once() {
    let mut bench = ready(vec![pool("p", &["REMOTE_COMMUNICATION"], 10, 2)]);
    remote(&mut bench, "x");
    // The listener wrote before the event could be written, so that the delivery fails.
    let lines = said(&mut bench, L0, ListenerOutput::Nonsense);
    assert_eq!(lines[3], delivery(1, 0, "p", 0, "x"));
    assert_eq!(
        bench.give(
            0,
            Input::Output(OutputOutcome::NotDelivered(L0, Errno::PIPE))
        ),
        [""; 0]
    );
}
