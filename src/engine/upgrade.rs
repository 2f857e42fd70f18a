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
use crate::core::{Fleet, Input, Snapshot, Successor};
use crate::domain::{Causes, Channel, Errno, ExitStatus, Heirloom, Life, Line, Said, Tick};
use crate::output::{Adoption, Estate, Remains, Report, Unsettled};
use crate::spawn::{Job, SharedSocket};
use crate::sys::{self, Descriptors, SignalReader};

/// How long clients that wait for an answer hold an upgrade up, in milliseconds.
const ANSWERS_MS_MAX: u64 = 5_000;
/// The same for a restart by the service manager, which waits.
const LET_GO_MS_MAX: u64 = 500;
/// What those are told who wait longer, and who ask in the last moment.
pub(super) const REPLACED: &str = "the daemon is being re-executed (try again in a moment)";

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
    pub pids: Vec<(Life, i32)>,
    /// Their streams.
    pub lives: Vec<Remains>,
    /// What was read from their pipes and is perhaps not written, since a log hung.
    #[serde(default)]
    unsettled: Vec<Unsettled>,
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
        pids: Vec<(Life, i32)>,
        spawned: &[Life],
        gone: &[Life],
        sockets: Vec<SharedSocket>,
    ) -> Self {
        let made = pids.iter().filter(|(life, _)| spawned.contains(life));
        Self {
            snapshot,
            early: made
                .map(|&(life, pid)| Leftover::Spawned(life, pid))
                .collect(),
            pids,
            lives: Vec::new(),
            unsettled: Vec::new(),
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
    Spawned(Life, i32),
    /// It is gone, and nobody knows how.
    Gone(Life),
    Emptied(Life, Causes),
    Drained(Life),
    Said(Life, Said),
    NotDelivered(Life, Errno),
    Wrote(Life, Channel, Arc<[u8]>, bool),
}

impl Leftover {
    /// None: nobody will miss it.
    fn of(report: Report) -> Option<Self> {
        match report {
            Report::Drained(life) => Some(Self::Drained(life)),
            Report::Said(life, said) => Some(Self::Said(life, said)),
            Report::NotDelivered(life, error) => Some(Self::NotDelivered(life, error)),
            Report::Wrote {
                life,
                channel,
                data,
                captured,
            } => Some(Self::Wrote(life, channel, data, captured)),
            // Attempts begin anew; whoever asked for the others is gone.
            Report::Prepared(..)
            | Report::PrepareFailed(..)
            | Report::Cleared(..)
            | Report::DaemonLogCleared(..)
            | Report::StdinTaken(..) => None,
        }
    }

    fn into_input(self) -> Input {
        match self {
            Self::Spawned(life, pid) => Input::Spawned { life, pid },
            Self::Gone(life) => Input::Exited {
                life,
                status: ExitStatus::Unknown(0),
            },
            Self::Emptied(life, causes) => Input::Emptied { life, causes },
            Self::Drained(life) => Input::Drained(life),
            Self::Said(life, said) => Input::Said(life, said),
            Self::NotDelivered(life, error) => Input::NotDelivered(life, error),
            Self::Wrote(life, channel, data, captured) => Input::Wrote {
                life,
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
    pids: Vec<(Life, i32)>,
    lives: BTreeMap<Life, Remains>,
    early: Vec<Leftover>,
    leftovers: Vec<Leftover>,
    descriptors: Descriptors,
    is_ready: bool,
    /// What the core is told first.
    first: Input,
    /// Bytes that were under way when the predecessor was killed.
    pub unsettled: Vec<Unsettled>,
}

impl Inherited {
    /// The core of `legacy`, and the rest of it. Sockets were taken out of both before.
    #[must_use]
    pub fn new(legacy: Legacy, descriptors: Descriptors, successor: Successor) -> (Fleet, Self) {
        let fleet = Fleet::restore(legacy.snapshot, sys::now());
        let lives = legacy.lives.into_iter();
        let inherited = Self {
            pids: legacy.pids,
            lives: lives.map(|remains| (remains.life, remains)).collect(),
            early: legacy.early,
            leftovers: legacy.leftovers,
            descriptors,
            is_ready: legacy.is_ready,
            first: Input::Resumed(successor),
            unsettled: legacy.unsettled,
        };
        (fleet, inherited)
    }

    /// What goes with a core that begins with processes which run already.
    #[must_use]
    pub fn found(
        pids: Vec<(Life, i32)>,
        descriptors: Descriptors,
        unsettled: Vec<Unsettled>,
    ) -> Self {
        Self {
            pids,
            lives: BTreeMap::new(),
            early: Vec::new(),
            leftovers: Vec::new(),
            descriptors,
            is_ready: false,
            first: Input::Began,
            unsettled,
        }
    }
}

impl Engine {
    /// Takes over what was inherited, and goes on.
    pub(super) fn resume(&mut self, inherited: Inherited, hands: &Hands) {
        self.inherited = inherited.lives;
        self.heirlooms = inherited.descriptors;
        self.unsettled = inherited.unsettled;
        if inherited.is_ready {
            self.systemd.go_on();
        }
        for (life, pid) in inherited.pids {
            if let Some(pidfd) = self.heirlooms.remove(&Heirloom::Pidfd(life).name()) {
                self.channels.inherit(life, &mut self.heirlooms);
                self.keep_channel(life, hands);
                self.watch(life, pid, pidfd, hands);
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
        // Of lives that nobody remembers.
        self.inherited.clear();
        let left: Vec<String> = std::mem::take(&mut self.heirlooms).into_keys().collect();
        if let Some(vault) = &self.vault {
            let done = [Heirloom::Handover.name()].into_iter();
            for name in done.chain(left) {
                if let Some(line) = vault.forget_named(&name) {
                    self.log(line, hands);
                }
            }
        }
    }

    /// Hands the streams of a life to the output thread, if any were inherited.
    pub(super) fn adopt(
        &mut self,
        adoption: impl FnOnce(Option<Remains>, &mut Descriptors) -> Adoption,
        life: Life,
        hands: &Hands,
    ) {
        let remains = self.inherited.remove(&life);
        let mut adoption = adoption(remains, &mut self.heirlooms);
        let is_its = |bytes: &mut Unsettled| bytes.life == life;
        adoption.unsettled = self.unsettled.extract_if(.., is_its).collect();
        if !adoption.is_empty() {
            hands
                .output
                .send(crate::output::Command::Adopt(Box::new(adoption)));
        }
    }

    /// Lives whose end was told while their logs hung: their last bytes are still to be written.
    fn adopt_ended(&mut self, hands: &Hands) {
        let remains = self.inherited.values().map(|remains| remains.life);
        let unsettled = self.unsettled.iter().map(|bytes| bytes.life);
        let lives: BTreeSet<Life> = remains.chain(unsettled).collect();
        for life in lives {
            if let Some((spec, logs)) = self.fleet.logs_of(life.slot) {
                self.adopt(
                    |remains, inherited| {
                        Adoption::new((life, 0), spec, logs, remains, inherited).of_ended()
                    },
                    life,
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
                .unwrap_or_else(|_| Err("checking the new program panicked".to_owned()));
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
                if self.fleet.is_awaited() && !is_over {
                    return false;
                }
                match self.fleet.may_be_succeeded() {
                    // Who must let go cannot choose. What is under way ends where it is, and whoever asked is told.
                    Err(_) if self.lets_go && is_over => {
                        self.upgrade = Upgrade::Quieting;
                        hands.spawn.send(Job::HandOver);
                    }
                    Ok(()) => {
                        self.upgrade = Upgrade::Quieting;
                        hands.spawn.send(Job::HandOver);
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
    /// who keeps it until then (a keeper can be dead), and nothing is being stopped.
    pub(super) fn let_go(&mut self, hands: &Hands) -> bool {
        let is_kept = self.vault.as_ref().is_some_and(|vault| vault.is_sound());
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
                Message::Emptied(life, causes) => {
                    self.leftovers.push(Leftover::Emptied(life, causes));
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

    /// Puts everything down, after all other threads have ended. `estate` is what the output thread left.
    #[must_use]
    pub fn hand_over(mut self, estate: Estate) -> HandedOver {
        self.put_aside();
        let mut descriptors = estate.descriptors;
        if let Some(vault) = &self.vault {
            // Of attempts that the successor begins again, with channels of their own.
            let lives = self.channels.lives();
            for life in lives.filter(|life| !self.children.contains_key(life)) {
                for (heirloom, _) in self.channels.heirlooms(life) {
                    let _ = vault.forget(heirloom);
                }
            }
        }
        let mut pids = Vec::new();
        for (life, child) in self.children {
            pids.push((life, child.pid));
            for (heirloom, fd) in self.channels.heirlooms(life) {
                // None to be had: it goes on without.
                if let Ok(fd) = fd.try_clone_to_owned() {
                    descriptors.insert(heirloom.name(), fd);
                }
            }
            // Shared with what the fd holder has. None to be had: its cgroup tells the successor.
            if let Ok(pidfd) = child.pidfd.try_clone() {
                descriptors.insert(Heirloom::Pidfd(life).name(), pidfd);
            }
        }
        let living = self.fleet.lives();
        let mut sockets = Vec::new();
        for (mut shared, socket) in self.sockets.unwrap_or_default() {
            // Somebody may have ended since the spawn thread was told nothing any more.
            shared.lives.retain(|life| living.contains(life));
            let heirloom = Heirloom::FcgiSocket(shared.place);
            if !shared.lives.is_empty() {
                descriptors.insert(heirloom.name(), socket);
                sockets.push(shared);
            } else if let Some(vault) = &self.vault {
                // Whoever cannot keep it any more has said so.
                let _ = vault.forget(heirloom);
            }
        }
        let legacy = Legacy {
            snapshot: self.fleet.snapshot(),
            pids,
            lives: estate.lives,
            unsettled: estate.unsettled,
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
