//! The last changes, numbered, for subscribers that read at their own pace and return after a lost connection.
//!
//! All subscribers share one bounded history, so a slow one costs no memory. It loses the changes that the history has
//! discarded when it reads on, and gets their number.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::sync::watch;

use crate::domain::Change;

/// Maximum number of changes. A thousand processes that restart at once cause four thousand.
const CHANGES_MAX: usize = 4096;
/// Maximum size of all changes, in bytes. Changes about output contain it.
const BYTES_MAX: usize = 2 << 20;

/// The last changes.
#[derive(Debug)]
pub struct ChangeHistory {
    /// Milliseconds since the epoch when the history began. They tell the numbers of one daemon from those of another.
    began: i64,
    recent: Mutex<RecentChanges>,
    /// The number of the next change.
    next: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct RecentChanges {
    changes: VecDeque<NumberedChange>,
    /// The number of the next change.
    next: u64,
    bytes: usize,
}

/// A change with its number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberedChange {
    /// Counts from 0.
    pub number: u64,
    /// When it happened, in milliseconds since the epoch.
    pub when: i64,
    /// The change.
    pub change: Change,
}

/// Changes that a subscriber reads at once.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ChangeBatch {
    /// How many changes before them the history has discarded.
    pub missed: u64,
    /// The changes, in order. Empty: there is none yet.
    pub changes: Vec<NumberedChange>,
}

impl ChangeHistory {
    pub(super) fn new() -> Self {
        Self {
            began: now(),
            recent: Mutex::default(),
            next: watch::Sender::new(0),
        }
    }

    /// A poisoned lock means that a reader panicked. It changes nothing.
    fn lock(&self) -> MutexGuard<'_, RecentChanges> {
        self.recent.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a change, and discards the oldest ones that exceed the limits.
    pub(super) fn push(&self, change: &Change) {
        let next = {
            let mut recent = self.lock();
            let number = recent.next;
            recent.next += 1;
            recent.bytes += change.size();
            recent.changes.push_back(NumberedChange {
                number,
                when: now(),
                change: change.clone(),
            });
            while recent.changes.len() > CHANGES_MAX
                || (recent.bytes > BYTES_MAX && recent.changes.len() > 1)
            {
                let oldest = recent.changes.pop_front();
                recent.bytes -= oldest.map_or(0, |oldest| oldest.change.size());
            }
            recent.next
        };
        self.next.send_replace(next);
    }

    /// Returns when the history began, in milliseconds since the epoch.
    #[must_use]
    pub fn began(&self) -> i64 {
        self.began
    }

    /// Returns the number of the next change.
    #[must_use]
    pub fn next_number(&self) -> u64 {
        self.lock().next
    }

    /// Returns at most `most` changes from the number `from` on.
    #[must_use]
    pub fn read(&self, from: u64, most: usize) -> ChangeBatch {
        let recent = self.lock();
        let first = recent.changes.front().map_or(recent.next, |one| one.number);
        let from_first = usize::try_from(from.saturating_sub(first)).unwrap_or(usize::MAX);
        ChangeBatch {
            missed: first.saturating_sub(from),
            changes: recent
                .changes
                .iter()
                .skip(from_first)
                .take(most)
                .cloned()
                .collect(),
        }
    }

    /// Returns a receiver that wakes at each new change. Its value is the number of the next change.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<u64> {
        self.next.subscribe()
    }
}

fn now() -> i64 {
    Timestamp::now().as_millisecond()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{SupervisorState, TickPeriod};

    fn tick(when: i64) -> Change {
        Change::Tick {
            period: TickPeriod::Seconds5,
            when,
        }
    }

    #[test]
    fn a_reader_gets_what_it_lacks_and_the_number_of_what_is_gone() {
        let history = ChangeHistory::new();
        assert_eq!(history.read(0, 9), ChangeBatch::default());
        let count = u64::try_from(CHANGES_MAX).expect("fits") + 5;
        for when in 0..count {
            history.push(&tick(i64::try_from(when).expect("fits")));
        }
        assert_eq!(history.next_number(), count);
        let batch = history.read(2, 3);
        assert_eq!(batch.missed, 3);
        let numbers: Vec<u64> = batch.changes.iter().map(|one| one.number).collect();
        assert_eq!(numbers, [5, 6, 7]);
        assert_eq!(batch.changes[0].change, tick(5));
        let batch = history.read(count - 1, 9);
        assert_eq!((batch.missed, batch.changes.len()), (0, 1));
        assert_eq!(history.read(count, 9), ChangeBatch::default());
    }

    #[test]
    fn large_changes_are_bounded_by_their_size() {
        let history = ChangeHistory::new();
        let large = Change::RemoteCommunication {
            kind: "x".to_owned(),
            data: "x".repeat(BYTES_MAX),
        };
        history.push(&tick(1));
        history.push(&large);
        let batch = history.read(0, 9);
        assert_eq!((batch.missed, batch.changes.len()), (1, 1));
        history.push(&Change::SupervisorState(SupervisorState::Running));
        let batch = history.read(0, 9);
        assert_eq!((batch.missed, batch.changes.len()), (2, 1));
        let recent = history.lock();
        assert_eq!(recent.bytes, recent.changes[0].change.size());
    }

    #[test]
    fn a_watcher_wakes_at_a_change() {
        let history = ChangeHistory::new();
        let mut watch = history.watch();
        assert!(!watch.has_changed().expect("open"));
        history.push(&tick(1));
        assert!(watch.has_changed().expect("open"));
        assert_eq!(*watch.borrow_and_update(), 1);
    }
}
