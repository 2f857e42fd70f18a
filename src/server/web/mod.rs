//! The web page, under the addresses of Supervisor's page.
//!
//! Every page works without scripts. With scripts, `live` keeps the page current and actions run in place. Pages read
//! the processes through the Control API and change them only through `actions`. `csrf` checks the origin of every
//! request.

mod actions;
mod assets;
mod csrf;
mod form;
mod links;
mod live;
mod log;
mod page;
mod row;
mod status;
mod table;
mod usage;

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{self, HeaderName};
use hyper::http::request::Parts;
use hyper::{Method, StatusCode};

use super::http::HttpConnection;
use super::response::{self, CustomBody, CustomResponse, HandlerResponse};
use crate::api::Caller;
use form::Form;

pub(super) use assets::assets_modified;
pub(super) use csrf::{csrf_refusal, own_host_names};
pub(super) use live::LiveUpdates;

/// Content security policy: load only from this server, nothing inline, never shown in a frame.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                                       connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Answers every request except XML-RPC and followed logs.
pub(super) async fn handle_page(
    connection: &Arc<HttpConnection>,
    caller: Caller,
    head: &Parts,
    body: &mut Incoming,
    path: &str,
) -> HandlerResponse {
    let is_head = head.method == Method::HEAD;
    let is_page_method = head.method == Method::GET || head.method == Method::POST || is_head;
    let page = path.trim_start_matches('/');
    let answer = match page {
        "ok.html" if is_head => custom_response(StatusCode::OK, "text/plain", Vec::new(), "OK"),
        "ok.html" if is_page_method => HandlerResponse::Full("text/plain", "OK".into()),
        "events" if head.method == Method::GET => live::stream_events(connection, &caller).await,
        "" | "index.html" | "tail.html" | "grouptail.html" | "maintail.html" if is_page_method => {
            let form = match Form::read(connection, head, body).await {
                Ok(form) => form,
                Err(status) => return HandlerResponse::Fatal(status),
            };
            // The status page acquires its slot itself, because action links may wait for programs.
            let large = match page {
                "tail.html" | "grouptail.html" | "maintail.html" => {
                    connection.guard.acquire_large().await
                }
                _ => Some(None),
            };
            let Some(_large) = large else {
                return HandlerResponse::Error(StatusCode::SERVICE_UNAVAILABLE);
            };
            match page {
                "tail.html" => log::process_log_page(connection, caller, &form).await,
                "grouptail.html" => log::group_log_page(connection, caller, &form).await,
                "maintail.html" => log::daemon_log_page(connection, caller, &form).await,
                _ => status::status_page(connection, caller, head, &form).await,
            }
        }
        "actions" if head.method == Method::POST => {
            let form = match Form::read(connection, head, body).await {
                Ok(form) => form,
                Err(status) => return HandlerResponse::Fatal(status),
            };
            actions::handle_form(connection, caller, head, &form).await
        }
        _ => assets::serve_asset(connection, head, page),
    };
    if is_head { head_of(answer) } else { answer }
}

/// Turns a response into the response to HEAD: the same without its body.
// Differs: Supervisor supports HEAD for files only and answers 404 for its pages.
fn head_of(mut answer: HandlerResponse) -> HandlerResponse {
    if let HandlerResponse::Made(made) = &mut answer
        && let CustomBody::Whole(body) = &made.body
    {
        made.body = CustomBody::None(Some(body.len()));
    }
    answer
}

/// An HTML page with the headers that every page has.
fn html_page(status: StatusCode, html: maud::Markup) -> HandlerResponse {
    let mut headers = no_cache_headers();
    headers.extend(protection_headers());
    custom_response(
        status,
        "text/html;charset=utf-8",
        headers,
        html.into_string(),
    )
}

/// The headers that prevent caching.
fn no_cache_headers() -> Vec<(HeaderName, String)> {
    vec![
        (header::PRAGMA, "no-cache".to_owned()),
        (header::CACHE_CONTROL, "no-cache".to_owned()),
        (header::EXPIRES, response::http_date(0)),
    ]
}

/// The headers that protect against clickjacking, type guessing and injected content.
// Differs: Supervisor sends none of them, so any site may show its page in a frame.
fn protection_headers() -> Vec<(HeaderName, String)> {
    [
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // For browsers that do not know frame-ancestors.
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
    ]
    .map(|(name, value)| (name, value.to_owned()))
    .into()
}

fn custom_response(
    status: StatusCode,
    content_type: &'static str,
    headers: Vec<(HeaderName, String)>,
    body: impl Into<hyper::body::Bytes>,
) -> HandlerResponse {
    HandlerResponse::Made(Box::new(CustomResponse {
        status,
        content_type,
        headers,
        body: CustomBody::Whole(body.into()),
    }))
}

/// A redirect: the error page of `status` with a `Location` header.
fn redirect(status: StatusCode, location: String) -> HandlerResponse {
    let mut headers = no_cache_headers();
    headers.push((header::LOCATION, location));
    custom_response(status, "text/html", headers, response::error_page(status))
}
