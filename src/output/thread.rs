//! The interface of the output threads: start them, send commands, join them.

use std::io;
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::hub::{self, HubStart};
use super::late_lines;
use super::orders::{OutputInbox, OutputOrders, WAKER};
use super::output_state::OutputHandoff;
use super::reactor::Reactor;
use super::refusals::Admitted;
use super::{Activity, OutputCommand, OutputReport};
use crate::domain::{Level, Line};
use crate::fd_holder::FdStore;
use crate::heartbeat::Heartbeats;
use crate::sys::{self, Poller, SharedBuffer, Waker};

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
    late_lines::set_waker(waker.clone());
    let (commands, received) = mpsc::channel();
    let inbox = Arc::new(OutputInbox::default());
    let level = options.activity.level();
    let orders = OutputOrders::new(received, waker.clone(), inbox.clone());
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
        if matches!(command, OutputCommand::Log(..)) && !self.inbox.admits_line() {
            return;
        }
        // A send fails only after Stop, when there is nothing left to do.
        if self.commands.send(command).is_ok() && self.inbox.must_wake() {
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

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
        let mut orders = OutputOrders::new(received, waker, inbox);
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
