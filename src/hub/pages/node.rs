//! The page of a host: the daemon's table of its processes.

use std::sync::Arc;

use hyper::StatusCode;
use maud::{Markup, html};

use super::host_row::{ago, node_state_text, node_tone};
use super::hub_page::{HubPage, Reply, segment};
use super::node_row::node_rows;
use crate::domain::Namespec;
use crate::http_server::percent_encoding::url_quoted;
use crate::hub::api::call::Call;
use crate::hub::api::error::ApiError;
use crate::hub::node::{NodeState, NodeView};
use crate::hub::server::HubContext;
use crate::web::frame::PageKey;
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

/// Number of bytes that a log page shows where a link leads to it.
const LOG_BYTES: u64 = 65536;

/// Where the names of the table lead, relative to the page of the host.
const LINKS: TableLinks = TableLinks {
    process: log_address,
    group: |name| format!("../../groups/{}/", segment(name)),
    group_logs: None,
};

/// The address of the log of a process, relative to the page of its host.
pub(super) fn log_address(name: &str) -> String {
    let name = url_quoted(name);
    format!("tail.html?processname={name}&limit={LOG_BYTES}&channel=both")
}

/// The host of a call, if the user may see it.
///
/// # Errors
/// 404: there is none with this name.
pub(super) fn node_of(page: &HubPage<'_>) -> Result<Arc<NodeView>, ApiError> {
    let node = page.hub.fleet.node(page.call.param("node"));
    let node = node.filter(|node| page.limits.has_environment(&node.environment));
    let node = node.ok_or_else(|| ApiError::unknown(page.say(Text::NoSuchHost)))?;
    page.hub.looks.look(&page.hub.fleet, &node);
    Ok(node)
}

/// The namespec of a process of a host, by the name as people write it, if the user may see it.
///
/// # Errors
/// 404: the host has no such process.
pub(super) fn namespec_of(
    page: &HubPage<'_>,
    node: &NodeView,
    name: &str,
) -> Result<String, ApiError> {
    let Namespec { group, process } = Namespec::parse(name);
    let found = process.and_then(|process| node.process(&group, &process).cloned());
    let found = found.filter(|process| page.limits.has_group(&process.group));
    let found = found.map(|process| process.namespec());
    found.ok_or_else(|| ApiError::unknown(page.say(Text::NoSuchProcess).trim()))
}

/// `GET /nodes/{node}/`.
pub(super) async fn page(hub: &Arc<HubContext>, call: Call) -> Reply {
    let page = HubPage::new(hub, &call);
    let node = node_of(&page)?;
    let view = TableView::of(&page.form);
    let rows = node_rows(&node, &page.limits, page.language());
    let table = ProcessTable {
        language: page.language(),
        token: &page.token,
        view: &view,
        can_act: page.can_act() && node.state == NodeState::Connected,
        has_usage: false,
        links: &LINKS,
    };
    let content = html! {
        (render_toolbar(&table, &rows, None))
        (host_state(&page, &node))
        @if rows.is_empty() {
            div.empty { p.first { (page.say(Text::NoProcessesHere)) } }
        } @else {
            (no_match(&page, &view, &rows))
            (table.render(&rows))
        }
    };
    let bar = html! {
        span.host { (node.name) }
        span #live.script.live title=(page.say(Text::LiveTitle)) { (page.say(Text::Connecting)) }
        noscript { a href=(view.address()) { (page.say(Text::Refresh)) } }
    };
    let title = format!("{} · {}", node.name, page.say(Text::HubTitle));
    let frame = page.frame(title, &view.address());
    let frame = frame.bar(&bar).scripts(&["status.js"], KEYS);
    page.answer(StatusCode::OK, frame, &content)
}

fn no_match(page: &HubPage<'_>, view: &TableView, rows: &[ProcessRow]) -> Markup {
    let is_nothing_shown = !rows.iter().any(|row| view.matches(row));
    html! {
        p #nomatch.empty hidden[!is_nothing_shown] {
            span { (page.fill(Text::NoMatch, &[&view.filter])) }
            " " a href=(view.filtered("").address()) data-filter="" { (page.say(Text::ShowAll)) }
        }
    }
}

/// The host, and whether its processes are those that it has now.
fn host_state(page: &HubPage<'_>, node: &NodeView) -> Markup {
    let language = page.language();
    let state = page.say(node_state_text(node.state));
    html! {
        header #hoststate.bad[node_tone(node.state) == "red"] {
            h1 { (node.name) }
            span class={ "word " (node_tone(node.state)) } { (state) }
            span.about {
                @if !node.environment.is_empty() { (node.environment) " · " }
                (node.address)
                @if let Some(kind) = node.kind { " · " (kind.name()) " " (node.version) }
            }
            @if !node.reason.is_empty() { p.problem { (node.reason) } }
            @if node.is_stale() {
                @let age = node.last_success.map(|at| ago(at, language)).unwrap_or_default();
                p.note { (page.fill(Text::LastKnown, &[&age])) }
            }
            @if node.hidden > 0 { p.note { (page.fill(Text::HiddenProcesses, &[&node.hidden])) } }
        }
    }
}
