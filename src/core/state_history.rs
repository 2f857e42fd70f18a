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

    /// Adds a state and forgets the oldest ones beyond [`ENTRIES_MAX`]. If an attempt ended as the one before it, the states
    /// of both become one entry each, so that a process that fails again and again does not push out what it did before.
    pub(super) fn push(&mut self, entry: StateEntry) {
        if entry.end.is_some() && self.counts_with_last_end(&entry) {
            return;
        }
        self.0.push_back(entry);
        let surplus = self.0.len().saturating_sub(ENTRIES_MAX);
        self.0.drain(..surplus);
    }

    /// Adds a state to the entry of the last end, if that was the same and followed the same states. Returns whether it did.
    fn counts_with_last_end(&mut self, entry: &StateEntry) -> bool {
        let Some(last) = self.0.iter().rposition(|known| known.end.is_some()) else {
            return false;
        };
        let since_last = self.0.len() - last - 1;
        let Some(first) = last.checked_sub(since_last) else {
            return false;
        };
        let is_same = is_same_end(&self.0[last], entry)
            && (0..since_last).all(|at| self.0[first + at].state == self.0[last + 1 + at].state);
        if !is_same {
            return false;
        }
        // The newest attempt replaces the older one.
        for at in 0..since_last {
            self.0[first + at] = self.0[last + 1 + at].clone();
        }
        self.0.truncate(last + 1);
        let known = &mut self.0[last];
        let (times, since) = match known.times {
            1 => (2, known.at),
            times => (times.saturating_add(1), known.since),
        };
        *known = StateEntry {
            times,
            since,
            ..entry.clone()
        };
        true
    }

    /// All states, the oldest first.
    pub(super) fn entries(&self) -> impl Iterator<Item = &StateEntry> {
        self.0.iter()
    }
}

/// Whether two attempts ended in the same state and in the same way.
fn is_same_end(one: &StateEntry, other: &StateEntry) -> bool {
    match (&one.end, &other.end) {
        (Some(end), Some(other_end)) => {
            one.state == other.state
                && end.reason == other_end.reason
                && end.resource_events == other_end.resource_events
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::AttemptEnd;
    use crate::domain::{ExitReason, ExitStatus, ProcessState, ResourceEvents};

    #[test]
    fn the_oldest_state_is_forgotten_first() {
        let mut history = StateHistory::default();
        assert!(history.is_empty());
        for at in 0..=20 {
            history.push(StateEntry {
                at,
                times: 1,
                since: 0,
                state: ProcessState::Running,
                pid: 7,
                end: None,
            });
        }
        let times: Vec<i64> = history.entries().map(|entry| entry.at).collect();
        assert_eq!(times, (5..=20).collect::<Vec<_>>());
    }

    #[test]
    fn the_same_end_in_succession_is_counted() {
        let entry = |at: i64, state: ProcessState, code: Option<u8>| StateEntry {
            at,
            times: 1,
            since: 0,
            state,
            pid: 7,
            end: code.map(|code| {
                Box::new(AttemptEnd {
                    reason: ExitReason::ByItself(ExitStatus::Exited(code)),
                    lived: Some(5),
                    resource_events: ResourceEvents::NONE,
                })
            }),
        };
        let mut history = StateHistory::default();
        let mut at = 0;
        for code in [3, 3, 3, 4, 4] {
            for (state, code) in [
                (ProcessState::Starting, None),
                (ProcessState::Running, None),
                (ProcessState::Exited, Some(code)),
            ] {
                at += 1;
                history.push(entry(at, state, code));
            }
        }
        let found: Vec<(i64, u32, i64)> = history
            .entries()
            .map(|entry| (entry.at, entry.times, entry.since))
            .collect();
        assert_eq!(
            found,
            [
                (7, 1, 0),
                (8, 1, 0),
                (9, 3, 3),
                (13, 1, 0),
                (14, 1, 0),
                (15, 2, 12)
            ]
        );
        // Another state in between begins anew.
        history.push(entry(16, ProcessState::Stopped, None));
        history.push(entry(17, ProcessState::Starting, None));
        history.push(entry(18, ProcessState::Running, None));
        history.push(entry(19, ProcessState::Exited, Some(4)));
        assert_eq!(history.entries().last().map(|entry| entry.times), Some(1));
    }
}
