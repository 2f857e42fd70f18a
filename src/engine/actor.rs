//! The loop that owns the core: what happened → core → what is to be done.
//!
//! It waits on one epoll set (its inbox, signals, the pidfd of every process) and on the core's one deadline. It decides
//! nothing, and nothing it calls can block.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use super::bus::{Bus, Publish};
use super::channels::{AT_ONCE_MAX, Channels, PER_TURN_MAX};
use super::checkpoint_writer::{CheckpointWriter, WriteState};
use super::holder_watch::HolderWatch;
use super::inbox::{AnswerFn, EngineMessage, Inbox, InboxSender, RequestMessage};
use super::loader::{Compose, Load, Loader};
use super::orphans::{self, OrphanSearch};
use super::systemd::{Notifier, Systemd};
use super::upgrade::{Examine, PendingReport, RestoredEngine, UpgradeStep};
use crate::api::Ticket;
use crate::cgroup::{CgroupHandle, CgroupManager, ProcessCgroup};
use crate::config::spec::{Config, ReadyWhen};
use crate::core::{Actions, DaemonOutcome, DaemonSignal, Fleet, Input};
use crate::domain::{Errno, ExitStatus, InstanceId, Line, Signal};
use crate::fd_holder::FdStore;
use crate::heartbeat::{Heartbeats, Overdue};
use crate::output::{InstanceState, OutputCommand, OutputHandle, OutputReport, UnflushedChunk};
use crate::spawn::{SharedSocket, SpawnAnswer, SpawnHandle, SpawnPlan};
use crate::sys::{self, ChildStdio, Interest, NamedFds, Poller, SignalReader, Waker};

/// Epoll token of the inbox.
const TOKEN_INBOX: u64 = 0;
/// Epoll token of the signal descriptor.
const TOKEN_SIGNALS: u64 = 1;
/// Epoll token of the end of the thread that watches the others.
const TOKEN_MONITOR: u64 = 2;
/// Epoll token of the end of the fd holder.
pub(super) const TOKEN_HOLDER: u64 = 3;
/// Tokens of pidfds and channels start here and are never used twice, so that a late event cannot be taken for another process's.
const TOKEN_PROCESSES: u64 = 16;
/// Messages handled in one turn, and as many questions, before pidfds and signals are looked at again.
const MESSAGES_PER_TURN: usize = 256;
/// How often processes are looked after whose pidfd the kernel refused to watch, in milliseconds.
const UNPOLLED_MS: u64 = 100;
/// How long one turn of the loop may last. A turn computes and never blocks; the largest measured (`update` with 10,000
/// processes) takes a second.
const TURN_MAX: Duration = Duration::from_secs(30);

/// A live process.
pub(super) struct Child {
    pub(super) pid: i32,
    /// Shared with what is stored for a successor.
    pub(super) pidfd: Arc<OwnedFd>,
    token: u64,
}

/// Everything the engine needs to begin.
pub struct EngineConfig {
    /// The core.
    pub fleet: Fleet,
    /// The daemon's signals, blocked in all threads.
    pub signals: SignalReader,
    /// Reads the configuration afresh.
    pub load: Arc<Load>,
    /// Hears of every event. Must not block.
    pub publish: Publish,
    /// Makes processes of a section.
    pub compose: Arc<Compose>,
    /// Tells the service manager.
    pub notifier: Notifier,
    /// What it is told to be ready.
    pub ready_when: ReadyWhen,
    /// Asks another image whether it can take over, and where that stands.
    pub examine: Arc<Examine>,
    /// What the next image is started from.
    pub program: Arc<Path>,
    /// Watches the threads.
    pub heartbeats: Heartbeats,
    /// Has the files of control sockets looked at. Must not block.
    pub check_sockets: Box<dyn Fn() + Send>,
    /// Where the cgroups of processes are.
    pub cgroup_manager: CgroupManager,
    /// What to go on with; none: a beginning.
    pub inherited: Option<RestoredEngine>,
    /// Where a successor finds what it needs if this daemon is killed, and how the whole is written down for it.
    pub fd_store: Option<(Arc<FdStore>, Arc<WriteState>)>,
}

/// The actor. Made first, so that the other threads can be given its inbox; then run.
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
    /// By instance, so that a stale one can never be signalled.
    pub(super) children: BTreeMap<InstanceId, Child>,
    tokens: HashMap<u64, InstanceId>,
    next_token: u64,
    /// What processes speak of themselves through.
    pub(super) channels: Channels,
    /// Pidfds that epoll refused (ENOMEM, ENOSPC): polled by hand.
    unpolled: Vec<InstanceId>,
    /// Between Resolved and Spawn.
    pub(super) plans: HashMap<InstanceId, Box<SpawnPlan>>,
    /// Between Prepared and Spawn.
    pub(super) ends: HashMap<InstanceId, ChildStdio>,
    /// From Spawned until the process has ended: its cgroup.
    pub(super) process_cgroups: HashMap<InstanceId, Arc<ProcessCgroup>>,
    /// Looks after cgroups; none before there is one.
    pub(super) cgroups: Option<CgroupHandle>,
    /// Spawn jobs without an answer: while there are any, a child that is not known may be ours.
    pub(super) spawning: BTreeSet<InstanceId>,
    /// When to look for children that are not of our making.
    orphans: OrphanSearch,
    pub(super) tickets: HashMap<Ticket, AnswerFn>,
    next_ticket: u64,
    /// Inputs that performing an action has caused, to be handled before anything else.
    pub(super) follow_ups: VecDeque<Input>,
    pub(super) outcome: Option<DaemonOutcome>,
    pub(super) upgrade: UpgradeStep,
    pub(super) examiner: Arc<Examine>,
    pub(super) program: Arc<Path>,
    /// The spawn thread has ended and left these.
    pub(super) sockets: Option<Vec<(SharedSocket, OwnedFd)>>,
    pub(super) fd_store: Option<Arc<FdStore>>,
    pub(super) holder: HolderWatch,
    pub(super) cgroup_manager: CgroupManager,
    pub(super) checkpoint: Option<CheckpointWriter>,
    /// Told to detach from all processes, for another daemon to take them over.
    pub(super) detaches: bool,
    /// What came in when the core listened no more, for a successor.
    pub(super) pending_reports: Vec<PendingReport>,
    /// Before the first turn.
    begin: Option<RestoredEngine>,
    /// What was inherited and not asked for yet.
    pub(super) restored: BTreeMap<InstanceId, InstanceState>,
    pub(super) inherited_fds: NamedFds,
    pub(super) unflushed: Vec<UnflushedChunk>,
}

/// What the engine acts through.
pub struct Workers {
    /// The spawn thread.
    pub spawn: SpawnHandle,
    /// The output thread.
    pub output: OutputHandle,
}

/// How the loop has ended.
pub enum EngineExit {
    /// Everything is stopped.
    Stopped(StoppedEngine),
    /// Everything goes on, and is to be handed over with [`Engine::hand_over`].
    HandedOff(Box<Engine>),
}

/// What is left when everything is stopped.
pub struct StoppedEngine {
    /// How to go on.
    pub outcome: DaemonOutcome,
    /// The signals for the next run.
    pub signals: SignalReader,
    /// The configuration to go on with, if it is to start again.
    pub next_config: Option<Arc<Config>>,
    /// The number of the next event.
    pub event_serial: u64,
    /// Goes on telling in the next run.
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
        let (fd_store, checkpoint) = match parts.fd_store {
            Some((fd_store, write)) => {
                let checkpoint = CheckpointWriter::new(fd_store.clone(), write)?;
                (Some(fd_store), Some(checkpoint))
            }
            None => (None, None),
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
            examiner: parts.examine,
            program: parts.program,
            sockets: None,
            cgroup_manager: parts.cgroup_manager,
            fd_store,
            holder: HolderWatch::default(),
            checkpoint,
            detaches: false,
            pending_reports: Vec::new(),
            begin: parts.inherited,
            restored: BTreeMap::new(),
            inherited_fds: NamedFds::new(),
            unflushed: Vec::new(),
        })
    }

    /// Where other threads put messages.
    #[must_use]
    pub fn sender(&self) -> InboxSender {
        self.sender.clone()
    }

    /// Works until everything is stopped, or to be handed over. `begun` is called once, when the first jobs are on their way
    /// to the other threads; it must not block.
    ///
    /// # Errors
    /// Only if epoll itself fails, which no program or client can cause.
    pub fn run(mut self, workers: &Workers, begun: impl FnOnce()) -> io::Result<EngineExit> {
        let heartbeat = self.heartbeats.register("engine", TURN_MAX, Overdue::Fatal);
        let _sender_heartbeat = self.systemd.register_sender(&self.heartbeats);
        heartbeat.busy();
        // Before Linux 6.9 only the service manager's watchdog sees the end of the monitor.
        let monitor = self.heartbeats.watch_monitor().ok();
        if let Some(monitor) = &monitor {
            self.poller.add(monitor, TOKEN_MONITOR, Interest::Read)?;
        }
        self.watch_holder();
        match self.begin.take() {
            None => self.feed(Input::DaemonStarted, workers),
            Some(inherited) => self.resume(inherited, workers),
        }
        begun();
        loop {
            // Before the first wait too: children may have been inherited with the process.
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
                            // Hundreds of programs may end at once.
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

    /// How long the next wait may take.
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

    /// Gives `input` to the core and does what it wants, then the same with whatever that caused.
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
            // Before anything is done of it: a successor may find that something was not done, never that nobody knew of it.
            self.write_checkpoint(workers);
            self.remove_cgroups(workers);
            for action in actions.drain(..) {
                self.perform(action, workers);
            }
            next = self.follow_ups.pop_front();
        }
    }

    fn write_checkpoint(&mut self, workers: &Workers) {
        match &mut self.checkpoint {
            Some(checkpoint) => {
                if let Some(line) = checkpoint.write(&mut self.fleet) {
                    self.log(line, workers);
                }
            }
            // Nobody will ask.
            None => self.fleet.discard_changes(),
        }
    }

    /// Tells the service manager what has changed, and that this loop still turns.
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

    /// Takes one question, if one waits; answers whether.
    fn handle_one_request(&mut self, workers: &Workers) -> bool {
        let question = self.inbox.next_request();
        let was_asked = question.is_some();
        if let Some(asked) = question {
            self.handle_request(asked, workers);
        }
        was_asked
    }

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

    /// Keeps the channel of an instance for a successor.
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

    /// The instance has ended.
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

    /// What the process of `instance` has said of itself, `most` messages at most.
    pub(super) fn read_notifications(&mut self, instance: InstanceId, most: usize) -> Vec<Input> {
        let pid = self.children.get(&instance).map(|child| child.pid);
        pid.map_or_else(Vec::new, |pid| {
            self.channels.read(instance, pid, most, &self.poller)
        })
    }

    fn read_channel(&mut self, instance: InstanceId, most: usize, workers: &Workers) {
        for input in self.read_notifications(instance, most) {
            self.feed(input, workers);
        }
    }

    /// Reaps the process of `instance` if it has ended; answers whether it is gone.
    fn reap(&mut self, instance: InstanceId, workers: &Workers) -> bool {
        // What it said before its end counts, and nobody else can have its number before it is reaped.
        self.read_channel(instance, AT_ONCE_MAX, workers);
        let Some(child) = self.children.get(&instance) else {
            return true;
        };
        let status = match sys::reap(&child.pidfd) {
            Ok(None) => return false,
            Ok(Some((_, status))) => status,
            // ECHILD: it is another's child since the daemon that made it was killed.
            Err(_) => match sys::exit_status(&child.pidfd) {
                Ok(Some(status)) => status,
                // It has ended and is not reaped yet. From now on only that is waited for.
                Ok(None) => {
                    let _ = self
                        .poller
                        .modify(&child.pidfd, child.token, Interest::Hangup);
                    return false;
                }
                // The kernel does not tell, before Linux 6.15; nobody else knows.
                Err(_) => ExitStatus::Unknown(0),
            },
        };
        if let Some(child) = self.children.remove(&instance) {
            // ENOENT where it could not be added.
            let _ = self.poller.remove(&child.pidfd);
            self.tokens.remove(&child.token);
        }
        self.feed(Input::Exited { instance, status }, workers);
        // Only now that the status is written down: a successor that found neither could never know it.
        if let Some(fd_store) = &self.fd_store
            && let Some(line) = fd_store.remove_pidfd(instance)
        {
            workers.output.log(line);
        }
        true
    }

    fn read_signals(&mut self, workers: &Workers) {
        // An error cannot be told to anybody but the log, and the next signal tries again.
        for delivered in self.signals.read().unwrap_or_default() {
            let received = match delivered.signal.number() {
                libc::SIGCHLD => {
                    self.orphans.child_ended(sys::now().mono);
                    self.log(Line::ReceivedChild {}, workers);
                    continue;
                }
                number if number == sys::detach_signal() => match self.detach(workers) {
                    true => continue,
                    // Nobody would take them over.
                    false => DaemonSignal::Exit(Signal::TERM),
                },
                libc::SIGHUP => DaemonSignal::Restart,
                libc::SIGUSR2 => DaemonSignal::ReopenLogs,
                _ => DaemonSignal::Exit(delivered.signal),
            };
            self.feed(Input::Received(received), workers);
        }
    }

    /// Reaps children that are not of our making, if it is time to look for some. One of ours that shows up first is reaped by
    /// its pidfd; an unknown one is left alone while a spawn is under way whose process it may be.
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
                    // A helper is being started, and it may be this one.
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

    /// Sends `signal` to the process of `instance`, or to its process group.
    pub(super) fn send_signal(
        &self,
        instance: InstanceId,
        signal: Signal,
        group: bool,
    ) -> Result<(), Errno> {
        // Reaped already, or never ours: the number may belong to a stranger by now, so nothing is sent.
        let child = self.children.get(&instance).ok_or(Errno::SRCH)?;
        if group {
            sys::send_group_signal(&child.pidfd, child.pid, signal)
        } else {
            sys::send_signal(&child.pidfd, signal)
        }
        .map_err(Errno::from)
    }
}
