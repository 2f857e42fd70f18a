//! No user, file, thread or careless edit can harm the rest: one file for each promise of `src/docs/security.md`.

mod b6_reject_storm;
mod b7_unknown_is_left;

use crate::support::runner::Trial;

/// All of them.
pub(crate) fn trials() -> Vec<Trial> {
    // One line per file, so that files come and go without touching each other's lines.
    let mut trials = Vec::new();
    trials.extend(b6_reject_storm::trials());
    trials.extend(b7_unknown_is_left::trials());
    trials
}
