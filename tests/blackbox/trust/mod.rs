//! No user, file, thread or careless edit can harm the rest: one file for each promise of `src/docs/security.md`.

use crate::support::runner::Trial;

mod a6_by_descriptor;
mod b3_ended_threads;
mod b8_swept_socket;

/// All of them.
pub(crate) fn trials() -> Vec<Trial> {
    // One line per file, so that files come and go without touching each other's lines.
    let mut trials = Vec::new();
    trials.extend(a6_by_descriptor::trials());
    trials.extend(b3_ended_threads::trials());
    trials.extend(b8_swept_socket::trials());
    trials
}
