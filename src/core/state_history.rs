//! The last states of a process. It answers "what happened?" without the log.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::api::StateEntry;

/// Maximum number of states that a process remembers: eight attempts that fail.
const ENTRIES_MAX: usize = 16;

/// The last states of one process, the oldest first.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct StateHistory(VecDeque<StateEntry>);

impl StateHistory {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds a state and forgets the oldest ones beyond [`ENTRIES_MAX`].
    pub(super) fn push(&mut self, entry: StateEntry) {
        self.0.push_back(entry);
        let surplus = self.0.len().saturating_sub(ENTRIES_MAX);
        self.0.drain(..surplus);
    }

    /// All states, the oldest first.
    pub(super) fn entries(&self) -> impl Iterator<Item = &StateEntry> {
        self.0.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ProcessState;

    #[test]
    fn the_oldest_state_is_forgotten_first() {
        let mut history = StateHistory::default();
        assert!(history.is_empty());
        for at in 0..=20 {
            history.push(StateEntry {
                at,
                state: ProcessState::Running,
                pid: 7,
                end: None,
            });
        }
        let times: Vec<i64> = history.entries().map(|entry| entry.at).collect();
        assert_eq!(times, (5..=20).collect::<Vec<_>>());
    }
}
