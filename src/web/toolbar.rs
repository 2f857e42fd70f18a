//! What is above the table: the counts of the states, the filter, and the buttons for all processes.

use std::collections::BTreeMap;

use maud::{Markup, html};

use super::page_actions::PAGE_ACTIONS;
use super::row::ProcessRow;
use super::row_text::state_text;
use super::table::ProcessTable;
use super::table_view::{FILTER_MAX, SortColumn, TableView};
use super::texts::Text;
use crate::domain::ProcessState;

/// The states in the order of their counts.
const STATES: [ProcessState; 8] = [
    ProcessState::Running,
    ProcessState::Starting,
    ProcessState::Backoff,
    ProcessState::Stopping,
    ProcessState::Fatal,
    ProcessState::Exited,
    ProcessState::Stopped,
    ProcessState::Unknown,
];

/// `may_update`: whether the caller may update the configuration.
pub(crate) fn render_toolbar(
    table: &ProcessTable<'_>,
    rows: &[ProcessRow],
    update: Option<&str>,
) -> Markup {
    let language = table.language;
    html! {
        div.tools {
            (render_counts(table, rows))
            (render_orders(table, rows))
            form #search method="get" action="./" role="search" {
                @for (name, value) in table.view.filtered("").parameters() {
                    input type="hidden" name=(name) value=(value);
                }
                input #filter type="search" name="filter" value=(table.view.filter) placeholder=(language.say(Text::FilterHint))
                    aria-label=(language.say(Text::FilterLabel)) autocomplete="off" maxlength=(FILTER_MAX);
                noscript { button { (language.say(Text::Filter)) } }
            }
            @if !rows.is_empty() && table.can_act {
                form.everything method="post" action="actions" {
                    input type="hidden" name="token" value=(table.token);
                    @for action in PAGE_ACTIONS.iter().filter(|action| action.name != "clear" || rows.iter().any(|row| row.has_log)) {
                        @let ask = language.fill(Text::AllQuestion, &[&language.say(action.label), &rows.len()]);
                        button class=(action.name) name="do" value={ (action.name) " *" } data-ask=(ask)
                            data-these=(action.label_these.name()) { (language.say(action.label_all)) }
                    }
                }
            }
            @if let Some(update) = update { a.button #update href=(update) { (language.say(Text::UpdateLink)) } }
        }
    }
}

/// How many processes are in each state. Each count is a filter.
fn render_counts(table: &ProcessTable<'_>, rows: &[ProcessRow]) -> Markup {
    let language = table.language;
    let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
    for row in rows {
        *counts.entry(row.process_state.name()).or_default() += 1;
    }
    html! {
        nav #counts aria-label=(language.say(Text::States)) {
            a href=(table.view.filtered("").address()) data-filter="" { b { (rows.len()) } (language.say(Text::CountOfProcesses)) }
            @for state in STATES {
                @let word = state.name().to_ascii_lowercase();
                @let count = counts.get(state.name()).copied().unwrap_or(0);
                a class=(word) href=(table.view.filtered(&word).address()) data-filter=(word) hidden[count == 0] {
                    b { (count) } " " (language.say(state_text(state)))
                }
            }
        }
    }
}

/// The orders of the table.
fn render_orders(table: &ProcessTable<'_>, rows: &[ProcessRow]) -> Markup {
    let language = table.language;
    let view = table.view;
    let by_group = TableView {
        order: None,
        ..view.clone()
    };
    let is_failing_first = view
        .order
        .is_some_and(|order| order.column == SortColumn::State);
    let folded = TableView {
        is_folded: !view.is_folded,
        ..view.clone()
    };
    let fold = match view.is_folded {
        true => Text::UnfoldGroups,
        false => Text::FoldGroups,
    };
    let has_groups = rows.iter().any(|row| row.names.0 != row.names.1);
    html! {
        @if !rows.is_empty() {
            nav #orders aria-label=(language.say(Text::Order)) {
                @if !is_failing_first {
                    a #failing href=(by_group.sorted(SortColumn::State).address()) { (language.say(Text::FailingFirst)) }
                }
                @if view.order.is_some() {
                    a #bygroup href=(by_group.address()) { (language.say(Text::ByGroup)) }
                } @else if has_groups {
                    a #foldall href=(folded.address()) { (language.say(fold)) }
                }
            }
        }
    }
}
