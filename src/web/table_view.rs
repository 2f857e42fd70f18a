//! What of the table a page shows and in which order. The address of the page has it, so that it works without scripts.

use std::cmp::Ordering;

use super::form::Form;
use super::row::ProcessRow;
use crate::domain::ProcessState;
use crate::http_server::percent_encoding::url_quoted;

/// Maximum length of a filter that the page shows, in characters. It comes from the address, so anybody can set it.
pub(crate) const FILTER_MAX: usize = 500;

/// A column by which the table can be sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SortColumn {
    Name,
    /// The failing processes first.
    State,
    Pid,
    Uptime,
    Restarts,
    Cpu,
    Memory,
    LastExit,
}

impl SortColumn {
    /// Its name in addresses.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Name => "name",
            Self::State => "state",
            Self::Pid => "pid",
            Self::Uptime => "uptime",
            Self::Restarts => "restarts",
            Self::Cpu => "cpu",
            Self::Memory => "memory",
            Self::LastExit => "ending",
        }
    }

    /// Whether the first click shows the greatest value first.
    const fn begins_descending(self) -> bool {
        match self {
            Self::Name | Self::State | Self::Pid => false,
            Self::Uptime | Self::Restarts | Self::Cpu | Self::Memory | Self::LastExit => true,
        }
    }

    fn parse(name: &str) -> Option<Self> {
        [
            Self::Name,
            Self::State,
            Self::Pid,
            Self::Uptime,
            Self::Restarts,
            Self::Cpu,
            Self::Memory,
            Self::LastExit,
        ]
        .into_iter()
        .find(|column| column.name() == name)
    }
}

/// A column and a direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SortOrder {
    pub(crate) column: SortColumn,
    pub(crate) is_descending: bool,
}

impl SortOrder {
    /// Reads `column` or `-column`.
    fn parse(text: &str) -> Option<Self> {
        let (is_descending, name) = match text.strip_prefix('-') {
            Some(name) => (true, name),
            None => (false, text),
        };
        SortColumn::parse(name).map(|column| Self {
            column,
            is_descending,
        })
    }

    /// The inverse of `parse`.
    fn to_text(self) -> String {
        let sign = if self.is_descending { "-" } else { "" };
        format!("{sign}{}", self.column.name())
    }

    fn compare(self, one: &ProcessRow, other: &ProcessRow) -> Ordering {
        let order = match self.column {
            SortColumn::Name => Ordering::Equal,
            SortColumn::State => severity(one).cmp(&severity(other)),
            SortColumn::Pid => one.pid.cmp(&other.pid),
            SortColumn::Uptime => one.uptime.cmp(&other.uptime),
            SortColumn::Restarts => one.restarts.cmp(&other.restarts),
            SortColumn::Cpu => one.figures.0.cmp(&other.figures.0),
            SortColumn::Memory => one.figures.1.cmp(&other.figures.1),
            SortColumn::LastExit => one.stopped_at.cmp(&other.stopped_at),
        };
        let order = match self.is_descending {
            true => order.reverse(),
            false => order,
        };
        let by_name = one.id.cmp(&other.id);
        match self.column {
            SortColumn::Name if self.is_descending => by_name.reverse(),
            _ => order.then(by_name),
        }
    }
}

/// How much a process needs attention: 0 most. The page's script has the same order.
fn severity(row: &ProcessRow) -> u8 {
    match row.process_state {
        ProcessState::Fatal => 0,
        ProcessState::Backoff => 1,
        ProcessState::Unknown => 2,
        ProcessState::Exited if row.tone == "red" => 3,
        ProcessState::Running if row.tone == "red" => 4,
        ProcessState::Stopping => 5,
        ProcessState::Starting => 6,
        ProcessState::Exited => 7,
        ProcessState::Stopped => 8,
        ProcessState::Running => 9,
    }
}

/// What is shown, and how.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct TableView {
    /// The words that a process must match, as typed.
    pub(crate) filter: String,
    /// `None`: by group.
    pub(crate) order: Option<SortOrder>,
    /// Whether only the headings of groups are shown.
    pub(crate) is_folded: bool,
    /// Whether the processes that are shown are selected.
    pub(crate) is_selected: bool,
}

impl TableView {
    pub(crate) fn of(form: &Form) -> Self {
        let filter = form.get("filter").unwrap_or("");
        Self {
            filter: filter.chars().take(FILTER_MAX).collect(),
            order: form.get("sort").and_then(SortOrder::parse),
            is_folded: form.get("fold").is_some(),
            is_selected: form.get("select").is_some(),
        }
    }

    /// The parameters of its address.
    pub(crate) fn parameters(&self) -> Vec<(&'static str, String)> {
        let mut parameters = Vec::new();
        if !self.filter.is_empty() {
            parameters.push(("filter", self.filter.clone()));
        }
        if let Some(order) = self.order {
            parameters.push(("sort", order.to_text()));
        }
        if self.is_folded {
            parameters.push(("fold", "1".to_owned()));
        }
        if self.is_selected {
            parameters.push(("select", "1".to_owned()));
        }
        parameters
    }

    /// The address of a page with this view.
    pub(crate) fn address(&self) -> String {
        let parameters = self.parameters();
        let pairs = parameters
            .iter()
            .map(|(name, value)| format!("{name}={}", url_quoted(value)));
        match parameters.is_empty() {
            true => "./".to_owned(),
            false => format!("./?{}", pairs.collect::<Vec<_>>().join("&")),
        }
    }

    /// The same with another filter.
    pub(crate) fn filtered(&self, filter: &str) -> Self {
        Self {
            filter: filter.to_owned(),
            is_selected: false,
            ..self.clone()
        }
    }

    /// The same, sorted by a column. Sorted by this column already: in the other direction.
    pub(crate) fn sorted(&self, column: SortColumn) -> Self {
        let is_descending = match self.order {
            Some(order) if order.column == column => !order.is_descending,
            _ => column.begins_descending(),
        };
        let order = SortOrder {
            column,
            is_descending,
        };
        Self {
            order: Some(order),
            ..self.clone()
        }
    }

    /// Whether a process matches each word of the filter: a part of its name, its state or its health.
    pub(crate) fn matches(&self, row: &ProcessRow) -> bool {
        if self.filter.is_empty() {
            return true;
        }
        let id = row.id.to_lowercase();
        let filter = self.filter.to_lowercase();
        filter.split_whitespace().all(|word| {
            id.contains(word)
                || [
                    row.state.as_str(),
                    row.state_word,
                    row.health,
                    row.health_word,
                ]
                .contains(&word)
        })
    }

    /// Sorts the rows, unless they are shown by group.
    pub(crate) fn sort(&self, rows: &mut [&ProcessRow]) {
        if let Some(order) = self.order {
            rows.sort_by(|one, other| order.compare(one, other));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::row::tests::row;
    use super::*;

    fn view_of(query: &str) -> TableView {
        TableView::of(&Form::from_query(query))
    }

    #[test]
    fn an_address_gives_back_its_view() {
        for (query, expected) in [
            ("", "./"),
            (
                "filter=a%20b&sort=-cpu&fold=1",
                "./?filter=a%20b&sort=-cpu&fold=1",
            ),
            ("sort=nosuch&sort=x", "./"),
            ("sort=--cpu", "./"),
            ("select=1", "./?select=1"),
        ] {
            assert_eq!(view_of(query).address(), expected, "{query}");
        }
        let by_cpu = view_of("").sorted(SortColumn::Cpu);
        assert_eq!(by_cpu.address(), "./?sort=-cpu");
        assert_eq!(by_cpu.sorted(SortColumn::Cpu).address(), "./?sort=cpu");
        assert_eq!(by_cpu.sorted(SortColumn::Name).address(), "./?sort=name");
        assert_eq!(view_of("filter=x&select=1").filtered("").address(), "./");
    }

    #[test]
    fn rows_are_filtered_and_sorted() {
        let named = |name: &str, state, restarts, pid| {
            let mut row = row("g", name, state);
            (row.restarts, row.pid) = (restarts, pid);
            row
        };
        let rows = [
            named("a", ProcessState::Running, 2, 9),
            named("b", ProcessState::Fatal, 0, 0),
            named("c", ProcessState::Stopped, 5, 0),
            named("d", ProcessState::Running, 2, 8),
        ];
        let names = |rows: &[&ProcessRow]| {
            let names = rows.iter().map(|row| row.names.1.as_str());
            names.collect::<String>()
        };
        for (query, expected) in [
            ("", "abcd"),
            ("sort=-name", "dcba"),
            ("sort=state", "bcad"),
            ("sort=-restarts", "cadb"),
            ("sort=pid", "bcda"),
        ] {
            let mut sorted: Vec<&ProcessRow> = rows.iter().collect();
            view_of(query).sort(&mut sorted);
            assert_eq!(names(&sorted), expected, "{query}");
        }
        for (query, expected) in [
            ("filter=G:A", "a"),
            ("filter=running", "ad"),
            ("filter=running%20d", "d"),
            ("filter=%E8%BF%90%E8%A1%8C", "ad"),
            ("filter=runn", ""),
            ("filter=+", "abcd"),
        ] {
            let view = view_of(query);
            let matching: Vec<&ProcessRow> = rows.iter().filter(|row| view.matches(row)).collect();
            assert_eq!(names(&matching), expected, "{query}");
        }
    }
}
