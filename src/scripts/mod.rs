//! Runs the scripts of programs on a thread of its own: hooks, health checks and actions. Commands are started by the
//! spawner threads, as the program's user and in its cgroup. Nothing here can delay the engine or another script.

mod command;
mod request;
mod thread;

pub use thread::{ScriptsHandle, start};
