//! Manages the cgroups of programs: makes the cgroup of a process before its spawn, sets its limits, and examines and
//! empties it after the exit.

mod bus;
mod manager;
mod message;
mod name;
mod process_cgroup;
mod root;
mod scope;
mod scope_holder;
mod thread;

pub use manager::{CgroupManager, continue_holder, find_holder, find_orphan, list_orphans};
pub use message::{CgroupEmptied, CgroupJob};
pub use name::name;
pub use process_cgroup::ProcessCgroup;
pub use root::unavailable_because;
pub use thread::{CgroupHandle, start};
