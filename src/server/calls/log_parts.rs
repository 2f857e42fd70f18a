//! Reads parts of logs for responses. Files are read on helper threads, because a file system may stall.

use std::path::Path;
use std::sync::Arc;

use crate::api::{Fault, FaultCode, JournalMatch, Reply};
use crate::http_server::blocking_pool::run_blocking;
use crate::http_server::budget::BudgetClient;
use crate::output::{self, READ_BYTES_MAX, ReadError};

/// Maximum length of a log part for an untrusted client, in bytes.
const READ_BYTES_OTHERS_MAX: u64 = 16 << 20;

/// Where a log is stored.
#[derive(Debug, Clone)]
pub(in crate::server) enum LogSource {
    /// The log is not stored.
    Nowhere,
    File(Arc<Path>),
    Journal(JournalMatch),
}

/// The end of a log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::server) struct LogTail {
    pub(in crate::server) text: String,
    /// The length of the whole log, in bytes.
    pub(in crate::server) size: i64,
    /// Whether the log has more than the caller asked for.
    pub(in crate::server) overflow: bool,
}

/// The source in the engine's reply.
pub(in crate::server) fn log_source(reply: Reply) -> LogSource {
    match reply {
        Reply::LogFile(Some(path)) => LogSource::File(path),
        Reply::Journal(of) => LogSource::Journal(of),
        _ => LogSource::Nowhere,
    }
}

/// Reads on a helper thread.
///
/// # Errors
/// Those of `read`; FAILED if it panicked.
pub(in crate::server) async fn read_blocking<T: Send + 'static>(
    read: impl FnOnce() -> Result<T, Fault> + Send + 'static,
) -> Result<T, Fault> {
    run_blocking(read)
        .await
        .unwrap_or_else(|| Err(FaultCode::Failed.bare()))
}

/// Reads the last `count` bytes of a log that is only in the journal.
pub(in crate::server) fn read_journal_tail(of: &JournalMatch, count: u64) -> Result<String, Fault> {
    match output::read_journal(of, count) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(ReadError::NoFile) => {
            Err(FaultCode::Failed
                .of("cannot read the journal: journalctl is not installed".to_owned()))
        }
        Err(ReadError::BadArguments | ReadError::Failed) => {
            Err(FaultCode::Failed.of("cannot read the journal: timeout".to_owned()))
        }
    }
}

/// `readLog` and its variants for a log that is only in the journal. The journal discards old entries, so offsets
/// cannot be counted from its beginning.
fn read_journal(of: &JournalMatch, offset: i64, length: i64) -> Result<String, Fault> {
    if length < 0 || (offset < 0 && length != 0) {
        return Err(FaultCode::BadArguments.bare());
    }
    if offset >= 0 {
        let text = "only the end of a journal log can be read (use a negative offset)";
        return Err(FaultCode::Failed.of(text.to_owned()));
    }
    read_journal_tail(of, offset.unsigned_abs())
}

/// Converts bytes to a string. Valid UTF-8 is not copied.
fn lossy_text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// `readLog` and its variants.
// Differs: invalid UTF-8 is replaced. Supervisor answers 500.
pub(in crate::server) async fn read_log(
    source: LogSource,
    offset: i64,
    length: i64,
    most: u64,
) -> Result<String, Fault> {
    let path = match source {
        LogSource::Nowhere => return Err(FaultCode::NoFile.bare()),
        LogSource::File(path) => path,
        LogSource::Journal(of) => {
            return read_blocking(move || read_journal(&of, offset, length)).await;
        }
    };
    let shown = path.to_string_lossy().into_owned();
    read_blocking(move || {
        check_read_size(&path, offset, length, most)?;
        match output::read(&path, offset, length) {
            Ok(bytes) => Ok(lossy_text(bytes)),
            Err(ReadError::BadArguments) => Err(FaultCode::BadArguments.bare()),
            Err(ReadError::NoFile) => Err(FaultCode::NoFile.of(shown)),
            Err(ReadError::Failed) => Err(FaultCode::Failed.bare()),
        }
    })
    .await
}

/// `tailProcessStdoutLog` and its variants.
pub(in crate::server) async fn tail_log(
    source: LogSource,
    offset: i64,
    length: i64,
    most: u64,
) -> Result<LogTail, Fault> {
    let path = match source {
        LogSource::Nowhere => return Ok(LogTail::default()),
        LogSource::File(path) => path,
        LogSource::Journal(of) => {
            let count = u64::try_from(length).unwrap_or(0);
            let text = read_blocking(move || read_journal_tail(&of, count)).await?;
            let size = i64::try_from(text.len()).unwrap_or(i64::MAX);
            return Ok(LogTail {
                text,
                size,
                overflow: false,
            });
        }
    };
    read_blocking(move || {
        check_read_size(&path, 0, length, most)?;
        let (bytes, size, overflow) = output::tail(&path, offset, length);
        Ok(LogTail {
            text: lossy_text(bytes),
            size,
            overflow,
        })
    })
    .await
}

/// Maximum length of a log part for this client, in bytes.
pub(in crate::server) fn read_limit(client: BudgetClient) -> u64 {
    match client.is_trusted() {
        true => READ_BYTES_MAX,
        false => READ_BYTES_OTHERS_MAX,
    }
}

/// Refuses parts longer than `most` bytes. The client could not detect that they were truncated.
// Differs: Supervisor reads any amount into memory and blocks meanwhile.
fn check_read_size(path: &Path, offset: i64, length: i64, most: u64) -> Result<(), Fault> {
    // The read itself reports a missing file and invalid arguments.
    let Ok(size) = std::fs::metadata(path).map(|found| found.len()) else {
        return Ok(());
    };
    let wanted = match (u64::try_from(offset), u64::try_from(length)) {
        (Ok(offset), Ok(0)) => size.saturating_sub(offset),
        (Err(_), Ok(0)) => size.min(offset.unsigned_abs()),
        (_, Ok(length)) => size.min(length),
        (_, Err(_)) => 0,
    };
    if wanted > most {
        let text = format!("more than {most} bytes requested (read the log in parts)");
        return Err(FaultCode::Failed.of(text));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Channel, GroupName, ProcessName};

    #[test]
    fn only_the_end_of_a_journal_log_can_be_read() {
        let of = JournalMatch {
            group: GroupName::parse("no-such-group").expect("valid"),
            process: ProcessName::parse("x").expect("valid"),
            channel: Channel::Stdout,
        };
        for (offset, length, code) in [
            (0, 0, FaultCode::Failed),
            (5, 10, FaultCode::Failed),
            (0, -1, FaultCode::BadArguments),
            (-5, 10, FaultCode::BadArguments),
        ] {
            let fault = read_journal(&of, offset, length).expect_err("refused");
            assert_eq!(fault.code, code, "({offset}, {length})");
        }
        let fault = read_journal(&of, 0, 0).expect_err("refused").to_string();
        assert!(fault.contains("use a negative offset"), "{fault}");
    }
}
