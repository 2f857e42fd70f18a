//! The keeper: a small process that holds copies of descriptors, so that they outlive the daemon. What it holds and what
//! the names mean is the daemon's business; the keeper knows neither programs nor logs, and decides nothing.
//!
//! It is this binary under another name, started by [`Keeper::start`]. The daemon and it talk over a pair of sockets, and
//! the keeper holds *both* ends: the pair lives as long as the keeper, whoever else dies, and a new daemon comes by the
//! client's end again, from a service manager's descriptor store ([`Keeper::from_fd`]) or out of the keeper's own table
//! ([`Keeper::find`]).
//!
//! ```text
//! daemon → keeper   HELLO    PUT name + descriptors    DROP name    LIST             BARRIER    QUIT
//! keeper → daemon   WELCOME  (REFUSED name)            (REFUSED)    ITEM … ITEM END  DONE       –      UNKNOWN
//! ```
//!
//! One packet is one message. What is put or dropped is answered only if it was refused; a BARRIER is answered when all
//! before it is done. Each question carries a number that its answers repeat, so that a client never takes answers to its
//! predecessor's questions for its own.

mod client;
mod find;
mod kept;
mod serve;
mod setting;
mod vault;
mod wire;

pub use client::{Hello, Keeper, KeeperError, Started, Told};
pub use serve::run;
pub use vault::Vault;
pub use wire::{NAME, NAME_BYTES_MAX, PUT_DESCRIPTORS_MAX, Reason, VERSION};
