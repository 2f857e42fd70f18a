//! Parses the sections by KEYS into the typed configuration, or returns all errors at once.
//!
//! Sections and keys are read in Supervisor's order, and reading continues after an error, so the first reported error
//! is the one at which Supervisor would have stopped.

mod confinement;
mod daemon;
mod dependencies;
mod env_files;
mod exit_when;
mod fields;
mod group;
mod group_change;
mod health;
mod lint;
mod load;
mod notification;
mod program;
mod program_default;
mod reader;
mod readiness;
mod remote;
#[cfg(test)]
mod resources_tests;
mod restart;
mod schedule;
mod server;
mod source;

pub(in crate::config) use fields::RowCursor;
pub use group_change::build_group_change;
pub use load::{check_config, load, load_with_places};
pub(in crate::config) use reader::{ConfigReader, KeyResult, SectionAt};
pub use source::{parse_nacos_keys, read_nacos_texts, read_source_settings};
