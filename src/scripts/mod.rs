//! Runs the scripts of programs on a thread of its own: hooks, health checks and actions. Commands are started by the
//! spawner threads, as the program's user and in its cgroup; requests over HTTPS are made by the agent. Nothing here can delay the engine or another script.

mod command;
mod request;
mod secure_request;
mod thread;

pub use thread::{ScriptsHandle, start};
