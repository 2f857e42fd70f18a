//! Tests of requests of clients (rows RPC-13 to RPC-34).

use std::path::Path;
use std::sync::Arc;

use super::bench::{Bench, CAT, config, exited, one, program, start, stop};
use crate::api::{AccessScope, LogRef, Request, RequestTarget, Ticket};
use crate::config::spec::{JournalSpec, LogTarget};
use crate::core::Input;
use crate::domain::{Channel, Errno, InstanceId, Seconds, Signal, SpawnError};
use crate::effects::{LoadError, LoadReason, LoaderOutcome, OutputOutcome, SpawnerOutcome};

fn checked(ticket: u64, result: Result<(), SpawnError>) -> Input {
    let ticket = Ticket(ticket);
    Input::Spawner(SpawnerOutcome::Answered { ticket, result })
}

fn last(lines: &[String]) -> &str {
    lines.last().map_or("", String::as_str)
}

#[test]
fn rpc_15_the_daemon_answers_about_itself() {
    let mut bench = Bench::cat(|_| {});
    for (request, answer) in [
        (Request::State, "State(Running)"),
        (Request::Pid, "Pid(4711)"),
        (Request::Identification, "Text(\"supervisor\")"),
        (Request::LogFile(LogRef::Daemon), "LogFile(Some(\"/l\"))"),
        (
            Request::LogFile(LogRef::Process("cat".to_owned(), Channel::Stdout)),
            "LogFile(None)",
        ),
    ] {
        let lines = bench.ask(0, request);
        assert!(last(&lines).ends_with(answer), "{lines:?}");
    }
}

#[test]
fn a_log_with_journal_and_file_is_read_from_the_file() {
    let journal = Some(JournalSpec { limit: None });
    let ask = || Request::LogFile(LogRef::Process("cat".to_owned(), Channel::Stdout));
    let mut bench = Bench::cat(|spec| spec.stdout.named.journal = journal);
    let lines = bench.ask(0, ask());
    assert!(
        last(&lines).contains("Journal(JournalMatch { group: GroupName(\"cat\"), "),
        "{lines:?}"
    );
    let mut bench = Bench::cat(|spec| {
        spec.stdout.named.journal = journal;
        spec.stdout.target = LogTarget::File(Arc::from(Path::new("/a")));
    });
    let lines = bench.ask(0, ask());
    assert!(last(&lines).ends_with("LogFile(Some(\"/a\"))"), "{lines:?}");
}

#[test]
fn rpc_16_start_is_refused_in_this_order() {
    let mut bench = Bench::up(|_| {});
    assert_eq!(
        bench.ask(0, start("dog", true)),
        ["answer 1 fault BAD_NAME: dog"]
    );
    // The command is checked before the state.
    let path = || "/bin/cat".to_owned();
    let table = [
        (
            Err(SpawnError::NotFound(path())),
            "NO_FILE: can't find command '/bin/cat'",
        ),
        (
            Err(SpawnError::Directory(path())),
            "NOT_EXECUTABLE: command at '/bin/cat' is a directory",
        ),
        (
            Err(SpawnError::NoPermission(path())),
            "NOT_EXECUTABLE: no permission to run command '/bin/cat'",
        ),
        (Ok(()), "ALREADY_STARTED: cat"),
    ];
    for (place, (result, fault)) in table.into_iter().enumerate() {
        let ticket = place as u64 + 2;
        assert_eq!(
            bench.ask(0, start("cat", true)),
            [format!("check {ticket} cat")]
        );
        let lines = bench.give(0, checked(ticket, result));
        assert_eq!(
            lines,
            [
                format!("audit start cat {fault}"),
                format!("answer {ticket} fault {fault}")
            ]
        );
    }
}

#[test]
fn rpc_16_a_stopping_process_is_not_started() {
    let mut bench = Bench::up(|_| {});
    bench.ask(0, stop("cat", false));
    for (ticket, wait, answer) in [
        (2, true, "answer 2 fault ABNORMAL_TERMINATION: cat"),
        (3, false, "answer 3 Done"),
    ] {
        bench.ask(0, start("cat", wait));
        let lines = bench.give(0, checked(ticket, Ok(())));
        assert_eq!(lines[0], "WARN process 'cat' already running");
        assert_eq!(last(&lines), answer);
    }
}

/// Returns a fleet with a stopped `cat` whose start was requested and checked.
fn starting(wait: bool, startsecs: i64) -> Bench {
    let mut bench = Bench::cat(|spec| {
        spec.autostart = false;
        spec.startsecs = Seconds(startsecs);
    });
    bench.ask(0, start("cat", wait));
    bench.give(0, checked(1, Ok(())));
    bench
}

#[test]
fn rpc_17_a_waited_start_is_answered_when_running() {
    let mut bench = starting(true, 1);
    bench.bring_up(0, 0, 1, 7);
    let lines = bench.give(1000, Input::DeadlineReached);
    assert_eq!(last(&lines), "answer 1 Done");
}

#[test]
fn rpc_17_startsecs_0_is_answered_at_the_spawn() {
    let mut bench = starting(true, 0);
    bench.give(0, Input::Spawner(SpawnerOutcome::Resolved(CAT)));
    bench.give(0, Input::Output(OutputOutcome::Prepared(CAT)));
    let lines = bench.give(
        0,
        Input::Spawner(SpawnerOutcome::Spawned {
            instance: CAT,
            pid: 7,
        }),
    );
    assert_eq!(last(&lines), "answer 1 Done");
}

#[test]
fn rpc_17_the_first_failure_answers_and_retries_go_on() {
    for wait in [true, false] {
        let mut bench = starting(wait, 1);
        let error = SpawnError::Empty;
        let lines = bench.give(
            0,
            Input::Spawner(SpawnerOutcome::Failed {
                instance: CAT,
                error,
            }),
        );
        assert_eq!(last(&lines), "answer 1 fault SPAWN_ERROR: cat");
        assert_eq!(
            (bench.state().as_str(), bench.due()),
            ("BACKOFF", Some(1000))
        );
    }
}

#[test]
fn rpc_17_an_early_exit_is_a_spawn_error() {
    let mut bench = starting(true, 1);
    bench.bring_up(0, 0, 1, 7);
    bench.give(10, exited(0));
    let lines = bench.give(10, Input::Output(OutputOutcome::Drained(CAT)));
    assert_eq!(last(&lines), "answer 1 fault SPAWN_ERROR: cat");
}

#[test]
fn rpc_17_a_stop_ends_the_wait_for_a_start() {
    let mut bench = starting(true, 1);
    bench.bring_up(0, 0, 1, 7);
    let lines = bench.ask(10, stop("cat", false));
    assert_eq!(last(&lines), "answer 1 fault ABNORMAL_TERMINATION: cat");
}

#[test]
fn rpc_17_without_waiting_the_spawn_answers() {
    let mut bench = starting(false, 1);
    bench.give(0, Input::Spawner(SpawnerOutcome::Resolved(CAT)));
    bench.give(0, Input::Output(OutputOutcome::Prepared(CAT)));
    let lines = bench.give(
        0,
        Input::Spawner(SpawnerOutcome::Spawned {
            instance: CAT,
            pid: 7,
        }),
    );
    assert_eq!(last(&lines), "answer 1 Done");
}

#[test]
fn rpc_18_stop_of_a_stopped_process_is_refused() {
    let mut bench = Bench::cat(|spec| spec.autostart = false);
    assert_eq!(
        bench.ask(0, stop("cat", true)),
        ["answer 1 fault NOT_RUNNING: cat"]
    );
    assert_eq!(
        bench.ask(0, stop("dog", true)),
        ["answer 2 fault BAD_NAME: dog"]
    );
}

/// Returns a fleet with a group `g` of `a`, `b`, `c`. `b` is stopped, the others are STARTING with PIDs 10 and 12.
fn trio() -> Bench {
    let mut specs = vec![program("g", "a"), program("g", "b"), program("g", "c")];
    specs[1].autostart = false;
    specs[1].startsecs = Seconds(0);
    let mut bench = Bench::new(config(vec![(999, specs)]));
    bench.give(0, Input::DaemonStarted);
    bench.bring_up(0, 0, 1, 10);
    bench.bring_up(0, 2, 2, 12);
    bench
}

#[test]
fn rpc_20_results_contain_only_affected_processes() {
    let mut bench = trio();
    let target = RequestTarget::Group("g".to_owned());
    let request = Request::Start { target, wait: true };
    assert_eq!(bench.ask(0, request), ["check 1 b"]);
    bench.give(0, checked(1, Ok(())));
    let instance = InstanceId {
        slot: 1,
        incarnation: 3,
    };
    bench.give(0, Input::Spawner(SpawnerOutcome::Resolved(instance)));
    bench.give(0, Input::Output(OutputOutcome::Prepared(instance)));
    let lines = bench.give(
        0,
        Input::Spawner(SpawnerOutcome::Spawned { instance, pid: 11 }),
    );
    assert_eq!(last(&lines), "answer 1 [\"g:b OK\"]");
    let target = RequestTarget::Group("x".to_owned());
    let request = Request::Start { target, wait: true };
    assert_eq!(bench.ask(0, request), ["answer 2 fault BAD_NAME: x"]);
}

#[test]
fn rpc_20_immediate_results_come_first_then_as_they_finish() {
    let mut bench = trio();
    // `c` is in BACKOFF and stops at once, although `a` comes before it. `a` takes its time.
    let instance = InstanceId {
        slot: 2,
        incarnation: 2,
    };
    let status = crate::domain::ExitStatus::Exited(0);
    bench.give(10, Input::Exited { instance, status });
    bench.give(10, Input::Output(OutputOutcome::Drained(instance)));
    let lines = bench.ask(
        20,
        Request::Stop {
            target: RequestTarget::All,
            wait: true,
        },
    );
    assert!(lines.contains(&"a STARTING->STOPPING pid 10".to_owned()));
    assert!(lines.contains(&"c BACKOFF->STOPPED pid 0".to_owned()));
    bench.give(30, exited(0));
    let lines = bench.give(30, Input::Output(OutputOutcome::Drained(CAT)));
    assert_eq!(last(&lines), "answer 1 [\"g:c OK\", \"g:a OK\"]");
}

#[test]
fn rpc_20_without_affected_processes_the_results_are_empty() {
    let mut bench = Bench::cat(|spec| spec.autostart = false);
    let request = Request::Stop {
        target: RequestTarget::All,
        wait: true,
    };
    assert_eq!(bench.ask(0, request), ["answer 1 []"]);
}

#[test]
fn rpc_21_signals_reach_running_processes() {
    let mut bench = Bench::up(|_| {});
    let signal = |target: RequestTarget, signal: &str| Request::Signal {
        target,
        signal: signal.to_owned(),
    };
    assert_eq!(
        bench.ask(0, signal(one("dog"), "NONSENSE")),
        ["answer 1 fault BAD_NAME: dog"]
    );
    assert_eq!(
        bench.ask(0, signal(one("cat"), "NONSENSE")),
        ["answer 2 fault BAD_SIGNAL: NONSENSE"]
    );
    assert_eq!(
        bench.ask(0, signal(RequestTarget::All, "NONSENSE")),
        ["answer 3 [\"cat:cat BAD_SIGNAL: NONSENSE\"]"]
    );
    assert_eq!(
        bench.ask(0, signal(one("cat"), "1")),
        [
            "DEBG sending cat (pid 7) sig SIGHUP",
            "signal 0.1 SIGHUP Process",
        ]
    );
    let hup = Signal::parse("HUP").expect("known");
    let done = Input::Signalled {
        instance: CAT,
        signal: hup,
        result: Ok(()),
    };
    assert_eq!(bench.give(0, done), ["answer 4 Done"]);
    bench.ask(0, stop("cat", false));
    bench.give(10, exited(0));
    bench.give(10, Input::Output(OutputOutcome::Drained(CAT)));
    assert_eq!(
        bench.ask(20, signal(one("cat"), "HUP")),
        ["answer 6 fault NOT_RUNNING: cat"]
    );
    assert_eq!(
        bench.ask(20, signal(RequestTarget::All, "HUP")),
        ["answer 7 []"]
    );
}

#[test]
fn rpc_22_rpc_24_views_are_sorted_and_complete() {
    let mut bench = Bench::new(config(vec![
        (1, vec![program("z", "z")]),
        (2, vec![program("g", "b"), program("g", "a")]),
    ]));
    bench.give(0, Input::DaemonStarted);
    bench.bring_up(1500, 0, 1, 7);
    let views = bench.fleet.view(Bench::now(9700));
    let names: Vec<_> = views.iter().map(|view| view.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "z"]);
    let z = &views[2];
    assert_eq!(
        (z.pid, z.start, z.stop, z.now, z.uptime),
        (7, 1001, 0, 1009, 8)
    );
    assert_eq!(
        bench.ask(0, Request::ProcessInfo("g:*".to_owned())),
        ["answer 1 fault BAD_NAME: g:*"]
    );
}

#[test]
fn rpc_28_rpc_29_logs_are_cleared_one_after_another() {
    let mut specs = vec![program("g", "a"), program("g", "b"), program("g", "c")];
    for spec in &mut specs {
        spec.autostart = false;
    }
    specs[0].stdout.target = LogTarget::File(Arc::from(Path::new("/a")));
    specs[2].stderr.target = LogTarget::File(Arc::from(Path::new("/c")));
    let mut bench = Bench::new(config(vec![(999, specs)]));
    bench.give(0, Input::DaemonStarted);
    let cleared = |result| {
        Input::Output(OutputOutcome::Answered {
            ticket: Ticket(1),
            result,
        })
    };
    assert_eq!(
        bench.ask(0, Request::ClearLogs(RequestTarget::All)),
        ["clear 1 0"]
    );
    assert_eq!(bench.give(0, cleared(Ok(()))), ["clear 1 2"]);
    let lines = bench.give(0, cleared(Err(Errno(13))));
    assert_eq!(
        last(&lines),
        "answer 1 [\"g:a OK\", \"g:b OK\", \"g:c FAILED: g:c: cannot clear its log: [Errno 13] Permission denied\"]"
    );
    assert_eq!(bench.ask(0, Request::ClearDaemonLog), ["clear-log 2"]);
    let done = Input::Output(OutputOutcome::Answered {
        ticket: Ticket(2),
        result: Ok(()),
    });
    assert_eq!(bench.give(0, done), ["answer 2 Done"]);
}

#[test]
fn rpc_30_stdin_of_a_process_that_cannot_read_is_a_fault() {
    let mut bench = Bench::up(|_| {});
    let write = |name: &str| Request::WriteStdin {
        name: name.to_owned(),
        data: b"x".to_vec(),
    };
    for (ticket, result, answer) in [
        (1, Ok(()), "Done"),
        (2, Err(Errno::PIPE), "fault NO_FILE: cat"),
        (
            3,
            Err(Errno::AGAIN),
            "fault FAILED: cat: standard input is full (try again later)",
        ),
    ] {
        assert_eq!(
            bench.ask(0, write("cat")),
            [format!("stdin {ticket} \"x\"")]
        );
        let taken = Input::Output(OutputOutcome::Answered {
            ticket: Ticket(ticket),
            result,
        });
        assert_eq!(bench.give(0, taken), [format!("answer {ticket} {answer}")]);
    }
    assert_eq!(
        bench.ask(0, write("cat:*")),
        ["answer 4 fault BAD_NAME: cat:*"]
    );
    bench.ask(0, stop("cat", false));
    assert_eq!(
        bench.ask(0, write("cat")),
        ["answer 6 fault NOT_RUNNING: cat"]
    );
}

#[test]
fn rpc_32_rpc_34_reread_add_and_remove_change_groups() {
    let mut bench = Bench::up(|_| {});
    let mut dog = program("dog", "dog");
    dog.stdout.target = LogTarget::Auto;
    dog.autostart = false;
    let read = config(vec![(999, vec![dog])]);
    for ticket in [1, 2] {
        assert_eq!(
            bench.ask(0, Request::Reread),
            [format!("load Reread(Ticket({ticket}))")]
        );
        let loaded = Input::Loader(LoaderOutcome::Loaded {
            reason: LoadReason::Reread(Ticket(ticket)),
            result: Ok(Arc::clone(&read)),
        });
        assert_eq!(
            bench.give(0, loaded),
            [format!("answer {ticket} +[dog] ~[] -[cat]")]
        );
    }
    let add = |name: &str| Request::AddGroup(name.to_owned());
    let remove = |name: &str| Request::RemoveGroup(name.to_owned());
    assert_eq!(
        bench.ask(0, add("cat")),
        ["answer 3 fault BAD_NAME: cat"],
        "it is active, but not in the file"
    );
    let lines = bench.ask(0, add("dog"));
    assert!(
        lines[0].starts_with("create [\"/tmp/dog-stdout---supervisor-")
            && lines[0].ends_with(".log\"]"),
        "{lines:?}"
    );
    assert_eq!(lines[1..], ["PROCESS_GROUP_ADDED dog", "answer 4 Done"]);
    assert_eq!(
        bench.ask(0, add("dog")),
        ["answer 5 fault ALREADY_ADDED: dog"]
    );
    assert_eq!(
        bench.ask(0, remove("cat")),
        ["answer 6 fault STILL_RUNNING: cat"]
    );
    assert_eq!(
        bench.ask(0, remove("dog")),
        ["PROCESS_GROUP_REMOVED dog", "answer 7 Done"]
    );
    assert_eq!(
        bench.ask(0, remove("dog")),
        ["answer 8 fault BAD_NAME: dog"]
    );
    // Without a reread in between, the generated name is the same and the file exists.
    assert_eq!(
        bench.ask(0, add("dog")),
        ["PROCESS_GROUP_ADDED dog", "answer 9 Done"]
    );
}

#[test]
fn rpc_32_a_broken_file_changes_nothing() {
    let mut bench = Bench::cat(|_| {});
    bench.ask(0, Request::Reread);
    let error = LoadError {
        sentence: "bad".to_owned(),
        all: vec!["f:1:1: bad".to_owned()],
        lines: vec!["f:1:1: error: bad".to_owned()],
    };
    let loaded = Input::Loader(LoaderOutcome::Loaded {
        reason: LoadReason::Reread(Ticket(1)),
        result: Err(error),
    });
    assert_eq!(
        bench.give(0, loaded),
        ["answer 1 fault CANT_REREAD: bad", "ERRO f:1:1: bad"]
    );
}

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
            at_once: 1,
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

#[test]
fn a1_a_batch_has_the_verb_of_its_request() {
    use crate::core::ticket::BatchAction;

    let request = |action: &BatchAction| match action {
        BatchAction::Start { wait } => start("cat", *wait),
        BatchAction::Stop { wait } => stop("cat", *wait),
        BatchAction::Signal(_, text) => Request::Signal {
            target: RequestTarget::All,
            signal: text.clone(),
        },
        BatchAction::Clear => Request::ClearLogs(RequestTarget::All),
    };
    for action in [
        BatchAction::Start { wait: true },
        BatchAction::Stop { wait: true },
        BatchAction::Signal(None, "HUP".to_owned()),
        BatchAction::Clear,
    ] {
        let verb = request(&action).effect().audit_verb();
        assert_eq!(Some(action.audit_verb()), verb);
    }
}
