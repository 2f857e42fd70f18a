//! The processes of all hosts: a filter over everything, a part of the list at a time, and buttons for those that are selected
//! or for all that match.

use std::sync::Arc;

use hyper::StatusCode;
use maud::{Markup, html};

use super::hub_page::{HubPage, PROCESSES, Reply, group_address, node_address};
use super::lists::{filter_form, visible_nodes};
use super::node::log_address;
use super::node_row::process_row;
use super::process_list::{ProcessFilter, selected_value};
use crate::domain::ProcessState;
use crate::hub::api::call::Call;
use crate::hub::api::perform::visible;
use crate::hub::node::{NodeView, ProcessView};
use crate::hub::server::HubContext;
use crate::web::frame::SEARCH_KEYS;
use crate::web::page_actions::{PAGE_ACTIONS, SELECTED};
use crate::web::row::state_tone;
use crate::web::row_text::{format_uptime, state_text};
use crate::web::texts::Text;

/// Number of processes of one part of the list.
const PART: usize = 200;

/// A process with its host.
type Found<'n> = (&'n Arc<NodeView>, &'n Arc<ProcessView>);

/// How much a process needs attention: 0 most.
fn severity(process: &ProcessView) -> u8 {
    match process.state {
        ProcessState::Fatal => 0,
        ProcessState::Backoff => 1,
        ProcessState::Unknown => 2,
        ProcessState::Exited if process.exit_status != 0 => 3,
        ProcessState::Starting | ProcessState::Stopping => 4,
        ProcessState::Exited | ProcessState::Stopped => 5,
        ProcessState::Running => 6,
    }
}

/// `GET /processes/`.
pub(super) async fn page(hub: &Arc<HubContext>, call: Call) -> Reply {
    let page = HubPage::new(hub, &call);
    let filter = ProcessFilter::of(&page);
    let nodes = visible_nodes(&page);
    let mut found: Vec<Found<'_>> = Vec::new();
    for node in &nodes {
        let matching = visible(node, &page.limits).filter(|process| filter.matches(node, process));
        found.extend(matching.map(|process| (node, process)));
    }
    // A stable sort keeps those of one host together.
    found.sort_by_key(|(_, process)| severity(process));
    let parts = found.len().div_ceil(PART).max(1);
    let part = page.field("part").parse().unwrap_or(1).clamp(1, parts);
    let shown: Vec<Found<'_>> = found
        .iter()
        .skip((part - 1) * PART)
        .take(PART)
        .copied()
        .collect();
    let title = page.say(Text::Processes);
    let content = html! {
        div.tools {
            h1 { (title) }
            (state_links(&page))
            (filter_form(&page, &filter.text, Text::FilterProcesses))
        }
        form #members-form method="post" action="actions" {
            (page.token_field())
            @if !filter.text.is_empty() { input type="hidden" name="filter" value=(filter.text); }
            @if page.can_act() && !found.is_empty() { (tools(&page, found.len())) }
            div #found.live-part {
                p.note { (page.fill(Text::CountMatching, &[&found.len()])) }
                @if !shown.is_empty() { (table(&page, &shown)) }
            }
        }
        (part_links(&page, &filter, part, parts))
    };
    let frame = page.frame(title, "./").current(PROCESSES);
    let frame = frame.scripts(&["process.js"], SEARCH_KEYS);
    page.answer(StatusCode::OK, frame, &content)
}

fn state_links(page: &HubPage<'_>) -> Markup {
    let states = [
        ProcessState::Running,
        ProcessState::Starting,
        ProcessState::Backoff,
        ProcessState::Fatal,
        ProcessState::Exited,
        ProcessState::Stopped,
    ];
    html! {
        nav #counts aria-label=(page.say(Text::States)) {
            a href="./" { (page.say(Text::ShowAll)) }
            @for state in states {
                @let word = state.name().to_ascii_lowercase();
                a class=(word) href={ "./?filter=" (word) } { (page.say(state_text(state))) }
            }
        }
    }
}

fn tools(page: &HubPage<'_>, count: usize) -> Markup {
    let actions = || PAGE_ACTIONS.iter().filter(|action| action.name != "clear");
    html! {
        div.selection {
            fieldset {
                legend { (page.say(Text::OnSelectedProcesses)) }
                @for action in actions() {
                    button class=(action.name) name="do" value={ (action.name) " " (SELECTED) } { (page.say(action.label_selected)) }
                }
            }
            fieldset {
                legend { (page.fill(Text::OnAllMatching, &[&count])) }
                @for action in actions() {
                    @let label = page.say(action.label);
                    @let all = page.fill(Text::OnAllMatching, &[&count]);
                    button class=(action.name) name="do" value={ (action.name) " *" }
                        data-ask=(page.fill(Text::ActionQuestion, &[&label, &all]))
                        aria-label=(page.fill(Text::ActionOn, &[&label, &all])) { (label) }
                }
            }
        }
    }
}

fn table(page: &HubPage<'_>, shown: &[Found<'_>]) -> Markup {
    let zone = crate::sys::time_zone();
    let root = &page.request.root;
    html! {
        table.plain-table.acting {
            thead { tr {
                @if page.can_act() { th.select scope="col" { span.hidden { (page.say(Text::OnSelectedProcesses)) } } }
                th scope="col" { (page.say(Text::ColumnName)) }
                th scope="col" { (page.say(Text::ColumnHost)) }
                th scope="col" { (page.say(Text::ColumnEnvironment)) }
                th scope="col" { (page.say(Text::ColumnState)) }
                th scope="col" { (page.say(Text::ColumnUptime)) }
                th scope="col" { (page.say(Text::ColumnLastExit)) }
            } }
            tbody { @for (node, process) in shown {
                @let row = process_row(node, process, &zone, page.language());
                @let host = node_address(&node.name);
                tr.stale[node.is_stale()] {
                    @if page.can_act() { td.select { label {
                        input type="checkbox" name="selected" value=(selected_value(node, process))
                            aria-label=(page.fill(Text::SelectProcess, &[&format!("{} {}", node.name, row.id)]));
                    } } }
                    th scope="row" {
                        // A program with one process is a group of its own.
                        @if process.group != process.name {
                            a href={ (root) (group_address(&process.group)) } { (process.group) } ":"
                        }
                        a href={ (root) (host) (log_address(&row.id)) } { (process.name) }
                    }
                    td { a href={ (root) (host) } { (node.name) } }
                    td { (node.environment) }
                    td {
                        span class={ "word " (state_tone(process.state, false, row.tone == "red")) } { (row.state_word) }
                        @if node.is_stale() { " " span.note { (page.say(Text::NotCurrent)) } }
                    }
                    td.number { @if let Some(seconds) = row.uptime { (format_uptime(seconds, page.language())) } }
                    td { (row.ending) }
                }
            } }
        }
    }
}

fn part_links(page: &HubPage<'_>, filter: &ProcessFilter, part: usize, parts: usize) -> Markup {
    let address = |part: usize| {
        let address = format!("{}{}", page.request.root, filter.address());
        let separator = if address.contains('?') { '&' } else { '?' };
        format!("{address}{separator}part={part}")
    };
    html! {
        @if parts > 1 {
            nav.parts aria-label=(page.say(Text::PartsOfList)) {
                @if part > 1 { a rel="prev" href=(address(part - 1)) { (page.say(Text::PartBefore)) } }
                span { (page.fill(Text::PartOf, &[&part, &parts])) }
                @if part < parts { a rel="next" href=(address(part + 1)) { (page.say(Text::PartAfter)) } }
            }
        }
    }
}
