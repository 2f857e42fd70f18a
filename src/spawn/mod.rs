//! A process's configuration → a plan of plain data → a process, on threads of its own.

mod aside;
mod bounds;
mod channel;
mod command;
mod message;
mod owner;
mod plan;
mod pool;
mod sockets;
#[cfg(test)]
mod testing;
mod thread;
mod worker;

pub use channel::{Channel, ReadyPipe};
pub use message::{Done, Job};
pub use plan::{Base, Plan};
pub use sockets::{SharedSocket, try_sockets};
pub use thread::{Options, SpawnHandle, start};
