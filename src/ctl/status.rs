//! Actions that show processes: `status` and `pid`. The list of processes, for other actions too.

use std::collections::BTreeMap;

use serde::Serialize;

use super::action::VERBOSE;
use super::client::RpcClient;
use super::error::CtlError;
use super::reply::{self, LastStderr, ProcessInfo, ProcessJson};
use super::session::CtlSession;
use super::{exit, render};
use crate::api::FaultCode;
use crate::api::xmlrpc::RpcValue;
use crate::domain::Namespec;

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
/// The members that `status --json` shows, and besides with `-v` all others.
const JSON: &[&str] = DETAILED.split_at(DETAILED.len() - 3).0;
/// The members that `status -v` shows. The last three are not in the JSON without `-v`.
const DETAILED: &[&str] = &[
    "name",
    "group",
    "start",
    "stop",
    "now",
    "state",
    "statename",
    "spawnerr",
    "exitstatus",
    "stdout_logfile",
    "stderr_logfile",
    "pid",
    "description",
    "health",
    "restarts",
    "lastexit",
    "nextattempt",
];

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
            session.has_tables = !failure.is_fault(FaultCode::UnknownMethod);
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

    let mut names = session.words(arguments);
    let words = names.len();
    names.retain(|name| *name != VERBOSE.name);
    let is_verbose = names.len() < words;
    let everything = names.is_empty() || names.contains(&"all");
    let asked: &[&str] = if everything { &[] } else { &names };
    let members: &[&str] = match (is_verbose, session.json) {
        (true, _) => DETAILED,
        (false, true) => JSON,
        (false, false) => SHOWN,
    };
    let mut processes = match table(session, asked, members)? {
        Some(processes) => processes,
        None if session.is_up()? => every_struct(session)?,
        None => {
            session.exit = exit::STATUS_UNKNOWN;
            return Ok(());
        }
    };
    if is_verbose && session.has_tables {
        add_last_stderr(session, asked, &mut processes)?;
    }
    let (shown, errors) = match everything {
        true => (processes.iter().collect(), Vec::new()),
        false => select(&processes, &names),
    };
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
    for (line, process) in render::status(&shown).into_iter().zip(&shown) {
        session.say(&line)?;
        if is_verbose {
            for line in render::details(process) {
                session.say(&line)?;
            }
        }
    }
    Ok(())
}

/// The processes that `names` select, in the order of the names, and the unknown names with what is wrong.
pub(super) fn select<'p, 'n>(
    processes: &'p [ProcessInfo],
    names: &[&'n str],
) -> (Vec<&'p ProcessInfo>, Vec<(&'n str, &'static str)>) {
    let mut shown: Vec<&ProcessInfo> = Vec::new();
    let mut errors = Vec::new();
    for &name in names {
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
    (shown, errors)
}

/// Adds to the processes what their dead instances wrote last to standard error: the newest one, with JSON all. Adds
/// nothing if the server is older or the user may not read logs.
fn add_last_stderr(
    session: &mut CtlSession,
    names: &[&str],
    processes: &mut [ProcessInfo],
) -> Result<(), CtlError> {
    let names = names.iter().map(|name| RpcValue::text(*name)).collect();
    let most = if session.json { 0 } else { 1 };
    let params = vec![RpcValue::Array(names), RpcValue::Int(most)];
    let answer = match session.call("supervisord.getLastStderr", params) {
        Err(CtlError::Fault(_)) => return Ok(()),
        answer => answer?,
    };
    let mut by_name: BTreeMap<String, Vec<LastStderr>> = BTreeMap::new();
    for last in reply::all(&answer, LastStderr::read)? {
        by_name.entry(last.namespec.clone()).or_default().push(last);
    }
    for process in processes {
        if let Some(found) = by_name.remove(&process.namespec()) {
            process.details_mut().laststderr = found;
        }
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
                Err(failure) if failure.is_fault(FaultCode::BadName) => {
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
