//! A change of the number of processes in progress, as data. `scale` performs it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::ticket::BatchMember;
use crate::api::{Fault, TargetResult};
use crate::config::spec::{GroupChangeResult, ProgramSpec};
use crate::domain::{GroupName, ProcessName};

/// A change of the number of processes in progress.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Scaling {
    /// The group.
    pub(super) group: GroupName,
    /// Distinguishes the group from a later one of the same name.
    pub(super) added: u64,
    /// The name of the program.
    pub(super) program: String,
    /// The wanted processes. `None`: the loader is still making them.
    pub(super) wanted: Option<Box<GroupChangeResult>>,
    /// Processes that are being stopped, by the index that their waiters have.
    pub(super) stopping: BTreeMap<u32, BatchMember>,
    /// Processes whose stop has succeeded or failed.
    pub(super) stopped: Vec<(u32, BatchMember, Option<Fault>)>,
    /// Removed processes, by the same index, which is the order of the stop requests.
    pub(super) removed: BTreeMap<u32, ProcessName>,
    /// Why processes could not be stopped.
    pub(super) problems: Vec<String>,
    /// The programs of the whole group if it reverts to the configuration read last. Empty: only one program changes.
    #[serde(default)]
    pub(super) whole: Vec<ProgramSpec>,
}

impl Scaling {
    /// Records that a process to be removed has stopped or could not be stopped.
    pub(super) fn stopped_one(&mut self, index: u32, result: TargetResult) {
        if let Some(member) = self.stopping.remove(&index) {
            self.stopped.push((index, member, result.fault));
        }
    }
}
