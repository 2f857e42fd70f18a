//! The actor: it owns the core, the pidfds, the one timer and the signals, and does what the core wants done.

mod inbox;

pub use inbox::Asked;
