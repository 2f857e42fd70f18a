//! Tests of `on_fatal=exec:`.

use std::sync::Arc;

use super::bench::Bench;
use super::scaling::instance;
use crate::api::Request;
use crate::config::spec::{FatalScript, OnFatal, Script};
use crate::core::{Input, ResumeKind};
use crate::domain::{ExitStatus, Seconds};
use crate::effects::{OutputOutcome, ScriptFailure, ScriptId, ScriptOutcome};

/// A process whose first attempt is under way, with a script for FATAL.
fn fatal() -> Bench {
    Bench::up(|spec| {
        spec.startretries = 0;
        spec.on_fatal = OnFatal::Exec(Arc::new(FatalScript {
            script: Script::Command("page".to_owned()),
            limit: Seconds(7),
        }));
    })
}

fn fails(bench: &mut Bench) -> Vec<String> {
    let (instance, status) = (instance(0, 1), ExitStatus::Exited(3));
    bench.give(100, Input::Exited { instance, status });
    bench.give(100, Input::Output(OutputOutcome::Drained(instance)))
}

fn script_ended(bench: &mut Bench, id: u64, failure: Option<ScriptFailure>) -> Vec<String> {
    let (id, output) = (ScriptId(id), String::new());
    bench.give(
        200,
        Input::Script(ScriptOutcome::Ended {
            id,
            failure,
            output,
        }),
    )
}

#[test]
fn a_fatal_process_runs_its_script_once() {
    let script = "script 1 Command(\"page\") SUPERVISOR_HOOK=on_fatal SUPERVISOR_EXIT_STATUS=exit status 3 SUPERVISOR_EXIT_CODE=3 \
                  SUPERVISOR_LAST_ERROR=Exited too quickly (process log may have details)";
    let mut bench = fatal();
    let lines = fails(&mut bench);
    assert!(lines.contains(&script.to_owned()), "{lines:?}");
    assert_eq!(bench.state(), "FATAL");
    assert_eq!(
        script_ended(&mut bench, 1, None),
        ["INFO cat: on_fatal succeeded"]
    );
    // The next daemon does not repeat it.
    let lines = bench.give(300, Input::Resumed(ResumeKind::NewImage));
    assert!(!lines.join("\n").contains("script"), "{lines:?}");
}

#[test]
fn the_next_daemon_repeats_the_script_of_a_fatal_process() {
    let mut bench = fatal();
    fails(&mut bench);
    let lines = bench.give(300, Input::Resumed(ResumeKind::NewImage));
    assert!(
        lines.iter().any(|line| line.starts_with("script 1 ")),
        "{lines:?}"
    );
    let failure = Some(ScriptFailure::HttpStatus(503));
    assert_eq!(
        script_ended(&mut bench, 1, failure),
        ["WARN cat: on_fatal failed: HTTP status 503"]
    );
}

#[test]
fn a_shutdown_runs_no_script_of_a_fatal_process() {
    let mut bench = fatal();
    bench.ask(50, Request::Shutdown);
    let lines = fails(&mut bench);
    assert!(!lines.join("\n").contains("script"), "{lines:?}");
}
