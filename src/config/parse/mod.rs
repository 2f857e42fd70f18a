//! Sections and KEYS → the typed configuration, or all errors at once.
//!
//! Everything is read in the order in which Supervisor reads it, and reading goes on after an error; so the first error
//! reported is the one at which Supervisor would have stopped.

mod compose;
mod confinement;
mod daemon;
mod group;
mod load;
mod notify;
mod program;
mod reader;
mod resources;
mod server;

pub use compose::compose;
pub use load::load;
pub(in crate::config) use reader::{At, Got, Reader};
