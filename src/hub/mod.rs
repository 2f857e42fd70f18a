//! The hub: shows and controls the processes of many supervisords. [`node`] is one of them: its settings, what is known
//! of it, and the calls; [`fleet`] is all of them, each with a task of its own.
//!
//! The nodes are the truth and the hub is a cache: it stores nothing about them.

pub mod fleet;
pub mod node;
