//! Actions that change processes or the daemon without a full stop: `scale`, `serialrestart`, `upgrade`. Only our own
//! server supports them.

use std::time::{Duration, Instant};

use super::error::CtlError;
use super::exit;
use super::process::START;
use super::reply::{self, ProcessInfo, ProcessOutcome, ScaleResult, UpgradeCount};
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
    for name in &answer.removed {
        session.say(&format!("{name}: removed"))?;
    }
    for name in &answer.added {
        session.say(&format!("{name}: added"))?;
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
    let mut words: Vec<&str> = arguments.split_whitespace().collect();
    let mut at_once = 1;
    if let Some(rest) = words.first().and_then(|word| word.strip_prefix("-n")) {
        let (count, taken) = match rest {
            "" => (words.get(1).copied().unwrap_or_default(), 2),
            rest => (rest, 1),
        };
        match count.parse::<i32>() {
            Ok(count) if count > 0 => at_once = count,
            _ => {
                return session.usage(
                    &format!(
                        "Error: serialrestart -n requires a number of at least 1, not '{count}'"
                    ),
                    exit::INVALID_ARGUMENTS,
                );
            }
        }
        words.drain(..taken.min(words.len()));
    }
    if words.is_empty() {
        return session.usage(
            "Error: serialrestart requires a process name",
            exit::INVALID_ARGUMENTS,
        );
    }
    let processes = all_processes(session)?;
    let mut names = Vec::new();
    let mut is_known = true;
    for word in words {
        match resolve_names(word, &processes) {
            Ok(found) => names.extend(found),
            Err(what) => {
                session.complain(&format!("{word}: ERROR (no such {what})"))?;
                is_known = false;
            }
        }
    }
    if !is_known {
        session.exit = exit::GENERIC;
        return Ok(());
    }
    let names = names.into_iter().map(RpcValue::Text).collect();
    let params = vec![RpcValue::Array(names), RpcValue::Int(i64::from(at_once))];
    match session.call("supervisord.rollingRestart", params) {
        Ok(answer) => print_outcomes(session, &reply::all(&answer, ProcessOutcome::read)?),
        Err(failure) => print_refusal(session, "serialrestart", failure),
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

fn print_outcomes(session: &mut CtlSession, outcomes: &[ProcessOutcome]) -> Result<(), CtlError> {
    if outcomes.is_empty() {
        return session.say("nothing to restart: no running process has this name");
    }
    let mut status = None;
    for outcome in outcomes {
        let name = Namespec::print(&outcome.group, &outcome.name);
        let text = if outcome.status == i64::from(FaultCode::Success.code()) {
            "restarted".to_owned()
        } else {
            // Processes that were left unchanged follow the one that failed and do not change the exit status.
            status = status.or(exit::of_result(outcome.status, None));
            let known = START.word(outcome.status);
            let text = known.unwrap_or_else(|| bare(&outcome.description));
            if text.starts_with("not restarted") {
                text.to_owned()
            } else {
                format!("ERROR ({text})")
            }
        };
        session.say(&format!("{name}: {text}"))?;
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
