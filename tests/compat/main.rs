//! Each scenario runs against the genuine Supervisor 4.3.0 and against ours, and the transcripts must be equal.
//!
//! Scenarios are texts in `scenarios/*.scn` (see [`scenario`]); the genuine transcripts are kept in `recorded/`, used when
//! `SUPERVISOR_ORACLE` (a venv with supervisor 4.3.0) is absent, compared with the live program when it is present;
//! `UPDATE=1` rewrites them. `COMPAT_SIDES=genuine` runs the genuine side alone.

#[path = "../support/mod.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "shared by several targets, none of which uses all of it"
)]
mod support;

mod normal;
mod play;
mod rows;
mod scenario;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use play::{Cast, Transcript};
use scenario::Scenario;
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
    support::puppet::run_if_asked();
    let mut trials = Vec::new();
    let scenarios = match scenario::load(&here().join("scenarios")) {
        Ok(scenarios) => scenarios,
        Err(why) => {
            eprintln!("{why}");
            return ExitCode::FAILURE;
        }
    };
    let ours =
        !updating() && std::env::var("COMPAT_SIDES").map_or(true, |sides| sides != "genuine");
    for scenario in scenarios {
        let scenario = Arc::new(scenario);
        let genuine = Cast {
            daemon: Side::Genuine,
            client: Side::Genuine,
        };
        let shared = Arc::clone(&scenario);
        trials.push(Trial::new(
            format!("{}::genuine_as_recorded", scenario.name),
            move || recorded_is_true(&shared, genuine),
        ));
        if !ours {
            continue;
        }
        let mut casts = vec![("", Side::Ours, Side::Ours)];
        if scenario.uses_client() {
            casts.push(("::genuine_client", Side::Ours, Side::Genuine));
            if !scenario.is_ours_only() {
                casts.push(("::genuine_daemon", Side::Genuine, Side::Ours));
            }
        }
        for (suffix, daemon, client) in casts {
            let shared = Arc::clone(&scenario);
            trials.push(Trial::new(
                format!("{}{suffix}", scenario.name),
                move || agrees(&shared, Cast { daemon, client }),
            ));
        }
    }
    trials.push(Trial::new("rows_table_is_true", rows::check));
    runner::run(trials)
}

/// The genuine program still says what is recorded.
fn recorded_is_true(scenario: &Scenario, cast: Cast) -> Result<Outcome, String> {
    if oracle().is_none() {
        return Ok(Outcome::Skipped(
            "SUPERVISOR_ORACLE is not set, the recording is trusted".to_owned(),
        ));
    }
    if let Some(why) = scenario.cannot_run().or_else(|| scenario.lacks_plug_in()) {
        return Ok(Outcome::Skipped(why));
    }
    let live = play::play(scenario, cast)?;
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

/// With at least one program of ours, the transcript is the genuine one up to declared differences.
fn agrees(scenario: &Scenario, cast: Cast) -> Result<Outcome, String> {
    let needs_oracle = cast.daemon == Side::Genuine || cast.client == Side::Genuine;
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
    let got = play::play(scenario, cast)?;
    recorded.compare(&got, scenario, "genuine", "ours", Some(cast))?;
    Ok(Outcome::Passed)
}
