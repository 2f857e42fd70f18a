//! The page of one group: its processes, the actions on all of them, the rolling restart, and the number of processes of its
//! programs.

use std::sync::Arc;

use hyper::http::request::Parts;
use hyper::{Method, StatusCode};
use maud::{Markup, html};

use super::action_outcome::{fault_text, outcome};
use super::configuration::ConfigRequest;
use super::csrf::forbidden;
use super::page::{GROUP, frame, group_address, process_address};
use super::page_response::{html_page, redirect};
use super::perform_action::{ANSWER_WAIT, call_with, perform_action, run_to_completion};
use super::row::process_row;
use crate::api::xmlrpc::RpcValue;
use crate::api::{AccessScope, Caller, Fault, Permission, ProcessView, Reply};
use crate::control;
use crate::domain::{Namespec, ProcessState};
use crate::http_server::percent_encoding::url_quoted;
use crate::server::calls::process_list::{list_processes, usage_targets};
use crate::server::http::connection::HttpConnection;
use crate::server::http::response::HandlerResponse;
use crate::web::form::Form;
use crate::web::page_actions::{ActionTarget, PAGE_ACTIONS, find_action};
use crate::web::row::ProcessRow;
use crate::web::texts::{Language, Text};

/// Maximum number of processes that the page shows.
const SHOWN_MAX: usize = 500;
/// The number that a field accepts at most.
const AT_ONCE_MAX: u32 = 10_000;

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
    act(&request).await
}

async fn show(request: &ConfigRequest<'_>) -> HandlerResponse {
    let language = request.request.language;
    let connection = request.connection;
    let name = request.form.get("name").unwrap_or_default();
    let mut views = match list_processes(&connection.shared.control, &request.caller).await {
        Ok(views) => views,
        Err(fault) => return HandlerResponse::fault(&fault),
    };
    views.retain(|view| view.group.as_str() == name);
    let title = language.fill(Text::GroupHeading, &[&name]);
    if views.is_empty() {
        let content = html! {
            h1 { (request.say(Text::NoSuchGroup).trim()) }
            p { a href="./" { (request.say(Text::ToStatusPage)) } }
        };
        let frame = frame(&request.request, title);
        return html_page(StatusCode::NOT_FOUND, frame.render_plain(&content));
    }
    let shown = &views[..views.len().min(SHOWN_MAX)];
    let history = &connection.shared.live.usage.history;
    let usages = history.sample_now(usage_targets(shown)).await;
    let zone = crate::sys::time_zone();
    let rows: Vec<ProcessRow> = shown
        .iter()
        .map(|view| process_row(view, usages.get(&view.pid).copied(), &zone, language))
        .collect();
    let may = |permission| {
        let grant = control::grant_for(&request.caller, permission);
        grant.is_ok_and(|grant| grant.scope == AccessScope::All || grant.scope.covers_group(name))
    };
    let running = views
        .iter()
        .filter(|view| view.state == ProcessState::Running)
        .count();
    let content = html! {
        div.process {
            header #state {
                h1 { (title) }
                p.about { (running) (language.fill(Text::OfRunning, &[&views.len()])) }
                a.more href={ "grouptail.html?group=" (url_quoted(name)) } { (request.say(Text::Logs)) }
            }
            @if may(Permission::Control) { (buttons(request, name, views.len(), &rows)) }
            (table(language, shown, &rows))
            @if views.len() > SHOWN_MAX { p.note { (language.fill(Text::FirstOf, &[&SHOWN_MAX, &views.len()])) } }
            @if may(Permission::Control) { (rolling_form(request, name)) }
        }
    };
    let frame = frame(&request.request, title)
        .scripts(&["process.js"], &[])
        .message(request.form.get("message"), group_address(name));
    html_page(StatusCode::OK, frame.render(&content))
}

fn hidden(request: &ConfigRequest<'_>, name: &str) -> Markup {
    html! {
        input type="hidden" name="token" value=(request.connection.token.text());
        input type="hidden" name="name" value=(name);
    }
}

fn buttons(request: &ConfigRequest<'_>, name: &str, count: usize, rows: &[ProcessRow]) -> Markup {
    let language = request.request.language;
    let has_log = rows.iter().any(|row| row.has_log);
    html! {
        div.tools {
            form method="post" action=(GROUP) {
                (hidden(request, name))
                @for action in PAGE_ACTIONS.iter().filter(|action| action.name != "clear" || has_log) {
                    @let ask = language.fill(Text::GroupQuestion, &[&language.say(action.label), &count, &name]);
                    button class=(action.name) name="do" value=(action.name) data-ask=[(action.name != "start").then_some(ask)] {
                        (language.say(action.label_all))
                    }
                }
            }
        }
    }
}

fn table(language: Language, views: &[ProcessView], rows: &[ProcessRow]) -> Markup {
    html! {
        section #members.live-part aria-label=(language.say(Text::Processes)) {
            table.plain-table {
                thead { tr {
                    th scope="col" { (language.say(Text::ColumnName)) }
                    th scope="col" { (language.say(Text::ColumnState)) }
                    th scope="col" { (language.say(Text::ColumnCpu)) }
                    th scope="col" { (language.say(Text::ColumnMemory)) }
                    th scope="col" { (language.say(Text::ColumnLastExit)) }
                } }
                tbody {
                    @for (view, row) in views.iter().zip(rows) {
                        @let name = Namespec::print(view.group.as_str(), view.name.as_str());
                        tr {
                            th scope="row" { a href=(process_address(&name)) { (view.name.as_str()) } }
                            td {
                                span class={ "word " (row.tone) } { (row.state_word) }
                                @if !row.health_word.is_empty() { span class={ "badge " (row.health) } { (row.health_word) } }
                                " " span.note { (row.description) }
                            }
                            td.number { (row.cpu) }
                            td.number { (row.memory) }
                            td { (row.ending) }
                        }
                    }
                }
            }
        }
    }
}

fn rolling_form(request: &ConfigRequest<'_>, name: &str) -> Markup {
    html! {
        section.card #rolling aria-labelledby="rolling-title" {
            h2 #rolling-title { (request.say(Text::RollingRestart)) }
            p.note { (request.say(Text::RollingHint)) }
            form.line method="post" action=(GROUP) {
                (hidden(request, name))
                label { (request.say(Text::AtOnce)) " " input type="number" name="at_once" value="1" min="1" max=(AT_ONCE_MAX); }
                label { (request.say(Text::MaxFailures)) " " input type="number" name="max_failures" value="0" min="0" max=(AT_ONCE_MAX); }
                label { input type="checkbox" name="healthy" value="1"; " " (request.say(Text::WaitHealthy)) }
                button name="do" value="rolling" { (request.say(Text::RollingRestart)) }
            }
        }
    }
}

/// Performs an action, and returns to the page with a message.
async fn act(request: &ConfigRequest<'_>) -> HandlerResponse {
    let language = request.request.language;
    let form = request.form;
    let connection = request.connection;
    let name = form.get("name").unwrap_or_default().to_owned();
    let asked = form.get("do").unwrap_or_default();
    let target = ActionTarget::Group(name.clone());
    let (control, caller) = (connection.shared.control.clone(), request.caller.clone());
    let message = if asked == "rolling" {
        let arguments = rolling_arguments(form, &name);
        let work = async move {
            call_with(&control, &caller, "supervisord.rollingRestart", arguments).await
        };
        match tokio::time::timeout(ANSWER_WAIT, run_to_completion(connection, work)).await {
            Err(_) => language.fill(Text::RollingGoesOn, &[&name]),
            Ok(None) => return HandlerResponse::Error(StatusCode::SERVICE_UNAVAILABLE),
            Ok(Some(result)) => rolling_message(&target, &result, language),
        }
    } else {
        let Some(action) = find_action(asked) else {
            return HandlerResponse::Error(StatusCode::BAD_REQUEST);
        };
        let work =
            async move { perform_action(&control, &caller, action, &target, language).await };
        match run_to_completion(connection, work).await {
            None => return HandlerResponse::Error(StatusCode::SERVICE_UNAVAILABLE),
            Some(done) => done.message,
        }
    };
    let address = group_address(&name);
    redirect(
        StatusCode::SEE_OTHER,
        format!("{address}&message={}", url_quoted(&message)),
    )
}

fn rolling_arguments(form: &Form, name: &str) -> Vec<RpcValue> {
    let number = |field: &str, least: u32| {
        let given = form.get(field).and_then(|text| text.trim().parse().ok());
        given.unwrap_or(least).clamp(least, AT_ONCE_MAX)
    };
    let wait = match form.get("healthy") {
        Some(_) => "healthy",
        None => "ready",
    };
    let options = vec![
        (
            "max_failures".to_owned(),
            RpcValue::text(number("max_failures", 0).to_string()),
        ),
        ("wait".to_owned(), RpcValue::text(wait)),
    ];
    vec![
        RpcValue::text(format!("{name}:*")),
        RpcValue::Int(i64::from(number("at_once", 1))),
        RpcValue::Struct(options),
    ]
}

fn rolling_message(
    target: &ActionTarget,
    result: &Result<Reply, Fault>,
    language: Language,
) -> String {
    match (find_action("restart"), result) {
        (Some(action), Ok(_)) => outcome(action, target, result, language).message,
        (_, Err(fault)) => {
            let subject = target.to_subject(language);
            language.fill(Text::ErrorOf, &[&subject, &fault_text(fault, language)])
        }
        (None, Ok(_)) => language.say(Text::Succeeded).to_owned(),
    }
}
