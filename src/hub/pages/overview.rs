//! The overview: all hosts with the states of their processes, those that need attention first.

use std::collections::BTreeSet;
use std::sync::Arc;

use hyper::StatusCode;
use maud::{Markup, html};

use super::activity::render_records;
use super::host_row::HostRow;
use super::hub_page::{ACTIVITY, HubPage, OVERVIEW, Reply};
use super::lists::{filter_form, filter_of, matches, visible_nodes};
use crate::hub::api::call::Call;
use crate::hub::api::process_counts::ProcessCounts;
use crate::hub::api::visible_records::visible_records;
use crate::hub::node::NodeState;
use crate::hub::server::HubContext;
use crate::web::frame::PageKey;
use crate::web::texts::Text;

/// The keys of the page.
const KEYS: &[PageKey] = &[
    ("/", Text::KeyFilter),
    ("Esc", Text::KeyClear),
    ("?", Text::KeyHelp),
];
/// Number of records of the activity log that it shows.
const RECORDS_SHOWN: usize = 20;

/// `GET /`.
pub(super) async fn page(hub: &Arc<HubContext>, call: Call) -> Reply {
    let page = HubPage::new(hub, &call);
    let nodes = visible_nodes(&page);
    let mut rows = HostRow::of_all(&page, &nodes);
    let is_by_name = page.field("sort") == "name";
    // A stable sort keeps hosts of one kind in the order of the settings.
    match is_by_name {
        true => rows.sort_by(|one, other| one.node.name.cmp(&other.node.name)),
        false => rows.sort_by_key(HostRow::severity),
    }
    let filter = filter_of(&page);
    let environment = page.form.get("environment");
    let content = html! {
        div #overview data-root=(page.request.root) data-sort=[is_by_name.then_some("name")] {
            (cards(&page, &rows))
            div.tools {
                (state_links(&page, &rows))
                nav #orders aria-label=(page.say(Text::Order)) {
                    @if is_by_name {
                        a href="./" { (page.say(Text::FailingFirst)) }
                    } @else {
                        a href="./?sort=name" { (page.say(Text::ByName)) }
                    }
                }
                (filter_form(&page, &filter, Text::FilterHosts))
            }
            @if rows.is_empty() {
                div.empty { p.first { (page.say(Text::NoHosts)) } p { (page.say(Text::NoHostsHint)) } }
            } @else {
                (table(&page, &rows, &filter, environment))
            }
            (newest_activity(&page)?)
        }
    };
    let bar = html! {
        span #live.script.live title=(page.say(Text::LiveTitle)) { (page.say(Text::Connecting)) }
        noscript { a href="./" { (page.say(Text::Refresh)) } }
    };
    let frame = page.frame(page.say(Text::HubTitle), "./").bar(&bar);
    let frame = frame.current(OVERVIEW).scripts(&[], KEYS);
    page.answer(StatusCode::OK, frame, &content)
}

fn table(
    page: &HubPage<'_>,
    rows: &[HostRow<'_>],
    filter: &str,
    environment: Option<&str>,
) -> Markup {
    let columns = [
        ("name", Text::ColumnHost),
        ("environment", Text::ColumnEnvironment),
        ("state", Text::ColumnState),
        ("counts", Text::Processes),
        ("reason", Text::ColumnReason),
        ("since", Text::ColumnSince),
        ("kind", Text::ColumnVersion),
    ];
    let is_shown = |row: &HostRow<'_>| {
        let is_of_environment = environment.is_none_or(|name| *row.node.environment == *name);
        is_of_environment && matches(&row.words(page.language()), filter)
    };
    let is_nothing_shown = !rows.iter().any(is_shown);
    html! {
        p #nomatch.empty hidden[!is_nothing_shown] {
            span { (page.fill(Text::NoHostMatches, &[&filter])) } " " a href="./" data-filter="" { (page.say(Text::ShowAll)) }
        }
        table #hosts role="table" aria-label=(page.say(Text::Hosts)) {
            thead role="rowgroup" { tr role="row" {
                @for (class, name) in columns { th class=(class) role="columnheader" scope="col" { (page.say(name)) } }
            } }
            tbody role="rowgroup" { @for row in rows { (row.render(page, !is_shown(row))) } }
        }
    }
}

/// Links that filter by state, with the numbers of hosts.
fn state_links(page: &HubPage<'_>, rows: &[HostRow<'_>]) -> Markup {
    let failing = rows.iter().filter(|row| row.severity() < 2).count();
    let connected = count_connected(rows);
    html! {
        nav #counts aria-label=(page.say(Text::States)) {
            a href="./" data-filter="" { b { (rows.len()) } " " (page.say(Text::CountOfHosts)) }
            a.fatal href="./?filter=failing" data-filter="failing" { b { (failing) } " " (page.say(Text::CountFailing)) }
            a.running href="./?filter=connected" data-filter="connected" { b { (connected) } " " (page.say(Text::NodeConnected)) }
        }
    }
}

fn count_connected(rows: &[HostRow<'_>]) -> usize {
    let is_connected = |row: &&HostRow<'_>| row.node.state == NodeState::Connected;
    rows.iter().filter(is_connected).count()
}

/// The sums over all hosts.
fn cards(page: &HubPage<'_>, rows: &[HostRow<'_>]) -> Markup {
    let environments: BTreeSet<&str> = rows.iter().map(|row| &*row.node.environment).collect();
    let mut all = ProcessCounts::default();
    for row in rows {
        all += row.counts;
    }
    let connected = count_connected(rows);
    let card = |id: &str, name: Text, address: &str, count: usize, parts: &[(Text, usize)]| {
        html! {
            section.card id=(id) {
                h2 { a href={ (page.request.root) (address) } { (page.say(name)) } }
                b.sum { (count) }
                p { @for (at, (text, count)) in parts.iter().enumerate() {
                    @if at > 0 { " · " } span { (page.fill(*text, &[count])) }
                } }
            }
        }
    };
    html! {
        div.cards.sums {
            (card("sum-environments", Text::Environments, "environments/", environments.len(),
                &[(Text::CountHosts, rows.len()), (Text::CountProcesses, all.total)]))
            (card("sum-hosts", Text::Hosts, "./", rows.len(),
                &[(Text::CountConnected, connected), (Text::CountNotConnected, rows.len() - connected)]))
            (card("sum-processes", Text::Processes, "processes/", all.total,
                &[(Text::CountRunning, all.running), (Text::CountStopped, all.stopped + all.starting), (Text::CountFailed, all.failed)]))
        }
    }
}

fn newest_activity(page: &HubPage<'_>) -> Result<Markup, crate::hub::api::error::ApiError> {
    let records = visible_records(page.hub, page.call, RECORDS_SHOWN)?;
    Ok(html! {
        section #newest aria-labelledby="newest-title" {
            h2 #newest-title {
                (page.say(Text::Activity)) " "
                a.more href={ (page.request.root) (ACTIVITY) } { (page.say(Text::ShowAll)) }
            }
            (render_records(page, &records))
        }
    })
}
