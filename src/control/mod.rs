//! The Control API in motion: the only way into the engine.

mod auth;
mod handle;

pub use auth::{Verdict, check, grant};
pub use handle::{Asked, ControlHandle, EngineGone};
