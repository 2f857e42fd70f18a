//! The table of processes by group. It is one form, so that each button works without a script.

use maud::{Markup, html};

use super::page_actions::{PAGE_ACTIONS, SELECTED};
use super::row::{ProcessRow, format_percent, format_size, is_enabled};
use super::row_text::{format_age, format_uptime};
use super::table_view::{SortColumn, TableView};
use super::texts::{Language, Text};
use crate::domain::ProcessState;
use crate::http_server::percent_encoding::url_quoted;

/// Number of bytes of a log that the table's links ask for.
const LOG_BYTES: u64 = 65536;

/// The table with what its parts need to know.
pub(crate) struct ProcessTable<'a> {
    pub(crate) language: Language,
    pub(crate) token: &'a str,
    pub(crate) view: &'a TableView,
    /// Whether the user may act on processes. If not, there are no buttons.
    pub(crate) can_act: bool,
    /// Whether the use of CPU and memory is known.
    pub(crate) has_usage: bool,
    pub(crate) links: &'a TableLinks,
}

/// Where the names of a table lead. Each makes an address relative to the table.
pub(crate) struct TableLinks {
    /// The page of a process, `group:name` or `name`.
    pub(crate) process: fn(&str) -> String,
    /// The page of a group.
    pub(crate) group: fn(&str) -> String,
    /// The logs of a group. `None`: there is no such page.
    pub(crate) group_logs: Option<fn(&str) -> String>,
}

const COLUMNS: [(SortColumn, Text); 8] = [
    (SortColumn::Name, Text::ColumnName),
    (SortColumn::State, Text::ColumnState),
    (SortColumn::Pid, Text::ColumnPid),
    (SortColumn::Uptime, Text::ColumnUptime),
    (SortColumn::Restarts, Text::ColumnRestarts),
    (SortColumn::Cpu, Text::ColumnCpu),
    (SortColumn::Memory, Text::ColumnMemory),
    (SortColumn::LastExit, Text::ColumnLastExit),
];

impl ProcessTable<'_> {
    /// Renders the table. `rows` are the rows of `views`. Rows that do not match the filter are hidden.
    pub(crate) fn render(&self, rows: &[ProcessRow]) -> Markup {
        let mut lines: Vec<&ProcessRow> = rows.iter().collect();
        self.view.sort(&mut lines);
        let is_sorted = self.view.order.is_some();
        let is_filtered = !self.view.filter.trim().is_empty();
        html! {
            form #processes method="post" action="actions" {
                input type="hidden" name="token" value=(self.token);
                @for (name, value) in self.view.parameters() {
                    @if name != "select" { input type="hidden" name=(name) value=(value); }
                }
                @if self.can_act { (self.render_selection(rows)) }
                table #statustable.filtered[is_filtered].sorted[is_sorted].unmeasured[!self.has_usage] role="table" {
                    (self.render_head())
                    @if is_sorted {
                        tbody role="rowgroup" {
                            @for row in &lines { (self.render_row(row, false, true)) }
                        }
                    } @else {
                        @for group in lines.chunk_by(|one, next| one.names.0 == next.names.0) {
                            (self.render_group(group))
                        }
                    }
                }
            }
        }
    }

    /// Selecting without a script: a link that selects, and buttons for what is selected.
    fn render_selection(&self, rows: &[ProcessRow]) -> Markup {
        let other = TableView {
            is_selected: !self.view.is_selected,
            ..self.view.clone()
        };
        let link = match self.view.is_selected {
            true => Text::SelectNone,
            false => Text::SelectShown,
        };
        html! {
            noscript {
                div.selection {
                    a #selectshown href=(other.address()) { (self.language.say(link)) }
                    @for action in PAGE_ACTIONS.iter().filter(|action| action.name != "clear" || rows.iter().any(|row| row.has_log)) {
                        button class=(action.name) name="do" value={ (action.name) " " (SELECTED) } { (self.language.say(action.label_selected)) }
                    }
                }
            }
        }
    }

    fn render_head(&self) -> Markup {
        let direction = |column| {
            let order = self.view.order.filter(|order| order.column == column)?;
            Some(match order.is_descending {
                true => "descending",
                false => "ascending",
            })
        };
        let language = self.language;
        html! {
            thead role="rowgroup" {
                tr role="row" {
                    th.select role="columnheader" scope="col" {
                        label.script hidden[!self.can_act] { input #selectall type="checkbox" aria-label=(language.say(Text::SelectShown)) title=(language.say(Text::SelectShown)); }
                    }
                    @for (column, name) in COLUMNS {
                        @let label = language.say(name);
                        th class=(column.name()) role="columnheader" scope="col" aria-sort=[direction(column)] {
                            a href=(self.view.sorted(column).address()) title=(language.fill(Text::SortBy, &[&label])) { (label) }
                        }
                    }
                    th.action role="columnheader" scope="col" { (language.say(Text::ColumnAction)) }
                }
            }
        }
    }

    fn render_group(&self, group: &[&ProcessRow]) -> Markup {
        let matches = |row: &ProcessRow| self.view.matches(row);
        let name = group.first().map_or("", |row| row.names.0.as_str());
        // A program with one process is a group of its own and needs no heading.
        let is_single = group.len() == 1 && group.iter().all(|row| row.names.1 == name);
        let is_folded = self.view.is_folded && !is_single;
        html! {
            tbody.folded[is_folded] role="rowgroup" data-group=(name) hidden[!group.iter().any(|row| matches(row))] {
                @if !is_single { (self.render_heading(name, group)) }
                @for row in group { (self.render_row(row, !is_single, false)) }
            }
        }
    }

    /// The heading of a group, with sums.
    fn render_heading(&self, name: &str, group: &[&ProcessRow]) -> Markup {
        let language = self.language;
        let is_running = |row: &&&ProcessRow| row.process_state == ProcessState::Running;
        let running = group.iter().filter(is_running).count();
        let (cpu, memory) = group.iter().fold((0, 0), |sum, row| {
            (sum.0 + row.figures.0, sum.1 + row.figures.1)
        });
        let restarts: u64 = group.iter().map(|row| row.restarts).sum();
        let worst = worst_tone(group);
        let has_log = group.iter().any(|row| row.has_log);
        html! {
            tr.group role="row" data-t=(worst) {
                td.select role="cell" {
                    label.script hidden[!self.can_act] { input type="checkbox" aria-label=(language.fill(Text::SelectProcess, &[&language.fill(Text::GroupPhrase, &[&name])])); }
                }
                th.name role="rowheader" scope="rowgroup" {
                    button.fold.script type="button" aria-expanded="true" { "▾" }
                    a href=((self.links.group)(name)) { (name) }
                }
                td.count role="cell" { span.running { (running) } (language.fill(Text::OfRunning, &[&group.len()])) }
                td.restarts role="cell" { (restarts) }
                td.cpu role="cell" { @if memory > 0 { (format_percent(cpu)) } }
                td.memory role="cell" { @if memory > 0 { (format_size(memory)) } }
                td.action role="cell" {
                    @if let Some(logs) = self.links.group_logs {
                    a.log href=(logs(name)) aria-label=(language.fill(Text::ActionOn, &[&language.say(Text::Logs), &name])) { (language.say(Text::Logs)) }
                    }
                    @for action in PAGE_ACTIONS.iter().filter(|action| self.can_act && (action.name != "clear" || has_log)) {
                        @let label = language.say(action.label);
                        @let on = language.fill(Text::ActionOn, &[&label, &language.fill(Text::GroupPhrase, &[&name])]);
                        @let ask = language.fill(Text::GroupQuestion, &[&label, &group.len(), &name]);
                        button class=(action.name) name="do" value={ (action.name) " " (name) ":*" }
                            title=(on) aria-label=(on) data-ask=[(action.name != "start").then_some(ask)] { (label) }
                    }
                }
            }
        }
    }

    fn render_row(&self, row: &ProcessRow, is_member: bool, is_flat: bool) -> Markup {
        let language = self.language;
        let (group, name) = (row.names.0.as_str(), row.names.1.as_str());
        let namespec = if group == name { name } else { row.id.as_str() };
        let shown = if is_flat { namespec } else { name };
        let log = format!(
            "tail.html?processname={}&limit={LOG_BYTES}&channel=both",
            url_quoted(namespec)
        );
        let is_hidden = !self.view.matches(row);
        let is_selected = self.view.is_selected && !is_hidden;
        let on = |label: &str| language.fill(Text::ActionOn, &[&label, &namespec]);
        html! {
            tr role="row" class=[is_member.then_some("member")] data-n=(row.id) data-o=(row.offers) data-l=(u8::from(row.has_log))
                data-s=(row.state) data-t=(row.tone) hidden[is_hidden] {
                td.select role="cell" {
                    label hidden[!self.can_act] { input type="checkbox" name="selected" value=(row.id) checked[is_selected] aria-label=(language.fill(Text::SelectProcess, &[&namespec])); }
                }
                td.name role="cell" { a href=((self.links.process)(namespec)) title=(namespec) { (shown) } }
                td.state role="cell" {
                    span class=(row.class) title=(row.description) { (row.state_word) }
                    span class={ "health " (row.health) } title=(row.health_reason) { (row.health_word) }
                }
                td.pid role="cell" { @if row.pid != 0 { (row.pid) } }
                td.uptime role="cell" data-u=[row.uptime] { @if let Some(seconds) = row.uptime { (format_uptime(seconds, language)) } }
                td.restarts role="cell" { (row.restarts) }
                td.cpu role="cell" { (row.cpu) }
                td.memory role="cell" { (row.memory) }
                td.ending role="cell" title=(row.ending) {
                    span { (row.ending) }
                    span.age data-a=[row.age] { @if let Some(age) = row.age { (format_age(age, language)) } }
                }
                td.action role="cell" {
                    a.log href=(log) aria-label=(on(language.say(Text::Log))) { (language.say(Text::Log)) }
                    @for action in PAGE_ACTIONS.iter().filter(|action| self.can_act && action.name != "clear") {
                        @let label = language.say(action.label);
                        button class=(action.name) name="do" value={ (action.name) " " (row.id) } aria-label=(on(label))
                            disabled[!is_enabled(row.offers, action.name)] { (label) }
                    }
                    @if row.has_log && self.can_act {
                        @let label = language.say(Text::Clear);
                        button.clear name="do" value={ "clear " (row.id) } title=(language.say(Text::ClearBoth)) aria-label=(on(label))
                            data-ask=(clear_question(name, group, language)) { (label) }
                    }
                }
            }
        }
    }
}

/// The colour of a group: that of its member which needs attention most.
fn worst_tone(group: &[&ProcessRow]) -> &'static str {
    ["red", "blue", "green"]
        .into_iter()
        .find(|tone| group.iter().any(|row| row.tone == *tone))
        .unwrap_or("grey")
}

/// The confirmation question before the logs of a process are cleared.
pub(crate) fn clear_question(process: &str, group: &str, language: Language) -> String {
    language.fill(Text::ClearQuestion, &[&process, &group])
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::row;
    use super::*;

    const LINKS: TableLinks = TableLinks {
        process: |name| format!("process.html?name={}", url_quoted(name)),
        group: |name| format!("group.html?name={}", url_quoted(name)),
        group_logs: None,
    };

    fn render(filter: &str, can_act: bool, rows: &[ProcessRow]) -> String {
        let table = ProcessTable {
            token: "t\"",
            language: Language::English,
            view: &TableView::default().filtered(filter),
            can_act,
            has_usage: true,
            links: &LINKS,
        };
        table.render(rows).into_string()
    }

    #[test]
    fn web_01_every_name_is_escaped_everywhere() {
        let mut failed = row("g<i>", "<b>\"'&", ProcessState::Fatal);
        failed.description = "<script>".to_owned();
        failed.health_reason = "<script>\"".to_owned();
        let html = render("", true, &[failed]);
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
        let running = |group, name| row(group, name, ProcessState::Running);
        let rows = [
            running("a", "a"),
            running("g", "x"),
            running("g", "y"),
            running("h", "z"),
        ];
        let html = render("", true, &rows);
        assert_eq!(html.matches("scope=\"rowgroup\"").count(), 2);
        assert!(html.contains("</span> of 2 running"), "{html}");
        let filtered = render(" G:X ", true, &rows);
        let hidden = filtered.matches(" hidden>").count();
        // Two of the three group bodies, and the rows that do not match.
        assert_eq!(hidden, 2 + 3, "{filtered}");
    }

    #[test]
    fn who_may_not_act_has_no_buttons() {
        let html = render("", false, &[row("g", "x", ProcessState::Running)]);
        assert!(!html.contains("name=\"do\""), "{html}");
        assert!(html.contains("class=\"log\""), "{html}");
    }
}
