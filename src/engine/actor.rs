//! The engine's loop: it turns events into inputs of the core and performs the actions that the core returns.
//!
//! It waits on one epoll set (the inbox, signals, the pidfd of every process) and on the next deadline of the core. It
//! makes no decisions and makes no call that can block.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::bus::{Bus, Publish};
use super::channels::{AT_ONCE_MAX, Channels, PER_TURN_MAX};
use super::holder_watch::HolderWatch;
use super::inbox::{AnswerFn, EngineMessage, Inbox, InboxSender, RequestMessage};
use super::loader::{Compose, Load, Loader};
use super::orphans::{self, OrphanSearch};
use super::systemd::{Notifier, Systemd};
use super::upgrade::UpgradeStep;
use crate::api::Ticket;
use crate::cgroup::{CgroupHandle, CgroupManager, ProcessCgroup};
use crate::config::spec::{Config, ReadyWhen};
use crate::core::{Actions, DaemonOutcome, DaemonSignal, Fleet, Input};
use crate::domain::{Errno, ExitStatus, InstanceId, Line, Signal};
use crate::fd_holder::FdStore;
use crate::handoff::{CheckpointWriter, PendingReport, RestoredEngine};
use crate::heartbeat::{Heartbeats, Overdue};
use crate::output::{InstanceState, OutputCommand, OutputHandle, OutputReport, UnflushedChunk};
use crate::spawn::{SharedSocket, SpawnAnswer, SpawnHandle, SpawnPlan};
use crate::sys::{self, ChildStdio, Interest, NamedFds, Poller, SignalReader, Waker};

/// The epoll token of the inbox.
const TOKEN_INBOX: u64 = 0;
/// The epoll token of the signal descriptor.
const TOKEN_SIGNALS: u64 = 1;
/// The epoll token of the exit of the heartbeat monitor thread.
const TOKEN_MONITOR: u64 = 2;
/// The epoll token of the exit of the fd holder.
pub(super) const TOKEN_HOLDER: u64 = 3;
/// The first token of pidfds and notify channels. Tokens are never reused, so a late event is never taken for another
/// process's.
const TOKEN_PROCESSES: u64 = 16;
/// Maximum number of messages per turn, and of requests, before the engine checks pidfds and signals again.
const MESSAGES_PER_TURN: usize = 256;
/// How often the engine polls processes whose pidfd the kernel refused to watch, in milliseconds.
const UNPOLLED_MS: u64 = 100;
/// Maximum duration of one turn of the loop. A turn computes and does not block. The longest one measured (`update`
/// with 10,000 processes) takes a second.
const TURN_MAX: Duration = Duration::from_secs(30);

/// A running or unreaped child process.
pub(super) struct Child {
    pub(super) pid: i32,
    /// Shared with the fd store, which keeps it for a successor.
    pub(super) pidfd: Arc<OwnedFd>,
    token: u64,
}

/// Everything the engine needs to start.
pub struct EngineConfig {
    /// The core.
    pub fleet: Fleet,
    /// The signals of the daemon, blocked in all threads.
    pub signals: SignalReader,
    /// Reads the configuration from the files.
    pub load: Arc<Load>,
    /// Receives every event. It must not block.
    pub publish: Publish,
    /// Makes processes from a section.
    pub compose: Arc<Compose>,
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
    /// Running processes by instance, so that a signal for an old instance never reaches a newer process.
    pub(super) children: BTreeMap<InstanceId, Child>,
    tokens: HashMap<u64, InstanceId>,
    next_token: u64,
    /// The notify channels of the processes.
    pub(super) channels: Channels,
    /// Instances whose pidfd epoll refused (ENOMEM, ENOSPC). The engine polls them at intervals.
    unpolled: Vec<InstanceId>,
    /// Plans of instances between Resolved and Spawn.
    pub(super) plans: HashMap<InstanceId, Box<SpawnPlan>>,
    /// The child's ends of the pipes of instances between Prepared and Spawn.
    pub(super) ends: HashMap<InstanceId, ChildStdio>,
    /// The cgroups of instances between Spawned and their exit.
    pub(super) process_cgroups: HashMap<InstanceId, Arc<ProcessCgroup>>,
    /// The thread that handles cgroups. `None`: not started yet.
    pub(super) cgroups: Option<CgroupHandle>,
    /// Spawn jobs without an answer. While there are any, an unknown child may be one of these processes.
    pub(super) spawning: BTreeSet<InstanceId>,
    /// When to look for orphans.
    orphans: OrphanSearch,
    pub(super) tickets: HashMap<Ticket, AnswerFn>,
    next_ticket: u64,
    /// Inputs that resulted from performing an action. They are handled first.
    pub(super) follow_ups: VecDeque<Input>,
    pub(super) outcome: Option<DaemonOutcome>,
    pub(super) upgrade: UpgradeStep,
    /// The configuration of the run.
    pub(super) config: Arc<Config>,
    pub(super) program: Arc<Path>,
    /// The sockets of fcgi programs that the spawn thread returned when it ended. `None`: it still runs.
    pub(super) sockets: Option<Vec<(SharedSocket, OwnedFd)>>,
    pub(super) fd_store: Option<Arc<FdStore>>,
    pub(super) holder: HolderWatch,
    pub(super) cgroup_manager: CgroupManager,
    pub(super) checkpoint: Option<CheckpointWriter>,
    /// The daemon is detaching from all processes, so that another daemon can take them over.
    pub(super) detaches: bool,
    /// Reports that arrived after the last input of the core. They are part of the handoff.
    pub(super) pending_reports: Vec<PendingReport>,
    /// The state of the previous daemon, until the loop starts.
    begin: Option<RestoredEngine>,
    /// The state of streams of the previous daemon that was not adopted yet.
    pub(super) restored: BTreeMap<InstanceId, InstanceState>,
    pub(super) inherited_fds: NamedFds,
    pub(super) unflushed: Vec<UnflushedChunk>,
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
        let fd_store = parts.fd_store;
        let checkpoint = match fd_store.clone() {
            Some(fd_store) => Some(CheckpointWriter::new(fd_store, parts.config.clone())?),
            None => None,
        };
        Ok(Self {
            poller,
            inbox,
            sender,
            signals: parts.signals,
            fleet: parts.fleet,
            loader: Loader::new(parts.load, parts.compose, parts.heartbeats.clone()),
            bus: Bus::new(parts.publish),
            systemd: Systemd::new(parts.notifier, parts.ready_when),
            heartbeats: parts.heartbeats,
            check_sockets: parts.check_sockets,
            children: BTreeMap::new(),
            tokens: HashMap::new(),
            next_token: TOKEN_PROCESSES,
            channels: Channels::default(),
            unpolled: Vec::new(),
            plans: HashMap::new(),
            ends: HashMap::new(),
            process_cgroups: HashMap::new(),
            cgroups: None,
            spawning: BTreeSet::new(),
            orphans: OrphanSearch::of_this_process(),
            tickets: HashMap::new(),
            next_ticket: 0,
            follow_ups: VecDeque::new(),
            outcome: None,
            upgrade: UpgradeStep::None,
            config: parts.config,
            program: parts.program,
            sockets: None,
            cgroup_manager: parts.cgroup_manager,
            fd_store,
            holder: HolderWatch::default(),
            checkpoint,
            detaches: false,
            pending_reports: Vec::new(),
            begin: parts.restored,
            restored: BTreeMap::new(),
            inherited_fds: NamedFds::new(),
            unflushed: Vec::new(),
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
        match self.begin.take() {
            None => self.feed(Input::DaemonStarted, workers),
            Some(restored) => self.resume(restored, workers),
        }
        begun();
        loop {
            // Also before the first wait: the process may have inherited children.
            self.reap_orphans(workers);
            self.update_systemd(workers);
            if let Some(outcome) = self.outcome.take() {
                return Ok(EngineExit::Stopped(StoppedEngine {
                    outcome,
                    signals: self.signals,
                    next_config: self.fleet.take_next_config(),
                    event_serial: self.fleet.event_serial(),
                    notifier: self.systemd.into_notifier(),
                }));
            }
            if self.advance_upgrade(workers) {
                self.log_handoff(workers);
                self.close_inbox();
                return Ok(EngineExit::HandedOff(Box::new(self)));
            }
            let timeout = self.timeout();
            heartbeat.idle();
            let ready: Vec<u64> = self
                .poller
                .wait(timeout)?
                .map(|ready| ready.token)
                .collect();
            heartbeat.busy();
            for token in ready {
                match token {
                    TOKEN_INBOX => self.read_inbox(workers),
                    TOKEN_SIGNALS => self.read_signals(workers),
                    TOKEN_HOLDER => self.holder_ended(workers),
                    TOKEN_MONITOR => self.heartbeats.monitor_ended(),
                    _ => {
                        if let Some(&instance) = self.tokens.get(&token) {
                            self.reap(instance, workers);
                            // Hundreds of programs may exit at once, so handle a request after each.
                            self.handle_one_request(workers);
                        } else if let Some(instance) = self.channels.instance(token) {
                            self.read_channel(instance, PER_TURN_MAX, workers);
                        }
                    }
                }
            }
            for instance in std::mem::take(&mut self.unpolled) {
                if !self.reap(instance, workers) {
                    self.unpolled.push(instance);
                }
            }
            if self.holder.due().is_some_and(|at| at <= sys::now().mono) {
                self.start_holder();
            }
            if self
                .fleet
                .next_deadline()
                .is_some_and(|deadline| deadline <= sys::now().mono)
            {
                self.feed(Input::DeadlineReached, workers);
            }
        }
    }

    /// Returns how long the next wait may take. `None`: without limit.
    fn timeout(&self) -> Option<Duration> {
        let deadline = self
            .fleet
            .next_deadline()
            .into_iter()
            .chain(self.systemd.due())
            .chain(self.upgrade_due())
            .chain(self.holder.due())
            .chain(self.orphans.due())
            .min()
            .map(|at| Duration::from_nanos(at.nanos_since(sys::now().mono)));
        match (deadline, self.unpolled.is_empty()) {
            (deadline, true) => deadline,
            (deadline, false) => {
                let round = Duration::from_millis(UNPOLLED_MS);
                Some(deadline.map_or(round, |deadline| deadline.min(round)))
            }
        }
    }

    /// Passes `input` to the core and performs the resulting actions. Inputs that these cause are handled the same way.
    pub(super) fn feed(&mut self, input: Input, workers: &Workers) {
        match &input {
            Input::Wrote { .. } | Input::ListenerOutput(..) | Input::StdinTaken { .. } => {}
            Input::Loaded { .. } => self.systemd.mark_urgent(),
            _ => self.systemd.mark_stale(),
        }
        let mut next = Some(input);
        let mut actions = Actions::new();
        while let Some(input) = next {
            self.fleet.handle(sys::now(), input, &mut actions);
            // Write the checkpoint before performing the actions. A successor may then find an action that was not
            // performed, but never an effect that was not recorded.
            self.write_checkpoint(workers);
            self.remove_cgroups(workers);
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

    /// Handles messages of other threads, a limited number per turn.
    fn read_inbox(&mut self, workers: &Workers) {
        self.inbox.reset();
        let count = self.inbox.events_dropped();
        if count > 0 {
            self.log(Line::EventsDropped { count }, workers);
        }
        for _ in 0..MESSAGES_PER_TURN {
            let was_asked = self.handle_one_request(workers);
            let Some(message) = self.inbox.next_message() else {
                if was_asked {
                    continue;
                }
                return;
            };
            match message {
                EngineMessage::Output(report) => self.handle_report(report, workers),
                EngineMessage::Spawn(done) => self.handle_spawn_answer(done, workers),
                EngineMessage::Emptied(instance, resource_events) => {
                    self.feed(
                        Input::Emptied {
                            instance,
                            resource_events,
                        },
                        workers,
                    );
                }
                EngineMessage::Loaded(reason, result) => {
                    self.loader.ended(&self.sender, &workers.output);
                    if let Ok(config) = &result {
                        workers
                            .output
                            .send(OutputCommand::StripAnsi(config.daemon.strip_ansi));
                    }
                    self.feed(Input::Loaded { reason, result }, workers);
                    sys::trim_heap();
                }
                EngineMessage::HolderRestarted(result) => self.holder_restarted(result, workers),
                EngineMessage::Examined(ticket, result) => self.examined(ticket, result, workers),
                EngineMessage::Composed(ticket, result) => {
                    self.loader.ended(&self.sender, &workers.output);
                    self.feed(Input::Composed { ticket, result }, workers);
                }
            }
        }
        self.inbox.wake_again();
    }

    /// Handles one waiting request. Returns whether there was one.
    fn handle_one_request(&mut self, workers: &Workers) -> bool {
        let question = self.inbox.next_request();
        let was_asked = question.is_some();
        if let Some(asked) = question {
            self.handle_request(asked, workers);
        }
        was_asked
    }

    /// Passes a request to the core with a new ticket.
    fn handle_request(&mut self, asked: RequestMessage, workers: &Workers) {
        if self.is_draining() {
            return asked.refuse();
        }
        let RequestMessage {
            caller,
            grant,
            request,
            taken,
            answer,
        } = asked;
        taken();
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        self.tickets.insert(ticket, answer);
        self.feed(
            Input::Asked {
                ticket,
                caller,
                grant,
                request,
            },
            workers,
        );
    }

    /// Handles a report of the output thread.
    fn handle_report(&mut self, report: OutputReport, workers: &Workers) {
        let input = match report {
            OutputReport::Prepared(instance, ends) => {
                self.ends.insert(instance, ends);
                Input::Prepared(instance)
            }
            OutputReport::PrepareFailed(instance, error) => {
                self.plans.remove(&instance);
                self.close_channel(instance, workers);
                Input::SpawnFailed { instance, error }
            }
            OutputReport::Drained(instance) => Input::Drained(instance),
            OutputReport::Cleared(ticket, slot, result) => Input::Cleared {
                ticket,
                slot,
                result,
            },
            OutputReport::DaemonLogCleared(ticket, result) => {
                Input::DaemonLogCleared { ticket, result }
            }
            OutputReport::StdinTaken(ticket, result) => Input::StdinTaken { ticket, result },
            OutputReport::ListenerOutput(instance, said) => Input::ListenerOutput(instance, said),
            OutputReport::NotDelivered(instance, error) => Input::NotDelivered(instance, error),
            OutputReport::Wrote {
                instance,
                channel,
                data,
                captured,
            } => Input::Wrote {
                instance,
                channel,
                data,
                captured,
            },
        };
        self.feed(input, workers);
    }

    /// Handles an answer of the spawn thread.
    fn handle_spawn_answer(&mut self, done: SpawnAnswer, workers: &Workers) {
        let input = match done {
            SpawnAnswer::Resolved(instance, mut plan) => {
                if let Some(channel) = plan.take_channel() {
                    self.channels.insert(instance, channel);
                    self.store_channel(instance, workers);
                }
                self.plans.insert(instance, plan);
                Input::Resolved(instance)
            }
            SpawnAnswer::Held(instance, why) => Input::SpawnHeld { instance, why },
            SpawnAnswer::Failed(instance, error) => {
                self.spawning.remove(&instance);
                self.close_channel(instance, workers);
                Input::SpawnFailed { instance, error }
            }
            SpawnAnswer::Checked(ticket, result) => Input::Checked { ticket, result },
            SpawnAnswer::HandedOver(sockets) => {
                self.sockets = Some(sockets);
                return;
            }
            SpawnAnswer::SocketsTried(ticket, result) => Input::SocketsTried { ticket, result },
            SpawnAnswer::Spawned(instance, pid, pidfd, process_cgroup) => {
                self.spawning.remove(&instance);
                if let Some(process_cgroup) = process_cgroup {
                    self.process_cgroups
                        .insert(instance, Arc::new(process_cgroup));
                }
                self.watch(instance, pid, pidfd, workers);
                Input::Spawned { instance, pid }
            }
        };
        self.feed(input, workers);
    }

    /// Watches a new or adopted process through its pidfd and its notify channel, and stores the pidfd for a successor.
    pub(super) fn watch(
        &mut self,
        instance: InstanceId,
        pid: i32,
        pidfd: OwnedFd,
        workers: &Workers,
    ) {
        let pidfd = Arc::new(pidfd);
        let token = self.next_token;
        self.next_token += 1;
        if self.poller.add(&pidfd, token, Interest::Read).is_err() {
            self.unpolled.push(instance);
        }
        if let Some(fd_store) = &self.fd_store
            && let Some(line) = fd_store.store_pidfd(instance, &pidfd)
        {
            workers.output.log(line);
        }
        self.tokens.insert(token, instance);
        self.children.insert(instance, Child { pid, pidfd, token });
        let all = self
            .channels
            .poll(instance, &self.poller, &mut self.next_token);
        if !all && !self.unpolled.contains(&instance) {
            self.unpolled.push(instance);
        }
    }

    /// Stores the notify channel of an instance for a successor.
    pub(super) fn store_channel(&self, instance: InstanceId, workers: &Workers) {
        let Some(fd_store) = &self.fd_store else {
            return;
        };
        for (fd_name, fd) in self.channels.named_fds(instance) {
            if let Some(line) = fd_store.store(fd_name, &[fd]) {
                workers.output.log(line);
            }
        }
    }

    /// Closes the notify channel of an instance that has exited.
    pub(super) fn close_channel(&mut self, instance: InstanceId, workers: &Workers) {
        if let Some(fd_store) = &self.fd_store {
            for (fd_name, _) in self.channels.named_fds(instance) {
                if let Some(line) = fd_store.remove(fd_name) {
                    workers.output.log(line);
                }
            }
        }
        self.channels.close(instance, &self.poller);
    }

    /// Reads up to `most` pending notify messages of an instance.
    pub(super) fn read_notifications(&mut self, instance: InstanceId, most: usize) -> Vec<Input> {
        let pid = self.children.get(&instance).map(|child| child.pid);
        pid.map_or_else(Vec::new, |pid| {
            self.channels.read(instance, pid, most, &self.poller)
        })
    }

    /// Reads up to `most` notify messages of an instance and passes them to the core.
    fn read_channel(&mut self, instance: InstanceId, most: usize, workers: &Workers) {
        for input in self.read_notifications(instance, most) {
            self.feed(input, workers);
        }
    }

    /// Reaps the process of an instance if it has exited. Returns whether it is gone.
    fn reap(&mut self, instance: InstanceId, workers: &Workers) -> bool {
        // Messages sent before the exit count. Until the process is reaped, its PID cannot be reused, so senders can be
        // verified.
        self.read_channel(instance, AT_ONCE_MAX, workers);
        let Some(child) = self.children.get(&instance) else {
            return true;
        };
        let status = match sys::reap(&child.pidfd) {
            Ok(None) => return false,
            Ok(Some((_, status))) => status,
            // ECHILD: the process is not a child of this daemon, because the daemon that started it was killed.
            Err(_) => match sys::exit_status(&child.pidfd) {
                Ok(Some(status)) => status,
                // The process has exited and its parent has not reaped it yet. From now on wait only for that.
                Ok(None) => {
                    let _ = self
                        .poller
                        .modify(&child.pidfd, child.token, Interest::Hangup);
                    return false;
                }
                // Before Linux 6.15 the kernel does not report the exit status, and there is no other source.
                Err(_) => ExitStatus::Unknown(0),
            },
        };
        if let Some(child) = self.children.remove(&instance) {
            // ENOENT if it could not be added.
            let _ = self.poller.remove(&child.pidfd);
            self.tokens.remove(&child.token);
        }
        tracing::debug!(
            supervisor_incarnation = instance.incarnation,
            ?status,
            "reaped"
        );
        self.feed(Input::Exited { instance, status }, workers);
        // Remove the pidfd after the exit status was recorded. A successor with neither could not find out that the
        // process exited.
        if let Some(fd_store) = &self.fd_store
            && let Some(line) = fd_store.remove_pidfd(instance)
        {
            workers.output.log(line);
        }
        true
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

    /// Reaps orphans if it is time to look for them. Supervised processes are reaped through their pidfds instead. An
    /// unknown child is left alone while a spawn is in progress, since it may be the new process.
    fn reap_orphans(&mut self, workers: &Workers) {
        let mut now = sys::now().mono;
        if !self.orphans.is_due(now) {
            return;
        }
        for _ in 0..orphans::PER_TURN_MAX {
            let begun = now;
            let ended = sys::peek_ended();
            now = sys::now().mono;
            let Ok(Some(pid)) = ended else {
                return self.orphans.found_none(now.nanos_since(begun));
            };
            let ours = self
                .children
                .iter()
                .find(|(_, child)| child.pid == pid)
                .map(|(instance, _)| *instance);
            match ours {
                Some(instance) => {
                    if !self.reap(instance, workers) {
                        return self.orphans.found_undecided(now);
                    }
                }
                None if !self.spawning.is_empty() && workers.spawn.may_be(&self.spawning, pid) => {
                    return self.orphans.found_undecided(now);
                }
                None => {
                    // A helper is being started, and this child may be it.
                    let Some(is_helper) = sys::is_helper(pid) else {
                        return self.orphans.found_undecided(now);
                    };
                    if let Ok(Some(status)) = sys::reap_stranger(pid)
                        && !is_helper
                    {
                        self.log(Line::ReapedUnknown { pid, status }, workers);
                    }
                }
            }
        }
        self.orphans.found_many(now);
    }

    pub(super) fn log(&self, line: Line, workers: &Workers) {
        workers.output.log(line);
    }

    /// Sends `signal` to the process of `instance` or to its process group.
    pub(super) fn send_signal(
        &self,
        instance: InstanceId,
        signal: Signal,
        group: bool,
    ) -> Result<(), Errno> {
        // The process is reaped or was never known. Its PID may belong to another process, so nothing is sent.
        let child = self.children.get(&instance).ok_or(Errno::SRCH)?;
        if group {
            sys::send_group_signal(&child.pidfd, child.pid, signal)
        } else {
            sys::send_signal(&child.pidfd, signal)
        }
        .map_err(Errno::from)
    }
}
