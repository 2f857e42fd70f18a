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

use super::actor::{Engine, Hands};
use super::inbox::Message;
use super::systemd::Notifier;
use crate::api::{FaultCode, Ticket};
use crate::core::{Fleet, Input, ResumeKind, Snapshot};
use crate::domain::{
    Channel, Errno, ExitStatus, FdName, InstanceId, Line, ListenerOutput, ResourceEvents, Tick,
};
use crate::output::{AdoptedStreams, InstanceState, OutputReport, OutputState, UnflushedChunk};
use crate::spawn::{SharedSocket, SpawnJob};
use crate::sys::{self, Descriptors, SignalReader};

/// How long clients that wait for an answer hold an upgrade up, in milliseconds.
const ANSWERS_MS_MAX: u64 = 5_000;
/// The same for a restart by the service manager, which waits.
const LET_GO_MS_MAX: u64 = 500;
/// What those are told who wait longer, and who ask in the last moment.
pub(super) const REPLACED: &str = "the daemon is being replaced: look again in a moment";

/// Asks the program that this image was started from whether it could go on from there; an error says why not. May block.
pub type Examine = dyn Fn(&Snapshot) -> Result<(), String> + Send + Sync;

/// Where an upgrade stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Upgrade {
    /// There is none.
    None,
    /// The other image looks at our state.
    Examining,
    /// It agrees; answers that are under way are waited for, until then.
    Waiting(Tick),
    /// No process is begun any more; the spawn thread works off what it has.
    Quieting,
}

/// Everything the engine leaves, but for descriptors.
#[derive(Debug, Serialize, Deserialize)]
pub struct Legacy {
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
    early: Vec<Leftover>,
    /// What was reported and not told to the core.
    leftovers: Vec<Leftover>,
    /// The service manager knows that everything is up.
    is_ready: bool,
    /// Sockets of FastCGI programs. They travel beside.
    pub sockets: Vec<SharedSocket>,
}

impl Legacy {
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
                .map(|&(instance, pid)| Leftover::Spawned(instance, pid))
                .collect(),
            pids,
            instances: Vec::new(),
            unflushed: Vec::new(),
            leftovers: gone.iter().copied().map(Leftover::Gone).collect(),
            // What the service manager was told, it has forgotten.
            is_ready: false,
            sockets,
        }
    }
}

/// All that an engine puts down.
pub struct HandedOver {
    /// Plain data.
    pub legacy: Legacy,
    /// By name.
    pub descriptors: Descriptors,
    /// For another round of this image.
    pub signals: SignalReader,
    /// The same.
    pub notifier: Notifier,
}

/// A report of the output thread that came when the core listened no more.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Leftover {
    /// It was made, and nobody wrote that down.
    Spawned(InstanceId, i32),
    /// It is gone, and nobody knows how.
    Gone(InstanceId),
    Emptied(InstanceId, ResourceEvents),
    Drained(InstanceId),
    Said(InstanceId, ListenerOutput),
    NotDelivered(InstanceId, Errno),
    Wrote(InstanceId, Channel, Arc<[u8]>, bool),
}

impl Leftover {
    /// None: nobody will miss it.
    fn of(report: OutputReport) -> Option<Self> {
        match report {
            OutputReport::Drained(instance) => Some(Self::Drained(instance)),
            OutputReport::Said(instance, said) => Some(Self::Said(instance, said)),
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
            Self::Said(instance, said) => Input::ListenerOutput(instance, said),
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
pub struct Inherited {
    pids: Vec<(InstanceId, i32)>,
    instances: BTreeMap<InstanceId, InstanceState>,
    early: Vec<Leftover>,
    leftovers: Vec<Leftover>,
    descriptors: Descriptors,
    is_ready: bool,
    /// What the core is told first.
    first: Input,
    /// Bytes that were under way when the predecessor was killed.
    pub unflushed: Vec<UnflushedChunk>,
}

impl Inherited {
    /// The core of `legacy`, and the rest of it. Sockets were taken out of both before.
    #[must_use]
    pub fn new(legacy: Legacy, descriptors: Descriptors, successor: ResumeKind) -> (Fleet, Self) {
        let fleet = Fleet::restore(legacy.snapshot, sys::now());
        let instances = legacy.instances.into_iter();
        let inherited = Self {
            pids: legacy.pids,
            instances: instances
                .map(|instance_state| (instance_state.instance, instance_state))
                .collect(),
            early: legacy.early,
            leftovers: legacy.leftovers,
            descriptors,
            is_ready: legacy.is_ready,
            first: Input::Resumed(successor),
            unflushed: legacy.unflushed,
        };
        (fleet, inherited)
    }

    /// What goes with a core that begins with processes which run already.
    #[must_use]
    pub fn found(
        pids: Vec<(InstanceId, i32)>,
        descriptors: Descriptors,
        unflushed: Vec<UnflushedChunk>,
    ) -> Self {
        Self {
            pids,
            instances: BTreeMap::new(),
            early: Vec::new(),
            leftovers: Vec::new(),
            descriptors,
            is_ready: false,
            first: Input::DaemonStarted,
            unflushed,
        }
    }
}

impl Engine {
    /// Takes over what was inherited, and goes on.
    pub(super) fn resume(&mut self, inherited: Inherited, hands: &Hands) {
        self.inherited = inherited.instances;
        self.fd_names = inherited.descriptors;
        self.unflushed = inherited.unflushed;
        if inherited.is_ready {
            self.systemd.go_on();
        }
        for (instance, pid) in inherited.pids {
            if let Some(pidfd) = self.fd_names.remove(&FdName::Pidfd(instance).name()) {
                self.channels.inherit(instance, &mut self.fd_names);
                self.keep_channel(instance, hands);
                self.watch(instance, pid, pidfd, hands);
            }
        }
        for early in inherited.early {
            self.feed(early.into_input(), hands);
        }
        self.feed(inherited.first, hands);
        for leftover in inherited.leftovers {
            self.feed(leftover.into_input(), hands);
        }
        self.adopt_ended(hands);
        // Of instances that nobody remembers.
        self.inherited.clear();
        let left: Vec<String> = std::mem::take(&mut self.fd_names).into_keys().collect();
        if let Some(fd_store) = &self.fd_store {
            let done = [FdName::Handoff.name()].into_iter();
            for name in done.chain(left) {
                if let Some(line) = fd_store.remove_named(&name) {
                    self.log(line, hands);
                }
            }
        }
    }

    /// Hands the streams of an instance to the output thread, if any were inherited.
    pub(super) fn adopt(
        &mut self,
        adoption: impl FnOnce(Option<InstanceState>, &mut Descriptors) -> AdoptedStreams,
        instance: InstanceId,
        hands: &Hands,
    ) {
        let instance_state = self.inherited.remove(&instance);
        let mut adoption = adoption(instance_state, &mut self.fd_names);
        let is_its = |bytes: &mut UnflushedChunk| bytes.instance == instance;
        adoption.unflushed = self.unflushed.extract_if(.., is_its).collect();
        if !adoption.is_empty() {
            hands
                .output
                .send(crate::output::OutputCommand::Adopt(Box::new(adoption)));
        }
    }

    /// Instances whose end was told while their logs hung: their last bytes are still to be written.
    fn adopt_ended(&mut self, hands: &Hands) {
        let instance_state = self
            .inherited
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
                    hands,
                );
            }
        }
    }

    /// Asks the next image, on a thread of its own.
    pub(super) fn examine(&mut self, ticket: Ticket) {
        self.upgrade = Upgrade::Examining;
        let snapshot = self.fleet.snapshot();
        let (examine, to) = (self.examiner.clone(), self.sender.clone());
        let thread = std::thread::Builder::new().name("upgrade".to_owned());
        let heartbeats = self.heartbeats.clone();
        let started = thread.spawn(move || {
            let _heartbeat = heartbeats.register_end("upgrade");
            let examine = std::panic::AssertUnwindSafe(|| examine(&snapshot));
            let result = std::panic::catch_unwind(examine)
                .unwrap_or_else(|_| Err("examining the other program panicked".to_owned()));
            to.examined(ticket, result);
        });
        if let Err(error) = started {
            let reason = format!("cannot start a thread: {error}");
            self.sender.examined(ticket, Err(reason));
        }
    }

    /// The next image has answered.
    pub(super) fn examined(&mut self, ticket: Ticket, result: Result<(), String>, hands: &Hands) {
        self.upgrade = match result {
            // Everything goes to another daemon by now, whatever this one would say.
            _ if self.lets_go => self.upgrade,
            Ok(()) => Upgrade::Waiting(sys::now().mono.plus_millis(ANSWERS_MS_MAX)),
            Err(_) => Upgrade::None,
        };
        let ticket = Some(ticket);
        self.feed(Input::SuccessorExamined { ticket, result }, hands);
    }

    /// Takes an upgrade further, if there is one. Answers whether everything is quiet.
    pub(super) fn further_upgrade(&mut self, hands: &Hands) -> bool {
        match self.upgrade {
            Upgrade::None | Upgrade::Examining => false,
            // A stop that came after the restart is what counts.
            Upgrade::Waiting(_) if self.lets_go && self.fleet.is_stopping() => {
                self.lets_go = false;
                self.upgrade = Upgrade::None;
                false
            }
            Upgrade::Waiting(until) => {
                let is_over = until <= sys::now().mono;
                if self.fleet.has_waiting_clients() && !is_over {
                    return false;
                }
                match self.fleet.can_hand_off() {
                    // Who must let go cannot choose. What is under way ends where it is, and whoever asked is told.
                    Err(_) if self.lets_go && is_over => {
                        self.upgrade = Upgrade::Quieting;
                        hands.spawn.send(SpawnJob::HandOver);
                    }
                    Ok(()) => {
                        self.upgrade = Upgrade::Quieting;
                        hands.spawn.send(SpawnJob::HandOver);
                    }
                    Err(what) if is_over => {
                        self.upgrade = Upgrade::None;
                        let result = Err(format!("not while {what}"));
                        let ticket = None;
                        self.feed(Input::SuccessorExamined { ticket, result }, hands);
                    }
                    Err(_) => {}
                }
                false
            }
            Upgrade::Quieting => self.sockets.is_some() && self.loader.is_idle(),
        }
    }

    /// When [`Self::further_upgrade`] is to be called though nothing has happened.
    pub(super) fn upgrade_due(&self) -> Option<Tick> {
        match self.upgrade {
            Upgrade::Waiting(until) => Some(until),
            Upgrade::None | Upgrade::Examining | Upgrade::Quieting => None,
        }
    }

    /// The service manager restarts the daemon: everything is put down for the next one. Answers whether there is somebody
    /// who keeps it until then (an fd holder can be dead), and nothing is being stopped.
    pub(super) fn let_go(&mut self, hands: &Hands) -> bool {
        let is_kept = self
            .fd_store
            .as_ref()
            .is_some_and(|fd_store| fd_store.is_healthy());
        if !is_kept || self.fleet.is_stopping() {
            return false;
        }
        self.log(Line::LettingGo {}, hands);
        self.lets_go = true;
        if self.upgrade != Upgrade::Quieting {
            self.upgrade = Upgrade::Waiting(sys::now().mono.plus_millis(LET_GO_MS_MAX));
        }
        true
    }

    /// It is another daemon that everything goes to, not another image of this one.
    #[must_use]
    pub fn lets_go(&self) -> bool {
        self.lets_go
    }

    /// No process is begun any more: the next image does that.
    pub(super) fn is_quieting(&self) -> bool {
        self.upgrade == Upgrade::Quieting
    }

    /// Tells everybody who still waits, and from now on everybody who asks, that there will be no answer. What was asked for
    /// goes on.
    pub(super) fn dismiss(&mut self) {
        self.inbox.shut();
        self.put_aside();
        for (_, answer) in std::mem::take(&mut self.tickets) {
            answer(Err(FaultCode::Failed.of(REPLACED)));
        }
    }

    /// Empties the inbox, after the core has heard its last.
    fn put_aside(&mut self) {
        while let Some(asked) = self.inbox.question() {
            asked.turn_away();
        }
        while let Some(message) = self.inbox.take() {
            match message {
                Message::Output(report) => self.leftovers.extend(Leftover::of(report)),
                Message::Emptied(instance, resource_events) => {
                    self.leftovers
                        .push(Leftover::Emptied(instance, resource_events));
                }
                // The spawn thread had nothing left, and nothing is being read.
                Message::Spawn(_)
                | Message::Loaded(..)
                | Message::Composed(..)
                | Message::HolderRestarted(_)
                | Message::Examined(..) => {}
            }
        }
    }

    /// Puts everything down, after all other threads have ended. `output_state` is what the output thread left.
    #[must_use]
    pub fn hand_over(mut self, output_state: OutputState) -> HandedOver {
        self.put_aside();
        let mut descriptors = output_state.descriptors;
        if let Some(fd_store) = &self.fd_store {
            // Of attempts that the successor begins again, with channels of their own.
            let instances = self.channels.instances();
            for instance in instances.filter(|instance| !self.children.contains_key(instance)) {
                for (fd_name, _) in self.channels.fd_names(instance) {
                    let _ = fd_store.remove(fd_name);
                }
            }
        }
        let mut pids = Vec::new();
        for (instance, child) in self.children {
            pids.push((instance, child.pid));
            for (fd_name, fd) in self.channels.fd_names(instance) {
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
        let legacy = Legacy {
            snapshot: self.fleet.snapshot(),
            pids,
            instances: output_state.instances,
            unflushed: output_state.unflushed,
            early: Vec::new(),
            leftovers: self.leftovers,
            is_ready: self.systemd.is_ready(),
            sockets,
        };
        HandedOver {
            legacy,
            descriptors,
            signals: self.signals,
            notifier: self.systemd.into_notifier(),
        }
    }

    /// Says to whom everything goes.
    pub(super) fn say_farewell(&self, hands: &Hands) {
        if self.lets_go {
            return;
        }
        let program = self.program.display().to_string();
        self.log(Line::UpgradeBegun { program }, hands);
    }
}
