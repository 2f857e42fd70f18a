//! Cron expressions: when a program with `cron` runs. The dialect is that of the Go re-implementation, with the
//! additions of croner.

use std::time::Duration;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::{Timestamp, Zoned, tz::TimeZone};

use super::{Wall, python_repr};

/// Words for whole expressions, with the six fields that each means.
const WORDS: &[(&str, &str)] = &[
    ("@yearly", "0 0 0 1 1 *"),
    ("@annually", "0 0 0 1 1 *"),
    ("@monthly", "0 0 0 1 * *"),
    ("@weekly", "0 0 0 * * 0"),
    ("@daily", "0 0 0 * * *"),
    ("@midnight", "0 0 0 * * *"),
    ("@hourly", "0 0 * * * *"),
];

/// The word before a fixed interval.
const EVERY: &str = "@every";

/// The highest value of each field, for a range without an end: second, minute, hour, day of the month, month, day of
/// the week.
const LAST: [&str; 6] = ["59", "59", "23", "31", "12", "6"];

/// The units of an interval, in nanoseconds. A unit comes before those that begin with it.
const UNITS: &[(&str, f64)] = &[
    ("ns", 1.0),
    ("us", 1e3),
    ("\u{b5}s", 1e3),
    ("\u{3bc}s", 1e3),
    ("ms", 1e6),
    ("s", 1e9),
    ("m", 60e9),
    ("h", 3600e9),
];

/// The longest interval: a hundred years.
const INTERVAL_SECS_MAX: u64 = 100 * 366 * 24 * 3600;

/// The time zone of a schedule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CronZone(TimeZone);

impl CronZone {
    /// UTC.
    pub const UTC: Self = Self(TimeZone::UTC);

    /// Returns a time as people in this zone write it, or the number of seconds outside the calendar.
    #[must_use]
    pub fn show(&self, time: Wall) -> String {
        match Timestamp::from_second(time.secs()) {
            Ok(stamp) => {
                let zoned = stamp.to_zoned(self.0.clone());
                zoned.strftime("%Y-%m-%d %H:%M:%S").to_string()
            }
            Err(_) => time.secs().to_string(),
        }
    }
}

impl From<TimeZone> for CronZone {
    fn from(zone: TimeZone) -> Self {
        Self(zone)
    }
}

/// Returns the zone with this name. `None`: the host's own zone. An unknown name gives UTC; a configuration with one is
/// refused before.
pub type ZoneOf = fn(Option<&str>) -> CronZone;

/// A parsed expression.
#[derive(Debug, Clone)]
pub enum CronExpression {
    /// `@every`: at fixed intervals of at least a second, on the monotonic clock.
    Every(Duration),
    /// At times of the calendar.
    Calendar {
        /// The zone of the times. `None`: the host's own zone.
        zone: Option<String>,
        /// The fields.
        fields: Box<Cron>,
    },
}

impl CronExpression {
    /// Parses an expression: five fields (minute first), six fields (second first) or a word, after an optional
    /// `CRON_TZ=<zone>` or `TZ=<zone>`.
    ///
    /// # Errors
    /// What is wrong, for people.
    ///
    /// # Source
    /// robfig/cron version 3, "CRON Expression Format"; the manual of croner.
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = |why: &str| format!("invalid cron expression {}: {why}", python_repr(text));
        let text_of_fields = text.trim();
        let named = ["CRON_TZ=", "TZ="]
            .iter()
            .find_map(|prefix| text_of_fields.strip_prefix(prefix));
        let (zone, rest) = match named {
            None => (None, text_of_fields),
            Some(named) => {
                let (zone, rest) = named
                    .split_once(char::is_whitespace)
                    .ok_or_else(|| wrong("there is no field after the time zone"))?;
                if zone.is_empty() {
                    return Err(wrong("the name of the time zone is empty"));
                }
                (Some(zone.to_owned()), rest.trim())
            }
        };
        if let Some(interval) = rest.strip_prefix(EVERY) {
            return match interval_of(interval.trim()) {
                Some(interval) => Ok(Self::Every(interval)),
                None => Err(wrong("@every needs a time such as 90s or 1h30m")),
            };
        }
        let word = WORDS.iter().find(|(word, _)| *word == rest);
        if word.is_none() && rest.starts_with('@') {
            return Err(wrong("there is no such word"));
        }
        let fields = word.map_or(rest, |(_, fields)| fields);
        let fields = with_ends(fields).ok_or_else(|| wrong("five or six fields are needed"))?;
        let parser = CronParser::builder()
            .seconds(Seconds::Optional)
            .year(Year::Disallowed)
            .build();
        let fields = parser
            .parse(&fields)
            .map_err(|error| wrong(&error.to_string()))?;
        Ok(Self::Calendar {
            zone,
            fields: Box::new(fields),
        })
    }

    /// Returns the name of the zone if the expression has one.
    #[must_use]
    pub fn zone(&self) -> Option<&str> {
        match self {
            Self::Every(_) => None,
            Self::Calendar { zone, .. } => zone.as_deref(),
        }
    }

    /// Returns the first occurrence in a second later than that of `after`. A time that the clock skips counts as the
    /// moment after the gap; a time that the clock repeats counts once, unless the field of the hour is a wildcard.
    /// `None`: there is none, or the expression is an interval.
    #[must_use]
    pub fn next_after(&self, after: Wall, zone: &CronZone) -> Option<Wall> {
        let Self::Calendar { fields, .. } = self else {
            return None;
        };
        let from = Timestamp::from_second(after.secs()).ok()?;
        let from = Zoned::new(from, zone.0.clone());
        let next = fields.find_next_occurrence(&from, false).ok()?;
        let nanos = next.timestamp().as_second().checked_mul(1_000_000_000)?;
        // A schedule that did not move on would start its program again and again.
        Some(Wall(nanos)).filter(|&next| next > after)
    }
}

/// Writes out what only the Go re-implementation understands: `N/S` is a range without an end, `?` is every value.
/// `None`: the number of fields is wrong.
fn with_ends(text: &str) -> Option<String> {
    let fields: Vec<&str> = text.split_whitespace().collect();
    let first = LAST.len().checked_sub(fields.len()).filter(|&n| n <= 1)?;
    let item = |item: &str, last: &str| match item.split_once('/') {
        Some((start, step))
            if !start.is_empty() && start.chars().all(|c| c.is_ascii_alphanumeric()) =>
        {
            format!("{start}-{last}/{step}")
        }
        _ => item.replace('?', "*"),
    };
    let field = |(field, last): (&&str, &&str)| {
        let items: Vec<String> = field.split(',').map(|one| item(one, last)).collect();
        items.join(",")
    };
    let fields: Vec<String> = fields.iter().zip(&LAST[first..]).map(field).collect();
    Some(fields.join(" "))
}

/// Parses an interval such as `1h30m`, with at least one unit. It is cut to whole seconds and is at least one second.
/// `None`: it is no such text, or too long.
///
/// # Source
/// Go, `time.ParseDuration`; robfig/cron, `Every`.
fn interval_of(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut nanos = 0.0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let (number, after) = rest.split_at(end);
        let number: f64 = number.parse().ok()?;
        let (unit, factor) = UNITS.iter().find(|(unit, _)| {
            let next = after.strip_prefix(unit).map(|behind| behind.chars().next());
            next.is_some_and(|next| !next.is_some_and(char::is_alphabetic))
        })?;
        nanos += number * factor;
        rest = &after[unit.len()..];
    }
    let seconds = Duration::try_from_secs_f64(nanos / 1e9).ok()?.as_secs();
    (seconds <= INTERVAL_SECS_MAX).then(|| Duration::from_secs(seconds.max(1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A zone with summer time as in Berlin, without a zone database.
    fn berlin() -> CronZone {
        CronZone(TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").expect("rules"))
    }

    fn wall(text: &str) -> Wall {
        let stamp: Timestamp = text.parse().expect("a time");
        Wall(stamp.as_second() * 1_000_000_000)
    }

    /// The next occurrences, in the zone.
    fn nexts(expression: &str, from: &str, zone: &CronZone, count: usize) -> Vec<String> {
        let parsed = CronExpression::parse(expression).expect(expression);
        let mut at = wall(from);
        let mut found = Vec::new();
        for _ in 0..count {
            let Some(next) = parsed.next_after(at, zone) else {
                break;
            };
            found.push(zone.show(next));
            at = next;
        }
        found
    }

    fn next(expression: &str) -> String {
        // A Monday.
        nexts(expression, "2026-11-30T15:43:21Z", &CronZone::UTC, 1).join("")
    }

    #[test]
    fn g67_the_dialect() {
        for (expression, expected) in [
            ("0 5/10 * * * *", "2026-11-30 15:45:00"),
            ("0 50/5 * * * *", "2026-11-30 15:50:00"),
            ("@midnight", "2026-12-01 00:00:00"),
            ("@daily", "2026-12-01 00:00:00"),
            ("@hourly", "2026-11-30 16:00:00"),
            ("@weekly", "2026-12-06 00:00:00"),
            ("@monthly", "2026-12-01 00:00:00"),
            ("@yearly", "2027-01-01 00:00:00"),
            ("@annually", "2027-01-01 00:00:00"),
            ("*/5 * * * *", "2026-11-30 15:45:00"),
            ("30 3 * * *", "2026-12-01 03:30:00"),
            ("* * * * * *", "2026-11-30 15:43:22"),
            ("*/2 * * * * *", "2026-11-30 15:43:22"),
            ("0 0 0 ? * ?", "2026-12-01 00:00:00"),
            ("0 0 0 * * 7", "2026-12-06 00:00:00"),
            ("0 0 0 * * SUN", "2026-12-06 00:00:00"),
            ("0 0 0 * JAN-FEB mon,TUE", "2027-01-04 00:00:00"),
            ("0 0 0 L * *", "2026-12-31 00:00:00"),
            ("0 0 0 * * 1#2", "2026-12-14 00:00:00"),
            ("0 0 0 15W * *", "2026-12-15 00:00:00"),
            ("0 0 0 * * 5L", "2026-12-25 00:00:00"),
            ("0 0 0 * * MON/2", "2026-12-02 00:00:00"),
            // Either of the two days.
            ("0 0 3 1 * 1", "2026-12-01 03:00:00"),
            ("0 0 3 5 * 1", "2026-12-05 03:00:00"),
        ] {
            assert_eq!(next(expression), expected, "{expression}");
        }
        for (expression, why) in [
            ("", "five or six fields are needed"),
            ("* * * *", "five or six fields are needed"),
            ("* * * * * * 2027", "five or six fields are needed"),
            ("@reboot", "there is no such word"),
            ("@every", "@every needs a time such as 90s or 1h30m"),
            ("@every 5", "@every needs a time such as 90s or 1h30m"),
            ("@every x", "@every needs a time such as 90s or 1h30m"),
            ("TZ=Europe/Berlin", "there is no field after the time zone"),
            ("TZ= * * * * *", "the name of the time zone is empty"),
        ] {
            let error = CronExpression::parse(expression).expect_err(expression);
            assert_eq!(
                error,
                format!("invalid cron expression {}: {why}", python_repr(expression))
            );
        }
        for expression in [
            "0 0 22-2 * * *",
            "61 * * * * *",
            "0 0 0 32 * *",
            "a b c d e",
            "* * * * * 9",
        ] {
            assert!(CronExpression::parse(expression).is_err(), "{expression}");
        }
        // A date that never comes.
        for expression in ["0 0 0 31 4 *", "0 0 0 30 2 *"] {
            assert_eq!(next(expression), "", "{expression}");
        }
    }

    #[test]
    fn g67_a_zone_before_the_fields() {
        for (expression, zone) in [
            ("CRON_TZ=Asia/Tokyo 0 6 * * *", Some("Asia/Tokyo")),
            ("TZ=UTC  @daily", Some("UTC")),
            ("0 6 * * *", None),
        ] {
            let parsed = CronExpression::parse(expression).expect(expression);
            assert_eq!(parsed.zone(), zone);
        }
    }

    #[test]
    fn g67_intervals_are_gos_durations() {
        for (text, seconds) in [
            ("@every 1h30m", 5400),
            ("@every 1.5h", 5400),
            ("@every 90s", 90),
            ("@every 2m0.9s", 120),
            ("@every 300ms", 1),
            ("@every 1500ms", 1),
            ("@every 0s", 1),
        ] {
            match CronExpression::parse(text) {
                Ok(CronExpression::Every(interval)) => {
                    assert_eq!(interval.as_secs(), seconds, "{text}")
                }
                other => panic!("{text}: {other:?}"),
            }
        }
        for text in ["1", "h", "1x", "-1s", "1h-1m", "1.2.3s", "99999999h"] {
            assert_eq!(interval_of(text), None, "{text}");
        }
    }

    #[test]
    fn summer_time_skips_and_repeats_no_run() {
        let zone = berlin();
        // On 2026-03-29 the clock goes from 02:00 to 03:00, on 2026-10-25 from 03:00 to 02:00.
        let spring = nexts("30 2 * * *", "2026-03-28T00:00:00Z", &zone, 3);
        assert_eq!(
            spring,
            [
                "2026-03-28 02:30:00",
                "2026-03-29 03:00:00",
                "2026-03-30 02:30:00"
            ]
        );
        let autumn = nexts("30 2 * * *", "2026-10-24T00:00:00Z", &zone, 3);
        assert_eq!(
            autumn,
            [
                "2026-10-24 02:30:00",
                "2026-10-25 02:30:00",
                "2026-10-26 02:30:00"
            ]
        );
        // Every half hour runs every half hour, also in the hour that comes twice.
        let autumn = nexts("*/30 * * * *", "2026-10-24T23:45:00Z", &zone, 5);
        assert_eq!(
            autumn,
            [
                "2026-10-25 02:00:00",
                "2026-10-25 02:30:00",
                "2026-10-25 02:00:00",
                "2026-10-25 02:30:00",
                "2026-10-25 03:00:00",
            ]
        );
    }

    #[test]
    fn times_outside_the_calendar_have_no_next() {
        let parsed = CronExpression::parse("* * * * *").expect("valid");
        for time in [i64::MIN, i64::MAX] {
            let next = parsed.next_after(Wall(time), &CronZone::UTC);
            assert!(next.is_none_or(|next| next > Wall(time)), "{next:?}");
        }
        assert_eq!(CronZone::UTC.show(Wall(0)), "1970-01-01 00:00:00");
    }
}
