//! A process's configuration → a plan of plain data → a process, on a thread of its own.

mod bounds;
mod channel;
mod command;
mod message;
mod plan;
mod sockets;
#[cfg(test)]
mod testing;
mod thread;

pub use channel::{Channel, ReadyPipe};
pub use message::{Done, Job};
pub use plan::{Base, Plan};
pub use sockets::{SharedSocket, try_sockets};
pub use thread::{SpawnHandle, start};
