//! The heartbeat of one kind of job of one thread.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::monitor::{Alarm, Overdue, PERIOD_MIN};
use crate::sys;

/// Data that a thread and the monitor share.
pub(super) struct HeartbeatSlot {
    /// The name of the thread, for messages.
    pub(super) name: &'static str,
    /// The thread ID.
    pub(super) thread: i32,
    /// How long one job may take.
    pub(super) bound: Duration,
    pub(super) overdue: Overdue,
    /// When the current job started, in nanoseconds of CLOCK_MONOTONIC. 0: idle.
    since: AtomicU64,
    /// The number of jobs started so far.
    jobs: AtomicU64,
    /// The thread no longer needs to be watched.
    retired: AtomicBool,
}

/// The state of a slot at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct SlotState {
    pub(super) jobs: u64,
    pub(super) is_busy: bool,
}

impl HeartbeatSlot {
    pub(super) fn new(name: &'static str, bound: Duration, overdue: Overdue) -> Self {
        Self::of_thread(name, sys::thread_id(), bound, overdue)
    }

    pub(super) fn of_thread(
        name: &'static str,
        thread: i32,
        bound: Duration,
        overdue: Overdue,
    ) -> Self {
        Self {
            name,
            thread,
            bound,
            overdue,
            since: AtomicU64::new(0),
            jobs: AtomicU64::new(0),
            retired: AtomicBool::new(false),
        }
    }

    pub(super) fn state(&self) -> SlotState {
        let jobs = self.jobs.load(Ordering::SeqCst);
        let is_busy = self.since.load(Ordering::SeqCst) != 0;
        SlotState { jobs, is_busy }
    }

    /// Returns how long the current job has taken. `None`: idle.
    pub(super) fn busy_for(&self) -> Option<Duration> {
        match self.since.load(Ordering::SeqCst) {
            0 => None,
            since => Some(Duration::from_nanos(
                sys::now().mono.0.saturating_sub(since),
            )),
        }
    }

    pub(super) fn is_retired(&self) -> bool {
        self.retired.load(Ordering::SeqCst)
    }
}

/// A thread's handle of its heartbeat. Dropping it ends the watch over the thread, except in a panic.
pub struct Heartbeat {
    pub(super) slot: Arc<HeartbeatSlot>,
    pub(super) alarm: Arc<Alarm>,
}

impl Heartbeat {
    /// Reports that a job starts. A job in progress ends with this.
    pub fn busy(&self) {
        let now = sys::now().mono.0.max(1);
        // Only this thread writes it.
        let jobs = self.slot.jobs.load(Ordering::Relaxed);
        self.slot.jobs.store(jobs + 1, Ordering::SeqCst);
        self.slot.since.store(now, Ordering::SeqCst);
        // The first check only records that the job has started, so it need not wait for the bound.
        let first_look = nanos(self.slot.bound.min(PERIOD_MIN));
        self.alarm.expect_by(now.saturating_add(first_look));
    }

    /// Reports that the job has ended. The thread may then wait for the next one without limit.
    pub fn idle(&self) {
        self.slot.since.store(0, Ordering::SeqCst);
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        // A thread that unwinds exits unexpectedly and must stay watched.
        if std::thread::panicking() {
            return;
        }
        self.slot.retired.store(true, Ordering::SeqCst);
        self.slot.since.store(0, Ordering::SeqCst);
        self.alarm.ring();
    }
}

impl std::fmt::Debug for Heartbeat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Heartbeat")
            .field("thread", &self.slot.name)
            .finish_non_exhaustive()
    }
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
