//! Reads and writes the pipes of all processes, their logs and the activity log, on threads of its own. One thread owns
//! the reactor; a log that hangs blocks only the thread that writes to it (see `hub.rs`).

mod activity;
mod activity_journal;
mod activity_queue;
mod ansi;
mod capture;
mod cleanup;
mod closed_logs;
mod encoded;
mod fields;
mod follow;
mod hub;
mod in_flight_log;
mod instance_io;
mod job;
mod journal;
mod journal_reader;
mod last_bytes;
mod late_lines;
mod line_form;
mod line_watch;
mod log_dates;
mod log_file;
pub mod manual;
mod memory_log;
mod message;
mod open_streams;
#[cfg(test)]
mod oracle_tests;
mod orders;
mod output_state;
mod own_stream;
mod pipe_reads;
mod protocol;
mod reactor;
mod read_buffer;
mod refusals;
mod sinks;
mod stalls;
mod stdin;
mod stream;
mod stream_handoff;
mod syslog;
mod syslog_server;
mod tail;
mod target_stats;
#[cfg(test)]
mod testing;
mod thread;

pub use activity::Activity;
pub use cleanup::AutoLogs;
pub use follow::{Chunk, Follower, LogFileId, log_modified};
pub use in_flight_log::{IN_FLIGHT_LOG_BYTES, InFlightError, RecoveredChunk, UnflushedChunk};
pub use journal_reader::{
    JOURNAL_READ_BYTES_MAX, JournalFollower, JournalSpan, follow_command, read_journal,
};
pub use log_dates::dated_log_files;
pub use message::{OutputCommand, OutputReport};
pub use output_state::{AdoptedStreams, InstanceState, OutputHandoff, OutputState};
pub use tail::{READ_BYTES_MAX, ReadError, WholeLog, read, tail};
pub use target_stats::{TargetStats, all_target_stats, target_stats};
pub use thread::{OutputHandle, OutputOptions, start};
