//! The engine's timer on the wall clock, for schedules. It exists only while a program has a schedule.

use std::time::Duration;

use super::actor::{Engine, TOKEN_WALL, Workers};
use crate::core::Input;
use crate::domain::Wall;
use crate::sys::{self, Interest, WallEvent, WallTimer};

/// How often the engine looks at the wall clock if the kernel gives it no timer.
const LOOK: Duration = Duration::from_secs(1);

/// The timer, and the time to which it is set.
#[derive(Debug, Default)]
pub(super) struct WallClock {
    timer: Option<WallTimer>,
    set_to: Option<Wall>,
}

impl Engine {
    /// Sets the timer to the next run on the wall clock.
    pub(super) fn set_wall_timer(&mut self) {
        let next = self.fleet.next_wall_deadline();
        if next == self.wall_clock.set_to {
            return;
        }
        if self.wall_clock.timer.is_none()
            && let Ok(timer) = WallTimer::new()
            && self.poller.add(&timer, TOKEN_WALL, Interest::Read).is_ok()
        {
            self.wall_clock.timer = Some(timer);
        }
        if let Some(timer) = &self.wall_clock.timer {
            timer.set(next);
            self.wall_clock.set_to = next;
        }
    }

    /// Returns how long the engine may wait if there is no timer for the wall clock. `None`: there is one, or none is
    /// needed.
    pub(super) fn wall_timeout(&self) -> Option<Duration> {
        let is_needed = self.fleet.next_wall_deadline().is_some();
        (is_needed && self.wall_clock.timer.is_none()).then_some(LOOK)
    }

    /// Handles the timer: a run is due, or the clock was set.
    pub(super) fn wall_timer_expired(&mut self, workers: &Workers) {
        let event = self.wall_clock.timer.as_ref().map(WallTimer::take);
        // The timer has to be set again in both cases.
        self.wall_clock.set_to = None;
        if event == Some(WallEvent::ClockSet) {
            self.feed(Input::ClockSet, workers);
        }
    }

    /// Whether a run is due on the wall clock.
    pub(super) fn is_wall_due(&self) -> bool {
        let next = self.fleet.next_wall_deadline();
        next.is_some_and(|next| next <= sys::now().wall)
    }
}
