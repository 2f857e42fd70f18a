//! Starts processes, on threads of its own: resolves a process's configuration into a plan of plain data, then clones
//! and executes.

mod bounds;
mod channel;
mod command;
mod env_files;
mod held_worker;
mod message;
mod owner;
mod plan;
mod sockets;
mod spawn_pool;
#[cfg(test)]
mod testing;
mod thread;
mod worker;

pub use channel::{NotifyChannel, ReadyPipe};
pub use message::{CommandJob, CommandStarted, SpawnAnswer, SpawnJob};
pub use plan::{SpawnBase, SpawnPlan};
pub use sockets::{SharedSocket, try_sockets};
pub use thread::{CommandFinder, CommandSender, SpawnHandle, SpawnOptions, start};
