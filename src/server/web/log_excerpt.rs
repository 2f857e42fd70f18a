//! The end of a log as the log pages show it.

use super::action_outcome::unexpected;
use crate::api::{Caller, Fault, FaultCode, LogRef, Permission, Request};
use crate::control;
use crate::output::{self, LogFileId, ReadError};
use crate::server::calls::log_parts::{self, LogSource};
use crate::server::http::connection::HttpConnection;
use crate::web::log_view::LogExcerpt;
use crate::web::styled_text::StyledText;
use crate::web::texts::{Language, Text};

/// Returns where a log is.
pub(super) async fn find_log(
    connection: &HttpConnection,
    caller: Caller,
    of: LogRef,
) -> Result<LogSource, Fault> {
    let grant = control::grant_for(&caller, Permission::ReadLogs)?;
    let control = &connection.shared.control;
    let reply = control.call(caller, grant, Request::LogFile(of)).await?;
    Ok(log_parts::log_source(reply))
}

/// Reads the last `limit` bytes of a log.
pub(super) async fn fetch_excerpt(
    connection: &HttpConnection,
    caller: Caller,
    of: LogRef,
    limit: u64,
) -> Result<LogExcerpt, Fault> {
    let source = find_log(connection, caller, of).await?;
    log_parts::read_blocking(move || read_excerpt(&source, limit)).await
}

fn read_excerpt(source: &LogSource, limit: u64) -> Result<LogExcerpt, Fault> {
    let path = match source {
        LogSource::Nowhere => return Err(FaultCode::NoFile.bare()),
        LogSource::File(path) => path,
        // The journal has no byte offset from which it could be followed.
        LogSource::Journal(of) => {
            let text = log_parts::read_journal_tail(of, limit)?;
            return Ok(LogExcerpt::message(&text));
        }
    };
    let length = i64::try_from(limit).unwrap_or(i64::MAX);
    let file = LogFileId::at(path);
    let (bytes, size, _) = output::tail(path, 0, length);
    let file = file.filter(|_| LogFileId::at(path) == file);
    if bytes.is_empty() {
        // Empty or unreadable: the other read function reports which.
        output::read(path, -1, 0).map_err(|error| match error {
            ReadError::NoFile => FaultCode::NoFile.bare(),
            ReadError::BadArguments => FaultCode::BadArguments.bare(),
            ReadError::Failed => FaultCode::Failed.bare(),
        })?;
    }
    Ok(LogExcerpt {
        text: StyledText::parse(&String::from_utf8_lossy(&bytes)),
        end: u64::try_from(size).ok(),
        file: file.map(|file| file.to_string()),
        modified: output::log_modified(path),
    })
}

/// What the page shows in place of the log of `name`.
pub(super) fn fault_message(fault: &Fault, name: &str, language: Language) -> String {
    match fault.code {
        FaultCode::NoFile => language.fill(Text::NoFileFor, &[&name]),
        _ => language.fill(Text::ErrorMessage, &[&unexpected(fault, language)]),
    }
}
