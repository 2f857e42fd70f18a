//! The interface of the output threads: start them, send commands, join them.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::activity_queue::LINES_MAX;
use super::hub::{self, HubStart};
use super::output_state::OutputHandoff;
use super::reactor::Reactor;
use super::refusals::{Admitted, Refusals};
use super::{Activity, OutputCommand, OutputReport};
use crate::domain::{Level, Line};
use crate::fd_holder::FdStore;
use crate::heartbeat::Heartbeats;
use crate::sys::{self, Poller, SharedBuffer, Waker};

/// The epoll token of the waker. No instance has this token.
pub(super) const WAKER: u64 = u64::MAX;

/// The start options of the output threads.
#[derive(Debug)]
pub struct OutputOptions {
    /// The open activity log. It moves into the threads.
    pub activity: Activity,
    /// Remove escape sequences from the output of processes.
    pub strip_ansi: bool,
    /// Where pipe ends are stored for the next daemon. `None`: they are lost with this one.
    pub fd_store: Option<Arc<FdStore>>,
    /// The number in the [`crate::domain::FdName::InFlightLog`] under which in-flight logs are stored, and memory of
    /// about [`super::IN_FLIGHT_LOG_BYTES`] for the first. Its previous content must be recovered already
    /// ([`super::UnflushedChunk`]). `None`: bytes that were read but not written are lost if the daemon is killed.
    pub in_flight_log: Option<(usize, SharedBuffer)>,
    /// The monitor of the threads. It also notices that a log hangs.
    pub heartbeats: Heartbeats,
}

/// A handle to the output threads. Clones refer to the same threads.
#[derive(Debug, Clone)]
pub struct OutputHandle {
    // The channel is unbounded, because sending must not block the engine. In effect it is bounded: the core has at
    // most one outstanding command of a kind per instance or ticket, and LINES_MAX limits lines.
    commands: Sender<OutputCommand>,
    waker: Waker,
    inbox: Arc<OutputInbox>,
    level: Level,
    ended: Arc<Mutex<Option<Receiver<Option<OutputHandoff>>>>>,
}

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
    fn refusals(&self) -> MutexGuard<'_, Refusals> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The receiving side of an [`OutputHandle`].
pub(super) struct OutputOrders {
    commands: Receiver<OutputCommand>,
    /// The next command, if [`OutputOrders::sleep`] received one.
    first: Option<OutputCommand>,
    waker: Waker,
    inbox: Arc<OutputInbox>,
}

/// Starts the threads. They pass everything that the engine must know to `report`, which must not block.
///
/// # Errors
/// EMFILE, ENOMEM or EAGAIN.
pub fn start(
    options: OutputOptions,
    report: impl Fn(OutputReport) + Send + 'static,
) -> io::Result<OutputHandle> {
    let poller = Poller::new()?;
    let waker = Waker::new(&poller, WAKER)?;
    let (commands, received) = mpsc::channel();
    let inbox = Arc::new(OutputInbox::default());
    let level = options.activity.level();
    let orders = OutputOrders {
        commands: received,
        first: None,
        waker: waker.clone(),
        inbox: inbox.clone(),
    };
    let reactor = Reactor::new(
        poller,
        options.activity,
        options.strip_ansi,
        options.fd_store,
        Box::new(report),
    );
    let (tell_end, ended) = mpsc::channel();
    hub::start(HubStart {
        reactor,
        orders,
        waker: waker.clone(),
        beats: options.heartbeats,
        in_flight_log: options.in_flight_log,
        ended: tell_end,
    })?;
    Ok(OutputHandle {
        commands,
        waker,
        inbox,
        level,
        ended: Arc::new(Mutex::new(Some(ended))),
    })
}

impl OutputHandle {
    /// Queues a command. Never blocks. Does nothing after [`OutputCommand::Stop`].
    pub fn send(&self, command: OutputCommand) {
        if matches!(command, OutputCommand::Log(..))
            && self.inbox.lines.fetch_add(1, Ordering::Relaxed) >= LINES_MAX
        {
            self.inbox.lines.fetch_sub(1, Ordering::Relaxed);
            self.inbox.lines_lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        // A send fails only after Stop, when there is nothing left to do.
        if self.commands.send(command).is_ok() && !self.inbox.is_awake.swap(true, Ordering::AcqRel)
        {
            self.waker.wake();
        }
    }

    /// Writes a line to the activity log with the present time. Never blocks. Lines about refused calls are limited per
    /// source.
    pub fn log(&self, mut line: Line) {
        if line.level() < self.level {
            return;
        }
        line.shorten();
        if let Some(source) = line.refused_source() {
            let admitted = self.inbox.refusals().admit(source, Instant::now());
            match admitted {
                Admitted::Written(None) => {}
                Admitted::Written(Some(before)) => {
                    self.send(OutputCommand::Log(sys::now().wall, before));
                }
                Admitted::Suppressed { is_first } => {
                    if is_first {
                        // The thread must report the suppressed lines at the end of the window.
                        self.waker.wake();
                    }
                    return;
                }
            }
        }
        self.send(OutputCommand::Log(sys::now().wall, line));
    }

    /// Ends the threads after all commands so far, and returns their state for the next daemon. All their reports are
    /// delivered before this returns.
    #[must_use]
    pub fn hand_over(&self) -> OutputHandoff {
        self.send(OutputCommand::HandOver);
        self.end().unwrap_or_default()
    }

    /// Waits until the threads have ended after [`OutputCommand::Stop`]. Does not wait for a thread that hangs.
    pub fn join(&self) {
        self.end();
    }

    fn end(&self) -> Option<OutputHandoff> {
        let ended = self
            .ended
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        // The thread itself has already printed its panic.
        ended?.recv().ok().flatten()
    }
}

impl OutputOrders {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_sent_before_the_thread_sleeps_wakes_it() {
        const SENDERS: u32 = 4;
        const EACH: u32 = 20_000;
        let mut poller = Poller::new().expect("epoll");
        let waker = Waker::new(&poller, WAKER).expect("eventfd");
        let (commands, received) = mpsc::channel();
        let inbox = Arc::new(OutputInbox::default());
        let handle = OutputHandle {
            commands,
            waker: waker.clone(),
            inbox: inbox.clone(),
            level: Level::Info,
            ended: Arc::default(),
        };
        let mut orders = OutputOrders {
            commands: received,
            first: None,
            waker,
            inbox,
        };
        let senders: Vec<_> = (0..SENDERS)
            .map(|_| {
                let handle = handle.clone();
                std::thread::spawn(move || {
                    for turn in 0..EACH {
                        handle.send(OutputCommand::StripAnsi(true));
                        if turn % 7 == 0 {
                            std::thread::yield_now();
                        }
                    }
                })
            })
            .collect();
        let mut count = 0;
        while count < SENDERS * EACH {
            let timeout = match orders.sleep() {
                true => Duration::from_secs(20),
                false => Duration::ZERO,
            };
            let is_woken = poller.wait(Some(timeout)).expect("wait").count() > 0;
            assert!(is_woken || timeout.is_zero(), "asleep after {count}");
            orders.stay_awake();
            if is_woken {
                orders.reset_waker();
            }
            while orders.next().is_some() {
                count += 1;
            }
        }
        for sender in senders {
            sender.join().expect("sent");
        }
        // A thread that is awake gets no wakeup.
        orders.reset_waker();
        handle.send(OutputCommand::StripAnsi(true));
        assert_eq!(poller.wait(Some(Duration::ZERO)).expect("wait").count(), 0);
        assert!(!orders.sleep(), "it sees the command itself");
    }
}
