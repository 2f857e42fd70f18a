//! The engine's loop: it turns events into inputs of the core and performs the actions that the core returns.
//!
//! It waits on one epoll set (the inbox, signals, the pidfd of every process) and on the next deadline of the core. It
//! makes no decisions and makes no call that can block.

use std::collections::VecDeque;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::attempts::Attempts;
use super::bus::{Bus, Publish};
use super::cgroup_jobs::Cgroups;
use super::channels::PER_TURN_MAX;
use super::children::{ChildEvent, Children};
use super::clients::Clients;
use super::holder_watch::HolderWatch;
use super::inbox::{Inbox, InboxSender};
use super::inherited::Inherited;
use super::loader::{Loader, LoaderJobs};
use super::orphans::OrphanSearch;
use super::run_store::RunStore;
use super::scripts::Scripts;
use super::systemd::{Notifier, Systemd};
use super::upgrade::Upgrade;
use super::wall_clock::WallClock;
use super::watches::Watches;
use crate::cgroup::CgroupManager;
use crate::config::spec::{Config, ReadyWhen};
use crate::core::{Actions, DaemonOutcome, DaemonSignal, Fleet, Input};
use crate::domain::{Line, Signal};
use crate::effects::{LoaderOutcome, OutputOutcome};
use crate::fd_holder::FdStore;
use crate::handoff::{CheckpointWriter, RestoredEngine};
use crate::heartbeat::{Heartbeats, Overdue};
use crate::output::OutputHandle;
use crate::spawn::SpawnHandle;
use crate::sys::{self, Interest, Poller, SignalReader, Waker};

/// The epoll token of the inbox.
const TOKEN_INBOX: u64 = 0;
/// The epoll token of the signal descriptor.
const TOKEN_SIGNALS: u64 = 1;
/// The epoll token of the exit of the heartbeat monitor thread.
const TOKEN_MONITOR: u64 = 2;
/// The epoll token of the exit of the fd holder.
pub(super) const TOKEN_HOLDER: u64 = 3;
/// The epoll token of the timer on the wall clock.
pub(super) const TOKEN_WALL: u64 = 4;
/// How often the engine polls processes whose pidfd the kernel refused to watch, in milliseconds.
const UNPOLLED_MS: u64 = 100;
/// Maximum duration of one turn of the loop. A turn computes and does not block. The longest one measured (`update`
/// with 10,000 processes) takes a second.
const TURN_MAX: Duration = Duration::from_secs(30);

/// Everything the engine needs to start.
pub struct EngineConfig {
    /// The core.
    pub fleet: Fleet,
    /// The signals of the daemon, blocked in all threads.
    pub signals: SignalReader,
    /// Reads the configuration from the files.
    pub loader: LoaderJobs,
    /// Receives every event. It must not block.
    pub publish: Publish,
    /// Sends status messages to the service manager.
    pub notifier: Notifier,
    /// When the daemon counts as ready.
    pub ready_when: ReadyWhen,
    /// The configuration of the run. A checkpoint contains it.
    pub config: Arc<Config>,
    /// The program of the next image.
    pub program: Arc<Path>,
    /// Watches the threads.
    pub heartbeats: Heartbeats,
    /// Requests a check of the control socket files. It must not block.
    pub check_sockets: Box<dyn Fn() + Send>,
    /// Manages the cgroups of processes.
    pub cgroup_manager: CgroupManager,
    /// The state of the previous daemon. `None`: a cold start.
    pub restored: Option<RestoredEngine>,
    /// The store of descriptors for recovery after a crash. `None`: no fd holder.
    pub fd_store: Option<Arc<FdStore>>,
    /// The store of the last runs of programs. `None`: they are kept in memory only.
    pub run_store: Option<RunStore>,
}

/// The engine. It is created first, so that the other threads can get its inbox, and then run.
pub struct Engine {
    pub(super) poller: Poller,
    pub(super) inbox: Inbox,
    pub(super) sender: InboxSender,
    pub(super) signals: SignalReader,
    pub(super) fleet: Fleet,
    pub(super) loader: Loader,
    pub(super) bus: Bus,
    pub(super) systemd: Systemd,
    pub(super) heartbeats: Heartbeats,
    pub(super) check_sockets: Box<dyn Fn() + Send>,
    pub(super) children: Children,
    pub(super) attempts: Attempts,
    pub(super) cgroups: Cgroups,
    pub(super) scripts: Scripts,
    pub(super) watches: Watches,
    /// When to look for orphans.
    pub(super) orphans: OrphanSearch,
    pub(super) clients: Clients,
    /// Inputs that resulted from performing an action. They are handled first.
    pub(super) follow_ups: VecDeque<Input>,
    pub(super) outcome: Option<DaemonOutcome>,
    pub(super) upgrade: Upgrade,
    pub(super) fd_store: Option<Arc<FdStore>>,
    pub(super) holder: HolderWatch,
    checkpoint: Option<CheckpointWriter>,
    /// The state of the previous daemon, until the loop starts.
    restored: Option<RestoredEngine>,
    pub(super) inherited: Inherited,
    pub(super) wall_clock: WallClock,
    pub(super) run_store: Option<RunStore>,
}

/// Handles of the threads that the engine sends jobs to.
pub struct Workers {
    /// The spawn thread.
    pub spawn: SpawnHandle,
    /// The output thread.
    pub output: OutputHandle,
}

/// How the loop ended.
pub enum EngineExit {
    /// All processes have stopped.
    Stopped(StoppedEngine),
    /// The processes keep running. [`Engine::hand_over`] returns the state for the successor.
    HandedOff(Box<Engine>),
}

/// What is left after all processes have stopped.
pub struct StoppedEngine {
    /// What to do next.
    pub outcome: DaemonOutcome,
    /// The signals, for the next run.
    pub signals: SignalReader,
    /// The configuration to restart with. `None`: no restart.
    pub next_config: Option<Arc<Config>>,
    /// The serial number of the next event.
    pub event_serial: u64,
    /// The connection to the service manager, for the next run.
    pub notifier: Notifier,
}

impl Engine {
    /// # Errors
    /// EMFILE, ENOMEM.
    pub fn new(parts: EngineConfig) -> io::Result<Self> {
        let poller = Poller::new()?;
        let waker = Waker::new(&poller, TOKEN_INBOX)?;
        poller.add(&parts.signals, TOKEN_SIGNALS, Interest::Read)?;
        let (sender, inbox) = Inbox::new(waker);
        let checkpoint = match parts.fd_store.clone() {
            Some(fd_store) => Some(CheckpointWriter::new(fd_store, parts.config.clone())?),
            None => None,
        };
        let heartbeats = parts.heartbeats;
        let mut fleet = parts.fleet;
        fleet.use_zones(sys::cron_zone);
        Ok(Self {
            poller,
            inbox,
            signals: parts.signals,
            fleet,
            loader: Loader::new(parts.loader, heartbeats.clone()),
            bus: Bus::new(parts.publish),
            systemd: Systemd::new(parts.notifier, parts.ready_when),
            check_sockets: parts.check_sockets,
            children: Children::new(),
            attempts: Attempts::default(),
            cgroups: Cgroups::new(parts.cgroup_manager, heartbeats.clone(), sender.clone()),
            scripts: Scripts::new(heartbeats.clone(), sender.clone()),
            watches: Watches::new(heartbeats.clone(), sender.clone()),
            orphans: OrphanSearch::of_this_process(),
            clients: Clients::default(),
            follow_ups: VecDeque::new(),
            outcome: None,
            upgrade: Upgrade::new(parts.program, parts.config),
            fd_store: parts.fd_store,
            holder: HolderWatch::default(),
            checkpoint,
            restored: parts.restored,
            inherited: Inherited::default(),
            wall_clock: WallClock::default(),
            run_store: parts.run_store,
            heartbeats,
            sender,
        })
    }

    /// Returns a sender for the inbox of the engine.
    #[must_use]
    pub fn sender(&self) -> InboxSender {
        self.sender.clone()
    }

    /// Runs until all processes have stopped or the state is to be handed over. It calls `begun` once, after it has
    /// sent the first jobs to the other threads. `begun` must not block.
    ///
    /// # Errors
    /// Only if epoll itself fails. No program or client can cause that.
    pub fn run(mut self, workers: &Workers, begun: impl FnOnce()) -> io::Result<EngineExit> {
        let heartbeat = self.heartbeats.register("engine", TURN_MAX, Overdue::Fatal);
        let _sender_heartbeat = self.systemd.register_sender(&self.heartbeats);
        heartbeat.busy();
        // Before Linux 6.9 a thread's exit cannot be watched. Then only the service manager's watchdog notices that the
        // monitor has exited.
        let monitor = self.heartbeats.watch_monitor().ok();
        if let Some(monitor) = &monitor {
            self.poller.add(monitor, TOKEN_MONITOR, Interest::Read)?;
        }
        self.watch_holder();
        match self.restored.take() {
            None => self.feed(Input::DaemonStarted, workers),
            Some(restored) => self.resume(restored, workers),
        }
        begun();
        loop {
            // Also before the first wait: the process may have inherited children.
            self.reap_orphans(workers);
            self.update_systemd(workers);
            if let Some(outcome) = self.outcome.take() {
                return Ok(EngineExit::Stopped(self.stopped(outcome)));
            }
            if self.advance_upgrade(workers) {
                self.log_handoff(workers);
                self.scripts.stop();
                self.watches.stop();
                self.close_inbox();
                return Ok(EngineExit::HandedOff(Box::new(self)));
            }
            self.set_wall_timer();
            let timeout = self.timeout();
            heartbeat.idle();
            let ready: Vec<u64> = self
                .poller
                .wait(timeout)?
                .map(|ready| ready.token)
                .collect();
            heartbeat.busy();
            for token in ready {
                self.handle_event(token, workers);
            }
            self.handle_due(workers);
        }
    }

    /// Handles an event of the epoll set.
    fn handle_event(&mut self, token: u64, workers: &Workers) {
        match token {
            TOKEN_INBOX => self.read_inbox(workers),
            TOKEN_SIGNALS => self.read_signals(workers),
            TOKEN_HOLDER => self.holder_ended(workers),
            TOKEN_MONITOR => self.heartbeats.monitor_ended(),
            TOKEN_WALL => self.wall_timer_expired(workers),
            _ => match self.children.event(token) {
                Some(ChildEvent::Exit(instance)) => {
                    self.reap(instance, workers);
                    // Hundreds of programs may exit at once, so handle a request after each.
                    self.handle_one_request(workers);
                }
                Some(ChildEvent::Notify(instance)) => {
                    self.read_channel(instance, PER_TURN_MAX, workers);
                }
                None => {}
            },
        }
    }

    /// Does what is due without an event.
    fn handle_due(&mut self, workers: &Workers) {
        for instance in self.children.take_unpolled() {
            if !self.reap(instance, workers) {
                self.children.poll_again(instance);
            }
        }
        let now = sys::now().mono;
        if self.holder.due().is_some_and(|at| at <= now) {
            self.start_holder();
        }
        let deadline = self.fleet.next_deadline();
        if deadline.is_some_and(|deadline| deadline <= sys::now().mono) || self.is_wall_due() {
            self.feed(Input::DeadlineReached, workers);
        }
    }

    /// Returns what the engine leaves after all processes have stopped.
    fn stopped(mut self, outcome: DaemonOutcome) -> StoppedEngine {
        StoppedEngine {
            outcome,
            next_config: self.fleet.take_next_config(),
            event_serial: self.fleet.event_serial(),
            signals: self.signals,
            notifier: self.systemd.into_notifier(),
        }
    }

    /// Returns how long the next wait may take. `None`: without limit.
    fn timeout(&self) -> Option<Duration> {
        let deadline = self
            .fleet
            .next_deadline()
            .into_iter()
            .chain(self.systemd.due())
            .chain(self.upgrade.due())
            .chain(self.holder.due())
            .chain(self.orphans.due())
            .min()
            .map(|at| Duration::from_nanos(at.nanos_since(sys::now().mono)));
        let deadline = match (deadline, self.wall_timeout()) {
            (Some(deadline), Some(look)) => Some(deadline.min(look)),
            (deadline, look) => deadline.or(look),
        };
        if !self.children.has_unpolled() {
            return deadline;
        }
        let pause = Duration::from_millis(UNPOLLED_MS);
        Some(deadline.map_or(pause, |deadline| deadline.min(pause)))
    }

    /// Passes `input` to the core and performs the resulting actions. Inputs that these cause are handled the same way.
    pub(super) fn feed(&mut self, input: Input, workers: &Workers) {
        match &input {
            Input::Output(
                OutputOutcome::Wrote { .. }
                | OutputOutcome::LastStderr { .. }
                | OutputOutcome::ListenerOutput(..)
                | OutputOutcome::Answered { .. },
            ) => {}
            Input::Loader(LoaderOutcome::Loaded { .. }) => self.systemd.mark_urgent(),
            _ => self.systemd.mark_stale(),
        }
        let mut next = Some(input);
        let mut actions = Actions::new();
        while let Some(input) = next {
            self.fleet.handle(sys::now(), input, &mut actions);
            // Write the checkpoint before performing the actions. A successor may then find an action that was not
            // performed, but never an effect that was not recorded.
            self.write_checkpoint(workers);
            for process in self.fleet.take_removed() {
                self.cgroups.remove_reused(&process, &workers.output);
            }
            for action in actions.drain(..) {
                self.perform(action, workers);
            }
            next = self.follow_ups.pop_front();
        }
    }

    /// Writes records of what the last input changed.
    fn write_checkpoint(&mut self, workers: &Workers) {
        match &mut self.checkpoint {
            Some(checkpoint) => {
                if let Some(line) = checkpoint.write(&mut self.fleet) {
                    self.log(line, workers);
                }
            }
            // There is no fd holder to store records for.
            None => self.fleet.discard_changes(),
        }
    }

    /// Sends changes of status to the service manager, and the keepalive for its watchdog.
    pub(super) fn update_systemd(&mut self, workers: &Workers) {
        let now = sys::now().mono;
        if let Some(error) = self.systemd.update(&self.fleet, now, &self.heartbeats) {
            self.log(Line::NotifyFailed { error }, workers);
        }
        if let Some(trouble) = self.systemd.take_withheld() {
            let trouble = trouble.to_string();
            self.log(Line::WatchdogWithheld { trouble }, workers);
        }
    }

    /// Handles the signals that the daemon received.
    fn read_signals(&mut self, workers: &Workers) {
        // An error could only be logged, and the next signal repeats the read.
        for delivered in self.signals.read().unwrap_or_default() {
            let received = match delivered.signal.number() {
                libc::SIGCHLD => {
                    self.orphans.child_ended(sys::now().mono);
                    self.log(Line::ReceivedChild {}, workers);
                    continue;
                }
                number if number == sys::detach_signal() => match self.detach(workers) {
                    true => continue,
                    // There is no fd holder, so no daemon could take over. Stop everything instead.
                    false => DaemonSignal::Exit(Signal::TERM),
                },
                libc::SIGHUP => DaemonSignal::Restart,
                libc::SIGUSR2 => DaemonSignal::ReopenLogs,
                _ => DaemonSignal::Exit(delivered.signal),
            };
            self.feed(Input::Received(received), workers);
        }
    }

    pub(super) fn log(&self, line: Line, workers: &Workers) {
        workers.output.log(line);
    }
}
