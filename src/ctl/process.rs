//! Actions that change processes: `start`, `stop`, `restart`, `signal`, `clear`.

use super::error::CtlError;
use super::exit;
use super::plan::note_unapplied;
use super::reply::{self, ProcessOutcome};
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
}

/// An action on several processes.
pub(super) struct ProcessAction {
    one: &'static str,
    /// `None`: the action does not accept groups.
    group: Option<&'static str>,
    all: &'static str,
    words: &'static [(FaultCode, ResultWording)],
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
            | ResultWording::Reason(text) => Some(text),
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
            ResultWording::Error("abnormal termination"),
        ),
        // Differs: Supervisor prints the exception that it raises for this.
        (FaultCode::Failed, ResultWording::Text),
    ],
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
        (FaultCode::BadName, ResultWording::Error("no such process")),
        (FaultCode::NotRunning, ResultWording::Error("not running")),
        (FaultCode::Failed, ResultWording::Text),
    ],
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
    act(session, &START, &names, None)
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
    act(session, &STOP, &names, None)
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
    let params = |name: Option<&str>| -> Vec<RpcValue> {
        name.into_iter().chain(signal).map(RpcValue::text).collect()
    };
    if names.contains(&"all") {
        let answer = session.call(action.all, params(None))?;
        return outcomes(session, action, &answer);
    }
    for name in names {
        let spec = Namespec::parse(name);
        match (&spec.process, action.group) {
            (None, Some(method)) => match session.call(method, params(Some(&spec.group))) {
                Ok(answer) => outcomes(session, action, &answer)?,
                Err(failure) if failure.is_fault(FaultCode::BadName) => {
                    session.say(&format!("{}: ERROR (no such group)", spec.group))?;
                    session.exit = action.no_group;
                }
                Err(failure) => return Err(failure),
            },
            (process, method) => {
                let fault = match session.call(action.one, params(Some(name))) {
                    Ok(_) => None,
                    Err(CtlError::Fault(fault)) => Some(fault),
                    Err(failure) => return Err(failure),
                };
                // Differs: a name without a colon that is no process but a group selects the whole group.
                if let (Some(fault), Some(method), false) = (&fault, method, name.contains(':'))
                    && fault.code == i64::from(FaultCode::BadName.code())
                {
                    match session.call(method, params(Some(name))) {
                        Ok(answer) => {
                            outcomes(session, action, &answer)?;
                            continue;
                        }
                        Err(CtlError::Fault(_)) => {}
                        Err(failure) => return Err(failure),
                    }
                }
                let (status, description) = fault.map_or_else(
                    || (i64::from(FaultCode::Success.code()), "OK".to_owned()),
                    |fault| (fault.code, fault.text),
                );
                let outcome = ProcessOutcome {
                    group: spec.group.clone(),
                    // Where a wildcard is not accepted, Supervisor prints Python's `None` as the name.
                    name: process.clone().unwrap_or_else(|| "None".to_owned()),
                    status,
                    description,
                };
                say_outcome(session, action, &outcome)?;
            }
        }
    }
    Ok(())
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
    session.say(&line)?;
    if let Some(status) = exit::of_result(outcome.status, action.neutral) {
        session.exit = status;
    }
    Ok(())
}

/// The text of a fault without its code and the name of the process. `None`: nothing is left.
fn reason<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (_, detail) = text.split_once(": ")?;
    let detail = detail
        .strip_prefix(name)
        .map_or(detail, |rest| rest.trim_start_matches(": "));
    Some(detail).filter(|detail| !detail.is_empty())
}
