//! When to look for children that are not of our making: as PID 1 or as a subreaper, or inherited by exec, or made by a program
//! with CLONE_PARENT. The kernel walks all children to find one, so the walks are rare. It must not know who the children are.
//!
//! With 5,000 programs a walk takes a millisecond; one after each SIGCHLD was 78 % of what the engine did. Programs have
//! pidfds, and wait for no walk.

use std::time::Duration;

use crate::domain::Tick;
use crate::sys;

/// A walk is followed by a pause of so many times its length, so that walks take 5 % of the time at most.
const PAUSE_FACTOR: u64 = 20;
/// The shortest pause where orphans are not to be expected.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// How long to wait for an answer that says whose a child is.
const UNDECIDED_PAUSE: Duration = Duration::from_millis(10);
/// Orphans that are reaped in one turn of the engine.
pub(super) const PER_TURN_MAX: usize = 64;

/// When to look for orphans.
#[derive(Debug)]
pub(super) struct OrphanSearch {
    /// They come to us by right: whoever is orphaned becomes our child.
    is_adopting: bool,
    /// When to look; [`Tick::NEVER`]: no child has ended since the last look.
    due: Tick,
    /// How long the last walk took, in nanoseconds.
    cost: u64,
}

impl OrphanSearch {
    /// Due at once: children may have been inherited with the process.
    pub(super) fn new(is_adopting: bool) -> Self {
        Self {
            is_adopting,
            due: Tick(0),
            cost: 0,
        }
    }

    /// The same for this process.
    pub(super) fn of_this_process() -> Self {
        Self::new(std::process::id() == 1 || sys::is_subreaper())
    }

    /// A child has ended, perhaps a program.
    pub(super) fn child_ended(&mut self, now: Tick) {
        if self.due == Tick::NEVER {
            self.due = Tick(now.0.saturating_add(self.pause()));
        }
    }

    /// When to look, if it is to be done.
    pub(super) fn due(&self) -> Option<Tick> {
        (self.due != Tick::NEVER).then_some(self.due)
    }

    pub(super) fn is_due(&self, now: Tick) -> bool {
        self.due <= now
    }

    /// The kernel has walked all children, and found none that has ended.
    pub(super) fn found_none(&mut self, cost: u64) {
        self.due = Tick::NEVER;
        self.cost = cost;
    }

    /// There are more, which have to wait until the rest of the engine's work was done.
    pub(super) fn found_many(&mut self, now: Tick) {
        self.due = now;
    }

    /// There is one, and it is not known yet whether it is a program or a helper.
    pub(super) fn found_undecided(&mut self, now: Tick) {
        let pause = u64::try_from(UNDECIDED_PAUSE.as_nanos()).unwrap_or(u64::MAX);
        self.due = Tick(now.0.saturating_add(pause.max(self.pause())));
    }

    fn pause(&self) -> u64 {
        let pause = self.cost.saturating_mul(PAUSE_FACTOR);
        let least = u64::try_from(PAUSE_MIN.as_nanos()).unwrap_or(u64::MAX);
        match self.is_adopting {
            true => pause,
            false => pause.max(least),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: u64 = 1_000_000;

    #[test]
    fn orphans_are_looked_for_at_once_where_they_are_expected() {
        let mut search = OrphanSearch::new(true);
        assert!(search.is_due(Tick(1)), "some may have been inherited");
        search.found_none(0);
        assert_eq!(search.due(), None, "no child has ended");
        search.child_ended(Tick(5 * MILLI));
        assert!(search.is_due(Tick(5 * MILLI)));
        // A walk of a millisecond, and the next one 20 ms after the next end at the earliest.
        search.found_none(MILLI);
        search.child_ended(Tick(10 * MILLI));
        assert_eq!(search.due(), Some(Tick(30 * MILLI)));
        search.child_ended(Tick(20 * MILLI));
        assert_eq!(search.due(), Some(Tick(30 * MILLI)), "it is not put off");
        search.found_many(Tick(40 * MILLI));
        assert!(search.is_due(Tick(40 * MILLI)));
        search.found_undecided(Tick(50 * MILLI));
        assert_eq!(search.due(), Some(Tick(70 * MILLI)));
    }

    #[test]
    fn elsewhere_they_are_looked_for_once_a_second_at_most() {
        let mut search = OrphanSearch::new(false);
        search.found_none(MILLI);
        search.child_ended(Tick(0));
        assert_eq!(search.due(), Some(Tick(1000 * MILLI)));
        search.found_none(100 * MILLI);
        search.child_ended(Tick(0));
        assert_eq!(search.due(), Some(Tick(2000 * MILLI)));
    }
}
