//! Sections and KEYS → the typed configuration, or all errors at once.
//!
//! Everything is read in the order in which Supervisor reads it, and reading goes on after an error; so the first error
//! reported is the one at which Supervisor would have stopped.

mod confinement;
mod daemon;
mod group;
mod group_change;
mod load;
mod notify;
mod program;
mod reader;
mod resources;
mod server;

pub use group_change::build_group_change;
pub use load::load;
pub(in crate::config) use reader::{ConfigReader, KeyResult, SectionAt};
