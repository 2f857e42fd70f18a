//! Actions that show processes: `status` and `pid`. The list of processes, for other actions too.

use std::collections::BTreeMap;

use serde::Serialize;

use super::action::{VERBOSE, WATCH};
use super::client::RpcClient;
use super::error::CtlError;
use super::reply::{self, ConfigInfo, LastStderr, ProcessInfo, ProcessJson};
use super::session::CtlSession;
use super::{exit, render, status_table, watch};
use crate::api::FaultCode;
use crate::api::xmlrpc::RpcValue;
use crate::config::matches_name;
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
const JSON: &[&str] = DETAILED.split_at(DETAILED.len() - 4).0;
/// The members that `status` shows at a terminal.
const EXPLAINED: &[&str] = &[
    "name",
    "group",
    "stop",
    "now",
    "state",
    "statename",
    "spawnerr",
    "description",
    "lastexit",
    "progress",
];
/// The members that `status -v` shows. The last four are not in the JSON without `-v`.
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
    "progress",
    "restarts",
    "lastexit",
    "nextattempt",
    "logtargets",
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

/// The words of `status`.
struct StatusWords<'a> {
    is_verbose: bool,
    is_watching: bool,
    /// Empty: all processes.
    names: Vec<&'a str>,
}

impl<'a> StatusWords<'a> {
    fn of(mut words: Vec<&'a str>) -> Self {
        let mut has = |flag: &str| {
            let before = words.len();
            words.retain(|word| *word != flag);
            words.len() < before
        };
        let (is_verbose, is_watching) = (has(VERBOSE.name), has(WATCH.name));
        if words.contains(&"all") {
            words.clear();
        }
        Self {
            is_verbose,
            is_watching,
            names: words,
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
        code: &'static str,
        text: String,
    }

    let words = StatusWords::of(session.words(arguments));
    if words.is_watching {
        return watch_status(session, &words);
    }
    let Some(processes) = listed(session, &words)? else {
        session.exit = exit::STATUS_UNKNOWN;
        return Ok(());
    };
    let (shown, errors) = selected(&processes, &words.names);
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
                .map(|(name, error)| UnknownName {
                    name,
                    error,
                    code: FaultCode::BadName.name(),
                    text: format!("{name}: {error}"),
                })
                .collect(),
        }));
    }
    for (name, error) in errors {
        session.say(&format!("{name}: ERROR ({error})"))?;
        session.report.unknown.push(name.to_owned());
    }
    for line in lines(session, &shown, words.is_verbose) {
        session.say(&line)?;
    }
    if processes.is_empty() && words.names.is_empty() && session.screen.is_for_people {
        return hint_nothing(session);
    }
    Ok(())
}

/// The processes that the words select, with the members that are shown. `None`: the server does not answer, which was
/// printed.
fn listed(
    session: &mut CtlSession,
    words: &StatusWords<'_>,
) -> Result<Option<Vec<ProcessInfo>>, CtlError> {
    let members: &[&str] = match (words.is_verbose, session.json) {
        (true, _) => DETAILED,
        (false, true) => JSON,
        (false, false) if session.screen.is_for_people => EXPLAINED,
        (false, false) => SHOWN,
    };
    let mut processes = match table(session, &words.names, members)? {
        Some(processes) => processes,
        None if session.is_up()? => every_struct(session)?,
        None => return Ok(None),
    };
    if words.is_verbose && session.has_tables {
        let most = if session.json { 0 } else { 1 };
        add_last_stderr(session, &words.names, most, &mut processes)?;
    } else if session.screen.is_for_people && !session.json {
        explain_failed(session, &mut processes)?;
    }
    Ok(Some(processes))
}

/// Adds what failed processes wrote last to standard error.
fn explain_failed(session: &mut CtlSession, processes: &mut [ProcessInfo]) -> Result<(), CtlError> {
    let failed: Vec<String> = processes
        .iter()
        .filter(|process| process.has_failed())
        .map(ProcessInfo::namespec)
        .collect();
    if failed.is_empty() || !session.has_tables {
        return Ok(());
    }
    let names: Vec<&str> = failed.iter().map(String::as_str).collect();
    add_last_stderr(session, &names, 1, processes)
}

/// These processes with these members and what failed ones wrote last to standard error. Empty if the server does not
/// support tables.
pub(super) fn explained(
    session: &mut CtlSession,
    names: &[&str],
    members: &[&str],
) -> Result<Vec<ProcessInfo>, CtlError> {
    if names.is_empty() {
        return Ok(Vec::new());
    }
    let mut processes = table(session, names, members)?.unwrap_or_default();
    explain_failed(session, &mut processes)?;
    Ok(processes)
}

/// The table, with details if `is_verbose`.
fn lines(session: &CtlSession, shown: &[&ProcessInfo], is_verbose: bool) -> Vec<String> {
    let rows = match session.screen.is_for_people {
        true => status_table::status_table(shown, &session.screen),
        false => render::status(shown),
    };
    let details = |process: &ProcessInfo| match is_verbose {
        true => render::details(process),
        false => Vec::new(),
    };
    let rows = rows.into_iter().zip(shown);
    rows.flat_map(|(row, process)| std::iter::once(row).chain(details(process)))
        .collect()
}

/// Says what to do if the daemon has no programs.
fn hint_nothing(session: &mut CtlSession) -> Result<(), CtlError> {
    let configured = session.call("supervisor.getAllConfigInfo", Vec::new());
    let is_read = configured
        .and_then(|answer| reply::all(&answer, ConfigInfo::read))
        .is_ok_and(|configs| !configs.is_empty());
    session.say(match is_read {
        true => {
            "No program is active, but the configuration has programs (see supervisorctl avail; supervisorctl update activates them)."
        }
        false => {
            "No program is configured. Add a section [program:NAME] to a file of [include], or run supervisorctl program add FILE, then supervisorctl update."
        }
    })
}

/// The action `status --watch [name…]`.
fn watch_status(session: &mut CtlSession, words: &StatusWords<'_>) -> Result<(), CtlError> {
    if !session.screen.has_cursor || session.json {
        return session.usage(
            "Error: status --watch requires a terminal",
            exit::INVALID_ARGUMENTS,
        );
    }
    if !session.is_up()? {
        session.exit = exit::STATUS_UNKNOWN;
        return Ok(());
    }
    let members = if words.is_verbose {
        DETAILED
    } else {
        EXPLAINED
    };
    watch::watch(session, |session| {
        let mut processes = match session.has_tables {
            true => ask_table(&mut session.client, &words.names, members)?,
            false => every_struct(session)?,
        };
        explain_failed(session, &mut processes)?;
        let (shown, errors) = selected(&processes, &words.names);
        let unknown = errors
            .iter()
            .map(|(name, error)| format!("{name}: ERROR ({error})"));
        Ok(unknown
            .chain(lines(session, &shown, words.is_verbose))
            .collect())
    })
}

/// Like [`select`]. No names: all processes.
fn selected<'p, 'n>(
    processes: &'p [ProcessInfo],
    names: &[&'n str],
) -> (Vec<&'p ProcessInfo>, Vec<(&'n str, &'static str)>) {
    match names.is_empty() {
        true => (processes.iter().collect(), Vec::new()),
        false => select(processes, names),
    }
}

/// Whether a pattern matches a process: with a colon its group and name, otherwise its name as people write it. A bare `*` is
/// no pattern: a shell may have left it by accident, and `all` says the same.
pub(super) fn matches_process(pattern: &str, group: &str, name: &str) -> bool {
    match pattern {
        "*" => false,
        _ if !pattern.contains(['*', '?', '[']) => false,
        _ if pattern.contains(':') => matches_name(pattern, &format!("{group}:{name}")),
        _ => matches_name(pattern, &Namespec::print(group, name)),
    }
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
            let fits =
                |process: &&ProcessInfo| matches_process(name, &process.group, &process.name);
            shown.extend(processes.iter().filter(fits));
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

/// Adds to the processes what their dead instances wrote last to standard error, the newest `most` (0: all). Adds
/// nothing if the server is older or the user may not read logs.
fn add_last_stderr(
    session: &mut CtlSession,
    names: &[&str],
    most: i64,
    processes: &mut [ProcessInfo],
) -> Result<(), CtlError> {
    let names = names.iter().map(|name| RpcValue::text(*name)).collect();
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
                    session.report.unknown.push(name.to_owned());
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
