//! Actions on the configuration: `avail`, `reread`, `update`, `add`, `remove`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, IsTerminal};

use serde::Serialize;

use super::error::CtlError;
use super::plan::{UpdateWords, print_plan};
use super::problems::{report_problems, report_refusal};
use super::progress_line::Goal;
use super::reply::{self, ConfigInfo, ProcessInfo, ProcessOutcome, ReloadResult, ScaleResult};
use super::results::ActionResult;
use super::rolling::{print_outcomes, print_refusal};
use super::session::CtlSession;
use super::{exit, render};
use crate::api::FaultCode;
use crate::api::xmlrpc::RpcValue;

/// The action `avail`.
pub(super) fn avail(session: &mut CtlSession, arguments: &str) -> Result<(), CtlError> {
    #[derive(Serialize)]
    struct GroupJson {
        configs: Vec<ConfigInfo>,
    }

    if !session.words(arguments).is_empty() {
        return session.refuse_arguments(exit::GENERIC);
    }
    let answer = match session.call("supervisor.getAllConfigInfo", Vec::new()) {
        Err(failure) if failure.is_fault(FaultCode::ShutdownState) => {
            return session.refuse("ERROR: supervisor shutting down");
        }
        answer => answer?,
    };
    let configs = reply::all(&answer, ConfigInfo::read)?;
    if session.json {
        return session.say(&render::json(&GroupJson { configs }));
    }
    for config in &configs {
        session.say(&render::avail(config))?;
    }
    Ok(())
}

/// The action `reread`.
pub(super) fn reread(session: &mut CtlSession, arguments: &str) -> Result<(), CtlError> {
    if !session.words(arguments).is_empty() {
        return session.refuse_arguments(exit::GENERIC);
    }
    let difference = match session.call("supervisor.reloadConfig", Vec::new()) {
        Ok(answer) => ReloadResult::read(&answer)?,
        Err(failure) if failure.is_fault(FaultCode::ShutdownState) => {
            return session.refuse("ERROR: supervisor shutting down");
        }
        Err(CtlError::Fault(fault)) if fault.code == i64::from(FaultCode::CantReread.code()) => {
            session.refuse(&format!("ERROR: {}", fault.text))?;
            return report_problems(session);
        }
        Err(failure) => return Err(failure),
    };
    report_problems(session)?;
    if session.json {
        return session.say(&render::json(&difference));
    }
    let mut lines: Vec<(&str, &str)> = Vec::new();
    lines.extend(
        difference
            .added
            .iter()
            .map(|name| (name.as_str(), "available")),
    );
    lines.extend(
        difference
            .changed
            .iter()
            .map(|name| (name.as_str(), "changed")),
    );
    lines.extend(
        difference
            .removed
            .iter()
            .map(|name| (name.as_str(), "disappeared")),
    );
    lines.sort_by_key(|(name, _)| *name);
    if lines.is_empty() {
        return session.say("No config updates to processes");
    }
    for (name, what) in lines {
        session.say(&format!("{name}: {what}"))?;
    }
    Ok(())
}

/// The action `update [group… | all]`.
pub(super) fn update(session: &mut CtlSession, arguments: &str) -> Result<(), CtlError> {
    let Ok(words) = UpdateWords::parse(arguments) else {
        return session.usage("Error: update: an option lacks its value", exit::GENERIC);
    };
    if words.is_dry {
        return print_plan(session, &words);
    }
    if words.json {
        session.collect_json();
    }
    let read = match words.if_plan {
        None => session.call("supervisor.reloadConfig", Vec::new()),
        Some(id) => session.call("supervisord.reloadConfigIfPlan", vec![RpcValue::text(id)]),
    };
    let Some(difference) = read_difference(session, read)? else {
        return Ok(());
    };
    let (wanted, everything) = (&words.names, words.is_everything());
    if !everything {
        let answer = session.call("supervisor.getAllProcessInfo", Vec::new())?;
        let mut known: BTreeSet<String> = reply::all(&answer, ProcessInfo::read)?
            .into_iter()
            .map(|process| process.group)
            .collect();
        known.extend(difference.added.iter().cloned());
        for name in wanted {
            if !known.contains(*name) {
                session.refuse(&format!("ERROR: no such group: {name}"))?;
                session.report.unknown.push((*name).to_owned());
            }
        }
    }
    apply(session, &words, &difference, true).map(drop)
}

/// Reads the answer to a reload of the configuration, and prints the problems of the file. `None`: it was refused, which is
/// reported.
fn read_difference(
    session: &mut CtlSession,
    answer: Result<RpcValue, CtlError>,
) -> Result<Option<ReloadResult>, CtlError> {
    let difference = match answer {
        Ok(answer) => ReloadResult::read(&answer)?,
        Err(failure) if failure.is_fault(FaultCode::ShutdownState) => {
            session.refuse("ERROR: already shutting down")?;
            return Ok(None);
        }
        Err(failure) => {
            report_refusal(session, failure)?;
            return Ok(None);
        }
    };
    report_problems(session)?;
    Ok(Some(difference))
}

/// The action `reload` of Go's command line: applies the differences and prints the groups that changed.
pub(super) fn apply_changes(session: &mut CtlSession) -> Result<(), CtlError> {
    let read = session.call("supervisor.reloadConfig", Vec::new());
    let Some(difference) = read_difference(session, read)? else {
        return Ok(());
    };
    let done = apply(session, &UpdateWords::default(), &difference, false)?;
    for (what, names) in [
        ("Added", &done.added),
        ("Changed", &done.changed),
        ("Removed", &done.removed),
    ] {
        if !names.is_empty() {
            session.say(&format!("{what} Groups: {}", names.join(",")))?;
        }
    }
    Ok(())
}

/// Applies the differences that the words select, and returns those that were applied as a whole. `tells`: prints a line
/// for each step, not only for failures.
fn apply(
    session: &mut CtlSession,
    words: &UpdateWords<'_>,
    difference: &ReloadResult,
    tells: bool,
) -> Result<ReloadResult, CtlError> {
    let (wanted, everything) = (&words.names, words.is_everything());
    let mut applied = ReloadResult::default();
    let is_wanted = |name: &&String| everything || wanted.contains(name.as_str());
    let leaving: Vec<&str> = difference
        .removed
        .iter()
        .filter(is_wanted)
        .map(String::as_str)
        .collect();
    if !words.is_sure && !leaving.is_empty() && !confirm_empty(session, &leaving)? {
        session.refuse("update: cancelled, nothing changed")?;
        return Ok(applied);
    }

    applied.removed = remove_groups(session, difference.removed.iter().filter(is_wanted), tells)?;
    let asked = wanted.iter().copied().filter(|name| *name != "all");
    let changed = difference.changed.iter().filter(is_wanted);
    let mut done = BTreeSet::new();
    let candidates: BTreeSet<&str> = asked.chain(changed.map(String::as_str)).collect();
    for (name, is_rolling) in partial_updates(session, &candidates)? {
        let result = match is_rolling {
            true => update_rolling(session, &name, tells)?,
            false => unscale(session, &name, tells)?,
        };
        if result == PartialResult::Updated {
            applied.changed.push(name.clone());
        }
        if result != PartialResult::WholeGroup {
            done.insert(name);
        }
    }
    let changed = difference.changed.iter().filter(is_wanted);
    for name in changed.filter(|name| !done.contains(*name)) {
        stop_group(session, name)?;
        tell(session, tells, name, "stopped")?;
        session.call("supervisor.removeProcessGroup", vec![RpcValue::text(name)])?;
        session.call("supervisor.addProcessGroup", vec![RpcValue::text(name)])?;
        tell(session, tells, name, "updated process group")?;
        applied.changed.push(name.clone());
    }
    for name in difference.added.iter().filter(is_wanted) {
        session.call("supervisor.addProcessGroup", vec![RpcValue::text(name)])?;
        tell(session, tells, name, "added process group")?;
        applied.added.push(name.clone());
    }
    Ok(applied)
}

/// Prints what was done with a group or process, if `tells`.
fn tell(session: &mut CtlSession, tells: bool, name: &str, what: &str) -> Result<(), CtlError> {
    match tells {
        true => done(session, name, what),
        false => Ok(()),
    }
}

/// Prints what was done with a group or process.
fn done(session: &mut CtlSession, name: &str, what: &str) -> Result<(), CtlError> {
    let result = ActionResult::of_group(name, FaultCode::Success, what);
    session.result(result, &format!("{name}: {what}"))
}

/// Prints why nothing was done with a group.
fn refused(
    session: &mut CtlSession,
    name: &str,
    code: FaultCode,
    text: &str,
    line: &str,
) -> Result<(), CtlError> {
    session.exit = exit::GENERIC;
    session.result(ActionResult::of_group(name, code, text), line)
}

/// Stops and removes groups, and returns those that were removed. A group with a process that cannot be stopped stays.
fn remove_groups<'a>(
    session: &mut CtlSession,
    names: impl Iterator<Item = &'a String>,
    tells: bool,
) -> Result<Vec<String>, CtlError> {
    let mut removed = Vec::new();
    for name in names {
        let answer = stop_group(session, name)?;
        let failed = reply::all(&answer, ProcessOutcome::read)?
            .iter()
            .any(|outcome| outcome.status == i64::from(FaultCode::Failed.code()));
        if failed {
            let text = "has problems; not removing";
            refused(
                session,
                name,
                FaultCode::Failed,
                text,
                &format!("{name}: {text}"),
            )?;
            continue;
        }
        tell(session, tells, name, "stopped")?;
        session.call("supervisor.removeProcessGroup", vec![RpcValue::text(name)])?;
        tell(session, tells, name, "removed process group")?;
        removed.push(name.clone());
    }
    Ok(removed)
}

/// Stops the processes of a group.
fn stop_group(session: &mut CtlSession, name: &str) -> Result<RpcValue, CtlError> {
    let params = vec![RpcValue::text(name)];
    session.with_progress(Goal::Stop, &[&format!("{name}:*")], |session| {
        session.call("supervisor.stopProcessGroup", params)
    })
}

/// What an update of some processes of a group did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PartialResult {
    /// The group is up to date.
    Updated,
    /// The update failed; the reason was printed.
    Halted,
    /// Nothing: the group must change as a whole.
    WholeGroup,
}

/// The groups of `candidates` that can be updated without stopping all their processes, in order, and whether this is done
/// with some processes at a time. Empty if the server does not support it.
fn partial_updates(
    session: &mut CtlSession,
    candidates: &BTreeSet<&str>,
) -> Result<BTreeMap<String, bool>, CtlError> {
    if candidates.is_empty() {
        return Ok(BTreeMap::new());
    }
    let names = candidates
        .iter()
        .map(|name| RpcValue::text(*name))
        .collect();
    let params = vec![RpcValue::Array(names)];
    let answer = match session.call("supervisord.getPartialUpdates", params) {
        Err(failure) if failure.is_fault(FaultCode::UnknownMethod) => return Ok(BTreeMap::new()),
        answer => answer?,
    };
    let lines = reply::all(&answer, reply::as_text)?;
    let groups = lines.iter().filter_map(|line| {
        let (name, how) = line.split_once('\t')?;
        Some((name.to_owned(), how == "rolling"))
    });
    Ok(groups.collect())
}

/// Updates a group with `rolling`.
fn update_rolling(
    session: &mut CtlSession,
    name: &str,
    tells: bool,
) -> Result<PartialResult, CtlError> {
    let params = vec![RpcValue::text(name)];
    let members = format!("{name}:*");
    let answer = session.with_progress(Goal::Restart, &[&members], |session| {
        session.call("supervisord.updateProcessGroup", params)
    });
    let outcomes = match answer {
        Ok(answer) => reply::all(&answer, ProcessOutcome::read)?,
        // The group has changed since.
        Err(failure) if failure.is_fault(FaultCode::IncorrectParameters) => {
            return Ok(PartialResult::WholeGroup);
        }
        Err(failure) => {
            print_refusal(session, name, failure)?;
            return Ok(PartialResult::Halted);
        }
    };
    let is_done = |outcome: &ProcessOutcome| outcome.status == i64::from(FaultCode::Success.code());
    let are_done = outcomes.iter().all(is_done);
    if tells || !are_done {
        print_outcomes(session, &outcomes, "updated")?;
    }
    if are_done {
        tell(session, tells, name, "updated process group")?;
        return Ok(PartialResult::Updated);
    }
    session.complain(&format!(
        "{name}: ERROR (update halted; the other processes keep their previous configuration)"
    ))?;
    Ok(PartialResult::Halted)
}

/// Gives a group its configured numbers of processes, without touching processes that both have.
// Differs: Supervisor restarts the whole group. Groups with other changes restart completely, as in Supervisor.
fn unscale(session: &mut CtlSession, name: &str, tells: bool) -> Result<PartialResult, CtlError> {
    let done = match session.call("supervisord.resetNumprocs", vec![RpcValue::text(name)]) {
        Ok(answer) => ScaleResult::read(&answer)?,
        Err(failure) => {
            let unknown = [
                FaultCode::UnknownMethod,
                FaultCode::IncorrectParameters,
                FaultCode::BadName,
            ];
            return match unknown.iter().any(|&code| failure.is_fault(code)) {
                true => Ok(PartialResult::WholeGroup),
                false => Err(failure),
            };
        }
    };
    for process in &done.removed {
        tell(session, tells, process, "removed")?;
    }
    for process in &done.added {
        tell(session, tells, process, "added")?;
    }
    tell(session, tells, name, "updated process group")?;
    Ok(PartialResult::Updated)
}

/// Whether the groups `leaving` may be stopped and removed. A configuration without any program is more likely an
/// editing accident than intended, so a user at a terminal is asked.
// Differs: Supervisor stops and removes everything.
fn confirm_empty(session: &mut CtlSession, leaving: &[&str]) -> Result<bool, CtlError> {
    if !io::stdin().is_terminal() {
        return Ok(true);
    }
    let answer = session.call("supervisor.getAllConfigInfo", Vec::new())?;
    if !reply::all(&answer, ConfigInfo::read)?.is_empty() {
        return Ok(true);
    }
    session.confirm_at_terminal(&format!(
        "The configuration has no programs. Really stop and remove {} y/N? ",
        leaving.join(", ")
    ))
}

/// The action `add group…`.
pub(super) fn add(session: &mut CtlSession, arguments: &str) -> Result<(), CtlError> {
    for name in arguments.split_whitespace() {
        match session.call("supervisor.addProcessGroup", vec![RpcValue::text(name)]) {
            Ok(_) => done(session, name, "added process group")?,
            Err(failure) if failure.is_fault(FaultCode::ShutdownState) => {
                session.refuse("ERROR: shutting down")?;
            }
            Err(failure) if failure.is_fault(FaultCode::AlreadyAdded) => {
                let text = "process group already active";
                // The exit status does not change, as in Supervisor.
                let result = ActionResult::of_group(name, FaultCode::AlreadyAdded, text);
                session.result(result, &format!("ERROR: {text}"))?;
            }
            Err(failure) if failure.is_fault(FaultCode::BadName) => {
                let line = format!("ERROR: no such process/group: {name}");
                refused(
                    session,
                    name,
                    FaultCode::BadName,
                    "no such process/group",
                    &line,
                )?;
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}

/// The action `remove group…`.
pub(super) fn remove(session: &mut CtlSession, arguments: &str) -> Result<(), CtlError> {
    for name in arguments.split_whitespace() {
        match session.call("supervisor.removeProcessGroup", vec![RpcValue::text(name)]) {
            Ok(_) => done(session, name, "removed process group")?,
            Err(failure) if failure.is_fault(FaultCode::StillRunning) => {
                let line = format!("ERROR: process/group still running: {name}");
                refused(
                    session,
                    name,
                    FaultCode::StillRunning,
                    "process/group still running",
                    &line,
                )?;
            }
            Err(failure) if failure.is_fault(FaultCode::BadName) => {
                let line = format!("ERROR: no such process/group: {name}");
                refused(
                    session,
                    name,
                    FaultCode::BadName,
                    "no such process/group",
                    &line,
                )?;
            }
            Err(failure) => return Err(failure),
        }
    }
    Ok(())
}
