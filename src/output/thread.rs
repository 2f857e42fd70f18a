//! The output threads as others see them: started, told, joined.

use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::activity_queue::LINES_MAX;
use super::hub::{self, HubStart};
use super::output_state::OutputState;
use super::reactor::Reactor;
use super::refusals::{Admitted, Refusals};
use super::{Activity, OutputCommand, OutputReport};
use crate::domain::{Level, Line};
use crate::fd_holder::FdStore;
use crate::heartbeat::Heartbeats;
use crate::sys::{self, Poller, SharedBuffer, Waker};

/// The token of the waker; no instance has it.
pub(super) const WAKER: u64 = u64::MAX;

/// How the thread starts.
#[derive(Debug)]
pub struct OutputOptions {
    /// Already open; moves into the thread.
    pub activity: Activity,
    /// Remove escape sequences from what processes write.
    pub strip_ansi: bool,
    /// Where the ends of pipes are kept for a successor; none: they live and die with the daemon.
    pub fd_store: Option<Arc<FdStore>>,
    /// Memory that somebody keeps for our successor, of [`super::IN_FLIGHT_LOG_BYTES`] or so, with its place there
    /// ([`crate::domain::FdName::InFlightLog`]); what was under way in it must have been recovered ([`super::UnflushedChunk`]).
    /// `None`: what was read and not yet written is lost if we are killed.
    pub in_flight_log: Option<(usize, SharedBuffer)>,
    /// Watches the threads, and sees when a log hangs.
    pub heartbeats: Heartbeats,
}

/// Talks to the output thread. Clones talk to the same one.
#[derive(Debug, Clone)]
pub struct OutputHandle {
    // The channel itself has no bound, for sending must not block the engine. Its bound is that the core keeps at most one
    // command of a kind outstanding per instance or ticket, and LINES_MAX for lines.
    commands: Sender<OutputCommand>,
    waker: Waker,
    inbox: Arc<OutputInbox>,
    level: Level,
    ended: Arc<Mutex<Option<Receiver<Option<OutputState>>>>>,
}

/// What both sides count.
#[derive(Debug, Default)]
pub(super) struct OutputInbox {
    /// The thread looks at its commands before it sleeps: nobody needs to wake it.
    is_awake: AtomicBool,
    lines: AtomicUsize,
    lines_lost: AtomicU64,
    /// Counted before a line waits, so that refused calls cannot fill the queue either.
    refusals: Mutex<Refusals>,
}

impl OutputInbox {
    fn refusals(&self) -> MutexGuard<'_, Refusals> {
        self.refusals.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread's side.
pub(super) struct OutputOrders {
    commands: Receiver<OutputCommand>,
    /// The next one, where that was looked at.
    first: Option<OutputCommand>,
    waker: Waker,
    inbox: Arc<OutputInbox>,
}

/// Starts the thread. It hands `report` everything the engine must hear of; that must not block.
///
/// # Errors
/// EMFILE, ENOMEM, EAGAIN.
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
    /// Queues a command. Never blocks. After [`Command::Stop`] it does nothing.
    pub fn send(&self, command: OutputCommand) {
        if matches!(command, OutputCommand::Log(..))
            && self.inbox.lines.fetch_add(1, Ordering::Relaxed) >= LINES_MAX
        {
            self.inbox.lines.fetch_sub(1, Ordering::Relaxed);
            self.inbox.lines_lost.fetch_add(1, Ordering::Relaxed);
            return;
        }
        // The thread is gone only after Stop, when nothing is left to do.
        if self.commands.send(command).is_ok() && !self.inbox.is_awake.swap(true, Ordering::AcqRel)
        {
            self.waker.wake();
        }
    }

    /// Writes a line to the activity log, stamped now. Never blocks. Lines about refused calls are bounded for each source.
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
                        // It has to know that a window ends.
                        self.waker.wake();
                    }
                    return;
                }
            }
        }
        self.send(OutputCommand::Log(sys::now().wall, line));
    }

    /// Ends the thread after what it was told so far, and takes what it leaves to a successor. Reports that it made until
    /// then were given out before this returns.
    #[must_use]
    pub fn hand_over(&self) -> OutputState {
        self.send(OutputCommand::HandOver);
        self.end().unwrap_or_default()
    }

    /// Waits until the threads have ended, which they do after [`Command::Stop`]. One that hangs is not waited for.
    pub fn join(&self) {
        self.end();
    }

    fn end(&self) -> Option<OutputState> {
        let ended = self
            .ended
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        // A panic has already been printed by the thread itself.
        ended?.recv().ok().flatten()
    }
}

impl OutputOrders {
    /// To be called when the waker's token came up.
    pub(super) fn reset_waker(&self) {
        self.waker.reset();
    }

    /// The thread is awake, and will call [`Orders::sleep`].
    pub(super) fn stay_awake(&self) {
        self.inbox.is_awake.store(true, Ordering::Release);
    }

    /// The thread is about to sleep: a command that is sent from now on wakes it. False: there is one already.
    pub(super) fn sleep(&mut self) -> bool {
        // A sender queues its command before it swaps the flag. If it swaps before us, the command is seen below; if it
        // swaps after us, it wakes the thread.
        self.inbox.is_awake.swap(false, Ordering::AcqRel);
        if self.first.is_none() {
            self.first = self.take();
        }
        self.first.is_none()
    }

    /// The next command, if there is one.
    pub(super) fn next(&mut self) -> Option<OutputCommand> {
        let command = self.first.take().or_else(|| self.take())?;
        if matches!(command, OutputCommand::Log(..)) {
            self.inbox.lines.fetch_sub(1, Ordering::Relaxed);
        }
        Some(command)
    }

    fn take(&self) -> Option<OutputCommand> {
        match self.commands.try_recv() {
            Ok(command) => Some(command),
            Err(mpsc::TryRecvError::Empty) => None,
            // Every handle is gone: nobody can say Stop any more.
            Err(mpsc::TryRecvError::Disconnected) => Some(OutputCommand::Stop),
        }
    }

    /// How long to wait if nothing else comes, at most `timeout`: until there are refusals to be told.
    pub(super) fn timeout(&self, timeout: Option<Duration>) -> Option<Duration> {
        let next = self.inbox.refusals().next();
        let until = next.map(|when| when.saturating_duration_since(Instant::now()));
        until.into_iter().chain(timeout).min()
    }

    /// What is to be said of refused calls whose lines were left out. `is_last`: there will be no other time.
    pub(super) fn refusals(&self, is_last: bool) -> Vec<Line> {
        let now = (!is_last).then(Instant::now);
        self.inbox.refusals().over(now)
    }

    /// Lines lost since the last call.
    pub(super) fn lines_lost(&self) -> u64 {
        self.inbox.lines_lost.swap(0, Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_is_sent_while_the_thread_falls_asleep_wakes_it() {
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
        // While the thread is awake, nobody wakes it.
        orders.reset_waker();
        handle.send(OutputCommand::StripAnsi(true));
        assert_eq!(poller.wait(Some(Duration::ZERO)).expect("wait").count(), 0);
        assert!(!orders.sleep(), "it sees the command itself");
    }
}
