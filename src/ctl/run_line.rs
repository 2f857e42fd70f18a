//! Runs one command line: finds its action, checks the options, and asks for credentials if the server wants them.

use std::borrow::Cow;

use super::action::{CtlAction, JSON, OUTPUT};
use super::error::CtlError;
use super::finish::finish_action;
use super::go_actions::ActionSet;
use super::name_patterns::{ExpandedArguments, expand_patterns};
use super::reply::{self, ConfigInfo, ProcessInfo};
use super::results::ActionReport;
use super::session::{CtlSession, RunningAction, is_at_terminal};
use super::{exit, hints};
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
        let all = actions.actions();
        let listed = all.iter().filter(|action| action.listed);
        let names: Vec<&'static str> = listed.map(|action| action.name).collect();
        match hints::action_for(word, &names) {
            Some(meant) => session.hint(&format!("  did you mean {meant}?"))?,
            None => session.hint("  help lists the actions")?,
        }
        return session.flush();
    };
    session.running = RunningAction {
        name: action.name,
        help: action.help,
    };
    let format = output_format(action, arguments);
    let arguments = format.arguments.as_ref();
    if stops_short(session, action, arguments)? {
        return session.flush();
    }
    loop {
        session.json = false;
        session.collects = false;
        session.report = ActionReport::default();
        if format.is_json {
            session.collect_json();
        }
        let result = perform(session, action, arguments);
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
    // Hints ask the server, whose errors do not matter any more.
    if let Err(failure @ CtlError::Output(_)) = finish_action(session, action.name) {
        return Err(failure);
    }
    session.flush()
}

/// Runs the action with the names that its patterns match.
fn perform(session: &mut CtlSession, action: &CtlAction, arguments: &str) -> Result<(), CtlError> {
    if session.json && !action.can_collect(arguments) {
        let text = format!(
            "Error: {} cannot print JSON (logs -f --json can follow logs)",
            action.name
        );
        session.exit = exit::INVALID_ARGUMENTS;
        return session.complain(&text);
    }
    if !confirm_all(session, action, arguments)? {
        return Ok(());
    }
    match expand_patterns(session, action, arguments)? {
        ExpandedArguments::Unchanged => (action.run)(session, arguments),
        ExpandedArguments::Changed(arguments) => (action.run)(session, &arguments),
        ExpandedArguments::Refused => Ok(()),
    }
}

/// Asks before an action changes all processes, in the shell at a terminal. Returns whether to run it.
// Differs: Supervisor asks only before `shutdown` and `reload`.
fn confirm_all(
    session: &mut CtlSession,
    action: &CtlAction,
    arguments: &str,
) -> Result<bool, CtlError> {
    let is_all = arguments.split_whitespace().any(|word| word == "all");
    if !session.interactive || !is_at_terminal() || !is_all || !action.is_destructive() {
        return Ok(true);
    }
    session.confirm(&format!("Really {} all processes y/N? ", action.name))
}

/// The arguments of an action without `--json` and `-o json`.
struct OutputFormat<'a> {
    is_json: bool,
    arguments: Cow<'a, str>,
}

/// Finds `--json` and `-o json` among the arguments of an action that has no JSON of its own. An action with its own `-o`
/// gets that for `--json`.
fn output_format<'a>(action: &CtlAction, arguments: &'a str) -> OutputFormat<'a> {
    let has = |name: &str| action.flags.iter().any(|flag| flag.name == name);
    let as_they_are = OutputFormat {
        is_json: false,
        arguments: Cow::Borrowed(arguments),
    };
    if action.reads_quotes || has(JSON.name) && has(OUTPUT.name) {
        return as_they_are;
    }
    let mut words: Vec<&str> = arguments.split_whitespace().collect();
    let before = words.len();
    if !has(OUTPUT.name) {
        words.retain(|word| *word != "-ojson" && *word != "-o=json");
        while let Some(at) = words
            .windows(2)
            .position(|pair| pair == [OUTPUT.name, "json"])
        {
            words.drain(at..at + 2);
        }
    }
    words.retain(|word| *word != JSON.name);
    if words.len() == before {
        return as_they_are;
    }
    if has(JSON.name) {
        words.push(JSON.name);
    } else if has(OUTPUT.name) {
        words.extend([OUTPUT.name, "json"]);
    }
    OutputFormat {
        is_json: !has(JSON.name) && !has(OUTPUT.name),
        arguments: Cow::Owned(words.join(" ")),
    }
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

#[cfg(test)]
mod tests {
    use super::super::actions::find_action;
    use super::*;

    #[test]
    fn the_output_format_is_found_for_every_action() {
        for (line, is_json, expected) in [
            ("stop web", false, "web"),
            ("stop web --json", true, "web"),
            ("stop -o json web", true, "web"),
            ("stop web -ojson", true, "web"),
            ("status web -o json", false, "web --json"),
            ("graph --json web", false, "web -o json"),
            ("plan -o json", false, "-o json"),
            ("update web --json", false, "web --json"),
            ("logs -o json", false, "-o json"),
            ("signal HUP a -o json", true, "HUP a"),
        ] {
            let (name, arguments) = line.split_once(' ').expect("arguments");
            let action = find_action(name).expect("there");
            let format = output_format(action, arguments);
            assert_eq!(
                (format.is_json, &*format.arguments),
                (is_json, expected),
                "{line}"
            );
        }
    }
}
