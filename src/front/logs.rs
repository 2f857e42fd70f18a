//! Parts of logs as answers. Files are read on other threads, since a file system may stall.

use std::path::Path;
use std::sync::Arc;

use super::budget::Client;
use super::xmlrpc::apart;
use crate::api::xmlrpc::Value;
use crate::api::{Fault, FaultCode, JournalOf, Reply};
use crate::output::{self, READ_BYTES_MAX, ReadError};

/// The longest part of a log that a client who is not trusted gets at once, in bytes.
const READ_BYTES_OTHERS_MAX: u64 = 16 << 20;

/// Where a log is read.
#[derive(Debug, Clone)]
pub(super) enum Source {
    /// It is kept nowhere.
    Nowhere,
    File(Arc<Path>),
    Journal(JournalOf),
}

/// What the engine told.
pub(super) fn source(reply: Reply) -> Source {
    match reply {
        Reply::LogFile(Some(path)) => Source::File(path),
        Reply::Journal(of) => Source::Journal(of),
        _ => Source::Nowhere,
    }
}

/// The last bytes of what is in the journal only.
pub(super) fn recalled(of: &JournalOf, count: u64) -> Result<String, Fault> {
    match output::recall(of, count) {
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

/// readLog and its like of what is in the journal only: it has an end, but no bytes that could be counted from its
/// beginning, for that is vacuumed away.
fn read_journal(of: &JournalOf, offset: i64, length: i64) -> Result<String, Fault> {
    if length < 0 || (offset < 0 && length != 0) {
        return Err(FaultCode::BadArguments.bare());
    }
    if offset >= 0 {
        let text = "only the end of a journal log can be read (use a negative offset)";
        return Err(FaultCode::Failed.of(text.to_owned()));
    }
    recalled(of, offset.unsigned_abs())
}

/// Bytes as text, without a second copy where they are UTF-8.
fn text_of(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes)
        .unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

/// readLog and its like.
// Differs: bytes that are no UTF-8 are replaced; Supervisor answers 500.
pub(super) async fn read(
    source: Source,
    offset: i64,
    length: i64,
    most: u64,
) -> Result<Value, Fault> {
    let path = match source {
        Source::Nowhere => return Err(FaultCode::NoFile.bare()),
        Source::File(path) => path,
        Source::Journal(of) => {
            return apart(move || read_journal(&of, offset, length))
                .await
                .unwrap_or_else(|| Err(FaultCode::Failed.bare()))
                .map(Value::Text);
        }
    };
    let shown = path.to_string_lossy().into_owned();
    let read = apart(move || {
        fits(&path, offset, length, most)?;
        match output::read(&path, offset, length) {
            Ok(bytes) => Ok(text_of(bytes)),
            Err(ReadError::BadArguments) => Err(FaultCode::BadArguments.bare()),
            Err(ReadError::NoFile) => Err(FaultCode::NoFile.of(shown)),
            Err(ReadError::Failed) => Err(FaultCode::Failed.bare()),
        }
    });
    read.await
        .unwrap_or_else(|| Err(FaultCode::Failed.bare()))
        .map(Value::Text)
}

/// tailProcessStdoutLog and its like.
pub(super) async fn tail(
    source: Source,
    offset: i64,
    length: i64,
    most: u64,
) -> Result<Value, Fault> {
    let answer = |text: String, size: i64, overflow: bool| {
        Value::Array(vec![
            Value::Text(text),
            Value::Int(size),
            Value::Bool(overflow),
        ])
    };
    let path = match source {
        Source::Nowhere => return Ok(answer(String::new(), 0, false)),
        Source::File(path) => path,
        Source::Journal(of) => {
            let count = u64::try_from(length).unwrap_or(0);
            let text = apart(move || recalled(&of, count))
                .await
                .unwrap_or_else(|| Err(FaultCode::Failed.bare()))?;
            let size = i64::try_from(text.len()).unwrap_or(i64::MAX);
            return Ok(answer(text, size, false));
        }
    };
    let read = apart(move || {
        fits(&path, 0, length, most)?;
        let (bytes, size, overflow) = output::tail(&path, offset, length);
        Ok((text_of(bytes), size, overflow))
    });
    read.await
        .unwrap_or_else(|| Err(FaultCode::Failed.bare()))
        .map(|(text, size, overflow)| answer(text, size, overflow))
}

/// The longest part of a log that this client gets.
pub(super) fn most_for(client: Client) -> u64 {
    match client.is_trusted() {
        true => READ_BYTES_MAX,
        false => READ_BYTES_OTHERS_MAX,
    }
}

/// Refuses parts beyond `most` bytes, of which a client could not know that they were cut.
// Differs: Supervisor reads any amount into memory, and does nothing else meanwhile.
fn fits(path: &Path, offset: i64, length: i64, most: u64) -> Result<(), Fault> {
    // A file that is not there, and combinations that make no sense, are somebody else's faults.
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
    fn of_a_log_in_the_journal_only_the_end_can_be_read() {
        let of = JournalOf {
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
