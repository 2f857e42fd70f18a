//! The progress and the results of an action on many processes.

use std::collections::BTreeMap;
use std::sync::Arc;

use hyper::StatusCode;
use maud::{Markup, html};

use super::host_row::ago;
use super::hub_page::{HubPage, OPERATIONS, Reply, node_address};
use super::outcome::result_text;
use crate::hub::api::call::Call;
use crate::hub::api::error::ApiError;
use crate::hub::fleet::ActionResult;
use crate::hub::node::Action;
use crate::hub::operations::Operation;
use crate::hub::server::HubContext;
use crate::web::texts::Text;

/// Maximum number of results that the page lists. Failures come first.
const RESULTS_SHOWN: usize = 1000;
/// Seconds after which the page is loaded again while the operation runs.
const REFRESH_SECONDS: u32 = 2;

/// The operation of a call, if it is one of the user's.
fn operation_of(page: &HubPage<'_>) -> Result<Arc<Operation>, ApiError> {
    let id = page.call.param("operation").parse().ok();
    let found = id.and_then(|id| page.hub.operations.find(id, page.user()));
    found.ok_or_else(|| ApiError::unknown(page.say(Text::NoSuchOperation)))
}

/// What an operation does.
fn title_of(page: &HubPage<'_>, operation: &Operation) -> String {
    let label = match operation.task.action {
        Action::Start => Text::Start,
        Action::Stop => Text::Stop,
        Action::Restart => Text::Restart,
        Action::ClearLogs => Text::Clear,
        Action::Signal(_) => Text::Signal,
    };
    page.fill(Text::ActionOn, &[&page.say(label), &operation.task.subject])
}

/// `GET /operations/{operation}/`.
pub(super) async fn page(hub: &Arc<HubContext>, call: Call) -> Reply {
    let page = HubPage::new(hub, &call);
    let operation = operation_of(&page)?;
    let title = title_of(&page, &operation);
    let is_running = operation.progress().ended.is_none();
    let results = operation.results();
    let content = html! {
        div.process data-every=[is_running.then_some("500")] {
            (head(&page, &operation, &title))
            (hosts(&page, &operation, &results))
            (list_results(&page, &operation, &results))
        }
    };
    let frame = page.frame(title, "./").scripts(&["process.js"], &[]);
    let frame = match is_running {
        true => frame.refresh(REFRESH_SECONDS),
        false => frame,
    };
    page.answer(StatusCode::OK, frame, &content)
}

fn head(page: &HubPage<'_>, operation: &Operation, title: &str) -> Markup {
    let progress = operation.progress();
    let total = operation.task.total;
    let state = match (progress.ended, progress.is_stopped, progress.failed) {
        (None, true, _) => Text::OperationStopping,
        (None, false, _) => Text::OperationRuns,
        (Some(_), true, _) => Text::OperationStopped,
        (Some(_), false, 0) => Text::OperationSucceeded,
        (Some(_), false, _) => Text::OperationFailed,
    };
    let tone = match (progress.ended, progress.failed) {
        (_, 1..) => "red",
        (Some(_), 0) => "green",
        (None, 0) => "blue",
    };
    html! {
        header #state.live-part {
            h1 { (title) }
            span class={ "word " (tone) } { (page.say(state)) }
            span.about { (page.fill(Text::DoneOf, &[&progress.done, &total, &progress.failed])) }
            progress max=(total) value=(progress.done) aria-label=(title) {}
            @if progress.ended.is_none() && !progress.is_stopped && page.can_act() {
                form method="post" action="stop" {
                    (page.token_field())
                    button title=(page.say(Text::StopOperationHint)) { (page.say(Text::StopOperation)) }
                }
            }
        }
    }
}

/// The numbers of results by host.
fn hosts(page: &HubPage<'_>, operation: &Operation, results: &[ActionResult]) -> Markup {
    let is_single = operation.task.total == 1;
    let mut by_host: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for result in results {
        let counts = by_host.entry(&result.target.node).or_default();
        let (_, failed) = result_text(operation.task.action, result, is_single, page.language());
        counts.0 += 1;
        counts.1 += usize::from(failed);
    }
    let mut hosts: Vec<_> = by_host.into_iter().collect();
    // A stable sort keeps the order of names among those that failed and among the rest.
    hosts.sort_by_key(|(_, (_, failed))| *failed == 0);
    html! {
        section.card #hosts-done.live-part aria-labelledby="hosts-title" {
            h2 #hosts-title { (page.say(Text::Hosts)) }
            ul.results {
                @for (host, (done, failed)) in &hosts {
                    li class=(if *failed > 0 { "unmet" } else { "met" }) {
                        a href={ (page.request.root) (node_address(host)) } { (host) } " "
                        (page.fill(Text::DoneAndFailed, &[done, failed]))
                    }
                }
            }
        }
    }
}

fn list_results(page: &HubPage<'_>, operation: &Operation, results: &[ActionResult]) -> Markup {
    let is_single = operation.task.total == 1;
    let mut lines: Vec<(&ActionResult, String, bool)> = results
        .iter()
        .map(|result| {
            let action = operation.task.action;
            let (text, failed) = result_text(action, result, is_single, page.language());
            (result, text, failed)
        })
        .collect();
    lines.sort_by(|one, other| {
        let place = |line: &(&ActionResult, String, bool)| {
            (
                !line.2,
                line.0.target.node.clone(),
                line.0.target.namespec.clone(),
            )
        };
        place(one).cmp(&place(other))
    });
    html! {
        section #results-list.live-part aria-label=(page.say(Text::Results)) {
            @if lines.len() > RESULTS_SHOWN {
                p.note { (page.fill(Text::FirstOf, &[&RESULTS_SHOWN, &lines.len()])) }
            }
            table.plain-table {
                thead { tr {
                    th scope="col" { (page.say(Text::ColumnHost)) }
                    th scope="col" { (page.say(Text::ColumnName)) }
                    th scope="col" { (page.say(Text::ColumnResult)) }
                } }
                tbody {
                    @for (result, text, failed) in lines.iter().take(RESULTS_SHOWN) {
                        tr {
                            td { (result.target.node) }
                            td { (result.target.namespec) }
                            td class=(if *failed { "unmet" } else { "met" }) { (text) }
                        }
                    }
                }
            }
        }
    }
}

/// `POST /operations/{operation}/stop`.
pub(super) async fn stop(hub: &Arc<HubContext>, call: Call) -> Reply {
    let page = HubPage::new(hub, &call);
    let operation = operation_of(&page)?;
    operation.stop();
    Ok(page.lead_to(&format!("{OPERATIONS}{}/", operation.id), ""))
}

/// `GET /operations/`.
pub(super) async fn list(hub: &Arc<HubContext>, call: Call) -> Reply {
    let page = HubPage::new(hub, &call);
    let operations = hub.operations.of_user(page.user());
    let title = page.say(Text::Operations);
    let content = html! {
        div.process {
            h1 { (title) }
            @if operations.is_empty() { p.note { (page.say(Text::NoOperations)) } }
            ul.results #operations.live-part {
                @for operation in &operations {
                    @let progress = operation.progress();
                    li {
                        a href={ (operation.id) "/" } { (title_of(&page, operation)) } " "
                        (page.fill(Text::DoneOf, &[&progress.done, &operation.task.total, &progress.failed]))
                        span.age { (ago(operation.begun, page.language())) }
                    }
                }
            }
        }
    };
    let frame = page.frame(title, "./").scripts(&["process.js"], &[]);
    page.answer(StatusCode::OK, frame, &content)
}
