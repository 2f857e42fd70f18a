//! Selects nodes and processes by patterns.

use std::sync::Arc;

use crate::config::matches_name;
use crate::hub::api::call::Call;
use crate::hub::api::error::ApiError;
use crate::hub::node::{NodeView, ProcessView};
use crate::hub::server::HubContext;

/// Maximum number of patterns of a request.
pub(super) const PATTERNS_MAX: usize = 1000;

/// Which nodes. Each list that is empty selects all.
#[derive(Debug, Default)]
pub(super) struct NodeSelector {
    /// Patterns of names.
    pub(super) names: Vec<String>,
    /// Patterns of environments.
    pub(super) environments: Vec<String>,
    /// Tags.
    pub(super) tags: Vec<String>,
}

impl NodeSelector {
    /// The parameters `node`, `environment` and `tag` of a query string.
    pub(super) fn of_query(call: &Call) -> Self {
        let values = |name| {
            call.query_values(name)
                .into_iter()
                .take(PATTERNS_MAX)
                .collect()
        };
        Self {
            names: values("node"),
            environments: values("environment"),
            tags: values("tag"),
        }
    }

    pub(super) fn selects(&self, node: &NodeView) -> bool {
        let is_one_of = |patterns: &[String], name: &str| {
            patterns.is_empty() || patterns.iter().any(|pattern| matches_name(pattern, name))
        };
        is_one_of(&self.names, &node.name)
            && is_one_of(&self.environments, &node.environment)
            && (self.tags.is_empty() || self.tags.iter().any(|tag| node.tags.contains(tag)))
    }

    /// The nodes that it selects and the user may see.
    pub(super) fn nodes(&self, hub: &HubContext, call: &Call) -> Vec<Arc<NodeView>> {
        let limits = call.limits();
        let nodes = hub.fleet.nodes().into_iter();
        let nodes = nodes.filter(|node| limits.has_environment(&node.environment));
        nodes.filter(|node| self.selects(node)).collect()
    }
}

/// A pattern of processes: `name`, `group:name`, or either with `@node`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ProcessPattern {
    /// `None`: the name is in any group.
    group: Option<String>,
    name: String,
    /// `None`: on any node.
    node: Option<String>,
}

impl ProcessPattern {
    /// # Errors
    /// 400: a part is empty.
    pub(super) fn parse(text: &str) -> Result<Self, ApiError> {
        // A node may have a colon in its name, a process has no @ in practice.
        let (process, node) = match text.rsplit_once('@') {
            Some((process, node)) => (process, Some(node)),
            None => (text, None),
        };
        let (group, name) = match process.split_once(':') {
            Some((group, name)) => (Some(group), name),
            None => (None, process),
        };
        let parts = [group.unwrap_or("x"), name, node.unwrap_or("x")];
        if parts.iter().any(|part| part.is_empty()) {
            let message = format!("{text}: expected name, group:name, or either with @node");
            return Err(ApiError::wrong(message));
        }
        Ok(Self {
            group: group.map(str::to_owned),
            name: name.to_owned(),
            node: node.map(str::to_owned),
        })
    }

    pub(super) fn parse_all(texts: &[String]) -> Result<Vec<Self>, ApiError> {
        if texts.len() > PATTERNS_MAX {
            let message = format!("there are more than {PATTERNS_MAX} patterns");
            return Err(ApiError::wrong(message));
        }
        texts.iter().map(|text| Self::parse(text)).collect()
    }

    pub(super) fn matches(&self, node: &NodeView, process: &ProcessView) -> bool {
        let is = |pattern: &Option<String>, name: &str| {
            pattern
                .as_ref()
                .is_none_or(|pattern| matches_name(pattern, name))
        };
        is(&self.node, &node.name)
            && is(&self.group, &process.group)
            && matches_name(&self.name, &process.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_parsed() {
        let parse = |text: &str| {
            let pattern = ProcessPattern::parse(text).ok()?;
            let shown = |part: Option<String>| part.unwrap_or("-".to_owned());
            Some(format!(
                "{} {} {}",
                shown(pattern.group),
                pattern.name,
                shown(pattern.node)
            ))
        };
        for (text, expected) in [
            ("web", Some("- web -")),
            ("off:*@node1", Some("off * node1")),
            ("web*:*@eu-*", Some("web* * eu-*")),
            ("web@10.0.0.1:9001", Some("- web 10.0.0.1:9001")),
            ("", None),
            ("@node", None),
            ("web@", None),
            (":x", None),
            ("x:", None),
        ] {
            assert_eq!(parse(text).as_deref(), expected, "{text}");
        }
    }
}
