//! Which processes a list contains, and whether it shows their use of CPU and memory.

use std::collections::HashMap;

use super::query::{Query, QueryKind, QueryParam};
use crate::api::{Fault, ProcessView};
use crate::config::matches_name;
use crate::domain::ProcessState;
use crate::http_server::blocking_pool::run_blocking;
use crate::server::calls::process_list::usage_targets;
use crate::server::calls::process_usage::ProcessUsage;
use crate::server::http::connection::HttpConnection;

const STATE: QueryParam = QueryParam {
    name: "state",
    kind: QueryKind::Words(state_names),
    doc: "Only processes in one of these states",
};
const GROUP: QueryParam = QueryParam {
    name: "group",
    kind: QueryKind::Texts,
    doc: "Only processes of one of these groups",
};
const NAME: QueryParam = QueryParam {
    name: "name",
    kind: QueryKind::Texts,
    doc: "Only processes whose name matches one of these patterns with `*`, `?` and `[abc]`. A pattern with a colon is compared with `group:process`",
};
const USAGE: QueryParam = QueryParam {
    name: "usage",
    kind: QueryKind::Switch,
    doc: "1: also the use of CPU and memory, as `usage`",
};

/// The parameters of a list of processes.
pub(super) const LIST_PARAMS: [&QueryParam; 4] = [&STATE, &GROUP, &NAME, &USAGE];
/// The parameters of one process.
pub(super) const ONE_PARAMS: [&QueryParam; 1] = [&USAGE];

fn state_names() -> Vec<&'static str> {
    ProcessState::ALL.map(ProcessState::name).into()
}

/// The use of CPU and memory by PID.
pub(super) type Usages = HashMap<i32, ProcessUsage>;

/// The parameters of one request.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct ProcessQuery {
    states: Vec<String>,
    groups: Vec<String>,
    names: Vec<String>,
    has_usage: bool,
}

impl ProcessQuery {
    /// Takes the parameters of a list.
    ///
    /// # Errors
    /// A value that its parameter does not have.
    pub(super) fn take_list(query: &mut Query) -> Result<Self, Fault> {
        Ok(Self {
            states: query.take_checked(&STATE)?,
            groups: query.take_checked(&GROUP)?,
            names: query.take_checked(&NAME)?,
            ..Self::take_one(query)?
        })
    }

    /// Takes the parameters of one process.
    ///
    /// # Errors
    /// A value that its parameter does not have.
    pub(super) fn take_one(query: &mut Query) -> Result<Self, Fault> {
        Ok(Self {
            has_usage: query
                .take_checked(&USAGE)?
                .first()
                .is_some_and(|value| value == "1"),
            ..Self::default()
        })
    }

    /// Removes the processes that the parameters do not mean. `None`: it panicked.
    pub(super) async fn filter(self, mut views: Vec<ProcessView>) -> Option<Vec<ProcessView>> {
        if self.states.is_empty() && self.groups.is_empty() && self.names.is_empty() {
            return Some(views);
        }
        // Sixty-four patterns for ten thousand processes take a while.
        run_blocking(move || {
            views.retain(|view| self.means(view));
            views
        })
        .await
    }

    fn means(&self, view: &ProcessView) -> bool {
        let (group, name) = (view.group.as_str(), view.name.as_str());
        let one_of = |values: &[String], value: &str| {
            values.is_empty() || values.iter().any(|known| known == value)
        };
        one_of(&self.states, view.state.name())
            && one_of(&self.groups, group)
            && (self.names.is_empty()
                || self
                    .names
                    .iter()
                    .any(|pattern| names_process(pattern, group, name)))
    }

    /// Samples the use of the processes, if the parameters ask for it.
    pub(super) async fn usages(
        &self,
        connection: &HttpConnection,
        views: &[ProcessView],
    ) -> Option<Usages> {
        match self.has_usage {
            true => Some(
                connection
                    .shared
                    .live
                    .usage
                    .sampler
                    .sample_usage(usage_targets(views))
                    .await,
            ),
            false => None,
        }
    }
}

/// Whether a pattern matches a process: its name, or with a colon `group:process`.
pub(super) fn names_process(pattern: &str, group: &str, process: &str) -> bool {
    match pattern.contains(':') {
        true => matches_name(pattern, &format!("{group}:{process}")),
        false => matches_name(pattern, process),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::calls::process_members::tests::cat;

    #[test]
    fn a_list_has_the_processes_that_all_parameters_mean() {
        let means = |query: &str| {
            let mut query = Query::read(query);
            let list = ProcessQuery::take_list(&mut query).expect("valid");
            query.finish().expect("all are known");
            list.means(&cat())
        };
        for (query, expected) in [
            ("", true),
            ("state=RUNNING", true),
            ("state=FATAL,EXITED", false),
            ("state=FATAL&state=RUNNING", true),
            ("group=cat", true),
            ("group=ca", false),
            ("name=c*", true),
            ("name=c%3A*", false),
            ("name=c*:?at", true),
            ("name=d*&name=*t", true),
            ("name=c*&group=x", false),
            ("usage=1", true),
        ] {
            assert_eq!(means(query), expected, "{query}");
        }
        let fault = ProcessQuery::take_list(&mut Query::read("state=running"));
        let fault = fault.expect_err("no state").to_string();
        assert!(
            fault.starts_with("INCORRECT_PARAMETERS: state takes STOPPED, "),
            "{fault}"
        );
    }
}
