//! Tests of instances with a socket: each releases it exactly once, and groups are added only if their sockets can be
//! made.

use std::sync::Arc;

use super::bench::{Bench, CAT, config, exited, program, start, stop};
use crate::api::{AccessScope, Request, Ticket};
use crate::config::spec::{Config, FcgiSocket, GroupKind, ProcessKind, ProcessSpec};
use crate::core::Input;
use crate::domain::{InstanceId, SpawnError};
use crate::effects::{LoadReason, LoaderOutcome, OutputOutcome, SpawnerOutcome};

pub(super) fn with_socket(spec: &mut ProcessSpec) {
    spec.kind = ProcessKind::Fcgi(Arc::new(FcgiSocket {
        program: Arc::from("cat"),
        url: "unix:///x".to_owned(),
        mode: None,
        owner: (None, None),
        backlog: None,
    }));
}

/// Returns how many of the actions release `instance`.
fn releases(lines: &[String], instance: &str) -> usize {
    lines
        .iter()
        .filter(|line| **line == format!("release {instance}"))
        .count()
}

#[test]
fn cfg_59_the_socket_is_released_after_the_exit_is_logged() {
    let mut bench = Bench::up(with_socket);
    assert_eq!(bench.give(2000, exited(0)), ["drain 0.1"]);
    let lines = bench.give(2000, Input::Output(OutputOutcome::Drained(CAT)));
    let told = lines.iter().position(|line| line.contains("exited: cat"));
    let back = lines.iter().position(|line| line == "release 0.1");
    assert!(told.is_some() && told < back, "{lines:?}");
    assert_eq!(releases(&lines, "0.1"), 1);
}

#[test]
fn cfg_59_the_socket_is_released_when_an_attempt_fails_or_is_cancelled() {
    let failed = || {
        Input::Spawner(SpawnerOutcome::Failed {
            instance: CAT,
            error: SpawnError::Empty,
        })
    };
    // A failure while the instance is resolved, prepared and spawned.
    for steps in 0..3 {
        let mut bench = Bench::cat(with_socket);
        for input in [
            Input::Spawner(SpawnerOutcome::Resolved(CAT)),
            Input::Output(OutputOutcome::Prepared(CAT)),
        ]
        .into_iter()
        .take(steps)
        {
            assert_eq!(releases(&bench.give(0, input), "0.1"), 0);
        }
        assert_eq!(releases(&bench.give(0, failed()), "0.1"), 1, "{steps}");
        assert_eq!(releases(&bench.give(0, failed()), "0.1"), 0, "{steps}");
    }
    // A stop while the instance is resolved and prepared.
    for steps in 0..2 {
        let mut bench = Bench::cat(with_socket);
        if steps == 1 {
            bench.give(0, Input::Spawner(SpawnerOutcome::Resolved(CAT)));
        }
        assert_eq!(
            releases(&bench.ask(0, stop("cat", true)), "0.1"),
            1,
            "{steps}"
        );
    }
    // A stop while the process is being created: released when the process has exited.
    let mut bench = Bench::cat(with_socket);
    bench.give(0, Input::Spawner(SpawnerOutcome::Resolved(CAT)));
    bench.give(0, Input::Output(OutputOutcome::Prepared(CAT)));
    assert_eq!(releases(&bench.ask(0, stop("cat", true)), "0.1"), 0);
    bench.give(
        0,
        Input::Spawner(SpawnerOutcome::Spawned {
            instance: CAT,
            pid: 7,
        }),
    );
    bench.give(0, exited(0));
    assert_eq!(
        releases(
            &bench.give(0, Input::Output(OutputOutcome::Drained(CAT))),
            "0.1"
        ),
        1
    );
}

#[test]
fn cfg_59_instances_without_a_socket_release_none() {
    let mut bench = Bench::up(|_| {});
    bench.give(2000, exited(0));
    let lines = bench.give(2000, Input::Output(OutputOutcome::Drained(CAT)));
    assert!(
        !lines.iter().any(|line| line.starts_with("release")),
        "{lines:?}"
    );
}

#[test]
fn cfg_59_a_socket_that_cannot_be_created_is_a_failed_start() {
    let mut bench = Bench::cat(|spec| {
        with_socket(spec);
        spec.startretries = 0;
    });
    let error = SpawnError::Socket {
        url: "unix:///x".to_owned(),
        reason: "[Errno 2] No such file or directory".to_owned(),
    };
    let lines = bench.give(
        0,
        Input::Spawner(SpawnerOutcome::Failed {
            instance: CAT,
            error,
        }),
    );
    assert!(
        lines.contains(
            &"INFO spawnerr: Could not create FastCGI socket unix:///x: [Errno 2] No such file or directory"
                .to_owned()
        ),
        "{lines:?}"
    );
    assert_eq!(bench.state(), "FATAL");
}

fn two_groups() -> Arc<Config> {
    let mut web = program("web", "web");
    with_socket(&mut web);
    let mut read = config(vec![
        (1, vec![program("cat", "cat")]),
        (2, vec![web.clone()]),
    ]);
    let ProcessKind::Fcgi(socket) = web.kind else {
        panic!("it has a socket");
    };
    let group = Arc::make_mut(&mut Arc::make_mut(&mut read).groups[1]);
    group.kind = GroupKind::Fcgi(socket);
    read
}

/// Returns a fleet in which only `cat` is active, with `web` in the configuration.
fn before_adding() -> Bench {
    let mut bench = Bench::new(config(vec![(1, vec![program("cat", "cat")])]));
    bench.give(0, Input::DaemonStarted);
    bench.ask(0, Request::Reread);
    bench.give(
        0,
        Input::Loader(LoaderOutcome::Loaded {
            reason: LoadReason::Reread(Ticket(1)),
            result: Ok(two_groups()),
        }),
    );
    bench
}

fn add(bench: &mut Bench) -> Vec<String> {
    bench.ask_within(0, Request::AddGroup("web".to_owned()), AccessScope::All)
}

fn tried(ticket: u64, result: Result<(), SpawnError>) -> Input {
    let ticket = Ticket(ticket);
    Input::Spawner(SpawnerOutcome::Answered { ticket, result })
}

#[test]
fn cfg_59_a_group_is_added_when_its_sockets_can_be_created() {
    let mut bench = before_adding();
    assert_eq!(add(&mut bench), ["try 2 web"]);
    // A second request comes while the first waits.
    assert_eq!(add(&mut bench), ["try 3 web"]);
    let lines = bench.give(0, tried(2, Ok(())));
    assert!(lines.iter().any(|line| line == "resolve 1.2"), "{lines:?}");
    assert_eq!(lines.last().map(String::as_str), Some("answer 2 Done"));
    assert_eq!(
        bench.give(0, tried(3, Ok(()))),
        ["answer 3 fault ALREADY_ADDED: web"]
    );
    assert_eq!(
        bench.give(0, tried(3, Ok(()))),
        [""; 0],
        "a stale answer is dropped"
    );
}

#[test]
fn cfg_59_a_group_whose_socket_cannot_be_created_is_not_added() {
    let mut bench = before_adding();
    add(&mut bench);
    let error = || SpawnError::Socket {
        url: "unix:///x".to_owned(),
        reason: "no".to_owned(),
    };
    assert_eq!(
        bench.give(0, tried(2, Err(error()))),
        ["answer 2 fault FAILED: Could not create FastCGI socket unix:///x: no"]
    );
    assert_eq!(
        bench.ask(0, start("web", true)),
        ["answer 3 fault BAD_NAME: web"]
    );
    // No group is added during a shutdown.
    add(&mut bench);
    bench.ask(0, Request::Shutdown);
    let lines = bench.give(0, tried(4, Ok(())));
    assert!(
        !lines.iter().any(|line| line.starts_with("resolve")),
        "{lines:?}"
    );
}

#[test]
fn cfg_59_fcgi_groups_start_with_the_daemon() {
    let mut bench = Bench::new(two_groups());
    let lines = bench.give(0, Input::DaemonStarted);
    assert!(lines.iter().any(|line| line == "resolve 1.2"), "{lines:?}");
    bench.bring_up(0, 1, 2, 8);
    let instance = InstanceId {
        slot: 1,
        incarnation: 2,
    };
    let error = SpawnError::Empty;
    // Stale: the process is up.
    assert_eq!(
        releases(
            &bench.give(
                0,
                Input::Spawner(SpawnerOutcome::Failed { instance, error })
            ),
            "1.2"
        ),
        0
    );
}
