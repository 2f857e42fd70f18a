//! The only unsafe code: clone and exec, pidfds, readiness, limits, credentials. Small, safe outside.

mod clock;
mod ends;
mod pipe;
mod poller;

pub use clock::now;
pub use ends::ChildEnds;
pub use pipe::unread;
pub use poller::{Interest, Poller, Ready, Waker};
