//! No user, file, thread or careless edit can harm the rest. Each file tests one promise of `src/docs/security.md`.

mod a1_audit;
mod a2_costs_nothing;
mod a3_bus_limits;
mod a4_wrong_passwords;
mod a5_allow_tells_nothing;
mod a7_include_directories;
mod a8_import_fifo;
mod a8_tail_on_a_terminal;
pub(crate) mod b2_log_that_hangs;
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
pub(crate) mod terminal;
mod users;

use crate::support::runner::Trial;

mod a6_by_descriptor;
mod a8_children;
mod b1_stuck_spawn;
mod b3_ended_threads;
mod b8_swept_socket;
mod c3_env_bytes;
mod c4_numeric_user;

/// The tests of all files.
pub(crate) fn tests() -> Vec<Trial> {
    // One line per file, so that changes to one file do not conflict with others.
    let mut tests = Vec::new();
    tests.extend(a1_audit::tests());
    tests.extend(a4_wrong_passwords::tests());
    tests.extend(a5_allow_tells_nothing::tests());
    tests.extend(a7_include_directories::tests());
    tests.extend(c1_emptied_file::tests());
    tests.extend(c2_hints::tests());
    tests.extend(c3_order_and_sockets::tests());
    tests.extend(c4_check_tells::tests());
    tests.extend(d5_all_errors::tests());
    tests.extend(d8_beside_the_binary::tests());
    tests.extend(a8_import_fifo::tests());
    tests.extend(a8_tail_on_a_terminal::tests());
    tests.extend(b6_reject_storm::tests());
    tests.extend(b7_unknown_is_left::tests());
    tests.extend(c1_update_asks::tests());
    tests.extend(c5_clear_words::tests());
    tests.extend(d6_update_leaves_scaled_alone::tests());
    tests.extend(d7_options::tests());
    tests.extend(a2_costs_nothing::tests());
    tests.extend(a3_bus_limits::tests());
    tests.extend(b5_answer_before_exit::tests());
    tests.extend(a8_children::tests());
    tests.extend(b1_stuck_spawn::tests());
    tests.extend(c3_env_bytes::tests());
    tests.extend(c4_numeric_user::tests());
    tests.extend(a6_by_descriptor::tests());
    tests.extend(b3_ended_threads::tests());
    tests.extend(b8_swept_socket::tests());
    tests.extend(b2_log_that_hangs::tests());
    tests
}
