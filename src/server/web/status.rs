//! The status page: everything around the table of processes.

use std::collections::BTreeMap;
use std::sync::Arc;

use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use maud::{Markup, html};

use super::form::Form;
use super::page_response::html_page;
use super::row::ProcessRow;
use super::{links, page, page_actions, table};
use crate::api::{Caller, ProcessView};
use crate::domain::ProcessState;
use crate::server::blocking_pool::run_blocking;
use crate::server::calls::process_list::{list_processes, pids};
use crate::server::http::connection::HttpConnection;
use crate::server::http::percent_encoding::url_quoted;
use crate::server::http::response::HandlerResponse;

/// Maximum length of a message or filter that the page shows, in characters. Both come from the address, so anybody
/// can set them.
const SHOWN_MAX: usize = 500;

/// Approximate memory use of one process while its row is rendered, in bytes.
const PAGE_BYTES: usize = 2 << 10;

/// Answers `/` and `/index.html`.
pub(super) async fn status_page(
    connection: &Arc<HttpConnection>,
    caller: Caller,
    head: &Parts,
    form: &Form,
) -> HandlerResponse {
    // HEAD must change nothing.
    if head.method != Method::HEAD
        && let Some(action) = form.get("action")
    {
        return links::handle_link(connection, caller, head, form, action).await;
    }
    let cut = |name| {
        let text: String = form.get(name)?.chars().take(SHOWN_MAX).collect();
        Some(text)
    };
    let shown = StatusPage {
        message: cut("message"),
        filter: cut("filter").unwrap_or_default(),
        token: connection.token.text().to_owned(),
        host: connection
            .shared
            .host_names
            .first()
            .cloned()
            .unwrap_or_default(),
    };
    let control = &connection.shared.control;
    let Some(_large) = connection.guard.acquire_large().await else {
        return HandlerResponse::Error(StatusCode::SERVICE_UNAVAILABLE);
    };
    let views = match list_processes(control, &caller).await {
        Ok(views) => views,
        Err(fault) => return HandlerResponse::fault(&fault),
    };
    let sampler = &connection.shared.live.sampler;
    let usages = sampler.sample_usage(pids(&views)).await;
    let count = views.len();
    let rendered = run_blocking(move || {
        let zone = crate::sys::time_zone();
        let rows = views
            .iter()
            .map(|view| ProcessRow::new(view, usages.get(&view.pid).copied(), &zone))
            .collect::<Vec<_>>();
        render_page(&shown, &views, &rows)
    });
    let html = rendered.await;
    connection.shared.reclaim.count_freed(count * PAGE_BYTES);
    match html {
        Some(html) => html_page(StatusCode::OK, html),
        None => HandlerResponse::Error(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// What the page shows besides processes.
struct StatusPage {
    message: Option<String>,
    filter: String,
    token: String,
    host: String,
}

fn render_page(shown: &StatusPage, views: &[ProcessView], rows: &[ProcessRow]) -> Markup {
    let title = format!("Supervisor Status · {}", shown.host);
    let bar = html! {
        span.host { (shown.host) }
        span #live.script.live title="Changes are shown as they happen" { "connecting…" }
        a href="maintail.html?limit=65536" { "Daemon log" }
        noscript { a href="./" { "Refresh" } }
    };
    let content = html! {
        (render_toolbar(shown, views, rows))
        @if rows.is_empty() {
            p { "No programs to manage" }
        } @else {
            (table::render_table(&shown.token, &shown.filter, views, rows))
        }
    };
    let way_on = match shown.filter.as_str() {
        "" => "./".to_owned(),
        filter => format!("./?filter={}", url_quoted(filter)),
    };
    let message = shown.message.as_deref().map(|text| (text, way_on.as_str()));
    page::render_with_message(&title, &["status.js"], &bar, &content, message)
}

/// The state counts, the filter, and the buttons for all processes.
fn render_toolbar(shown: &StatusPage, views: &[ProcessView], rows: &[ProcessRow]) -> Markup {
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for view in views {
        *counts.entry(view.state.name()).or_default() += 1;
    }
    let states = [
        ProcessState::Running,
        ProcessState::Starting,
        ProcessState::Backoff,
        ProcessState::Stopping,
        ProcessState::Fatal,
        ProcessState::Exited,
        ProcessState::Stopped,
        ProcessState::Unknown,
    ];
    html! {
        div.tools {
            nav #counts aria-label="States" {
                a href="./" data-filter="" { b { (views.len()) } " processes" }
                @for state in states {
                    @let word = state.name().to_ascii_lowercase();
                    @let count = counts.get(state.name()).copied().unwrap_or(0);
                    a class=(word) href={ "./?filter=" (url_quoted(&word)) } data-filter=(word) hidden[count == 0] {
                        b { (count) } " " (word)
                    }
                }
            }
            form #search method="get" action="./" role="search" {
                input #filter type="search" name="filter" value=(shown.filter) placeholder="Filter (/)"
                    aria-label="Filter by name or state" autocomplete="off" maxlength=(SHOWN_MAX);
                noscript { button { "Filter" } }
            }
            form.everything method="post" action="actions" {
                input type="hidden" name="token" value=(shown.token);
                @for action in page_actions::PAGE_ACTIONS.iter().filter(|action| action.name != "clear" || rows.iter().any(|row| row.has_log)) {
                    button class=(action.name) name="do" value={ (action.name) " *" }
                        data-ask={ (action.label) ": all " (views.len()) " processes?" } { (action.label_all) }
                }
            }
        }
    }
}
