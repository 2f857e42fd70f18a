//! Delivery of events to event listeners, and the protocol states of the listeners. The output thread transfers the
//! bytes.
//!
//! ```text
//! spawn → Acknowledged ─READY→ Ready ─event→ Busy ─result→ Acknowledged
//!              │                 │             │
//!              └──── nonsense ───┴─────────────┴→ Unknown, until the process is started again
//! ```
//!
//! An event belongs to its pool until a listener has acknowledged it. A rejection, a protocol error or the exit of the
//! listener puts the event back at the head of the pool's queue.

use super::listener_pool::ListenerPool;
use super::listener_stage::ListenerStage;
use super::process::Process;
use super::{Action, Actions, Fleet};
use crate::domain::{Envelope, Errno, InstanceId, Line, ListenerOutput, Now};
use crate::effects::OutputEffect;

impl Fleet {
    /// Sends waiting events to listeners that are ready. A pool that pauses after rejections keeps all its events, so
    /// that their order stays.
    pub(super) fn dispatch(&mut self, now: Now, out: &mut Actions) {
        for index in 0..self.events.pools.len() {
            self.events.end_pause(index, now, out);
            let mut handed = false;
            while self.events.pools[index].is_deliverable() {
                let slot = self.first_ready(index);
                // Log a rebuffered event when no listener was ready, as Supervisor does. Supervisor takes an event
                // before it looks for a listener.
                if slot.is_none() && !handed {
                    break;
                }
                let Some(envelope) = self.events.pools[index].next() else {
                    break;
                };
                match slot {
                    Some(slot) => self.deliver_event(slot, envelope, out),
                    None => {
                        self.events.pools[index].rebuffer(envelope, out);
                        break;
                    }
                }
                handed = true;
            }
        }
    }

    /// Returns the first process of a pool, in the order of the configuration, that is RUNNING and waits for an event.
    fn first_ready(&self, index: usize) -> Option<u32> {
        let group = self.groups.get(&self.events.pools[index].group)?;
        group.slots.iter().copied().find(|&slot| {
            self.slots.get(slot).is_some_and(|process| {
                process.run.stage.is_running() && process.run.listener == Some(ListenerStage::Ready)
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
        self.changes.slots.push(slot);
        let serial = envelope.serial;
        process.run.listener = Some(ListenerStage::Busy(Box::new(envelope.clone())));
        let name = process.spec.name.clone();
        out.push(Action::Output(OutputEffect::Deliver(instance, envelope)));
        out.push(Action::Log(Line::EventSent { serial, name }));
    }

    /// Handles a protocol message of a listener.
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
                // The listener wrote before the event reached it.
                self.events.put_back(held, out);
            }
            ListenerOutput::BadResult(line) => {
                out.push(Action::Log(Line::BadResult { name, line }));
                let held = self.move_to(instance, ListenerStage::Unknown, out);
                self.events.put_back(held, out);
            }
            ListenerOutput::Result(verdict) => {
                let group = self
                    .slots
                    .get(instance.slot)
                    .map(|process| &process.spec.group);
                let pool = group.and_then(|group| self.events.pool_mut(group));
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
                    self.events.put_back(held, out);
                }
            }
        }
    }

    /// Handles an event that did not reach its listener.
    pub(super) fn not_delivered(&mut self, instance: InstanceId, error: Errno, out: &mut Actions) {
        if self.slots.process_of(instance).is_none() {
            return;
        }
        let Some(process) = self.slots.get_mut(instance.slot) else {
            return;
        };
        // A listener that broke the protocol meanwhile has returned its event already.
        let busy = |listener: &mut ListenerStage| matches!(listener, ListenerStage::Busy(_));
        let Some(ListenerStage::Busy(envelope)) = process.run.listener.take_if(busy) else {
            return;
        };
        let name = process.spec.name.clone();
        if error == Errno::AGAIN {
            // Differs: this listener acknowledges events without reading them, and a megabyte of them is unread. In
            // Supervisor the error propagates and no listener gets an event any more.
            process.run.listener = Some(ListenerStage::Ready);
            self.move_to(instance, ListenerStage::Unknown, out);
        } else {
            process.run.listener = Some(ListenerStage::StdinClosed);
            self.changes.slots.push(instance.slot);
            let serial = envelope.serial;
            out.push(Action::Log(Line::EventNotSent { serial, name }));
        }
        self.events.put_back(Some(envelope), out);
    }

    /// Returns the event of a listener that has exited to its pool.
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
            self.events.put_back(Some(envelope), out);
        }
    }

    /// Changes the state of a listener and logs the change. Returns the event that the listener held.
    fn move_to(
        &mut self,
        instance: InstanceId,
        to: ListenerStage,
        out: &mut Actions,
    ) -> Option<Box<Envelope>> {
        self.changes.slots.push(instance.slot);
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

    /// Returns the pool of a process. `None`: the process is no listener.
    pub(super) fn pool_of(&self, process: &Process) -> Option<&ListenerPool> {
        process.run.listener.as_ref()?;
        self.events.pool(&process.spec.group)
    }

    /// Returns whether events wait for a usable listener of this priority, or such a listener has one in progress.
    pub(super) fn events_are_out(&self, priority: i64) -> bool {
        self.events.pools.iter().any(|pool| {
            let group = self.groups.get(&pool.group);
            group
                .filter(|group| group.spec.priority == priority)
                .is_some_and(|group| {
                    group.slots.iter().any(|&slot| {
                        let process = self.slots.get(slot);
                        process
                            .filter(|process| process.run.stage.is_running())
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
}
