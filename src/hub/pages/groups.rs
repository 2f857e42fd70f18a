//! The groups of processes over all hosts.

use std::collections::BTreeMap;
use std::sync::Arc;

use hyper::StatusCode;
use maud::{Markup, html};

use super::host_row::render_counts;
use super::hub_page::{GROUPS, HubPage, Reply, segment};
use super::lists::{filter_form, filter_of, matches, visible_nodes};
use crate::hub::api::call::Call;
use crate::hub::api::perform::visible;
use crate::hub::api::process_counts::ProcessCounts;
use crate::hub::node::NodeView;
use crate::hub::server::HubContext;
use crate::web::frame::SEARCH_KEYS;
use crate::web::page_actions::PAGE_ACTIONS;
use crate::web::texts::Text;

/// Maximum number of groups that the page shows.
const GROUPS_SHOWN: usize = 2000;

/// A group over all hosts.
#[derive(Default)]
struct GroupSummary<'n> {
    hosts: usize,
    last_host: &'n str,
    environments: Vec<&'n str>,
    counts: ProcessCounts,
}

fn summed<'n>(
    page: &HubPage<'_>,
    nodes: &'n [Arc<NodeView>],
) -> BTreeMap<String, GroupSummary<'n>> {
    let mut groups: BTreeMap<String, GroupSummary<'n>> = BTreeMap::new();
    for node in nodes {
        for process in visible(node, &page.limits) {
            if !groups.contains_key(&*process.group) {
                groups.insert(process.group.to_string(), GroupSummary::default());
            }
            let Some(group) = groups.get_mut(&*process.group) else {
                continue;
            };
            group.counts.add(process.state);
            // The processes of a host follow each other.
            if group.last_host != &*node.name {
                group.last_host = &node.name;
                group.hosts += 1;
            }
            if !group.environments.contains(&&*node.environment) {
                group.environments.push(&node.environment);
            }
        }
    }
    groups
}

/// `GET /groups/`.
pub(super) async fn page(hub: &Arc<HubContext>, call: Call) -> Reply {
    let page = HubPage::new(hub, &call);
    let nodes = visible_nodes(&page);
    let groups = summed(&page, &nodes);
    let filter = filter_of(&page);
    let is_shown = |name: &str, group: &GroupSummary<'_>| {
        let words = format!("{name} {}", group.environments.join(" "));
        matches(&words.to_lowercase(), &filter)
    };
    let title = page.say(Text::Groups);
    let content = html! {
        div.tools { h1 { (title) } (filter_form(&page, &filter, Text::FilterGroups)) }
        div #groups.live-part data-rows {
            @if groups.is_empty() { p.note { (page.say(Text::NoGroups)) } } @else {
                @if groups.len() > GROUPS_SHOWN {
                    p.note { (page.fill(Text::FirstOfGroups, &[&GROUPS_SHOWN, &groups.len()])) }
                }
                table.plain-table.acting {
                    thead { tr {
                        th scope="col" { (page.say(Text::GroupLabel)) }
                        th scope="col" { (page.say(Text::Hosts)) }
                        th scope="col" { (page.say(Text::ColumnEnvironment)) }
                        th scope="col" { (page.say(Text::Processes)) }
                        @if page.can_act() { th scope="col" { (page.say(Text::ColumnAction)) } }
                    } }
                    tbody { @for (name, group) in groups.iter().take(GROUPS_SHOWN) {
                        (render_group(&page, name, group, !is_shown(name, group)))
                    } }
                }
            }
        }
    };
    let frame = page.frame(title, "./").current(GROUPS);
    let frame = frame.scripts(&["process.js"], SEARCH_KEYS);
    page.answer(StatusCode::OK, frame, &content)
}

fn render_group(
    page: &HubPage<'_>,
    name: &str,
    group: &GroupSummary<'_>,
    is_hidden: bool,
) -> Markup {
    let environments = group.environments.join(", ");
    html! {
        tr data-w={ (name.to_lowercase()) " " (environments.to_lowercase()) } hidden[is_hidden] {
            th scope="row" { a href={ (segment(name)) "/" } { (name) } }
            td.number { (group.hosts) }
            td { (environments) }
            td { (render_counts(page, &group.counts)) }
            @if page.can_act() { td {
                form.line method="post" action={ (segment(name)) "/actions" } {
                    (page.token_field())
                    (all_buttons(page, name, group.counts.total))
                }
            } }
        }
    }
}

/// The buttons for a group on all its hosts.
pub(super) fn all_buttons(page: &HubPage<'_>, name: &str, count: usize) -> Markup {
    let named = page.fill(Text::GroupNamed, &[&name]);
    html! {
        @for action in PAGE_ACTIONS.iter().filter(|action| action.name != "clear") {
            @let label = page.say(action.label);
            @let ask = page.fill(Text::ManyQuestion, &[&label, &count, &named]);
            button class=(action.name) name="do" value={ (action.name) " *" } data-ask=(ask)
                aria-label=(page.fill(Text::ActionOn, &[&label, &named])) { (label) }
        }
    }
}
