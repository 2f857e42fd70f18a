//! Limits the log lines about refused calls per caller, so that a caller without permissions cannot fill the log or its
//! queue.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::domain::Line;

/// Maximum number of lines per source and window. Further lines are counted.
const LINES_MAX: u32 = 20;
/// The maximum for root: one command for many processes can be refused for each of them.
const LINES_OF_ROOT_MAX: u32 = 1000;
/// The key that `Caller::rate_limit_key` gives root.
const ROOT: &str = "uid 0";
/// Length of a window. It begins with its first line, and suppressed lines are reported at its end.
const WINDOW: Duration = Duration::from_secs(10);
/// Maximum number of sources. A new source replaces the one whose window ends first.
const SOURCES_MAX: usize = 1024;

/// The present window of each source.
#[derive(Debug, Default)]
pub(super) struct Refusals(HashMap<String, Window>);

#[derive(Debug)]
struct Window {
    ends: Instant,
    written: u32,
    suppressed: u64,
}

/// Whether a line is written.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admitted {
    /// Write it; before it, write this report about the previous window.
    Written(Option<Line>),
    /// Do not write it.
    Suppressed {
        /// It is the first suppressed line of the window: [`Refusals::over`] has a report at the end of the window.
        is_first: bool,
    },
}

impl Refusals {
    /// Counts a line of this source.
    pub(super) fn admit(&mut self, source: &str, now: Instant) -> Admitted {
        let mut before = None;
        if let Some(window) = self.0.get_mut(source) {
            if window.ends > now {
                if window.written < lines_max(source) {
                    window.written += 1;
                    return Admitted::Written(None);
                }
                window.suppressed += 1;
                return Admitted::Suppressed {
                    is_first: window.suppressed == 1,
                };
            }
            before = self.forget(source);
        } else if self.0.len() >= SOURCES_MAX {
            self.0
                .retain(|_, window| window.ends > now || window.suppressed > 0);
            let first = self.0.iter().min_by_key(|(_, window)| window.ends);
            if self.0.len() >= SOURCES_MAX
                && let Some(first) = first.map(|(source, _)| source.clone())
            {
                before = self.forget(&first);
            }
        }
        let window = Window {
            ends: now + WINDOW,
            written: 1,
            suppressed: 0,
        };
        self.0.insert(source.to_owned(), window);
        Admitted::Written(before)
    }

    /// Returns the reports about windows that are over. `None` for `now`: about all windows.
    pub(super) fn over(&mut self, now: Option<Instant>) -> Vec<Line> {
        let over = self.0.iter().filter(|(_, window)| {
            window.suppressed > 0 && now.is_none_or(|now| window.ends <= now)
        });
        let over: Vec<String> = over.map(|(source, _)| source.clone()).collect();
        over.iter()
            .filter_map(|source| self.forget(source))
            .collect()
    }

    /// When [`Refusals::over`] has its next report. `None`: no line is suppressed.
    pub(super) fn next(&self) -> Option<Instant> {
        let waiting = self.0.values().filter(|window| window.suppressed > 0);
        waiting.map(|window| window.ends).min()
    }

    /// Removes a source. Returns the report about its suppressed lines.
    fn forget(&mut self, source: &str) -> Option<Line> {
        let (source, window) = self.0.remove_entry(source)?;
        let count = window.suppressed;
        (count > 0).then_some(Line::RefusalsSuppressed { count, source })
    }
}

fn lines_max(source: &str) -> u32 {
    if source == ROOT {
        LINES_OF_ROOT_MAX
    } else {
        LINES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(lines: Vec<Line>) -> Vec<String> {
        lines.iter().map(Line::to_string).collect()
    }

    #[test]
    fn a1_lines_of_one_source_are_bounded_and_the_rest_is_counted() {
        let mut refusals = Refusals::default();
        let begin = Instant::now();
        let mut written = 0;
        for _ in 0..100_000 {
            match refusals.admit("uid 7", begin) {
                Admitted::Written(before) => {
                    assert_eq!(before, None);
                    written += 1;
                }
                Admitted::Suppressed { is_first } => {
                    assert_eq!(is_first, refusals.0["uid 7"].suppressed == 1);
                }
            }
        }
        assert_eq!(written, LINES_MAX);
        // Other sources are not affected.
        assert_eq!(refusals.admit("uid 8", begin), Admitted::Written(None));
        assert_eq!(refusals.next(), Some(begin + WINDOW));
        assert!(refusals.over(Some(begin)).is_empty());
        let end = Some(begin + WINDOW);
        assert_eq!(
            said(refusals.over(end)),
            ["audit: suppressed 99980 more refusals from uid 7"]
        );
        assert_eq!((refusals.next(), refusals.over(end)), (None, Vec::new()));
    }

    #[test]
    fn root_has_a_higher_bound() {
        let mut refusals = Refusals::default();
        let begin = Instant::now();
        let source = crate::api::Caller {
            uid: Some(0),
            ..crate::api::Caller::DAEMON
        };
        for _ in 0..2 * LINES_OF_ROOT_MAX {
            refusals.admit(&source.rate_limit_key(), begin);
        }
        assert_eq!(refusals.0[ROOT].suppressed, u64::from(LINES_OF_ROOT_MAX));
    }

    #[test]
    fn the_count_of_dropped_lines_precedes_the_next_line() {
        let mut refusals = Refusals::default();
        let begin = Instant::now();
        for _ in 0..=LINES_MAX {
            refusals.admit("inet", begin);
        }
        let Admitted::Written(Some(line)) = refusals.admit("inet", begin + WINDOW) else {
            panic!("a line before it");
        };
        assert_eq!(
            line.to_string(),
            "audit: suppressed 1 more refusals from inet"
        );
    }

    #[test]
    fn sources_are_bounded_and_all_are_counted() {
        let mut refusals = Refusals::default();
        let begin = Instant::now();
        let mut told = 0;
        let count = 3 * SOURCES_MAX;
        for source in 1..=count {
            for _ in 0..=LINES_MAX {
                let admitted = refusals.admit(&format!("uid {source}"), begin);
                told += usize::from(matches!(admitted, Admitted::Written(Some(_))));
            }
            assert!(refusals.0.len() <= SOURCES_MAX);
        }
        assert_eq!(told + refusals.over(None).len(), count);
        assert!(refusals.0.is_empty());
    }
}
