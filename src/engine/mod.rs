//! The engine: one thread that owns the core, the pidfds, the timer and the signals, and performs the core's actions.

mod actor;
mod attempts;
mod bus;
mod cgroup_jobs;
mod channels;
mod children;
mod clients;
mod descriptors;
mod holder_watch;
mod inbox;
mod inherited;
mod loader;
mod messages;
mod orphans;
mod perform;
mod process_watch;
mod run_store;
mod scripts;
mod systemd;
mod upgrade;
mod wall_clock;
mod watches;

pub use actor::{Engine, EngineConfig, EngineExit, StoppedEngine, Workers};
pub use bus::Publish;
pub use descriptors::reserve_descriptors;
pub use inbox::{AnswerFn, EngineGone, InboxSender, RequestMessage};
pub use loader::{Compose, Load, LoaderJobs, Plan};
pub use run_store::{RunStore, read_runs};
pub use systemd::{Notifier, passed_sockets, report_waiting, store_holder, take_stored_holder};
pub use upgrade::EngineHandoff;
