//! One instance of one process, and where its streams are written: the words that cross threads.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// One instance of one process: the slot it has in the core, and a number that is never used again, not even by a successor
/// of the daemon. Every input and action that crosses a thread carries it; a stale one is dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct InstanceId {
    /// Index of the process in the core.
    #[serde(deserialize_with = "super::counter::slot")]
    pub slot: u32,
    /// Which instance.
    #[serde(deserialize_with = "super::counter::counter")]
    pub incarnation: u64,
}

/// Where the two streams of a process are written, AUTO names made up; none: nowhere.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct LogPaths {
    /// Standard output.
    pub stdout: Option<Arc<Path>>,
    /// Standard error; none with `redirect_stderr`.
    pub stderr: Option<Arc<Path>>,
}
