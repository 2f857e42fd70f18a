//! Runs each scenario with the reference Supervisor 4.3.0 and with our programs, and compares the transcripts.
//!
//! Scenarios are the texts `scenarios/*.scn` (see [`scenario`]). `recorded/` has the transcripts of the reference. They
//! are used when `SUPERVISOR_ORACLE` (a venv with supervisor 4.3.0) is not set, and compared with the live program when
//! it is. `UPDATE=1` rewrites them. `COMPAT_SIDES=reference` runs only the reference.

#[path = "../support/mod.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "shared by several targets, none of which uses all of it"
)]
mod support;

mod extension_rows;
mod normalize;
mod rows;
mod scenario;
mod scenario_run;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use scenario::Scenario;
use scenario_run::{Sides, Transcript};
use support::daemon::{Side, oracle};
use support::runner::{self, Outcome, Trial};

fn here() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/compat")
}

fn updating() -> bool {
    std::env::var_os("UPDATE").is_some()
}

fn recording(scenario: &Scenario) -> PathBuf {
    here()
        .join("recorded")
        .join(&scenario.file)
        .join(format!("{}.txt", scenario.name))
}

fn main() -> ExitCode {
    support::test_child::run_if_asked();
    let mut tests = Vec::new();
    let scenarios = match scenario::load(&here().join("scenarios")) {
        Ok(scenarios) => scenarios,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::FAILURE;
        }
    };
    let ours =
        !updating() && std::env::var("COMPAT_SIDES").map_or(true, |sides| sides != "reference");
    for scenario in scenarios {
        let scenario = Arc::new(scenario);
        let reference = Sides {
            daemon: Side::Reference,
            client: Side::Reference,
        };
        let shared = Arc::clone(&scenario);
        tests.push(Trial::new(
            format!("{}::reference_as_recorded", scenario.name),
            move || recorded_is_true(&shared, reference),
        ));
        if !ours {
            continue;
        }
        let mut casts = vec![("", Side::Ours, Side::Ours)];
        if scenario.uses_client() {
            casts.push(("::reference_client", Side::Ours, Side::Reference));
            if !scenario.is_ours_only() {
                casts.push(("::reference_daemon", Side::Reference, Side::Ours));
            }
        }
        for (suffix, daemon, client) in casts {
            let shared = Arc::clone(&scenario);
            tests.push(Trial::new(
                format!("{}{suffix}", scenario.name),
                move || agrees(&shared, Sides { daemon, client }),
            ));
        }
    }
    tests.push(Trial::new("rows_table_is_true", rows::check));
    tests.push(Trial::new(
        "extension_rows_table_is_true",
        extension_rows::check,
    ));
    runner::run(tests)
}

/// The reference still produces the recorded transcript.
fn recorded_is_true(scenario: &Scenario, sides: Sides) -> Result<Outcome, String> {
    if oracle().is_none() {
        return Ok(Outcome::Skipped(
            "SUPERVISOR_ORACLE is not set, the recording is trusted".to_owned(),
        ));
    }
    if let Some(why) = scenario.cannot_run().or_else(|| scenario.lacks_plug_in()) {
        return Ok(Outcome::Skipped(why));
    }
    let live = scenario_run::run_scenario(scenario, sides)?;
    let file = recording(scenario);
    if updating() {
        if let Some(parent) = file.parent() {
            std::fs::create_dir_all(parent).map_err(|e| e.to_string())?;
        }
        std::fs::write(&file, live.text()).map_err(|e| e.to_string())?;
        return Ok(Outcome::Passed);
    }
    let recorded = read_recording(&file)?;
    recorded.compare(&live, scenario, "recorded", "live", None)?;
    Ok(Outcome::Passed)
}

fn read_recording(file: &Path) -> Result<Transcript, String> {
    let text = std::fs::read_to_string(file)
        .map_err(|e| format!("{}: {e} (UPDATE=1 records)", file.display()))?;
    Ok(Transcript::parse(&text))
}

/// With at least one of our programs, the transcript equals the reference's except for declared differences.
fn agrees(scenario: &Scenario, sides: Sides) -> Result<Outcome, String> {
    let needs_oracle = sides.daemon == Side::Reference || sides.client == Side::Reference;
    if needs_oracle && oracle().is_none() {
        return Ok(Outcome::Skipped("SUPERVISOR_ORACLE is not set".to_owned()));
    }
    if let Some(why) = scenario.cannot_run() {
        return Ok(Outcome::Skipped(why));
    }
    if needs_oracle && let Some(why) = scenario.lacks_plug_in() {
        return Ok(Outcome::Skipped(why));
    }
    let recorded = read_recording(&recording(scenario))?;
    let got = scenario_run::run_scenario(scenario, sides)?;
    recorded.compare(&got, scenario, "reference", "ours", Some(sides))?;
    Ok(Outcome::Passed)
}
