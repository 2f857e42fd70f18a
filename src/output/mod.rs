//! The data plane: every pipe and every sink, on its own thread.

mod activity;
mod ansi;
mod capture;
mod cleanup;
mod diary;
mod entries;
mod fields;
mod file;
mod follow;
mod handover;
mod intake;
mod journal;
mod ledger;
pub mod manual;
mod message;
#[cfg(test)]
mod oracle_tests;
mod prepare;
mod protocol;
mod reactor;
mod recall;
mod refusals;
mod run;
mod sink;
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
