//! Where the cgroups of programs are, and what is done with the one of each process: made before its spawn, limited,
//! looked into and emptied after its end. It must not know why a process starts or stops.

mod bus;
mod hold;
mod home;
mod lodging;
mod message;
mod name;
mod scope;
mod seat;
mod thread;

pub use home::shortage;
pub use lodging::{
    Lodging, keeper_left_behind, process_left_behind, processes_left_behind, resume_holder,
};
pub use message::{Done, Job};
pub use name::name;
pub use seat::Seat;
pub use thread::{CgroupHandle, start};
