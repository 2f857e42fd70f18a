//! No user, file, thread or careless edit can harm the rest: one file for each promise of `src/docs/security.md`.

mod a2_costs_nothing;
mod a3_bus_limits;
mod b5_answer_before_exit;

use crate::support::runner::Trial;

/// All of them.
pub(crate) fn trials() -> Vec<Trial> {
    // One line per file, so that files come and go without touching each other's lines.
    let mut trials = Vec::new();
    trials.extend(a2_costs_nothing::trials());
    trials.extend(a3_bus_limits::trials());
    trials.extend(b5_answer_before_exit::trials());
    trials
}
