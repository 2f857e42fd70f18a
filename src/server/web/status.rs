//! The status page: what stands around the table of processes.

use std::collections::BTreeMap;
use std::sync::Arc;

use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use maud::{Markup, html};

use super::super::http::Connection;
use super::super::response::Answer;
use super::super::xmlrpc::apart;
use super::actions;
use super::form::{Form, quoted};
use super::row::Row;
use super::{links, page, table};
use crate::api::{Caller, Fault, FaultCode, Permission, ProcessView, Reply, Request};
use crate::control::{self, ControlHandle};
use crate::domain::ProcessState;

/// The longest message or filter that a page shows, in characters; both come with its address, and so from anybody.
const SHOWN_MAX: usize = 500;

/// The memory that one process takes while its row of the page is made, roughly.
const PAGE_BYTES: usize = 2 << 10;

/// Answers `/` and `/index.html`.
pub(super) async fn answer(
    connection: &Arc<Connection>,
    caller: Caller,
    head: &Parts,
    form: &Form,
) -> Answer {
    // HEAD asks for the page alone: it must change nothing.
    if head.method != Method::HEAD
        && let Some(action) = form.get("action")
    {
        return links::answer(connection, caller, head, form, action).await;
    }
    let cut = |name| {
        let text: String = form.get(name)?.chars().take(SHOWN_MAX).collect();
        Some(text)
    };
    let shown = Shown {
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
    let Some(_large) = connection.place.large().await else {
        return Answer::Error(StatusCode::SERVICE_UNAVAILABLE);
    };
    let views = match processes(control, &caller).await {
        Ok(views) => views,
        Err(fault) => return refused(&fault),
    };
    let sampler = &connection.shared.live.sampler;
    let usages = sampler.look(pids(&views)).await;
    let count = views.len();
    let rendered = apart(move || {
        let zone = crate::sys::time_zone();
        let rows = views
            .iter()
            .map(|view| Row::new(view, usages.get(&view.pid).copied(), &zone))
            .collect::<Vec<_>>();
        whole(&shown, &views, &rows)
    });
    let html = rendered.await;
    connection.shared.reclaim.freed(count * PAGE_BYTES);
    match html {
        Some(html) => super::page(StatusCode::OK, html),
        None => Answer::Error(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

/// All processes that `caller` may see.
pub(super) async fn processes(
    control: &ControlHandle,
    caller: &Caller,
) -> Result<Vec<ProcessView>, Fault> {
    let grant = control::grant(caller, Permission::Status)?;
    match control
        .call(caller.clone(), grant, Request::AllProcessInfo)
        .await?
    {
        Reply::Processes(views) => Ok(views),
        _ => Err(FaultCode::Failed.bare()),
    }
}

/// The numbers of those that run.
pub(super) fn pids(views: &[ProcessView]) -> Vec<i32> {
    views
        .iter()
        .map(|view| view.pid)
        .filter(|&pid| pid != 0)
        .collect()
}

// Differs: while the daemon stops, Supervisor's pages are 500.
pub(super) fn refused(fault: &Fault) -> Answer {
    Answer::Error(match fault.code {
        FaultCode::ShutdownState => StatusCode::SERVICE_UNAVAILABLE,
        _ => StatusCode::FORBIDDEN,
    })
}

/// What a page shows besides processes.
struct Shown {
    message: Option<String>,
    filter: String,
    token: String,
    host: String,
}

fn whole(shown: &Shown, views: &[ProcessView], rows: &[Row]) -> Markup {
    let title = format!("Supervisor Status · {}", shown.host);
    let bar = html! {
        span.host { (shown.host) }
        span #live.script.live title="Changes are shown as they happen" { "connecting…" }
        a href="maintail.html?limit=65536" { "Daemon log" }
        noscript { a href="./" { "Refresh" } }
    };
    let content = html! {
        (tools(shown, views, rows))
        @if rows.is_empty() {
            p { "No programs to manage" }
        } @else {
            (table::table(&shown.token, &shown.filter, views, rows))
        }
    };
    let way_on = match shown.filter.as_str() {
        "" => "./".to_owned(),
        filter => format!("./?filter={}", quoted(filter)),
    };
    let message = shown.message.as_deref().map(|text| (text, way_on.as_str()));
    page::with_message(&title, &["status.js"], &bar, &content, message)
}

/// The counts of states, the filter, and the buttons for everything.
fn tools(shown: &Shown, views: &[ProcessView], rows: &[Row]) -> Markup {
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
                    a class=(word) href={ "./?filter=" (quoted(&word)) } data-filter=(word) hidden[count == 0] {
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
                @for verb in actions::VERBS.iter().filter(|verb| verb.word != "clear" || rows.iter().any(|row| row.has_log)) {
                    button class=(verb.word) name="do" value={ (verb.word) " *" }
                        data-ask={ (verb.label) ": all " (views.len()) " processes?" } { (verb.label_all) }
                }
            }
        }
    }
}
