//! The environments: their hosts, and buttons for all processes of each.

use std::sync::Arc;

use hyper::StatusCode;
use maud::{Markup, html};

use super::host_row::{HostRow, render_counts};
use super::hub_page::{ENVIRONMENTS, HubPage, Reply, node_address};
use super::lists::{filter_form, filter_of, matches, visible_nodes};
use crate::http_server::percent_encoding::url_quoted;
use crate::hub::api::call::Call;
use crate::hub::api::process_counts::ProcessCounts;
use crate::hub::node::NodeState;
use crate::hub::server::HubContext;
use crate::web::frame::SEARCH_KEYS;
use crate::web::page_actions::PAGE_ACTIONS;
use crate::web::texts::Text;

/// Number of hosts that the page names of each environment.
const HOSTS_NAMED: usize = 20;

/// The hosts of one environment.
struct Environment<'n> {
    name: &'n str,
    hosts: Vec<&'n HostRow<'n>>,
    counts: ProcessCounts,
}

impl Environment<'_> {
    fn words(&self) -> String {
        let hosts = self.hosts.iter().map(|row| &*row.node.name);
        let hosts: Vec<&str> = hosts.collect();
        format!("{} {}", self.name, hosts.join(" ")).to_lowercase()
    }

    fn shown_name<'t>(&'t self, page: &HubPage<'_>) -> &'t str {
        match self.name {
            "" => page.say(Text::WithoutName),
            name => name,
        }
    }
}

fn grouped<'n>(rows: &'n [HostRow<'n>]) -> Vec<Environment<'n>> {
    let mut environments: Vec<Environment<'n>> = Vec::new();
    for row in rows {
        let name = &*row.node.environment;
        let known = environments.iter().position(|known| known.name == name);
        let at = known.unwrap_or_else(|| {
            environments.push(Environment {
                name,
                hosts: Vec::new(),
                counts: ProcessCounts::default(),
            });
            environments.len() - 1
        });
        let environment = &mut environments[at];
        environment.hosts.push(row);
        environment.counts += row.counts;
    }
    environments.sort_by_key(|environment| environment.name);
    environments
}

/// `GET /environments/`.
pub(super) async fn page(hub: &Arc<HubContext>, call: Call) -> Reply {
    let page = HubPage::new(hub, &call);
    let nodes = visible_nodes(&page);
    let rows = HostRow::of_all(&page, &nodes);
    let environments = grouped(&rows);
    let filter = filter_of(&page);
    let title = page.say(Text::Environments);
    let content = html! {
        div.tools { h1 { (title) } (filter_form(&page, &filter, Text::FilterEnvironments)) }
        div #environments.live-part data-rows {
            @if environments.is_empty() { p.note { (page.say(Text::NoHosts)) } } @else {
                table.plain-table.acting {
                    thead { tr {
                        th scope="col" { (page.say(Text::ColumnEnvironment)) }
                        th scope="col" { (page.say(Text::Hosts)) }
                        th scope="col" { (page.say(Text::Processes)) }
                        @if page.can_act() { th scope="col" { (page.say(Text::ColumnAction)) } }
                    } }
                    tbody { @for environment in &environments {
                        (render_environment(&page, environment, !matches(&environment.words(), &filter)))
                    } }
                }
            }
        }
    };
    let frame = page.frame(title, "./").current(ENVIRONMENTS);
    let frame = frame.scripts(&["process.js"], SEARCH_KEYS);
    page.answer(StatusCode::OK, frame, &content)
}

fn render_environment(
    page: &HubPage<'_>,
    environment: &Environment<'_>,
    is_hidden: bool,
) -> Markup {
    let is_connected = |row: &&&HostRow<'_>| row.node.state == NodeState::Connected;
    let connected = environment.hosts.iter().filter(is_connected).count();
    let count = environment.hosts.len();
    let root = &page.request.root;
    html! {
        tr data-w=(environment.words()) hidden[is_hidden] {
            th scope="row" {
                @if environment.name.is_empty() { (environment.shown_name(page)) } @else {
                    a href={ (root) "?environment=" (url_quoted(environment.name)) } { (environment.shown_name(page)) }
                }
            }
            td {
                (page.fill(Text::ConnectedOf, &[&connected, &count]))
                p.note.names {
                    @for row in environment.hosts.iter().take(HOSTS_NAMED) {
                        a href={ (root) (node_address(&row.node.name)) } { (row.node.name) } " "
                    }
                    @if count > HOSTS_NAMED { (page.fill(Text::AndMore, &[&(count - HOSTS_NAMED)])) }
                }
            }
            td { (render_counts(page, &environment.counts)) }
            @if page.can_act() { td { (buttons(page, environment)) } }
        }
    }
}

fn buttons(page: &HubPage<'_>, environment: &Environment<'_>) -> Markup {
    let named = page.fill(Text::EnvironmentNamed, &[&environment.shown_name(page)]);
    html! {
        form.line method="post" action="actions" {
            (page.token_field())
            input type="hidden" name="environment" value=(environment.name);
            @for action in PAGE_ACTIONS.iter().filter(|action| action.name != "clear") {
                @let label = page.say(action.label);
                @let ask = page.fill(Text::ManyQuestion, &[&label, &environment.counts.total, &named]);
                button class=(action.name) name="do" value=(action.name) data-ask=(ask)
                    aria-label=(page.fill(Text::ActionOn, &[&label, &named])) { (label) }
            }
        }
    }
}
