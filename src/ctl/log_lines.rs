//! Lines of logs: splits bytes into lines, selects lines and reads the time at their beginning. This module knows neither
//! the server nor the terminal.

use regex_lite::Regex;

/// Maximum number of bytes of a line. A longer one is shown in pieces.
const LINE_BYTES_MAX: usize = 64 << 10;
/// Maximum number of characters before the time of a line of JSON.
const JSON_TIME_KEY: &str = "\"time\":\"";

/// Splits bytes, as they arrive, into lines without their ends.
#[derive(Debug, Default)]
pub(super) struct LineSplitter {
    begun: Vec<u8>,
}

impl LineSplitter {
    /// Adds a piece and passes on the lines that it completes.
    pub(super) fn push(&mut self, mut piece: &[u8], mut line: impl FnMut(&[u8])) {
        while let Some(end) = piece.iter().position(|&byte| byte == b'\n') {
            self.begun.extend_from_slice(&piece[..end]);
            line(&self.begun);
            self.begun.clear();
            piece = &piece[end + 1..];
        }
        self.begun.extend_from_slice(piece);
        while self.begun.len() > LINE_BYTES_MAX {
            line(&self.begun[..LINE_BYTES_MAX]);
            self.begun.drain(..LINE_BYTES_MAX);
        }
    }

    /// Passes on what has no line end.
    pub(super) fn end(&mut self, line: impl FnOnce(&[u8])) {
        if !self.begun.is_empty() {
            line(&std::mem::take(&mut self.begun));
        }
    }
}

/// Which lines are shown.
#[derive(Debug, Default)]
pub(super) struct LineFilter {
    /// `None`: any text.
    pub(super) pattern: Option<Regex>,
    /// Lines of this time and later, in microseconds since the epoch. `None`: any time.
    pub(super) since: Option<i64>,
}

impl LineFilter {
    /// Parses a pattern. A search takes linear time, whatever the pattern and the line are.
    ///
    /// # Errors
    /// What is wrong with the pattern.
    pub(super) fn parse_pattern(text: &str) -> Result<Regex, String> {
        Regex::new(text).map_err(|error| error.to_string())
    }

    /// Whether a line matches the pattern. The time is not checked.
    pub(super) fn matches(&self, line: &[u8]) -> bool {
        let matches = |pattern: &Regex| pattern.is_match(&String::from_utf8_lossy(line));
        self.pattern.as_ref().is_none_or(matches)
    }

    /// The last lines of `text`, at most `most`. The first line is incomplete if `is_cut`. Lines without a time belong to
    /// the line with a time before them; `None`: with `since`, no line has a time.
    pub(super) fn select<'a>(
        &self,
        text: &'a [u8],
        is_cut: bool,
        most: Option<usize>,
    ) -> Option<Vec<(Option<i64>, &'a [u8])>> {
        let mut lines: Vec<&[u8]> = text.split(|&byte| byte == b'\n').collect();
        if lines.last().is_some_and(|line| line.is_empty()) {
            lines.pop();
        }
        let from = usize::from(is_cut && !lines.is_empty());
        let mut time = None;
        let mut found = Vec::new();
        let is_empty = lines.len() == from;
        for line in lines.drain(from..) {
            time = line_time(line).or(time);
            let is_new = self
                .since
                .is_none_or(|since| time.is_some_and(|time| time >= since));
            if is_new && self.matches(line) {
                found.push((time, line));
            }
        }
        if self.since.is_some() && time.is_none() && !is_empty {
            return None;
        }
        if let Some(most) = most {
            found.drain(..found.len().saturating_sub(most));
        }
        Some(found)
    }
}

/// Parses a duration such as `90`, `90s`, `10m`, `2h` or `1d`. Returns seconds.
pub(super) fn duration(text: &str) -> Option<i64> {
    let (digits, unit) = match text.char_indices().next_back()? {
        (_, last) if last.is_ascii_digit() => (text, 1),
        (at, 's') => (&text[..at], 1),
        (at, 'm') => (&text[..at], 60),
        (at, 'h') => (&text[..at], 3600),
        (at, 'd') => (&text[..at], 86_400),
        _ => return None,
    };
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    let count: i64 = digits.parse().ok().filter(|_| is_number)?;
    count.checked_mul(unit)
}

/// The time at the beginning of a line, in microseconds since the epoch: RFC 3339 with its zone, as `log_format=prefix` writes
/// it, or the member `time` of a line of JSON. `None`: the line has no such time.
pub(super) fn line_time(line: &[u8]) -> Option<i64> {
    let head = &line[..line.len().min(256)];
    let from = match head.first()? {
        b'{' => {
            let key = JSON_TIME_KEY.as_bytes();
            head.windows(key.len()).position(|part| part == key)? + key.len()
        }
        b'[' => 1,
        _ => 0,
    };
    let text = &head[from..];
    let number = |range: std::ops::Range<usize>| -> Option<i64> {
        let digits = text.get(range)?;
        let is_number = digits.iter().all(u8::is_ascii_digit);
        std::str::from_utf8(digits)
            .ok()
            .filter(|_| is_number)?
            .parse()
            .ok()
    };
    let is = |at: usize, wanted: &[u8]| text.get(at).is_some_and(|byte| wanted.contains(byte));
    if !(is(4, b"-") && is(7, b"-") && is(10, b"T ") && is(13, b":") && is(16, b":")) {
        return None;
    }
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    let mut at = 19;
    let mut micros = 0;
    if is(at, b".,") {
        at += 1;
        let mut unit = 100_000;
        while let Some(digit) = number(at..at + 1) {
            micros += digit * unit;
            unit /= 10;
            at += 1;
        }
    }
    let offset = match text.get(at)? {
        b'Z' => 0,
        sign @ (b'+' | b'-') => {
            let minutes_at = if is(at + 3, b":") { at + 4 } else { at + 3 };
            let minutes = number(at + 1..at + 3)? * 60 + number(minutes_at..minutes_at + 2)?;
            if *sign == b'-' { -minutes } else { minutes }
        }
        _ => return None,
    };
    let is_valid = (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60;
    if !is_valid {
        return None;
    }
    let seconds = (days_since_epoch(year, month, day) * 24 + hour) * 3600 + minute * 60 + second;
    Some((seconds - offset * 60) * 1_000_000 + micros)
}

/// The days from 1970-01-01 to a date of the Gregorian calendar. The year begins in March here, so that the leap day is its
/// last day.
fn days_since_epoch(year: i64, month: i64, day: i64) -> i64 {
    let year = if month > 2 { year } else { year - 1 };
    let month = (month + 9) % 12;
    let days_of_years =
        year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    let days_of_months = (month * 153 + 2) / 5;
    // 719468 days lie between March 1 of year 0 and the epoch.
    days_of_years + days_of_months + day - 1 - 719_468
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_whatever_the_pieces() {
        let text = b"one\n\ntwo\r\nlast";
        for size in 1..=text.len() {
            let mut splitter = LineSplitter::default();
            let mut lines: Vec<Vec<u8>> = Vec::new();
            for piece in text.chunks(size) {
                splitter.push(piece, |line| lines.push(line.to_vec()));
            }
            splitter.end(|line| lines.push(line.to_vec()));
            assert_eq!(lines, [&b"one"[..], b"", b"two\r", b"last"], "{size}");
        }
        let mut splitter = LineSplitter::default();
        let mut sizes = Vec::new();
        splitter.push(&vec![b'x'; 2 * LINE_BYTES_MAX + 5], |line| {
            sizes.push(line.len())
        });
        splitter.end(|line| sizes.push(line.len()));
        assert_eq!(sizes, [LINE_BYTES_MAX, LINE_BYTES_MAX, 5]);
    }

    #[test]
    fn times_of_lines_are_read() {
        for (line, expected) in [
            ("1970-01-01T00:00:00Z x", Some(0)),
            (
                "2026-11-30T22:51:47.25Z web stdout: hi",
                Some(1_796_079_107_250_000),
            ),
            (
                "2026-11-30 23:51:47,250+01:00 hi",
                Some(1_796_079_107_250_000),
            ),
            (
                "[2026-11-30T21:51:47.250000-0100] hi",
                Some(1_796_079_107_250_000),
            ),
            (
                "{\"level\":1,\"time\":\"2026-11-30T22:51:47.25Z\"}",
                Some(1_796_079_107_250_000),
            ),
            ("2024-02-29T00:00:00Z", Some(1_709_164_800_000_000)),
            ("1969-12-31T23:59:59Z", Some(-1_000_000)),
            // The zone of the program is not known.
            ("2026-11-30 22:51:47 hi", None),
            ("2026-13-30T22:51:47Z", None),
            ("2026-1130T22:51:47Z", None),
            ("hello", None),
            ("{\"a\":1}", None),
            ("", None),
        ] {
            assert_eq!(line_time(line.as_bytes()), expected, "{line}");
        }
    }

    #[test]
    fn durations_are_parsed() {
        for (text, expected) in [
            ("90", Some(90)),
            ("90s", Some(90)),
            ("10m", Some(600)),
            ("2h", Some(7200)),
            ("1d", Some(86_400)),
            ("", None),
            ("m", None),
            ("-5", None),
            ("1.5h", None),
            ("10x", None),
            ("99999999999999999999", None),
            ("9999999999999999d", None),
        ] {
            assert_eq!(duration(text), expected, "{text}");
        }
    }

    #[test]
    fn lines_are_selected_by_number_text_and_time() {
        let shown = |filter: &LineFilter, text: &'static str, is_cut, most| {
            let found = filter.select(text.as_bytes(), is_cut, most)?;
            let lines = found
                .iter()
                .map(|(_, line)| String::from_utf8_lossy(line).into_owned());
            Some(lines.collect::<Vec<_>>().join("|"))
        };
        let all = LineFilter::default();
        assert_eq!(
            shown(&all, "a\nb\nc\n", false, None).as_deref(),
            Some("a|b|c")
        );
        assert_eq!(shown(&all, "a\nb\nc", true, None).as_deref(), Some("b|c"));
        assert_eq!(
            shown(&all, "a\nb\nc\n", false, Some(2)).as_deref(),
            Some("b|c")
        );
        assert_eq!(shown(&all, "", false, Some(2)).as_deref(), Some(""));
        let errors = LineFilter {
            pattern: Some(LineFilter::parse_pattern("(?i)^err.*no\\b").expect("valid")),
            since: None,
        };
        let text = "ERR: no\nerror none\nok no\nerr 2 no\n";
        assert_eq!(
            shown(&errors, text, false, None).as_deref(),
            Some("ERR: no|err 2 no")
        );
        assert_eq!(
            shown(&errors, text, false, Some(1)).as_deref(),
            Some("err 2 no")
        );
        let late = LineFilter {
            pattern: None,
            since: Some(10_000_000),
        };
        let text = "1970-01-01T00:00:09Z a\n more of a\n1970-01-01T00:00:10Z b\n more of b\n";
        assert_eq!(
            shown(&late, text, false, None).as_deref(),
            Some("1970-01-01T00:00:10Z b| more of b")
        );
        assert_eq!(shown(&late, "a\nb\n", false, None), None);
        assert_eq!(shown(&late, "", false, None).as_deref(), Some(""));
        assert!(LineFilter::parse_pattern("(").is_err());
    }

    #[test]
    fn a_hostile_pattern_takes_linear_time() {
        let pattern = LineFilter::parse_pattern("(a*)*(a*)*(a|a)*b").expect("valid");
        let filter = LineFilter {
            pattern: Some(pattern),
            since: None,
        };
        // Exponential time would never end.
        assert!(!filter.matches(&vec![b'a'; 20_000]));
    }
}
