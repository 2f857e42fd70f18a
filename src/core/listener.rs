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

use super::listener_pool::ListenerPool;
use super::process::Process;
use super::stage::Stage;
use super::{Action, Actions, Fleet};
use crate::config::spec::GroupSpec;
use crate::domain::{
    Envelope, Errno, GroupName, InstanceId, Line, ListenerOutput, ListenerState, Now, OutputEvents,
};

/// Where one listener stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum ListenerStage {
    /// It has handled its event, or was just started.
    Acknowledged,
    /// It waits for an event.
    Ready,
    /// It waits for an event, but has closed its standard input.
    #[serde(rename = "Deaf")]
    StdinClosed,
    /// It has an event and owes a result.
    Busy(Box<Envelope>),
    /// It broke the protocol.
    Unknown,
}

impl ListenerStage {
    /// The state by the name that log lines have.
    pub(super) const fn state(&self) -> ListenerState {
        match self {
            Self::Acknowledged => ListenerState::Acknowledged,
            Self::Ready | Self::StdinClosed => ListenerState::Ready,
            Self::Busy(_) => ListenerState::Busy,
            Self::Unknown => ListenerState::Unknown,
        }
    }
}

impl Fleet {
    /// Offers what was published since the last call to every pool, in order.
    pub(super) fn offer_events(&mut self, out: &mut Actions) {
        if self.pools.is_empty() {
            self.dispatched_up_to = out.len();
            return;
        }
        for action in out.split_off(self.dispatched_up_to.min(out.len())) {
            let event = match &action {
                Action::Publish(event) => Some(Arc::clone(event)),
                _ => None,
            };
            out.push(action);
            let Some(event) = event else { continue };
            let place = event.place();
            if !self.pools.iter().any(|pool| pool.subscribes_to(place)) {
                continue;
            }
            let serial = self.event_serial;
            self.event_serial += 1;
            for pool in self
                .pools
                .iter_mut()
                .filter(|pool| pool.subscribes_to(place))
            {
                pool.accept(&event, (place, serial), &self.server, out);
            }
        }
        self.dispatched_up_to = out.len();
    }

    /// Hands waiting events to listeners that are ready. A pool that pauses after rejections keeps all of its events: their
    /// order stays.
    pub(super) fn dispatch(&mut self, now: Now, out: &mut Actions) {
        for index in 0..self.pools.len() {
            let pool = &mut self.pools[index];
            let count = pool.rejections.end_expired(now);
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
                    Some(slot) => self.deliver_event(slot, envelope, out),
                    None => {
                        self.pools[index].rebuffer(envelope, out);
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
            self.slots.get(slot).is_some_and(|process| {
                matches!(process.run.stage, Stage::Running { .. })
                    && process.run.listener == Some(ListenerStage::Ready)
            })
        })
    }

    fn deliver_event(&mut self, slot: u32, envelope: Envelope, out: &mut Actions) {
        let Some(process) = self.slots.get_mut(slot) else {
            return;
        };
        let Some(instance) = process.run.stage.instance() else {
            return;
        };
        self.changed.push(slot);
        let serial = envelope.serial;
        process.run.listener = Some(ListenerStage::Busy(Box::new(envelope.clone())));
        let name = process.spec.name.clone();
        out.push(Action::Deliver(instance, envelope));
        out.push(Action::Log(Line::EventSent { serial, name }));
    }

    /// A listener said something.
    pub(super) fn listener_output(
        &mut self,
        instance: InstanceId,
        said: ListenerOutput,
        now: Now,
        out: &mut Actions,
    ) {
        let Some(name) = self
            .slots
            .process_of(instance)
            .map(|process| process.spec.name.clone())
        else {
            return;
        };
        match said {
            ListenerOutput::Ready => {
                self.move_to(instance, ListenerStage::Ready, out);
            }
            ListenerOutput::Nonsense => {
                let held = self.move_to(instance, ListenerStage::Unknown, out);
                // It spoke before the event reached it.
                self.return_event(held, out);
            }
            ListenerOutput::BadResult(line) => {
                out.push(Action::Log(Line::BadResult { name, line }));
                let held = self.move_to(instance, ListenerStage::Unknown, out);
                self.return_event(held, out);
            }
            ListenerOutput::Result(verdict) => {
                let pool = self
                    .pool_of(instance.slot)
                    .map(|index| &mut self.pools[index]);
                let accepted = pool.as_ref().is_none_or(|pool| pool.accepts(verdict));
                if accepted {
                    if let Some(pool) = pool {
                        pool.rejections.reset();
                    }
                    out.push(Action::Log(Line::EventProcessed { name }));
                } else if pool.is_none_or(|pool| pool.rejections.count(now)) {
                    out.push(Action::Log(Line::EventRejected { name }));
                }
                let held = self.move_to(instance, ListenerStage::Acknowledged, out);
                if !accepted {
                    self.return_event(held, out);
                }
            }
        }
    }

    /// An event did not reach its listener.
    pub(super) fn not_delivered(&mut self, instance: InstanceId, error: Errno, out: &mut Actions) {
        if self.slots.process_of(instance).is_none() {
            return;
        }
        let Some(process) = self.slots.get_mut(instance.slot) else {
            return;
        };
        // What broke the protocol meanwhile has given its event back already.
        let busy = |listener: &mut ListenerStage| matches!(listener, ListenerStage::Busy(_));
        let Some(ListenerStage::Busy(envelope)) = process.run.listener.take_if(busy) else {
            return;
        };
        let name = process.spec.name.clone();
        if error == Errno::AGAIN {
            // Differs: it acknowledges events that it does not read, a megabyte of them by now. In Supervisor the error
            // escapes and nothing is delivered to anybody.
            process.run.listener = Some(ListenerStage::Ready);
            self.move_to(instance, ListenerStage::Unknown, out);
        } else {
            process.run.listener = Some(ListenerStage::StdinClosed);
            self.changed.push(instance.slot);
            let serial = envelope.serial;
            out.push(Action::Log(Line::EventNotSent { serial, name }));
        }
        self.return_event(Some(envelope), out);
    }

    /// The process of a slot has ended: an event that it held goes back to its pool.
    pub(super) fn return_held_event(&mut self, slot: u32, out: &mut Actions) {
        let Some(process) = self.slots.get_mut(slot) else {
            return;
        };
        if process.run.stage.instance().is_some() || process.run.listener.is_none() {
            return;
        }
        if let Some(ListenerStage::Busy(envelope)) =
            process.run.listener.replace(ListenerStage::Acknowledged)
        {
            self.return_event(Some(envelope), out);
        }
    }

    /// Moves a listener, and says so; answers the event that it held.
    fn move_to(
        &mut self,
        instance: InstanceId,
        to: ListenerStage,
        out: &mut Actions,
    ) -> Option<Box<Envelope>> {
        self.changed.push(instance.slot);
        let process = self.slots.get_mut(instance.slot)?;
        let name = process.spec.name.clone();
        let from = process.run.listener.replace(to.clone())?;
        out.push(Action::Log(Line::ListenerMoved {
            name: name.clone(),
            from: from.state().name().to_owned(),
            to: to.state().name().to_owned(),
        }));
        if to == ListenerStage::Unknown {
            out.push(Action::Log(Line::ListenerUnknown { name }));
        }
        match from {
            ListenerStage::Busy(envelope) => Some(envelope),
            ListenerStage::Acknowledged
            | ListenerStage::Ready
            | ListenerStage::StdinClosed
            | ListenerStage::Unknown => None,
        }
    }

    /// Gives an event back to the pool that it came from.
    // Differs: Supervisor gives it to every pool that has a process of the same priority, which is nearly all of them.
    fn return_event(&mut self, envelope: Option<Box<Envelope>>, out: &mut Actions) {
        if let Some(envelope) = envelope
            && let Some(pool) = self
                .pools
                .iter_mut()
                .find(|pool| pool.group == envelope.pool)
        {
            pool.rebuffer(*envelope, out);
        }
    }

    /// How many events the pool of a process has discarded.
    pub(super) fn events_discarded(&self, process: &Process) -> u64 {
        let group = process.run.listener.as_ref().map(|_| &process.spec.group);
        group
            .and_then(|group| self.pools.iter().find(|pool| pool.group == *group))
            .map_or(0, |pool| pool.discarded)
    }

    /// The pool that a slot's process belongs to.
    pub(super) fn pool_of(&self, slot: u32) -> Option<usize> {
        let group = &self.slots.get(slot)?.spec.group;
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
                        let process = self.slots.get(slot);
                        process
                            .filter(|process| matches!(process.run.stage, Stage::Running { .. }))
                            .and_then(|process| process.run.listener.as_ref())
                            .is_some_and(|listener| match listener {
                                ListenerStage::Busy(_) => true,
                                ListenerStage::Acknowledged | ListenerStage::Ready => {
                                    pool.is_waiting()
                                }
                                ListenerStage::StdinClosed | ListenerStage::Unknown => false,
                            })
                    })
                })
        })
    }

    /// Makes the pool of a group that is being added, if it is one of listeners. It hears of its own addition, and of
    /// nothing before that.
    pub(super) fn add_pool(&mut self, group: &GroupSpec, now: Now, out: &mut Actions) {
        if let Some(pool) = ListenerPool::of(group) {
            self.offer_events(out);
            self.pools.push(pool);
            self.update_subscriptions(now, out);
        }
    }

    /// Forgets the pool of a group that is being removed, with the events that wait in it.
    pub(super) fn remove_pool(&mut self, group: &GroupName, now: Now, out: &mut Actions) {
        let count = self.pools.len();
        self.pools.retain(|pool| pool.group != *group);
        if self.pools.len() != count {
            self.update_subscriptions(now, out);
        }
    }

    /// Ticks, and what processes write, become events while somebody listens only.
    fn update_subscriptions(&mut self, now: Now, out: &mut Actions) {
        let pools = &self.pools;
        let takes = |name| pools.iter().any(|pool| pool.subscribes_to_type(name));
        let wanted = OutputEvents {
            logs: takes("PROCESS_LOG"),
            communications: takes("PROCESS_COMMUNICATION"),
        };
        if self.output_events != wanted {
            self.output_events = wanted;
            out.push(Action::Report(wanted));
        }
        self.ticks.set_periods(
            |period| {
                pools
                    .iter()
                    .any(|pool| pool.subscribes_to_type(&format!("TICK_{period}")))
            },
            now,
        );
    }
}
