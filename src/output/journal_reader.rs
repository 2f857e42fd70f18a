//! Reads back from the journal what a stream wrote to it, for logs that are nowhere else.
//!
//! By the system's own reader, run with fixed arguments: its files are in a format with several versions and
//! compressions, and mapping files that others cut can end the daemon.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::ReadError;
use super::fields;
use crate::api::JournalMatch;
use crate::sys;

/// Bytes of a stream that are read back at most.
pub const JOURNAL_READ_BYTES_MAX: usize = 1 << 20;
/// Entries that are read back at most.
const LINES_MAX: usize = 10_000;
/// How long that may take.
const WAIT: Duration = Duration::from_secs(10);
/// Where the reader is; no search path decides that.
const READERS: [&str; 2] = ["/usr/bin/journalctl", "/bin/journalctl"];

/// The last `count` bytes of what `of` wrote, as lines; at most [`RECALL_BYTES_MAX`]. Blocks, for ten seconds at most.
///
/// # Errors
/// `NoFile`: the reader is not installed. `Failed`: it takes too long, or too many read already.
pub fn read_journal(of: &JournalMatch, count: u64) -> Result<Vec<u8>, ReadError> {
    let count = usize::try_from(count)
        .unwrap_or(usize::MAX)
        .min(JOURNAL_READ_BYTES_MAX);
    if count == 0 {
        return Ok(Vec::new());
    }
    let reader = READERS
        .into_iter()
        .find(|path| Path::new(path).exists())
        .ok_or(ReadError::NoFile)?;
    let mut command = Command::new(reader);
    command
        .env_clear()
        .current_dir("/")
        .args(["--quiet", "--no-pager", "--all", "--output=cat"])
        // An entry is a byte at least, its newline.
        .arg(format!("--lines={}", count.min(LINES_MAX)))
        .args(matches(of));
    sys::output_of(&mut command, Stdio::null(), count, WAIT).map_err(|_| ReadError::Failed)
}

/// What tells the entries of a stream. Anybody may send entries with fields like ours; the sender's user is journald's
/// own word.
fn matches(of: &JournalMatch) -> [String; 4] {
    [
        format!("_UID={}", sys::effective_uid()),
        format!("{}={}", fields::GROUP, of.group),
        format!("{}={}", fields::PROCESS, of.process),
        format!("{}={}", fields::STREAM, of.channel.name()),
    ]
}

/// What to type to follow it.
#[must_use]
pub fn follow_command(of: &JournalMatch) -> String {
    let [_, group, process, stream] = matches(of);
    format!("journalctl -f {group} {process} {stream}")
}
