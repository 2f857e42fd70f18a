//! The actor: it owns the core, the pidfds, the one timer and the signals, and does what the core wants done.

mod actor;
mod bus;
mod channels;
mod inbox;
mod loader;
mod perform;
mod systemd;

pub use actor::{Ended, Engine, Hands, Parts};
pub use bus::Publish;
pub use inbox::{Answer, Asked, EngineGone, InboxSender};
pub use loader::{Compose, Load};
pub use systemd::{Notifier, PassedSocket, passed_sockets};
