//! Tests of events and event listeners (rows EVT-09 to EVT-20).

use std::sync::Arc;

use super::bench::{Bench, config, pool, program};
use crate::api::Request;
use crate::config::spec::{Config, GroupKind, GroupSpec};
use crate::core::{DaemonSignal, Fleet, Input};
use crate::domain::{Errno, ExitStatus, InstanceId, ListenerOutput, Signal, Verdict};
use crate::effects::{OutputOutcome, SpawnerOutcome};

const TERM: Input = Input::Received(DaemonSignal::Exit(Signal::TERM));
/// The first instance of the listener in slot 0.
const L0: InstanceId = InstanceId {
    slot: 0,
    incarnation: 1,
};
const L1: InstanceId = InstanceId {
    slot: 1,
    incarnation: 2,
};
const OK: ListenerOutput = ListenerOutput::Result(Verdict::Ok);
const FAIL: ListenerOutput = ListenerOutput::Result(Verdict::Fail);

fn with(pools: Vec<GroupSpec>) -> Arc<Config> {
    let mut read = config(Vec::new());
    Arc::make_mut(&mut read).groups = pools.into_iter().map(Arc::new).collect();
    read
}

/// Returns a fleet with these pools, all listeners up and ready, and the events of that removed.
fn ready(pools: Vec<GroupSpec>) -> Bench {
    let sizes: Vec<usize> = pools.iter().map(|pool| pool.processes.len()).collect();
    let mut bench = Bench::new(with(pools));
    bench.give(0, Input::DaemonStarted);
    let count = u32::try_from(sizes.iter().sum::<usize>()).expect("few");
    for slot in 0..count {
        let incarnation = u64::from(slot) + 1;
        bench.bring_up(0, slot, incarnation, 10 + i32::try_from(slot).expect("few"));
        let instance = InstanceId { slot, incarnation };
        bench.give(
            0,
            Input::Output(OutputOutcome::ListenerOutput(
                instance,
                ListenerOutput::Ready,
            )),
        );
    }
    bench
}

/// Publishes a REMOTE_COMMUNICATION event of this type. The answer is left out.
fn remote(bench: &mut Bench, kind: &str) -> Vec<String> {
    let mut lines = bench.ask(
        0,
        Request::RemoteEvent {
            kind: kind.to_owned(),
            data: String::new(),
        },
    );
    lines.retain(|line| !line.starts_with("answer") && line != "REMOTE_COMMUNICATION");
    lines
}

fn said(bench: &mut Bench, instance: InstanceId, said: ListenerOutput) -> Vec<String> {
    bench.give(
        0,
        Input::Output(OutputOutcome::ListenerOutput(instance, said)),
    )
}

fn delivery(slot: u32, serial: u32, pool: &str, pool_serial: u32, kind: &str) -> String {
    format!(
        "deliver {slot}.{} {serial}/{pool}:{pool_serial} REMOTE_COMMUNICATION \"type:{kind}\\n\"",
        slot + 1
    )
}

#[test]
fn evt_09_serials_count_only_events_with_a_subscriber() {
    let mut bench = ready(vec![
        pool("a", &["REMOTE_COMMUNICATION"], 10, 1),
        pool("b", &["EVENT"], 10, 1),
    ]);
    // Pool b got the addition of its own group, the start and the states of both listeners: serial numbers 0 to 5.
    let lines = remote(&mut bench, "x");
    assert_eq!(
        lines,
        [
            delivery(0, 6, "a", 0, "x"),
            "DEBG event 6 sent to listener a0".to_owned()
        ]
    );
    let mut serials = Vec::new();
    for _ in 0..8 {
        let mut lines = said(&mut bench, L1, OK);
        lines.extend(said(&mut bench, L1, ListenerOutput::Ready));
        serials.extend(
            lines
                .iter()
                .filter(|line| line.starts_with("deliver"))
                .map(|line| line.split(' ').nth(2).expect("numbers").to_owned()),
        );
    }
    // The first one delivered was number 0.
    assert_eq!(
        serials,
        ["1/b:1", "2/b:2", "3/b:3", "4/b:4", "5/b:5", "6/b:6"]
    );
}

#[test]
fn evt_09_a_pool_gets_the_addition_of_itself_but_not_of_earlier_groups() {
    let mut bench = Bench::new(with(vec![
        pool("a", &["PROCESS_GROUP"], 10, 1),
        pool("b", &["PROCESS_GROUP"], 10, 1),
    ]));
    bench.give(0, Input::DaemonStarted);
    bench.bring_up(0, 1, 2, 7);
    assert_eq!(
        said(&mut bench, L1, ListenerOutput::Ready)[1],
        "deliver 1.2 1/b:0 PROCESS_GROUP_ADDED \"groupname:b\\n\""
    );
}

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
fn evt_11_evt_12_listener_states_are_logged() {
    let mut bench = Bench::new(with(vec![pool("p", &["TICK"], 10, 1)]));
    bench.give(0, Input::DaemonStarted);
    bench.bring_up(0, 0, 1, 7);
    assert_eq!(
        said(&mut bench, L0, ListenerOutput::Ready),
        ["DEBG p0: ACKNOWLEDGED -> READY"]
    );
    assert_eq!(
        said(&mut bench, L0, ListenerOutput::Nonsense),
        [
            "DEBG p0: READY -> UNKNOWN",
            "WARN p0: has entered the UNKNOWN state and will no longer receive events, this usually indicates the process \
             violated the eventlistener protocol",
        ]
    );
    // The next instance starts with a fresh protocol state.
    let exited = |instance| Input::Exited {
        instance,
        status: ExitStatus::Exited(1),
    };
    bench.give(2000, exited(L0));
    bench.give(2000, Input::Output(OutputOutcome::Drained(L0)));
    let instance = InstanceId {
        slot: 0,
        incarnation: 2,
    };
    bench.bring_up(2000, 0, 2, 8);
    assert_eq!(
        bench.give(
            2000,
            Input::Output(OutputOutcome::ListenerOutput(
                instance,
                ListenerOutput::Ready
            ))
        ),
        ["DEBG p0: ACKNOWLEDGED -> READY"]
    );
    // A message of an old instance changes nothing.
    assert_eq!(
        bench.give(
            2000,
            Input::Output(OutputOutcome::ListenerOutput(L0, ListenerOutput::Nonsense))
        ),
        [""; 0]
    );
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
fn evt_17_the_first_ready_listener_gets_the_event() {
    let mut bench = ready(vec![pool("p", &["REMOTE_COMMUNICATION"], 10, 3)]);
    let to = |lines: Vec<String>| lines[0].split(' ').nth(1).expect("a life").to_owned();
    assert_eq!(to(remote(&mut bench, "x")), "0.1");
    assert_eq!(to(remote(&mut bench, "x")), "1.2");
    said(&mut bench, L0, OK);
    said(&mut bench, L0, ListenerOutput::Ready);
    assert_eq!(to(remote(&mut bench, "x")), "0.1");
    assert_eq!(to(remote(&mut bench, "x")), "2.3");
    assert_eq!(remote(&mut bench, "x"), [""; 0]);
}

#[test]
fn evt_18_only_running_listeners_get_events() {
    let mut spec = pool("p", &["REMOTE_COMMUNICATION"], 10, 1);
    Arc::make_mut(&mut spec.processes[0]).startsecs = crate::domain::Seconds(1);
    let mut bench = ready(vec![spec]);
    assert_eq!(remote(&mut bench, "x"), [""; 0]);
    let lines = bench.give(1000, Input::DeadlineReached);
    assert_eq!(lines[0], "p0 STARTING->RUNNING pid 10");
    assert_eq!(lines[2], delivery(0, 0, "p", 0, "x"));
}

#[test]
fn evt_19_overflow_discards_the_oldest_event_and_logs_it() {
    let mut bench = ready(vec![pool("p", &["REMOTE_COMMUNICATION"], 2, 1)]);
    for kind in ["a", "b", "c"] {
        assert!(
            !remote(&mut bench, kind)
                .iter()
                .any(|line| line.starts_with("ERRO"))
        );
    }
    assert_eq!(
        remote(&mut bench, "d"),
        ["ERRO pool p event buffer overflowed, discarding event 1"]
    );
    // Putting an event back needs space too.
    let lines = said(&mut bench, L0, FAIL);
    assert_eq!(
        lines[2..],
        [
            "DEBG rebuffering event 0 for pool p (buf size=2, max=2)",
            "ERRO pool p event buffer overflowed, discarding event 2",
        ]
    );
    assert_eq!(
        said(&mut bench, L0, ListenerOutput::Ready)[1],
        delivery(0, 0, "p", 0, "a")
    );
    assert_eq!(bench.fleet.view(Bench::now(0))[0].events_discarded, 2);
}

#[test]
fn an_event_is_queued_once_for_each_matching_subscription() {
    // §6.1: twice with the same serial numbers, as in the original.
    let mut bench = ready(vec![pool("p", &["EVENT", "REMOTE_COMMUNICATION"], 20, 2)]);
    for instance in [L0, L1, L0, L1, L0, L1] {
        said(&mut bench, instance, OK);
        said(&mut bench, instance, ListenerOutput::Ready);
    }
    let lines = remote(&mut bench, "x");
    let numbers = |slot: u32| {
        let start = format!("deliver {slot}.");
        let line = lines.iter().find(|line| line.starts_with(&start));
        line.map(|line| line.split(' ').nth(2).expect("numbers").to_owned())
    };
    assert_eq!(numbers(0), numbers(1));
    assert!(numbers(0).is_some());
}

#[test]
fn a_listener_with_closed_input_is_skipped() {
    let mut bench = ready(vec![pool("p", &["REMOTE_COMMUNICATION"], 10, 2)]);
    remote(&mut bench, "x");
    assert_eq!(
        bench.give(
            0,
            Input::Output(OutputOutcome::NotDelivered(L0, Errno::PIPE))
        ),
        [
            "DEBG epipe occurred while sending event 0 to listener p0, listener state unchanged",
            "DEBG rebuffering event 0 for pool p (buf size=0, max=10)",
            &delivery(1, 0, "p", 0, "x"),
            "DEBG event 0 sent to listener p1",
        ]
    );
    assert_eq!(remote(&mut bench, "y"), [""; 0]);
}

#[test]
fn a_listener_that_answers_an_unread_event_is_unknown() {
    let mut bench = ready(vec![pool("p", &["REMOTE_COMMUNICATION"], 10, 2)]);
    remote(&mut bench, "x");
    let lines = bench.give(
        0,
        Input::Output(OutputOutcome::NotDelivered(L0, Errno::AGAIN)),
    );
    assert_eq!(lines[0], "DEBG p0: READY -> UNKNOWN");
    assert_eq!(lines[3], delivery(1, 0, "p", 0, "x"));
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

#[test]
fn evt_07_ticks_need_a_subscriber() {
    let mut bench = Bench::new(with(vec![pool("p", &["TICK_5"], 10, 1)]));
    bench.give(0, Input::DaemonStarted);
    // The harness's clock starts at a multiple of five seconds.
    assert_eq!(bench.due(), Some(5000));
    assert_eq!(bench.give(5000, Input::DeadlineReached), ["TICK_5 1005"]);
    assert_eq!(bench.due(), Some(10_000));
    let deaf = Bench::new(with(vec![pool("p", &["PROCESS_STATE"], 10, 1)]));
    assert_eq!(deaf.due(), None);
}

#[test]
fn evt_20_pools_start_first_and_stop_after_they_got_all_stop_events() {
    let mut read = config(vec![(999, vec![program("cat", "cat")])]);
    Arc::make_mut(&mut read)
        .groups
        .insert(0, Arc::new(pool("p", &["PROCESS_STATE_STOPPED"], 10, 1)));
    let mut bench = Bench::new(read);
    let lines = bench.give(0, Input::DaemonStarted);
    let starts: Vec<_> = lines
        .iter()
        .filter(|line| line.contains("STARTING"))
        .collect();
    assert_eq!(
        starts,
        [
            "p0 STOPPED->STARTING tries 0",
            "cat STOPPED->STARTING tries 0"
        ]
    );
    bench.bring_up(0, 0, 1, 7);
    bench.bring_up(0, 1, 2, 8);
    said(&mut bench, L0, ListenerOutput::Ready);
    let stops = |lines: &[String], name: &str| {
        let start = format!("{name} RUNNING->STOPPING");
        lines.iter().any(|line| line.starts_with(&start))
    };
    bench.give(2000, Input::DeadlineReached);
    let lines = bench.give(2000, TERM);
    assert!(stops(&lines, "cat") && !stops(&lines, "p0"));
    let status = ExitStatus::Exited(0);
    bench.give(
        2000,
        Input::Exited {
            instance: L1,
            status,
        },
    );
    let lines = bench.give(2000, Input::Output(OutputOutcome::Drained(L1)));
    assert!(lines.iter().any(|line| line.starts_with("deliver 0.1")));
    assert!(!stops(&lines, "p0"), "it has not handled the last event");
    assert_eq!(bench.due(), Some(3000));
    let lines = bench.give(2500, Input::Output(OutputOutcome::ListenerOutput(L0, OK)));
    assert!(stops(&lines, "p0"));
}

#[test]
fn evt_20_a_listener_that_hangs_delays_the_stop_by_a_second_only() {
    let mut bench = ready(vec![pool("p", &["SUPERVISOR_STATE_CHANGE"], 10, 1)]);
    bench.give(2000, TERM);
    assert_eq!(bench.due(), Some(3000));
    let lines = bench.give(3000, Input::DeadlineReached);
    assert!(
        lines
            .iter()
            .any(|line| line.starts_with("p0 RUNNING->STOPPING"))
    );
}

#[test]
fn output_is_reported_only_to_subscribers() {
    let reports = |lines: &[String]| -> Vec<String> {
        let lines = lines.iter().filter(|line| line.starts_with("report"));
        lines.cloned().collect()
    };
    let mut bench = Bench::new(with(vec![
        pool("a", &["TICK_60"], 10, 1),
        pool("b", &["PROCESS_LOG_STDERR"], 10, 1),
        pool("c", &["EVENT"], 10, 1),
    ]));
    let lines = bench.give(0, Input::DaemonStarted);
    assert_eq!(
        reports(&lines),
        ["report logs", "report logs communications"]
    );
    let remove = |bench: &mut Bench, name: &str, slot: u32| {
        let incarnation = u64::from(slot) + 1;
        bench.bring_up(0, slot, incarnation, 7);
        bench.ask(0, super::bench::stop(&format!("{name}:{name}0"), false));
        let instance = InstanceId { slot, incarnation };
        let status = ExitStatus::Exited(0);
        bench.give(0, Input::Exited { instance, status });
        bench.give(0, Input::Output(OutputOutcome::Drained(instance)));
        let lines = bench.ask(0, Request::RemoveGroup(name.to_owned()));
        reports(&lines)
    };
    assert_eq!(remove(&mut bench, "b", 1), [""; 0]);
    assert_eq!(remove(&mut bench, "c", 2), ["report"]);
    assert_eq!(remove(&mut bench, "a", 0), [""; 0]);
}

#[test]
fn a_pool_keeps_its_types_when_another_version_takes_over() {
    let mut bench = ready(vec![pool("a", &["REMOTE_COMMUNICATION"], 10, 1)]);
    // A daemon whose table has one type less, before the one that the pool subscribes to.
    let mut state = serde_json::to_value(bench.fleet.snapshot()).expect("can be written");
    let takes = state["pools"][0]["takes"].as_array_mut().expect("a list");
    takes.remove(0);
    let snapshot = serde_json::from_value(state).expect("can be read");
    bench.fleet = Fleet::restore(snapshot, Bench::now(0));
    assert_eq!(
        remote(&mut bench, "x"),
        [
            delivery(0, 0, "a", 0, "x"),
            "DEBG event 0 sent to listener a0".to_owned(),
        ]
    );
}
