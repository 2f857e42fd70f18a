//! The web page: Supervisor's addresses with a page of our own behind them.
//!
//! Pages are whole without scripts; where a browser runs ours, they are kept up to date by `live` and act in place. They
//! know nothing of processes but what the Control API tells, and change nothing but through `actions`, to which `csrf`
//! is the door.

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

use super::http::Connection;
use super::response::{self, Answer, Made, MadeBody};
use crate::api::Caller;
use form::Form;

pub(super) use assets::modified;
pub(super) use csrf::{names_of_this_host, refusal};
pub(super) use live::Live;

/// What a page may load and where it may be shown: only what comes from us, nothing inline, in no frame.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
                                       connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Answers everything that is neither XML-RPC nor a followed log.
pub(super) async fn answer(
    connection: &Arc<Connection>,
    caller: Caller,
    head: &Parts,
    body: &mut Incoming,
    path: &str,
) -> Answer {
    let is_head = head.method == Method::HEAD;
    let is_page_method = head.method == Method::GET || head.method == Method::POST || is_head;
    let page = path.trim_start_matches('/');
    let answer = match page {
        "ok.html" if is_head => made(StatusCode::OK, "text/plain", Vec::new(), "OK"),
        "ok.html" if is_page_method => Answer::Whole("text/plain", "OK".into()),
        "events" if head.method == Method::GET => live::stream(connection, &caller).await,
        "" | "index.html" | "tail.html" | "grouptail.html" | "maintail.html" if is_page_method => {
            let form = match Form::read(connection, head, body).await {
                Ok(form) => form,
                Err(status) => return Answer::Fatal(status),
            };
            // The status page takes its turn itself, for its links may wait for programs.
            let large = match page {
                "tail.html" | "grouptail.html" | "maintail.html" => connection.place.large().await,
                _ => Some(None),
            };
            let Some(_large) = large else {
                return Answer::Error(StatusCode::SERVICE_UNAVAILABLE);
            };
            match page {
                "tail.html" => log::process(connection, caller, &form).await,
                "grouptail.html" => log::group(connection, caller, &form).await,
                "maintail.html" => log::daemon(connection, caller, &form).await,
                _ => status::answer(connection, caller, head, &form).await,
            }
        }
        "actions" if head.method == Method::POST => {
            let form = match Form::read(connection, head, body).await {
                Ok(form) => form,
                Err(status) => return Answer::Fatal(status),
            };
            actions::answer(connection, caller, head, &form).await
        }
        _ => assets::answer(connection, head, page),
    };
    if is_head { head_of(answer) } else { answer }
}

/// What HEAD is told of an answer: everything but the body.
// Differs: Supervisor knows HEAD for files only, and answers 404 for its pages.
fn head_of(mut answer: Answer) -> Answer {
    if let Answer::Made(made) = &mut answer
        && let MadeBody::Whole(body) = &made.body
    {
        made.body = MadeBody::None(Some(body.len()));
    }
    answer
}

/// A page, with the headers that every page has.
fn page(status: StatusCode, html: maud::Markup) -> Answer {
    let mut headers = uncached();
    headers.extend(protection());
    made(
        status,
        "text/html;charset=utf-8",
        headers,
        html.into_string(),
    )
}

/// The headers that keep answers from being shown again.
fn uncached() -> Vec<(HeaderName, String)> {
    vec![
        (header::PRAGMA, "no-cache".to_owned()),
        (header::CACHE_CONTROL, "no-cache".to_owned()),
        (header::EXPIRES, response::http_date(0)),
    ]
}

/// The headers that keep browsers from being used against us.
// Differs: Supervisor sends none of them, so that any page may show it in a frame.
fn protection() -> Vec<(HeaderName, String)> {
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

fn made(
    status: StatusCode,
    content_type: &'static str,
    headers: Vec<(HeaderName, String)>,
    body: impl Into<hyper::body::Bytes>,
) -> Answer {
    Answer::Made(Box::new(Made {
        status,
        content_type,
        headers,
        body: MadeBody::Whole(body.into()),
    }))
}

/// "Look there": the error page of `status` with a `Location`.
fn redirect(status: StatusCode, location: String) -> Answer {
    let mut headers = uncached();
    headers.push((header::LOCATION, location));
    made(status, "text/html", headers, response::page(status))
}
