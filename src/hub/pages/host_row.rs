//! One host as the overview shows it.

use std::sync::Arc;

use maud::{Markup, html};

use super::hub_page::{HubPage, node_address};
use crate::hub::api::perform::visible;
use crate::hub::api::process_counts::ProcessCounts;
use crate::hub::node::{NodeState, NodeView, WallMillis, wall_now};
use crate::web::row_text::format_age;
use crate::web::texts::{Language, Text};

/// The word for the state of a host.
pub(super) const fn node_state_text(state: NodeState) -> Text {
    match state {
        NodeState::Connecting => Text::NodeConnecting,
        NodeState::Connected => Text::NodeConnected,
        NodeState::Unreachable => Text::NodeUnreachable,
        NodeState::Unauthorized => Text::NodeUnauthorized,
        NodeState::NotASupervisor => Text::NodeNotASupervisor,
        NodeState::NoRpcInterface => Text::NodeNoRpcInterface,
        NodeState::Disabled => Text::NodeDisabled,
    }
}

/// The colour of the state of a host. The page's script has the same colours.
pub(super) const fn node_tone(state: NodeState) -> &'static str {
    match state {
        NodeState::Connected => "green",
        NodeState::Connecting => "blue",
        NodeState::Disabled => "grey",
        NodeState::Unreachable
        | NodeState::Unauthorized
        | NodeState::NotASupervisor
        | NodeState::NoRpcInterface => "red",
    }
}

/// How long ago something was.
pub(super) fn ago(at: WallMillis, language: Language) -> String {
    let seconds = (wall_now() - at).max(0) / 1000;
    format_age(seconds.unsigned_abs(), language)
}

/// One host with the numbers of its processes.
pub(super) struct HostRow<'n> {
    pub(super) node: &'n NodeView,
    pub(super) counts: ProcessCounts,
    /// Its place in the settings.
    at: usize,
}

impl<'n> HostRow<'n> {
    /// The rows of hosts in the order of the settings.
    pub(super) fn of_all(page: &HubPage<'_>, nodes: &'n [Arc<NodeView>]) -> Vec<Self> {
        let nodes = nodes.iter().enumerate();
        let rows = nodes.map(|(at, node)| Self {
            at,
            node,
            counts: ProcessCounts::of(visible(node, &page.limits)),
        });
        rows.collect()
    }

    /// How much the host needs attention: 0 most. The page's script has the same order.
    pub(super) fn severity(&self) -> u8 {
        match node_tone(self.node.state) {
            "red" => 0,
            _ if self.counts.failed > 0 => 1,
            "blue" => 2,
            _ if self.counts.starting > 0 => 3,
            _ if self.counts.stopped > 0 => 4,
            "grey" => 6,
            _ => 5,
        }
    }

    /// What the words of a filter are compared with, in lower case.
    pub(super) fn words(&self, language: Language) -> String {
        let node = self.node;
        let failing = if self.severity() < 2 { "failing" } else { "" };
        let parts = [
            &*node.name,
            &node.environment,
            &node.tags.join(" "),
            node.state.words(),
            language.say(node_state_text(node.state)),
            failing,
        ];
        parts.join(" ").to_lowercase()
    }

    pub(super) fn render(&self, page: &HubPage<'_>, is_hidden: bool) -> Markup {
        let (node, counts, language) = (self.node, &self.counts, page.language());
        let root = &page.request.root;
        html! {
            tr role="row" data-n=(node.name) data-s=(node.state.words()) data-t=(node_tone(node.state)) data-v=(self.severity()) data-i=(self.at)
                data-w=(self.words(language)) data-c=(counts_for_script(counts)) hidden[is_hidden] {
                th.name role="rowheader" scope="row" { a href={ (root) (node_address(&node.name)) } { (node.name) } }
                td.environment role="cell" { (node.environment) }
                td.state role="cell" { span { (page.say(node_state_text(node.state))) } }
                td.counts role="cell" { (render_counts(page, counts)) }
                td.reason role="cell" title=(node.reason) { (node.reason) }
                td.since role="cell" data-at=(node.since) { (ago(node.since, language)) }
                td.kind role="cell" {
                    @if let Some(kind) = node.kind { (kind.name()) " " (node.version) }
                }
            }
        }
    }
}

/// The numbers of processes that a script adds up.
pub(super) fn counts_for_script(counts: &ProcessCounts) -> String {
    let numbers = [
        counts.total,
        counts.running,
        counts.starting,
        counts.stopped,
        counts.failed,
    ];
    numbers.map(|number| number.to_string()).join(" ")
}

/// The numbers of processes. The page's script writes them in the same way.
pub(super) fn render_counts(page: &HubPage<'_>, counts: &ProcessCounts) -> Markup {
    let part = |count: usize, text, class: &'static str| {
        html! { @if count > 0 { " " span class={ "word " (class) } { (page.fill(text, &[&count])) } } }
    };
    html! {
        @if counts.total > 0 { span.share { (page.fill(Text::RunningOf, &[&counts.running, &counts.total])) } }
        (part(counts.failed, Text::CountFailed, "red"))
        (part(counts.starting, Text::CountStarting, "blue"))
        (part(counts.stopped, Text::CountStopped, "grey"))
    }
}
