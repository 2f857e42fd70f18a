//! No user, file, thread or careless edit can harm the rest: one file for each promise of `src/docs/security.md`.

use crate::support::runner::Trial;

mod a8_children;
mod b1_stuck_spawn;
mod c3_env_bytes;
mod c4_numeric_user;

/// All of them.
pub(crate) fn trials() -> Vec<Trial> {
    // One line per file, so that files come and go without touching each other's lines.
    let mut trials = Vec::new();
    trials.extend(a8_children::trials());
    trials.extend(b1_stuck_spawn::trials());
    trials.extend(c3_env_bytes::trials());
    trials.extend(c4_numeric_user::trials());
    trials
}
