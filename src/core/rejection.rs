//! The pause of a pool after rejected events, and the limit on log lines about rejections.

use serde::{Deserialize, Serialize};

use crate::domain::{Now, Seconds, Tick};

/// The pause after the second rejection in a row. There is no pause after the first one, so a listener that fails once
/// gets its event again at once, as in Supervisor.
const PAUSE_MIN_NANOS: u64 = 50_000_000;
/// The longest pause. Each further rejection in a row doubles the pause up to this limit.
const PAUSE_MAX_NANOS: u64 = 5_000_000_000;
/// Maximum number of log lines about rejections per pool and [`WINDOW`]. The rest is counted.
const LINES_MAX: u32 = 10;
/// The period for [`LINES_MAX`].
const WINDOW: Seconds = Seconds(60);

/// The recent rejections of one pool.
// Differs: Supervisor delivers a rejected event again at its next poll. A listener that rejects everything then takes a
// whole CPU and writes thousands of lines a second (Supervisor#220, #622, superlance#13).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Rejections {
    /// Rejections since the last accepted event.
    in_a_row: u32,
    /// No event is delivered before this time. `None`: no pause.
    pause_until: Option<Tick>,
    /// When the current window ends. `None`: no rejection since the last window.
    window_end: Option<Tick>,
    /// Rejections in the current window.
    in_window: u32,
}

impl Rejections {
    /// Counts one rejection. Returns whether it may be logged.
    pub(super) fn count(&mut self, now: Now) -> bool {
        if let Some(doublings) = self.in_a_row.checked_sub(1) {
            let pause = PAUSE_MIN_NANOS
                .checked_shl(doublings)
                .filter(|nanos| nanos >> doublings == PAUSE_MIN_NANOS)
                .map_or(PAUSE_MAX_NANOS, |nanos| nanos.min(PAUSE_MAX_NANOS));
            self.pause_until = Some(Tick(now.mono.0.saturating_add(pause)));
        }
        self.in_a_row = self.in_a_row.saturating_add(1);
        self.window_end.get_or_insert(now.mono + WINDOW);
        self.in_window = self.in_window.saturating_add(1);
        self.in_window <= LINES_MAX
    }

    /// Resets the pause after an accepted event.
    pub(super) const fn reset(&mut self) {
        self.in_a_row = 0;
        self.pause_until = None;
    }

    /// Returns whether deliveries are paused.
    pub(super) const fn is_pausing(&self) -> bool {
        self.pause_until.is_some()
    }

    /// Ends a pause and a window that have expired. Returns how many rejections of the window were not logged.
    pub(super) fn end_expired(&mut self, now: Now) -> u32 {
        self.pause_until = self.pause_until.filter(|&until| until > now.mono);
        if self.window_end.is_none_or(|end| end > now.mono) {
            return 0;
        }
        self.window_end = None;
        std::mem::take(&mut self.in_window).saturating_sub(LINES_MAX)
    }

    /// Returns when [`Self::end_expired`] has something to do. The end of a pause counts only while events wait.
    pub(super) fn due(&self, events_wait: bool) -> Tick {
        let pause = self.pause_until.filter(|_| events_wait);
        let window = self.window_end.filter(|_| self.in_window > LINES_MAX);
        let due = pause.into_iter().chain(window).min();
        due.unwrap_or(Tick::NEVER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Wall;

    fn at(millis: u64) -> Now {
        Now {
            mono: Tick(millis * 1_000_000),
            wall: Wall(0),
        }
    }

    #[test]
    fn the_pause_grows_to_seconds_and_an_accepted_event_resets_it() {
        let mut rejections = Rejections::default();
        let mut pauses = Vec::new();
        for _ in 0..70 {
            rejections.count(at(0));
            pauses.push(
                rejections
                    .pause_until
                    .map_or(0, |until| until.0 / 1_000_000),
            );
        }
        assert_eq!(
            pauses[..10],
            [0, 50, 100, 200, 400, 800, 1600, 3200, 5000, 5000]
        );
        assert_eq!(pauses[69], 5000);
        rejections.end_expired(at(4999));
        assert!(rejections.is_pausing());
        rejections.end_expired(at(5000));
        assert!(!rejections.is_pausing());
        rejections.reset();
        rejections.count(at(5000));
        assert!(!rejections.is_pausing());
    }

    #[test]
    fn lines_are_bounded_and_the_rest_is_counted() {
        let mut rejections = Rejections::default();
        let told = (0..1000).filter(|_| {
            rejections.reset();
            rejections.count(at(0))
        });
        assert_eq!(told.count(), 10);
        assert_eq!(rejections.due(false), Tick(60_000_000_000));
        assert_eq!(rejections.end_expired(at(59_999)), 0);
        assert_eq!(rejections.end_expired(at(60_000)), 990);
        assert_eq!(rejections.due(true), Tick::NEVER);
        assert!(rejections.count(at(60_000)));
    }
}
