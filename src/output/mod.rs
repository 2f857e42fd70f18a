//! The data plane: every pipe and every sink, on threads of its own. One of them owns the reactor; a log that hangs holds
//! only the thread that writes to it (see `hub.rs`).

mod activity;
mod activity_queue;
mod ansi;
mod capture;
mod cleanup;
mod diary;
mod entries;
mod fields;
mod file;
mod finish;
mod follow;
mod handover;
mod hub;
mod intake;
mod job;
mod journal;
mod ledger;
pub mod manual;
mod message;
#[cfg(test)]
mod oracle_tests;
mod pipe_reads;
mod prepare;
mod protocol;
mod reactor;
mod recall;
mod refusals;
mod run;
mod sink;
mod stalls;
mod stdin;
mod stream;
mod succession;
mod syslog;
mod tail;
#[cfg(test)]
mod testing;
mod thread;

pub use activity::Activity;
pub use cleanup::AutoLogs;
pub use follow::{Chunk, Follower};
pub use handover::{Adoption, Estate, Remains};
pub use ledger::{LEDGER_BYTES, LedgerError, Recovered, Unsettled};
pub use message::{Command, Report};
pub use recall::{RECALL_BYTES_MAX, follow_command, recall};
pub use tail::{READ_BYTES_MAX, ReadError, read, tail};
pub use thread::{Options, OutputHandle, start};
