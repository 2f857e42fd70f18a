//! Runs one command line: finds its action, checks the options, and asks for credentials if the server wants them.

use super::action::CtlAction;
use super::error::CtlError;
use super::exit;
use super::go_actions::ActionSet;
use super::reply::{self, ConfigInfo, ProcessInfo};
use super::session::{CtlSession, RunningAction};
use crate::config::shlex::shlex_split;
use crate::domain::Namespec;

/// Runs one command line, with one of these actions. Errors are printed and set [`CtlSession::exit`].
///
/// # Errors
/// Only [`CtlError::Output`].
pub(super) fn run_line(
    session: &mut CtlSession,
    actions: ActionSet,
    line: &str,
) -> Result<(), CtlError> {
    let line = line.trim();
    let (word, arguments) = match line.strip_prefix('?') {
        Some(topic) => ("help", topic.trim()),
        None => {
            let word = line.split_whitespace().next().unwrap_or_default();
            // Differs: in Supervisor a word ends before a dash, which names of ours contain.
            let is_whole = word.contains('-') && actions.find_action(word).is_some();
            let end = line
                .find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && !(is_whole && c == '-'))
                .unwrap_or(line.len());
            (&line[..end], line[end..].trim())
        }
    };
    if line.is_empty() {
        return Ok(());
    }
    let Some(action) = actions.find_action(word) else {
        session.say(&format!("*** Unknown syntax: {line}"))?;
        session.exit = exit::GENERIC;
        return session.flush();
    };
    session.running = RunningAction {
        name: action.name,
        help: action.help,
    };
    if stops_short(session, action, arguments)? {
        return session.flush();
    }
    loop {
        session.json = false;
        let result = (action.run)(session, arguments);
        match result {
            Ok(()) => break,
            Err(CtlError::Http { status: 401, .. }) => match session.ask_credentials() {
                Ok(true) => {}
                Ok(false) => break,
                Err(failure) => {
                    session.report(failure)?;
                    break;
                }
            },
            Err(failure) => {
                session.report(failure)?;
                break;
            }
        }
    }
    session.flush()
}

/// Checks options before the action runs: prints requested help, or refuses unknown options. Returns whether the
/// action must not run.
fn stops_short(
    session: &mut CtlSession,
    action: &CtlAction,
    arguments: &str,
) -> Result<bool, CtlError> {
    let is_help = |word: &str| matches!(word, "-h" | "--help");
    let asks_help = match action.reads_quotes {
        // A value may contain such a word.
        true => shlex_split(arguments)
            .unwrap_or_default()
            .iter()
            .any(|word| is_help(word)),
        false => arguments.split_whitespace().any(is_help),
    };
    if asks_help && !action.help.is_empty() {
        action.say_help(session)?;
        return Ok(true);
    }
    let Some(word) = action.unknown_option(arguments) else {
        return Ok(false);
    };
    if is_a_name(session, word) {
        return Ok(false);
    }
    session.json = false;
    let text = format!(
        "Error: {} has no option {word} (nothing changed)",
        action.name
    );
    session.usage(&text, exit::INVALID_ARGUMENTS)?;
    Ok(true)
}

/// Whether the daemon knows a process or group of this name. Also false if the daemon does not answer.
fn is_a_name(session: &mut CtlSession, word: &str) -> bool {
    let spec = Namespec::parse(word);
    let live = session.call("supervisor.getAllProcessInfo", Vec::new());
    let live = live.and_then(|answer| reply::all(&answer, ProcessInfo::read));
    if live.is_ok_and(|live| {
        live.iter()
            .any(|process| process.is_in(&spec) || process.group == word)
    }) {
        return true;
    }
    let read = session.call("supervisor.getAllConfigInfo", Vec::new());
    let read = read.and_then(|answer| reply::all(&answer, ConfigInfo::read));
    read.is_ok_and(|read| read.iter().any(|config| config.group == word))
}
