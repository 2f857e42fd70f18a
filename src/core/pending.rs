//! The requests that wait for their answer, by kind.

use serde::{Deserialize, Serialize};

use super::rolling_restart::RollingRestart;
use super::scaling::Scaling;
use super::ticket::Batch;
use crate::domain::GroupName;

/// A request that waits for its answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Pending {
    /// The request acts on processes.
    Batch(Box<Batch>),
    /// The loader reads the configuration for a reread.
    Reread,
    /// The loader reads the configuration and plans an update. With an identifier of a plan, the configuration is
    /// accepted if this is still the plan.
    Plan(Option<String>),
    /// The loader reads the configuration for a restart.
    Restart,
    /// The output thread clears the daemon's log.
    ClearDaemonLog,
    /// The spawn thread tries the sockets of a group to be added.
    AddGroup(GroupName),
    /// The output thread writes bytes to a standard input. The name is as typed.
    Stdin(String),
    /// The loader makes the processes of a program to be added to this group.
    Adding(GroupName),
    /// The number of processes of a program is being changed.
    Scaling(Box<Scaling>),
    /// A rolling restart is in progress.
    Rolling(Box<RollingRestart>),
}
