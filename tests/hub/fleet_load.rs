//! A thousand nodes.

use crate::support::runner::Trial;

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    Vec::new()
}

/// Runs a program of this file and never returns, if the first argument asks for it.
pub(crate) fn run_if_asked() {}
