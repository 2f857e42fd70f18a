//! Reads the entries of a stream back from the journal, for streams without a log file.
//!
//! It runs journalctl with fixed arguments. The journal's file format has several versions and compressions, and a
//! mapped file that another process truncates can kill the daemon.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use super::ReadError;
use super::fields;
use crate::api::JournalMatch;
use crate::sys;

/// Maximum bytes of a stream that are read back.
pub const JOURNAL_READ_BYTES_MAX: usize = 1 << 20;
/// Maximum number of entries that are read back.
const LINES_MAX: usize = 10_000;
/// Time limit of journalctl.
const WAIT: Duration = Duration::from_secs(10);
/// Where journalctl is. PATH is not searched.
const READERS: [&str; 2] = ["/usr/bin/journalctl", "/bin/journalctl"];

/// Returns the last `count` bytes of the entries that match `of`, as lines; at most [`JOURNAL_READ_BYTES_MAX`]. Blocks
/// for ten seconds at most.
///
/// # Errors
/// `NoFile`: journalctl is not installed. `Failed`: it takes too long, or too many calls are running.
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
        // An entry has at least one byte, its newline.
        .arg(format!("--lines={}", count.min(LINES_MAX)))
        .args(matches(of));
    sys::output_of(&mut command, Stdio::null(), count, WAIT).map_err(|_| ReadError::Failed)
}

/// The journal fields that match the entries of a stream. Any user can send entries with our fields, but journald
/// itself sets `_UID`.
fn matches(of: &JournalMatch) -> [String; 4] {
    [
        format!("_UID={}", sys::effective_uid()),
        format!("{}={}", fields::GROUP, of.group),
        format!("{}={}", fields::PROCESS, of.process),
        format!("{}={}", fields::STREAM, of.channel.name()),
    ]
}

/// The command that follows a stream in the journal.
#[must_use]
pub fn follow_command(of: &JournalMatch) -> String {
    let [_, group, process, stream] = matches(of);
    format!("journalctl -f {group} {process} {stream}")
}
