//! Logs and configuration files of programs. Only files that the configuration names are read.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use hyper::http::request::Parts;
use hyper::{StatusCode, header};

use super::reply::{fault_response, headers, json_error, refusal, text_response};
use crate::api::{Caller, Fault, FaultCode, LogRef, Permission, Reply, Request};
use crate::control;
use crate::domain::Channel;
use crate::http_server::percent_encoding::url_quoted;
use crate::output::{self, ReadError};
use crate::server::calls::log_parts::{self, LogSource, log_source, read_blocking, read_limit};
use crate::server::http::connection::HttpConnection;
use crate::server::http::logtail;
use crate::server::http::response::{HandlerResponse, custom_response};
use crate::server::web::render_file_list;
use crate::sys;

/// Number of bytes of a log without `length`.
const LOG_BYTES: i64 = 64 << 10;
/// Maximum size of a configuration file, in bytes.
const CONF_BYTES_MAX: usize = 1 << 20;
/// Maximum number of files in a list.
const FILES_MAX: usize = 1000;
/// Maximum number of entries of a directory that are looked at.
const ENTRIES_MAX: usize = 100_000;

/// Which part of a log a client asks for: `?offset=…&length=…`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct LogPart {
    offset: i64,
    length: i64,
}

/// Reads the query. `None`: a number is wrong.
fn log_part(head: &Parts) -> Option<LogPart> {
    let number = |name| match query_value(head, name) {
        None => Some(None),
        Some(text) => text.parse::<i64>().ok().map(Some),
    };
    let (offset, length) = (number("offset")?, number("length")?);
    match (offset, length) {
        (_, Some(length)) if length <= 0 => None,
        (Some(offset), length) if offset >= 0 => Some(LogPart {
            offset,
            length: length.unwrap_or(LOG_BYTES),
        }),
        // From the end, there is no length.
        (Some(_), Some(_)) => None,
        (Some(offset), None) => Some(LogPart { offset, length: 0 }),
        (None, length) => Some(LogPart {
            offset: -length.unwrap_or(LOG_BYTES),
            length: 0,
        }),
    }
}

fn query_value<'a>(head: &'a Parts, name: &str) -> Option<&'a str> {
    let mut pairs = head.uri.query()?.split('&');
    pairs.find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

/// Returns where a log of a process is.
async fn find_log(
    connection: &HttpConnection,
    caller: &Caller,
    name: &str,
    channel: Channel,
) -> Result<LogSource, HandlerResponse> {
    let grant =
        control::grant_for(caller, Permission::ReadLogs).map_err(|fault| refusal(&fault))?;
    let request = Request::LogFile(LogRef::Process(name.to_owned(), channel));
    let reply = connection
        .shared
        .control
        .call(caller.clone(), grant, request);
    match reply.await {
        Ok(reply) => Ok(log_source(reply)),
        Err(fault) => Err(fault_response(&fault)),
    }
}

/// Answers `/program/log/…`: a part of the log, or with `?follow=1` the log as it grows.
// Differs: the Go project answers with the whole log, and with an empty one for an unknown program.
pub(super) async fn program_log(
    connection: &Arc<HttpConnection>,
    caller: Caller,
    head: &Parts,
    name: &str,
    channel: Channel,
) -> HandlerResponse {
    let source = match find_log(connection, &caller, name, channel).await {
        Ok(source) => source,
        Err(answer) => return answer,
    };
    if query_value(head, "follow") == Some("1") && head.method == hyper::Method::GET {
        let word = match channel {
            Channel::Stdout => "stdout",
            Channel::Stderr => "stderr",
        };
        let path = format!("/logtail/{name}/{word}");
        return logtail::follow_process_log(connection, caller, head, &path).await;
    }
    let Some(LogPart { offset, length }) = log_part(head) else {
        return json_error(
            StatusCode::BAD_REQUEST,
            "length must be positive, and a negative offset has no length",
        );
    };
    let most = read_limit(connection.guard.client);
    match log_parts::read_log(source, offset, length, most).await {
        Ok(text) => text_response(StatusCode::OK, text),
        Err(fault) => fault_response(&fault),
    }
}

/// Answers `/log/PROGRAM` with the address of the list.
pub(super) fn log_directory(name: &str) -> HandlerResponse {
    // Relative, for proxies that serve this server below a path of their own.
    let location = format!("{}/", url_quoted(name));
    let mut headers = headers();
    headers.push((header::LOCATION, location));
    custom_response(StatusCode::MOVED_PERMANENTLY, "text/plain", headers, "")
}

/// Answers `/log/PROGRAM/` with the log files of the process and their backups.
// Differs: the Go project lists and serves the whole directory.
pub(super) async fn log_files(
    connection: &HttpConnection,
    caller: &Caller,
    name: &str,
) -> HandlerResponse {
    let files = match own_log_files(connection, caller, name).await {
        Ok(files) => files,
        Err(answer) => return answer,
    };
    let text = render_file_list(files.iter().map(|(file, _)| file.as_str()));
    custom_response(StatusCode::OK, "text/html;charset=utf-8", headers(), text)
}

/// Answers `/log/PROGRAM/FILE` with a part of the file.
pub(super) async fn log_file(
    connection: &HttpConnection,
    caller: &Caller,
    head: &Parts,
    name: &str,
    file: &str,
) -> HandlerResponse {
    let files = match own_log_files(connection, caller, name).await {
        Ok(files) => files,
        Err(answer) => return answer,
    };
    let Some((file, path)) = files.into_iter().find(|(known, _)| known == file) else {
        return json_error(StatusCode::NOT_FOUND, "the process has no such log file");
    };
    let Some(LogPart { offset, length }) = log_part(head) else {
        return json_error(
            StatusCode::BAD_REQUEST,
            "length must be positive, and a negative offset has no length",
        );
    };
    let most = read_limit(connection.guard.client);
    if length.max(offset.saturating_neg()).unsigned_abs() > most {
        let why = format!("more than {most} bytes requested (read the log in parts)");
        return json_error(StatusCode::BAD_REQUEST, &why);
    }
    let read = read_blocking(move || {
        output::read(&path, offset, length).map_err(|error| match error {
            ReadError::NoFile => FaultCode::NoFile.bare(),
            ReadError::BadArguments => FaultCode::BadArguments.bare(),
            ReadError::Failed => FaultCode::Failed.bare(),
        })
    });
    let kind = match file.ends_with(".gz") {
        true => "application/gzip",
        false => "text/plain;charset=utf-8",
    };
    match read.await {
        Ok(bytes) => custom_response(StatusCode::OK, kind, headers(), bytes),
        Err(fault) => fault_response(&fault),
    }
}

/// The names and paths of the log files of a process that exist.
async fn own_log_files(
    connection: &HttpConnection,
    caller: &Caller,
    name: &str,
) -> Result<Vec<(String, PathBuf)>, HandlerResponse> {
    let mut logs: Vec<Arc<Path>> = Vec::new();
    for channel in [Channel::Stdout, Channel::Stderr] {
        match find_log(connection, caller, name, channel).await? {
            LogSource::File(path) if !logs.contains(&path) => logs.push(path),
            LogSource::File(_) | LogSource::Journal(_) | LogSource::Nowhere => {}
        }
    }
    let listed = read_blocking(move || {
        let mut files: Vec<(String, PathBuf)> = Vec::new();
        for log in &logs {
            files.extend(files_of(log));
        }
        files.sort();
        files.dedup();
        files.truncate(FILES_MAX);
        Ok(files)
    });
    listed.await.map_err(|fault: Fault| fault_response(&fault))
}

/// The regular files that are the log or its backups. The name of a file whose directory has a date begins with that date.
fn files_of(log: &Path) -> Vec<(String, PathBuf)> {
    if let Some(files) = output::dated_log_files(log) {
        return files;
    }
    let (Some(directory), Some(base)) =
        (log.parent(), log.file_name().and_then(|name| name.to_str()))
    else {
        return Vec::new();
    };
    let Ok(entries) = std::fs::read_dir(directory) else {
        return Vec::new();
    };
    entries
        .take(ENTRIES_MAX)
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| is_of_log(name, base))
        .map(|name| {
            let path = directory.join(&name);
            (name, path)
        })
        .collect()
}

/// Whether a file is the log `base` or one of its backups: `base.1`, `base.2026-11-30`, `base.2026-11-30.1.gz`.
fn is_of_log(name: &str, base: &str) -> bool {
    let is_date = |c: char| c.is_ascii_digit() || matches!(c, '-' | '_');
    let Some(rest) = name.strip_prefix(base) else {
        return false;
    };
    if rest.is_empty() {
        return true;
    }
    let rest = rest.strip_suffix(".gz").unwrap_or(rest);
    let numbers = rest.strip_prefix('.').unwrap_or_default();
    !numbers.is_empty()
        && numbers
            .split('.')
            .all(|part| part.starts_with(|c: char| c.is_ascii_digit()) && part.chars().all(is_date))
}

/// Answers `/conf/PROGRAM` with the file that `conf_file` names. Such files have passwords, so the permission to see states
/// or to read logs is not enough.
// Differs: the Go project asks for no permission, and for no password at times.
pub(super) async fn conf_file(
    connection: &HttpConnection,
    caller: &Caller,
    name: &str,
) -> HandlerResponse {
    let grant = match control::grant_for(caller, Permission::Update) {
        Ok(grant) => grant,
        Err(fault) => return refusal(&fault),
    };
    let request = Request::ConfFile(name.to_owned());
    let reply = connection
        .shared
        .control
        .call(caller.clone(), grant, request);
    let path = match reply.await {
        Ok(Reply::Text(path)) => path,
        Ok(_) => return json_error(StatusCode::NOT_FOUND, "the program has no conf_file"),
        Err(fault) => return fault_response(&fault),
    };
    let read = read_blocking(move || {
        sys::read_small_file(Path::new(&path), CONF_BYTES_MAX)
            .map_err(|error| FaultCode::NoFile.of(format!("{path}: {error}")))
    });
    match read.await {
        Ok(bytes) => text_response(StatusCode::OK, bytes),
        Err(fault) => fault_response(&fault),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(query: &str) -> Parts {
        let uri = format!("/program/log/x/stdout{query}");
        let request = hyper::Request::builder().uri(uri).body(());
        request.expect("a request").into_parts().0
    }

    #[test]
    fn logs_are_read_in_parts() {
        let part = |offset, length| Some(LogPart { offset, length });
        for (query, expected) in [
            ("", part(-65536, 0)),
            ("?length=10", part(-10, 0)),
            ("?offset=5", part(5, 65536)),
            ("?x=1&offset=0&length=7", part(0, 7)),
            ("?offset=-9", part(-9, 0)),
            ("?offset=-9&length=2", None),
            ("?length=0", None),
            ("?length=-1", None),
            ("?offset=x", None),
            ("?length=99999999999999999999", None),
        ] {
            assert_eq!(log_part(&head(query)), expected, "{query}");
        }
        assert_eq!(
            query_value(&head("?followed=2&follow=1"), "follow"),
            Some("1")
        );
    }

    #[test]
    fn g56_only_the_log_and_its_backups_are_listed() {
        for (name, is_listed) in [
            ("a.log", true),
            ("a.log.1", true),
            ("a.log.12", true),
            ("a.log.3.gz", true),
            ("a.log.2026-11-30", true),
            ("a.log.2026-11-30.1.gz", true),
            ("a.log.-1", false),
            ("a.log.1..2", false),
            ("a.log.gz", false),
            ("a.log.", false),
            ("a.log.1x", false),
            ("a.log.bak", false),
            ("a.logs", false),
            ("b.log", false),
            ("supervisord.conf", false),
        ] {
            assert_eq!(is_of_log(name, "a.log"), is_listed, "{name}");
        }
    }
}
