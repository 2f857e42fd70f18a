//! Command lines of all programs: parsing, help texts and completion. Pure: it prints nothing and reads no files.
//!
//! [`getopt`] parses the command lines that must behave as Supervisor's. [`subcommand`] has all others, which use clap.

pub mod completion;
pub mod getopt;
pub mod options;
pub mod subcommand;
