//! One pool of event listeners: its subscriptions and the queue of events that wait for a listener.

use std::collections::VecDeque;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::rejection::Rejections;
use super::{Action, Actions};
use crate::config::key::RESULT_HANDLER;
use crate::config::spec::{GroupKind, GroupSpec};
use crate::domain::{Change, EVENTS, Envelope, EventType, GroupName, Line, Tick, Verdict};

/// Maximum bytes of events that wait in one pool, whatever its `buffer_size`. The oldest events are discarded and
/// counted.
// Differs: Supervisor limits only the number of events, and an event may hold any amount of output.
const POOL_BYTES_MAX: usize = 64 << 20;

/// Which results accept an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum ResultRule {
    /// Only `OK`, as Supervisor's default handler.
    OkAccepts,
    /// All results except `FAIL`. Used if the configuration names a Python result handler.
    // Differs: the daemon cannot run a Python handler. Rejecting a result that the handler would accept would deliver
    // the same event for ever.
    FailRejects,
}

/// The pool of one `[eventlistener:x]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ListenerPool {
    /// The name of the group.
    pub(super) group: GroupName,
    /// How many times the pool accepts an event of each row of EVENTS. A pool that subscribes to a type and to its
    /// parent gets such an event twice, with the same serial numbers, as in Supervisor.
    takes: Vec<u8>,
    rule: ResultRule,
    capacity: i64,
    /// The pool serial number of the next event.
    #[serde(deserialize_with = "crate::domain::counter::counter")]
    next: u64,
    waiting: VecDeque<Envelope>,
    bytes: usize,
    /// Events discarded since the pool was added.
    #[serde(deserialize_with = "crate::domain::counter::counter")]
    pub(super) discarded: u64,
    /// The pause after rejections. Absent in states written by older daemons.
    #[serde(default)]
    pub(super) rejections: Rejections,
}

impl ListenerPool {
    /// Creates the pool of `group`. `None`: it is not a group of listeners.
    pub(super) fn of(group: &GroupSpec) -> Option<Self> {
        let GroupKind::Listeners {
            events,
            buffer_size,
            result_handler,
        } = &group.kind
        else {
            return None;
        };
        Some(Self {
            group: group.name.clone(),
            takes: subscriptions(events),
            rule: if result_handler == RESULT_HANDLER {
                ResultRule::OkAccepts
            } else {
                ResultRule::FailRejects
            },
            capacity: *buffer_size,
            next: 0,
            waiting: VecDeque::new(),
            bytes: 0,
            discarded: 0,
            rejections: Rejections::default(),
        })
    }

    /// Subscribes again to the types of `group`, after a daemon with other rows of EVENTS wrote the state of the pool.
    pub(super) fn renew_subscriptions(&mut self, group: &GroupSpec) {
        if let GroupKind::Listeners { events, .. } = &group.kind {
            self.takes = subscriptions(events);
        }
    }

    /// Returns whether the pool accepts events of this row of EVENTS.
    pub(super) fn subscribes_to(&self, place: usize) -> bool {
        self.takes.get(place).is_some_and(|&times| times > 0)
    }

    /// Returns whether the pool accepts some events of the type `name` or of its subtypes.
    pub(super) fn subscribes_to_type(&self, name: &str) -> bool {
        let mut rows = EVENTS.iter().enumerate();
        rows.any(|(place, row)| {
            row.payload.is_some() && row.is_a(name) && self.subscribes_to(place)
        })
    }

    /// Accepts an event that the pool [subscribes to](Self::subscribes_to), as often as it subscribes.
    pub(super) fn accept(
        &mut self,
        event: &Arc<Change>,
        (place, serial): (usize, u64),
        server: &Arc<str>,
        out: &mut Actions,
    ) {
        let pool_serial = self.next;
        self.next += 1;
        for time in 0..self.takes[place] {
            let envelope = Envelope {
                server: Arc::clone(server),
                pool: self.group.clone(),
                serial,
                pool_serial,
                event: Arc::clone(event),
            };
            if time > 0 {
                self.log_rebuffering(serial, out);
            }
            self.make_room(event.size(), out);
            self.bytes += event.size();
            self.waiting.push_back(envelope);
        }
    }

    /// Puts a rejected or undelivered event back at the head of the queue.
    pub(super) fn rebuffer(&mut self, envelope: Envelope, out: &mut Actions) {
        self.log_rebuffering(envelope.serial, out);
        let size = envelope.event.size();
        self.make_room(size, out);
        self.bytes += size;
        self.waiting.push_front(envelope);
    }

    /// Discards the oldest events until one more event fits.
    fn make_room(&mut self, size: usize, out: &mut Actions) {
        let is_full = |pool: &Self| {
            i64::try_from(pool.waiting.len()).unwrap_or(i64::MAX) >= pool.capacity
                || pool.bytes.saturating_add(size) > POOL_BYTES_MAX
        };
        while is_full(self) {
            let Some(oldest) = self.next() else { return };
            self.discarded += 1;
            out.push(Action::Log(Line::PoolOverflow {
                pool: self.group.clone(),
                serial: oldest.serial,
            }));
        }
    }

    fn log_rebuffering(&self, serial: u64, out: &mut Actions) {
        out.push(Action::Log(Line::EventRebuffered {
            serial,
            pool: self.group.clone(),
            size: self.waiting.len(),
            capacity: self.capacity,
        }));
    }

    /// Discards all waiting events.
    pub(super) fn clear(&mut self) {
        self.waiting.clear();
        self.bytes = 0;
    }

    /// Returns how many events wait.
    pub(super) fn waiting(&self) -> u64 {
        self.waiting.len() as u64
    }

    /// Returns whether an event waits.
    pub(super) fn is_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    /// Returns whether an event can be delivered now if a listener is ready.
    pub(super) fn is_deliverable(&self) -> bool {
        self.is_waiting() && !self.rejections.is_pausing()
    }

    /// Returns when the pool has something to do without an input.
    pub(super) fn due(&self) -> Tick {
        self.rejections.due(self.is_waiting())
    }

    /// Takes the oldest event out of the queue.
    pub(super) fn next(&mut self) -> Option<Envelope> {
        let envelope = self.waiting.pop_front()?;
        self.bytes = self.bytes.saturating_sub(envelope.event.size());
        Some(envelope)
    }

    /// Returns whether this result accepts the event.
    pub(super) const fn accepts(&self, verdict: Verdict) -> bool {
        match (self.rule, verdict) {
            (ResultRule::OkAccepts, Verdict::Ok)
            | (ResultRule::FailRejects, Verdict::Ok | Verdict::Other) => true,
            (ResultRule::OkAccepts, Verdict::Fail | Verdict::Other)
            | (ResultRule::FailRejects, Verdict::Fail) => false,
        }
    }
}

/// Returns how often a pool that subscribes to these types accepts an event of each row of EVENTS.
fn subscriptions(events: &[String]) -> Vec<u8> {
    let times = |row: &EventType| {
        let names = events.iter().filter(|name| row.is_a(name));
        u8::try_from(names.count()).unwrap_or(u8::MAX)
    };
    EVENTS.iter().map(times).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::tests::bench::pool;

    #[test]
    fn a_pool_is_bounded_in_bytes_too() {
        let spec = pool("p", &["REMOTE_COMMUNICATION"], i64::MAX, 1);
        let mut pool = ListenerPool::of(&spec).expect("listeners");
        let event = Arc::new(Change::RemoteCommunication {
            kind: String::new(),
            data: "x".repeat(1 << 20),
        });
        let server = Arc::from("s");
        let mut out = Actions::new();
        for serial in 0..70 {
            pool.accept(&event, (event.event_index(), serial), &server, &mut out);
            assert!(pool.bytes <= POOL_BYTES_MAX);
        }
        assert_eq!(pool.discarded, 7);
        assert_eq!(out.len(), 7);
        while pool.next().is_some() {}
        assert_eq!(pool.bytes, 0);
    }
}
