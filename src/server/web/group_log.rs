//! The log page of a group: the end of each member's standard output.

use std::sync::Arc;

use hyper::StatusCode;
use maud::html;

use super::log_excerpt::{fault_message, fetch_excerpt};
use super::page::frame;
use super::page_response::html_page;
use crate::api::{Caller, LogRef};
use crate::domain::Channel;
use crate::http_server::percent_encoding::url_quoted;
use crate::server::calls::process_list::list_processes;
use crate::server::http::connection::HttpConnection;
use crate::server::http::response::HandlerResponse;
use crate::web::form::Form;
use crate::web::language::PageRequest;
use crate::web::log_lines::ShownLines;
use crate::web::log_view::LogExcerpt;
use crate::web::texts::Text;

/// Maximum number of group members whose logs are shown on one page.
const MEMBERS_MAX: usize = 100;
/// Number of bytes shown of each member's log.
const GROUP_LIMIT: u64 = 2048;

/// Answers `/grouptail.html`. Supervisor does not have it.
pub(super) async fn group_log_page(
    connection: &Arc<HttpConnection>,
    caller: Caller,
    request: &PageRequest,
    form: &Form,
) -> HandlerResponse {
    let language = request.language;
    let group = form.get("group").unwrap_or("");
    let views = match list_processes(&connection.shared.control, &caller).await {
        Ok(views) => views,
        Err(fault) => return HandlerResponse::fault(&fault),
    };
    let members: Vec<_> = views
        .iter()
        .filter(|view| view.group.as_str() == group)
        .collect();
    let mut shown = Vec::new();
    for view in members.iter().take(MEMBERS_MAX) {
        let name = format!("{}:{}", view.group, view.name);
        let of = LogRef::Process(name.clone(), Channel::Stdout);
        let read = fetch_excerpt(connection, caller.clone(), of, GROUP_LIMIT).await;
        let excerpt = read
            .unwrap_or_else(|fault| LogExcerpt::message(&fault_message(&fault, &name, language)));
        let lines = ShownLines::new(&excerpt.text, "");
        shown.push((view.name.as_str(), name, lines));
    }
    let bar = html! {
        a href={ "grouptail.html?group=" (url_quoted(group)) } { (language.say(Text::Refresh)) }
    };
    let content = html! {
        div.tools.logtools { h1 { (language.fill(Text::GroupHeading, &[&group])) } }
        @if members.is_empty() {
            p { (language.say(Text::NoSuchGroup)) a href="./" { (language.say(Text::ToStatusPage)) } }
        }
        @if members.len() > MEMBERS_MAX {
            p { (language.fill(Text::FirstOf, &[&MEMBERS_MAX, &members.len()])) }
        }
        @for (name, namespec, lines) in &shown {
            h2 { a href={ "tail.html?processname=" (url_quoted(namespec)) "&limit=65536&channel=both" } { (name) } }
            @if lines.count == 0 { p.note { (language.say(Text::LogEmpty)) } } @else { pre.part tabindex="0" { "\n" (lines.markup) } }
        }
    };
    let title = language.fill(Text::GroupTailTitle, &[&group]);
    let status = match members.is_empty() {
        true => StatusCode::NOT_FOUND,
        false => StatusCode::OK,
    };
    let frame = frame(request, title).bar(&bar);
    html_page(status, frame.render(&content))
}
