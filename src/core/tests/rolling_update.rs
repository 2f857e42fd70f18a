//! Tests of rolling updates: an active group gets its configuration read last, some processes at a time.

use std::sync::Arc;

use super::bench::{Bench, stop};
use super::scaling::{ended, instance, made, of, pool, there};
use crate::api::{Request, Ticket};
use crate::config::spec::{Config, ProcessSpec};
use crate::core::{DaemonSignal, Input};
use crate::domain::{Seconds, Signal, SpawnError};
use crate::effects::{LoadReason, LoaderOutcome, OutputOutcome, SpawnerOutcome};

/// A configuration of the group `g` with `count` processes, changed by `change`, that is updated one by one.
fn rolling(count: usize, change: impl Fn(&mut ProcessSpec)) -> Arc<Config> {
    let mut config = of("g", vec![made("g", "w", count, change)]);
    let groups = &mut Arc::make_mut(&mut config).groups;
    Arc::make_mut(&mut groups[0]).rolling = 1;
    config
}

/// Reads the configuration with the next ticket.
fn read(bench: &mut Bench, ticket: u64, config: Arc<Config>) -> String {
    bench.ask(2000, Request::Reread);
    let lines = bench.give(
        2000,
        Input::Loader(LoaderOutcome::Loaded {
            reason: LoadReason::Reread(Ticket(ticket)),
            result: Ok(config),
        }),
    );
    lines.last().cloned().unwrap_or_default()
}

fn update() -> Request {
    Request::UpdateGroup("g".to_owned())
}

fn found(bench: &mut Bench, ticket: u64) -> Vec<String> {
    let (ticket, result) = (Ticket(ticket), Ok(()));
    bench.give(
        2000,
        Input::Spawner(SpawnerOutcome::Answered { ticket, result }),
    )
}

/// Lets a process end, and its output.
fn gone(bench: &mut Bench, slot: u32, incarnation: u64) -> Vec<String> {
    bench.give(2000, ended(slot, incarnation));
    let drained = OutputOutcome::Drained(instance(slot, incarnation));
    bench.give(2000, Input::Output(drained))
}

fn slower(spec: &mut ProcessSpec) {
    spec.stopwaitsecs = Seconds(77);
}

fn states(bench: &Bench) -> Vec<(String, &'static str)> {
    let views = bench.fleet.view(Bench::now(0));
    views
        .into_iter()
        .map(|view| (view.name.to_string(), view.state.name()))
        .collect()
}

/// How many processes have the new configuration.
fn updated(bench: &Bench) -> usize {
    let processes = bench.fleet.group_specs().flat_map(|group| &group.processes);
    processes.filter(|spec| spec.stopwaitsecs.0 == 77).count()
}

#[test]
fn one_process_after_another_gets_its_configuration() {
    let mut bench = pool(2);
    bench.give(1000, Input::DeadlineReached);
    assert_eq!(
        read(&mut bench, 1, rolling(2, slower)),
        "answer 1 +[] ~[g] -[]"
    );
    assert_eq!(bench.ask(2000, update()), ["check 2 w0"]);
    found(&mut bench, 2);
    assert_eq!(updated(&bench), 0, "it still stops with the old one");
    let lines = gone(&mut bench, 0, 1);
    assert!(
        lines.contains(&"INFO updated process 'w0' of group 'g'".to_owned()),
        "{lines:?}"
    );
    assert_eq!(updated(&bench), 1);
    bench.bring_up(2000, 0, 3, 200);
    let lines = bench.give(3000, Input::DeadlineReached);
    assert_eq!(lines.last().map(String::as_str), Some("check 2 w1"));
    found(&mut bench, 2);
    gone(&mut bench, 1, 2);
    bench.bring_up(3000, 1, 4, 201);
    let lines = bench.give(4000, Input::DeadlineReached);
    assert_eq!(
        lines.last().map(String::as_str),
        Some("answer 2 [\"g:w0 OK\", \"g:w1 OK\"]")
    );
    assert_eq!(
        read(&mut bench, 3, rolling(2, slower)),
        "answer 3 +[] ~[] -[]"
    );
}

#[test]
fn a_halted_update_leaves_the_rest_and_the_next_one_begins_with_the_failure() {
    let mut bench = pool(3);
    bench.give(1000, Input::DeadlineReached);
    read(&mut bench, 1, rolling(3, slower));
    bench.ask(2000, update());
    found(&mut bench, 2);
    gone(&mut bench, 0, 1);
    let failed = |instance| {
        let error = SpawnError::Empty;
        Input::Spawner(SpawnerOutcome::Failed { instance, error })
    };
    let lines = bench.give(2000, failed(instance(0, 4)));
    let left = "not updated: g:w0 failed before it";
    assert_eq!(
        lines[lines.len() - 2..],
        [
            "WARN update of group 'g' halted: g:w0 failed: g:w0: command is empty; 2 processes keep their previous configuration (correct the configuration and update again)".to_owned(),
            format!(
                "answer 2 [\"g:w0 SPAWN_ERROR: g:w0: command is empty\", \"g:w1 FAILED: {left}\", \"g:w2 FAILED: {left}\"]"
            ),
        ]
    );
    assert_eq!(
        (updated(&bench), &there(&bench)[1..]),
        (1, &[("g:w1".to_owned(), 101), ("g:w2".to_owned(), 102)][..])
    );
    // It is still to be done. The process that failed comes first, although its configuration is the one in the file.
    assert_eq!(
        read(&mut bench, 3, rolling(3, slower)),
        "answer 3 +[] ~[g] -[]"
    );
    assert_eq!(bench.ask(2000, update()), ["check 4 w0"]);
    let lines = found(&mut bench, 4);
    assert!(
        lines.contains(&"w0 STOPPED->STARTING tries 0".to_owned()),
        "{lines:?}"
    );
    bench.bring_up(2000, 0, 5, 200);
    let lines = bench.give(3000, Input::DeadlineReached);
    assert_eq!(lines.last().map(String::as_str), Some("check 4 w1"));
}

#[test]
fn new_processes_come_before_those_that_leave() {
    let mut bench = pool(2);
    bench.give(1000, Input::DeadlineReached);
    // The first stays, the second leaves, and another one comes.
    let mut made = made("g", "w", 3, |_| {});
    made.processes.remove(1);
    made.members.remove(1);
    let mut config = of("g", vec![made]);
    Arc::make_mut(&mut Arc::make_mut(&mut config).groups[0]).rolling = 1;
    read(&mut bench, 1, config);
    let lines = bench.ask(2000, update());
    assert_eq!(
        lines,
        [
            "INFO added process 'w2' to group 'g'",
            "w2 STOPPED->STARTING tries 0",
            "resolve 2.3",
        ]
    );
    bench.bring_up(2000, 2, 3, 102);
    let lines = bench.give(3000, Input::DeadlineReached);
    assert!(
        lines.contains(&"signal 1.2 SIGTERM Process".to_owned()),
        "{lines:?}"
    );
    let lines = gone(&mut bench, 1, 2);
    assert_eq!(
        lines[lines.len() - 2..],
        [
            "INFO removed process 'w1' from group 'g'",
            "answer 2 [\"g:w2 OK\", \"g:w1 OK\"]"
        ]
    );
    let names = [("g:w0".to_owned(), 100), ("g:w2".to_owned(), 102)];
    assert_eq!(there(&bench), names);
}

#[test]
fn an_update_is_refused_where_it_is_not_possible() {
    let fault = |bench: &mut Bench, name: &str| {
        let lines = bench.ask(2000, Request::UpdateGroup(name.to_owned()));
        lines.last().cloned().unwrap_or_default()
    };
    let mut bench = pool(2);
    bench.give(1000, Input::DeadlineReached);
    assert!(fault(&mut bench, "h").contains("BAD_NAME: group: h"));
    let whole = "fault INCORRECT_PARAMETERS: g has no rolling=, or changes as a whole";
    assert!(fault(&mut bench, "g").contains(whole));
    read(&mut bench, 3, rolling(2, slower));
    assert_eq!(
        bench.ask(
            2000,
            Request::PartialUpdates(vec!["g".to_owned(), "h".to_owned()])
        ),
        ["answer 4 g\trolling"]
    );
    bench.ask(2000, update());
    for request in [
        update(),
        Request::ResetNumprocs("g".to_owned()),
        super::scaling::scale(1),
    ] {
        let lines = bench.ask(2000, request);
        assert!(lines[0].contains("fault "), "{lines:?}");
    }
    assert_eq!(states(&bench)[0].1, "RUNNING");
}

#[test]
fn a_process_that_was_stopped_gets_its_configuration_and_starts_with_the_group() {
    for (autostart, state) in [(true, "STARTING"), (false, "STOPPED")] {
        let mut bench = pool(1);
        bench.give(1000, Input::DeadlineReached);
        bench.ask(1000, stop("g:w0", false));
        gone(&mut bench, 0, 1);
        let config = rolling(1, |spec| {
            slower(spec);
            spec.autostart = autostart;
        });
        read(&mut bench, 2, config);
        bench.ask(2000, update());
        assert_eq!(
            (updated(&bench), states(&bench)[0].1),
            (1, state),
            "autostart={autostart}"
        );
    }
}

#[test]
fn an_exit_of_the_daemon_ends_an_update() {
    let mut bench = pool(2);
    bench.give(1000, Input::DeadlineReached);
    read(&mut bench, 1, rolling(2, slower));
    bench.ask(2000, update());
    found(&mut bench, 2);
    bench.give(2000, Input::Received(DaemonSignal::Exit(Signal::TERM)));
    gone(&mut bench, 0, 1);
    assert_eq!(updated(&bench), 0);
    assert_eq!(
        gone(&mut bench, 1, 2).last().map(String::as_str),
        Some("finish Shutdown")
    );
}
