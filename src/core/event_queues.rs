//! The pools of event listeners with their waiting events, and which events are produced for them.

use std::sync::Arc;

use super::listener_pool::ListenerPool;
use super::tick::Ticks;
use super::{Action, Actions};
use crate::config::spec::GroupSpec;
use crate::domain::{Envelope, GroupName, Line, Now, OutputEvents, Tick};
use crate::effects::OutputEffect;

/// The pools of listeners and the production of events for them.
#[derive(Debug)]
pub(super) struct EventQueues {
    /// In the order in which they were added.
    pub(super) pools: Vec<ListenerPool>,
    pub(super) ticks: Ticks,
    /// Which events about process output the pools subscribe to.
    pub(super) output_events: OutputEvents,
    /// The serial number of the next event that a pool accepts.
    pub(super) next_serial: u64,
    /// The identifier of this daemon, for events.
    pub(super) server: Arc<str>,
    /// How many of the current actions were offered to the pools. Valid only within one call of `handle`.
    pub(super) offered_up_to: usize,
}

impl EventQueues {
    pub(super) fn new(next_serial: u64, server: &str) -> Self {
        Self {
            pools: Vec::new(),
            ticks: Ticks::NONE,
            output_events: OutputEvents::default(),
            next_serial,
            server: Arc::from(server),
            offered_up_to: 0,
        }
    }

    /// Offers all events published since the last call to every pool, in order.
    pub(super) fn offer(&mut self, out: &mut Actions) {
        if self.pools.is_empty() {
            self.offered_up_to = out.len();
            return;
        }
        for action in out.split_off(self.offered_up_to.min(out.len())) {
            let event = match &action {
                Action::Publish(event) => Some(Arc::clone(event)),
                _ => None,
            };
            out.push(action);
            let Some(event) = event else { continue };
            let place = event.event_index();
            if !self.pools.iter().any(|pool| pool.subscribes_to(place)) {
                continue;
            }
            let serial = self.next_serial;
            self.next_serial += 1;
            for pool in &mut self.pools {
                if pool.subscribes_to(place) {
                    pool.accept(&event, (place, serial), &self.server, out);
                }
            }
        }
        self.offered_up_to = out.len();
    }

    /// Ends pauses of pools that are over, and logs how many rejections were not logged.
    pub(super) fn end_pause(&mut self, index: usize, now: Now, out: &mut Actions) {
        let pool = &mut self.pools[index];
        let count = pool.rejections.end_expired(now);
        if count > 0 {
            let pool = pool.group.clone();
            out.push(Action::Log(Line::EventsRejected { pool, count }));
        }
    }

    /// Puts an event back into its pool.
    // Differs: Supervisor puts it into every pool that has a process of the same priority, which is nearly every pool.
    pub(super) fn put_back(&mut self, envelope: Option<Box<Envelope>>, out: &mut Actions) {
        if let Some(envelope) = envelope
            && let Some(pool) = self
                .pools
                .iter_mut()
                .find(|pool| pool.group == envelope.pool)
        {
            pool.rebuffer(*envelope, out);
        }
    }

    /// Returns the pool of a group. `None`: it is no group of listeners.
    pub(super) fn pool(&self, group: &GroupName) -> Option<&ListenerPool> {
        self.pools.iter().find(|pool| pool.group == *group)
    }

    /// Returns the pool of a group. `None`: it is no group of listeners.
    pub(super) fn pool_mut(&mut self, group: &GroupName) -> Option<&mut ListenerPool> {
        self.pools.iter_mut().find(|pool| pool.group == *group)
    }

    /// Creates the pool of a group that is being added if it is a group of listeners. The first event that the pool
    /// gets is the addition of its own group.
    pub(super) fn add(&mut self, group: &GroupSpec, now: Now, out: &mut Actions) {
        if let Some(pool) = ListenerPool::of(group) {
            self.offer(out);
            self.pools.push(pool);
            self.update_subscriptions(now, out);
        }
    }

    /// Removes the pool of a group and the events that wait in it.
    pub(super) fn remove(&mut self, group: &GroupName, now: Now, out: &mut Actions) {
        let count = self.pools.len();
        self.pools.retain(|pool| pool.group != *group);
        if self.pools.len() != count {
            self.update_subscriptions(now, out);
        }
    }

    /// Returns when the next tick or the end of a pause is due. [`Tick::NEVER`]: nothing is due.
    pub(super) fn due(&self) -> Tick {
        let pauses = self.pools.iter().map(ListenerPool::due);
        pauses.fold(self.ticks.due(), Tick::min)
    }

    /// Updates which ticks and output events are produced. They are produced only while a pool subscribes to them.
    fn update_subscriptions(&mut self, now: Now, out: &mut Actions) {
        let pools = &self.pools;
        let takes = |name: &str| pools.iter().any(|pool| pool.subscribes_to_type(name));
        let wanted = OutputEvents {
            logs: takes("PROCESS_LOG"),
            communications: takes("PROCESS_COMMUNICATION"),
        };
        if self.output_events != wanted {
            self.output_events = wanted;
            out.push(Action::Output(OutputEffect::Report(wanted)));
        }
        self.ticks
            .set_periods(|period| takes(&format!("TICK_{}", period.seconds())), now);
    }
}
