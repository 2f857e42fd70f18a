//! What follows an action: failures with their reasons, a summary, hints for unknown names, or one JSON object.

use super::error::CtlError;
use super::render;
use super::results::{ActionJson, ActionReport};
use super::session::CtlSession;
use super::status;
use super::{hints, status_table};

/// The members that explain a failure.
const MEMBERS: &[&str] = &[
    "name",
    "group",
    "state",
    "statename",
    "description",
    "now",
    "stop",
    "spawnerr",
    "lastexit",
    "progress",
];
/// Maximum number of failures that are explained.
const EXPLAINED_MAX: usize = 20;
/// Maximum number of unknown names that get a hint.
const HINTS_MAX: usize = 5;

/// Ends an action: prints what waits for its end.
pub(super) fn finish_action(session: &mut CtlSession, action: &str) -> Result<(), CtlError> {
    let report = std::mem::take(&mut session.report);
    let (json, collects) = (session.json, session.collects);
    session.json = false;
    session.collects = false;
    if json {
        if collects || !report.has_document && !report.errors.is_empty() {
            session.say(&render::json(&ActionJson {
                action,
                results: &report.results,
                errors: &report.errors,
                output: &String::from_utf8_lossy(&report.output),
            }))?;
        }
        return Ok(());
    }
    print_failures(session, &report)?;
    if let Some(summary) = report.summary().filter(|_| session.screen.is_for_people) {
        session.say(&summary)?;
    }
    hint_names(session, &report.unknown)
}

/// Prints the failures, each with what the daemon knows of the process.
fn print_failures(session: &mut CtlSession, report: &ActionReport) -> Result<(), CtlError> {
    if report.failures.is_empty() {
        return Ok(());
    }
    let failed = report.results.iter().filter(|result| !result.is_ok());
    let names: Vec<&str> = failed
        .filter(|result| !result.is_unknown())
        .map(|result| result.namespec())
        .take(EXPLAINED_MAX)
        .collect();
    let explained = match status::explained(session, &names, MEMBERS) {
        Err(failure @ CtlError::Output(_)) => return Err(failure),
        // The failures are printed without more.
        explained => explained.unwrap_or_default(),
    };
    for line in &report.failures {
        session.say(line)?;
        let of_line = explained.iter().find(|process| {
            line.strip_prefix(&process.namespec())
                .is_some_and(|rest| rest.starts_with(": "))
        });
        let why = of_line
            .map(status_table::explain_failure)
            .unwrap_or_default();
        if !why.is_empty() {
            session.say(&format!("  {why}"))?;
        }
    }
    Ok(())
}

/// Suggests names for those that the server does not know.
fn hint_names(session: &mut CtlSession, unknown: &[String]) -> Result<(), CtlError> {
    if unknown.is_empty() || !session.screen.has_hints {
        return Ok(());
    }
    // The hint is not worth an error.
    let Ok(processes) = status::all_processes(session) else {
        return Ok(());
    };
    let known: Vec<(String, String)> = processes
        .into_iter()
        .map(|process| (process.group, process.name))
        .collect();
    for name in unknown.iter().take(HINTS_MAX) {
        let found = hints::names_for(name, &known);
        if !found.is_empty() {
            session.hint(&format!("  did you mean {}?", found.join(" or ")))?;
        }
    }
    Ok(())
}
