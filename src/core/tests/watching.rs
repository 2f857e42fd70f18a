//! Reactions to changed files.

use std::sync::Arc;

use super::bench::{Bench, CAT, config, exited, program, start, stop};
use crate::config::spec::{
    AutoRestart, BinaryWatch, ChangeReaction, DirectoryWatch, ProcessSpec, Script, WatchSpec,
};
use crate::core::{Action, Input, ResumeKind};
use crate::domain::{Seconds, Signal};
use crate::effects::{
    OutputOutcome, ScriptEffect, ScriptId, ScriptOutcome, WatchId, WatchKind, WatchOutcome,
};

fn watch(binary: ChangeReaction, directory: Option<ChangeReaction>) -> Option<Arc<WatchSpec>> {
    Some(Arc::new(WatchSpec {
        binary: Some(BinaryWatch {
            file: "/bin/cat".to_owned(),
            reaction: binary,
        }),
        directory: directory.map(|reaction| DirectoryWatch {
            path: "/srv".to_owned(),
            patterns: vec!["*".to_owned()],
            reaction,
        }),
        delay: Seconds(1),
    }))
}

/// A process that is RUNNING at 0 ms.
fn up(binary: ChangeReaction, directory: Option<ChangeReaction>) -> Bench {
    Bench::up(|spec: &mut ProcessSpec| {
        spec.startsecs = Seconds(0);
        spec.autorestart = AutoRestart::Never;
        spec.watch = watch(binary, directory);
    })
}

fn id(bench: &Bench, slot: u32) -> WatchId {
    let process = bench.fleet.slots.get(slot).expect("a process");
    WatchId {
        slot,
        slot_generation: process.slot_generation,
    }
}

fn changed(bench: &mut Bench, ms: u64, kind: WatchKind, path: &str) -> Vec<String> {
    let outcome = WatchOutcome::Changed {
        id: id(bench, 0),
        kind,
        path: path.to_owned(),
    };
    bench.give(ms, Input::Watch(outcome))
}

fn due(bench: &mut Bench, ms: u64) -> Vec<String> {
    bench.give(ms, Input::DeadlineReached)
}

/// The process exits and its output is written out.
fn gone(bench: &mut Bench, ms: u64) -> Vec<String> {
    bench.give(ms, exited(0));
    bench.give(ms, Input::Output(OutputOutcome::Drained(CAT)))
}

#[test]
fn g23_changes_of_the_binary_restart_once_although_autorestart_is_off() {
    let mut bench = up(ChangeReaction::Restart, None);
    for ms in [100, 500, 1400] {
        assert_eq!(
            changed(&mut bench, ms, WatchKind::Binary, "/bin/cat"),
            Vec::<String>::new()
        );
        assert_eq!(bench.due(), Some(ms + 1000));
    }
    let lines = due(&mut bench, 2400);
    assert_eq!(
        lines,
        [
            "INFO cat: /bin/cat changed; restarting",
            "DEBG killing cat (pid 7) with signal SIGTERM",
            "cat RUNNING->STOPPING pid 7",
            "signal 0.1 SIGTERM Process",
        ]
    );
    let lines = gone(&mut bench, 3000);
    assert!(
        lines.contains(&"cat STOPPING->STOPPED pid 7".to_owned()),
        "{lines:?}"
    );
    assert!(
        lines.contains(&"cat STOPPED->STARTING tries 0".to_owned()),
        "{lines:?}"
    );
    assert_eq!(bench.state(), "STARTING");
}

#[test]
fn g23_a_stopped_program_stays_stopped() {
    let mut bench = up(ChangeReaction::Restart, None);
    bench.ask(0, stop("cat", false));
    gone(&mut bench, 10);
    changed(&mut bench, 20, WatchKind::Binary, "/bin/cat");
    assert_eq!(due(&mut bench, 1020), Vec::<String>::new());
    assert_eq!((bench.state().as_str(), bench.due()), ("STOPPED", None));
    // The change is not remembered for the next start.
    bench.ask(2000, start("cat", false));
    assert_eq!(bench.due(), None);
}

#[test]
fn a_stop_by_a_client_ends_the_restart() {
    let mut bench = up(ChangeReaction::Restart, None);
    changed(&mut bench, 0, WatchKind::Binary, "/bin/cat");
    due(&mut bench, 1000);
    assert_eq!(bench.state(), "STOPPING");
    bench.ask(1100, stop("cat", false));
    gone(&mut bench, 1200);
    assert_eq!((bench.state().as_str(), bench.due()), ("STOPPED", None));
}

#[test]
fn g24_a_script_runs_instead_and_not_twice_at_a_time() {
    let script = ChangeReaction::Script(Script::Command("/rebuild".to_owned()));
    let mut bench = up(ChangeReaction::Restart, Some(script));
    changed(&mut bench, 0, WatchKind::Directory, "/srv/a");
    let lines = due(&mut bench, 1000);
    let run = "script 1 Command(\"/rebuild\") SUPERVISOR_HOOK=restart_cmd_when_file_changed \
               SUPERVISOR_CHANGED_FILE=/srv/a SUPERVISOR_PID=7";
    assert_eq!(
        lines,
        [
            "INFO cat: /srv/a changed; running restart_cmd_when_file_changed",
            run
        ]
    );
    assert_eq!(bench.state(), "RUNNING");
    // The script may change files itself.
    changed(&mut bench, 1100, WatchKind::Directory, "/srv/b");
    assert_eq!(due(&mut bench, 2100), Vec::<String>::new());
    let ended = |id| {
        Input::Script(ScriptOutcome::Ended {
            id: ScriptId(id),
            failure: None,
            output: String::new(),
        })
    };
    bench.give(2500, ended(1));
    let lines = due(&mut bench, 3100);
    assert!(lines[1].starts_with("script 2 "), "{lines:?}");
    // A daemon that takes over repeats the script that was killed.
    let lines = bench.give(3200, Input::Resumed(ResumeKind::NewImage));
    assert!(lines.contains(&"watch 0".to_owned()), "{lines:?}");
    let again = lines
        .iter()
        .any(|line| line.contains("SUPERVISOR_CHANGED_FILE=/srv/b"));
    assert!(again, "{lines:?}");
}

/// The Go implementation lets it run for ever.
#[test]
fn g24_a_script_may_run_for_sixty_seconds() {
    let script = ChangeReaction::Script(Script::Command("/rebuild".to_owned()));
    let mut bench = up(script, None);
    changed(&mut bench, 0, WatchKind::Binary, "/bin/cat");
    let mut out = Vec::new();
    bench
        .fleet
        .handle(Bench::now(1000), Input::DeadlineReached, &mut out);
    let limits: Vec<Seconds> = out
        .iter()
        .filter_map(|action| match action {
            Action::Script(ScriptEffect::Run(run)) => Some(run.limit),
            _ => None,
        })
        .collect();
    assert_eq!(limits, [Seconds(60)]);
}

#[test]
fn g25_signals_are_sent_instead() {
    let signals = ChangeReaction::Signals(vec![Signal::TERM, Signal::CONT]);
    let mut bench = up(signals, None);
    changed(&mut bench, 0, WatchKind::Binary, "/bin/cat");
    assert_eq!(
        due(&mut bench, 1000),
        [
            "INFO cat: /bin/cat changed; sending SIGTERM, SIGCONT",
            "signal 0.1 SIGTERM Group",
            "signal 0.1 SIGCONT Group",
        ]
    );
    assert_eq!(bench.state(), "RUNNING");
}

#[test]
fn a_stream_of_changes_is_acted_on_after_ten_delays() {
    let mut bench = up(ChangeReaction::Restart, None);
    for ms in (0..10_000).step_by(500) {
        changed(&mut bench, ms, WatchKind::Binary, "/bin/cat");
    }
    assert_eq!(bench.due(), Some(10_000));
}

#[test]
fn one_watch_serves_the_processes_of_a_program() {
    let specs = ["a", "b"].map(|name| {
        let mut spec = program("web", name);
        spec.watch = watch(ChangeReaction::Restart, None);
        spec
    });
    let mut bench = Bench::new(config(vec![(999, specs.into())]));
    let lines = bench.give(0, Input::DaemonStarted);
    let watches: Vec<&String> = lines
        .iter()
        .filter(|line| line.starts_with("watch"))
        .collect();
    assert_eq!(watches, ["watch 0"]);
    for (slot, incarnation) in [(0, 1), (1, 2)] {
        bench.bring_up(0, slot, incarnation, 7);
    }
    changed(&mut bench, 100, WatchKind::Binary, "/bin/cat");
    let lines = due(&mut bench, 1100);
    let restarts = lines
        .iter()
        .filter(|line| line.ends_with("changed; restarting"));
    assert_eq!(restarts.count(), 2, "{lines:?}");
}
