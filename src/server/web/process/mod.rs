//! The page of one process: its state and past, what it depends on and uses, its configuration and the end of its log, with
//! buttons for what the caller may do. It works by links and forms without scripts; its script only keeps it current.

mod act;
mod buttons;
mod configuration;
mod dependencies;
mod history;
mod log_end;
mod overview;
mod process_page;
mod sparkline;
mod usage;

use std::sync::Arc;

use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use maud::{Markup, html};

use super::configuration::ConfigRequest;
use super::csrf::forbidden;
use super::page::{frame, process_address};
use super::page_response::html_page;
use super::row::process_row;
use crate::api::{Caller, FaultCode, Permission};
use crate::domain::Namespec;
use crate::server::calls::process_report::{ReportSource, may, may_for_all};
use crate::server::http::connection::HttpConnection;
use crate::server::http::response::HandlerResponse;
use crate::web::form::Form;
use crate::web::frame::PageKey;
use crate::web::texts::Text;
use process_page::{PageRights, ProcessPage};

/// The keys of the page.
const KEYS: &[PageKey] = &[("l", Text::KeyLog), ("?", Text::KeyHelp)];

/// Answers a request.
pub(super) async fn handle_page(
    connection: &Arc<HttpConnection>,
    caller: Caller,
    head: &Parts,
    form: &Form,
) -> HandlerResponse {
    let request = ConfigRequest::of(connection, caller, head, form);
    if head.method != Method::POST {
        return show(&request).await;
    }
    if let Some(why) = request.missing_token() {
        return forbidden(&request.request, request.say(why));
    }
    act::act(&request).await
}

async fn show(request: &ConfigRequest<'_>) -> HandlerResponse {
    let language = request.request.language;
    let asked = request.form.get("name").unwrap_or_default();
    let connection = request.connection;
    let source = ReportSource {
        control: &connection.shared.control,
        usage: &connection.shared.live.usage,
        stop: &connection.shared.stop,
    };
    let report = match source.report(&request.caller, asked).await {
        Ok(report) => report,
        Err(fault) if fault.code == FaultCode::BadName => return unknown(request),
        Err(fault) => return HandlerResponse::fault(&fault),
    };
    let view = &report.details.view;
    let (group, process) = (view.group.as_str(), view.name.as_str());
    let name = Namespec::print(group, process);
    let rights = |permission| may(&request.caller, permission, group, process);
    let zone = crate::sys::time_zone();
    let row = process_row(view, report.usage, &zone, language);
    let page = ProcessPage {
        language,
        report: &report,
        row: &row,
        rights: PageRights {
            control: rights(Permission::Control),
            signal: rights(Permission::Signal),
            logs: rights(Permission::ReadLogs),
            update: rights(Permission::Update),
            configure: may_for_all(&request.caller, Permission::Configure),
        },
        token: connection.token.text(),
        name: &name,
        zone: &zone,
    };
    let log = log_end::log_end(request, &page).await;
    let content = render(&page, &log);
    let host = connection.shared.host_names.first();
    let host = host.map_or("", String::as_str);
    let title = format!("{name} · {} · {host}", row.state_word);
    let frame = frame(&request.request, title)
        .scripts(&["process.js"], KEYS)
        .message(request.form.get("message"), process_address(&name));
    html_page(StatusCode::OK, frame.render(&content))
}

fn render(page: &ProcessPage<'_>, log: &Markup) -> Markup {
    html! {
        div.process {
            (overview::head(page))
            (buttons::buttons(page))
            div.cards {
                (overview::facts(page))
                (usage::usage(page))
                (dependencies::dependencies(page))
            }
            (history::history(page))
            (log)
            @if page.rights.update { (configuration::keys(page)) }
        }
    }
}

/// The page for a name that no process has, or none that the caller may see.
fn unknown(request: &ConfigRequest<'_>) -> HandlerResponse {
    let title = request.say(Text::NoSuchProcess).trim();
    let content = html! {
        h1 { (title) }
        p { a href="./" { (request.say(Text::ToStatusPage)) } }
    };
    let frame = frame(&request.request, title);
    html_page(StatusCode::NOT_FOUND, frame.render_plain(&content))
}
