//! The functional core: it takes (now, input), changes itself, and returns actions. It opens nothing, reads no clock,
//! spawns nothing, and knows no runtime.

mod action;
mod admit;
mod affairs;
mod auto;
mod begin;
mod chronicle;
mod compose;
mod end;
mod fleet;
mod found;
mod group;
mod halt;
mod input;
mod limits;
mod listener;
mod notice;
mod pool;
mod process;
mod record;
mod rejection;
mod rolling;
mod roster;
mod serve;
mod snapshot;
mod stage;
mod succession;
mod survey;
mod tick;
mod ticket;
mod tidings;
mod wind_down;

pub use action::{Action, Actions, AuditLine, Outcome, SignalScope};
pub use chronicle::Record;
pub use fleet::{Fleet, Identity};
pub use found::Found;
pub use input::{DaemonSignal, Input, LoadError, LoadReason, Successor};
pub use notice::{Announced, Beat, Ignored, NOTICE_BYTES_MAX, Notice, STATUS_CHARS_MAX};
pub use snapshot::Snapshot;
pub use survey::{Phase, Survey};

#[cfg(test)]
mod tests;
