//! Tests of programs that are added to active groups, and of processes that are removed from them.

use std::sync::Arc;

use super::bench::{Bench, stop};
use super::scaling::{composed, ended, instance, made, of, pool, scale, there};
use crate::api::Request;
use crate::config::spec::GroupKind;
use crate::core::Input;
use crate::effects::OutputOutcome;

fn add(group: &str) -> Request {
    Request::AddProgram {
        group: group.to_owned(),
        program: "n".to_owned(),
        options: vec![("command".to_owned(), "x".to_owned())],
    }
}

fn take_out(group: &str, process: &str) -> Request {
    Request::RemoveProcess {
        group: group.to_owned(),
        process: process.to_owned(),
    }
}

#[test]
fn a_program_joins_a_group_and_can_be_scaled() {
    let mut bench = pool(1);
    assert_eq!(
        bench.ask(0, add("x")),
        ["answer 1 fault BAD_NAME: group: x"]
    );
    assert_eq!(
        bench.ask(0, add("g")),
        ["compose 2 g:n [(\"command\", \"x\")]"]
    );
    let lines = bench.give(0, composed(2, made("g", "n", 1, |_| {})));
    assert_eq!(
        lines,
        [
            "INFO added process 'n0' to group 'g'",
            "n0 STOPPED->STARTING tries 0",
            "resolve 1.2",
            "answer 2 Done"
        ]
    );
    bench.ask(0, add("g"));
    let lines = bench.give(0, composed(3, made("g", "n", 1, |_| {})));
    assert_eq!(lines, ["answer 3 fault BAD_NAME: n0"]);
    let request = Request::SetNumprocs {
        program: "n".to_owned(),
        numprocs: 2,
    };
    assert_eq!(bench.ask(0, request), ["compose 4 g:n 2"]);
    assert_eq!(bench.ask(0, Request::GroupNames), ["answer 5 g"]);
}

#[test]
fn a_program_of_a_removed_group_is_refused() {
    let mut bench = pool(0);
    bench.ask(0, add("g"));
    bench.ask(0, Request::RemoveGroup("g".to_owned()));
    let lines = bench.give(0, composed(1, made("g", "n", 1, |_| {})));
    assert_eq!(lines, ["answer 1 fault BAD_NAME: group: g"]);
}

#[test]
fn only_groups_of_programs_take_programs() {
    let mut config = of("g", vec![]);
    Arc::make_mut(&mut Arc::make_mut(&mut config).groups[0]).kind = GroupKind::Listeners {
        events: vec!["EVENT".to_owned()],
        buffer_size: 1,
        result_handler: String::new(),
    };
    let mut bench = Bench::new(config);
    bench.give(0, Input::DaemonStarted);
    assert_eq!(
        bench.ask(0, add("g")),
        [
            "answer 1 fault INCORRECT_PARAMETERS: g is a [eventlistener:x] section (processes can be added only \
             to groups of [program:x])"
        ]
    );
}

#[test]
fn only_a_stopped_process_can_be_removed() {
    let mut bench = pool(2);
    for (group, process, fault) in [
        ("x", "w0", "BAD_NAME: group: x"),
        ("g", "x", "BAD_NAME: x"),
        ("g", "w1", "STILL_RUNNING: w1"),
    ] {
        let lines = bench.ask(0, take_out(group, process));
        assert!(lines[0].ends_with(&format!("fault {fault}")), "{lines:?}");
    }
    bench.ask(0, stop("g:w1", false));
    bench.give(0, ended(1, 2));
    bench.give(0, Input::Output(OutputOutcome::Drained(instance(1, 2))));
    let lines = bench.ask(0, take_out("g", "w1"));
    assert_eq!(lines[0], "INFO removed process 'w1' from group 'g'");
    assert!(lines[1].ends_with("Done"), "{lines:?}");
    assert_eq!(there(&bench), [("g:w0".to_owned(), 100)]);
    // Its program lacks the process now, and scaling adds it again.
    bench.ask(0, scale(2));
    let lines = bench.give(0, composed(6, made("g", "w", 2, |_| {})));
    assert_eq!(lines[lines.len() - 1], "answer 6 +[w1] -[]");
}
