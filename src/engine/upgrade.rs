//! The way from this image of the daemon to the next one: the other is asked whether it can take over, what is under way
//! gets a moment to end, and then everything is put down for it. What it takes to replace an image is not known here.
//!
//! ```text
//! none ─asked→ Examining ─agrees→ Waiting ─nobody waits, or time is over→ Quieting ─threads are quiet→ handed over
//!   ↑              │ refuses         │ something goes on that cannot be interrupted
//!   └──────────────┴─────────────────┘
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::actor::{Engine, Hands};
use super::inbox::Message;
use super::systemd::Notifier;
use crate::api::{FaultCode, Ticket};
use crate::core::{Fleet, Input, Snapshot};
use crate::domain::{Channel, Errno, Heirloom, Life, Line, Said, Tick};
use crate::output::{Adoption, Estate, Remains, Report};
use crate::spawn::{Job, SharedSocket};
use crate::sys::{self, Descriptors, SignalReader};

/// How long clients that wait for an answer hold an upgrade up, in milliseconds.
const ANSWERS_MS_MAX: u64 = 5_000;
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
    pub pids: Vec<(Life, i32)>,
    /// Their streams.
    pub lives: Vec<Remains>,
    /// What was reported and not told to the core.
    leftovers: Vec<Leftover>,
    /// The service manager knows that everything is up.
    is_ready: bool,
    /// Sockets of FastCGI programs. They travel beside.
    pub sockets: Vec<SharedSocket>,
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
    leftovers: Vec<Leftover>,
    descriptors: Descriptors,
    is_ready: bool,
    /// This image is another than the one that handed over.
    is_new: bool,
}

impl Inherited {
    /// The core of `legacy`, and the rest of it. Sockets were taken out of both before.
    #[must_use]
    pub fn new(legacy: Legacy, descriptors: Descriptors, is_new: bool) -> (Fleet, Self) {
        let fleet = Fleet::restore(legacy.snapshot, sys::now());
        let lives = legacy.lives.into_iter();
        let inherited = Self {
            pids: legacy.pids,
            lives: lives.map(|remains| (remains.life, remains)).collect(),
            leftovers: legacy.leftovers,
            descriptors,
            is_ready: legacy.is_ready,
            is_new,
        };
        (fleet, inherited)
    }
}

impl Engine {
    /// Takes over what was inherited, and goes on.
    pub(super) fn resume(&mut self, inherited: Inherited, hands: &Hands) {
        self.inherited = inherited.lives;
        self.heirlooms = inherited.descriptors;
        if inherited.is_ready {
            self.systemd.go_on();
        }
        for (life, pid) in inherited.pids {
            if let Some(pidfd) = self.heirlooms.remove(&Heirloom::Pidfd(life).name()) {
                self.watch(life, pid, pidfd);
            }
        }
        let is_new = inherited.is_new;
        self.feed(Input::Resumed { is_new }, hands);
        for leftover in inherited.leftovers {
            self.feed(leftover.into_input(), hands);
        }
        // Of lives that nobody remembers.
        self.inherited.clear();
        self.heirlooms.clear();
    }

    /// Hands the streams of a life to the output thread, if any were inherited.
    pub(super) fn adopt(
        &mut self,
        adoption: impl FnOnce(Option<Remains>, &mut Descriptors) -> Adoption,
        life: Life,
        hands: &Hands,
    ) {
        let remains = self.inherited.remove(&life);
        let adoption = adoption(remains, &mut self.heirlooms);
        if !adoption.is_empty() {
            hands
                .output
                .send(crate::output::Command::Adopt(Box::new(adoption)));
        }
    }

    /// Asks the next image, on a thread of its own.
    pub(super) fn examine(&mut self, ticket: Ticket) {
        self.upgrade = Upgrade::Examining;
        let snapshot = self.fleet.snapshot();
        let (examine, to) = (self.examiner.clone(), self.sender.clone());
        let thread = std::thread::Builder::new().name("upgrade".to_owned());
        let started = thread.spawn(move || {
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
            Upgrade::Waiting(until) => {
                let is_over = until <= sys::now().mono;
                if self.fleet.is_awaited() && !is_over {
                    return false;
                }
                match self.fleet.may_be_succeeded() {
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
        while let Some(message) = self.inbox.take() {
            match message {
                Message::Output(report) => self.leftovers.extend(Leftover::of(report)),
                Message::Asked(asked) => asked.turn_away(),
                // The spawn thread had nothing left, and nothing is being read.
                Message::Spawn(_)
                | Message::Loaded(..)
                | Message::Composed(..)
                | Message::Examined(..) => {}
            }
        }
    }

    /// Puts everything down, after all other threads have ended. `estate` is what the output thread left.
    #[must_use]
    pub fn hand_over(mut self, estate: Estate) -> HandedOver {
        self.put_aside();
        let mut descriptors = estate.descriptors;
        let mut pids = Vec::new();
        for (life, child) in self.children {
            pids.push((life, child.pid));
            descriptors.insert(Heirloom::Pidfd(life).name(), child.pidfd);
        }
        let living = self.fleet.lives();
        let mut sockets = Vec::new();
        for (mut shared, socket) in self.sockets.unwrap_or_default() {
            // Somebody may have ended since the spawn thread was told nothing any more.
            shared.lives.retain(|life| living.contains(life));
            if !shared.lives.is_empty() {
                descriptors.insert(Heirloom::FcgiSocket(sockets.len()).name(), socket);
                sockets.push(shared);
            }
        }
        let legacy = Legacy {
            snapshot: self.fleet.snapshot(),
            pids,
            lives: estate.lives,
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
        let program = self.program.display().to_string();
        self.log(Line::UpgradeBegun { program }, hands);
    }
}
