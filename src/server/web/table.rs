//! The table of processes by group. It is one form, so that every button works without a script.

use maud::{Markup, html};

use super::actions::VERBS;
use super::form::quoted;
use super::row::{Row, is_enabled, uptime};
use crate::api::ProcessView;
use crate::domain::ProcessState;

/// How much of a log the table's links ask for, in bytes.
const LOG_BYTES: u64 = 65536;

/// The table; `rows` are those of `views`. Only what matches `filter` is shown.
pub(super) fn table(token: &str, filter: &str, views: &[ProcessView], rows: &[Row]) -> Markup {
    let filter = filter.trim().to_lowercase();
    let lines: Vec<(&ProcessView, &Row)> = views.iter().zip(rows).collect();
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
                    (body(group, &filter))
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

fn body(group: &[(&ProcessView, &Row)], filter: &str) -> Markup {
    let matches = |row: &Row| {
        filter.is_empty() || row.id.to_lowercase().contains(filter) || row.state == filter
    };
    let name = group.first().map_or("", |(view, _)| view.group.as_str());
    // A program of one process is a group of its own, of which nothing more is to be said.
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
                        a.log href={ "grouptail.html?group=" (quoted(name)) } { "Logs" }
                        @for verb in VERBS.iter().filter(|verb| verb.word != "clear" || group.iter().any(|(_, row)| row.has_log)) {
                            @let ask = ask(verb.label, &format!("all {} processes of group {name}", group.len()));
                            button class=(verb.word) name="do" value={ (verb.word) " " (name) ":*" }
                                title={ (verb.label) ": group " (name) } data-ask=[(verb.word != "start").then_some(ask)] { (verb.label) }
                        }
                    }
                }
            }
            @for (view, row) in group {
                (line(view, row, is_single, !matches(row)))
            }
        }
    }
}

/// A question before something is done to many.
fn ask(label: &str, whom: &str) -> String {
    format!("{label}: {whom}?")
}

/// The question before the logs of a process are emptied.
pub(super) fn ask_clear(process: &str, group: &str) -> String {
    format!("Clear both logs of process {process} of group {group}?")
}

fn line(view: &ProcessView, row: &Row, is_single: bool, hidden: bool) -> Markup {
    let namespec = if view.group.as_str() == view.name.as_str() {
        view.name.as_str()
    } else {
        row.id.as_str()
    };
    let link = quoted(namespec);
    html! {
        tr role="row" class=[(!is_single).then_some("member")] data-n=(row.id) data-o=(row.offers) data-l=(u8::from(row.has_log)) hidden[hidden] {
            td.name role="cell" { a href={ "tail.html?processname=" (link) "&limit=" (LOG_BYTES) } title=(namespec) { (view.name) } }
            td.state role="cell" { span class=(row.class) title=(row.description) { (row.state) } }
            td.pid role="cell" { @if row.pid != 0 { (row.pid) } }
            td.uptime role="cell" data-u=[row.uptime] { @if let Some(seconds) = row.uptime { (uptime(seconds)) } }
            td.restarts role="cell" { (row.restarts) }
            td.cpu role="cell" { (row.cpu) }
            td.memory role="cell" { (row.memory) }
            td.ending role="cell" title=(row.ending) { (row.ending) }
            td.action role="cell" {
                a.log href={ "tail.html?processname=" (link) "&limit=" (LOG_BYTES) } { "Log" }
                @for verb in VERBS.iter().filter(|verb| verb.word != "clear") {
                    button class=(verb.word) name="do" value={ (verb.word) " " (row.id) }
                        disabled[!is_enabled(row.offers, verb.word)] { (verb.label) }
                }
                @if row.has_log {
                    button.clear name="do" value={ "clear " (row.id) } title="Clear both logs"
                        data-ask=(ask_clear(view.name.as_str(), view.group.as_str())) { "Clear" }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{GroupName, ProcessName};
    use crate::server::render::tests::cat;
    use jiff::tz::TimeZone;

    #[test]
    fn web_01_every_name_is_escaped_everywhere() {
        let name = "<b>\"'&";
        let view = ProcessView {
            name: ProcessName::parse(name).expect("valid"),
            group: GroupName::parse("g<i>").expect("valid"),
            state: ProcessState::Fatal,
            spawn_error: "<script>".to_owned(),
            ..cat()
        };
        let row = Row::new(&view, None, &TimeZone::UTC);
        let html = table("t\"", "", &[view], &[row]).into_string();
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
    fn groups_have_a_head_and_single_programs_none() {
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
        let rows: Vec<Row> = views
            .iter()
            .map(|view| Row::new(view, None, &TimeZone::UTC))
            .collect();
        let html = table("t", "", &views, &rows).into_string();
        let heads = |html: &str| html.matches("scope=\"rowgroup\"").count();
        assert_eq!(heads(&html), 2);
        assert!(html.contains("</span> of 2 running"), "{html}");
        let filtered = table("t", " G:X ", &views, &rows).into_string();
        let hidden = filtered.matches(" hidden>").count();
        // Three bodies less one, and the rows that do not match.
        assert_eq!(hidden, 2 + 3, "{filtered}");
    }
}
