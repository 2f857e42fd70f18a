//! Numbers of processes by state: the states that somebody cares about.

use std::ops::AddAssign;
use std::sync::Arc;

use serde::Serialize;

use crate::domain::ProcessState;
use crate::hub::node::ProcessView;

/// Numbers of processes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(in crate::hub) struct ProcessCounts {
    pub(in crate::hub) total: usize,
    pub(in crate::hub) running: usize,
    pub(in crate::hub) starting: usize,
    /// Also those that are stopping, have exited, or are in an unknown state.
    pub(in crate::hub) stopped: usize,
    pub(in crate::hub) failed: usize,
}

impl ProcessCounts {
    /// Counts processes.
    pub(in crate::hub) fn of<'n>(processes: impl Iterator<Item = &'n Arc<ProcessView>>) -> Self {
        let mut counts = Self::default();
        for process in processes {
            counts.add(process.state);
        }
        counts
    }

    /// Adds a process in a state.
    pub(in crate::hub) const fn add(&mut self, state: ProcessState) {
        self.total += 1;
        match state {
            ProcessState::Running => self.running += 1,
            ProcessState::Starting => self.starting += 1,
            ProcessState::Backoff | ProcessState::Fatal => self.failed += 1,
            _ => self.stopped += 1,
        }
    }
}

impl AddAssign for ProcessCounts {
    fn add_assign(&mut self, other: Self) {
        self.total += other.total;
        self.running += other.running;
        self.starting += other.starting;
        self.stopped += other.stopped;
        self.failed += other.failed;
    }
}
