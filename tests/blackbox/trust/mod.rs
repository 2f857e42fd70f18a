//! No user, file, thread or careless edit can harm the rest: one file for each promise of `src/docs/security.md`.

mod b2_log_that_hangs;

use crate::support::runner::Trial;

/// All of them.
pub(crate) fn trials() -> Vec<Trial> {
    // One line per file, so that files come and go without touching each other's lines.
    let mut trials = Vec::new();
    trials.extend(b2_log_that_hangs::trials());
    trials
}
