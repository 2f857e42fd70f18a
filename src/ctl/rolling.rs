//! Actions that change processes or the daemon without a full stop: `scale`, `serialrestart`, `upgrade`. Only our own
//! server supports them.

use std::time::{Duration, Instant};

use super::action::{COUNT, MAX_FAILURES, ROLLING, WAIT};
use super::error::CtlError;
use super::exit;
use super::plan::note_unapplied;
use super::process::{self, START};
use super::progress_line::Goal;
use super::reply::{self, ProcessInfo, ProcessOutcome, ScaleResult, UpgradeCount};
use super::results::ActionResult;
use super::session::CtlSession;
use super::status::all_processes;
use crate::api::FaultCode;
use crate::api::xmlrpc::RpcValue;
use crate::config;
use crate::domain::Namespec;

/// How long to wait for an upgrade.
const UPGRADE_TIMEOUT: Duration = Duration::from_secs(60);
/// How long connections may be refused before the daemon counts as gone. Its sockets stay open during an upgrade, but
/// a service manager may be about to restart it.
const GONE_AFTER: Duration = Duration::from_secs(5);
/// Pause between two checks.
const UPGRADE_PAUSE: Duration = Duration::from_millis(20);

/// The action `scale program count`.
pub(super) fn scale(session: &mut CtlSession, arguments: &str) -> Result<(), CtlError> {
    if !session.is_up()? {
        return Ok(());
    }
    let words: Vec<&str> = arguments.split_whitespace().collect();
    let [program, count] = words.as_slice() else {
        return session.usage(
            "Error: scale requires a program name and a number of processes",
            exit::INVALID_ARGUMENTS,
        );
    };
    let Some(numprocs) = count.parse::<i32>().ok().filter(|&count| count >= 0) else {
        return session.usage(
            &format!("Error: scale requires a number of processes, not {count}"),
            exit::INVALID_ARGUMENTS,
        );
    };
    let params = vec![RpcValue::text(*program), RpcValue::Int(i64::from(numprocs))];
    let answer = match session.call("supervisord.setNumprocs", params) {
        Err(CtlError::Fault(fault)) if fault.code == i64::from(FaultCode::BadName.code()) => {
            return session.refuse(&format!("{program}: ERROR (no such program)"));
        }
        Err(failure) => return print_refusal(session, program, failure),
        Ok(answer) => ScaleResult::read(&answer)?,
    };
    for (names, what) in [(&answer.removed, "removed"), (&answer.added, "added")] {
        for name in names {
            let success = i64::from(FaultCode::Success.code());
            let result = ActionResult::of_process(&Namespec::parse(name), success, true, what);
            session.result(result, &format!("{name}: {what}"))?;
        }
    }
    if answer.removed.is_empty() && answer.added.is_empty() {
        session.say(&format!("{program}: no change"))?;
    }
    Ok(())
}

/// The action `serialrestart [-n count] name… | group:* | pattern | all`.
// Differs: the plug-in supervisor-serialrestart continues after a failure, starts processes that do not run, and
// restarts the others when a name is unknown.
pub(super) fn serialrestart(session: &mut CtlSession, arguments: &str) -> Result<(), CtlError> {
    if !session.is_up()? {
        return Ok(());
    }
    roll(session, "serialrestart", arguments)
}

/// The action `restart`: with `--rolling` one process after another, otherwise as in Supervisor.
pub(super) fn restart(session: &mut CtlSession, arguments: &str) -> Result<(), CtlError> {
    if !arguments
        .split_whitespace()
        .any(|word| word == ROLLING.name)
    {
        return process::restart(session, arguments);
    }
    if !session.is_up()? {
        return Ok(());
    }
    roll(session, "restart", arguments)
}

/// The words of a rolling restart.
#[derive(Debug, PartialEq, Eq)]
struct RollingWords<'a> {
    at_once: i32,
    max_failures: i32,
    healthy: bool,
    names: Vec<&'a str>,
}

impl<'a> RollingWords<'a> {
    /// Sorts the words. Options come before the names.
    ///
    /// # Errors
    /// What an option requires, or that there is no name.
    fn parse(arguments: &'a str) -> Result<Self, String> {
        let mut parsed = Self {
            at_once: 1,
            max_failures: 0,
            healthy: false,
            names: Vec::new(),
        };
        let mut words = arguments.split_whitespace().peekable();
        while let Some(word) = words.next_if(|word| word.starts_with('-')) {
            if word == ROLLING.name {
                continue;
            }
            let options = [COUNT.name, MAX_FAILURES.name, WAIT.name];
            let found = options.iter().find_map(|name| {
                let rest = word.strip_prefix(name)?;
                Some((*name, rest.strip_prefix('=').unwrap_or(rest)))
            });
            let Some((option, rest)) = found else {
                return Err(format!("has no option {word}"));
            };
            let value = match rest {
                "" => words.next().unwrap_or_default(),
                rest => rest,
            };
            let number = value.parse::<i32>().ok();
            if option == COUNT.name {
                let count = number.filter(|&count| count > 0);
                parsed.at_once = count
                    .ok_or_else(|| format!("-n requires a number of at least 1, not '{value}'"))?;
            } else if option == MAX_FAILURES.name {
                let count = number.filter(|&count| count >= 0);
                parsed.max_failures =
                    count.ok_or_else(|| format!("{option} requires a number, not '{value}'"))?;
            } else {
                parsed.healthy = match value {
                    "healthy" => true,
                    "ready" => false,
                    _ => return Err(format!("{option} requires ready or healthy, not '{value}'")),
                };
            }
        }
        parsed.names = words.collect();
        match parsed.names.is_empty() {
            true => Err("requires a process name".to_owned()),
            false => Ok(parsed),
        }
    }

    /// The parameters of the method besides the names. Those with their default are left out, for older daemons.
    fn params(&self) -> Vec<RpcValue> {
        let at_once = RpcValue::Int(i64::from(self.at_once));
        if self.max_failures == 0 && !self.healthy {
            return vec![at_once];
        }
        let wait = if self.healthy { "healthy" } else { "ready" };
        let max_failures = RpcValue::Int(i64::from(self.max_failures));
        let options = vec![
            ("max_failures".to_owned(), max_failures),
            ("wait".to_owned(), RpcValue::text(wait)),
        ];
        vec![at_once, RpcValue::Struct(options)]
    }
}

/// Restarts processes one after another, for the action `name`.
fn roll(session: &mut CtlSession, name: &str, arguments: &str) -> Result<(), CtlError> {
    let words = match RollingWords::parse(arguments) {
        Ok(words) => words,
        Err(what) => {
            let text = format!("Error: {name} {what}");
            return session.usage(&text, exit::INVALID_ARGUMENTS);
        }
    };
    let processes = all_processes(session)?;
    let mut names = Vec::new();
    let mut is_known = true;
    for &word in &words.names {
        match resolve_names(word, &processes) {
            Ok(found) => names.extend(found),
            Err(what) => {
                session.complain(&format!("{word}: ERROR (no such {what})"))?;
                session.report.unknown.push(word.to_owned());
                is_known = false;
            }
        }
    }
    if !is_known {
        session.exit = exit::GENERIC;
        return Ok(());
    }
    let texts = names.iter().map(RpcValue::text).collect();
    let mut params = vec![RpcValue::Array(texts)];
    params.extend(words.params());
    let waited: Vec<&str> = match names.iter().any(|name| name == "all") {
        true => Vec::new(),
        false => names.iter().map(String::as_str).collect(),
    };
    let answer = session.with_progress(Goal::Restart, &waited, |session| {
        session.call("supervisord.rollingRestart", params)
    });
    match answer {
        Ok(answer) => {
            let outcomes = reply::all(&answer, ProcessOutcome::read)?;
            if outcomes.is_empty() {
                return session.say("nothing to restart: no running process has this name");
            }
            print_outcomes(session, &outcomes, "restarted")?;
            note_unapplied(session, &words.names)
        }
        Err(failure) => print_refusal(session, name, failure),
    }
}

/// The action `upgrade`.
pub(super) fn upgrade(session: &mut CtlSession, arguments: &str) -> Result<(), CtlError> {
    if !session.is_up()? {
        return Ok(());
    }
    if !arguments.is_empty() {
        return session.refuse_arguments(exit::INVALID_ARGUMENTS);
    }
    let before = match generation(session) {
        Ok(now) => now.generation,
        Err(failure) => return print_refusal(session, "upgrade", failure),
    };
    if let Err(failure) = session.call("supervisord.reexecute", Vec::new()) {
        return print_refusal(session, "upgrade", failure);
    }
    let until = Instant::now() + UPGRADE_TIMEOUT;
    let mut refused_since = None;
    loop {
        // A connection may break while the new daemon replaces the old one.
        match generation(session) {
            Ok(now) if now.generation > before => break,
            Ok(now) if !now.is_upgrading => {
                session.complain("upgrade: ERROR (failed; the daemon's log gives the reason)")?;
                session.exit = exit::GENERIC;
                return Ok(());
            }
            Err(failure) if Instant::now() >= until => return Err(failure),
            Err(failure) if failure.is_nobody() => {
                let since = *refused_since.get_or_insert_with(Instant::now);
                if since.elapsed() >= GONE_AFTER {
                    return session.refuse("upgrade: ERROR (the daemon exited)");
                }
                std::thread::sleep(UPGRADE_PAUSE);
            }
            Ok(_) if Instant::now() >= until => {
                session.complain("upgrade: ERROR (not finished yet; see the daemon's log)")?;
                session.exit = exit::GENERIC;
                return Ok(());
            }
            Ok(_) | Err(_) => {
                refused_since = None;
                std::thread::sleep(UPGRADE_PAUSE);
            }
        }
    }
    let version = session.call("supervisor.getSupervisorVersion", Vec::new())?;
    session.say(&format!(
        "Upgraded supervisord, now {}",
        reply::as_text(&version)?
    ))
}

fn generation(session: &mut CtlSession) -> Result<UpgradeCount, CtlError> {
    UpgradeCount::read(&session.call("supervisord.getGeneration", Vec::new())?)
}

/// The names that a word selects on the server. The error says what does not exist.
fn resolve_names(word: &str, processes: &[ProcessInfo]) -> Result<Vec<String>, &'static str> {
    if word == "all" {
        return Ok(vec![word.to_owned()]);
    }
    let spec = Namespec::parse(word);
    if spec.process.is_none() {
        let is_there = processes.iter().any(|process| process.group == spec.group);
        return if is_there {
            Ok(vec![word.to_owned()])
        } else {
            Err("group")
        };
    }
    if processes.iter().any(|process| process.is_in(&spec)) {
        return Ok(vec![word.to_owned()]);
    }
    // Differs: a name without a colon that is no process but a group selects the whole group.
    if !word.contains(':') && processes.iter().any(|process| process.group == word) {
        return Ok(vec![format!("{word}:*")]);
    }
    let fitting: Vec<String> = processes
        .iter()
        .map(ProcessInfo::namespec)
        .filter(|name| config::matches_name(word, name))
        .collect();
    if fitting.is_empty() {
        Err("process")
    } else {
        Ok(fitting)
    }
}

/// Prints one line per process. `done`: the word for success.
pub(super) fn print_outcomes(
    session: &mut CtlSession,
    outcomes: &[ProcessOutcome],
    done: &str,
) -> Result<(), CtlError> {
    let mut status = None;
    for outcome in outcomes {
        let name = Namespec::print(&outcome.group, &outcome.name);
        let text = if outcome.status == i64::from(FaultCode::Success.code()) {
            done.to_owned()
        } else {
            // Processes that were left unchanged follow the one that failed and do not change the exit status.
            status = status.or(exit::of_result(outcome.status, None));
            let description = bare(&outcome.description);
            // A reason follows the name of the process.
            let reason = description.strip_prefix(&format!("{name}: "));
            match (START.word(outcome.status), reason) {
                (None, None) if description.starts_with("not ") => description.to_owned(),
                (None, None) => format!("ERROR ({description})"),
                (None, Some(reason)) => format!("ERROR ({reason})"),
                (Some(word), None) => format!("ERROR ({word})"),
                (Some(word), Some(reason)) => format!("ERROR ({word}: {reason})"),
            }
        };
        let spec = Namespec {
            group: outcome.group.clone(),
            process: Some(outcome.name.clone()),
        };
        let is_ok = exit::of_result(outcome.status, None).is_none();
        let reason = process::without_error(&text);
        let result = ActionResult::of_process(&spec, outcome.status, is_ok, reason);
        session.result(result, &format!("{name}: {text}"))?;
    }
    if let Some(status) = status {
        session.exit = status;
    }
    Ok(())
}

/// Prints why the server refused.
pub(super) fn print_refusal(
    session: &mut CtlSession,
    what: &str,
    failure: CtlError,
) -> Result<(), CtlError> {
    let CtlError::Fault(fault) = failure else {
        return Err(failure);
    };
    if fault.code == i64::from(FaultCode::UnknownMethod.code()) {
        session.complain(&format!("{what}: ERROR (the server does not support it)"))?;
        session.exit = exit::UNIMPLEMENTED;
        return Ok(());
    }
    session.refuse(&format!("{what}: ERROR ({})", bare(&fault.text)))
}

/// Removes the fault's name in capitals from its text.
fn bare(text: &str) -> &str {
    match text.split_once(": ") {
        Some((name, rest))
            if name
                .bytes()
                .all(|byte| byte.is_ascii_uppercase() || byte == b'_') =>
        {
            rest
        }
        _ => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn processes() -> Vec<ProcessInfo> {
        [("cat", "cat"), ("web", "web_0"), ("web", "web_1")]
            .map(|(group, name)| ProcessInfo {
                group: group.to_owned(),
                name: name.to_owned(),
                ..ProcessInfo::default()
            })
            .into()
    }

    #[test]
    fn targets_are_processes_groups_patterns_or_all() {
        let table: [(&str, Result<&[&str], &str>); 10] = [
            ("all", Ok(&["all"])),
            ("cat", Ok(&["cat"])),
            ("cat:*", Ok(&["cat:*"])),
            ("web", Ok(&["web:*"])),
            ("web:web_1", Ok(&["web:web_1"])),
            ("w*", Ok(&["web:web_0", "web:web_1"])),
            ("[ac]?t", Ok(&["cat"])),
            ("x*", Err("process")),
            ("web:x", Err("process")),
            ("x:*", Err("group")),
        ];
        for (word, expected) in table {
            let expected =
                expected.map(|names| names.iter().map(|name| (*name).to_owned()).collect());
            assert_eq!(resolve_names(word, &processes()), expected, "{word}");
        }
    }

    #[test]
    fn options_of_a_rolling_restart_come_before_the_names() {
        let parsed = |at_once, max_failures, healthy, names: &[&'static str]| {
            Ok(RollingWords {
                at_once,
                max_failures,
                healthy,
                names: names.into(),
            })
        };
        for (text, expected) in [
            ("a", parsed(1, 0, false, &["a"])),
            ("--rolling -n2 a b", parsed(2, 0, false, &["a", "b"])),
            (
                "-n 3 --max-failures 2 --wait healthy all",
                parsed(3, 2, true, &["all"]),
            ),
            (
                "--wait=healthy --max-failures=1 --wait=ready a",
                parsed(1, 1, false, &["a"]),
            ),
            ("a -n 2", parsed(1, 0, false, &["a", "-n", "2"])),
        ] {
            assert_eq!(RollingWords::parse(text), expected, "{text}");
        }
        for (text, why) in [
            ("", "requires a process name"),
            ("--rolling", "requires a process name"),
            ("-n 0 a", "-n requires a number of at least 1, not '0'"),
            ("-n", "-n requires a number of at least 1, not ''"),
            (
                "--max-failures -1 a",
                "--max-failures requires a number, not '-1'",
            ),
            (
                "--wait soon a",
                "--wait requires ready or healthy, not 'soon'",
            ),
            ("--fast a", "has no option --fast"),
        ] {
            assert_eq!(RollingWords::parse(text), Err(why.to_owned()), "{text}");
        }
    }

    #[test]
    fn only_the_name_is_removed_from_a_fault() {
        for (text, rest) in [
            ("FAILED: permission denied: x", "permission denied: x"),
            ("NO_FILE: can't find", "can't find"),
            ("g:p: stopped", "g:p: stopped"),
            ("SHUTDOWN_STATE", "SHUTDOWN_STATE"),
        ] {
            assert_eq!(bare(text), rest);
        }
    }
}
