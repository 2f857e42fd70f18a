//! The queue of commands to the output threads, and the flag that tells whether their owner is awake.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::OutputCommand;
use super::activity_queue::LINES_MAX;
use super::refusals::Refusals;
use crate::domain::Line;
use crate::sys::Waker;

/// The epoll token of the waker. No instance has this token.
pub(super) const WAKER: u64 = u64::MAX;

/// The counters that both sides share.
#[derive(Debug, Default)]
pub(super) struct OutputInbox {
    /// The thread checks its commands before it sleeps, so it needs no wakeup.
    is_awake: AtomicBool,
    lines: AtomicUsize,
    lines_lost: AtomicU64,
    /// Counted before a line is queued, so that refused calls cannot fill the queue.
    refusals: Mutex<Refusals>,
}

impl OutputInbox {
    /// Counts a line that is about to be queued. False: the queue is full; the line is counted as lost.
    pub(super) fn admits_line(&self) -> bool {
        let has_room = self.lines.fetch_add(1, Ordering::Relaxed) < LINES_MAX;
        if !has_room {
            self.lines.fetch_sub(1, Ordering::Relaxed);
            self.lines_lost.fetch_add(1, Ordering::Relaxed);
        }
        has_room
    }

    /// Whether the sender of a command that was just queued must wake the thread.
    pub(super) fn must_wake(&self) -> bool {
        !self.is_awake.swap(true, Ordering::AcqRel)
    }

    /// The counted refusals.
    pub(super) fn refusals(&self) -> MutexGuard<'_, Refusals> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The receiving side of an [`OutputHandle`](super::OutputHandle).
pub(super) struct OutputOrders {
    commands: Receiver<OutputCommand>,
    /// The next command, if [`OutputOrders::sleep`] received one.
    first: Option<OutputCommand>,
    waker: Waker,
    inbox: Arc<OutputInbox>,
}

impl OutputOrders {
    pub(super) fn new(
        commands: Receiver<OutputCommand>,
        waker: Waker,
        inbox: Arc<OutputInbox>,
    ) -> Self {
        Self {
            commands,
            first: None,
            waker,
            inbox,
        }
    }

    /// Call it when epoll returned the waker's token.
    pub(super) fn reset_waker(&self) {
        self.waker.reset();
    }

    /// Marks the thread as awake. It will call [`OutputOrders::sleep`].
    pub(super) fn stay_awake(&self) {
        self.inbox.is_awake.store(true, Ordering::Release);
    }

    /// Marks the thread as asleep: from now on a sent command wakes it. False: a command is already queued.
    pub(super) fn sleep(&mut self) -> bool {
        // A sender queues its command before it swaps the flag. If it swaps before this thread, the command is found
        // below; if it swaps after, it wakes the thread.
        self.inbox.is_awake.swap(false, Ordering::AcqRel);
        if self.first.is_none() {
            self.first = self.receive();
        }
        self.first.is_none()
    }

    /// Returns the next command, if there is one.
    pub(super) fn next(&mut self) -> Option<OutputCommand> {
        let command = self.first.take().or_else(|| self.receive())?;
        if matches!(command, OutputCommand::Log(..)) {
            self.inbox.lines.fetch_sub(1, Ordering::Relaxed);
        }
        Some(command)
    }

    fn receive(&self) -> Option<OutputCommand> {
        match self.commands.try_recv() {
            Ok(command) => Some(command),
            Err(mpsc::TryRecvError::Empty) => None,
            // All handles are gone, so no Stop can follow.
            Err(mpsc::TryRecvError::Disconnected) => Some(OutputCommand::Stop),
        }
    }

    /// Returns how long to wait for events: `timeout`, or until suppressed refusals must be logged.
    pub(super) fn timeout(&self, timeout: Option<Duration>) -> Option<Duration> {
        let next = self.inbox.refusals().next();
        let until = next.map(|when| when.saturating_duration_since(Instant::now()));
        until.into_iter().chain(timeout).min()
    }

    /// Returns the lines about suppressed refusals. `is_last`: for all windows, since the threads end.
    pub(super) fn refusals(&self, is_last: bool) -> Vec<Line> {
        let now = (!is_last).then(Instant::now);
        self.inbox.refusals().over(now)
    }

    /// Returns the number of lines lost since the last call.
    pub(super) fn lines_lost(&self) -> u64 {
        self.inbox.lines_lost.swap(0, Ordering::Relaxed)
    }
}
