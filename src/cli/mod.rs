//! Command lines of all programs: parsing, help texts and completion. Pure: it prints nothing and reads no files.

pub mod completion;
pub mod getopt;
pub mod options;
pub mod subcommand;
