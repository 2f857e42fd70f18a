//! TICK events: when the next one is due and which are due now.
//!
//! Ticks are aligned to multiples of their period on the wall clock. Ticks that passed without a subscriber, or while
//! the machine was suspended, are not made up for.

use serde::{Deserialize, Serialize};

use crate::domain::{Change, Now, Seconds, Tick, TickPeriod};

/// Nanoseconds per second.
const SECOND: i64 = 1_000_000_000;
/// The wall clock may be set while the daemon waits by the monotonic clock, so it is checked at least this often.
const LOOK_SECS_MAX: Seconds = Seconds(60);

/// The tick periods with subscribers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Ticks {
    /// For each period with a subscriber: the multiple of it that was last seen, in seconds since the epoch.
    seen: [Option<i64>; TickPeriod::ALL.len()],
    /// When to check the wall clock next.
    due: Tick,
}

impl Ticks {
    /// No subscribers.
    pub(super) const NONE: Self = Self {
        seen: [None; TickPeriod::ALL.len()],
        due: Tick::NEVER,
    };

    /// Returns when to check the wall clock next. [`Tick::NEVER`]: no subscribers.
    pub(super) const fn due(&self) -> Tick {
        self.due
    }

    /// Sets which periods have subscribers. A new period starts at the current multiple and sends no event for it.
    pub(super) fn set_periods(&mut self, listened: impl Fn(TickPeriod) -> bool, now: Now) {
        for (seen, period) in self.seen.iter_mut().zip(TickPeriod::ALL) {
            *seen = match (listened(period), *seen) {
                (false, _) => None,
                (true, None) => Some(slice(now, period.seconds())),
                (true, known) => known,
            };
        }
        self.arm(now);
    }

    /// Returns the ticks that are due.
    pub(super) fn take_due(&mut self, now: Now) -> Vec<Change> {
        if now.mono < self.due {
            return Vec::new();
        }
        let mut come = Vec::new();
        for (seen, period) in self.seen.iter_mut().zip(TickPeriod::ALL) {
            let when = slice(now, period.seconds());
            if let Some(last) = seen
                && *last != when
            {
                *last = when;
                come.push(Change::Tick { period, when });
            }
        }
        self.arm(now);
        come
    }

    /// Sets when to check the wall clock next.
    fn arm(&mut self, now: Now) {
        let until = |period: TickPeriod| {
            let period = period.seconds() * SECOND;
            let left = period - now.wall.0.rem_euclid(period);
            Tick(now.mono.0.saturating_add(left.unsigned_abs()))
        };
        self.due = self
            .seen
            .iter()
            .zip(TickPeriod::ALL)
            .filter(|(seen, _)| seen.is_some())
            .map(|(_, period)| until(period).min(now.mono + LOOK_SECS_MAX))
            .min()
            .unwrap_or(Tick::NEVER);
    }
}

/// Returns the multiple of `period` that the wall clock has reached, in seconds since the epoch.
fn slice(now: Now, period: i64) -> i64 {
    let secs = now.wall.secs();
    secs - secs.rem_euclid(period)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Wall;

    fn at(mono_ms: u64, wall_ms: i64) -> Now {
        Now {
            mono: Tick(mono_ms * 1_000_000),
            wall: Wall(wall_ms * 1_000_000),
        }
    }

    fn come(ticks: &mut Ticks, now: Now) -> Vec<(i64, i64)> {
        let come = ticks.take_due(now);
        come.into_iter()
            .filter_map(|kind| match kind {
                Change::Tick { period, when } => Some((period.seconds(), when)),
                _ => None,
            })
            .collect()
    }

    #[test]
    fn evt_07_ticks_are_aligned_and_the_first_check_gives_none() {
        let mut ticks = Ticks::NONE;
        assert_eq!(ticks.due(), Tick::NEVER);
        ticks.set_periods(|period| period != TickPeriod::Seconds3600, at(0, 118_500));
        assert_eq!(ticks.due(), at(1_500, 0).mono);
        assert_eq!(come(&mut ticks, at(1_499, 119_999)), []);
        assert_eq!(come(&mut ticks, at(1_500, 120_000)), [(5, 120), (60, 120)]);
        assert_eq!(ticks.due(), at(6_500, 0).mono);
        // Three multiples have passed: one event, for the latest.
        assert_eq!(come(&mut ticks, at(17_000, 135_500)), [(5, 135)]);
        ticks.set_periods(|_| false, at(17_000, 135_500));
        assert_eq!(ticks.due(), Tick::NEVER);
    }

    #[test]
    fn evt_07_ticks_follow_a_clock_that_is_set() {
        let mut ticks = Ticks::NONE;
        ticks.set_periods(|period| period == TickPeriod::Seconds3600, at(0, 7_200_000));
        // The next hour is far away, but the clock is checked every minute.
        assert_eq!(ticks.due(), at(60_000, 0).mono);
        assert_eq!(come(&mut ticks, at(60_000, 7_260_000)), []);
        assert_eq!(come(&mut ticks, at(120_000, 3_000_000)), [(3600, 0)]);
        assert_eq!(come(&mut ticks, at(180_000, 10_900_000)), [(3600, 10_800)]);
    }

    #[test]
    fn evt_07_an_early_timer_waits_again() {
        let mut ticks = Ticks::NONE;
        ticks.set_periods(|period| period == TickPeriod::Seconds5, at(0, 4_000));
        // The wall clock runs slower than the monotonic clock.
        assert_eq!(come(&mut ticks, at(1_000, 4_999)), []);
        assert_eq!(ticks.due(), at(1_001, 0).mono);
        assert_eq!(come(&mut ticks, at(1_001, 5_000)), [(5, 5)]);
    }
}
