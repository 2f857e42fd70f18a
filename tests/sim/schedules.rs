//! Invariants of schedules: no occurrence has two runs, and none is lost when the clock is set.

use std::collections::BTreeMap;

use supervisord::core::{Action, Fleet};
use supervisord::domain::{Now, QualifiedName, SupervisorState};

use crate::configs::EXPRESSIONS;

/// Seconds by which a clock may be set back without new runs.
const BACK_SECS_MAX: i64 = 3 * 3600;

#[derive(Debug, Default)]
pub(crate) struct Schedules {
    /// The last occurrence of each process, and how often the clock had been set far back then.
    last: BTreeMap<QualifiedName, (i64, u64)>,
    /// How often the clock was set back by so much that the schedules started again.
    set_far_back: u64,
    /// The latest time that the wall clock has shown since.
    latest: i64,
}

impl Schedules {
    /// Checks what happened. Returns what is worth noting.
    pub(crate) fn after(&mut self, now: Now, actions: &[Action]) -> Option<&'static str> {
        let wall = now.wall.secs();
        if wall + BACK_SECS_MAX < self.latest {
            self.set_far_back += 1;
            self.latest = wall;
        }
        self.latest = self.latest.max(wall);
        let mut seen = None;
        for action in actions {
            let Action::StoreRuns(process, runs) = action else {
                continue;
            };
            let Some(last) = runs.last else {
                continue;
            };
            let before = self.last.get(process).copied();
            if before.is_some_and(|(before, _)| before == last) {
                continue;
            }
            self.last.insert(process.clone(), (last, self.set_far_back));
            assert!(
                last <= wall.max(self.latest),
                "{process} runs before its time"
            );
            if let Some((before, set_far_back)) = before {
                assert!(
                    last > before || set_far_back != self.set_far_back,
                    "{process} runs for {last} after {before}"
                );
            }
            seen = Some("a schedule ran");
        }
        seen
    }

    /// Checks that every schedule goes on: its next run is soon, whatever happened to the clock.
    pub(crate) fn go_on(&self, now: Now, fleet: &Fleet) {
        if fleet.state() != SupervisorState::Running {
            return;
        }
        let period = EXPRESSIONS.iter().map(|(_, period)| period).max();
        let period = period.expect("there are some");
        for view in fleet.view(now) {
            let Some(next) = view.next_run else {
                continue;
            };
            let wait = next - now.wall.secs();
            assert!(
                wait >= 0 && wait <= BACK_SECS_MAX + 2 * period,
                "{}:{} runs in {wait} s",
                view.group,
                view.name
            );
        }
        let next = fleet.next_wall_deadline();
        assert!(
            next.is_none_or(|next| next > now.wall),
            "a run is due and did not start"
        );
    }
}
