//! What one daemon leaves to the next, and the ways to pass it on. All ways lead to the same tree:
//!
//! ```text
//! Handoff                  plain data, with descriptors by name beside it
//! ├ engine: EngineState    the core's Snapshot, PIDs, late reports, sockets of FastCGI programs
//! ├ output: OutputState    the streams of each instance, chunks that may not be in a log
//! ├ fds                    pipes, pidfds, notify sockets, FastCGI sockets
//! └ config, limits, cwd, sockets of the daemon's servers
//!
//! upgrade    examine ─agrees→ exec ────────────▶ exec::read_inherited ──┐
//! restart    detach ─▶ fd holder ──────────────▶ recovery ─ Detached ───┼▶ Handoff ─▶ RestoredEngine
//! kill       Checkpoint + records ─▶ fd holder ▶ recovery ─ Killed ─────┘
//! no state   cgroups, names of descriptors ────▶ orphan_adoption ──────────────────▶ RestoredEngine
//! ```
//!
//! Each room below writes down and restores its own part: `core` its snapshot and records, `output` its streams and
//! in-flight logs, `spawn` its sockets. This room joins them and knows how they travel.

mod checkpoint;
mod detach;
mod examine;
mod exec;
#[cfg(test)]
mod golden_tests;
mod orphan_adoption;
mod recovery;
mod restored;
mod state;
mod written;

pub use checkpoint::CheckpointWriter;
pub use detach::store_handoff;
pub use examine::{QUESTION, answer_question, ask_successor};
pub use exec::{exec_successor, own_program, read_inherited};
pub use orphan_adoption::{OrphanAdoption, find_orphans};
pub use recovery::{
    PartialRecovery, PreviousEnd, RecoveredState, RecoverySource, find_source, new_in_flight_log,
};
pub use restored::RestoredEngine;
pub use state::{EngineState, Handoff, PassedSocket, PendingReport, SocketFileName};
