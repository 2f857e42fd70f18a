//! What an action did: results for processes and groups, errors, and other output. `--json` prints all of it as one object; at
//! a terminal, failures come last. This module performs no I/O.

use serde::Serialize;

use crate::api::FaultCode;
use crate::domain::Namespec;

/// The result of an action for one process or group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct ActionResult {
    group: String,
    /// The process. `None`: the whole group.
    name: Option<String>,
    /// The process or group as people write it.
    namespec: String,
    ok: bool,
    /// The name of the fault, or `SUCCESS`.
    code: String,
    /// What happened, such as `started`.
    text: String,
}

impl ActionResult {
    /// The result of a fault code for one process. `is_ok`: the exit status does not count it as a failure.
    pub(super) fn of_process(spec: &Namespec, code: i64, is_ok: bool, text: &str) -> Self {
        let name = spec.process.clone();
        let namespec = match &name {
            Some(name) => Namespec::print(&spec.group, name),
            None => format!("{}:*", spec.group),
        };
        Self {
            group: spec.group.clone(),
            name,
            namespec,
            ok: is_ok,
            code: code_name(code),
            text: text.to_owned(),
        }
    }

    /// The result for a group as a whole.
    pub(super) fn of_group(name: &str, code: FaultCode, text: &str) -> Self {
        Self {
            group: name.to_owned(),
            name: None,
            namespec: name.to_owned(),
            ok: code == FaultCode::Success,
            code: code.name().to_owned(),
            text: text.to_owned(),
        }
    }

    pub(super) const fn is_ok(&self) -> bool {
        self.ok
    }

    /// Whether the server does not know the name.
    pub(super) fn is_unknown(&self) -> bool {
        self.code == FaultCode::BadName.name()
    }

    pub(super) fn namespec(&self) -> &str {
        &self.namespec
    }
}

/// The name of a fault code, or the number if it is unknown.
pub(super) fn code_name(code: i64) -> String {
    let known = FaultCode::ALL
        .iter()
        .find(|known| i64::from(known.code()) == code);
    known.map_or_else(|| code.to_string(), |known| known.name().to_owned())
}

/// An error that belongs to no single result.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct ActionError {
    /// The name of a fault or errno, or `ERROR`.
    pub(super) code: String,
    pub(super) text: String,
}

/// What an action did.
#[derive(Debug, Default)]
pub(super) struct ActionReport {
    pub(super) results: Vec<ActionResult>,
    /// Lines about failures, which are printed last.
    pub(super) failures: Vec<String>,
    pub(super) errors: Vec<ActionError>,
    /// Other output, with `--json`.
    pub(super) output: Vec<u8>,
    /// Whether the action has printed its own JSON.
    pub(super) has_document: bool,
    /// Names that the server does not know.
    pub(super) unknown: Vec<String>,
}

/// The object that `--json` prints of actions without an object of their own.
#[derive(Serialize)]
pub(super) struct ActionJson<'a> {
    pub(super) action: &'a str,
    pub(super) results: &'a [ActionResult],
    pub(super) errors: &'a [ActionError],
    #[serde(skip_serializing_if = "str::is_empty")]
    pub(super) output: &'a str,
}

impl ActionReport {
    /// Whether a further success gets a line of its own. Otherwise only the summary counts it.
    pub(super) fn has_room(&self) -> bool {
        const LINES_MAX: usize = 20;
        self.results.iter().filter(|result| result.ok).count() <= LINES_MAX
    }

    /// Counts the results in one line, such as `3 stopped, 1 failed`. `None`: there is only one result.
    pub(super) fn summary(&self) -> Option<String> {
        if self.results.len() < 2 {
            return None;
        }
        let mut counts: Vec<(&str, usize)> = Vec::new();
        let mut failed = 0;
        for result in &self.results {
            if !result.ok {
                failed += 1;
                continue;
            }
            let same = counts.iter_mut().find(|(text, _)| *text == result.text);
            match same {
                Some((_, count)) => *count += 1,
                None => counts.push((&result.text, 1)),
            }
        }
        if failed > 0 {
            counts.push(("failed", failed));
        }
        let parts = counts.iter().map(|(text, count)| format!("{count} {text}"));
        Some(parts.collect::<Vec<_>>().join(", "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(name: &str, code: FaultCode, text: &str) -> ActionResult {
        let spec = Namespec::parse(name);
        let is_ok = matches!(code, FaultCode::Success | FaultCode::AlreadyStarted);
        ActionResult::of_process(&spec, i64::from(code.code()), is_ok, text)
    }

    #[test]
    fn a_summary_counts_equal_results_and_failures_last() {
        let mut report = ActionReport::default();
        assert_eq!(report.summary(), None);
        report
            .results
            .push(result("a", FaultCode::SpawnError, "spawn error"));
        assert_eq!(report.summary(), None);
        for name in ["b", "g:c"] {
            report
                .results
                .push(result(name, FaultCode::Success, "started"));
        }
        report
            .results
            .push(result("d", FaultCode::AlreadyStarted, "already started"));
        assert_eq!(
            report.summary().as_deref(),
            Some("2 started, 1 already started, 1 failed")
        );
    }

    #[test]
    fn a_result_has_the_name_of_its_fault() {
        let value = serde_json::to_value(result("g:c", FaultCode::BadName, "no such process"));
        assert_eq!(
            value.expect("written"),
            serde_json::json!({"group": "g", "name": "c", "namespec": "g:c", "ok": false,
                "code": "BAD_NAME", "text": "no such process"})
        );
        assert_eq!(code_name(4711), "4711");
        let group = ActionResult::of_group("g", FaultCode::Success, "added");
        assert!(group.is_ok() && group.name.is_none());
    }
}
