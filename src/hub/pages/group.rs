//! A group on all its hosts, with buttons for all of them or for those that are selected.

use std::sync::Arc;

use hyper::StatusCode;
use maud::{Markup, html};

use super::groups::all_buttons;
use super::host_row::{node_state_text, node_tone, render_counts};
use super::hub_page::{GROUPS, HubPage, Reply, group_address, node_address};
use super::lists::{filter_form, filter_of, matches, visible_nodes};
use super::targets::AT_ONCE_MAX;
use crate::http_server::percent_encoding::url_quoted;
use crate::hub::api::call::Call;
use crate::hub::api::error::ApiError;
use crate::hub::api::perform::visible;
use crate::hub::api::process_counts::ProcessCounts;
use crate::hub::node::{NodeState, NodeView};
use crate::hub::server::HubContext;
use crate::web::frame::SEARCH_KEYS;
use crate::web::page_actions::{PAGE_ACTIONS, SELECTED};
use crate::web::texts::Text;

/// `GET /groups/{group}/`.
pub(super) async fn page(hub: &Arc<HubContext>, call: Call) -> Reply {
    let page = HubPage::new(hub, &call);
    let name = call.param("group");
    let nodes = visible_nodes(&page);
    let members: Vec<(&Arc<NodeView>, ProcessCounts)> = nodes
        .iter()
        .map(|node| {
            let of_group = visible(node, &page.limits).filter(|process| *process.group == *name);
            (node, ProcessCounts::of(of_group))
        })
        .filter(|(_, counts)| counts.total > 0)
        .collect();
    if members.is_empty() {
        return Err(ApiError::unknown(page.say(Text::NoSuchGroup).trim()));
    }
    for (node, _) in &members {
        hub.looks.look(&hub.fleet, node);
    }
    let mut all = ProcessCounts::default();
    for (_, counts) in &members {
        all += *counts;
    }
    let filter = filter_of(&page);
    let title = page.fill(Text::GroupHeading, &[&name]);
    let content = html! {
        div.tools {
            h1 { (title) }
            span #state.live-part { (render_counts(&page, &all)) }
            (filter_form(&page, &filter, Text::FilterHosts))
            a.button href={ (page.request.root) "processes/?filter=" (url_quoted(name)) } { (page.say(Text::Processes)) }
        }
        form #members-form method="post" action="actions" {
            (page.token_field())
            @if page.can_act() { (tools(&page, name, all.total)) }
            (table(&page, name, &members, &filter))
        }
    };
    let frame = page.frame(
        title,
        &format!("./{}{}", page.request.root, group_address(name)),
    );
    let frame = frame.current(GROUPS).scripts(&["process.js"], SEARCH_KEYS);
    page.answer(StatusCode::OK, frame, &content)
}

fn tools(page: &HubPage<'_>, name: &str, count: usize) -> Markup {
    html! {
        div.selection {
            fieldset { legend { (page.say(Text::OnAllHosts)) } (all_buttons(page, name, count)) }
            fieldset {
                legend { (page.say(Text::OnSelectedHosts)) }
                @for action in PAGE_ACTIONS.iter().filter(|action| action.name != "clear") {
                    @let label = page.say(action.label);
                    @let on = page.fill(Text::ActionOn, &[&label, &page.say(Text::OnSelectedHosts)]);
                    button class=(action.name) name="do" value={ (action.name) " " (SELECTED) } aria-label=(on) { (label) }
                }
            }
            label { (page.say(Text::AtOnce)) " "
                input type="number" name="at_once" min="1" max=(AT_ONCE_MAX) placeholder=(page.say(Text::AllAtOnce)); }
        }
    }
}

fn table(
    page: &HubPage<'_>,
    name: &str,
    members: &[(&Arc<NodeView>, ProcessCounts)],
    filter: &str,
) -> Markup {
    let words = |node: &NodeView| {
        let state = page.say(node_state_text(node.state));
        format!("{} {} {state}", node.name, node.environment).to_lowercase()
    };
    html! {
        div #members.live-part data-rows {
            table.plain-table.acting {
                thead { tr {
                    @if page.can_act() { th.select scope="col" { span.hidden { (page.say(Text::OnSelectedHosts)) } } }
                    th scope="col" { (page.say(Text::ColumnHost)) }
                    th scope="col" { (page.say(Text::ColumnEnvironment)) }
                    th scope="col" { (page.say(Text::ColumnState)) }
                    th scope="col" { (page.say(Text::Processes)) }
                } }
                tbody { @for (node, counts) in members {
                    tr data-w=(words(node)) hidden[!matches(&words(node), filter)] {
                        @if page.can_act() { td.select { label {
                            input type="checkbox" name="selected" value=(node.name) disabled[node.state != NodeState::Connected]
                                aria-label=(page.fill(Text::SelectProcess, &[&node.name]));
                        } } }
                        th scope="row" {
                            a href={ (page.request.root) (node_address(&node.name)) "?filter=" (url_quoted(name)) } { (node.name) }
                        }
                        td { (node.environment) }
                        td { span class={ "word " (node_tone(node.state)) } { (page.say(node_state_text(node.state))) } }
                        td { (render_counts(page, counts)) }
                    }
                } }
            }
        }
    }
}
