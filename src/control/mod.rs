//! The Control API: permissions, requests to the engine and the event feed. All endpoints use it.

mod auth;
mod call_statistics;
mod change_history;
mod events;
mod handle;

pub use auth::{PageToken, PasswordCheck, access_for_peer, check_password, grant_for};
pub use call_statistics::{CallStatistics, MethodCalls};
pub use change_history::{ChangeBatch, ChangeHistory, NumberedChange};
pub use events::{EventFeed, FeedItem, Subscription};
pub use handle::{ControlHandle, EngineGone, RequestMessage};
