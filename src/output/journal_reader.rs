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
/// Maximum number of bytes of one poll.
const FOLLOW_BYTES: usize = 64 << 10;
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
    let mut command = journalctl()?;
    command
        // An entry has at least one byte, its newline.
        .arg(format!("--lines={}", count.min(LINES_MAX)))
        .args(matches(of));
    sys::output_of(&mut command, Stdio::null(), count, WAIT).map_err(|_| ReadError::Failed)
}

/// journalctl with the arguments that all uses have.
fn journalctl() -> Result<Command, ReadError> {
    let reader = READERS
        .into_iter()
        .find(|path| Path::new(path).exists())
        .ok_or(ReadError::NoFile)?;
    let mut command = Command::new(reader);
    command
        .env_clear()
        .current_dir("/")
        .args(["--quiet", "--no-pager", "--all", "--output=cat"]);
    Ok(command)
}

/// Which entries of a stream a reader gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalSpan {
    /// Entries of this time and later, in seconds since the epoch. `None`: the last [`JournalSpan::lines`].
    pub since: Option<u64>,
    /// Number of entries; at most 10,000.
    pub lines: usize,
    /// Whether later entries follow.
    pub follows: bool,
}

/// The entries of a stream, and later ones as they are written. Dropping it ends its journalctl.
#[derive(Debug)]
pub struct JournalFollower(sys::FollowedHelper);

impl JournalFollower {
    /// Starts to read.
    ///
    /// # Errors
    /// `NoFile`: journalctl is not installed. `Failed`: too many clients follow the journal.
    pub fn open(of: &JournalMatch, span: JournalSpan) -> Result<Self, ReadError> {
        let mut command = journalctl()?;
        command.args(span.arguments()).args(matches(of));
        let helper = sys::FollowedHelper::start(&mut command);
        helper.map(Self).map_err(|_| ReadError::Failed)
    }

    /// Returns new bytes without waiting. `None`: the end.
    ///
    /// # Errors
    /// As read(2).
    pub fn poll(&mut self) -> std::io::Result<Option<Vec<u8>>> {
        self.0.read_available(FOLLOW_BYTES)
    }
}

impl JournalSpan {
    fn arguments(self) -> Vec<String> {
        let mut arguments = vec![match self.since {
            Some(since) => format!("--since=@{since}"),
            None => format!("--lines={}", self.lines.min(LINES_MAX)),
        }];
        if self.follows {
            // With --follow, journalctl shows only the last ten lines by itself.
            arguments.push("--follow".to_owned());
            if self.since.is_some() {
                arguments.push(format!("--lines={LINES_MAX}"));
            }
        }
        arguments
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_become_arguments() {
        let span = |since, lines, follows| {
            let span = JournalSpan {
                since,
                lines,
                follows,
            };
            span.arguments().join(" ")
        };
        assert_eq!(span(None, 5, false), "--lines=5");
        assert_eq!(span(None, usize::MAX, true), "--lines=10000 --follow");
        assert_eq!(span(Some(9), 5, false), "--since=@9");
        assert_eq!(span(Some(9), 5, true), "--since=@9 --follow --lines=10000");
    }
}
