//! No user, file, thread or careless edit can harm the rest: one file for each promise of `src/docs/security.md`.

mod a1_audit;
mod a4_wrong_passwords;
mod a5_allow_tells_nothing;
mod users;

use crate::support::runner::Trial;

/// All of them.
pub(crate) fn trials() -> Vec<Trial> {
    // One line per file, so that files come and go without touching each other's lines.
    let mut trials = Vec::new();
    trials.extend(a1_audit::trials());
    trials.extend(a4_wrong_passwords::trials());
    trials.extend(a5_allow_tells_nothing::trials());
    trials
}
