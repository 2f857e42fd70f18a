//! The engine's part of an upgrade or a detach: it examines the successor, gives outstanding work a moment to finish,
//! and collects the state for the handoff. Replacing the image is not part of this module.
//!
//! ```text
//! none ─asked→ Examining ─agrees→ Waiting ─all answered, or timeout→ Draining ─threads idle→ handed over
//!   ↑              │ refuses         │ something goes on that cannot be interrupted
//!   └──────────────┴─────────────────┘
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::actor::{Engine, Workers};
use super::inbox::EngineMessage;
use super::systemd::Notifier;
use crate::api::{FaultCode, Ticket};
use crate::core::{Fleet, Input, ResumeKind, Snapshot};
use crate::domain::{
    Channel, Errno, ExitStatus, FdName, InstanceId, Line, ListenerOutput, ResourceEvents, Tick,
};
use crate::output::{AdoptedStreams, InstanceState, OutputReport, OutputState, UnflushedChunk};
use crate::spawn::{SharedSocket, SpawnJob};
use crate::sys::{self, NamedFds, SignalReader};

/// How long waiting clients can delay an upgrade, in milliseconds.
const ANSWERS_MS_MAX: u64 = 5_000;
/// The same for a restart by the service manager, which waits for the daemon to exit.
const DETACH_MS_MAX: u64 = 500;
/// The fault for clients that still wait then, and for requests after that.
pub(super) const REPLACED: &str = "the daemon is being re-executed (try again in a moment)";

/// Checks whether the program on disk could continue from this state. The error says why not. It may block.
pub type Examine = dyn Fn(&Snapshot) -> Result<(), String> + Send + Sync;

/// The step of an upgrade.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UpgradeStep {
    /// No upgrade.
    None,
    /// The successor is examining the state.
    Examining,
    /// The successor can take over. Until the given time, outstanding answers are waited for.
    Waiting(Tick),
    /// No process is started any more. The spawn thread finishes its jobs.
    Draining,
}

/// The state of the engine without its descriptors.
#[derive(Debug, Serialize, Deserialize)]
pub struct EngineState {
    /// The core.
    pub snapshot: Snapshot,
    /// PIDs of processes that run or are not reaped. Their pidfds are separate.
    pub pids: Vec<(InstanceId, i32)>,
    /// The state of their streams.
    #[serde(rename = "lives")]
    pub instances: Vec<InstanceState>,
    /// Bytes that were read from pipes and may not be written, because a log file blocked.
    #[serde(default)]
    #[serde(rename = "unsettled")]
    unflushed: Vec<UnflushedChunk>,
    /// Inputs for the core before it continues.
    early: Vec<PendingReport>,
    /// Reports that arrived and were not passed to the core.
    #[serde(rename = "leftovers")]
    pending_reports: Vec<PendingReport>,
    /// Whether the service manager was told that the daemon is ready.
    is_ready: bool,
    /// Sockets of FastCGI programs. Their descriptors are separate.
    pub sockets: Vec<SharedSocket>,
}

impl EngineState {
    /// Returns the number of processes.
    #[must_use]
    pub fn count(&self) -> u32 {
        u32::try_from(self.pids.len()).unwrap_or(u32::MAX)
    }

    /// Reconstructs the state of a killed daemon. `pids` are processes whose pidfds were stored, `spawned` those of
    /// them whose spawn was not recorded, and `gone` instances whose process no longer exists.
    #[must_use]
    pub fn recovered(
        snapshot: Snapshot,
        pids: Vec<(InstanceId, i32)>,
        spawned: &[InstanceId],
        gone: &[InstanceId],
        sockets: Vec<SharedSocket>,
    ) -> Self {
        let made = pids
            .iter()
            .filter(|(instance, _)| spawned.contains(instance));
        Self {
            snapshot,
            early: made
                .map(|&(instance, pid)| PendingReport::Spawned(instance, pid))
                .collect(),
            pids,
            instances: Vec::new(),
            unflushed: Vec::new(),
            pending_reports: gone.iter().copied().map(PendingReport::Gone).collect(),
            // The service manager has forgotten the status of the killed daemon.
            is_ready: false,
            sockets,
        }
    }
}

/// Everything that an engine hands over.
pub struct EngineHandoff {
    /// The state as data.
    pub state: EngineState,
    /// The descriptors by name.
    pub descriptors: NamedFds,
    /// The signals, for another run of this image.
    pub signals: SignalReader,
    /// The connection to the service manager, for another run of this image.
    pub notifier: Notifier,
}

/// A report that arrived after the last input of the core.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum PendingReport {
    /// The process was spawned, and that was not recorded.
    Spawned(InstanceId, i32),
    /// The process is gone, and its exit status is unknown.
    Gone(InstanceId),
    Emptied(InstanceId, ResourceEvents),
    Drained(InstanceId),
    #[serde(rename = "Said")]
    ListenerOutput(InstanceId, ListenerOutput),
    NotDelivered(InstanceId, Errno),
    Wrote(InstanceId, Channel, Arc<[u8]>, bool),
}

impl PendingReport {
    /// `None`: the report is not needed after a handoff.
    fn of(report: OutputReport) -> Option<Self> {
        match report {
            OutputReport::Drained(instance) => Some(Self::Drained(instance)),
            OutputReport::ListenerOutput(instance, said) => {
                Some(Self::ListenerOutput(instance, said))
            }
            OutputReport::NotDelivered(instance, error) => {
                Some(Self::NotDelivered(instance, error))
            }
            OutputReport::Wrote {
                instance,
                channel,
                data,
                captured,
            } => Some(Self::Wrote(instance, channel, data, captured)),
            // Attempts start again, and the clients of the other requests are gone.
            OutputReport::Prepared(..)
            | OutputReport::PrepareFailed(..)
            | OutputReport::Cleared(..)
            | OutputReport::DaemonLogCleared(..)
            | OutputReport::StdinTaken(..) => None,
        }
    }

    fn into_input(self) -> Input {
        match self {
            Self::Spawned(instance, pid) => Input::Spawned { instance, pid },
            Self::Gone(instance) => Input::Exited {
                instance,
                status: ExitStatus::Unknown(0),
            },
            Self::Emptied(instance, resource_events) => Input::Emptied {
                instance,
                resource_events,
            },
            Self::Drained(instance) => Input::Drained(instance),
            Self::ListenerOutput(instance, said) => Input::ListenerOutput(instance, said),
            Self::NotDelivered(instance, error) => Input::NotDelivered(instance, error),
            Self::Wrote(instance, channel, data, captured) => Input::Wrote {
                instance,
                channel,
                data,
                captured,
            },
        }
    }
}

/// The state of the previous daemon that an engine continues with.
#[derive(Debug)]
pub struct RestoredEngine {
    pids: Vec<(InstanceId, i32)>,
    instances: BTreeMap<InstanceId, InstanceState>,
    early: Vec<PendingReport>,
    pending_reports: Vec<PendingReport>,
    descriptors: NamedFds,
    is_ready: bool,
    /// The first input of the core.
    first: Input,
    /// Bytes that the killed daemon was writing to logs.
    pub unflushed: Vec<UnflushedChunk>,
}

impl RestoredEngine {
    /// Splits `engine_state` into the core and the rest. The caller has taken the sockets out of both before.
    #[must_use]
    pub fn new(
        engine_state: EngineState,
        descriptors: NamedFds,
        successor: ResumeKind,
    ) -> (Fleet, Self) {
        let fleet = Fleet::restore(engine_state.snapshot, sys::now());
        let instances = engine_state.instances.into_iter();
        let inherited = Self {
            pids: engine_state.pids,
            instances: instances
                .map(|instance_state| (instance_state.instance, instance_state))
                .collect(),
            early: engine_state.early,
            pending_reports: engine_state.pending_reports,
            descriptors,
            is_ready: engine_state.is_ready,
            first: Input::Resumed(successor),
            unflushed: engine_state.unflushed,
        };
        (fleet, inherited)
    }

    /// The state for a core that starts by adopting running processes.
    #[must_use]
    pub fn adopting(
        pids: Vec<(InstanceId, i32)>,
        descriptors: NamedFds,
        unflushed: Vec<UnflushedChunk>,
    ) -> Self {
        Self {
            pids,
            instances: BTreeMap::new(),
            early: Vec::new(),
            pending_reports: Vec::new(),
            descriptors,
            is_ready: false,
            first: Input::DaemonStarted,
            unflushed,
        }
    }
}

impl Engine {
    /// Takes over the state and continues.
    pub(super) fn resume(&mut self, inherited: RestoredEngine, workers: &Workers) {
        self.restored = inherited.instances;
        self.inherited_fds = inherited.descriptors;
        self.unflushed = inherited.unflushed;
        if inherited.is_ready {
            self.systemd.resume();
        }
        for (instance, pid) in inherited.pids {
            if let Some(pidfd) = self.inherited_fds.remove(&FdName::Pidfd(instance).name()) {
                self.channels.restore(instance, &mut self.inherited_fds);
                self.store_channel(instance, workers);
                self.watch(instance, pid, pidfd, workers);
            }
        }
        for early in inherited.early {
            self.feed(early.into_input(), workers);
        }
        self.feed(inherited.first, workers);
        for pending_report in inherited.pending_reports {
            self.feed(pending_report.into_input(), workers);
        }
        self.adopt_ended(workers);
        // Remaining descriptors belong to unknown instances.
        self.restored.clear();
        let left: Vec<String> = std::mem::take(&mut self.inherited_fds)
            .into_keys()
            .collect();
        if let Some(fd_store) = &self.fd_store {
            let done = [FdName::Handoff.name()].into_iter();
            for name in done.chain(left) {
                if let Some(line) = fd_store.remove_named(&name) {
                    self.log(line, workers);
                }
            }
        }
    }

    /// Passes the streams of an instance to the output thread, if the previous daemon handed any over.
    pub(super) fn adopt(
        &mut self,
        adoption: impl FnOnce(Option<InstanceState>, &mut NamedFds) -> AdoptedStreams,
        instance: InstanceId,
        workers: &Workers,
    ) {
        let instance_state = self.restored.remove(&instance);
        let mut adoption = adoption(instance_state, &mut self.inherited_fds);
        let is_its = |bytes: &mut UnflushedChunk| bytes.instance == instance;
        adoption.unflushed = self.unflushed.extract_if(.., is_its).collect();
        if !adoption.is_empty() {
            workers
                .output
                .send(crate::output::OutputCommand::Adopt(Box::new(adoption)));
        }
    }

    /// Passes on streams of instances that have exited while their logs were blocked: their last bytes are still to be
    /// written.
    fn adopt_ended(&mut self, workers: &Workers) {
        let instance_state = self
            .restored
            .values()
            .map(|instance_state| instance_state.instance);
        let unflushed = self.unflushed.iter().map(|bytes| bytes.instance);
        let instances: BTreeSet<InstanceId> = instance_state.chain(unflushed).collect();
        for instance in instances {
            if let Some((spec, logs)) = self.fleet.logs_of(instance.slot) {
                self.adopt(
                    |instance_state, inherited| {
                        AdoptedStreams::new((instance, 0), spec, logs, instance_state, inherited)
                            .of_ended()
                    },
                    instance,
                    workers,
                );
            }
        }
    }

    /// Examines the successor, on a short-lived thread.
    pub(super) fn examine(&mut self, ticket: Ticket) {
        self.upgrade = UpgradeStep::Examining;
        let snapshot = self.fleet.snapshot();
        let (examine, to) = (self.examiner.clone(), self.sender.clone());
        let thread = std::thread::Builder::new().name("upgrade".to_owned());
        let heartbeats = self.heartbeats.clone();
        let started = thread.spawn(move || {
            let _heartbeat = heartbeats.register_end("upgrade");
            let examine = std::panic::AssertUnwindSafe(|| examine(&snapshot));
            let result = std::panic::catch_unwind(examine)
                .unwrap_or_else(|_| Err("checking the new program panicked".to_owned()));
            to.examined(ticket, result);
        });
        if let Err(error) = started {
            let reason = format!("cannot start a thread: {error}");
            self.sender.examined(ticket, Err(reason));
        }
    }

    /// Handles the result of the examination.
    pub(super) fn examined(
        &mut self,
        ticket: Ticket,
        result: Result<(), String>,
        workers: &Workers,
    ) {
        self.upgrade = match result {
            // The daemon detaches, so the result no longer matters.
            _ if self.detaches => self.upgrade,
            Ok(()) => UpgradeStep::Waiting(sys::now().mono.plus_millis(ANSWERS_MS_MAX)),
            Err(_) => UpgradeStep::None,
        };
        let ticket = Some(ticket);
        self.feed(Input::SuccessorExamined { ticket, result }, workers);
    }

    /// Advances an upgrade. Returns whether the handoff can start.
    pub(super) fn advance_upgrade(&mut self, workers: &Workers) -> bool {
        match self.upgrade {
            UpgradeStep::None | UpgradeStep::Examining => false,
            // A stop requested after the restart takes precedence.
            UpgradeStep::Waiting(_) if self.detaches && self.fleet.is_stopping() => {
                self.detaches = false;
                self.upgrade = UpgradeStep::None;
                false
            }
            UpgradeStep::Waiting(until) => {
                let is_over = until <= sys::now().mono;
                if self.fleet.has_waiting_clients() && !is_over {
                    return false;
                }
                match self.fleet.can_hand_off() {
                    // A detach cannot be refused. Outstanding operations are aborted and their clients get a fault.
                    Err(_) if self.detaches && is_over => {
                        self.upgrade = UpgradeStep::Draining;
                        workers.spawn.send(SpawnJob::HandOver);
                    }
                    Ok(()) => {
                        self.upgrade = UpgradeStep::Draining;
                        workers.spawn.send(SpawnJob::HandOver);
                    }
                    Err(what) if is_over => {
                        self.upgrade = UpgradeStep::None;
                        let result = Err(format!("not while {what}"));
                        let ticket = None;
                        self.feed(Input::SuccessorExamined { ticket, result }, workers);
                    }
                    Err(_) => {}
                }
                false
            }
            UpgradeStep::Draining => self.sockets.is_some() && self.loader.is_idle(),
        }
    }

    /// Returns when [`Self::advance_upgrade`] must be called without an event.
    pub(super) fn upgrade_due(&self) -> Option<Tick> {
        match self.upgrade {
            UpgradeStep::Waiting(until) => Some(until),
            UpgradeStep::None | UpgradeStep::Examining | UpgradeStep::Draining => None,
        }
    }

    /// Starts to detach for a restart by the service manager. Returns false if the fd holder does not work or
    /// everything is being stopped.
    pub(super) fn detach(&mut self, workers: &Workers) -> bool {
        let is_kept = self
            .fd_store
            .as_ref()
            .is_some_and(|fd_store| fd_store.is_healthy());
        if !is_kept || self.fleet.is_stopping() {
            return false;
        }
        self.log(Line::LettingGo {}, workers);
        self.detaches = true;
        if self.upgrade != UpgradeStep::Draining {
            self.upgrade = UpgradeStep::Waiting(sys::now().mono.plus_millis(DETACH_MS_MAX));
        }
        true
    }

    /// Returns whether another daemon takes over, rather than another image in this process.
    #[must_use]
    pub fn detaches(&self) -> bool {
        self.detaches
    }

    /// Returns whether no process may be started any more, because the successor will do it.
    pub(super) fn is_draining(&self) -> bool {
        self.upgrade == UpgradeStep::Draining
    }

    /// Closes the inbox and answers all waiting clients with a fault. The operations that they started continue.
    pub(super) fn close_inbox(&mut self) {
        self.inbox.close();
        self.collect_pending();
        for (_, answer) in std::mem::take(&mut self.tickets) {
            answer(Err(FaultCode::Failed.of(REPLACED)));
        }
    }

    /// Empties the inbox after the last input of the core.
    fn collect_pending(&mut self) {
        while let Some(asked) = self.inbox.next_request() {
            asked.refuse();
        }
        while let Some(message) = self.inbox.next_message() {
            match message {
                EngineMessage::Output(report) => {
                    self.pending_reports.extend(PendingReport::of(report))
                }
                EngineMessage::Emptied(instance, resource_events) => {
                    self.pending_reports
                        .push(PendingReport::Emptied(instance, resource_events));
                }
                // The spawn thread has no jobs left, and no configuration is being read.
                EngineMessage::Spawn(_)
                | EngineMessage::Loaded(..)
                | EngineMessage::Composed(..)
                | EngineMessage::HolderRestarted(_)
                | EngineMessage::Examined(..) => {}
            }
        }
    }

    /// Collects the state after all other threads have ended. `output_state` is the state of the output thread.
    #[must_use]
    pub fn hand_over(mut self, output_state: OutputState) -> EngineHandoff {
        self.collect_pending();
        let mut descriptors = output_state.descriptors;
        if let Some(fd_store) = &self.fd_store {
            // Channels of attempts that the successor starts again with new channels.
            let instances = self.channels.instances();
            for instance in instances.filter(|instance| !self.children.contains_key(instance)) {
                for (fd_name, _) in self.channels.named_fds(instance) {
                    let _ = fd_store.remove(fd_name);
                }
            }
        }
        let mut pids = Vec::new();
        for (instance, child) in self.children {
            pids.push((instance, child.pid));
            for (fd_name, fd) in self.channels.named_fds(instance) {
                // If it cannot be duplicated, the process continues without it.
                if let Ok(fd) = fd.try_clone_to_owned() {
                    descriptors.insert(fd_name.name(), fd);
                }
            }
            // The fd store shares the descriptor. If it cannot be duplicated, the successor finds the process in its
            // cgroup.
            if let Ok(pidfd) = child.pidfd.try_clone() {
                descriptors.insert(FdName::Pidfd(instance).name(), pidfd);
            }
        }
        let living = self.fleet.instances();
        let mut sockets = Vec::new();
        for (mut shared, socket) in self.sockets.unwrap_or_default() {
            // An instance may have exited since the last message to the spawn thread.
            shared
                .instances
                .retain(|instance| living.contains(instance));
            let fd_name = FdName::FcgiSocket(shared.place);
            if !shared.instances.is_empty() {
                descriptors.insert(fd_name.name(), socket);
                sockets.push(shared);
            } else if let Some(fd_store) = &self.fd_store {
                // An fd store that fails has already logged that.
                let _ = fd_store.remove(fd_name);
            }
        }
        let engine_state = EngineState {
            snapshot: self.fleet.snapshot(),
            pids,
            instances: output_state.instances,
            unflushed: output_state.unflushed,
            early: Vec::new(),
            pending_reports: self.pending_reports,
            is_ready: self.systemd.is_ready(),
            sockets,
        };
        EngineHandoff {
            state: engine_state,
            descriptors,
            signals: self.signals,
            notifier: self.systemd.into_notifier(),
        }
    }

    /// Logs which program takes over. A detach has its own line.
    pub(super) fn log_handoff(&self, workers: &Workers) {
        if self.detaches {
            return;
        }
        let program = self.program.display().to_string();
        self.log(Line::UpgradeBegun { program }, workers);
    }
}
