//! What must hold of events and listeners: none is lost that is not counted, none is handed out twice at once, and only to
//! a listener that runs and waits for one. A rejected event is not handed out again before its pause is over.

use std::collections::{BTreeMap, BTreeSet};

use supervisord::core::{Action, Input};
use supervisord::domain::{EventKind, InstanceId, Line, ListenerOutput, ProcessState, Verdict};

/// One pool, as seen from outside.
#[derive(Debug, Default)]
struct Pool {
    /// Numbers (of the daemon) of events that were handed to a listener and are not settled, with how often.
    out: BTreeMap<u64, u32>,
    /// The number of the pool's next event that was never handed out.
    next: u64,
    /// Certain rejections in a row, and when the last one came.
    rejected: (u32, u64),
}

/// The pause that a pool must keep at least after `count` rejections in a row.
fn pause(count: u32) -> u64 {
    const MILLI: u64 = 1_000_000;
    match count {
        0 | 1 => 0,
        2..=8 => (50 * MILLI) << (count - 2),
        _ => 5_000 * MILLI,
    }
}

#[derive(Debug, Default)]
pub(crate) struct Listeners {
    pools: BTreeMap<String, Pool>,
    /// Which event a listener has, and of which pool.
    busy: BTreeMap<InstanceId, (String, u64)>,
    /// Listeners that said they were ready, and got no event since.
    ready: BTreeSet<InstanceId>,
    /// Processes that are RUNNING, as the events tell it.
    running: BTreeSet<(String, String)>,
    /// Numbers are given in order, each once.
    serials: BTreeMap<u64, &'static str>,
}

impl Listeners {
    pub(crate) fn hear(&mut self, at: u64, input: &Input) {
        match input {
            Input::ListenerOutput(instance, said) => match said {
                ListenerOutput::Ready => {
                    self.ready.insert(*instance);
                }
                ListenerOutput::Result(verdict) => {
                    if let Some((pool, _)) = self.busy.get(instance)
                        && let Some(pool) = self.pools.get_mut(pool)
                    {
                        pool.rejected = match verdict {
                            Verdict::Fail => (pool.rejected.0 + 1, at),
                            // Whether this one rejects depends on the handler.
                            Verdict::Ok | Verdict::Other => (0, at),
                        };
                    }
                    self.settle(*instance);
                }
                ListenerOutput::BadResult(_) | ListenerOutput::Nonsense => {
                    self.settle(*instance);
                    self.ready.remove(instance);
                }
            },
            Input::NotDelivered(instance, _) => {
                self.settle(*instance);
            }
            Input::Drained(instance) => {
                self.settle(*instance);
                self.ready.remove(instance);
            }
            _ => {}
        }
    }

    /// The listener has no event any more.
    fn settle(&mut self, instance: InstanceId) {
        if let Some((pool, serial)) = self.busy.remove(&instance)
            && let Some(pool) = self.pools.get_mut(&pool)
            && let Some(times) = pool.out.get_mut(&serial)
        {
            *times -= 1;
        }
    }

    pub(crate) fn note(&mut self, at: u64, action: &Action) {
        match action {
            Action::Deliver(instance, envelope) => {
                assert!(
                    self.ready.remove(instance),
                    "an event for a listener that waits for none: {envelope:?}"
                );
                let name = envelope.event.name();
                let before = self.serials.insert(envelope.serial, name);
                assert!(
                    before.is_none_or(|before| before == name),
                    "two events of one number"
                );
                let pool = self.pools.entry(envelope.pool.to_string()).or_default();
                assert!(
                    envelope.pool_serial <= pool.next,
                    "events of a pool were passed over: {envelope:?}, {pool:?}"
                );
                let (count, last) = pool.rejected;
                assert!(
                    at >= last + pause(count),
                    "{envelope:?} is delivered {} ns after rejection {count} in a row",
                    at - last
                );
                if envelope.pool_serial == pool.next {
                    pool.next += 1;
                }
                // One that is subscribed to three times at most (TICK, TICK_60, EVENT) may be out as often.
                let times = pool.out.entry(envelope.serial).or_default();
                *times += 1;
                assert!(*times <= 3, "one event with several listeners");
                let before = self
                    .busy
                    .insert(*instance, (envelope.pool.to_string(), envelope.serial));
                assert_eq!(before, None, "two events for one listener");
                assert!(
                    self.running
                        .iter()
                        .any(|(group, _)| *group == *envelope.pool.as_str()),
                    "an event for a pool of which nothing runs"
                );
            }
            // What gave way will never be handed out; the next one may be.
            Action::Log(Line::PoolOverflow { pool, .. }) => {
                let pool = self.pools.entry(pool.to_string()).or_default();
                pool.next = u64::MAX;
            }
            Action::Publish(event) => {
                if let (EventKind::ProcessState { to, .. }, Some(group), Some(process)) =
                    (&event.kind, &event.group, &event.process)
                {
                    let name = (group.to_string(), process.to_string());
                    match to {
                        ProcessState::Running => self.running.insert(name),
                        _ => self.running.remove(&name),
                    };
                }
                if let (EventKind::GroupRemoved | EventKind::GroupAdded, Some(group)) =
                    (&event.kind, &event.group)
                {
                    self.pools.remove(group.as_str());
                    self.busy.retain(|_, (pool, _)| pool != group.as_str());
                }
            }
            _ => {}
        }
    }
}
