//! Actions on many processes that users have begun on a page: their progress and their results, also for a page that is
//! loaded again. They are in memory only.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;

use super::fleet::ActionResult;
use super::node::{Action, WallMillis, wall_now};

/// Maximum number of operations that run at a time.
const RUNNING_MAX: usize = 64;
/// Maximum number of operations of one user that run at a time.
const RUNNING_PER_USER_MAX: usize = 16;
/// Maximum number of operations that are kept.
const KEPT_MAX: usize = 200;
/// Maximum number of results that ended operations keep together. The oldest operations are forgotten first.
const RESULTS_KEPT_MAX: usize = 300_000;

/// What an operation does, and for whom.
#[derive(Debug, Clone)]
pub(in crate::hub) struct OperationTask {
    /// The name of the user.
    pub(in crate::hub) user: String,
    pub(in crate::hub) action: Action,
    /// The name of what it acts on, such as a group.
    pub(in crate::hub) subject: String,
    /// Number of processes.
    pub(in crate::hub) total: usize,
}

/// How far an operation is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(in crate::hub) struct OperationProgress {
    /// Number of results.
    pub(in crate::hub) done: usize,
    /// Number of failures among them.
    pub(in crate::hub) failed: usize,
    /// When it ended. `None`: it runs.
    pub(in crate::hub) ended: Option<WallMillis>,
    /// A user has stopped it: actions that had not begun do not begin.
    pub(in crate::hub) is_stopped: bool,
}

/// An operation.
#[derive(Debug)]
pub(in crate::hub) struct Operation {
    pub(in crate::hub) id: u64,
    pub(in crate::hub) task: OperationTask,
    pub(in crate::hub) begun: WallMillis,
    progress: watch::Sender<OperationProgress>,
    results: Mutex<Vec<ActionResult>>,
}

impl Operation {
    fn lock(&self) -> MutexGuard<'_, Vec<ActionResult>> {
        // Each change is one call, so the list is whole even after a panic.
        self.results.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(in crate::hub) fn progress(&self) -> OperationProgress {
        *self.progress.borrow()
    }

    /// The results so far, in the order in which they arrived.
    pub(in crate::hub) fn results(&self) -> Vec<ActionResult> {
        self.lock().clone()
    }

    /// Adds a result. `is_failure`: it counts as a failure.
    pub(in crate::hub) fn push(&self, result: ActionResult, is_failure: bool) {
        self.lock().push(result);
        self.progress.send_modify(|progress| {
            progress.done += 1;
            progress.failed += usize::from(is_failure);
        });
    }

    /// Keeps further actions from beginning.
    pub(in crate::hub) fn stop(&self) {
        self.progress
            .send_modify(|progress| progress.is_stopped = progress.ended.is_none());
    }

    /// Says that it has ended.
    pub(in crate::hub) fn end(&self) {
        self.progress
            .send_modify(|progress| progress.ended = Some(wall_now()));
    }

    /// Waits until a user stops it.
    pub(in crate::hub) async fn stopped(&self) {
        let mut progress = self.progress.subscribe();
        // The sender is a part of it, so this does not fail.
        let _ = progress.wait_for(|progress| progress.is_stopped).await;
    }

    /// Waits until it has ended.
    pub(in crate::hub) async fn ended(&self) {
        let mut progress = self.progress.subscribe();
        // As above.
        let _ = progress.wait_for(|progress| progress.ended.is_some()).await;
    }
}

/// The operations, the oldest first.
#[derive(Debug, Default)]
pub(in crate::hub) struct OperationStore(Mutex<StoredOperations>);

#[derive(Debug, Default)]
struct StoredOperations {
    last_id: u64,
    operations: VecDeque<Arc<Operation>>,
}

impl OperationStore {
    fn lock(&self) -> MutexGuard<'_, StoredOperations> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an operation. `None`: too many run.
    pub(in crate::hub) fn begin(&self, task: OperationTask) -> Option<Arc<Operation>> {
        let mut stored = self.lock();
        let is_running = |operation: &&Arc<Operation>| operation.progress().ended.is_none();
        let running = stored.operations.iter().filter(is_running);
        let of_user = running.clone();
        let of_user = of_user.filter(|operation| operation.task.user == task.user);
        if running.clone().count() >= RUNNING_MAX || of_user.count() >= RUNNING_PER_USER_MAX {
            return None;
        }
        stored.last_id += 1;
        let operation = Arc::new(Operation {
            id: stored.last_id,
            task,
            begun: wall_now(),
            progress: watch::Sender::default(),
            results: Mutex::default(),
        });
        stored.operations.push_back(operation.clone());
        stored.forget();
        Some(operation)
    }

    /// An operation that a user has begun.
    pub(in crate::hub) fn find(&self, id: u64, user: &str) -> Option<Arc<Operation>> {
        let stored = self.lock();
        let mut operations = stored.operations.iter();
        let found = operations.find(|operation| operation.id == id && operation.task.user == user);
        found.cloned()
    }

    /// The operations that a user has begun, the newest first.
    pub(in crate::hub) fn of_user(&self, user: &str) -> Vec<Arc<Operation>> {
        let stored = self.lock();
        let operations = stored.operations.iter().rev();
        operations
            .filter(|operation| operation.task.user == user)
            .cloned()
            .collect()
    }
}

impl StoredOperations {
    /// Forgets the oldest operations that have ended, until the rest is within the limits.
    fn forget(&mut self) {
        let ended = |operation: &Arc<Operation>| operation.progress().ended.is_some();
        loop {
            let results: usize = self
                .operations
                .iter()
                .filter(|operation| ended(operation))
                .map(|operation| operation.progress().done)
                .sum();
            if self.operations.len() <= KEPT_MAX && results <= RESULTS_KEPT_MAX {
                return;
            }
            match self.operations.iter().position(ended) {
                Some(at) => drop(self.operations.remove(at)),
                None => return,
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn task(user: &str) -> OperationTask {
        OperationTask {
            user: user.to_owned(),
            action: Action::Start,
            subject: "web".to_owned(),
            total: 1,
        }
    }

    #[test]
    fn operations_are_bounded_and_belong_to_their_users() {
        let store = OperationStore::default();
        let first = store.begin(task("a")).expect("begun");
        for _ in 1..RUNNING_PER_USER_MAX {
            assert!(store.begin(task("a")).is_some());
        }
        assert!(store.begin(task("a")).is_none(), "too many of one user");
        assert!(store.begin(task("b")).is_some());
        first.end();
        assert!(store.begin(task("a")).is_some(), "one has ended");
        assert!(store.find(first.id, "a").is_some());
        assert!(store.find(first.id, "b").is_none());
        assert_eq!(store.of_user("b").len(), 1);
        for _ in 0..2 * KEPT_MAX {
            store.begin(task("c")).expect("begun").end();
        }
        assert!(store.find(first.id, "a").is_none(), "it is forgotten");
        let running = store.of_user("a").len();
        assert_eq!(running, RUNNING_PER_USER_MAX, "those that run are not");
        assert!(store.lock().operations.len() <= KEPT_MAX + 1);
    }

    #[test]
    fn an_operation_that_has_ended_cannot_be_stopped() {
        let store = OperationStore::default();
        let operation = store.begin(task("a")).expect("begun");
        operation.end();
        operation.stop();
        assert!(!operation.progress().is_stopped);
    }
}
