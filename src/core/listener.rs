//! Events on their way to listeners, and what the listeners make of them. It must not know how bytes travel.
//!
//! ```text
//! spawn → Acknowledged ─READY→ Ready ─event→ Busy ─result→ Acknowledged
//!              │                 │             │
//!              └──── nonsense ───┴─────────────┴→ Unknown, until the process is started again
//! ```
//!
//! An event belongs to its pool until a listener has acknowledged it: a rejection, a broken protocol or the end of the
//! listener gives it back to the head of the pool's buffer.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::pool::Pool;
use super::process::Process;
use super::stage::Stage;
use super::{Action, Actions, Fleet};
use crate::config::spec::GroupSpec;
use crate::domain::{
    Envelope, Errno, GroupName, Life, Line, ListenerState, Now, OutputEvents, Said,
};

/// Where one listener stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Hearing {
    /// It has handled its event, or was just started.
    Acknowledged,
    /// It waits for an event.
    Ready,
    /// It waits for an event, but has closed its standard input.
    Deaf,
    /// It has an event and owes a result.
    Busy(Box<Envelope>),
    /// It broke the protocol.
    Unknown,
}

impl Hearing {
    /// The state by the name that log lines have.
    pub(super) const fn state(&self) -> ListenerState {
        match self {
            Self::Acknowledged => ListenerState::Acknowledged,
            Self::Ready | Self::Deaf => ListenerState::Ready,
            Self::Busy(_) => ListenerState::Busy,
            Self::Unknown => ListenerState::Unknown,
        }
    }
}

impl Fleet {
    /// Offers what was published since the last call to every pool, in order.
    pub(super) fn hear(&mut self, out: &mut Actions) {
        if self.pools.is_empty() {
            self.heard = out.len();
            return;
        }
        for action in out.split_off(self.heard.min(out.len())) {
            let event = match &action {
                Action::Publish(event) => Some(Arc::clone(event)),
                _ => None,
            };
            out.push(action);
            let Some(event) = event else { continue };
            let place = event.place();
            if !self.pools.iter().any(|pool| pool.takes(place)) {
                continue;
            }
            let serial = self.event_serial;
            self.event_serial += 1;
            for pool in self.pools.iter_mut().filter(|pool| pool.takes(place)) {
                pool.accept(&event, (place, serial), &self.server, out);
            }
        }
        self.heard = out.len();
    }

    /// Hands waiting events to listeners that are ready. A pool that pauses after rejections keeps all of its events: their
    /// order stays.
    pub(super) fn dispatch(&mut self, now: Now, out: &mut Actions) {
        for index in 0..self.pools.len() {
            let pool = &mut self.pools[index];
            let count = pool.rejections.look(now);
            if count > 0 {
                let pool = pool.group.clone();
                out.push(Action::Log(Line::EventsRejected { pool, count }));
            }
            let mut handed = false;
            while self.pools[index].is_deliverable() {
                let slot = self.first_ready(index);
                // Supervisor, which takes an event before it looks for a listener, says so when it puts it back.
                if slot.is_none() && !handed {
                    break;
                }
                let Some(envelope) = self.pools[index].next() else {
                    break;
                };
                match slot {
                    Some(slot) => self.hand(slot, envelope, out),
                    None => {
                        self.pools[index].take_back(envelope, out);
                        break;
                    }
                }
                handed = true;
            }
        }
    }

    /// The first process of a pool, in the order of the configuration, that runs and waits for an event.
    fn first_ready(&self, index: usize) -> Option<u32> {
        let group = self.groups.get(&self.pools[index].group)?;
        group.slots.iter().copied().find(|&slot| {
            self.seats.get(slot).is_some_and(|process| {
                matches!(process.run.stage, Stage::Running { .. })
                    && process.run.hearing == Some(Hearing::Ready)
            })
        })
    }

    fn hand(&mut self, slot: u32, envelope: Envelope, out: &mut Actions) {
        let Some(process) = self.seats.get_mut(slot) else {
            return;
        };
        let Some(life) = process.run.stage.life() else {
            return;
        };
        self.changed.push(slot);
        let serial = envelope.serial;
        process.run.hearing = Some(Hearing::Busy(Box::new(envelope.clone())));
        let name = process.spec.name.clone();
        out.push(Action::Deliver(life, envelope));
        out.push(Action::Log(Line::EventSent { serial, name }));
    }

    /// A listener said something.
    pub(super) fn said(&mut self, life: Life, said: Said, now: Now, out: &mut Actions) {
        let Some(name) = self
            .seats
            .living(life)
            .map(|process| process.spec.name.clone())
        else {
            return;
        };
        match said {
            Said::Ready => {
                self.move_to(life, Hearing::Ready, out);
            }
            Said::Nonsense => {
                let held = self.move_to(life, Hearing::Unknown, out);
                // It spoke before the event reached it.
                self.give_back(held, out);
            }
            Said::BadResult(line) => {
                out.push(Action::Log(Line::BadResult { name, line }));
                let held = self.move_to(life, Hearing::Unknown, out);
                self.give_back(held, out);
            }
            Said::Result(verdict) => {
                let pool = self.pool_of(life.slot).map(|index| &mut self.pools[index]);
                let accepted = pool.as_ref().is_none_or(|pool| pool.accepts(verdict));
                if accepted {
                    if let Some(pool) = pool {
                        pool.rejections.forget();
                    }
                    out.push(Action::Log(Line::EventProcessed { name }));
                } else if pool.is_none_or(|pool| pool.rejections.count(now)) {
                    out.push(Action::Log(Line::EventRejected { name }));
                }
                let held = self.move_to(life, Hearing::Acknowledged, out);
                if !accepted {
                    self.give_back(held, out);
                }
            }
        }
    }

    /// An event did not reach its listener.
    pub(super) fn not_delivered(&mut self, life: Life, error: Errno, out: &mut Actions) {
        if self.seats.living(life).is_none() {
            return;
        }
        let Some(process) = self.seats.get_mut(life.slot) else {
            return;
        };
        // What broke the protocol meanwhile has given its event back already.
        let busy = |hearing: &mut Hearing| matches!(hearing, Hearing::Busy(_));
        let Some(Hearing::Busy(envelope)) = process.run.hearing.take_if(busy) else {
            return;
        };
        let name = process.spec.name.clone();
        if error == Errno::AGAIN {
            // Differs: it acknowledges events that it does not read, a megabyte of them by now. In Supervisor the error
            // escapes and nothing is delivered to anybody.
            process.run.hearing = Some(Hearing::Ready);
            self.move_to(life, Hearing::Unknown, out);
        } else {
            process.run.hearing = Some(Hearing::Deaf);
            self.changed.push(life.slot);
            let serial = envelope.serial;
            out.push(Action::Log(Line::EventNotSent { serial, name }));
        }
        self.give_back(Some(envelope), out);
    }

    /// The process of a slot has ended: an event that it held goes back to its pool.
    pub(super) fn lapse(&mut self, slot: u32, out: &mut Actions) {
        let Some(process) = self.seats.get_mut(slot) else {
            return;
        };
        if process.run.stage.life().is_some() || process.run.hearing.is_none() {
            return;
        }
        if let Some(Hearing::Busy(envelope)) = process.run.hearing.replace(Hearing::Acknowledged) {
            self.give_back(Some(envelope), out);
        }
    }

    /// Moves a listener, and says so; answers the event that it held.
    fn move_to(&mut self, life: Life, to: Hearing, out: &mut Actions) -> Option<Box<Envelope>> {
        self.changed.push(life.slot);
        let process = self.seats.get_mut(life.slot)?;
        let name = process.spec.name.clone();
        let from = process.run.hearing.replace(to.clone())?;
        out.push(Action::Log(Line::ListenerMoved {
            name: name.clone(),
            from: from.state().name().to_owned(),
            to: to.state().name().to_owned(),
        }));
        if to == Hearing::Unknown {
            out.push(Action::Log(Line::ListenerUnknown { name }));
        }
        match from {
            Hearing::Busy(envelope) => Some(envelope),
            Hearing::Acknowledged | Hearing::Ready | Hearing::Deaf | Hearing::Unknown => None,
        }
    }

    /// Gives an event back to the pool that it came from.
    // Differs: Supervisor gives it to every pool that has a process of the same priority, which is nearly all of them.
    fn give_back(&mut self, envelope: Option<Box<Envelope>>, out: &mut Actions) {
        if let Some(envelope) = envelope
            && let Some(pool) = self
                .pools
                .iter_mut()
                .find(|pool| pool.group == envelope.pool)
        {
            pool.take_back(*envelope, out);
        }
    }

    /// How many events the pool of a process has discarded.
    pub(super) fn events_discarded(&self, process: &Process) -> u64 {
        let group = process.run.hearing.as_ref().map(|_| &process.spec.group);
        group
            .and_then(|group| self.pools.iter().find(|pool| pool.group == *group))
            .map_or(0, |pool| pool.discarded)
    }

    /// The pool that a slot's process belongs to.
    pub(super) fn pool_of(&self, slot: u32) -> Option<usize> {
        let group = &self.seats.get(slot)?.spec.group;
        self.pools.iter().position(|pool| pool.group == *group)
    }

    /// Events wait for, or are with, a listener of this priority that is able to take them.
    pub(super) fn events_are_out(&self, priority: i64) -> bool {
        self.pools.iter().any(|pool| {
            let group = self.groups.get(&pool.group);
            group
                .filter(|group| group.spec.priority == priority)
                .is_some_and(|group| {
                    group.slots.iter().any(|&slot| {
                        let process = self.seats.get(slot);
                        process
                            .filter(|process| matches!(process.run.stage, Stage::Running { .. }))
                            .and_then(|process| process.run.hearing.as_ref())
                            .is_some_and(|hearing| match hearing {
                                Hearing::Busy(_) => true,
                                Hearing::Acknowledged | Hearing::Ready => pool.is_waiting(),
                                Hearing::Deaf | Hearing::Unknown => false,
                            })
                    })
                })
        })
    }

    /// Makes the pool of a group that is being added, if it is one of listeners. It hears of its own addition, and of
    /// nothing before that.
    pub(super) fn add_pool(&mut self, group: &GroupSpec, now: Now, out: &mut Actions) {
        if let Some(pool) = Pool::of(group) {
            self.hear(out);
            self.pools.push(pool);
            self.listen(now, out);
        }
    }

    /// Forgets the pool of a group that is being removed, with the events that wait in it.
    pub(super) fn remove_pool(&mut self, group: &GroupName, now: Now, out: &mut Actions) {
        let count = self.pools.len();
        self.pools.retain(|pool| pool.group != *group);
        if self.pools.len() != count {
            self.listen(now, out);
        }
    }

    /// Ticks, and what processes write, become events while somebody listens only.
    fn listen(&mut self, now: Now, out: &mut Actions) {
        let pools = &self.pools;
        let takes = |name| pools.iter().any(|pool| pool.takes_any(name));
        let wanted = OutputEvents {
            logs: takes("PROCESS_LOG"),
            communications: takes("PROCESS_COMMUNICATION"),
        };
        if self.output_events != wanted {
            self.output_events = wanted;
            out.push(Action::Report(wanted));
        }
        self.ticks.listen(
            |period| {
                pools
                    .iter()
                    .any(|pool| pool.takes_any(&format!("TICK_{period}")))
            },
            now,
        );
    }
}
