//! Tests of changes of the number of processes of a program in an active group.

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::prelude::*;

use super::bench::{Bench, config, program, start, stop};
use crate::api::{AccessScope, Request, Ticket};
use crate::config::spec::{
    Config, Environment, GroupChangeResult, GroupKind, GroupSpec, KeyOrigins, ProcessKind,
    ProcessSpec, ProgramSpec, ProgramTemplate,
};
use crate::core::Input;
use crate::domain::{ExitStatus, InstanceId, Signal};
use crate::effects::{LoadReason, LoaderOutcome, OutputOutcome};

fn template(name: &str) -> Arc<ProgramTemplate> {
    Arc::new(ProgramTemplate {
        section: Arc::from(format!("program:{name}")),
        file: Arc::from("/f"),
        here: Arc::from("/"),
        options: Arc::from([]),
        origins: KeyOrigins::default(),
        environment: Environment::from([]),
        kind: ProcessKind::Program,
    })
}

/// The result of the loader for a program with `count` processes.
pub(super) fn made(
    group: &str,
    name: &str,
    count: usize,
    change: impl Fn(&mut ProcessSpec),
) -> GroupChangeResult {
    let processes: Vec<Arc<ProcessSpec>> = (0..count)
        .map(|number| {
            let mut spec = program(group, &format!("{name}{number}"));
            change(&mut spec);
            Arc::new(spec)
        })
        .collect();
    GroupChangeResult {
        template: template(name),
        members: processes.iter().map(|spec| spec.name.clone()).collect(),
        processes,
    }
}

/// Returns a configuration with one group of these programs.
pub(super) fn of(group: &str, programs: Vec<GroupChangeResult>) -> Arc<Config> {
    let mut base = config(Vec::new());
    let config = Arc::make_mut(&mut base);
    let mut processes: Vec<_> = programs
        .iter()
        .flat_map(|made| made.processes.iter().cloned())
        .collect();
    processes.sort_by(|a, b| (a.priority, &a.name).cmp(&(b.priority, &b.name)));
    config.groups.push(Arc::new(GroupSpec {
        name: crate::domain::GroupName::parse(group).expect("valid"),
        priority: 999,
        kind: GroupKind::Programs,
        processes,
        programs: programs
            .into_iter()
            .map(|made| ProgramSpec {
                template: made.template,
                members: made.members,
                scaled: false,
            })
            .collect(),
        rolling: 0,
    }));
    base
}

/// Returns a fleet with a group `g` of a program `w` with `count` processes, all spawned. Slot n has PID 100 + n.
pub(super) fn pool(count: u32) -> Bench {
    let mut bench = Bench::new(of("g", vec![made("g", "w", count as usize, |_| {})]));
    bench.give(0, Input::DaemonStarted);
    for slot in 0..count {
        let pid = i32::try_from(100 + slot).expect("small");
        bench.bring_up(0, slot, u64::from(slot) + 1, pid);
    }
    bench
}

pub(super) fn scale(numprocs: i64) -> Request {
    Request::SetNumprocs {
        program: "w".to_owned(),
        numprocs,
    }
}

pub(super) fn composed(ticket: u64, composition: GroupChangeResult) -> Input {
    Input::Loader(LoaderOutcome::Composed {
        ticket: Ticket(ticket),
        result: Ok(Box::new(composition)),
    })
}

pub(super) fn instance(slot: u32, incarnation: u64) -> InstanceId {
    InstanceId { slot, incarnation }
}

pub(super) fn ended(slot: u32, incarnation: u64) -> Input {
    Input::Exited {
        instance: instance(slot, incarnation),
        status: ExitStatus::Signalled {
            signal: Signal::TERM,
            dumped: false,
        },
    }
}

/// Returns the name and PID of every process.
pub(super) fn there(bench: &Bench) -> Vec<(String, i32)> {
    let views = bench.fleet.view(Bench::now(0));
    views
        .into_iter()
        .map(|view| (format!("{}:{}", view.group, view.name), view.pid))
        .collect()
}

#[test]
fn scaling_up_adds_and_starts_processes_and_keeps_the_others() {
    let mut bench = pool(2);
    assert_eq!(bench.ask(0, scale(4)), ["compose 1 g:w 4"]);
    let lines = bench.give(0, composed(1, made("g", "w", 4, |_| {})));
    assert_eq!(
        lines,
        [
            "INFO added process 'w2' to group 'g'",
            "INFO added process 'w3' to group 'g'",
            "w2 STOPPED->STARTING tries 0",
            "resolve 2.3",
            "w3 STOPPED->STARTING tries 0",
            "resolve 3.4",
            "answer 1 +[w2 w3] -[]",
        ]
    );
    bench.bring_up(0, 2, 3, 102);
    assert_eq!(
        there(&bench),
        [("g:w0", 100), ("g:w1", 101), ("g:w2", 102), ("g:w3", 0)]
            .map(|(name, pid)| (name.to_owned(), pid))
    );
    // A group that is removed and added again is as in the file.
    assert_eq!(
        bench.ask(0, start("g:w3", true)),
        ["check 2 w3"],
        "it is found by its name"
    );
}

#[test]
fn scaling_up_without_autostart_only_adds_processes() {
    let mut bench = pool(1);
    bench.ask(0, scale(2));
    let lines = bench.give(
        0,
        composed(1, made("g", "w", 2, |spec| spec.autostart = false)),
    );
    assert_eq!(
        lines,
        ["INFO added process 'w1' to group 'g'", "answer 1 +[w1] -[]"]
    );
}

#[test]
fn scaling_down_stops_the_highest_and_answers_after_their_exit() {
    let mut bench = pool(3);
    assert_eq!(bench.ask(0, scale(1)), ["compose 1 g:w 1"]);
    let lines = bench.give(0, composed(1, made("g", "w", 1, |_| {})));
    assert_eq!(
        lines,
        [
            "DEBG killing w2 (pid 102) with signal SIGTERM",
            "w2 STARTING->STOPPING pid 102",
            "signal 2.3 SIGTERM Process",
            "INFO waiting for w2 to stop",
            "DEBG killing w1 (pid 101) with signal SIGTERM",
            "w1 STARTING->STOPPING pid 101",
            "signal 1.2 SIGTERM Process",
            "INFO waiting for w1 to stop",
        ]
    );
    bench.give(10, ended(1, 2));
    let lines = bench.give(10, Input::Output(OutputOutcome::Drained(instance(1, 2))));
    assert_eq!(
        lines[lines.len() - 1],
        "INFO removed process 'w1' from group 'g'",
        "gone as soon as it has stopped, {lines:?}"
    );
    assert_eq!(there(&bench).len(), 2);
    bench.give(20, ended(2, 3));
    let lines = bench.give(20, Input::Output(OutputOutcome::Drained(instance(2, 3))));
    assert_eq!(lines[lines.len() - 1], "answer 1 +[] -[w2 w1]");
    assert_eq!(there(&bench), [("g:w0".to_owned(), 100)]);
    // The deadlines of the removed processes are gone.
    assert_eq!(bench.due(), Some(1000));
    // Scale up again: the remaining process is not touched, and the slots are reused.
    bench.ask(30, scale(2));
    let lines = bench.give(30, composed(2, made("g", "w", 2, |_| {})));
    assert_eq!(lines[lines.len() - 1], "answer 2 +[w1] -[]");
    assert_eq!(there(&bench)[0], ("g:w0".to_owned(), 100));
}

#[test]
fn a_stuck_process_is_killed_before_its_removal() {
    let mut bench = pool(1);
    bench.ask(0, scale(0));
    bench.give(0, composed(1, made("g", "w", 0, |_| {})));
    assert_eq!(bench.due(), Some(2000), "it is said who is waited for");
    let lines = bench.give(10_000, Input::DeadlineReached);
    assert!(
        lines.contains(&"signal 0.1 SIGKILL Process".to_owned()),
        "{lines:?}"
    );
    bench.give(10_000, ended(0, 1));
    let lines = bench.give(
        10_000,
        Input::Output(OutputOutcome::Drained(instance(0, 1))),
    );
    assert_eq!(lines[lines.len() - 1], "answer 1 +[] -[w0]");
    assert_eq!(there(&bench), []);
}

#[test]
fn a_process_that_cannot_be_stopped_stays_and_is_reported() {
    let mut bench = pool(2);
    bench.ask(0, scale(1));
    bench.give(0, composed(1, made("g", "w", 1, |_| {})));
    let refused = Input::Signalled {
        instance: instance(1, 2),
        signal: Signal::TERM,
        result: Err(crate::domain::Errno(1)),
    };
    let lines = bench.give(0, refused);
    let answer = &lines[lines.len() - 1];
    assert!(
        answer.starts_with(
            "answer 1 fault FAILED: g:w1 was not removed: unknown problem killing w1 (101)"
        ),
        "{answer}"
    );
    assert_eq!(there(&bench).len(), 2);
}

#[test]
fn a_client_waiting_for_a_removed_process_gets_an_answer() {
    let mut bench = pool(1);
    bench.ask(0, stop("g:w0", true));
    bench.ask(0, scale(0));
    bench.give(0, composed(2, made("g", "w", 0, |_| {})));
    bench.give(10, ended(0, 1));
    let lines = bench.give(10, Input::Output(OutputOutcome::Drained(instance(0, 1))));
    assert_eq!(
        lines[lines.len() - 3..],
        [
            "answer 1 Done",
            "INFO removed process 'w0' from group 'g'",
            "answer 2 +[] -[w0]"
        ]
    );
}

#[test]
fn scaling_is_refused_with_reasons() {
    let mut bench = pool(1);
    let scale_of = |program: &str, numprocs| Request::SetNumprocs {
        program: program.to_owned(),
        numprocs,
    };
    for (request, fault) in [
        (scale_of("x", 1), "BAD_NAME: x"),
        (scale_of("x:w", 1), "BAD_NAME: x:w"),
        (scale_of("g:w0", 1), "BAD_NAME: g:w0"),
        (
            scale_of("w", -1),
            "INCORRECT_PARAMETERS: -1 is out of range (a program has 0 to 100000 processes)",
        ),
        (
            scale_of("g:w", 100_001),
            "INCORRECT_PARAMETERS: 100001 is out of range (a program has 0 to 100000 processes)",
        ),
    ] {
        let lines = bench.ask(0, request);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].ends_with(&format!("fault {fault}")), "{lines:?}");
    }
    let lines = bench.ask_within(
        0,
        scale(2),
        AccessScope::Only(vec![crate::domain::Namespec::parse("other:*")]),
    );
    assert!(
        lines[0].contains("fault FAILED: permission denied: "),
        "{lines:?}"
    );
    bench.ask(0, scale(2));
    let lines = bench.ask(0, scale_of("g:w", 3));
    assert!(
        lines[0].ends_with("FAILED: g:w: another request is scaling it"),
        "{lines:?}"
    );
    let lines = bench.give(
        0,
        Input::Loader(LoaderOutcome::Composed {
            ticket: Ticket(7),
            result: Err("%(process_num) must be present".to_owned()),
        }),
    );
    assert_eq!(
        lines,
        ["answer 7 fault INCORRECT_PARAMETERS: %(process_num) must be present"]
    );
}

#[test]
fn a_duplicate_name_stops_nothing() {
    let taken = made("g", "x", 1, |spec| {
        spec.name = crate::domain::ProcessName::parse("w1").expect("valid");
    });
    let mut bench = Bench::new(of("g", vec![made("g", "w", 1, |_| {}), taken]));
    bench.give(0, Input::DaemonStarted);
    bench.ask(0, scale(2));
    let lines = bench.give(0, composed(1, made("g", "w", 2, |_| {})));
    assert_eq!(lines, ["answer 1 fault BAD_NAME: w1"]);
    assert_eq!(there(&bench).len(), 2);
}

#[test]
fn scaling_of_a_replaced_group_is_refused() {
    let mut bench = pool(0);
    bench.ask(0, scale(1));
    bench.ask(0, Request::RemoveGroup("g".to_owned()));
    bench.ask(0, Request::AddGroup("g".to_owned()));
    // It has the same name, but is another group.
    let lines = bench.give(0, composed(1, made("g", "w", 1, |_| {})));
    assert_eq!(lines, ["answer 1 fault BAD_NAME: g:w"]);
    assert_eq!(there(&bench), []);
}

#[test]
fn a_program_in_two_groups_needs_its_group_name() {
    let mut config = of("g", vec![made("g", "w", 1, |_| {})]);
    let other = of("h", vec![made("h", "w", 1, |_| {})]);
    Arc::make_mut(&mut config)
        .groups
        .push(Arc::clone(&other.groups[0]));
    let mut bench = Bench::new(config);
    bench.give(0, Input::DaemonStarted);
    let lines = bench.ask(0, scale(2));
    assert_eq!(
        lines,
        ["answer 1 fault FAILED: w is in several groups (name one: g:w or h:w)"]
    );
    let request = Request::SetNumprocs {
        program: "h:w".to_owned(),
        numprocs: 2,
    };
    assert_eq!(bench.ask(0, request), ["compose 2 h:w 2"]);
}

#[test]
fn the_file_decides_at_the_next_update() {
    let mut bench = pool(2);
    let file = Arc::clone(bench.fleet.config());
    bench.ask(0, scale(3));
    bench.give(0, composed(1, made("g", "w", 3, |_| {})));
    let reread = |bench: &mut Bench, ticket, config: Arc<Config>| {
        bench.ask(0, Request::Reread);
        let lines = bench.give(
            0,
            Input::Loader(LoaderOutcome::Loaded {
                reason: LoadReason::Reread(Ticket(ticket)),
                result: Ok(config),
            }),
        );
        lines[lines.len() - 1].clone()
    };
    // The section has not changed, so an `update` of other groups does not affect it.
    assert_eq!(reread(&mut bench, 2, file), "answer 2 +[] ~[] -[]");
    let three = of("g", vec![made("g", "w", 3, |_| {})]);
    assert_eq!(reread(&mut bench, 3, three), "answer 3 +[] ~[] -[]");
}

#[test]
fn d6_an_update_of_a_scaled_group_keeps_common_processes() {
    let whole = || Request::ResetNumprocs("g".to_owned());
    let mut bench = pool(2);
    assert_eq!(
        bench.ask(0, whole()),
        ["answer 1 fault INCORRECT_PARAMETERS: g was not scaled"]
    );
    bench.ask(0, scale(4));
    bench.give(0, composed(2, made("g", "w", 4, |_| {})));
    for slot in 2..4 {
        let pid = i32::try_from(100 + slot).expect("small");
        bench.bring_up(0, slot, u64::from(slot) + 1, pid);
    }
    // The file has three processes, and another directory for the second.
    let mut read = made("g", "w", 3, |_| {});
    Arc::make_mut(&mut read.processes[1]).directory = Some(Arc::from(std::path::Path::new("/")));
    Arc::make_mut(&mut read.template).file = Arc::from("/etc/other");
    bench.ask(0, Request::Reread);
    let lines = bench.give(
        0,
        Input::Loader(LoaderOutcome::Loaded {
            reason: LoadReason::Reread(Ticket(3)),
            result: Ok(of("g", vec![read])),
        }),
    );
    assert_eq!(lines[lines.len() - 1], "answer 3 +[] ~[g] -[]");
    let lines = bench.ask(0, whole());
    let signals: Vec<_> = lines
        .iter()
        .filter(|line| line.starts_with("signal"))
        .collect();
    assert_eq!(
        signals,
        ["signal 3.4 SIGTERM Process", "signal 1.2 SIGTERM Process"]
    );
    for (slot, incarnation) in [(3, 4), (1, 2)] {
        let instance = InstanceId { slot, incarnation };
        bench.give(
            1,
            Input::Exited {
                instance,
                status: ExitStatus::Exited(0),
            },
        );
    }
    bench.give(
        1,
        Input::Output(OutputOutcome::Drained(InstanceId {
            slot: 3,
            incarnation: 4,
        })),
    );
    let lines = bench.give(
        1,
        Input::Output(OutputOutcome::Drained(InstanceId {
            slot: 1,
            incarnation: 2,
        })),
    );
    assert!(
        lines.contains(&"answer 4 +[w1] -[w3 w1]".to_owned()),
        "{lines:?}"
    );
    let views = bench.fleet.view(Bench::now(1));
    let shown: Vec<_> = views
        .iter()
        .map(|view| (view.name.as_str(), view.pid))
        .collect();
    assert_eq!(shown, [("w0", 100), ("w1", 0), ("w2", 102)]);
    assert_eq!(
        bench.ask(2, whole()).last().map(String::as_str),
        Some("answer 5 fault INCORRECT_PARAMETERS: g was not scaled")
    );
}

#[test]
fn a_shutdown_ends_a_scaling_that_is_under_way() {
    let mut bench = pool(1);
    bench.ask(0, scale(0));
    bench.give(0, composed(1, made("g", "w", 0, |_| {})));
    bench.ask(0, Request::Shutdown);
    bench.give(0, ended(0, 1));
    let lines = bench.give(0, Input::Output(OutputOutcome::Drained(instance(0, 1))));
    assert!(
        lines.contains(&"answer 1 fault SHUTDOWN_STATE".to_owned()),
        "{lines:?}"
    );
    assert_eq!(lines[lines.len() - 1], "finish Shutdown");
}

/// Returns the instances in lines that start with `word`.
fn instances(lines: &[String], word: &str) -> Vec<InstanceId> {
    lines
        .iter()
        .filter_map(|line| {
            line.strip_prefix(word)?
                .split(' ')
                .find(|part| !part.is_empty())
        })
        .map(|text| {
            let (slot, incarnation) = text.split_once('.').expect("a life");
            instance(
                slot.parse().expect("a number"),
                incarnation.parse().expect("a number"),
            )
        })
        .collect()
}

proptest! {
    #[test]
    fn scaling_up_and_down_keeps_the_remaining_processes(counts in proptest::collection::vec(0_usize..9, 1..16)) {
        let mut bench = pool(3);
        let mut next_pid = 1000;
        for (place, count) in counts.into_iter().enumerate() {
            let ticket = place as u64 + 1;
            let before: BTreeMap<String, i32> = there(&bench).into_iter().collect();
            bench.ask(0, scale(i64::try_from(count).expect("small")));
            let mut lines = bench.give(0, composed(ticket, made("g", "w", count, |_| {})));
            for gone in instances(&lines, "signal ") {
                bench.give(0, ended(gone.slot, gone.incarnation));
                lines.extend(bench.give(0, Input::Output(OutputOutcome::Drained(gone))));
            }
            for new in instances(&lines, "resolve ") {
                bench.bring_up(0, new.slot, new.incarnation, next_pid);
                next_pid += 1;
            }
            let answered = lines.iter().any(|line| line.starts_with(&format!("answer {ticket} +")));
            prop_assert!(answered, "{lines:?}");
            let after: BTreeMap<String, i32> = there(&bench).into_iter().collect();
            let names: Vec<String> = (0..count).map(|n| format!("g:w{n}")).collect();
            prop_assert_eq!(after.keys().cloned().collect::<Vec<_>>(), names);
            for (name, pid) in &after {
                prop_assert!(*pid != 0);
                if let Some(then) = before.get(name) {
                    prop_assert_eq!(pid, then, "{} was touched", name);
                }
            }
        }
    }
}
