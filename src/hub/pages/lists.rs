//! What lists have in common: the hosts that a user may see, and the filter.

use std::sync::Arc;

use maud::{Markup, html};

use super::hub_page::HubPage;
use crate::hub::node::NodeView;
use crate::web::table_view::FILTER_MAX;
use crate::web::texts::Text;

/// The hosts that a user may see, in the order of the settings.
pub(super) fn visible_nodes(page: &HubPage<'_>) -> Vec<Arc<NodeView>> {
    let nodes = page.hub.fleet.nodes().into_iter();
    nodes
        .filter(|node| page.limits.has_environment(&node.environment))
        .collect()
}

/// What a filter compares, in lower case.
pub(super) fn filter_of(page: &HubPage<'_>) -> String {
    page.field("filter").chars().take(FILTER_MAX).collect()
}

/// Whether a text in lower case has each word of a filter.
pub(super) fn matches(words: &str, filter: &str) -> bool {
    let filter = filter.to_lowercase();
    filter.split_whitespace().all(|word| words.contains(word))
}

/// The field that filters the rows of a page.
pub(super) fn filter_form(page: &HubPage<'_>, filter: &str, label: Text) -> Markup {
    html! {
        form #search method="get" action="./" role="search" {
            input #filter type="search" name="filter" value=(filter) placeholder=(page.say(Text::FilterHint))
                aria-label=(page.say(label)) autocomplete="off" maxlength=(FILTER_MAX);
            noscript { button { (page.say(Text::Filter)) } }
        }
    }
}
