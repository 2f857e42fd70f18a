//! Decides when to look for orphans: children that the daemon did not start. They come from adoption as PID 1 or as a
//! subreaper, from before an exec, or from a program that uses CLONE_PARENT. The kernel walks over all children to find
//! one that has exited, so the daemon looks rarely.
//!
//! With 5,000 programs a walk takes a millisecond; a walk after each SIGCHLD took 78 % of the engine's time. Supervised
//! processes have pidfds and do not depend on these walks.

use std::time::Duration;

use super::actor::{Engine, Workers};
use crate::domain::{Line, Tick};
use crate::sys::{self, OrphanReap};

/// After a walk, the engine pauses this many times as long as the walk took, so that walks take at most 5 % of the
/// time.
const PAUSE_FACTOR: u64 = 20;
/// The shortest pause if the daemon adopts no orphans.
const PAUSE_MIN: Duration = Duration::from_secs(1);
/// How long to wait until it is known whether a child is a program or a helper.
const UNDECIDED_PAUSE: Duration = Duration::from_millis(10);
/// Maximum number of orphans reaped in one turn of the engine.
const PER_TURN_MAX: usize = 64;

/// The time of the next look for orphans.
#[derive(Debug)]
pub(super) struct OrphanSearch {
    /// The daemon adopts orphans: it is PID 1 or a subreaper.
    is_adopting: bool,
    /// When to look next. [`Tick::NEVER`]: no child has exited since the last look.
    due: Tick,
    /// How long the last walk took, in nanoseconds.
    cost: u64,
}

impl OrphanSearch {
    /// Starts with a look at once, since the process may have inherited children.
    fn new(is_adopting: bool) -> Self {
        Self {
            is_adopting,
            due: Tick(0),
            cost: 0,
        }
    }

    /// Starts a search for this process.
    pub(super) fn of_this_process() -> Self {
        Self::new(std::process::id() == 1 || sys::is_subreaper())
    }

    /// Schedules a look after a child has exited. It may be a supervised process.
    pub(super) fn child_ended(&mut self, now: Tick) {
        if self.due == Tick::NEVER {
            self.due = Tick(now.0.saturating_add(self.pause()));
        }
    }

    /// Returns when to look next. `None`: no look is needed.
    pub(super) fn due(&self) -> Option<Tick> {
        (self.due != Tick::NEVER).then_some(self.due)
    }

    fn is_due(&self, now: Tick) -> bool {
        self.due <= now
    }

    /// Records a walk that found no exited child. `cost` is its duration in nanoseconds.
    fn found_none(&mut self, cost: u64) {
        self.due = Tick::NEVER;
        self.cost = cost;
    }

    /// Records that more orphans wait. They are reaped in the next turn.
    fn found_many(&mut self, now: Tick) {
        self.due = now;
    }

    /// Records a child of which it is not known yet whether it is a program or a helper.
    fn found_undecided(&mut self, now: Tick) {
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

impl Engine {
    /// Reaps orphans if it is time to look for them. Supervised processes are reaped through their pidfds instead. An
    /// unknown child is left alone while a spawn is in progress, since it may be the new process.
    pub(super) fn reap_orphans(&mut self, workers: &Workers) {
        let mut now = sys::now().mono;
        if !self.orphans.is_due(now) {
            return;
        }
        for _ in 0..PER_TURN_MAX {
            let begun = now;
            let ended = sys::peek_ended();
            now = sys::now().mono;
            let Ok(Some(pid)) = ended else {
                return self.orphans.found_none(now.nanos_since(begun));
            };
            match self.children.instance_of(pid) {
                Some(instance) => {
                    if !self.reap(instance, workers) {
                        return self.orphans.found_undecided(now);
                    }
                }
                None if self.attempts.may_be_spawning(pid, &workers.spawn) => {
                    return self.orphans.found_undecided(now);
                }
                None => match sys::reap_orphan(pid) {
                    OrphanReap::Undecided => return self.orphans.found_undecided(now),
                    OrphanReap::Orphan(status) => {
                        self.log(Line::ReapedUnknown { pid, status }, workers);
                    }
                    OrphanReap::Helper | OrphanReap::Gone => {}
                },
            }
        }
        self.orphans.found_many(now);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MILLI: u64 = 1_000_000;

    #[test]
    fn expected_orphans_are_reaped_immediately() {
        let mut search = OrphanSearch::new(true);
        assert!(search.is_due(Tick(1)), "some may have been inherited");
        search.found_none(0);
        assert_eq!(search.due(), None, "no child has ended");
        search.child_ended(Tick(5 * MILLI));
        assert!(search.is_due(Tick(5 * MILLI)));
        // A walk of one millisecond: the next one starts at least 20 ms after the next exit.
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
    fn unexpected_orphans_are_reaped_once_a_second_at_most() {
        let mut search = OrphanSearch::new(false);
        search.found_none(MILLI);
        search.child_ended(Tick(0));
        assert_eq!(search.due(), Some(Tick(1000 * MILLI)));
        search.found_none(100 * MILLI);
        search.child_ended(Tick(0));
        assert_eq!(search.due(), Some(Tick(2000 * MILLI)));
    }
}
