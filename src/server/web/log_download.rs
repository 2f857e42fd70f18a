//! Whole logs as files: `/logfile?processname=NAME&channel=STREAM` and `/mainlogfile`. Supervisor does not have them.

use std::sync::Arc;

use hyper::header;
use hyper::{Method, StatusCode};
use tokio::sync::mpsc;

use super::log_excerpt::find_log;
use super::page_response::protection_headers;
use crate::api::{Caller, Fault, FaultCode, LogRef};
use crate::domain::Channel;
use crate::http_server::blocking_pool::run_blocking;
use crate::http_server::budget::QuotaPermit;
use crate::http_server::percent_encoding::url_quoted;
use crate::http_server::response::{HttpBody, HttpResponse};
use crate::output::{ReadError, WholeLog};
use crate::server::calls::log_parts::{self, LogSource};
use crate::server::http::connection::HttpConnection;
use crate::server::http::open_stream::OpenStream;
use crate::server::http::response::HandlerResponse;

/// Maximum number of bytes of a log that is only in the journal.
const JOURNAL_BYTES_MAX: u64 = 16 << 20;
/// Maximum length of a file name without its ending, in bytes.
const NAME_MAX: usize = 200;

/// Answers with a log as it is in its file, with its escape sequences. What is appended meanwhile is left out.
pub(super) async fn download_log(
    connection: &Arc<HttpConnection>,
    caller: Caller,
    method: &Method,
    of: LogRef,
) -> HandlerResponse {
    let name = file_name(&of);
    let source = match find_log(connection, caller, of).await {
        Ok(source) => source,
        Err(fault) => return refusal(&fault),
    };
    let path = match source {
        LogSource::Nowhere => return HandlerResponse::Error(StatusCode::NOT_FOUND),
        LogSource::File(path) => path,
        LogSource::Journal(of) => {
            let read = move || log_parts::read_journal_tail(&of, JOURNAL_BYTES_MAX);
            return match log_parts::read_blocking(read).await {
                Ok(text) => attachment(&name, None, HttpBody::Whole(text.into())),
                Err(fault) => refusal(&fault),
            };
        }
    };
    let Some(place) = connection.shared.followers.acquire(connection.guard.client) else {
        return HandlerResponse::Error(StatusCode::SERVICE_UNAVAILABLE);
    };
    let log = match run_blocking(move || WholeLog::open(&path)).await {
        Some(Ok(log)) => log,
        Some(Err(ReadError::NoFile)) => return HandlerResponse::Error(StatusCode::NOT_FOUND),
        Some(Err(_)) | None => return HandlerResponse::Error(StatusCode::INTERNAL_SERVER_ERROR),
    };
    let size = log.size();
    if *method == Method::HEAD {
        return attachment(&name, Some(size), HttpBody::None(None));
    }
    // The channel holds one part, so that the log is read no faster than the client takes it.
    let (sender, parts) = mpsc::channel(1);
    tokio::spawn(send_parts(connection.clone(), log, sender, place));
    attachment(&name, Some(size), HttpBody::Growing(parts))
}

/// Sends the log. If it became shorter meanwhile, the body ends before the promised length, and the client notices.
async fn send_parts(
    connection: Arc<HttpConnection>,
    mut log: WholeLog,
    sender: mpsc::Sender<hyper::body::Bytes>,
    _place: QuotaPermit,
) {
    let mut stream = OpenStream::new(connection, sender);
    loop {
        let read = run_blocking(move || {
            let part = log.next_part();
            (log, part)
        });
        let Some((same, Ok(part))) = read.await else {
            return;
        };
        log = same;
        if part.is_empty() || !stream.send(part).await {
            return;
        }
    }
}

fn refusal(fault: &Fault) -> HandlerResponse {
    HandlerResponse::Error(match fault.code {
        FaultCode::NoFile | FaultCode::BadName => StatusCode::NOT_FOUND,
        FaultCode::ShutdownState => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::from_u16(fault.status()).unwrap_or(StatusCode::FORBIDDEN),
    })
}

fn attachment(name: &str, size: Option<u64>, body: HttpBody) -> HandlerResponse {
    let mut headers = vec![
        (header::CACHE_CONTROL, "no-store".to_owned()),
        (header::CONTENT_DISPOSITION, disposition(name)),
    ];
    headers.extend(size.map(|size| (header::CONTENT_LENGTH, size.to_string())));
    headers.extend(protection_headers());
    HandlerResponse::Made(Box::new(HttpResponse {
        status: StatusCode::OK,
        content_type: "text/plain;charset=utf-8",
        headers,
        body,
    }))
}

/// The name of the file that the browser writes, without its ending.
fn file_name(of: &LogRef) -> String {
    match of {
        LogRef::Daemon => "supervisord".to_owned(),
        LogRef::Process(name, channel) => format!("{name}-{}", channel.name()),
    }
}

/// The header that makes a browser write a file.
///
/// # Source
/// RFC 6266: a name for old clients, and the same in UTF-8.
fn disposition(name: &str) -> String {
    let mut end = name.len().min(NAME_MAX);
    while !name.is_char_boundary(end) {
        end -= 1;
    }
    let name = name[..end].replace(['/', '\\'], "_");
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let plain: String = name
        .chars()
        .map(|c| if is_plain(c) { c } else { '_' })
        .collect();
    let quoted = url_quoted(&name);
    format!("attachment; filename=\"{plain}.log\"; filename*=UTF-8''{quoted}.log")
}

/// The log that an address names. `None`: it names no process.
pub(super) fn log_of(name: Option<&str>, channel: Option<&str>) -> Option<LogRef> {
    let channel = match channel {
        Some("stderr") => Channel::Stderr,
        Some(_) | None => Channel::Stdout,
    };
    Some(LogRef::Process(name?.to_owned(), channel))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_cannot_leave_their_header() {
        for (name, expected) in [
            (
                "web-stdout",
                "filename=\"web-stdout.log\"; filename*=UTF-8''web-stdout.log",
            ),
            (
                "g:p \"1\"",
                "filename=\"g_p__1_.log\"; filename*=UTF-8''g%3Ap%20%221%22.log",
            ),
            (
                "../../é\r\nX: y",
                "filename=\".._..____X__y.log\"; filename*=UTF-8''.._.._%C3%A9%0D%0AX%3A%20y.log",
            ),
        ] {
            assert_eq!(disposition(name), format!("attachment; {expected}"));
        }
        assert!(disposition(&"é".repeat(1000)).len() < 1500);
    }
}
