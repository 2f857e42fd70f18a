//! Actions that change processes: `start`, `stop`, `restart`, `signal`, `clear`.

use super::action::{NO_DEPS, WITH_DEPENDENTS};
use super::error::CtlError;
use super::exit;
use super::plan::note_unapplied;
use super::progress_line::Goal;
use super::reply::{self, ProcessDependencies, ProcessOutcome};
use super::results::ActionResult;
use super::session::CtlSession;
use crate::api::FaultCode;
use crate::api::xmlrpc::RpcValue;
use crate::domain::Namespec;

/// The output for a result.
enum ResultWording {
    /// The name and this text.
    Plain(&'static str),
    /// The name and this text as an error.
    Error(&'static str),
    /// Only the fault's own text.
    Text,
    /// The name and this text as an error, with the reason from the fault.
    Reason(&'static str),
    /// The name and this text as an error, with the reason from the fault if a dependency is the reason.
    Dependency(&'static str),
}

/// An action on several processes.
pub(super) struct ProcessAction {
    one: &'static str,
    /// `None`: the action does not accept groups.
    group: Option<&'static str>,
    all: &'static str,
    words: &'static [(FaultCode, ResultWording)],
    /// What the action waits for. `None`: it does not wait.
    goal: Option<Goal>,
    /// The fault that counts as success.
    neutral: Option<FaultCode>,
    /// Exit status for an unknown group.
    no_group: u8,
    /// Exit status for a call without names.
    no_names: u8,
}

impl ProcessAction {
    /// The text for a fault, without the name and `ERROR`. `None`: the fault's own text.
    pub(super) fn word(&self, status: i64) -> Option<&'static str> {
        let (_, words) = self
            .words
            .iter()
            .find(|(code, _)| i64::from(code.code()) == status)?;
        match words {
            ResultWording::Plain(text)
            | ResultWording::Error(text)
            | ResultWording::Reason(text)
            | ResultWording::Dependency(text) => Some(text),
            ResultWording::Text => None,
        }
    }
}

pub(super) const START: ProcessAction = ProcessAction {
    one: "supervisor.startProcess",
    group: Some("supervisor.startProcessGroup"),
    all: "supervisor.startAllProcesses",
    words: &[
        (FaultCode::Success, ResultWording::Plain("started")),
        (FaultCode::BadName, ResultWording::Error("no such process")),
        (FaultCode::NoFile, ResultWording::Error("no such file")),
        (
            FaultCode::NotExecutable,
            ResultWording::Error("file is not executable"),
        ),
        (
            FaultCode::AlreadyStarted,
            ResultWording::Error("already started"),
        ),
        (FaultCode::SpawnError, ResultWording::Error("spawn error")),
        (
            FaultCode::AbnormalTermination,
            // Supervisor's text is only the name. A reason says which dependency failed.
            ResultWording::Dependency("abnormal termination"),
        ),
        // Differs: Supervisor prints the exception that it raises for this.
        (FaultCode::Failed, ResultWording::Text),
    ],
    goal: Some(Goal::Start),
    neutral: Some(FaultCode::AlreadyStarted),
    no_group: exit::INVALID_ARGUMENTS,
    no_names: exit::INVALID_ARGUMENTS,
};

const STOP: ProcessAction = ProcessAction {
    one: "supervisor.stopProcess",
    group: Some("supervisor.stopProcessGroup"),
    all: "supervisor.stopAllProcesses",
    words: &[
        (FaultCode::Success, ResultWording::Plain("stopped")),
        (FaultCode::BadName, ResultWording::Error("no such process")),
        // Supervisor's table has it too, though no stop can fail like this.
        (
            FaultCode::BadSignal,
            ResultWording::Error("bad signal name"),
        ),
        (FaultCode::NotRunning, ResultWording::Error("not running")),
        (FaultCode::Failed, ResultWording::Text),
    ],
    goal: Some(Goal::Stop),
    neutral: Some(FaultCode::NotRunning),
    no_group: exit::GENERIC,
    no_names: exit::GENERIC,
};

const SIGNAL: ProcessAction = ProcessAction {
    one: "supervisor.signalProcess",
    group: Some("supervisor.signalProcessGroup"),
    all: "supervisor.signalAllProcesses",
    words: &[
        (FaultCode::Success, ResultWording::Plain("signalled")),
        (FaultCode::BadName, ResultWording::Error("no such process")),
        (
            FaultCode::BadSignal,
            ResultWording::Error("bad signal name"),
        ),
        (FaultCode::NotRunning, ResultWording::Error("not running")),
        (FaultCode::Failed, ResultWording::Text),
    ],
    goal: None,
    neutral: None,
    no_group: exit::GENERIC,
    no_names: exit::GENERIC,
};

const RELOAD: ProcessAction = ProcessAction {
    one: "supervisord.reloadProcess",
    group: Some("supervisord.reloadProcessGroup"),
    all: "supervisord.reloadAllProcesses",
    words: &[
        (FaultCode::Success, ResultWording::Plain("reloaded")),
        (
            FaultCode::UnknownMethod,
            ResultWording::Error("the server does not support it"),
        ),
        (FaultCode::BadName, ResultWording::Error("no such process")),
        (FaultCode::NotRunning, ResultWording::Error("not running")),
        (FaultCode::Failed, ResultWording::Text),
    ],
    goal: None,
    neutral: None,
    no_group: exit::GENERIC,
    no_names: exit::GENERIC,
};

const CLEAR: ProcessAction = ProcessAction {
    one: "supervisor.clearProcessLogs",
    group: None,
    all: "supervisor.clearAllProcessLogs",
    words: &[
        (FaultCode::Success, ResultWording::Plain("cleared")),
        (FaultCode::BadName, ResultWording::Error("no such process")),
        // Differs: Supervisor does not print the reason.
        (FaultCode::Failed, ResultWording::Reason("failed")),
    ],
    goal: None,
    neutral: None,
    no_group: exit::GENERIC,
    no_names: exit::GENERIC,
};

/// The action `start name… | group:* | all`.
pub(super) fn start(session: &mut CtlSession, arguments: &str) -> Result<(), CtlError> {
    if !session.is_up()? {
        return Ok(());
    }
    let names: Vec<&str> = arguments.split_whitespace().collect();
    if names.is_empty() {
        return no_names(session, START.no_names);
    }
    let (options, names) = split_option(&names, NO_DEPS.name);
    match options {
        true if names.is_empty() || names.contains(&"all") => session.usage(
            "Error: start --no-deps requires the names of processes",
            START.no_names,
        ),
        true => start_alone(session, &names),
        false => act(session, &START, &names, None),
    }
}

/// The action `stop name… | group:* | all`.
pub(super) fn stop(session: &mut CtlSession, arguments: &str) -> Result<(), CtlError> {
    if !session.is_up()? {
        return Ok(());
    }
    let names: Vec<&str> = arguments.split_whitespace().collect();
    if names.is_empty() {
        return no_names(session, STOP.no_names);
    }
    let (options, names) = split_option(&names, WITH_DEPENDENTS.name);
    match options {
        true if names.is_empty() || names.contains(&"all") => session.usage(
            "Error: stop --with-dependents requires the names of processes",
            STOP.no_names,
        ),
        true => stop_with_dependents(session, &names),
        false => {
            act(session, &STOP, &names, None)?;
            // With `all` nothing is left that could depend on them.
            for name in names.iter().filter(|_| !names.contains(&"all")) {
                note_dependents(session, name)?;
            }
            Ok(())
        }
    }
}

/// The action `restart name… | group:* | all`: stops all of them, then starts all.
pub(super) fn restart(session: &mut CtlSession, arguments: &str) -> Result<(), CtlError> {
    if !session.is_up()? {
        return Ok(());
    }
    let names: Vec<&str> = arguments.split_whitespace().collect();
    if names.is_empty() {
        return no_names(session, exit::GENERIC);
    }
    act(session, &STOP, &names, None)?;
    act(session, &START, &names, None)?;
    note_unapplied(session, &names)
}

/// The action `signal SIGNAL name… | group:* | all`.
pub(super) fn signal(session: &mut CtlSession, arguments: &str) -> Result<(), CtlError> {
    if !session.is_up()? {
        return Ok(());
    }
    let words: Vec<&str> = arguments.split_whitespace().collect();
    match words.as_slice() {
        [signal, names @ ..] if !names.is_empty() => act(session, &SIGNAL, names, Some(signal)),
        _ => session.usage(
            "Error: signal requires a signal name and a process name",
            SIGNAL.no_names,
        ),
    }
}

/// The action `reload name… | group:* | all`. Without names, `reload` concerns the daemon.
pub(super) fn reload(session: &mut CtlSession, arguments: &str) -> Result<(), CtlError> {
    if !session.is_up()? {
        return Ok(());
    }
    let names: Vec<&str> = arguments.split_whitespace().collect();
    act(session, &RELOAD, &names, None)
}

/// The action `clear name… | all`.
pub(super) fn clear(session: &mut CtlSession, arguments: &str) -> Result<(), CtlError> {
    if !session.is_up()? {
        return Ok(());
    }
    let names: Vec<&str> = arguments.split_whitespace().collect();
    if names.is_empty() {
        return no_names(session, CLEAR.no_names);
    }
    act(session, &CLEAR, &names, None)
}

/// Whether an option is among the words, and the other words.
fn split_option<'w>(words: &[&'w str], option: &str) -> (bool, Vec<&'w str>) {
    let names: Vec<&str> = words
        .iter()
        .copied()
        .filter(|word| *word != option)
        .collect();
    (names.len() < words.len(), names)
}

/// Starts processes without what they depend on.
fn start_alone(session: &mut CtlSession, names: &[&str]) -> Result<(), CtlError> {
    each(
        session,
        &START,
        "supervisord.startWithoutDependencies",
        names,
    )
}

/// Stops processes after everything that depends on them.
fn stop_with_dependents(session: &mut CtlSession, names: &[&str]) -> Result<(), CtlError> {
    each(session, &STOP, "supervisord.stopWithDependents", names)
}

fn each(
    session: &mut CtlSession,
    action: &ProcessAction,
    method: &str,
    names: &[&str],
) -> Result<(), CtlError> {
    for name in names {
        let spec = Namespec::parse(name);
        let params = vec![RpcValue::text(*name)];
        match call(session, action, &[name], method, params) {
            Ok(answer @ RpcValue::Array(_)) => outcomes(session, action, &answer)?,
            Err(CtlError::Fault(fault))
                if fault.code == i64::from(FaultCode::UnknownMethod.code()) =>
            {
                session.complain(&format!("{name}: ERROR (the server does not support it)"))?;
                session.exit = exit::UNIMPLEMENTED;
                return Ok(());
            }
            answer => {
                let (status, description) = match answer {
                    Ok(_) => (i64::from(FaultCode::Success.code()), "OK".to_owned()),
                    Err(CtlError::Fault(fault)) => (fault.code, fault.text),
                    Err(failure) => return Err(failure),
                };
                let outcome = ProcessOutcome {
                    name: spec.process.unwrap_or_else(|| "*".to_owned()),
                    group: spec.group,
                    status,
                    description,
                };
                say_outcome(session, action, &outcome)?;
            }
        }
    }
    Ok(())
}

/// Says which processes still run although they depend on one that was stopped. A server without dependencies is not
/// worth a word.
fn note_dependents(session: &mut CtlSession, name: &str) -> Result<(), CtlError> {
    let names = RpcValue::Array(vec![RpcValue::text(name)]);
    let answer = match session.call("supervisord.getDependencies", vec![names]) {
        Ok(answer) => answer,
        Err(failure @ CtlError::Output(_)) => return Err(failure),
        // The stop itself has succeeded, and the server may not know what this is about.
        Err(_) => return Ok(()),
    };
    for process in reply::all(&answer, ProcessDependencies::read).unwrap_or_default() {
        if process.dependents.is_empty() {
            continue;
        }
        let (verb, them) = match process.dependents.len() {
            1 => ("depends", "it"),
            _ => ("depend", "them"),
        };
        session.say(&format!(
            "{}: note: {} still running and {verb} on it (stop --with-dependents stops {them} first)",
            process.namespec(),
            listed(&process.dependents)
        ))?;
    }
    Ok(())
}

/// A list of names with the verb that follows it.
fn listed(names: &[String]) -> String {
    const SHOWN_MAX: usize = 5;
    match names {
        [one] => format!("{one} is"),
        names if names.len() > SHOWN_MAX => format!(
            "{} and {} more are",
            names[..SHOWN_MAX].join(", "),
            names.len() - SHOWN_MAX
        ),
        [first @ .., last] => format!("{} and {last} are", first.join(", ")),
        [] => String::new(),
    }
}

pub(super) fn no_names(session: &mut CtlSession, status: u8) -> Result<(), CtlError> {
    let action = session.running.name;
    session.usage(&format!("Error: {action} requires a process name"), status)
}

/// Applies `action` to everything that `names` select, one call per name, in order.
fn act(
    session: &mut CtlSession,
    action: &ProcessAction,
    names: &[&str],
    signal: Option<&str>,
) -> Result<(), CtlError> {
    if names.contains(&"all") {
        let params = signal.into_iter().map(RpcValue::text).collect();
        let answer = call(session, action, &[], action.all, params)?;
        return outcomes(session, action, &answer);
    }
    for name in names {
        act_on(session, action, name, signal)?;
    }
    Ok(())
}

/// Calls a method that waits for `names`. Empty: for all processes.
fn call(
    session: &mut CtlSession,
    action: &ProcessAction,
    names: &[&str],
    method: &str,
    params: Vec<RpcValue>,
) -> Result<RpcValue, CtlError> {
    match action.goal {
        Some(goal) => session.with_progress(goal, names, |session| session.call(method, params)),
        None => session.call(method, params),
    }
}

/// Applies `action` to what one name selects.
fn act_on(
    session: &mut CtlSession,
    action: &ProcessAction,
    name: &str,
    signal: Option<&str>,
) -> Result<(), CtlError> {
    let params = |name: &str| -> Vec<RpcValue> {
        let words = std::iter::once(name).chain(signal);
        words.map(RpcValue::text).collect()
    };
    let spec = Namespec::parse(name);
    if let (None, Some(method)) = (&spec.process, action.group) {
        return match call(session, action, &[name], method, params(&spec.group)) {
            Ok(answer) => outcomes(session, action, &answer),
            Err(failure) if failure.is_fault(FaultCode::BadName) => {
                let code = i64::from(FaultCode::BadName.code());
                let result = ActionResult::of_process(&spec, code, false, "no such group");
                let line = format!("{}: ERROR (no such group)", spec.group);
                session.exit = action.no_group;
                session.result(result, &line)
            }
            Err(failure) => Err(failure),
        };
    }
    let fault = match call(session, action, &[name], action.one, params(name)) {
        Ok(_) => None,
        Err(CtlError::Fault(fault)) => Some(fault),
        Err(failure) => return Err(failure),
    };
    // Differs: a name without a colon that is no process but a group selects the whole group.
    if let (Some(fault), Some(method), false) = (&fault, action.group, name.contains(':'))
        && fault.code == i64::from(FaultCode::BadName.code())
    {
        match call(session, action, &[name], method, params(name)) {
            Ok(answer) => return outcomes(session, action, &answer),
            Err(CtlError::Fault(_)) => {}
            Err(failure) => return Err(failure),
        }
    }
    let (status, description) = fault.map_or_else(
        || (i64::from(FaultCode::Success.code()), "OK".to_owned()),
        |fault| (fault.code, fault.text),
    );
    let outcome = ProcessOutcome {
        group: spec.group,
        // Where a wildcard is not accepted, Supervisor prints Python's `None` as the name.
        name: spec.process.unwrap_or_else(|| "None".to_owned()),
        status,
        description,
    };
    say_outcome(session, action, &outcome)
}

fn outcomes(
    session: &mut CtlSession,
    action: &ProcessAction,
    answer: &RpcValue,
) -> Result<(), CtlError> {
    for outcome in reply::all(answer, ProcessOutcome::read)? {
        say_outcome(session, action, &outcome)?;
    }
    Ok(())
}

fn say_outcome(
    session: &mut CtlSession,
    action: &ProcessAction,
    outcome: &ProcessOutcome,
) -> Result<(), CtlError> {
    let name = Namespec::print(&outcome.group, &outcome.name);
    let words = action
        .words
        .iter()
        .find(|(code, _)| i64::from(code.code()) == outcome.status)
        .map(|(_, words)| words);
    let line = match words {
        Some(ResultWording::Plain(text)) => format!("{name}: {text}"),
        Some(ResultWording::Error(text)) => format!("{name}: ERROR ({text})"),
        Some(ResultWording::Text) => outcome.description.clone(),
        Some(ResultWording::Dependency(text)) => {
            match reason(&outcome.description, &name).filter(|why| why.starts_with("dependency ")) {
                Some(reason) => format!("{name}: ERROR ({text}: {reason})"),
                None => format!("{name}: ERROR ({text})"),
            }
        }
        Some(ResultWording::Reason(text)) => match reason(&outcome.description, &name) {
            Some(reason) => format!("{name}: ERROR ({text}: {reason})"),
            None => format!("{name}: ERROR ({text})"),
        },
        None => {
            return Err(CtlError::Value(format!(
                "Unknown result code {} for {name}",
                outcome.status
            )));
        }
    };
    let text = line
        .strip_prefix(&format!("{name}: "))
        .map_or(line.as_str(), without_error);
    let status = exit::of_result(outcome.status, action.neutral);
    let spec = Namespec {
        group: outcome.group.clone(),
        process: Some(outcome.name.clone()).filter(|name| name != "*"),
    };
    let result = ActionResult::of_process(&spec, outcome.status, status.is_none(), text);
    session.result(result, &line)?;
    if let Some(status) = status {
        session.exit = status;
    }
    Ok(())
}

/// The reason in `ERROR (reason)`. Other texts stay.
pub(super) fn without_error(text: &str) -> &str {
    text.strip_prefix("ERROR (")
        .and_then(|text| text.strip_suffix(')'))
        .unwrap_or(text)
}

/// The text of a fault without its code and the name of the process. `None`: nothing is left.
fn reason<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, detail) = text.split_once(": ")?;
    let detail = detail
        .strip_prefix(name)
        .map_or(detail, |rest| rest.trim_start_matches(": "));
    Some(detail).filter(|detail| !detail.is_empty())
}
