//! What the thread of cgroups is asked, and what it answers.

use std::sync::Arc;

use super::Seat;
use crate::config::spec::Resources;
use crate::domain::{InstanceId, ResourceEvents};

/// What the thread is asked.
#[derive(Debug)]
pub enum Job {
    /// The process has ended: find out what it met, kill what is left if `kill`, remove the cgroup if it is empty; answer
    /// [`Done`].
    Empty {
        /// Whose.
        instance: InstanceId,
        /// Its cgroup.
        seat: Arc<Seat>,
        /// What is left is killed.
        kill: bool,
    },
    /// The process has ended: remove its cgroup if it is empty.
    Leave(Arc<Seat>),
    /// Write these limits.
    Limit(Arc<Seat>, Arc<Resources>),
    /// End.
    Stop,
}

/// Nothing is left to kill, or nothing was to be killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// Whose.
    pub instance: InstanceId,
    /// What it met.
    pub resource_events: ResourceEvents,
}
