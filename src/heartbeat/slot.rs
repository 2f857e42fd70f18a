//! The heartbeat of one kind of job of one thread, as the thread and the monitor see it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use super::monitor::{Alarm, Overdue, PERIOD_MIN};
use crate::sys;

/// What a thread and the monitor share.
pub(super) struct HeartbeatSlot {
    /// The name of the thread, for messages.
    pub(super) name: &'static str,
    /// The number of the thread.
    pub(super) thread: i32,
    /// How long one job may last.
    pub(super) bound: Duration,
    pub(super) overdue: Overdue,
    /// When the current job began, in nanoseconds of CLOCK_MONOTONIC. 0: idle.
    since: AtomicU64,
    /// Jobs begun so far.
    jobs: AtomicU64,
    /// The thread no longer needs to be watched.
    retired: AtomicBool,
}

/// What the monitor sees of a slot at one moment.
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

    /// How long the current job has lasted. `None`: idle.
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

/// A thread's own end of its heartbeat. Dropping it says that the thread no longer needs to be watched, except in a panic.
pub struct Heartbeat {
    pub(super) slot: Arc<HeartbeatSlot>,
    pub(super) alarm: Arc<Alarm>,
}

impl Heartbeat {
    /// A job begins. A job that had begun ends with this.
    pub fn busy(&self) {
        let now = sys::now().mono.0.max(1);
        // Only this thread writes it.
        let jobs = self.slot.jobs.load(Ordering::Relaxed);
        self.slot.jobs.store(jobs + 1, Ordering::SeqCst);
        self.slot.since.store(now, Ordering::SeqCst);
        // The first look only sees that it has begun, so it need not wait for the bound.
        let first_look = nanos(self.slot.bound.min(PERIOD_MIN));
        self.alarm.expect_by(now.saturating_add(first_look));
    }

    /// The job has ended. The thread waits for the next one, for as long as that takes.
    pub fn idle(&self) {
        self.slot.since.store(0, Ordering::SeqCst);
    }
}

impl Drop for Heartbeat {
    fn drop(&mut self) {
        // A thread that unwinds was not told to end.
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
