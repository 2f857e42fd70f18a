//! The functional core: it takes (now, input), changes itself, and returns actions. It opens nothing, reads no clock,
//! spawns nothing, and knows no runtime.

mod action;
mod input;

pub use action::{Action, Actions, AuditLine, Outcome, SignalScope};
pub use input::{DaemonSignal, Input, LoadError, LoadReason};
