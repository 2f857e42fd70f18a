//! Tests of requests of clients (rows RPC-13 to RPC-34).

use std::path::Path;
use std::sync::Arc;

use super::bench::{Bench, CAT, config, exited, one, program, start, stop};
use crate::api::{LogRef, Request, RequestTarget, Ticket};
use crate::config::spec::{JournalSpec, LogTarget};
use crate::core::Input;
use crate::domain::{Channel, Errno, Signal, SpawnError};
use crate::effects::{LoadError, LoadReason, LoaderOutcome, OutputOutcome, SpawnerOutcome};

pub(super) fn checked(ticket: u64, result: Result<(), SpawnError>) -> Input {
    let ticket = Ticket(ticket);
    Input::Spawner(SpawnerOutcome::Answered { ticket, result })
}

pub(super) fn last(lines: &[String]) -> &str {
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
fn a_client_message_is_one_log_line() {
    let mut bench = Bench::cat(|_| {});
    let request = Request::WriteLog {
        level: crate::domain::Level::Warn,
        message: "a\nb".to_owned(),
    };
    assert_eq!(bench.ask(0, request), ["WARN a\\nb", "answer 1 Done"]);
}

#[test]
fn a1_a_batch_has_the_verb_of_its_request() {
    use crate::core::hold_state::HoldOrder;
    use crate::core::ticket::BatchAction;

    let request = |action: &BatchAction| match action {
        BatchAction::Start { wait, .. } => start("cat", *wait),
        BatchAction::Stop { wait } => stop("cat", *wait),
        BatchAction::Signal(_, text) => Request::Signal {
            target: RequestTarget::All,
            signal: text.clone(),
        },
        BatchAction::Clear => Request::ClearLogs(RequestTarget::All),
        BatchAction::Reload => Request::Reload(RequestTarget::All),
        BatchAction::Hold(order) => Request::Hold {
            target: RequestTarget::All,
            seconds: order.seconds,
            reason: order.reason.clone(),
        },
        BatchAction::Release => Request::Release(RequestTarget::All),
    };
    for action in [
        BatchAction::Start {
            wait: true,
            alone: false,
        },
        BatchAction::Stop { wait: true },
        BatchAction::Signal(None, "HUP".to_owned()),
        BatchAction::Clear,
        BatchAction::Reload,
        BatchAction::Hold(HoldOrder::new(1, "")),
        BatchAction::Release,
    ] {
        let verb = request(&action).effect().audit_verb();
        assert_eq!(Some(action.audit_verb()), verb);
    }
}
