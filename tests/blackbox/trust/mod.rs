//! No user, file, thread or careless edit can harm the rest: one file for each promise of `src/docs/security.md`.

mod a1_audit;
mod a2_costs_nothing;
mod a3_bus_limits;
mod a4_wrong_passwords;
mod a5_allow_tells_nothing;
mod a7_include_directories;
mod a8_import_fifo;
mod a8_tail_on_a_terminal;
mod b2_log_that_hangs;
mod b5_answer_before_exit;
mod b6_reject_storm;
mod b7_unknown_is_left;
mod c1_emptied_file;
mod c1_update_asks;
mod c2_hints;
mod c3_order_and_sockets;
mod c4_check_tells;
mod c5_clear_words;
mod d5_all_errors;
mod d6_update_leaves_scaled_alone;
mod d7_options;
mod d8_beside_the_binary;
mod terminal;
mod users;

use crate::support::runner::Trial;

mod a6_by_descriptor;
mod a8_children;
mod b1_stuck_spawn;
mod b3_ended_threads;
mod b8_swept_socket;
mod c3_env_bytes;
mod c4_numeric_user;

/// All of them.
pub(crate) fn trials() -> Vec<Trial> {
    // One line per file, so that files come and go without touching each other's lines.
    let mut trials = Vec::new();
    trials.extend(a1_audit::trials());
    trials.extend(a4_wrong_passwords::trials());
    trials.extend(a5_allow_tells_nothing::trials());
    trials.extend(a7_include_directories::trials());
    trials.extend(c1_emptied_file::trials());
    trials.extend(c2_hints::trials());
    trials.extend(c3_order_and_sockets::trials());
    trials.extend(c4_check_tells::trials());
    trials.extend(d5_all_errors::trials());
    trials.extend(d8_beside_the_binary::trials());
    trials.extend(a8_import_fifo::trials());
    trials.extend(a8_tail_on_a_terminal::trials());
    trials.extend(b6_reject_storm::trials());
    trials.extend(b7_unknown_is_left::trials());
    trials.extend(c1_update_asks::trials());
    trials.extend(c5_clear_words::trials());
    trials.extend(d6_update_leaves_scaled_alone::trials());
    trials.extend(d7_options::trials());
    trials.extend(a2_costs_nothing::trials());
    trials.extend(a3_bus_limits::trials());
    trials.extend(b5_answer_before_exit::trials());
    trials.extend(a8_children::trials());
    trials.extend(b1_stuck_spawn::trials());
    trials.extend(c3_env_bytes::trials());
    trials.extend(c4_numeric_user::trials());
    trials.extend(a6_by_descriptor::trials());
    trials.extend(b3_ended_threads::trials());
    trials.extend(b8_swept_socket::trials());
    trials.extend(b2_log_that_hangs::trials());
    trials
}
