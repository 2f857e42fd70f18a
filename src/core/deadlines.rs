//! The deadlines of processes in the order in which they are due.

use std::collections::BTreeSet;

use crate::domain::Tick;

/// Deadlines with the slots of their processes. A process has at most one entry.
#[derive(Debug, Default)]
pub(super) struct Deadlines(BTreeSet<(Tick, u32)>);

impl Deadlines {
    /// Replaces the deadline of a slot. [`Tick::NEVER`]: the slot has none.
    pub(super) fn replace(&mut self, slot: u32, before: Tick, after: Tick) {
        if before == after {
            return;
        }
        self.0.remove(&(before, slot));
        if after != Tick::NEVER {
            self.0.insert((after, slot));
        }
    }

    /// Returns the earliest deadline. [`Tick::NEVER`]: there is none.
    pub(super) fn due(&self) -> Tick {
        self.0.first().map_or(Tick::NEVER, |&(tick, _)| tick)
    }

    /// Takes the slot with the earliest deadline if that has passed.
    pub(super) fn pop(&mut self, now: Tick) -> Option<u32> {
        let &(tick, slot) = self.0.first()?;
        if tick > now {
            return None;
        }
        self.0.pop_first();
        Some(slot)
    }
}
