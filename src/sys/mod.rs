//! The only unsafe code: clone and exec, pidfds, readiness, limits, credentials. Small, safe outside.

mod ends;
mod poller;

pub use ends::ChildEnds;
pub use poller::{Interest, Poller, Ready, Waker};
