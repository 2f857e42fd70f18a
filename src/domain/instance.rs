//! The identity of one instance of a process and the paths of its logs, as passed between threads.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Channel, GroupName, ProcessName};

/// One instance of a process: its slot in the core and a number that is never used again, not even by a later daemon.
/// Every input and action that crosses threads contains it, so that the receiver drops a stale one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InstanceId {
    /// The index of the process in the core.
    #[serde(deserialize_with = "super::counter::slot")]
    pub slot: u32,
    /// The number of the instance.
    #[serde(deserialize_with = "super::counter::counter")]
    pub incarnation: u64,
}

/// The log files of the two streams of a process, with generated AUTO names. `None`: no file.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LogPaths {
    /// Standard output.
    pub stdout: Option<Arc<Path>>,
    /// Standard error. `None` with `redirect_stderr`.
    pub stderr: Option<Arc<Path>>,
}

/// What the name of a log in memory begins with. No file has the name.
const MEMORY: &str = "memory:";

/// The name of a log in the memory of the daemon, in place of its path.
#[must_use]
pub fn memory_log(group: &GroupName, name: &ProcessName, channel: Channel) -> Arc<Path> {
    let name = format!("{MEMORY}{group}:{name}:{}", channel.name());
    Arc::from(Path::new(&name))
}

/// Whether this is a name that [`memory_log`] returns.
#[must_use]
pub fn is_memory_log(path: &Path) -> bool {
    path.to_str().is_some_and(|path| path.starts_with(MEMORY))
}
