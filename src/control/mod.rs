//! The Control API: permissions, requests to the engine and the event feed. All endpoints use it.

mod auth;
mod call_statistics;
mod change_history;
mod config_calls;
mod events;
mod handle;
mod update_steps;

pub use auth::{
    Login, PageToken, PasswordCheck, ServerLogins, access_for_login, access_for_peer,
    check_password, grant_for, new_token,
};
pub use call_statistics::{CallStatistics, MethodCalls};
pub use change_history::{ChangeBatch, ChangeHistory, NumberedChange};
pub use config_calls::{ConfigAnswer, ConfigCalls, ConfigReply, SourceHealth};
pub use events::{EventFeed, FeedItem, Subscription};
pub use handle::{ControlHandle, EngineGone, RequestMessage};
pub use update_steps::UpdateSteps;
