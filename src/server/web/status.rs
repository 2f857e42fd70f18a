//! The status page: everything around the table of processes.

use std::sync::Arc;

use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use maud::{Markup, html};

use super::links;
use super::page::{STATUS, UPDATE, frame, group_address, page_request, process_address};
use super::page_response::html_page;
use super::row::process_row;
use crate::api::{Caller, Permission};
use crate::domain::ProcessState;
use crate::http_server::blocking_pool::run_blocking;
use crate::http_server::percent_encoding::url_quoted;
use crate::server::calls::process_list::{list_processes, usage_targets};
use crate::server::calls::process_report::may_for_all;
use crate::server::http::connection::HttpConnection;
use crate::server::http::response::HandlerResponse;
use crate::web::form::Form;
use crate::web::frame::PageKey;
use crate::web::language::PageRequest;
use crate::web::row::ProcessRow;
use crate::web::table::{ProcessTable, TableLinks};
use crate::web::table_view::TableView;
use crate::web::texts::Text;
use crate::web::toolbar::render_toolbar;

/// The keys of the page.
const KEYS: &[PageKey] = &[
    ("/", Text::KeyFilter),
    ("Esc", Text::KeyClear),
    ("j", Text::KeyNext),
    ("k", Text::KeyPrevious),
    ("x", Text::KeySelect),
    ("a", Text::KeySelectShown),
    ("l", Text::KeyLog),
    ("f", Text::KeyFailing),
    ("?", Text::KeyHelp),
];

/// Approximate memory use of one process while its row is rendered, in bytes.
const PAGE_BYTES: usize = 2 << 10;

/// Where the names of the table lead.
const LINKS: TableLinks = TableLinks {
    process: process_address,
    group: group_address,
    group_logs: Some(|name| format!("grouptail.html?group={}", url_quoted(name))),
};

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
    let message = form.get("message");
    let shown = StatusPage {
        request: page_request(head),
        view: TableView::of(form),
        message: message.map(str::to_owned),
        token: connection.token.text().to_owned(),
        host: connection
            .shared
            .host_names
            .first()
            .cloned()
            .unwrap_or_default(),
        may_update: may_for_all(&caller, Permission::Update),
    };
    let control = &connection.shared.control;
    let Some(_large) = connection.guard.acquire_large().await else {
        return HandlerResponse::Error(StatusCode::SERVICE_UNAVAILABLE);
    };
    let views = match list_processes(control, &caller).await {
        Ok(views) => views,
        Err(fault) => return HandlerResponse::fault(&fault),
    };
    let sampler = &connection.shared.live.usage.sampler;
    let usages = sampler.sample_usage(usage_targets(&views)).await;
    let count = views.len();
    let rendered = run_blocking(move || {
        let zone = crate::sys::time_zone();
        let rows = views
            .iter()
            .map(|view| {
                let usage = usages.get(&view.pid).copied();
                process_row(view, usage, &zone, shown.request.language)
            })
            .collect::<Vec<_>>();
        render_page(&shown, &rows)
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
    request: PageRequest,
    view: TableView,
    message: Option<String>,
    token: String,
    host: String,
    may_update: bool,
}

fn render_page(shown: &StatusPage, rows: &[ProcessRow]) -> Markup {
    let language = shown.request.language;
    let bar = html! {
        span.host { (shown.host) }
        span #live.script.live title=(language.say(Text::LiveTitle)) { (language.say(Text::Connecting)) }
        noscript { a href=(shown.view.address()) { (language.say(Text::Refresh)) } }
    };
    let table = ProcessTable {
        language,
        token: &shown.token,
        view: &shown.view,
        can_act: true,
        has_usage: true,
        links: &LINKS,
    };
    let is_nothing_shown = !rows.iter().any(|row| shown.view.matches(row));
    let content = html! {
        (render_toolbar(&table, rows, shown.may_update.then_some(UPDATE)))
        @if rows.is_empty() {
            div.empty {
                p.first { (language.say(Text::NoPrograms)) }
                p { (language.say(Text::NoProgramsHint)) }
                pre { "supervisorctl update" }
            }
        } @else {
            p #nomatch.empty hidden[!is_nothing_shown] {
                span { (language.fill(Text::NoMatch, &[&shown.view.filter])) }
                " " a href=(shown.view.filtered("").address()) data-filter="" { (language.say(Text::ShowAll)) }
            }
            (table.render(rows))
        }
    };
    let way_on = shown.view.address();
    frame(&shown.request, page_title(shown, rows))
        .current(STATUS)
        .bar(&bar)
        .scripts(&["status.js"], KEYS)
        .message(shown.message.as_deref(), way_on)
        .render(&content)
}

/// The title: how many processes are FATAL, and the host.
fn page_title(shown: &StatusPage, rows: &[ProcessRow]) -> String {
    let language = shown.request.language;
    let title = format!("{} · {}", language.say(Text::StatusTitle), shown.host);
    let is_fatal = |row: &&ProcessRow| row.process_state == ProcessState::Fatal;
    match rows.iter().filter(is_fatal).count() {
        0 => title,
        count => language.fill(Text::FatalTitle, &[&count, &title]),
    }
}
