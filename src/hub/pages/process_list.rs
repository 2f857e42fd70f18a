//! Which processes of all hosts a page shows or an action takes.

use std::collections::HashSet;

use super::hub_page::{HubPage, PROCESSES};
use super::lists::{filter_of, matches};
use crate::http_server::percent_encoding::url_quoted;
use crate::hub::node::{NodeView, ProcessView};
use crate::web::row_text::state_text;
use crate::web::texts::Language;

/// Separates the process and the host in the value of a check box. Neither name contains it.
const SEPARATOR: char = '\t';

/// The words that a process must match: a part of its name, its host or its environment, or its state.
pub(super) struct ProcessFilter {
    /// As typed.
    pub(super) text: String,
    language: Language,
}

impl ProcessFilter {
    pub(super) fn of(page: &HubPage<'_>) -> Self {
        Self {
            text: filter_of(page),
            language: page.language(),
        }
    }

    pub(super) fn matches(&self, node: &NodeView, process: &ProcessView) -> bool {
        let state = self.language.say(state_text(process.state));
        let words = format!(
            "{}:{} {} {} {} {state}",
            process.group,
            process.name,
            node.name,
            node.environment,
            process.state.name(),
        );
        self.text.is_empty() || matches(&words.to_lowercase(), &self.text)
    }

    /// The address of the page with this filter, relative to the root.
    pub(super) fn address(&self) -> String {
        match self.text.as_str() {
            "" => PROCESSES.to_owned(),
            text => format!("{PROCESSES}?filter={}", url_quoted(text)),
        }
    }
}

/// The value of the check box of a process.
pub(super) fn selected_value(node: &NodeView, process: &ProcessView) -> String {
    format!("{}{SEPARATOR}{}", process.namespec(), node.name)
}

/// The hosts and processes that a form selects.
pub(super) fn parse_selected(page: &HubPage<'_>) -> HashSet<(String, String)> {
    let values = page.form.all("selected");
    let pairs = values.filter_map(|value| value.split_once(SEPARATOR));
    pairs
        .map(|(namespec, node)| (node.to_owned(), namespec.to_owned()))
        .collect()
}
