//! The progress of a shutdown. `shutdown` performs it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::domain::Tick;

/// The progress of a shutdown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ShutdownState {
    /// Priorities of groups that are not stopped yet, ascending.
    pub(super) levels: Vec<i64>,
    /// Processes that stop at another priority than that of their group, because of what they depend on.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) raised: BTreeMap<u32, i64>,
    /// The priority that is being stopped. `None`: not started yet.
    pub(super) level: Option<i64>,
    /// The number of processes of that priority that are not in a stopped state.
    pub(super) level_unstopped: u32,
    /// When the next "waiting for … to die" line is due. [`Tick::NEVER`]: no process is waited for.
    pub(super) report_at: Tick,
    /// Until when the next priority waits for its listeners to handle their events. [`Tick::NEVER`]: it has no such
    /// listeners or was not reached.
    pub(super) hold_until: Tick,
    /// Until when the exit waits for notifications, after all processes have stopped. `None`: not reached.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) await_reports_until: Option<Tick>,
}

impl ShutdownState {
    /// Returns when something is due without an input.
    pub(super) fn due(&self) -> Tick {
        // Before the first priority is reached, no process is waited for.
        let report = self.level.map_or(Tick::NEVER, |_| self.report_at);
        let reports = self.await_reports_until.unwrap_or(Tick::NEVER);
        report.min(self.hold_until).min(reports)
    }
}
