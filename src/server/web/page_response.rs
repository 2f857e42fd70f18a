//! Responses of the web page, with the headers that all of them have.

use hyper::StatusCode;
use hyper::header::{self, HeaderName};

use crate::http_server::response::http_date;
use crate::server::http::response::{self, HandlerResponse, custom_response};
use crate::web::page_response::{HTML, PROTECTION};

/// An HTML page with the headers that every page has.
pub(super) fn html_page(status: StatusCode, html: maud::Markup) -> HandlerResponse {
    let mut headers = no_cache_headers();
    headers.extend(protection_headers());
    custom_response(status, HTML, headers, html.into_string())
}

/// The headers that prevent caching.
fn no_cache_headers() -> Vec<(HeaderName, String)> {
    vec![
        (header::PRAGMA, "no-cache".to_owned()),
        (header::CACHE_CONTROL, "no-cache".to_owned()),
        (header::EXPIRES, http_date(0)),
    ]
}

/// The headers that protect against clickjacking, type guessing and injected content.
pub(super) fn protection_headers() -> Vec<(HeaderName, String)> {
    PROTECTION
        .map(|(name, value)| (name, value.to_owned()))
        .into()
}

/// An answer to a script.
pub(super) fn json_response(status: StatusCode, body: &serde_json::Value) -> HandlerResponse {
    let headers = protection_headers();
    custom_response(status, "application/json", headers, body.to_string())
}

/// A redirect: the error page of `status` with a `Location` header.
pub(super) fn redirect(status: StatusCode, location: String) -> HandlerResponse {
    redirect_with(status, location, Vec::new())
}

/// A redirect with further headers.
pub(super) fn redirect_with(
    status: StatusCode,
    location: String,
    more: Vec<(HeaderName, String)>,
) -> HandlerResponse {
    let mut headers = no_cache_headers();
    headers.extend(more);
    headers.push((header::LOCATION, location));
    custom_response(status, "text/html", headers, response::error_page(status))
}
