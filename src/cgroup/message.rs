//! What the thread of cgroups is asked, and what it answers.

use std::sync::Arc;

use super::ProcessCgroup;
use crate::config::spec::CgroupLimits;
use crate::domain::{InstanceId, ResourceEvents};

/// What the thread is asked.
#[derive(Debug)]
pub enum CgroupJob {
    /// The process has ended: find out what it met, kill what is left if `kill`, remove the cgroup if it is empty; answer
    /// [`Done`].
    Empty {
        /// Whose.
        instance: InstanceId,
        /// Its cgroup.
        process_cgroup: Arc<ProcessCgroup>,
        /// What is left is killed.
        kill: bool,
    },
    /// The process has ended: remove its cgroup if it is empty.
    Remove(Arc<ProcessCgroup>),
    /// Write these limits.
    Limit(Arc<ProcessCgroup>, Arc<CgroupLimits>),
    /// End.
    Stop,
}

/// Nothing is left to kill, or nothing was to be killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CgroupEmptied {
    /// Whose.
    pub instance: InstanceId,
    /// What it met.
    pub resource_events: ResourceEvents,
}
