//! Values on the wire → the records that actions work with. The only place that knows the names of members.

use std::borrow::Cow;

use serde::Serialize;

use super::failure::Failure;
use crate::api::read_table;
use crate::api::xmlrpc::Value;
use crate::domain::{Namespec, ProcessState};

/// One process, as `getProcessInfo` tells of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Process {
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
}

impl Process {
    pub(super) fn read(value: &Value) -> Result<Self, Failure> {
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
        })
    }

    /// The processes of a table of `supervisord.getProcessTable`. Members that are no columns of it are empty.
    pub(super) fn read_table(value: &Value) -> Result<Vec<Self>, Failure> {
        let text = match value {
            Value::Text(text) => text,
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

    fn set(&mut self, name: &str, member: Cow<'_, str>) -> Result<(), Failure> {
        let text = match name {
            "name" => &mut self.name,
            "group" => &mut self.group,
            "statename" => &mut self.statename,
            "description" => &mut self.description,
            "spawnerr" => &mut self.spawnerr,
            "stdout_logfile" => &mut self.stdout_logfile,
            "stderr_logfile" => &mut self.stderr_logfile,
            _ => {
                let number = match name {
                    "state" => &mut self.state,
                    "pid" => &mut self.pid,
                    "start" => &mut self.start,
                    "stop" => &mut self.stop,
                    "now" => &mut self.now,
                    "exitstatus" => &mut self.exitstatus,
                    // A column that a later server has.
                    _ => return Ok(()),
                };
                *number = member.parse().map_err(|_| unexpected("a number"))?;
                return Ok(());
            }
        };
        *text = member.into_owned();
        Ok(())
    }

    /// How people call it.
    pub(super) fn namespec(&self) -> String {
        Namespec::print(&self.group, &self.name)
    }

    /// Whether `spec` names it, or its whole group.
    pub(super) fn is_in(&self, spec: &Namespec) -> bool {
        self.group == spec.group
            && spec
                .process
                .as_ref()
                .is_none_or(|process| *process == self.name)
    }

    /// A state that `status` reports by its exit status.
    pub(super) fn is_stopped(&self) -> bool {
        ProcessState::from_code(self.state).is_some_and(ProcessState::is_stopped)
    }

    pub(super) fn is_running(&self) -> bool {
        ProcessState::from_code(self.state) == Some(ProcessState::Running)
    }
}

/// What `status --json` says of one process.
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
}

#[derive(Serialize)]
struct LogsJson<'a> {
    stdout: &'a str,
    stderr: &'a str,
}

impl<'a> From<&'a Process> for ProcessJson<'a> {
    fn from(process: &'a Process) -> Self {
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
        }
    }
}

/// One configured process, as far as `avail` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Configured {
    pub(super) group: String,
    pub(super) name: String,
    pub(super) namespec: String,
    pub(super) inuse: bool,
    pub(super) autostart: bool,
    pub(super) group_prio: i64,
    pub(super) process_prio: i64,
}

impl Configured {
    pub(super) fn read(value: &Value) -> Result<Self, Failure> {
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

/// What became of one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outcome {
    pub(super) group: String,
    pub(super) name: String,
    pub(super) status: i64,
    pub(super) description: String,
}

impl Outcome {
    pub(super) fn read(value: &Value) -> Result<Self, Failure> {
        Ok(Self {
            group: text(value, "group")?,
            name: text(value, "name")?,
            status: int(value, "status")?,
            description: text(value, "description")?,
        })
    }
}

/// What `reloadConfig` found: names of groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct Difference {
    pub(super) added: Vec<String>,
    pub(super) changed: Vec<String>,
    pub(super) removed: Vec<String>,
}

impl Difference {
    pub(super) fn read(value: &Value) -> Result<Self, Failure> {
        let names = |value: &Value| all(value, as_text);
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

/// What became of a program whose number of processes was changed: namespecs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scaled {
    pub(super) added: Vec<String>,
    pub(super) removed: Vec<String>,
}

impl Scaled {
    pub(super) fn read(value: &Value) -> Result<Self, Failure> {
        let names = |name| all(member(value, name)?, as_text);
        Ok(Self {
            added: names("added")?,
            removed: names("removed")?,
        })
    }
}

/// How often the daemon was replaced in place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Generation {
    pub(super) generation: i64,
    pub(super) is_upgrading: bool,
}

impl Generation {
    pub(super) fn read(value: &Value) -> Result<Self, Failure> {
        Ok(Self {
            generation: int(value, "generation")?,
            is_upgrading: boolean(value, "upgrading")?,
        })
    }
}

fn unexpected(wanted: &str) -> Failure {
    Failure::Garbage(format!("{wanted} expected"))
}

/// Every element of an array.
pub(super) fn all<T>(
    value: &Value,
    read: impl Fn(&Value) -> Result<T, Failure>,
) -> Result<Vec<T>, Failure> {
    list(value)?.iter().map(read).collect()
}

fn list(value: &Value) -> Result<&[Value], Failure> {
    match value {
        Value::Array(values) => Ok(values),
        _ => Err(unexpected("a list")),
    }
}

/// A text.
pub(super) fn as_text(value: &Value) -> Result<String, Failure> {
    match value {
        Value::Text(text) => Ok(text.clone()),
        Value::Bytes(bytes) => Ok(String::from_utf8_lossy(bytes).into_owned()),
        _ => Err(unexpected("a string")),
    }
}

/// A number.
pub(super) fn as_int(value: &Value) -> Result<i64, Failure> {
    match value {
        Value::Int(number) => Ok(*number),
        Value::Bool(truth) => Ok(i64::from(*truth)),
        _ => Err(unexpected("a number")),
    }
}

fn member<'a>(value: &'a Value, name: &str) -> Result<&'a Value, Failure> {
    value
        .member(name)
        .ok_or_else(|| unexpected(&format!("member {name}")))
}

fn text(value: &Value, name: &str) -> Result<String, Failure> {
    as_text(member(value, name)?)
}

fn int(value: &Value, name: &str) -> Result<i64, Failure> {
    as_int(member(value, name)?)
}

fn boolean(value: &Value, name: &str) -> Result<bool, Failure> {
    Ok(as_int(member(value, name)?)? != 0)
}
