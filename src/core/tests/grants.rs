//! Tests of requests whose caller may act on or see only some processes.

use super::bench::{Bench, CAT, config, program, stop};
use super::requests::last;
use crate::api::{AccessScope, Request, RequestTarget, RollingLimits};
use crate::core::Input;
use crate::domain::Signal;

#[test]
fn a_grant_covers_only_its_groups() {
    let mut bench = Bench::new(config(vec![
        (1, vec![program("a", "a")]),
        (2, vec![program("b", "b")]),
    ]));
    bench.give(0, Input::DaemonStarted);
    bench.bring_up(0, 0, 1, 7);
    bench.bring_up(0, 1, 2, 8);
    let mine = || AccessScope::Only(vec![crate::domain::Namespec::parse("a:*")]);
    let refused = "fault FAILED: permission denied";
    for request in [
        stop("b", false),
        Request::Shutdown,
        Request::Restart,
        Request::Reread,
        Request::RemoveGroup("b".to_owned()),
        Request::ClearDaemonLog,
        Request::ProcessInfo("b".to_owned()),
    ] {
        let lines = bench.ask_within(0, request, mine());
        assert!(
            lines.len() == 1 && last(&lines).contains(refused),
            "{lines:?}"
        );
    }
    let request = Request::Signal {
        target: RequestTarget::All,
        signal: "HUP".to_owned(),
    };
    bench.ask_within(0, request, mine());
    let signal = Signal::parse("HUP").expect("known");
    let done = Input::Signalled {
        instance: CAT,
        signal,
        result: Ok(()),
    };
    assert_eq!(
        bench.give(0, done),
        ["answer 8 [\"a:a OK\", \"b:b FAILED: permission denied: b\"]"]
    );
}

#[test]
fn a_list_by_name_has_only_visible_processes() {
    let mut bench = Bench::new(config(vec![
        (1, vec![program("b", "b"), program("b", "a")]),
        (2, vec![program("g", "y"), program("g", "x")]),
        (3, vec![program("z", "z")]),
    ]));
    bench.give(0, Input::DaemonStarted);
    let all = || AccessScope::All;
    let only = |names: &[&str]| {
        let names = names
            .iter()
            .map(|name| crate::domain::Namespec::parse(name));
        AccessScope::Only(names.collect())
    };
    let table: [(&[&str], AccessScope, &[&str]); 11] = [
        (&["z"], all(), &["z:z"]),
        (&["z:z", "g:x", "z"], all(), &["g:x", "z:z"]),
        (&["g:*", "g:x"], all(), &["g:x", "g:y"]),
        (&["g"], all(), &["g:x", "g:y"]),
        // A name of a process means only that process, even if its group has others.
        (&["b"], all(), &["b:b"]),
        (&["b:"], all(), &["b:a", "b:b"]),
        (&["nope", "g:nope", "nope:*", "z"], all(), &["z:z"]),
        (&["g:*", "z"], only(&["g:x"]), &["g:x"]),
        (&["g:y"], only(&["g:x"]), &[]),
        (&["b"], only(&["b:a"]), &["b:a"]),
        (&["g"], only(&["g:*"]), &["g:x", "g:y"]),
    ];
    for (names, scope, expected) in table {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let asked = format!("{names:?} within {scope:?}");
        let shown = views(bench.ask_within(0, Request::SomeProcessInfo(names), scope.clone()));
        assert_eq!(shown, expected, "{asked}");
        // The answer contains no process that the complete list hides from the caller.
        let everything = views(bench.ask_within(0, Request::AllProcessInfo, scope));
        assert!(
            shown.iter().all(|name| everything.contains(name)),
            "{asked}"
        );
    }
}

/// Returns the names of the processes in an answer, in its order.
fn views(lines: Vec<String>) -> Vec<String> {
    let [line] = lines.as_slice() else {
        panic!("{lines:?}");
    };
    let after = |text: &str, key: &str| {
        let rest = text
            .split_once(key)
            .map(|(_, rest)| rest)
            .unwrap_or_default();
        rest.split('"').nth(1).unwrap_or_default().to_owned()
    };
    line.split("ProcessView {")
        .skip(1)
        .map(|view| format!("{}:{}", after(view, "group: "), after(view, "name: ")))
        .collect()
}

#[test]
fn a_grant_may_cover_one_process_of_a_group() {
    let mut bench = Bench::new(config(vec![(
        1,
        vec![program("g", "a"), program("g", "b")],
    )]));
    bench.give(0, Input::DaemonStarted);
    bench.bring_up(0, 0, 1, 7);
    bench.bring_up(0, 1, 2, 8);
    let mine = || AccessScope::Only(vec![crate::domain::Namespec::parse("g:b")]);
    let refused = "fault FAILED: permission denied";
    let lines = bench.ask_within(0, stop("g:a", false), mine());
    assert_eq!(lines, [format!("answer 1 {refused}: g:a")]);
    let lines = bench.ask_within(0, Request::ProcessInfo("g:a".to_owned()), mine());
    assert_eq!(lines, [format!("answer 2 {refused}: g:a")]);
    // Of the group, only the permitted process is stopped. The others get a fault.
    let target = RequestTarget::Group("g".to_owned());
    let lines = bench.ask_within(
        0,
        Request::Stop {
            target,
            wait: false,
        },
        mine(),
    );
    assert!(!lines.iter().any(|line| line.contains("signal 0.1")));
    let done = Input::Signalled {
        instance: crate::domain::InstanceId {
            slot: 1,
            incarnation: 2,
        },
        signal: Signal::parse("TERM").expect("known"),
        result: Ok(()),
    };
    assert_eq!(
        bench.give(0, done),
        ["answer 3 [\"g:a FAILED: permission denied: g:a\", \"g:b OK\"]"]
    );
    // Neither the group as a whole nor the daemon is permitted.
    for request in [
        Request::RemoveGroup("g".to_owned()),
        Request::LogFile(crate::api::LogRef::Daemon),
        Request::Shutdown,
        Request::RemoteEvent {
            kind: "k".to_owned(),
            data: String::new(),
        },
    ] {
        let lines = bench.ask_within(0, request.clone(), mine());
        assert!(lines[0].contains(refused), "{request:?}: {lines:?}");
    }
}

#[test]
fn a5_an_invisible_process_does_not_exist() {
    use crate::api::{Access, Caller, LogRef, Permission, Transport};
    use crate::domain::{Channel, Namespec};

    let mut bench = Bench::new(config(vec![
        (1, vec![program("g", "a"), program("g", "b")]),
        (2, vec![program("other", "other")]),
    ]));
    bench.give(0, Input::DaemonStarted);
    bench.bring_up(0, 0, 1, 7);
    bench.bring_up(0, 1, 2, 8);
    bench.bring_up(0, 2, 3, 9);
    let only = |name: &str| AccessScope::Only(vec![Namespec::parse(name)]);
    // The caller may see one process and control another.
    let caller = || Caller {
        transport: Transport::Unix,
        uid: Some(1000),
        access: Some(Access(vec![
            (Permission::Control, only("g:a")),
            (Permission::Status, only("g:b")),
        ])),
        ..Caller::DAEMON
    };
    let named: &[fn(String) -> Request] = &[
        Request::ProcessInfo,
        |name| stop(&name, false),
        |name| Request::Signal {
            target: RequestTarget::One(Namespec::parse(&name), name),
            signal: "HUP".to_owned(),
        },
        |name| Request::LogFile(LogRef::Process(name, Channel::Stdout)),
        |name| Request::ClearLogs(RequestTarget::One(Namespec::parse(&name), name)),
        |name| Request::WriteStdin {
            name,
            data: Vec::new(),
        },
        |name| Request::RollingRestart {
            targets: vec![RequestTarget::One(Namespec::parse(&name), name)],
            limits: RollingLimits {
                at_once: 1,
                max_failures: 0,
                healthy: false,
            },
        },
        Request::AddGroup,
        Request::RemoveGroup,
        |name| Request::Stop {
            target: RequestTarget::Group(name),
            wait: false,
        },
        |name| Request::SetNumprocs {
            program: name,
            numprocs: 2,
        },
        Request::ResetNumprocs,
        |group| Request::RemoveProcess {
            group,
            process: "other".to_owned(),
        },
        |group| Request::AddProgram {
            group,
            program: "new".to_owned(),
            options: Vec::new(),
        },
    ];
    for request in named {
        let mut ask = |name: &str| {
            let lines = bench.ask_as(0, caller(), request(name.to_owned()), only("g:a"));
            assert_eq!(lines.len(), 1, "{lines:?}");
            let (_, fault) = lines[0].split_once(" fault ").expect("a fault");
            fault.replace(name, "NAME")
        };
        let there = ask("other");
        assert_eq!(there, ask("nosuch"), "{:?}", request("other".to_owned()));
        assert!(there.starts_with("BAD_NAME"), "{there}");
    }
    // Processes that the caller may only see get a fault. Others are not mentioned.
    for target in [RequestTarget::All, RequestTarget::Group("g".to_owned())] {
        let request = Request::Signal {
            target,
            signal: "NOSUCH".to_owned(),
        };
        let lines = bench.ask_as(0, caller(), request, only("g:a"));
        let (_, results) = lines[0].split_once(' ').expect("an answer");
        let (_, results) = results.split_once(' ').expect("results");
        assert_eq!(
            results,
            "[\"g:a BAD_SIGNAL: NOSUCH\", \"g:b FAILED: permission denied: g:b\"]"
        );
    }
    let lines = bench.ask_as(0, caller(), stop("g:b", false), only("g:a"));
    assert!(
        lines[0].ends_with("fault FAILED: permission denied: g:b"),
        "{lines:?}"
    );
}
