//! The jobs of the cgroup thread and their results.

use std::sync::Arc;

use super::ProcessCgroup;
use crate::config::spec::CgroupLimits;
use crate::domain::{InstanceId, ResourceEvents};

/// A job for the cgroup thread.
#[derive(Debug)]
pub enum CgroupJob {
    /// The process has exited: collect its resource events, kill the remaining processes if `kill`, and remove the
    /// cgroup if it is empty. Answered with [`CgroupEmptied`].
    Empty {
        /// The instance of the process.
        instance: InstanceId,
        /// Its cgroup.
        process_cgroup: Arc<ProcessCgroup>,
        /// Kill the remaining processes.
        kill: bool,
    },
    /// The process has exited: remove its cgroup if it is empty.
    Remove(Arc<ProcessCgroup>),
    /// Write these limits.
    Limit(Arc<ProcessCgroup>, Arc<CgroupLimits>),
    /// Exit.
    Stop,
}

/// The answer to [`CgroupJob::Empty`]: the cgroup is empty, or nothing was to be killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CgroupEmptied {
    /// The instance of the process.
    pub instance: InstanceId,
    /// Its resource events.
    pub resource_events: ResourceEvents,
}
