//! Invariants of events and listeners: every lost event is counted, no event goes to two listeners of a pool, and an
//! event goes only to a listener that is RUNNING and READY. A rejected event is delivered again only after its pause.

use std::collections::{BTreeMap, BTreeSet};

use supervisord::core::{Action, Input};
use supervisord::domain::{Change, InstanceId, Line, ListenerOutput, ProcessState, Verdict};
use supervisord::effects::{OutputEffect, OutputOutcome};

/// One pool, as an outside observer sees it.
#[derive(Debug, Default)]
struct Pool {
    /// Serials (the daemon's) of events that a listener has and has not acknowledged, and how many listeners have them.
    out: BTreeMap<u64, u32>,
    /// The pool serial of the next event that was never delivered.
    next: u64,
    /// Certain rejections in a row, and the time of the last one.
    rejected: (u32, u64),
}

/// The shortest pause of a pool after `count` rejections in a row.
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
    /// The event that each busy listener has: its pool and its serial.
    busy: BTreeMap<InstanceId, (String, u64)>,
    /// Listeners that reported READY and got no event since.
    ready: BTreeSet<InstanceId>,
    /// The process of each instance that was spawned.
    spawned: BTreeMap<InstanceId, (String, String)>,
    /// Processes that are RUNNING according to the published events.
    running: BTreeSet<(String, String)>,
    /// The event name of each serial. Each serial is used once.
    serials: BTreeMap<u64, &'static str>,
}

impl Listeners {
    pub(crate) fn note_input(&mut self, at: u64, input: &Input) {
        match input {
            Input::Output(OutputOutcome::ListenerOutput(instance, said)) => match said {
                ListenerOutput::Ready => {
                    self.ready.insert(*instance);
                }
                ListenerOutput::Result(verdict) => {
                    if let Some((pool, _)) = self.busy.get(instance)
                        && let Some(pool) = self.pools.get_mut(pool)
                    {
                        pool.rejected = match verdict {
                            Verdict::Fail => (pool.rejected.0 + 1, at),
                            // The result handler decides whether this is a rejection.
                            Verdict::Ok | Verdict::Other => (0, at),
                        };
                    }
                    self.release_event(*instance);
                }
                ListenerOutput::BadResult(_) | ListenerOutput::Nonsense => {
                    self.release_event(*instance);
                    self.ready.remove(instance);
                }
            },
            Input::Output(OutputOutcome::NotDelivered(instance, _)) => {
                self.release_event(*instance);
            }
            Input::Output(OutputOutcome::Drained(instance)) => {
                self.release_event(*instance);
                self.ready.remove(instance);
            }
            _ => {}
        }
    }

    /// The listener has no event any more.
    fn release_event(&mut self, instance: InstanceId) {
        if let Some((pool, serial)) = self.busy.remove(&instance)
            && let Some(pool) = self.pools.get_mut(&pool)
            && let Some(times) = pool.out.get_mut(&serial)
        {
            *times -= 1;
        }
    }

    /// The exit of the process is published. Its pool has the event again, and a result that comes later counts for
    /// nothing.
    fn release_events_of(&mut self, name: &(String, String)) {
        let busy: Vec<InstanceId> = self.busy.keys().copied().collect();
        for instance in busy {
            if self.spawned.get(&instance) == Some(name) {
                self.release_event(instance);
            }
        }
    }

    pub(crate) fn note_action(&mut self, at: u64, action: &Action) {
        match action {
            Action::Output(OutputEffect::Deliver(instance, envelope)) => {
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
                // A pool may subscribe to one event three times (TICK, TICK_60, EVENT).
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
            Action::Spawn(instance, spec) => {
                let name = (spec.group.to_string(), spec.name.to_string());
                self.spawned.insert(*instance, name);
            }
            // The discarded event is never delivered. The next one may be.
            Action::Log(Line::PoolOverflow { pool, .. }) => {
                let pool = self.pools.entry(pool.to_string()).or_default();
                pool.next = u64::MAX;
            }
            Action::Publish(event) => {
                if let Change::ProcessState {
                    group, process, to, ..
                } = &**event
                {
                    let name = (group.to_string(), process.to_string());
                    if matches!(
                        to,
                        ProcessState::Stopped | ProcessState::Exited | ProcessState::Backoff
                    ) {
                        self.release_events_of(&name);
                    }
                    match to {
                        ProcessState::Running => self.running.insert(name),
                        _ => self.running.remove(&name),
                    };
                }
                if let Change::GroupRemoved(group) | Change::GroupAdded(group) = &**event {
                    self.pools.remove(group.as_str());
                    self.busy.retain(|_, (pool, _)| pool != group.as_str());
                }
            }
            _ => {}
        }
    }
}
