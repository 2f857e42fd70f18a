//! The data plane: every pipe and every sink, on its own thread.

mod message;

pub use message::{Command, Report};
