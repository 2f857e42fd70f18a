//! Text → typed configuration → difference.

pub mod getopt;
pub mod spec;
