//! Where the cgroups of programs are, and what is done with the one of each process: made before its spawn, limited,
//! looked into and emptied after its end. It must not know why a process starts or stops.

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
