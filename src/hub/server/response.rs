//! Sends responses, with the headers that all of them have.

use std::sync::Arc;

use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Response, StatusCode};

use crate::http_server::budget::{BusyGuard, ConnectionGuard};
use crate::http_server::response::{HttpBody, HttpResponse, ReplyBody};
use crate::web::page_response::PROTECTION;

/// Builds the response of HTTP. Its body is charged to its client's memory budget; without room it is 503. No page may
/// frame it, no browser guesses its type or keeps it, and what a browser may load is only ours, unless the response says otherwise.
pub(super) fn into_http(
    response: HttpResponse,
    guard: &Arc<ConnectionGuard>,
) -> Response<ReplyBody> {
    let mut status = response.status;
    let body = match response.body {
        HttpBody::Whole(body) => {
            let charged = guard.budget_bytes(body);
            if charged.is_none() {
                status = StatusCode::SERVICE_UNAVAILABLE;
            }
            HttpBody::Whole(charged.unwrap_or_default())
        }
        other => other,
    };
    // A response without content has no length either (RFC 9110, 8.6).
    let length = body.length().filter(|_| status != StatusCode::NO_CONTENT);
    let mut sent = Response::new(ReplyBody::new(body, BusyGuard::new(guard)));
    *sent.status_mut() = status;
    let headers = sent.headers_mut();
    let content_type = HeaderValue::from_static(response.content_type);
    headers.insert(header::CONTENT_TYPE, content_type);
    for (name, value) in response.headers {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.append(name, value);
        }
    }
    let no_store = (header::CACHE_CONTROL, "no-store");
    for (name, value) in PROTECTION.into_iter().chain([no_store]) {
        insert_default(headers, name, value);
    }
    if let Some(length) = length {
        headers.insert(header::CONTENT_LENGTH, length.into());
    }
    sent
}

fn insert_default(headers: &mut header::HeaderMap, name: HeaderName, value: &'static str) {
    let entry = headers.entry(name);
    entry.or_insert(HeaderValue::from_static(value));
}
