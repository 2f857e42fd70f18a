//! The last runs of a program with a schedule.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// One run of a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramRun {
    /// When it started, in seconds since the epoch.
    pub start: i64,
    /// When it ended, in seconds since the epoch. `None`: it runs, or the daemon did not see its end.
    #[serde(default)]
    pub end: Option<i64>,
    /// How it ended, for people. Empty: not yet.
    #[serde(default)]
    pub result: String,
}

/// The last runs of a program, the newest last.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ProgramRuns {
    /// The last occurrence of its schedule that was handled, in seconds since the epoch. `None`: there was none.
    #[serde(default)]
    pub last: Option<i64>,
    /// At most [`PROGRAM_RUNS_MAX`].
    #[serde(default)]
    pub runs: VecDeque<ProgramRun>,
}

/// Maximum number of runs that are kept of a program.
pub const PROGRAM_RUNS_MAX: usize = 50;
/// Maximum length of a result in bytes.
const RESULT_BYTES_MAX: usize = 200;
/// The result of a run whose end no daemon saw.
const UNSEEN: &str = "end not seen by supervisord";

impl ProgramRuns {
    /// Adds a run that starts now.
    pub fn begin(&mut self, start: i64) {
        self.lose_open_run();
        self.runs.push_back(ProgramRun {
            start,
            end: None,
            result: String::new(),
        });
        while self.runs.len() > PROGRAM_RUNS_MAX {
            self.runs.pop_front();
        }
    }

    /// Ends the run that [`Self::begin`] added last. Without such a run, it adds one that started at `end`.
    pub fn end(&mut self, end: i64, mut result: String) {
        let mut cut = result.len().min(RESULT_BYTES_MAX);
        while !result.is_char_boundary(cut) {
            cut -= 1;
        }
        result.truncate(cut);
        if self.open_run().is_none() {
            self.begin(end);
        }
        if let Some(run) = self.open_run() {
            run.end = Some(end);
            run.result = result;
        }
    }

    /// Marks a run that has no end, because the process is gone.
    pub fn lose_open_run(&mut self) {
        if let Some(run) = self.open_run() {
            run.result = UNSEEN.to_owned();
        }
    }

    /// Whether these runs are at least as new as the others.
    #[must_use]
    pub fn is_newer_than(&self, other: &Self) -> bool {
        let key = |runs: &Self| (runs.runs.back().map(|run| (run.start, run.end)), runs.last);
        key(self) >= key(other)
    }

    fn open_run(&mut self) -> Option<&mut ProgramRun> {
        let last = self.runs.back_mut();
        last.filter(|run| run.end.is_none() && run.result.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_bounded_and_have_one_open_run_at_most() {
        let mut runs = ProgramRuns::default();
        for start in 0..60 {
            runs.begin(start);
        }
        assert_eq!(runs.runs.len(), PROGRAM_RUNS_MAX);
        assert_eq!(runs.runs[0].start, 10);
        assert_eq!(runs.runs[48].result, UNSEEN);
        let before = runs.clone();
        runs.end(61, "ä".repeat(RESULT_BYTES_MAX));
        assert!(runs.is_newer_than(&before) && !before.is_newer_than(&runs));
        let last = runs.runs.back().cloned().expect("a run");
        assert_eq!(
            (last.start, last.end, last.result.len()),
            (59, Some(61), 200)
        );
        // A start that failed before its process existed.
        runs.end(70, "no command".to_owned());
        let last = runs.runs.back().cloned().expect("a run");
        assert_eq!((last.start, last.end), (70, Some(70)));
    }
}
