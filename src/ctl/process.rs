//! Actions on processes: `status`, `start`, `stop`, `restart`, `signal`, `pid`, `clear`.

use serde::Serialize;

use super::client::RpcClient;
use super::error::CtlError;
use super::reply::{self, ProcessInfo, ProcessJson, ProcessOutcome};
use super::session::CtlSession;
use super::{exit, render};
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
    name: &'static str,
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
    name: "start",
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
    name: "stop",
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
    name: "signal",
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

const CLEAR: ProcessAction = ProcessAction {
    name: "clear",
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
        return no_names(session, START.name, START.no_names);
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
        return no_names(session, STOP.name, STOP.no_names);
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
        return no_names(session, "restart", exit::GENERIC);
    }
    act(session, &STOP, &names, None)?;
    act(session, &START, &names, None)
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
            SIGNAL.name,
            "Error: signal requires a signal name and a process name",
            SIGNAL.no_names,
        ),
    }
}

/// The action `clear name… | all`.
pub(super) fn clear(session: &mut CtlSession, arguments: &str) -> Result<(), CtlError> {
    if !session.is_up()? {
        return Ok(());
    }
    let names: Vec<&str> = arguments.split_whitespace().collect();
    if names.is_empty() {
        return no_names(session, CLEAR.name, CLEAR.no_names);
    }
    act(session, &CLEAR, &names, None)
}

fn no_names(session: &mut CtlSession, action: &str, status: u8) -> Result<(), CtlError> {
    session.usage(
        action,
        &format!("Error: {action} requires a process name"),
        status,
    )
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
                Err(failure) if is(&failure, FaultCode::BadName) => {
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

fn is(failure: &CtlError, fault: FaultCode) -> bool {
    failure.fault() == Some(i64::from(fault.code()))
}

/// Requests a table of the processes that `names` select (empty: all), with only these members (empty: all).
pub(super) fn ask_table(
    client: &mut RpcClient,
    names: &[&str],
    members: &[&str],
) -> Result<Vec<ProcessInfo>, CtlError> {
    let texts =
        |texts: &[&str]| RpcValue::Array(texts.iter().map(|text| RpcValue::text(*text)).collect());
    let params = vec![texts(names), texts(members)];
    let answer = client.call("supervisord.getProcessTable", params)?;
    ProcessInfo::read_table(&answer)
}

/// The members that `status` shows.
const SHOWN: &[&str] = &["name", "group", "state", "statename", "description"];

/// All processes, with all members.
pub(super) fn all_processes(session: &mut CtlSession) -> Result<Vec<ProcessInfo>, CtlError> {
    match table(session, &[], &[])? {
        Some(processes) => Ok(processes),
        None => every_struct(session),
    }
}

/// All processes, from a server that may not support tables.
fn every_struct(session: &mut CtlSession) -> Result<Vec<ProcessInfo>, CtlError> {
    let answer = session.call("supervisor.getAllProcessInfo", Vec::new())?;
    reply::all(&answer, ProcessInfo::read)
}

/// The processes that `names` select (empty: all), with only these members (empty: all). `None`: the server does not
/// support tables or returned no usable one. Callers then use Supervisor's methods, which also report errors.
fn table(
    session: &mut CtlSession,
    names: &[&str],
    members: &[&str],
) -> Result<Option<Vec<ProcessInfo>>, CtlError> {
    if !session.has_tables {
        return Ok(None);
    }
    session.flush()?;
    match ask_table(&mut session.client, names, members) {
        Ok(processes) => Ok(Some(processes)),
        // The server requires a password. A wrong one must not be tried twice.
        Err(failure @ CtlError::Http { .. }) => Err(failure),
        Err(failure) => {
            session.has_tables = !is(&failure, FaultCode::UnknownMethod);
            Ok(None)
        }
    }
}

/// The action `status [name…]`.
pub(super) fn status(session: &mut CtlSession, arguments: &str) -> Result<(), CtlError> {
    #[derive(Serialize)]
    struct ResultsJson<'a> {
        processes: Vec<ProcessJson<'a>>,
        #[serde(skip_serializing_if = "Vec::is_empty")]
        errors: Vec<UnknownName<'a>>,
    }
    #[derive(Serialize)]
    struct UnknownName<'a> {
        name: &'a str,
        error: &'static str,
    }

    let names = session.words(arguments);
    let everything = names.is_empty() || names.contains(&"all");
    let asked: &[&str] = if everything { &[] } else { &names };
    let members: &[&str] = if session.json { &[] } else { SHOWN };
    let processes = match table(session, asked, members)? {
        Some(processes) => processes,
        None if session.is_up()? => every_struct(session)?,
        None => {
            session.exit = exit::STATUS_UNKNOWN;
            return Ok(());
        }
    };
    let mut shown: Vec<&ProcessInfo> = Vec::new();
    let mut errors = Vec::new();
    if everything {
        shown.extend(&processes);
    } else {
        for name in names {
            let spec = Namespec::parse(name);
            let before = shown.len();
            shown.extend(processes.iter().filter(|process| process.is_in(&spec)));
            if shown.len() == before && !name.contains(':') {
                // Differs: a name without a colon that is no process but a group selects the whole group.
                shown.extend(processes.iter().filter(|process| process.group == name));
            }
            if shown.len() == before {
                errors.push(match spec.process {
                    Some(_) => (name, "no such process"),
                    None => (&name[..spec.group.len()], "no such group"),
                });
            }
        }
    }
    if !errors.is_empty() {
        session.exit = exit::STATUS_UNKNOWN;
    }
    if shown.iter().any(|process| process.is_stopped()) {
        session.exit = exit::STATUS_NOT_RUNNING;
    }
    if session.json {
        return session.say(&render::json(&ResultsJson {
            processes: shown.iter().map(|process| (*process).into()).collect(),
            errors: errors
                .into_iter()
                .map(|(name, error)| UnknownName { name, error })
                .collect(),
        }));
    }
    for (name, error) in errors {
        session.say(&format!("{name}: ERROR ({error})"))?;
    }
    for line in render::status(&shown) {
        session.say(&line)?;
    }
    Ok(())
}

/// The action `pid [name… | all]`.
pub(super) fn pid(session: &mut CtlSession, arguments: &str) -> Result<(), CtlError> {
    #[derive(Serialize)]
    struct DaemonPid {
        pid: i64,
    }
    #[derive(Serialize)]
    struct PidJson {
        pids: Vec<ProcessPid>,
    }
    #[derive(Serialize)]
    struct ProcessPid {
        group: String,
        name: String,
        namespec: String,
        pid: i64,
    }

    let names = session.words(arguments);
    if !session.is_up()? {
        return Ok(());
    }
    if names.is_empty() {
        let answer = session.call("supervisor.getPID", Vec::new())?;
        let pid = reply::as_int(&answer)?;
        let line = if session.json {
            render::json(&DaemonPid { pid })
        } else {
            pid.to_string()
        };
        return session.say(&line);
    }
    let mut found = Vec::new();
    if names.contains(&"all") {
        for process in all_processes(session)? {
            say_pid(session, process, &mut found)?;
        }
    } else {
        for name in names {
            match session.call("supervisor.getProcessInfo", vec![RpcValue::text(name)]) {
                Ok(answer) => {
                    let process = ProcessInfo::read(&answer)?;
                    if process.pid == 0 {
                        session.exit = exit::NOT_RUNNING;
                    }
                    say_pid(session, process, &mut found)?;
                }
                Err(failure) if is(&failure, FaultCode::BadName) => {
                    session.complain(&format!("No such process {name}"))?;
                    session.exit = exit::GENERIC;
                }
                Err(failure) => return Err(failure),
            }
        }
    }
    if !session.json {
        return Ok(());
    }
    let pids = found
        .into_iter()
        .map(|process: ProcessInfo| ProcessPid {
            namespec: process.namespec(),
            group: process.group,
            name: process.name,
            pid: process.pid,
        })
        .collect();
    session.say(&render::json(&PidJson { pids }))
}

/// Prints the PID, or collects it for the JSON that is printed at the end.
fn say_pid(
    session: &mut CtlSession,
    process: ProcessInfo,
    found: &mut Vec<ProcessInfo>,
) -> Result<(), CtlError> {
    if session.json {
        found.push(process);
        return Ok(());
    }
    session.say(&process.pid.to_string())
}
