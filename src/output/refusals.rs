//! Lines about refused calls, bounded for each of those who make them: whoever may do nothing must not be able to fill the
//! log, nor the queue in front of it. It must not know what the lines say.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use crate::domain::Line;

/// Lines of one source in one window; further ones are counted.
const LINES_MAX: u32 = 20;
/// The same of root, who may do everything: one command for many processes can be refused for each of them.
const LINES_OF_ROOT_MAX: u32 = 1000;
/// What `Caller::rate_limit_key` calls root.
const ROOT: &str = "uid 0";
/// How long a window is. It begins with the first line, and what was left out is said at its end.
const WINDOW: Duration = Duration::from_secs(10);
/// Sources that are counted at once; a new one takes the place of the one whose window ends first.
const SOURCES_MAX: usize = 1024;

/// What was written in the window of each source.
#[derive(Debug, Default)]
pub(super) struct Refusals(HashMap<String, Window>);

#[derive(Debug)]
struct Window {
    ends: Instant,
    written: u32,
    suppressed: u64,
}

/// What becomes of a line.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Admitted {
    /// It is written; before it, this one.
    Written(Option<Line>),
    /// It is left out.
    Suppressed {
        /// The first one of its window: at the end of that, [`Refusals::over`] has something to say.
        is_first: bool,
    },
}

impl Refusals {
    /// Takes a line of this source.
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

    /// What is to be said of windows that are over; `None` for `now`: of all.
    pub(super) fn over(&mut self, now: Option<Instant>) -> Vec<Line> {
        let over = self.0.iter().filter(|(_, window)| {
            window.suppressed > 0 && now.is_none_or(|now| window.ends <= now)
        });
        let over: Vec<String> = over.map(|(source, _)| source.clone()).collect();
        over.iter()
            .filter_map(|source| self.forget(source))
            .collect()
    }

    /// When [`Refusals::over`] has something to say next. None: never, as far as is known.
    pub(super) fn next(&self) -> Option<Instant> {
        let waiting = self.0.values().filter(|window| window.suppressed > 0);
        waiting.map(|window| window.ends).min()
    }

    /// Forgets a source; what was left out of it.
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
    fn a1_one_source_has_so_many_lines_and_the_rest_is_counted() {
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
        // Nobody else feels it.
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
    fn root_has_more_and_a_bound_too() {
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
    fn what_was_left_out_comes_before_the_next_line() {
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
    fn sources_are_few_and_none_goes_unsaid() {
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
