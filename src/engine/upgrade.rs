//! The way from this image of the daemon to the next one: the other is asked whether it can take over, what is under way
//! gets a moment to end, and then everything is put down for it. What it takes to replace an image is not known here.
//!
//! ```text
//! none ─asked→ Examining ─agrees→ Waiting ─nobody waits, or time is over→ Quieting ─threads are quiet→ handed over
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

/// How long clients that wait for an answer hold an upgrade up, in milliseconds.
const ANSWERS_MS_MAX: u64 = 5_000;
/// The same for a restart by the service manager, which waits.
const DETACH_MS_MAX: u64 = 500;
/// What those are told who wait longer, and who ask in the last moment.
pub(super) const REPLACED: &str = "the daemon is being re-executed (try again in a moment)";

/// Asks the program that this image was started from whether it could go on from there; an error says why not. May block.
pub type Examine = dyn Fn(&Snapshot) -> Result<(), String> + Send + Sync;

/// Where an upgrade stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum UpgradeStep {
    /// There is none.
    None,
    /// The other image looks at our state.
    Examining,
    /// It agrees; answers that are under way are waited for, until then.
    Waiting(Tick),
    /// No process is begun any more; the spawn thread works off what it has.
    Draining,
}

/// Everything the engine leaves, but for descriptors.
#[derive(Debug, Serialize, Deserialize)]
pub struct EngineState {
    /// The core.
    pub snapshot: Snapshot,
    /// Processes that live or are still to be reaped. Their pidfds travel beside.
    pub pids: Vec<(InstanceId, i32)>,
    /// Their streams.
    #[serde(rename = "lives")]
    pub instances: Vec<InstanceState>,
    /// What was read from their pipes and is perhaps not written, since a log hung.
    #[serde(default)]
    #[serde(rename = "unsettled")]
    unflushed: Vec<UnflushedChunk>,
    /// What the core is to be told before it goes on.
    early: Vec<PendingReport>,
    /// What was reported and not told to the core.
    #[serde(rename = "leftovers")]
    pending_reports: Vec<PendingReport>,
    /// The service manager knows that everything is up.
    is_ready: bool,
    /// Sockets of FastCGI programs. They travel beside.
    pub sockets: Vec<SharedSocket>,
}

impl EngineState {
    /// How many processes there are.
    #[must_use]
    pub fn count(&self) -> u32 {
        u32::try_from(self.pids.len()).unwrap_or(u32::MAX)
    }

    /// What can be told of a daemon that was killed. `pids` are its processes as far as their pidfds were kept; `spawned`
    /// those of them that it had just made; `gone` those that have no process any more.
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
            // What the service manager was told, it has forgotten.
            is_ready: false,
            sockets,
        }
    }
}

/// All that an engine puts down.
pub struct EngineHandoff {
    /// Plain data.
    pub state: EngineState,
    /// By name.
    pub descriptors: NamedFds,
    /// For another run of this image.
    pub signals: SignalReader,
    /// The same.
    pub notifier: Notifier,
}

/// A report of the output thread that came when the core listened no more.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum PendingReport {
    /// It was made, and nobody wrote that down.
    Spawned(InstanceId, i32),
    /// It is gone, and nobody knows how.
    Gone(InstanceId),
    Emptied(InstanceId, ResourceEvents),
    Drained(InstanceId),
    #[serde(rename = "Said")]
    ListenerOutput(InstanceId, ListenerOutput),
    NotDelivered(InstanceId, Errno),
    Wrote(InstanceId, Channel, Arc<[u8]>, bool),
}

impl PendingReport {
    /// None: nobody will miss it.
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
            // Attempts begin anew; whoever asked for the others is gone.
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

/// What an engine begins with that goes on where another has ended.
#[derive(Debug)]
pub struct RestoredEngine {
    pids: Vec<(InstanceId, i32)>,
    instances: BTreeMap<InstanceId, InstanceState>,
    early: Vec<PendingReport>,
    pending_reports: Vec<PendingReport>,
    descriptors: NamedFds,
    is_ready: bool,
    /// What the core is told first.
    first: Input,
    /// Bytes that were under way when the predecessor was killed.
    pub unflushed: Vec<UnflushedChunk>,
}

impl RestoredEngine {
    /// The core of `engine_state`, and the rest of it. Sockets were taken out of both before.
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

    /// What goes with a core that begins with processes which run already.
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
    /// Takes over what was inherited, and goes on.
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
        // Of instances that nobody remembers.
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

    /// Hands the streams of an instance to the output thread, if any were inherited.
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

    /// Instances whose end was told while their logs hung: their last bytes are still to be written.
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

    /// Asks the next image, on a thread of its own.
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

    /// The next image has answered.
    pub(super) fn examined(
        &mut self,
        ticket: Ticket,
        result: Result<(), String>,
        workers: &Workers,
    ) {
        self.upgrade = match result {
            // Everything goes to another daemon by now, whatever this one would say.
            _ if self.detaches => self.upgrade,
            Ok(()) => UpgradeStep::Waiting(sys::now().mono.plus_millis(ANSWERS_MS_MAX)),
            Err(_) => UpgradeStep::None,
        };
        let ticket = Some(ticket);
        self.feed(Input::SuccessorExamined { ticket, result }, workers);
    }

    /// Takes an upgrade further, if there is one. Answers whether everything is quiet.
    pub(super) fn advance_upgrade(&mut self, workers: &Workers) -> bool {
        match self.upgrade {
            UpgradeStep::None | UpgradeStep::Examining => false,
            // A stop that came after the restart is what counts.
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
                    // Who must detach cannot choose. What is under way ends where it is, and whoever asked is told.
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

    /// When [`Self::further_upgrade`] is to be called though nothing has happened.
    pub(super) fn upgrade_due(&self) -> Option<Tick> {
        match self.upgrade {
            UpgradeStep::Waiting(until) => Some(until),
            UpgradeStep::None | UpgradeStep::Examining | UpgradeStep::Draining => None,
        }
    }

    /// The service manager restarts the daemon: everything is put down for the next one. Answers whether there is somebody
    /// who keeps it until then (an fd holder can be dead), and nothing is being stopped.
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

    /// It is another daemon that everything goes to, not another image of this one.
    #[must_use]
    pub fn detaches(&self) -> bool {
        self.detaches
    }

    /// No process is begun any more: the next image does that.
    pub(super) fn is_draining(&self) -> bool {
        self.upgrade == UpgradeStep::Draining
    }

    /// Tells everybody who still waits, and from now on everybody who asks, that there will be no answer. What was asked for
    /// goes on.
    pub(super) fn close_inbox(&mut self) {
        self.inbox.close();
        self.collect_pending();
        for (_, answer) in std::mem::take(&mut self.tickets) {
            answer(Err(FaultCode::Failed.of(REPLACED)));
        }
    }

    /// Empties the inbox, after the core has heard its last.
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
                // The spawn thread had nothing left, and nothing is being read.
                EngineMessage::Spawn(_)
                | EngineMessage::Loaded(..)
                | EngineMessage::Composed(..)
                | EngineMessage::HolderRestarted(_)
                | EngineMessage::Examined(..) => {}
            }
        }
    }

    /// Puts everything down, after all other threads have ended. `output_state` is what the output thread left.
    #[must_use]
    pub fn hand_over(mut self, output_state: OutputState) -> EngineHandoff {
        self.collect_pending();
        let mut descriptors = output_state.descriptors;
        if let Some(fd_store) = &self.fd_store {
            // Of attempts that the successor begins again, with channels of their own.
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
                // None to be had: it goes on without.
                if let Ok(fd) = fd.try_clone_to_owned() {
                    descriptors.insert(fd_name.name(), fd);
                }
            }
            // Shared with what the fd holder has. None to be had: its cgroup tells the successor.
            if let Ok(pidfd) = child.pidfd.try_clone() {
                descriptors.insert(FdName::Pidfd(instance).name(), pidfd);
            }
        }
        let living = self.fleet.instances();
        let mut sockets = Vec::new();
        for (mut shared, socket) in self.sockets.unwrap_or_default() {
            // Somebody may have ended since the spawn thread was told nothing any more.
            shared
                .instances
                .retain(|instance| living.contains(instance));
            let fd_name = FdName::FcgiSocket(shared.place);
            if !shared.instances.is_empty() {
                descriptors.insert(fd_name.name(), socket);
                sockets.push(shared);
            } else if let Some(fd_store) = &self.fd_store {
                // Whoever cannot keep it any more has said so.
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

    /// Says to whom everything goes.
    pub(super) fn log_handoff(&self, workers: &Workers) {
        if self.detaches {
            return;
        }
        let program = self.program.display().to_string();
        self.log(Line::UpgradeBegun { program }, workers);
    }
}
