//! The engine: one thread that owns the core, the pidfds, the timer and the signals, and performs the core's actions.

mod actor;
mod bus;
mod channels;
mod descriptors;
mod holder_watch;
mod inbox;
mod loader;
mod orphans;
mod perform;
mod systemd;
mod upgrade;

pub use actor::{Engine, EngineConfig, EngineExit, StoppedEngine, Workers};
pub use bus::Publish;
pub use descriptors::reserve_descriptors;
pub use inbox::{AnswerFn, EngineGone, InboxSender, RequestMessage};
pub use loader::{Compose, Load};
pub use systemd::{Notifier, passed_sockets, store_holder, take_stored_holder};
pub use upgrade::EngineHandoff;
