//! A process's configuration → a plan of plain data → a process, on a thread of its own.

mod message;
mod plan;

pub use message::{Done, Job};
pub use plan::Plan;
