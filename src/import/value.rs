//! Parses systemd's values: times, sizes, booleans, exit statuses.

use std::time::Duration;

use crate::domain::Signal;

/// A time span.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TimeSpan {
    /// A limited time.
    For(Duration),
    /// No limit.
    Infinity,
}

/// Units of time in microseconds. A longer name comes before a shorter one with which it begins.
const UNITS: &[(&[&str], u64)] = &[
    (&["seconds", "second", "sec", "s"], 1_000_000),
    (&["minutes", "minute", "min", "m"], 60_000_000),
    (&["months", "month", "M"], 2_629_800_000_000),
    (&["msec", "ms"], 1000),
    (&["hours", "hour", "hr", "h"], 3_600_000_000),
    (&["days", "day", "d"], 86_400_000_000),
    (&["weeks", "week", "w"], 604_800_000_000),
    (&["years", "year", "y"], 31_557_600_000_000),
    (&["usec", "us", "µs", "μs"], 1),
];

/// Parses `1min 30s`, `1.5h` or `infinity`. A plain number is in units of `unit` microseconds.
///
/// # Source
/// systemd.time(7), "Parsing Time Spans".
#[must_use]
pub(super) fn span(text: &str, unit: u64) -> Option<TimeSpan> {
    let text = text.trim();
    if text == "infinity" {
        return Some(TimeSpan::Infinity);
    }
    let mut rest = text;
    let mut micros: u64 = 0;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let digits = rest.trim_start_matches(|c: char| c.is_ascii_digit());
        let whole = &rest[..rest.len() - digits.len()];
        let (fraction, after) = match digits.strip_prefix('.') {
            Some(tail) => {
                let end = tail.trim_start_matches(|c: char| c.is_ascii_digit());
                (&tail[..tail.len() - end.len()], end)
            }
            None => ("", digits),
        };
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let after = after.trim_start();
        let end = after
            .find(|c: char| c.is_ascii_digit() || c == '.' || c.is_whitespace())
            .unwrap_or(after.len());
        let (word, tail) = after.split_at(end);
        let factor = if word.is_empty() {
            unit
        } else {
            UNITS
                .iter()
                .find(|(names, _)| names.contains(&word))
                .map(|&(_, factor)| factor)?
        };
        let number: u64 = if whole.is_empty() {
            0
        } else {
            whole.parse().ok()?
        };
        micros = micros.checked_add(number.checked_mul(factor)?)?;
        micros = micros.checked_add(part_of(fraction, factor))?;
        rest = tail.trim_start();
    }
    Some(TimeSpan::For(Duration::from_micros(micros)))
}

/// The fraction of `whole` that the digits after a decimal point denote. Digits beyond the fifteenth are ignored.
fn part_of(digits: &str, whole: u64) -> u64 {
    let mut part = 0;
    let mut of = 1;
    for digit in digits.chars().filter_map(|c| c.to_digit(10)).take(15) {
        part = part * 10 + u128::from(digit);
        of *= 10;
    }
    // Less than `whole`, because `part` is less than `of`.
    u64::try_from(u128::from(whole) * part / of).unwrap_or(whole)
}

/// A second in microseconds, the unit of systemd's times without a unit.
pub(super) const SECONDS: u64 = 1_000_000;

/// Rounds up to whole seconds, because a limit must not become shorter.
#[must_use]
pub(super) fn seconds(time: Duration) -> u64 {
    time.as_secs() + u64::from(time.subsec_nanos() > 0)
}

/// Parses systemd's words for yes and no.
#[must_use]
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "1" | "yes" | "y" | "true" | "t" | "on" => Some(true),
        "0" | "no" | "n" | "false" | "f" | "off" => Some(false),
        _ => None,
    }
}

/// Parses a number of bytes with an optional fraction and suffix (powers of 1024). `infinity` is not accepted.
#[must_use]
pub(super) fn bytes(text: &str) -> Option<u64> {
    let text = text.trim();
    let rest = text.trim_start_matches(|c: char| c.is_ascii_digit());
    let whole: u64 = text[..text.len() - rest.len()].parse().ok()?;
    let (fraction, suffix) = match rest.strip_prefix('.') {
        Some(tail) => {
            let end = tail.trim_start_matches(|c: char| c.is_ascii_digit());
            (&tail[..tail.len() - end.len()], end)
        }
        None => ("", rest),
    };
    let power = match suffix.trim() {
        "" | "B" => 0,
        letter => "KMGTPE".find(letter).filter(|_| letter.len() == 1)? + 1,
    };
    let factor = 1u64 << (10 * power);
    whole
        .checked_mul(factor)?
        .checked_add(part_of(fraction, factor))
}

/// One item of a list of exit statuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ExitItem {
    /// Exit with this code.
    Code(u8),
    /// Termination by this signal.
    Signal(Signal),
}

/// Names of exit codes.
// Source: systemd.exec(5), "Process Exit Codes"; sysexits.h.
const CODES: &[(&str, u8)] = &[
    ("SUCCESS", 0),
    ("FAILURE", 1),
    ("INVALIDARGUMENT", 2),
    ("NOTIMPLEMENTED", 3),
    ("NOPERMISSION", 4),
    ("NOTINSTALLED", 5),
    ("NOTCONFIGURED", 6),
    ("NOTRUNNING", 7),
    ("USAGE", 64),
    ("DATAERR", 65),
    ("NOINPUT", 66),
    ("NOUSER", 67),
    ("NOHOST", 68),
    ("UNAVAILABLE", 69),
    ("SOFTWARE", 70),
    ("OSERR", 71),
    ("OSFILE", 72),
    ("CANTCREAT", 73),
    ("IOERR", 74),
    ("TEMPFAIL", 75),
    ("PROTOCOL", 76),
    ("NOPERM", 77),
    ("CONFIG", 78),
];

/// Parses an exit code, the name of one, or a signal name with `SIG`.
#[must_use]
pub(super) fn status(word: &str) -> Option<ExitItem> {
    if let Ok(code) = word.parse() {
        return Some(ExitItem::Code(code));
    }
    if let Some(&(_, code)) = CODES.iter().find(|(name, _)| *name == word) {
        return Some(ExitItem::Code(code));
    }
    Signal::parse(word.strip_prefix("SIG")?)
        .ok()
        .map(ExitItem::Signal)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_parsed_as_in_systemd() {
        for (text, expected) in [
            ("5", Some(5_000_000)),
            ("1min 30s", Some(90_000_000)),
            ("1min30s", Some(90_000_000)),
            (" 2 h ", Some(7_200_000_000)),
            ("100ms", Some(100_000)),
            ("1.5s", Some(1_500_000)),
            (".5", Some(500_000)),
            ("0", Some(0)),
            ("1y 2w", Some(31_557_600_000_000 + 1_209_600_000_000)),
            ("", None),
            ("s", None),
            ("5 parsecs", None),
            ("99999999999999999999", None),
            ("-1", None),
        ] {
            let expected = expected.map(|micros| TimeSpan::For(Duration::from_micros(micros)));
            assert_eq!(span(text, SECONDS), expected, "{text}");
        }
        assert_eq!(span("infinity", SECONDS), Some(TimeSpan::Infinity));
        assert_eq!(seconds(Duration::from_millis(1001)), 2);
    }

    #[test]
    fn sizes_and_exit_statuses_are_parsed_as_in_systemd() {
        for (text, expected) in [
            ("1024", Some(1024)),
            ("1.5G", Some(3 << 29)),
            ("512M", Some(512 << 20)),
            ("16E", None),
            ("50%", None),
            ("KM", None),
            ("1KM", None),
        ] {
            assert_eq!(bytes(text), expected, "{text}");
        }
        assert_eq!(status("143"), Some(ExitItem::Code(143)));
        assert_eq!(status("TEMPFAIL"), Some(ExitItem::Code(75)));
        assert_eq!(status("SIGTERM"), Some(ExitItem::Signal(Signal::TERM)));
        for word in ["256", "TERM", "x", "SIGX"] {
            assert_eq!(status(word), None, "{word}");
        }
        assert_eq!(
            (boolean("Yes"), boolean("off"), boolean("x")),
            (Some(true), Some(false), None)
        );
    }
}
