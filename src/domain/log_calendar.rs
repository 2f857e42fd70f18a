//! When a log that is divided by date goes on to its next file, and the date in the file's name. Pure: the caller knows
//! the time and the zone.

use jiff::civil::{DateTime, time};
use jiff::fmt::strtime::{self, BrokenDownTime};
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp, Zoned};
use serde::{Deserialize, Serialize};

use super::Wall;

/// The part of a path that the date replaces.
pub const DATE_TOKEN: &str = "{date}";

/// The length of a period: each has a file of its own. A week begins on Monday.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the words of the field")]
pub enum LogPeriod {
    Second,
    Minute,
    Hour,
    Day,
    Week,
    Month,
}

impl LogPeriod {
    /// The date format of a file name if none is configured: one that differs between two periods.
    #[must_use]
    pub const fn date_format(self) -> &'static str {
        match self {
            Self::Second => "%Y-%m-%dT%H%M%S",
            Self::Minute => "%Y-%m-%dT%H%M",
            Self::Hour => "%Y-%m-%dT%H",
            Self::Day | Self::Week | Self::Month => "%Y-%m-%d",
        }
    }

    /// The shortest period in which the text of a date format changes.
    #[must_use]
    pub fn of_date_format(format: &str) -> Self {
        let mut shortest = Self::Day;
        let mut rest = format.chars();
        while let Some(c) = rest.next() {
            if c != '%' {
                continue;
            }
            // Flags and widths may precede the directive: %-d, %03d.
            let is_flag = |c: &char| "-_0123456789^#:.".contains(*c);
            let period = match rest.by_ref().find(|c| !is_flag(c)) {
                Some('S' | 's' | 'T' | 'c' | 'r' | 'X' | 'f' | 'N') => Self::Second,
                Some('M' | 'R') => Self::Minute,
                Some('H' | 'I' | 'k' | 'l' | 'p' | 'P') => Self::Hour,
                _ => Self::Day,
            };
            shortest = shortest.min(period);
        }
        shortest
    }
}

/// The periods of one log.
#[derive(Debug, Clone)]
pub struct LogCalendar {
    zone: TimeZone,
    period: LogPeriod,
    format: String,
}

impl LogCalendar {
    /// `format`: a date format, with single percent signs. `None`: that of the period.
    #[must_use]
    pub fn new(zone: TimeZone, period: LogPeriod, format: Option<&str>) -> Self {
        Self {
            zone,
            period,
            format: format.unwrap_or(period.date_format()).to_owned(),
        }
    }

    /// Checks a date format. Its text becomes a part of a file name.
    ///
    /// # Errors
    /// It has a directive that does not exist, its text has a slash, or the text never changes.
    pub fn check_format(format: &str) -> Result<(), String> {
        let at = |seconds: i64| {
            let stamp = Timestamp::from_second(seconds).unwrap_or_default();
            let text = strtime::format(format, &stamp.to_zoned(TimeZone::UTC));
            text.map_err(|error| error.to_string())
        };
        // 2001-09-09 01:46:40, a time that differs from the other in every field.
        let (one, other) = (at(1_000_000_000)?, at(1_234_567_890)?);
        if one.contains(['/', '\0']) {
            return Err("a date in a file name cannot have a slash".to_owned());
        }
        if one == other {
            return Err("it has no date".to_owned());
        }
        Ok(())
    }

    fn zoned(&self, at: Wall) -> Zoned {
        let stamp = Timestamp::from_nanosecond(i128::from(at.0)).unwrap_or_default();
        stamp.to_zoned(self.zone.clone())
    }

    /// The beginning of the period of a local time, as a local time.
    fn floor(&self, at: DateTime) -> DateTime {
        let midnight = at.date().to_datetime(time(0, 0, 0, 0));
        match self.period {
            LogPeriod::Day => midnight,
            LogPeriod::Week => {
                let days = i64::from(at.date().weekday().to_monday_zero_offset());
                midnight.saturating_sub(Span::new().days(days))
            }
            LogPeriod::Month => at.date().first_of_month().to_datetime(time(0, 0, 0, 0)),
            LogPeriod::Hour => midnight.with().hour(at.hour()).build().unwrap_or(midnight),
            LogPeriod::Minute => midnight
                .with()
                .hour(at.hour())
                .minute(at.minute())
                .build()
                .unwrap_or(midnight),
            LogPeriod::Second => at.with().subsec_nanosecond(0).build().unwrap_or(at),
        }
    }

    /// The first moment after `now` that belongs to another period. An hour or a day that the clocks repeat or skip
    /// is one period.
    #[must_use]
    pub fn next_boundary(&self, now: Wall) -> Wall {
        let here = self.zoned(now);
        let floor = self.floor(here.datetime());
        let step = match self.period {
            LogPeriod::Second => Span::new().seconds(1),
            LogPeriod::Minute => Span::new().minutes(1),
            LogPeriod::Hour => Span::new().hours(1),
            LogPeriod::Day => Span::new().days(1),
            LogPeriod::Week => Span::new().days(7),
            LogPeriod::Month => Span::new().months(1),
        };
        let next = floor.saturating_add(step);
        let boundary = next.to_zoned(self.zone.clone()).ok();
        let boundary = boundary
            .map(|zoned| zoned.timestamp())
            .filter(|&stamp| stamp > here.timestamp());
        // The clocks were set back over the boundary: the local time comes a second time.
        let boundary = boundary.unwrap_or_else(|| {
            let rest = next.duration_since(here.datetime());
            here.timestamp()
                .saturating_add(rest)
                .unwrap_or(Timestamp::MAX)
        });
        Wall(i64::try_from(boundary.as_nanosecond()).unwrap_or(i64::MAX))
    }

    /// The date in the name of the file for this moment.
    #[must_use]
    pub fn text(&self, at: Wall) -> String {
        let here = self.zoned(at);
        let floor = self.floor(here.datetime());
        // With the offset of this moment: the beginning of the period may have another one.
        let start = here.offset().to_timestamp(floor).ok();
        let start = start.map(|stamp| stamp.to_zoned(TimeZone::fixed(here.offset())));
        strtime::format(&self.format, start.as_ref().unwrap_or(&here)).unwrap_or_default()
    }

    /// Whether the text can be a date in this format.
    #[must_use]
    pub fn is_date(&self, text: &str) -> bool {
        BrokenDownTime::parse(&self.format, text).is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// New York, by its rules since 2007.
    fn new_york() -> TimeZone {
        TimeZone::posix("EST5EDT,M3.2.0,M11.1.0").expect("rules")
    }

    fn at(zone: &TimeZone, text: &str) -> Wall {
        let civil: DateTime = text.parse().expect("a time");
        let zoned = civil.to_zoned(zone.clone()).expect("in the calendar");
        Wall(i64::try_from(zoned.timestamp().as_nanosecond()).expect("in range"))
    }

    const HOUR: i64 = 3600 * 1_000_000_000;

    #[test]
    fn l03_each_period_ends_at_its_boundary() {
        let zone = TimeZone::UTC;
        for (period, now, next, text) in [
            (
                LogPeriod::Hour,
                "2026-11-30T22:59:59",
                "2026-11-30T23:00",
                "2026-11-30T22",
            ),
            (
                LogPeriod::Day,
                "2026-11-30T00:00",
                "2026-12-01T00:00",
                "2026-11-30",
            ),
            (
                LogPeriod::Day,
                "2024-02-28T12:00",
                "2024-02-29T00:00",
                "2024-02-28",
            ),
            // A Wednesday.
            (
                LogPeriod::Week,
                "2026-12-02T12:00",
                "2026-12-07T00:00",
                "2026-11-30",
            ),
            (
                LogPeriod::Month,
                "2026-12-31T23:00",
                "2027-01-01T00:00",
                "2026-12-01",
            ),
            (
                LogPeriod::Second,
                "2026-12-31T23:59:59.5",
                "2027-01-01T00:00",
                "2026-12-31T235959",
            ),
            (
                LogPeriod::Minute,
                "2026-12-31T23:58:59",
                "2026-12-31T23:59",
                "2026-12-31T2358",
            ),
        ] {
            let calendar = LogCalendar::new(zone.clone(), period, None);
            let (now, next) = (at(&zone, now), at(&zone, next));
            assert_eq!(calendar.next_boundary(now), next, "{period:?}");
            assert_eq!(calendar.text(now), text, "{period:?}");
            assert!(
                calendar.is_date(text) && !calendar.is_date("1"),
                "{period:?}"
            );
            assert!(calendar.text(next) != text, "{period:?}");
        }
    }

    #[test]
    fn l03_a_day_has_23_to_25_hours_where_the_clocks_change() {
        let zone = new_york();
        let calendar = LogCalendar::new(zone.clone(), LogPeriod::Day, None);
        for (day, next, hours) in [
            ("2026-03-08T00:00", "2026-03-09T00:00", 23),
            ("2026-11-01T00:00", "2026-11-02T00:00", 25),
            ("2026-11-02T00:00", "2026-11-03T00:00", 24),
        ] {
            let (day, next) = (at(&zone, day), at(&zone, next));
            assert_eq!(calendar.next_boundary(day), next);
            assert_eq!(next.0 - day.0, hours * HOUR);
            // In each hour of the day the same date and the same boundary.
            for hour in 0..hours {
                let now = Wall(day.0 + hour * HOUR + 1);
                assert_eq!(calendar.next_boundary(now), next, "{hour}");
                assert_eq!(calendar.text(now), calendar.text(day), "{hour}");
            }
            assert_ne!(calendar.text(next), calendar.text(day));
        }
    }

    #[test]
    fn l03_an_hour_that_the_clocks_repeat_has_one_name() {
        let zone = new_york();
        let calendar = LogCalendar::new(zone.clone(), LogPeriod::Hour, None);
        // 01:30 before the clocks are set back at 02:00, and an hour later 01:30 again.
        let first = at(&zone, "2026-11-01T01:30");
        let second = Wall(first.0 + HOUR);
        assert_eq!(calendar.text(first), calendar.text(second));
        for now in [first, second] {
            let next = calendar.next_boundary(now);
            assert!(next > now && calendar.text(next) != calendar.text(now));
            assert_eq!(next, at(&zone, "2026-11-01T02:00"));
        }
        // 02:00 does not exist in spring.
        let spring = at(&zone, "2026-03-08T01:30");
        let next = calendar.next_boundary(spring);
        assert_eq!(next.0 - spring.0, HOUR / 2);
        assert_eq!(calendar.text(next), "2026-03-08T03");
    }

    #[test]
    fn l03_a_boundary_is_never_in_the_past() {
        // Days without midnight, and days with two.
        for rules in [
            "EST5EDT,M3.2.0,M11.1.0",
            "<-03>3<-02>,M3.2.0/0,M11.1.0/0",
            "CST5CDT,M3.2.0/0,M11.1.0/1",
        ] {
            let zone = TimeZone::posix(rules).expect("rules");
            let begin = at(&zone, "2026-01-01T00:00");
            for period in [
                LogPeriod::Hour,
                LogPeriod::Day,
                LogPeriod::Week,
                LogPeriod::Month,
            ] {
                let calendar = LogCalendar::new(zone.clone(), period, None);
                for step in 0..365 * 24 * 2 {
                    let now = Wall(begin.0 + step * HOUR / 2 + 1);
                    let next = calendar.next_boundary(now);
                    assert!(next > now, "{rules} {period:?} {step}");
                    assert_ne!(
                        calendar.text(next),
                        calendar.text(now),
                        "{rules} {period:?} {step}"
                    );
                    let before = Wall(next.0 - 1);
                    assert_eq!(
                        calendar.text(before),
                        calendar.text(now),
                        "{rules} {period:?} {step}"
                    );
                }
            }
        }
    }

    #[test]
    fn date_formats_are_checked() {
        assert_eq!(LogCalendar::check_format("%Y-%m-%d"), Ok(()));
        assert!(LogCalendar::check_format("%Y/%m").is_err_and(|why| why.contains("slash")));
        assert!(LogCalendar::check_format("x").is_err_and(|why| why.contains("no date")));
        assert!(LogCalendar::check_format("%!").is_err());
        for (format, period) in [
            ("%Y%m%d", LogPeriod::Day),
            ("%Y%m%d-%-H", LogPeriod::Hour),
            ("%H%M", LogPeriod::Minute),
            ("%F-%T", LogPeriod::Second),
            ("%s", LogPeriod::Second),
        ] {
            assert_eq!(LogPeriod::of_date_format(format), period, "{format}");
        }
    }
}
