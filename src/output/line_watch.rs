//! Finds the lines of a process that mean something to the daemon: `ready_log` and `health_log`.
//!
//! A job scans each chunk as it was read, whatever the log targets are, so captured text and a stream without a log count
//! too. A line counts as soon as it has the text, even before its end arrives: a prompt has no end.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::ansi;
use super::encoded;
use crate::config::spec::{HealthCheck, ProcessSpec};
use crate::domain::{InstanceId, LinePattern, decoded};
use crate::effects::{LineWatchKind, OutputOutcome};

/// Maximum number of bytes of a line that are compared.
const LINE_BYTES_MAX: usize = 8 << 10;
/// Maximum number of characters of a line that are reported.
const TOLD_CHARS_MAX: usize = 200;
/// Minimum time between two reports about the health of one stream. A program that repeats an error costs the engine no
/// more than that.
const TOLD_EVERY: Duration = Duration::from_millis(250);

/// The watch of one stream.
#[derive(Debug)]
pub(super) struct LineWatch {
    instance: InstanceId,
    /// `None`: the program has no such key, or the process is ready.
    ready: Option<LinePattern>,
    /// `None`: the program has no such key.
    unhealthy: Option<LinePattern>,
    /// The beginning of a line whose end has not arrived, at most [`LINE_BYTES_MAX`] bytes.
    held: Vec<u8>,
    /// What was found and is not reported yet.
    found: Vec<(LineWatchKind, String)>,
    told_at: Option<Instant>,
}

/// The state of a watch for the next daemon.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LineWatchState {
    #[serde(with = "encoded")]
    held: Vec<u8>,
    /// Whether the process is ready.
    is_ready: bool,
}

impl LineWatch {
    /// Returns the watch of a stream. `None`: its program has no such key.
    pub(super) fn new(instance: InstanceId, spec: &ProcessSpec) -> Option<Box<Self>> {
        let ready = spec.ready_log.clone();
        let unhealthy = match spec.health.as_ref().map(|health| &health.check) {
            Some(HealthCheck::Log { log }) => Some(log.clone()),
            Some(HealthCheck::Script(_)) | None => None,
        };
        (ready.is_some() || unhealthy.is_some()).then(|| {
            Box::new(Self {
                instance,
                ready,
                unhealthy,
                held: Vec::new(),
                found: Vec::new(),
                told_at: None,
            })
        })
    }

    /// Scans the next bytes of the stream.
    pub(super) fn scan(&mut self, mut chunk: &[u8]) {
        let mut is_told = false;
        while !chunk.is_empty() {
            let end = chunk.iter().position(|&byte| byte == b'\n');
            let part = &chunk[..end.unwrap_or(chunk.len())];
            let room = LINE_BYTES_MAX - self.held.len();
            let part = &part[..part.len().min(room)];
            if self.held.is_empty() && end.is_some() {
                self.compare(part, &mut is_told);
            } else {
                let mut line = std::mem::take(&mut self.held);
                line.extend_from_slice(part);
                // The part of a line beyond the limit changes nothing.
                if !part.is_empty() {
                    self.compare(&line, &mut is_told);
                }
                if end.is_some() {
                    line.clear();
                }
                self.held = line;
            }
            chunk = end.map_or(&[], |end| &chunk[end + 1..]);
        }
    }

    /// Compares one line with the patterns. `is_told`: whether the chunk has made the process unhealthy already.
    fn compare(&mut self, line: &[u8], is_told: &mut bool) {
        if self.ready.is_none() && (self.unhealthy.is_none() || *is_told) {
            return;
        }
        let line = ansi::strip(line);
        if self.ready.take_if(|ready| ready.matches(&line)).is_some() {
            self.found.push((LineWatchKind::Ready, told(&line)));
        }
        if !*is_told
            && let Some(unhealthy) = &self.unhealthy
            && unhealthy.matches(&line)
        {
            *is_told = true;
            let now = Instant::now();
            let is_soon = |last: Instant| now.duration_since(last) < TOLD_EVERY;
            if !self.told_at.is_some_and(is_soon) {
                self.told_at = Some(now);
                self.found.push((LineWatchKind::Unhealthy, told(&line)));
            }
        }
    }

    /// Reports what was found. Returns whether the process has become ready.
    pub(super) fn report(&mut self, report: &dyn Fn(OutputOutcome)) -> bool {
        let mut is_ready = false;
        for (kind, line) in self.found.drain(..) {
            is_ready |= kind == LineWatchKind::Ready;
            let instance = self.instance;
            report(OutputOutcome::LineMatched {
                instance,
                kind,
                line,
            });
        }
        is_ready
    }

    /// Ends the watch for readiness, because the process is ready. Returns whether nothing is watched any more.
    pub(super) fn end_ready(&mut self) -> bool {
        self.ready = None;
        self.unhealthy.is_none()
    }

    /// Turns the watch into its state for the next daemon.
    pub(super) fn hand_over(self) -> LineWatchState {
        LineWatchState {
            held: self.held,
            is_ready: self.ready.is_none(),
        }
    }

    /// Continues with the state of a previous daemon.
    pub(super) fn resume(&mut self, state: LineWatchState) {
        self.held = state.held;
        self.held.truncate(LINE_BYTES_MAX);
        if state.is_ready {
            self.ready = None;
        }
    }
}

/// The beginning of a line, without control characters.
fn told(line: &[u8]) -> String {
    let text = decoded(line);
    let chars = text.trim().chars().take(TOLD_CHARS_MAX);
    chars
        .map(|c| {
            if crate::domain::is_deceptive(c) {
                '?'
            } else {
                c
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::testing::program;

    fn watch(ready: Option<&str>, unhealthy: Option<&str>) -> LineWatch {
        let spec = program("cat", "cat");
        let instance = InstanceId {
            slot: 0,
            incarnation: 1,
        };
        assert!(
            LineWatch::new(instance, &spec).is_none(),
            "no key, no watch"
        );
        let pattern = |text: &str| LinePattern::parse(text).expect("valid");
        LineWatch {
            instance,
            ready: ready.map(pattern),
            unhealthy: unhealthy.map(pattern),
            held: Vec::new(),
            found: Vec::new(),
            told_at: None,
        }
    }

    fn found(watch: &LineWatch) -> Vec<(LineWatchKind, &str)> {
        let found = watch.found.iter();
        found.map(|(kind, line)| (*kind, line.as_str())).collect()
    }

    #[test]
    fn a_line_counts_once_it_has_the_text() {
        let mut watch = watch(Some("is ready"), None);
        watch.scan(b"starting\nnot is\nready\n\x1b[32mthe server i");
        assert_eq!(found(&watch), []);
        watch.scan(b"s re\x1b[0mady to");
        assert_eq!(
            found(&watch),
            [(LineWatchKind::Ready, "the server is ready to")]
        );
        watch.scan(b" serve\nis ready\n");
        assert_eq!(watch.found.len(), 1, "the watch has ended");
        assert!(watch.end_ready());
    }

    #[test]
    fn only_the_beginning_of_a_long_line_is_compared() {
        let long = vec![b'x'; LINE_BYTES_MAX];
        let mut watch = watch(Some("ready"), None);
        for chunk in [&long[..], b"ready", b" ready\n", &long, b"ready\n"] {
            watch.scan(chunk);
        }
        watch.scan(&[&long[..], b"ready\n"].concat());
        assert_eq!(found(&watch), []);
        watch.scan(&[&long[..LINE_BYTES_MAX - 5], b"ready\n"].concat());
        assert_eq!(watch.found.len(), 1);
        assert_eq!(watch.found[0].1.len(), TOLD_CHARS_MAX);
    }

    #[test]
    fn repeated_lines_are_reported_now_and_then() {
        let mut watch = watch(None, Some("ERROR"));
        for _ in 0..100 {
            watch.scan(b"fine\nan ERROR\x07 of 2\nanother ERROR\n");
        }
        assert_eq!(
            found(&watch)[0],
            (LineWatchKind::Unhealthy, "an ERROR? of 2")
        );
        // A hundred chunks take less than a second even on a busy machine, unless it stops altogether.
        assert!(watch.found.len() < 100);
        assert!(!watch.end_ready());
    }

    #[test]
    fn a_handoff_keeps_the_beginning_of_a_line() {
        let mut old = watch(Some("all ready"), Some("ERROR"));
        old.scan(b"x\nall re");
        let mut new = watch(Some("all ready"), Some("ERROR"));
        new.resume(old.hand_over());
        new.scan(b"ady\n");
        assert_eq!(found(&new), [(LineWatchKind::Ready, "all ready")]);
        let mut newest = watch(Some("all ready"), Some("ERROR"));
        newest.resume(new.hand_over());
        newest.scan(b"all ready\n");
        assert_eq!(found(&newest), []);
    }

    proptest! {
        #[test]
        fn chunk_boundaries_do_not_matter(
            words in proptest::collection::vec(0usize..6, 0..12),
            cuts in proptest::collection::vec(1usize..20, 0..40),
        ) {
            let parts: [&[u8]; 6] = [b"ready", b"rea", b"dy", b"\n", b" ", b"x"];
            let text: Vec<u8> = words.iter().flat_map(|&word| parts[word].to_vec()).collect();
            let mut cut = watch(Some("ready"), None);
            let mut rest = &text[..];
            for length in cuts {
                let (head, tail) = rest.split_at(length.min(rest.len()));
                cut.scan(head);
                rest = tail;
            }
            cut.scan(rest);
            let expected = text.split(|&byte| byte == b'\n').any(|line| line.windows(5).any(|part| part == b"ready"));
            prop_assert_eq!(!cut.found.is_empty(), expected);
        }
    }
}
