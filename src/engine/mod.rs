//! The actor: it owns the core, the pidfds, the one timer and the signals, and does what the core wants done.

mod actor;
mod bus;
mod channels;
mod chronicle;
mod descriptors;
mod holder;
mod inbox;
mod loader;
mod orphans;
mod perform;
mod systemd;
mod upgrade;

pub use actor::{Ended, Engine, Hands, Parts, Stopped};
pub use bus::Publish;
pub use chronicle::{WriteState, read_records};
pub use descriptors::reserve_descriptors;
pub use inbox::{Answer, Asked, EngineGone, InboxSender};
pub use loader::{Compose, Load};
pub use systemd::{Notifier, PassedSocket, SocketFileName, have_kept, passed_sockets, take_kept};
pub use upgrade::{Examine, HandedOver, Inherited, Legacy};
