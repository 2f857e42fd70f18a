//! The Control API in motion: the only way into the engine.

mod auth;
mod events;
mod handle;

pub use auth::{PageToken, Verdict, access, check, grant};
pub use events::{EventFeed, Heard, Subscription};
pub use handle::{ControlHandle, EngineGone, RequestMessage};
