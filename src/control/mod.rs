//! The Control API in motion: the only way into the engine.

mod handle;

pub use handle::{Asked, ControlHandle};
