//! Tests of the request `ProcessDetails`.

use super::bench::{Bench, start};
use super::scaling::instance;
use crate::api::{AccessScope, ProcessDetails, Reply, Ticket};
use crate::config::spec::AutoRestart;
use crate::core::rights::Rights;
use crate::core::{Fleet, Input};
use crate::domain::{ExitReason, ExitStatus, Now, ProcessState, Seconds, Wall};
use crate::effects::{OutputOutcome, SpawnerOutcome};

fn now(at: u64) -> Now {
    Now {
        wall: Wall(0),
        ..Bench::now(at)
    }
}

/// The details of `cat`.
fn details(bench: &Bench) -> ProcessDetails {
    let scope = AccessScope::All;
    let rights = Rights {
        scope: &scope,
        sees: &scope,
    };
    match bench.fleet.details_of(0, rights, now(9_000_000)) {
        Some(Reply::Details(details)) => *details,
        other => panic!("{other:?}"),
    }
}

/// Ends an instance with exit status 3 after it wrote a line.
fn end(bench: &mut Bench, at: u64, count: u64) {
    let (instance, status) = (instance(0, count), ExitStatus::Exited(3));
    bench.give(at, Input::Exited { instance, status });
    let data = b"why\n".as_slice().into();
    let wrote = OutputOutcome::LastStderr { instance, data };
    bench.give(at, Input::Output(wrote));
    bench.give(at, Input::Output(OutputOutcome::Drained(instance)));
}

#[test]
fn the_last_states_have_their_ends_and_survive_an_upgrade() {
    let mut bench = Bench::up(|spec| {
        spec.startsecs = Seconds(0);
        spec.autorestart = AutoRestart::Never;
    });
    end(&mut bench, 2500, 1);
    let first = details(&bench);
    let states: Vec<ProcessState> = first.history.iter().map(|entry| entry.state).collect();
    assert_eq!(
        states,
        [
            ProcessState::Starting,
            ProcessState::Running,
            ProcessState::Exited
        ]
    );
    let exited = &first.history[2];
    let ended = exited.end.as_deref().expect("an end");
    assert_eq!(ended.reason, ExitReason::ByItself(ExitStatus::Exited(3)));
    assert!(
        ended
            .lived
            .is_some_and(|millis| (1..=2500).contains(&millis)),
        "{ended:?}"
    );
    assert!(exited.pid > 0 && first.history[0].end.is_none());
    assert_eq!(&*first.ended[0].stderr, "why\n");
    assert_eq!(first.ended[0].pid, exited.pid);
    assert!(first.dependencies.is_none() && first.neighbours.is_empty());
    for count in 2..=9_u64 {
        let at = count * 10_000;
        bench.ask(at, start("cat", false));
        let (ticket, result) = (Ticket(count - 1), Ok(()));
        bench.give(
            at,
            Input::Spawner(SpawnerOutcome::Answered { ticket, result }),
        );
        bench.bring_up(at, 0, count, 7);
        end(&mut bench, at, count);
    }
    let last = details(&bench);
    // The same end in succession is one entry.
    assert_eq!(last.history.len(), 3);
    assert_eq!(last.history.last().map(|entry| entry.times), Some(9));
    assert_eq!(
        last.history.last().map(|entry| entry.state),
        Some(ProcessState::Exited)
    );
    let text = serde_json::to_string(&bench.fleet.snapshot()).expect("written");
    bench.fleet = Fleet::restore(serde_json::from_str(&text).expect("read"), now(100_000));
    assert_eq!(details(&bench).history, last.history);
    // An older daemon wrote none.
    let without = text.replace("\"history\":", "\"formerly\":");
    bench.fleet = Fleet::restore(serde_json::from_str(&without).expect("read"), now(100_000));
    assert!(details(&bench).history.is_empty());
}
