//! Hooks: what a start and a stop wait for.

use std::sync::Arc;

use super::bench::{Bench, CAT, exited, start, stop};
use crate::config::spec::{Hooks, ProcessSpec, Script};
use crate::core::{Input, ResumeKind};
use crate::domain::Seconds;
use crate::effects::{OutputOutcome, ScriptFailure, ScriptId, ScriptOutcome, SpawnerOutcome};

fn script(text: &str) -> Option<Script> {
    Some(Script::Command(text.to_owned()))
}

/// A process with these hooks, not started.
fn cat(hooks: Hooks) -> Bench {
    Bench::cat(|spec: &mut ProcessSpec| {
        spec.startsecs = Seconds(0);
        spec.hooks = Some(Arc::new(Hooks {
            timeout: Seconds(60),
            ..hooks
        }));
    })
}

fn ended(
    bench: &mut Bench,
    ms: u64,
    id: u64,
    failure: Option<ScriptFailure>,
    output: &str,
) -> Vec<String> {
    let outcome = ScriptOutcome::Ended {
        id: ScriptId(id),
        failure,
        output: output.to_owned(),
    };
    bench.give(ms, Input::Script(outcome))
}

fn resolved(bench: &mut Bench) -> Vec<String> {
    bench.give(0, Input::Spawner(SpawnerOutcome::Resolved(CAT)))
}

const STATUS_3: ScriptFailure = ScriptFailure::HttpStatus(503);

#[test]
fn g44_a_start_waits_for_its_hook() {
    for failure in [None, Some(STATUS_3)] {
        let mut bench = cat(Hooks {
            pre_start: script("prepare"),
            post_start: script("announce"),
            ..Hooks::default()
        });
        assert_eq!(
            resolved(&mut bench),
            ["script 1 Command(\"prepare\") SUPERVISOR_HOOK=pre_start_hook"]
        );
        assert_eq!((bench.state().as_str(), bench.due()), ("STARTING", None));
        let failed = failure.is_some();
        let mut lines = ended(&mut bench, 10, 1, failure, "no disk\n");
        assert_eq!(lines.pop().as_deref(), Some("prepare 0.1"));
        let logged = "WARN cat: pre_start_hook failed: HTTP status 503 (no disk)";
        assert_eq!(lines, if failed { vec![logged] } else { Vec::new() });
        bench.give(20, Input::Output(OutputOutcome::Prepared(CAT)));
        let spawned = SpawnerOutcome::Spawned {
            instance: CAT,
            pid: 7,
        };
        let lines = bench.give(30, Input::Spawner(spawned));
        let last = lines.last().expect("the hook after the start");
        let result = if failed { "HTTP status 503" } else { "success" };
        assert_eq!(
            *last,
            format!(
                "script 2 Command(\"announce\") SUPERVISOR_HOOK=post_start_hook SUPERVISOR_PID=7 \
                 SUPERVISOR_LAST_HOOK={result}"
            )
        );
    }
}

#[test]
fn g44_a_required_hook_that_fails_is_a_failed_start() {
    let mut bench = cat(Hooks {
        pre_start: script("prepare"),
        pre_start_required: true,
        ..Hooks::default()
    });
    resolved(&mut bench);
    let lines = ended(&mut bench, 10, 1, Some(STATUS_3), "");
    assert_eq!(
        lines,
        [
            "drain 0.1",
            "INFO spawnerr: pre_start_hook failed: HTTP status 503",
            "cat STARTING->BACKOFF tries 1",
        ]
    );
    assert_eq!(bench.due(), Some(1010));
}

#[test]
fn a_stop_cancels_the_hook_of_a_start() {
    let mut bench = cat(Hooks {
        pre_start: script("prepare"),
        ..Hooks::default()
    });
    resolved(&mut bench);
    let lines = bench.ask(10, stop("cat", false));
    assert!(lines.contains(&"cancel 1".to_owned()), "{lines:?}");
    assert!(lines.contains(&"drain 0.1".to_owned()), "{lines:?}");
    assert_eq!(bench.state(), "STOPPED");
    let cancelled = Some(ScriptFailure::Cancelled);
    assert_eq!(
        ended(&mut bench, 20, 1, cancelled, ""),
        Vec::<String>::new()
    );
    bench.ask(30, start("cat", false));
    assert_eq!(bench.state(), "STOPPED", "the command is looked up first");
}

/// A running process whose stop has a hook and a command.
fn running() -> Bench {
    let mut bench = cat(Hooks {
        pre_stop: script("drain"),
        stop_command: script("quit"),
        post_stop: script("clean"),
        ..Hooks::default()
    });
    bench.bring_up(0, 0, 1, 7);
    bench
}

const DRAIN: &str = "script 1 Command(\"drain\") SUPERVISOR_HOOK=pre_stop_hook SUPERVISOR_PID=7";
const QUIT: &str = "script 2 Command(\"quit\") SUPERVISOR_HOOK=stop_command SUPERVISOR_PID=7 \
                    SUPERVISOR_LAST_HOOK=success";

#[test]
fn g44_a_stop_waits_for_its_hook_and_its_command() {
    let mut bench = running();
    assert_eq!(
        bench.ask(100, stop("cat", false)),
        ["cat RUNNING->STOPPING pid 7", DRAIN, "answer 1 Done"]
    );
    assert_eq!(bench.due(), Some(65_100));
    assert_eq!(ended(&mut bench, 200, 1, None, ""), [QUIT]);
    assert_eq!(bench.due(), Some(10_200));
    assert_eq!(ended(&mut bench, 300, 2, None, ""), Vec::<String>::new());
    assert_eq!(bench.due(), Some(10_200), "the rest of stopwaitsecs");
    bench.give(400, exited(0));
    let lines = bench.give(500, Input::Output(OutputOutcome::Drained(CAT)));
    assert_eq!(bench.state(), "STOPPED");
    let last = lines.last().expect("the hook after the exit");
    assert_eq!(
        *last,
        "script 3 Command(\"clean\") SUPERVISOR_HOOK=post_stop_hook SUPERVISOR_LAST_HOOK=success \
         SUPERVISOR_EXIT_STATUS=exit status 0 SUPERVISOR_EXIT_CODE=0 SUPERVISOR_EXIT_REASON=stopped"
    );
}

#[test]
fn g44_a_stop_goes_on_without_a_hook_that_hangs_or_fails() {
    let mut bench = running();
    bench.ask(0, stop("cat", false));
    let lines = bench.give(65_000, Input::DeadlineReached);
    assert_eq!(lines[..1], ["cancel 1"]);
    assert!(
        lines[1].starts_with("script 2 Command(\"quit\")"),
        "{lines:?}"
    );
    assert_eq!(
        ended(&mut bench, 65_100, 2, Some(STATUS_3), "bad option"),
        [
            "WARN cat: stop_command failed: HTTP status 503 (bad option)",
            "DEBG killing cat (pid 7) with signal SIGTERM",
            "signal 0.1 SIGTERM Process",
        ]
    );
    assert_eq!(
        (bench.state().as_str(), bench.due()),
        ("STOPPING", Some(75_100))
    );
}

#[test]
fn the_next_daemon_repeats_the_hook_of_a_stop() {
    let mut bench = running();
    bench.ask(0, stop("cat", false));
    let lines = bench.give(10, Input::Resumed(ResumeKind::NewDaemon));
    assert!(lines.contains(&DRAIN.to_owned()), "{lines:?}");
    assert_eq!(ended(&mut bench, 20, 1, None, ""), [QUIT]);
}
