//! Converts XML-RPC values to the records that actions use. Only this module knows the member names.

use std::borrow::Cow;

use serde::Serialize;

use super::error::CtlError;
use crate::api::xmlrpc::RpcValue;
use crate::api::{read_table, unescape_member};
use crate::domain::{Namespec, ProcessState};

/// One process, as in `getProcessInfo`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct ProcessInfo {
    pub(super) name: String,
    pub(super) group: String,
    pub(super) state: i64,
    pub(super) statename: String,
    pub(super) description: String,
    pub(super) pid: i64,
    pub(super) start: i64,
    pub(super) stop: i64,
    pub(super) now: i64,
    pub(super) exitstatus: i64,
    pub(super) spawnerr: String,
    pub(super) stdout_logfile: String,
    pub(super) stderr_logfile: String,
    /// `none`, `starting`, `healthy` or `unhealthy`. `None`: not asked for, or the server does not know it.
    pub(super) health: Option<String>,
    /// What happens next without a request. Empty: nothing, or the server does not know it.
    pub(super) progress: String,
    /// What `status -v` shows besides. `None`: not asked for, or the server does not know them.
    pub(super) details: Option<ProcessDetails>,
}

/// What `status -v` shows.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct ProcessDetails {
    pub(super) restarts: i64,
    pub(super) lastexit: String,
    pub(super) nextattempt: i64,
    pub(super) logtargets: Vec<LogTargetInfo>,
    /// What dead instances wrote last to standard error, the oldest first.
    pub(super) laststderr: Vec<LastStderr>,
}

/// A log target of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct LogTargetInfo {
    pub(super) stream: String,
    pub(super) target: String,
    pub(super) written: u64,
    pub(super) dropped: u64,
    pub(super) fails: bool,
}

impl LogTargetInfo {
    /// Parses a line of the member `logtargets`. `None`: it has another form.
    fn parse(line: &str) -> Option<Self> {
        let (stream, rest) = line.split_once('\t')?;
        let mut numbers = rest.rsplitn(4, '\t');
        let fails = numbers.next()? == "1";
        let dropped = numbers.next()?.parse().ok()?;
        let written = numbers.next()?.parse().ok()?;
        Some(Self {
            stream: stream.to_owned(),
            target: numbers.next()?.to_owned(),
            written,
            dropped,
            fails,
        })
    }
}

/// What a dead instance wrote last to standard error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct LastStderr {
    #[serde(skip)]
    pub(super) namespec: String,
    pub(super) pid: i64,
    pub(super) exited: i64,
    pub(super) exit: String,
    pub(super) text: String,
}

impl LastStderr {
    /// Reads a line of `supervisord.getLastStderr`.
    pub(super) fn read(value: &RpcValue) -> Result<Self, CtlError> {
        let line = as_text(value)?;
        let members: Vec<&str> = line.split('\t').collect();
        let [namespec, pid, exited, exit, text] = members.as_slice() else {
            return Err(unexpected("five members"));
        };
        let number = |text: &str| text.parse().map_err(|_| unexpected("a number"));
        Ok(Self {
            namespec: (*namespec).to_owned(),
            pid: number(pid)?,
            exited: number(exited)?,
            exit: (*exit).to_owned(),
            text: unescape_member(text)
                .ok_or_else(|| unexpected("a member"))?
                .into_owned(),
        })
    }
}

impl ProcessInfo {
    pub(super) fn read(value: &RpcValue) -> Result<Self, CtlError> {
        Ok(Self {
            name: text(value, "name")?,
            group: text(value, "group")?,
            state: int(value, "state")?,
            statename: text(value, "statename")?,
            description: text(value, "description")?,
            pid: int(value, "pid")?,
            start: int(value, "start")?,
            stop: int(value, "stop")?,
            now: int(value, "now")?,
            exitstatus: int(value, "exitstatus")?,
            spawnerr: text(value, "spawnerr")?,
            stdout_logfile: text(value, "stdout_logfile")?,
            stderr_logfile: text(value, "stderr_logfile")?,
            health: None,
            progress: String::new(),
            details: None,
        })
    }

    /// Parses a table of `supervisord.getProcessTable`. Members without a column are empty.
    pub(super) fn read_table(value: &RpcValue) -> Result<Vec<Self>, CtlError> {
        let text = match value {
            RpcValue::Text(text) => text,
            _ => return Err(unexpected("a string")),
        };
        let (names, rows) = read_table(text).ok_or_else(|| unexpected("a struct"))?;
        rows.into_iter()
            .map(|row| {
                let mut process = Self::default();
                for (name, member) in names.iter().zip(row) {
                    process.set(name, member)?;
                }
                Ok(process)
            })
            .collect()
    }

    fn set(&mut self, name: &str, member: Cow<'_, str>) -> Result<(), CtlError> {
        let text = match name {
            "name" => &mut self.name,
            "group" => &mut self.group,
            "statename" => &mut self.statename,
            "description" => &mut self.description,
            "spawnerr" => &mut self.spawnerr,
            "stdout_logfile" => &mut self.stdout_logfile,
            "stderr_logfile" => &mut self.stderr_logfile,
            "progress" => &mut self.progress,
            "lastexit" => &mut self.details_mut().lastexit,
            "health" => self.health.get_or_insert_default(),
            "logtargets" => {
                let targets = member.lines().filter_map(LogTargetInfo::parse);
                self.details_mut().logtargets = targets.collect();
                return Ok(());
            }
            _ => {
                let number = match name {
                    "state" => &mut self.state,
                    "pid" => &mut self.pid,
                    "start" => &mut self.start,
                    "stop" => &mut self.stop,
                    "now" => &mut self.now,
                    "exitstatus" => &mut self.exitstatus,
                    "restarts" => &mut self.details_mut().restarts,
                    "nextattempt" => &mut self.details_mut().nextattempt,
                    // A column that a later server version has.
                    _ => return Ok(()),
                };
                *number = member.parse().map_err(|_| unexpected("a number"))?;
                return Ok(());
            }
        };
        *text = member.into_owned();
        Ok(())
    }

    pub(super) fn details_mut(&mut self) -> &mut ProcessDetails {
        self.details.get_or_insert_default()
    }

    /// The name as people write it.
    pub(super) fn namespec(&self) -> String {
        Namespec::print(&self.group, &self.name)
    }

    /// Whether `spec` selects it or its whole group.
    pub(super) fn is_in(&self, spec: &Namespec) -> bool {
        self.group == spec.group
            && spec
                .process
                .as_ref()
                .is_none_or(|process| *process == self.name)
    }

    /// Whether it is in a state that `status` reports by its exit status.
    pub(super) fn is_stopped(&self) -> bool {
        ProcessState::from_code(self.state).is_some_and(ProcessState::is_stopped)
    }

    /// Whether its last attempt to run failed.
    pub(super) fn has_failed(&self) -> bool {
        matches!(
            ProcessState::from_code(self.state),
            Some(ProcessState::Backoff | ProcessState::Fatal)
        )
    }

    pub(super) fn is_running(&self) -> bool {
        ProcessState::from_code(self.state) == Some(ProcessState::Running)
    }
}

/// One process in `status --json`.
#[derive(Serialize)]
pub(super) struct ProcessJson<'a> {
    group: &'a str,
    name: &'a str,
    namespec: String,
    state: &'a str,
    statecode: i64,
    pid: i64,
    description: &'a str,
    start: i64,
    stop: i64,
    now: i64,
    exitstatus: i64,
    spawnerr: &'a str,
    logs: LogsJson<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    health: Option<&'a str>,
    progress: &'a str,
    #[serde(flatten)]
    details: Option<&'a ProcessDetails>,
}

#[derive(Serialize)]
struct LogsJson<'a> {
    stdout: &'a str,
    stderr: &'a str,
}

impl<'a> From<&'a ProcessInfo> for ProcessJson<'a> {
    fn from(process: &'a ProcessInfo) -> Self {
        Self {
            group: &process.group,
            name: &process.name,
            namespec: process.namespec(),
            state: &process.statename,
            statecode: process.state,
            pid: process.pid,
            description: &process.description,
            start: process.start,
            stop: process.stop,
            now: process.now,
            exitstatus: process.exitstatus,
            spawnerr: &process.spawnerr,
            logs: LogsJson {
                stdout: &process.stdout_logfile,
                stderr: &process.stderr_logfile,
            },
            health: process.health.as_deref(),
            progress: &process.progress,
            details: process.details.as_ref(),
        }
    }
}

/// One configured process, with the members that `avail` shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct ConfigInfo {
    pub(super) group: String,
    pub(super) name: String,
    pub(super) namespec: String,
    pub(super) inuse: bool,
    pub(super) autostart: bool,
    pub(super) group_prio: i64,
    pub(super) process_prio: i64,
}

impl ConfigInfo {
    pub(super) fn read(value: &RpcValue) -> Result<Self, CtlError> {
        let (group, name) = (text(value, "group")?, text(value, "name")?);
        Ok(Self {
            namespec: Namespec::print(&group, &name),
            group,
            name,
            inuse: boolean(value, "inuse")?,
            autostart: boolean(value, "autostart")?,
            group_prio: int(value, "group_prio")?,
            process_prio: int(value, "process_prio")?,
        })
    }
}

/// The result for one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProcessOutcome {
    pub(super) group: String,
    pub(super) name: String,
    pub(super) status: i64,
    pub(super) description: String,
}

impl ProcessOutcome {
    pub(super) fn read(value: &RpcValue) -> Result<Self, CtlError> {
        Ok(Self {
            group: text(value, "group")?,
            name: text(value, "name")?,
            status: int(value, "status")?,
            description: text(value, "description")?,
        })
    }
}

/// The result of `reloadConfig`: group names.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub(super) struct ReloadResult {
    pub(super) added: Vec<String>,
    pub(super) changed: Vec<String>,
    pub(super) removed: Vec<String>,
}

impl ReloadResult {
    pub(super) fn read(value: &RpcValue) -> Result<Self, CtlError> {
        let names = |value: &RpcValue| all(value, as_text);
        let outer = list(value)?;
        match outer {
            [inner] => match list(inner)? {
                [added, changed, removed] => Ok(Self {
                    added: names(added)?,
                    changed: names(changed)?,
                    removed: names(removed)?,
                }),
                _ => Err(unexpected("three lists")),
            },
            _ => Err(unexpected("one list")),
        }
    }
}

/// The result of changing a program's number of processes: namespecs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ScaleResult {
    pub(super) added: Vec<String>,
    pub(super) removed: Vec<String>,
}

impl ScaleResult {
    pub(super) fn read(value: &RpcValue) -> Result<Self, CtlError> {
        let names = |name| all(member(value, name)?, as_text);
        Ok(Self {
            added: names("added")?,
            removed: names("removed")?,
        })
    }
}

/// One process of `supervisord.getDependencies`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ProcessDependencies {
    pub(super) name: String,
    pub(super) group: String,
    pub(super) statename: String,
    pub(super) held_up: String,
    /// Milliseconds; -1: never.
    pub(super) started: i64,
    /// Milliseconds; -1: unknown.
    pub(super) ready: i64,
    pub(super) depends_on: Vec<DependencyOf>,
    pub(super) dependents: Vec<String>,
}

/// One dependency of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DependencyOf {
    pub(super) target: String,
    pub(super) condition: String,
    pub(super) met: bool,
    pub(super) processes: Vec<String>,
}

impl ProcessDependencies {
    /// The name as people write it.
    pub(super) fn namespec(&self) -> String {
        Namespec::print(&self.group, &self.name)
    }

    pub(super) fn read(value: &RpcValue) -> Result<Self, CtlError> {
        let need = |value: &RpcValue| {
            Ok(DependencyOf {
                target: text(value, "target")?,
                condition: text(value, "condition")?,
                met: boolean(value, "met")?,
                processes: all(member(value, "processes")?, as_text)?,
            })
        };
        Ok(Self {
            name: text(value, "name")?,
            group: text(value, "group")?,
            statename: text(value, "statename")?,
            held_up: text(value, "held_up")?,
            started: int(value, "started")?,
            ready: int(value, "ready")?,
            depends_on: all(member(value, "depends_on")?, need)?,
            dependents: all(member(value, "dependents")?, as_text)?,
        })
    }
}

/// The number of the daemon's upgrades in place, and whether one is in progress.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct UpgradeCount {
    pub(super) generation: i64,
    pub(super) is_upgrading: bool,
}

impl UpgradeCount {
    pub(super) fn read(value: &RpcValue) -> Result<Self, CtlError> {
        Ok(Self {
            generation: int(value, "generation")?,
            is_upgrading: boolean(value, "upgrading")?,
        })
    }
}

/// The error that a response has not the wanted shape.
pub(super) fn unexpected(wanted: &str) -> CtlError {
    CtlError::Garbage(format!("{wanted} expected"))
}

/// Reads all elements of an array.
pub(super) fn all<T>(
    value: &RpcValue,
    read: impl Fn(&RpcValue) -> Result<T, CtlError>,
) -> Result<Vec<T>, CtlError> {
    list(value)?.iter().map(read).collect()
}

fn list(value: &RpcValue) -> Result<&[RpcValue], CtlError> {
    match value {
        RpcValue::Array(values) => Ok(values),
        _ => Err(unexpected("a list")),
    }
}

/// Reads a string.
pub(super) fn as_text(value: &RpcValue) -> Result<String, CtlError> {
    match value {
        RpcValue::Text(text) => Ok(text.clone()),
        RpcValue::Bytes(bytes) => Ok(String::from_utf8_lossy(bytes).into_owned()),
        _ => Err(unexpected("a string")),
    }
}

/// Reads the result of `tailProcess…Log`: the text, the length of the log in bytes, and whether the text is only its end.
pub(super) fn log_tail(value: &RpcValue) -> Result<(String, i64, bool), CtlError> {
    match list(value)? {
        [text, size, overflow] => Ok((as_text(text)?, as_int(size)?, as_int(overflow)? != 0)),
        _ => Err(unexpected("three members")),
    }
}

/// Reads a number; a truth value counts as 0 or 1.
///
/// # Errors
/// The value is of another type.
pub(super) fn as_int(value: &RpcValue) -> Result<i64, CtlError> {
    match value {
        RpcValue::Int(number) => Ok(*number),
        RpcValue::Bool(truth) => Ok(i64::from(*truth)),
        _ => Err(unexpected("a number")),
    }
}

fn member<'a>(value: &'a RpcValue, name: &str) -> Result<&'a RpcValue, CtlError> {
    value
        .member(name)
        .ok_or_else(|| unexpected(&format!("member {name}")))
}

fn text(value: &RpcValue, name: &str) -> Result<String, CtlError> {
    as_text(member(value, name)?)
}

fn int(value: &RpcValue, name: &str) -> Result<i64, CtlError> {
    as_int(member(value, name)?)
}

fn boolean(value: &RpcValue, name: &str) -> Result<bool, CtlError> {
    Ok(as_int(member(value, name)?)? != 0)
}
