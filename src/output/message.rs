//! The commands to the output threads and their reports to the engine.

use super::AdoptedStreams;
use crate::domain::{InstanceId, Line, Wall};
use crate::effects::{OutputEffect, OutputOutcome};
use crate::sys::ChildStdio;

/// A command to the output threads. They handle commands in order.
#[derive(Debug)]
pub enum OutputCommand {
    /// An effect of the core.
    Effect(OutputEffect),
    /// Take over an instance that a previous daemon started, and continue to read its pipes.
    Adopt(Box<AdoptedStreams>),
    /// Write a line to the activity log.
    Log(Wall, Line),
    /// Set `strip_ansi`, which a reread has changed.
    StripAnsi(bool),
    /// Write everything and exit.
    Stop,
    /// Exit and leave everything to the next daemon: see [`super::OutputHandle::hand_over`].
    HandOver,
}

/// A report of the output threads to the engine.
#[derive(Debug)]
pub enum OutputReport {
    /// [`OutputOutcome::Prepared`], with the child's ends of the pipes.
    Prepared(InstanceId, ChildStdio),
    /// Any other outcome.
    Outcome(OutputOutcome),
}
