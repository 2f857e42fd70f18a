//! No user, file, thread or careless edit can harm the rest: one file for each promise of `src/docs/security.md`.

mod a8_import_fifo;
mod a8_tail_on_a_terminal;
mod b6_reject_storm;
mod b7_unknown_is_left;
mod c1_update_asks;
mod c5_clear_words;
mod d6_update_leaves_scaled_alone;
mod d7_options;
mod terminal;

use crate::support::runner::Trial;

/// All of them.
pub(crate) fn trials() -> Vec<Trial> {
    // One line per file, so that files come and go without touching each other's lines.
    let mut trials = Vec::new();
    trials.extend(a8_import_fifo::trials());
    trials.extend(a8_tail_on_a_terminal::trials());
    trials.extend(b6_reject_storm::trials());
    trials.extend(b7_unknown_is_left::trials());
    trials.extend(c1_update_asks::trials());
    trials.extend(c5_clear_words::trials());
    trials.extend(d6_update_leaves_scaled_alone::trials());
    trials.extend(d7_options::trials());
    trials
}
