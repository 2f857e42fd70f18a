//! The web page, under the addresses of Supervisor's page.
//!
//! Every page works without scripts. With scripts, `live` keeps the page current and actions run in place. Pages read
//! the processes through the Control API and change them only through `actions`. `csrf` checks the origin of every
//! request.

mod action_outcome;
mod actions;
mod configuration;
mod confirmation;
mod csrf;
mod error_page;
mod file_list;
mod group;
mod group_log;
mod last_stderr;
mod links;
mod live;
mod live_updates;
mod log;
mod log_download;
mod log_excerpt;
mod page;
mod page_response;
mod perform_action;
mod process;
mod read_form;
mod row;
mod row_text;
mod static_files;
mod status;
mod update;

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::http::request::Parts;
use hyper::{Method, StatusCode, header};

use crate::api::{Caller, LogRef};
use crate::http_server::response::HttpBody;
use crate::server::http::connection::HttpConnection;
use crate::server::http::response::{HandlerResponse, custom_response};
use crate::web::form::Form;
use crate::web::language::{choose_language, language_of};
use page::page_request;
use page_response::redirect_with;
use read_form::read_form;

pub(super) use csrf::{csrf_refusal, may_change};
pub(super) use error_page::with_error_page;
pub(super) use file_list::render_file_list;
pub(super) use live_updates::LiveUpdates;
pub(super) use perform_action::run_to_completion;

/// The pages whose forms go to their own addresses.
const FORM_PAGES: [&str; 7] = [
    page::PROCESS,
    page::GROUP,
    page::UPDATE,
    page::PROGRAMS,
    page::PROGRAM,
    page::NACOS,
    page::VERSIONS,
];

/// Answers every request except XML-RPC and followed logs.
pub(in crate::server) async fn handle_page(
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
        "events" if head.method == Method::GET => {
            live::stream_events(connection, &caller, language_of(&head.headers)).await
        }
        "" | "index.html" | "tail.html" | "grouptail.html" | "maintail.html" if is_page_method => {
            let form = match read_form(connection, head, body).await {
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
            let request = page_request(head);
            match page {
                "tail.html" => log::process_log_page(connection, caller, &request, &form).await,
                "grouptail.html" => {
                    group_log::group_log_page(connection, caller, &request, &form).await
                }
                "maintail.html" => log::daemon_log_page(connection, caller, &request, &form).await,
                _ => status::status_page(connection, caller, head, &form).await,
            }
        }
        "logfile" | "mainlogfile" if head.method == Method::GET || is_head => {
            let of = match page {
                "mainlogfile" => Some(LogRef::Daemon),
                _ => {
                    let query = head.uri.query().unwrap_or("");
                    let form = Form::of_query(query);
                    log_download::log_of(form.get("processname"), form.get("channel"))
                }
            };
            match of {
                Some(of) => log_download::download_log(connection, caller, &head.method, of).await,
                None => HandlerResponse::Error(StatusCode::NOT_FOUND),
            }
        }
        _ if is_page_method && FORM_PAGES.contains(&page) => {
            form_page(connection, caller, head, body, page).await
        }
        "language" if head.method == Method::POST => {
            match read_form(connection, head, body).await {
                Ok(form) => follow_language(&form),
                Err(status) => HandlerResponse::Fatal(status),
            }
        }
        "actions" if head.method == Method::POST => {
            let form = match read_form(connection, head, body).await {
                Ok(form) => form,
                Err(status) => return HandlerResponse::Fatal(status),
            };
            actions::handle_form(connection, caller, head, &form).await
        }
        _ => static_files::serve_asset(connection, head, page),
    };
    if is_head { head_of(answer) } else { answer }
}

/// Answers one of [`FORM_PAGES`].
async fn form_page(
    connection: &Arc<HttpConnection>,
    caller: Caller,
    head: &Parts,
    body: &mut Incoming,
    page: &str,
) -> HandlerResponse {
    let form = match read_form(connection, head, body).await {
        Ok(form) => form,
        Err(status) => return HandlerResponse::Fatal(status),
    };
    match page {
        page::PROCESS => process::handle_page(connection, caller, head, &form).await,
        page::GROUP => group::handle_page(connection, caller, head, &form).await,
        page::UPDATE => update::handle_page(connection, caller, head, &form).await,
        _ => configuration::handle_page(connection, caller, head, &form, page).await,
    }
}

/// Answers `POST /language`: keeps the choice in a cookie and returns to the page. It changes nothing but the cookie, so
/// it needs no token.
fn follow_language(form: &Form) -> HandlerResponse {
    match choose_language(form) {
        Some((cookie, location)) => {
            let headers = vec![(header::SET_COOKIE, cookie)];
            redirect_with(StatusCode::SEE_OTHER, location, headers)
        }
        None => HandlerResponse::Error(StatusCode::BAD_REQUEST),
    }
}

/// Turns a response into the response to HEAD: the same without its body.
// Differs: Supervisor supports HEAD for files only and answers 404 for its pages.
fn head_of(answer: HandlerResponse) -> HandlerResponse {
    match answer {
        HandlerResponse::Made(made) if matches!(made.body, HttpBody::Whole(_)) => {
            made.without_body().into()
        }
        other => other,
    }
}
