//! All that the daemon knows of one process, for its page and for scripts.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{DependencyView, ProcessView};
use crate::config::spec::{ProcessSpec, ProgramTemplate};
use crate::domain::{ExitReason, ExitStatus, ProcessState, ResourceEvents};

/// One process with its past, its dependencies and its configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessDetails {
    /// Its present state.
    pub view: ProcessView,
    /// Its last states, the oldest first.
    pub history: Vec<StateEntry>,
    /// Its last instances that wrote to standard error, the oldest first. Empty if the caller may not read logs.
    pub ended: Vec<EndedInstance>,
    /// What it depends on. `None`: it has nothing to do with dependencies.
    pub dependencies: Option<DependencyView>,
    /// The processes that depend on it directly, running or not.
    pub dependents: Vec<String>,
    /// The states of the processes that it depends on and that depend on it, by name.
    pub neighbours: Vec<(String, ProcessState)>,
    /// Its configuration.
    pub spec: Arc<ProcessSpec>,
    /// The section that it was made of. `None`: its group does not know the section.
    pub template: Option<Arc<ProgramTemplate>>,
    /// How many processes the section has.
    pub numprocs: usize,
}

/// A state of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StateEntry {
    /// When it began, in seconds since the epoch. With several times: the last one.
    pub at: i64,
    /// How many times it came in succession, each time after the same states and with the same end.
    #[serde(default = "once", skip_serializing_if = "is_once")]
    pub times: u32,
    /// When it came for the first of these times, in seconds since the epoch. 0: it came once.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub since: i64,
    /// The state.
    pub state: ProcessState,
    /// The PID. 0: none.
    pub pid: i32,
    /// How the instance or the attempt before it ended. `None`: none ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Box<AttemptEnd>>,
}

fn has_no_events(events: &ResourceEvents) -> bool {
    events.is_none()
}

const fn once() -> u32 {
    1
}

const fn is_once(times: &u32) -> bool {
    *times == 1
}

const fn is_zero(time: &i64) -> bool {
    *time == 0
}

/// How an attempt to run a process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptEnd {
    /// How.
    pub reason: ExitReason,
    /// How long the instance had lived, in milliseconds. `None`: there was none.
    pub lived: Option<u64>,
    /// Resource limits that the instance hit.
    #[serde(default, skip_serializing_if = "has_no_events")]
    pub resource_events: ResourceEvents,
}

/// An instance that has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndedInstance {
    /// Its PID.
    pub pid: i32,
    /// When it exited, in seconds since the epoch.
    pub exited: i64,
    /// How it exited.
    pub status: ExitStatus,
    /// The end of its standard error, at most 4 KiB.
    pub stderr: Arc<str>,
}
