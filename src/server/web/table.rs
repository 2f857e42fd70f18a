//! The table of processes by group. It is one form, so that each button works without a script.

use maud::{Markup, html};

use super::page_actions::PAGE_ACTIONS;
use super::row::{ProcessRow, format_uptime, is_enabled};
use crate::api::ProcessView;
use crate::domain::ProcessState;
use crate::server::http::percent_encoding::url_quoted;

/// Number of bytes of a log that the table's links ask for.
const LOG_BYTES: u64 = 65536;

/// Renders the table. `rows` are the rows of `views`. Rows that do not match `filter` are hidden.
pub(super) fn render_table(
    token: &str,
    filter: &str,
    views: &[ProcessView],
    rows: &[ProcessRow],
) -> Markup {
    let filter = filter.trim().to_lowercase();
    let lines: Vec<(&ProcessView, &ProcessRow)> = views.iter().zip(rows).collect();
    let groups = lines.chunk_by(|one, next| one.0.group == next.0.group);
    html! {
        form #processes method="post" action="actions" {
            input type="hidden" name="token" value=(token);
            table #statustable role="table" {
                thead role="rowgroup" {
                    tr role="row" {
                        @for (class, name) in COLUMNS {
                            th class=(class) role="columnheader" scope="col" { (name) }
                        }
                    }
                }
                @for group in groups {
                    (render_group(group, &filter))
                }
            }
        }
    }
}

const COLUMNS: [(&str, &str); 9] = [
    ("name", "Name"),
    ("state", "State"),
    ("pid", "PID"),
    ("uptime", "Uptime"),
    ("restarts", "Restarts"),
    ("cpu", "CPU"),
    ("memory", "Memory"),
    ("ending", "Last exit"),
    ("action", "Action"),
];

fn render_group(group: &[(&ProcessView, &ProcessRow)], filter: &str) -> Markup {
    let matches = |row: &ProcessRow| {
        filter.is_empty() || row.id.to_lowercase().contains(filter) || row.state == filter
    };
    let name = group.first().map_or("", |(view, _)| view.group.as_str());
    // A program with one process is a group of its own and needs no heading.
    let is_single = group.len() == 1 && group.iter().all(|(view, _)| view.name.as_str() == name);
    let running = group
        .iter()
        .filter(|(view, _)| view.state == ProcessState::Running)
        .count();
    html! {
        tbody role="rowgroup" data-group=(name) hidden[!group.iter().any(|(_, row)| matches(row))] {
            @if !is_single {
                tr.group role="row" {
                    th.name role="rowheader" scope="rowgroup" { (name) }
                    td.count role="cell" { span.running { (running) } " of " (group.len()) " running" }
                    td.action role="cell" {
                        a.log href={ "grouptail.html?group=" (url_quoted(name)) } { "Logs" }
                        @for action in PAGE_ACTIONS.iter().filter(|action| action.name != "clear" || group.iter().any(|(_, row)| row.has_log)) {
                            @let ask = confirm_question(action.label, &format!("all {} processes of group {name}", group.len()));
                            button class=(action.name) name="do" value={ (action.name) " " (name) ":*" }
                                title={ (action.label) ": group " (name) } data-ask=[(action.name != "start").then_some(ask)] { (action.label) }
                        }
                    }
                }
            }
            @for (view, row) in group {
                (render_row(view, row, is_single, !matches(row)))
            }
        }
    }
}

/// The confirmation question before an action on many processes.
fn confirm_question(label: &str, target: &str) -> String {
    format!("{label}: {target}?")
}

/// The confirmation question before the logs of a process are cleared.
pub(super) fn clear_question(process: &str, group: &str) -> String {
    format!("Clear both logs of process {process} of group {group}?")
}

fn render_row(view: &ProcessView, row: &ProcessRow, is_single: bool, hidden: bool) -> Markup {
    let namespec = if view.group.as_str() == view.name.as_str() {
        view.name.as_str()
    } else {
        row.id.as_str()
    };
    let link = url_quoted(namespec);
    html! {
        tr role="row" class=[(!is_single).then_some("member")] data-n=(row.id) data-o=(row.offers) data-l=(u8::from(row.has_log)) hidden[hidden] {
            td.name role="cell" { a href={ "tail.html?processname=" (link) "&limit=" (LOG_BYTES) } title=(namespec) { (view.name) } }
            td.state role="cell" {
                span class=(row.class) title=(row.description) { (row.state) }
                span class={ "health " (row.health) } title=(row.health_reason) { (row.health) }
            }
            td.pid role="cell" { @if row.pid != 0 { (row.pid) } }
            td.uptime role="cell" data-u=[row.uptime] { @if let Some(seconds) = row.uptime { (format_uptime(seconds)) } }
            td.restarts role="cell" { (row.restarts) }
            td.cpu role="cell" { (row.cpu) }
            td.memory role="cell" { (row.memory) }
            td.ending role="cell" title=(row.ending) { (row.ending) }
            td.action role="cell" {
                a.log href={ "tail.html?processname=" (link) "&limit=" (LOG_BYTES) } { "Log" }
                @for action in PAGE_ACTIONS.iter().filter(|action| action.name != "clear") {
                    button class=(action.name) name="do" value={ (action.name) " " (row.id) }
                        disabled[!is_enabled(row.offers, action.name)] { (action.label) }
                }
                @if row.has_log {
                    button.clear name="do" value={ "clear " (row.id) } title="Clear both logs"
                        data-ask=(clear_question(view.name.as_str(), view.group.as_str())) { "Clear" }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{GroupName, ProcessHealth, ProcessName};
    use crate::server::calls::process_members::tests::cat;
    use jiff::tz::TimeZone;

    #[test]
    fn web_01_every_name_is_escaped_everywhere() {
        let name = "<b>\"'&";
        let view = ProcessView {
            name: ProcessName::parse(name).expect("valid"),
            group: GroupName::parse("g<i>").expect("valid"),
            state: ProcessState::Fatal,
            spawn_error: "<script>".to_owned(),
            health: ProcessHealth::Unhealthy("<script>\"".to_owned()),
            ..cat()
        };
        let row = ProcessRow::new(&view, None, &TimeZone::UTC);
        let html = render_table("t\"", "", &[view], &[row]).into_string();
        for bad in ["<b>", "<i>", "<script>", "t\"\"", "'&\""] {
            assert!(!html.contains(bad), "{bad} {html}");
        }
        assert!(
            html.contains("value=\"start g&lt;i&gt;:&lt;b&gt;&quot;'&amp;\""),
            "{html}"
        );
        assert!(
            html.contains("processname=g%3Ci%3E%3A%3Cb%3E%22%27%26&amp;limit"),
            "{html}"
        );
    }

    #[test]
    fn groups_have_a_heading_and_single_programs_do_not() {
        let view = |group: &str, name: &str| ProcessView {
            name: ProcessName::parse(name).expect("valid"),
            group: GroupName::parse(group).expect("valid"),
            ..cat()
        };
        let views = [
            view("a", "a"),
            view("g", "x"),
            view("g", "y"),
            view("h", "z"),
        ];
        let rows: Vec<ProcessRow> = views
            .iter()
            .map(|view| ProcessRow::new(view, None, &TimeZone::UTC))
            .collect();
        let html = render_table("t", "", &views, &rows).into_string();
        let heads = |html: &str| html.matches("scope=\"rowgroup\"").count();
        assert_eq!(heads(&html), 2);
        assert!(html.contains("</span> of 2 running"), "{html}");
        let filtered = render_table("t", " G:X ", &views, &rows).into_string();
        let hidden = filtered.matches(" hidden>").count();
        // Two of the three group bodies, and the rows that do not match.
        assert_eq!(hidden, 2 + 3, "{filtered}");
    }
}
