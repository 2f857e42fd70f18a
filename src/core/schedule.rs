//! The schedule of one process: when its next run is due.
//!
//! Times of the calendar are compared with the wall clock, intervals with the monotonic clock. A run that is due is
//! late if its time has passed by more than [`LATE_SECS_MAX`]: the daemon was not there, the machine slept, or the
//! clock was set forward. If the clock is set back by at most [`BACK_SECS_MAX`], the times that come again have had
//! their runs already; if it is set back further, the old time was wrong, and the schedule starts again from the new one.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::config::spec::{CronMissed, ScheduleSpec};
use crate::domain::{CronExpression, CronZone, Now, Tick, Wall, ZoneOf};

/// Nanoseconds per second.
const SECOND: i64 = 1_000_000_000;
/// Seconds after which a due run counts as missed.
pub(super) const LATE_SECS_MAX: i64 = 60;
/// Seconds by which the clock may be set back without runs for the times that come again, as in cron(8).
const BACK_SECS_MAX: i64 = 3 * 3600;

/// When the next run is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) enum NextRun {
    /// Never.
    #[default]
    Never,
    /// At a time of the calendar.
    At {
        /// The time.
        occurrence: Wall,
        /// The time with its random delay.
        start: Wall,
    },
    /// At the end of an interval.
    After {
        /// The end.
        end: Tick,
        /// The end with its random delay.
        start: Tick,
    },
}

/// A run that waits for the end of the present one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum PendingRun {
    /// The present run may end by itself.
    Queued,
    /// The daemon stops the present run.
    Killing,
}

/// What a daemon that takes over must know.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct ScheduleState {
    /// When the next run is due.
    pub(super) next: NextRun,
    /// The last occurrence in the calendar that was handled. `None`: there was none.
    pub(super) last: Option<Wall>,
    /// A run that waits. `None`: there is none.
    pub(super) pending: Option<PendingRun>,
    /// How many runs were skipped because the program still ran.
    pub(super) skipped: u64,
    /// How many times runs were missed.
    pub(super) missed: u64,
}

/// A run that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct DueRun {
    /// Its time.
    pub(super) when: Wall,
    /// Whether it is late.
    pub(super) is_late: bool,
}

/// The schedule of one process in an active group.
#[derive(Debug)]
pub(super) struct Schedule {
    pub(super) spec: Arc<ScheduleSpec>,
    expression: CronExpression,
    pub(super) zone: CronZone,
    /// Differs between processes and between hosts.
    seed: u64,
    pub(super) state: ScheduleState,
}

impl Schedule {
    /// Returns a schedule whose next run is not known yet. `None`: an older daemon left an expression that this version
    /// does not understand.
    pub(super) fn new(spec: &Arc<ScheduleSpec>, zone_of: ZoneOf, seed: u64) -> Option<Self> {
        let expression = CronExpression::parse(&spec.cron).ok()?;
        Some(Self {
            spec: Arc::clone(spec),
            zone: zone_of(expression.zone()),
            expression,
            seed,
            state: ScheduleState::default(),
        })
    }

    /// Begins the schedule. `last`: the last occurrence that an earlier daemon handled, which matters if missed runs are
    /// made up for.
    pub(super) fn begin(&mut self, last: Option<Wall>, now: Now) {
        self.state.last = last;
        let missed = last
            .filter(|_| self.spec.missed == CronMissed::Once)
            .and_then(|last| self.expression.next_after(last, &self.zone))
            .filter(|&missed| missed <= now.wall);
        match missed {
            Some(occurrence) => {
                self.state.next = NextRun::At {
                    occurrence,
                    start: occurrence,
                };
            }
            None => self.plan(now),
        }
    }

    /// Continues the schedule of a daemon that ended without writing down everything. `spawned`: when the process was
    /// last spawned.
    pub(super) fn resume(&mut self, spawned: Now, now: Now) {
        let is_done = match self.state.next {
            NextRun::Never => true,
            // A spawn in the future was before the clock was set back, and proves nothing.
            NextRun::At { start, .. } => {
                start.secs() <= spawned.wall.secs() && spawned.wall <= now.wall
            }
            NextRun::After { start, .. } => start <= spawned.mono,
        };
        if is_done {
            if spawned.wall > Wall(0) && spawned.wall <= now.wall {
                self.state.last = self.state.last.max(Some(spawned.wall));
            }
            self.plan(now);
        }
    }

    /// Returns when the next run is due, on one of the clocks.
    pub(super) const fn next(&self) -> NextRun {
        self.state.next
    }

    /// Returns when the next run is due, on the wall clock. `None`: never.
    pub(super) fn next_wall(&self, now: Now) -> Option<Wall> {
        match self.state.next {
            NextRun::Never => None,
            NextRun::At { start, .. } => Some(start),
            NextRun::After { start, .. } => {
                let left = i64::try_from(start.nanos_since(now.mono)).unwrap_or(i64::MAX);
                Some(Wall(now.wall.0.saturating_add(left)))
            }
        }
    }

    /// Takes the run that is due, and plans the next one. `None`: no run is due.
    pub(super) fn take_due(&mut self, now: Now) -> Option<DueRun> {
        let due = match self.state.next {
            NextRun::At { occurrence, start } if start <= now.wall => {
                let late = now.wall.0.saturating_sub(start.0);
                DueRun {
                    when: occurrence,
                    is_late: late > LATE_SECS_MAX * SECOND,
                }
            }
            NextRun::After { start, .. } if start <= now.mono => {
                let late = i64::try_from(now.mono.nanos_since(start)).unwrap_or(i64::MAX);
                DueRun {
                    when: Wall(now.wall.0.saturating_sub(late)),
                    is_late: late > LATE_SECS_MAX * SECOND,
                }
            }
            NextRun::Never | NextRun::At { .. } | NextRun::After { .. } => return None,
        };
        if matches!(self.expression, CronExpression::Calendar { .. }) {
            // One late run replaces all occurrences up to now.
            self.state.last = Some(if due.is_late { now.wall } else { due.when });
        }
        self.plan(now);
        Some(due)
    }

    /// Adapts the next run to a clock that was set.
    pub(super) fn clock_set(&mut self, now: Now) {
        if let NextRun::At { occurrence, .. } = self.state.next
            && now.wall < occurrence
        {
            self.plan(now);
        }
    }

    /// Plans the next run after now.
    fn plan(&mut self, now: Now) {
        self.state.next = match &self.expression {
            CronExpression::Every(interval) => {
                let interval = u64::try_from(interval.as_nanos()).unwrap_or(u64::MAX);
                let planned = match self.state.next {
                    NextRun::After { end, .. } => Tick(end.0.saturating_add(interval)),
                    NextRun::Never | NextRun::At { .. } => Tick(0),
                };
                // After a pause the intervals start again.
                let end = match planned > now.mono {
                    true => planned,
                    false => Tick(now.mono.0.saturating_add(interval)),
                };
                let delay = self.delay(end.0, interval);
                NextRun::After {
                    end,
                    start: Tick(end.0.saturating_add(delay)),
                }
            }
            CronExpression::Calendar { .. } => {
                match self.expression.next_after(self.base(now), &self.zone) {
                    None => NextRun::Never,
                    Some(occurrence) => NextRun::At {
                        occurrence,
                        start: self.delayed(occurrence),
                    },
                }
            }
        };
    }

    /// Returns the time after which the next occurrence is looked for.
    fn base(&self, now: Now) -> Wall {
        let back = |last: &Wall| last.0.saturating_sub(now.wall.0);
        match self.state.last.filter(|last| back(last) > 0) {
            Some(last) if back(&last) <= BACK_SECS_MAX * SECOND => last,
            Some(_) | None => now.wall,
        }
    }

    /// Returns an occurrence with its random delay, which ends before the occurrence after it.
    fn delayed(&self, occurrence: Wall) -> Wall {
        if self.spec.jitter.0 <= 0 {
            return occurrence;
        }
        let after = self.expression.next_after(occurrence, &self.zone);
        let gap = after.map_or(i64::MAX, |after| after.0.saturating_sub(occurrence.0));
        let delay = self.delay(occurrence.0.unsigned_abs(), gap.unsigned_abs());
        let delay = i64::try_from(delay).unwrap_or(i64::MAX);
        Wall(occurrence.0.saturating_add(delay))
    }

    /// Returns a delay below `gap` nanoseconds. It is the same whenever it is asked for, so that an upgrade or a clock
    /// that is set does not draw again.
    fn delay(&self, occurrence: u64, gap: u64) -> u64 {
        const MILLI: u64 = 1_000_000;
        let jitter = u64::try_from(self.spec.jitter.0).unwrap_or(0);
        let most = jitter
            .saturating_mul(1000)
            .min((gap / MILLI).saturating_sub(1000));
        match most {
            0 => 0,
            most => mixed(self.seed ^ occurrence) % (most + 1) * MILLI,
        }
    }
}

/// Mixes the bits of a number.
///
/// # Source
/// Steele, Lea, Flood, "Fast Splittable Pseudorandom Number Generators", the finalizer of SplitMix64.
pub(super) const fn mixed(number: u64) -> u64 {
    let z = number.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::spec::CronOverlap;
    use crate::domain::Seconds;

    const DAY: i64 = 24 * 3600;

    fn at(wall: i64) -> Now {
        Now {
            mono: Tick(wall.unsigned_abs() * 1_000_000_000),
            wall: Wall(wall * SECOND),
        }
    }

    fn schedule(cron: &str, missed: CronMissed, jitter: i64) -> Schedule {
        let spec = ScheduleSpec {
            cron: Arc::from(cron),
            overlap: CronOverlap::Skip,
            missed,
            jitter: Seconds(jitter),
        };
        Schedule::new(&Arc::new(spec), |_| CronZone::UTC, 7).expect("valid")
    }

    /// The times of the runs that are taken when the clock shows these times.
    fn taken(schedule: &mut Schedule, clock: &[i64]) -> Vec<(i64, bool)> {
        let times = clock.iter().filter_map(|&time| schedule.take_due(at(time)));
        times.map(|due| (due.when.secs(), due.is_late)).collect()
    }

    #[test]
    fn a_run_is_taken_once_when_its_time_has_come() {
        let mut hourly = schedule("@hourly", CronMissed::Skip, 0);
        hourly.begin(None, at(10 * DAY + 5));
        assert_eq!(
            hourly.next_wall(at(0)),
            Some(Wall((10 * DAY + 3600) * SECOND))
        );
        let first = 10 * DAY + 3600;
        assert_eq!(
            taken(
                &mut hourly,
                &[first - 1, first, first, first + 1, first + 3660]
            ),
            [(first, false), (first + 3600, false)]
        );
        // 61 seconds late, and then all hours up to now count as missed at once.
        let late = first + 7200;
        assert_eq!(taken(&mut hourly, &[late + 61, late + 61]), [(late, true)]);
        assert_eq!(
            taken(&mut hourly, &[late + 10 * 3600 + 100, late + 11 * 3600]),
            [(late + 3600, true), (late + 11 * 3600, false)]
        );
    }

    #[test]
    fn a_clock_that_is_set_back_repeats_no_run_within_three_hours() {
        let mut hourly = schedule("@hourly", CronMissed::Skip, 0);
        let start = 10 * DAY;
        hourly.begin(None, at(start - 1));
        assert_eq!(taken(&mut hourly, &[start]), [(start, false)]);
        // Two hours back: nothing until the next hour that had no run.
        hourly.clock_set(at(start - 7200));
        assert_eq!(
            taken(&mut hourly, &[start - 3600, start, start + 3600]),
            [(start + 3600, false)]
        );
        // A day back: the schedule starts again.
        hourly.clock_set(at(start - DAY + 5));
        assert_eq!(
            taken(&mut hourly, &[start - DAY + 3600]),
            [(start - DAY + 3600, false)]
        );
    }

    #[test]
    fn a_clock_that_is_set_forward_loses_no_run() {
        let mut hourly = schedule("@hourly", CronMissed::Skip, 0);
        let start = 10 * DAY;
        hourly.begin(None, at(start - 1000));
        hourly.clock_set(at(start + 30));
        assert_eq!(taken(&mut hourly, &[start + 30]), [(start, false)]);
        hourly.clock_set(at(start + 5 * 3600 + 90));
        assert_eq!(
            taken(&mut hourly, &[start + 5 * 3600 + 90]),
            [(start + 3600, true)]
        );
    }

    #[test]
    fn missed_runs_of_an_earlier_daemon_are_made_up_for_if_wanted() {
        let last = Some(Wall(10 * DAY * SECOND));
        let now = at(10 * DAY + 5 * 3600 + 100);
        let mut daily = schedule("@hourly", CronMissed::Once, 0);
        daily.begin(last, now);
        let first = daily.take_due(now);
        assert_eq!(first.map(|due| due.is_late), Some(true));
        assert_eq!(daily.take_due(now), None);
        let mut daily = schedule("@hourly", CronMissed::Skip, 0);
        daily.begin(last, now);
        assert_eq!(daily.take_due(now), None);
        // Nothing was missed.
        let mut daily = schedule("@hourly", CronMissed::Once, 0);
        daily.begin(last, at(10 * DAY + 1800));
        assert_eq!(daily.take_due(at(10 * DAY + 1800)), None);
    }

    #[test]
    fn intervals_count_from_now_on_the_monotonic_clock() {
        let mut every = schedule("@every 90s", CronMissed::Skip, 0);
        every.begin(None, at(1000));
        let mut set_back = at(0);
        set_back.mono = at(1090).mono;
        assert_eq!(every.take_due(at(1089)), None);
        assert!(every.take_due(set_back).is_some());
        // Late by less than an interval: the rhythm stays.
        assert!(every.take_due(at(1200)).is_some());
        assert_eq!(
            every.next(),
            NextRun::After {
                end: at(1270).mono,
                start: at(1270).mono
            }
        );
        // Late by more: it starts again.
        assert_eq!(taken(&mut every, &[2000, 2089, 2090]).len(), 2);
    }

    #[test]
    fn a_delay_is_bounded_and_stays() {
        let mut minutely = schedule("* * * * *", CronMissed::Skip, 3600);
        minutely.begin(None, at(DAY));
        let mut delays = Vec::new();
        for _ in 0..50 {
            let NextRun::At { occurrence, start } = minutely.next() else {
                panic!("a calendar");
            };
            let delay = start.0 - occurrence.0;
            assert!((0..60 * SECOND).contains(&delay), "{delay}");
            delays.push(delay);
            minutely.clock_set(at(occurrence.secs() - 1));
            assert_eq!(minutely.next(), NextRun::At { occurrence, start });
            let due = minutely.take_due(Now {
                mono: Tick(0),
                wall: start,
            });
            assert_eq!(due.map(|due| due.when), Some(occurrence));
        }
        delays.sort_unstable();
        delays.dedup();
        assert!(delays.len() > 40, "{delays:?}");
    }

    #[test]
    fn a_run_that_started_before_a_crash_is_not_repeated() {
        let mut hourly = schedule("@hourly", CronMissed::Once, 0);
        let start = 10 * DAY;
        hourly.begin(None, at(start - 5));
        // The state is from before the run.
        hourly.resume(at(start), at(start + 2));
        assert_eq!(
            taken(&mut hourly, &[start + 2, start + 3600]),
            [(start + 3600, false)]
        );
        // The crash was before the next run, which is late now.
        hourly.resume(at(start + 3600), at(start + 7300));
        assert_eq!(taken(&mut hourly, &[start + 7300]), [(start + 7200, true)]);
    }
}
