//! The static files of the page. They are part of the binary, so that no file can be missing and nothing is loaded
//! from elsewhere.

use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use hyper::header::{self, HeaderName};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use jiff::fmt::rfc2822::DateTimeParser;

use super::page_response::redirect;
use crate::server::http::connection::HttpConnection;
use crate::server::http::response::{self, CustomBody, CustomResponse, HandlerResponse};

/// A file: its path, type and bytes.
type Asset = (&'static str, &'static str, &'static [u8]);

/// All files. The first two have the same addresses as in Supervisor.
// Differs: the other images of Supervisor's page are not served, because our page does not use them.
const ASSETS: &[Asset] = &[
    (
        "stylesheets/supervisor.css",
        "text/css",
        include_bytes!("assets/supervisor.css"),
    ),
    (
        "images/icon.png",
        "image/png",
        include_bytes!("assets/icon.png"),
    ),
    (
        "scripts/theme.js",
        "text/javascript",
        include_bytes!("assets/theme.js"),
    ),
    (
        "scripts/status.js",
        "text/javascript",
        include_bytes!("assets/status.js"),
    ),
    (
        "scripts/process.js",
        "text/javascript",
        include_bytes!("assets/process.js"),
    ),
    (
        "scripts/log.js",
        "text/javascript",
        include_bytes!("assets/log.js"),
    ),
    (
        "scripts/edit.js",
        "text/javascript",
        include_bytes!("assets/edit.js"),
    ),
];

/// When the files were last changed, in seconds since the epoch: the modification time of the binary.
pub(in crate::server) fn assets_modified() -> i64 {
    std::fs::metadata("/proc/self/exe").map_or(0, |found| found.mtime())
}

/// Answers GET and HEAD of a file or directory.
///
/// # Source
/// Supervisor's `default_handler`: 400 for other methods, 301 for a directory without its slash, 304.
pub(super) fn serve_asset(
    connection: &Arc<HttpConnection>,
    head: &Parts,
    path: &str,
) -> HandlerResponse {
    if head.method != Method::GET && head.method != Method::HEAD {
        return HandlerResponse::Error(StatusCode::BAD_REQUEST);
    }
    if is_directory(path) {
        // Differs: Supervisor leaves out the port, so that its redirect leads nowhere.
        let host = head.headers.get(header::HOST);
        let host = host
            .and_then(|host| host.to_str().ok())
            .unwrap_or("localhost");
        let location = format!("http://{host}/{path}/");
        return redirect(StatusCode::MOVED_PERMANENTLY, location);
    }
    let Some((_, kind, bytes)) = ASSETS.iter().find(|(name, ..)| *name == path) else {
        return HandlerResponse::Error(StatusCode::NOT_FOUND);
    };
    let modified = connection.shared.assets_modified;
    // Browsers revalidate their cached copy each time and get 304 if it is current.
    let mut headers: Vec<(HeaderName, String)> =
        vec![(header::CACHE_CONTROL, "no-cache".to_owned())];
    let (status, body) = if is_unchanged(head, modified, bytes.len()) {
        (StatusCode::NOT_MODIFIED, CustomBody::None(None))
    } else {
        headers.push((header::LAST_MODIFIED, response::http_date(modified)));
        headers.push((header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()));
        let body = match head.method {
            Method::HEAD => CustomBody::None(Some(bytes.len())),
            _ => CustomBody::Whole((*bytes).into()),
        };
        (StatusCode::OK, body)
    };
    HandlerResponse::Made(Box::new(CustomResponse {
        status,
        content_type: kind,
        headers,
        body,
    }))
}

fn is_directory(path: &str) -> bool {
    !path.is_empty()
        && ASSETS.iter().any(|(name, ..)| {
            name.strip_prefix(path)
                .is_some_and(|rest| rest.starts_with('/'))
        })
}

/// Whether `If-Modified-Since` (with the length that old clients append to it) matches our file.
fn is_unchanged(head: &Parts, modified: i64, length: usize) -> bool {
    let Some(since) = head.headers.get(header::IF_MODIFIED_SINCE) else {
        return false;
    };
    let mut parts = since.to_str().unwrap_or("").split(';').map(str::trim);
    let date = parts.next().unwrap_or("");
    let has_other_length = parts
        .filter_map(|part| part.strip_prefix("length=")?.parse::<usize>().ok())
        .any(|given| given != length);
    let parsed = DateTimeParser::new()
        .relaxed_weekday(true)
        .parse_timestamp(date);
    !has_other_length && parsed.is_ok_and(|date| modified <= date.as_second())
}
