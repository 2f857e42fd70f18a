//! The fd holder: a small process that holds copies of descriptors, so that they survive the daemon. It does not
//! interpret them or their names, knows nothing about programs and logs, and decides nothing.
//!
//! It is the daemon's binary under another name, started by [`FdHolder::start`]. The daemon talks to it over a pair of
//! sockets, and the fd holder holds *both* ends: the pair lives as long as the fd holder, even if the daemon dies. A
//! new daemon gets the client's end again from a service manager's descriptor store ([`FdHolder::from_fd`]) or out of
//! the fd holder's own table ([`FdHolder::find`]).
//!
//! ```text
//! daemon → fd holder   HELLO    STORE name + descriptors    REMOVE name    LIST             BARRIER    QUIT
//! fd holder → daemon   WELCOME  (REFUSED name)            (REFUSED)    ITEM … ITEM END  DONE       –      UNKNOWN
//! ```
//!
//! One packet is one message. A STORE or REMOVE is answered only if it is refused; a BARRIER is answered when
//! everything before it is done. Each question has a number that its answers repeat, so that a client never mistakes
//! answers to a previous client's questions for its own.

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
