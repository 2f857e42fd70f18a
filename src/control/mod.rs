//! The Control API in motion: the only way into the engine.

mod auth;
mod events;
mod handle;

pub use auth::{PageToken, PasswordCheck, access_for_peer, check_password, grant_for};
pub use events::{EventFeed, FeedItem, Subscription};
pub use handle::{ControlHandle, EngineGone, RequestMessage};
