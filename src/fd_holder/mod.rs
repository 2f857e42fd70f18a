//! The fd holder: a small process that holds copies of descriptors, so that they outlive the daemon. What it holds and what
//! the names mean is the daemon's business; the fd holder knows neither programs nor logs, and decides nothing.
//!
//! It is this binary under another name, started by [`FdHolder::start`]. The daemon and it talk over a pair of sockets, and
//! the fd holder holds *both* ends: the pair lives as long as the fd holder, whoever else dies, and a new daemon comes by the
//! client's end again, from a service manager's descriptor store ([`FdHolder::from_fd`]) or out of the fd holder's own table
//! ([`FdHolder::find`]).
//!
//! ```text
//! daemon → fd holder   HELLO    STORE name + descriptors    REMOVE name    LIST             BARRIER    QUIT
//! fd holder → daemon   WELCOME  (REFUSED name)            (REFUSED)    ITEM … ITEM END  DONE       –      UNKNOWN
//! ```
//!
//! One packet is one message. What is put or dropped is answered only if it was refused; a BARRIER is answered when all
//! before it is done. Each question carries a number that its answers repeat, so that a client never takes answers to its
//! predecessor's questions for its own.

mod client;
mod fd_store;
mod fd_table;
mod find;
mod process_setup;
mod serve;
mod wire;

pub use client::{FdHolder, FdHolderError, Hello, HolderEvent, StartedFdHolder};
pub use fd_store::FdStore;
pub use serve::run;
pub use wire::{NAME, NAME_BYTES_MAX, OLD_NAME, RefusalReason, STORE_DESCRIPTORS_MAX, VERSION};
