//! The static files of the page. They are part of the binary, so that no file can be missing and nothing is loaded
//! from elsewhere.

use std::os::unix::fs::MetadataExt;

use hyper::StatusCode;
use hyper::header::{self, HeaderMap};
use jiff::fmt::rfc2822::DateTimeParser;

use crate::http_server::response::{HttpBody, HttpResponse, http_date};

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
    (
        "scripts/hub.js",
        "text/javascript",
        include_bytes!("assets/hub.js"),
    ),
];

/// When the files were last changed, in seconds since the epoch: the modification time of the binary.
pub(crate) fn assets_modified() -> i64 {
    std::fs::metadata("/proc/self/exe").map_or(0, |found| found.mtime())
}

/// The file at a path below the root. `modified`: [`assets_modified`]. `None`: there is no such file.
pub(crate) fn find_asset(path: &str, headers: &HeaderMap, modified: i64) -> Option<HttpResponse> {
    let (_, kind, bytes) = ASSETS.iter().find(|(name, ..)| *name == path)?;
    // Browsers revalidate their cached copy each time and get 304 if it is current.
    let no_cache = (header::CACHE_CONTROL, "no-cache".to_owned());
    Some(match is_unchanged(headers, modified, bytes.len()) {
        true => HttpResponse {
            status: StatusCode::NOT_MODIFIED,
            content_type: kind,
            headers: vec![no_cache],
            body: HttpBody::None(None),
        },
        false => HttpResponse {
            status: StatusCode::OK,
            content_type: kind,
            headers: vec![
                no_cache,
                (header::LAST_MODIFIED, http_date(modified)),
                (header::X_CONTENT_TYPE_OPTIONS, "nosniff".to_owned()),
            ],
            body: HttpBody::Whole((*bytes).into()),
        },
    })
}

/// Whether files are below a path.
pub(crate) fn is_asset_directory(path: &str) -> bool {
    !path.is_empty()
        && ASSETS.iter().any(|(name, ..)| {
            name.strip_prefix(path)
                .is_some_and(|rest| rest.starts_with('/'))
        })
}

/// Whether `If-Modified-Since` (with the length that old clients append to it) matches our file.
fn is_unchanged(headers: &HeaderMap, modified: i64, length: usize) -> bool {
    let Some(since) = headers.get(header::IF_MODIFIED_SINCE) else {
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
