//! Formats values as the text or JSON that people and scripts read. This module performs no I/O.

use serde::Serialize;

use super::printable;
use super::reply::{ConfigInfo, ProcessInfo};
use crate::api::xmlrpc::WireFault;
use crate::domain::{Namespec, python_repr};

/// Version of the format of all `--json` output. It increases when a field is removed or changes its meaning.
const SCHEMA: u32 = 1;
/// Minimum width of namespecs in `status`, in columns. Three blanks follow.
const NAME_COLUMNS_MIN: usize = 30;
/// Maximum number of lines of standard error that `status -v` shows of a process.
const STDERR_LINES_MAX: usize = 10;
/// Width of the list of actions.
const HELP_COLUMNS: usize = 79;

/// A fault in the format of Python's `repr`.
pub(super) fn fault(fault: &WireFault) -> String {
    format!("<Fault {}: {}>", fault.code, python_repr(&fault.text))
}

/// The table of `status`, one line per process.
pub(super) fn status(processes: &[&ProcessInfo]) -> Vec<String> {
    let names: Vec<String> = processes.iter().map(|process| process.namespec()).collect();
    let width = names
        .iter()
        .map(|name| name.chars().count())
        .max()
        .unwrap_or(0)
        .max(NAME_COLUMNS_MIN)
        + 3;
    names
        .iter()
        .zip(processes)
        .map(|(name, process)| {
            format!(
                "{name:width$}{:10}{}",
                process.statename, process.description
            )
        })
        .collect()
}

/// The lines of `status -v` below the line of a process.
pub(super) fn details(process: &ProcessInfo) -> Vec<String> {
    let mut lines = Vec::new();
    let Some(details) = &process.details else {
        return lines;
    };
    lines.push(format!("    restarts: {}", details.restarts));
    for (name, text) in [
        ("last exit", &details.lastexit),
        ("last error", &process.spawnerr),
    ] {
        if !text.is_empty() {
            lines.push(format!("    {name}: {text}"));
        }
    }
    if let Some(last) = details.laststderr.last() {
        let ago = process.now.saturating_sub(last.exited).max(0);
        lines.push(format!(
            "    last stderr, of pid {} ({}, {ago} s ago):",
            last.pid, last.exit
        ));
        let text = printable::all(last.text.trim_end());
        let all: Vec<&str> = text.lines().collect();
        let shown = &all[all.len().saturating_sub(STDERR_LINES_MAX)..];
        lines.extend(shown.iter().map(|line| format!("      {line}")));
    }
    lines
}

/// One line of `avail`.
pub(super) fn avail(config: &ConfigInfo) -> String {
    format!(
        "{:32} {:9} {:9} {}:{}",
        Namespec::print(&config.group, &config.name),
        if config.inuse { "in use" } else { "avail" },
        if config.autostart { "auto" } else { "manual" },
        config.group_prio,
        config.process_prio
    )
}

/// Arranges names in columns, filled from top to bottom, in as few lines as the width allows.
///
/// # Source
/// The output of Python's `cmd` module for `help`.
pub(super) fn columns(names: &[&str]) -> Vec<String> {
    let layout = |rows: usize| -> Vec<usize> {
        names
            .chunks(rows)
            .map(|column| column.iter().map(|name| name.len()).max().unwrap_or(0))
            .collect()
    };
    let rows = (1..names.len())
        .find(|&rows| {
            let widths = layout(rows);
            widths.iter().sum::<usize>() + 2 * (widths.len() - 1) <= HELP_COLUMNS
        })
        .unwrap_or(names.len());
    if rows == 0 {
        return Vec::new();
    }
    let widths = layout(rows);
    (0..rows)
        .map(|row| {
            let cells: Vec<String> = names
                .chunks(rows)
                .zip(&widths)
                .filter_map(|(column, &width)| column.get(row).map(|name| format!("{name:width$}")))
                .collect();
            cells.join("  ")
        })
        .collect()
}

/// `value` as one line of JSON, preceded by the version of the format.
pub(super) fn json(value: &impl Serialize) -> String {
    #[derive(Serialize)]
    struct VersionedJson<'a, T> {
        schema: u32,
        #[serde(flatten)]
        value: &'a T,
    }
    serde_json::to_string(&VersionedJson {
        schema: SCHEMA,
        value,
    })
    .expect("invariant: what is rendered has only text keys and no failing serializer")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ctl_25_columns_are_supervisors() {
        let names = [
            "add", "avail", "clear", "exit", "fg", "maintail", "open", "pid", "quit", "reload",
            "remove", "reread", "restart", "shutdown", "signal", "start", "status", "stop", "tail",
            "update", "version",
        ];
        assert_eq!(
            columns(&names),
            [
                "add    exit      open  reload  restart   start   tail   ",
                "avail  fg        pid   remove  shutdown  status  update ",
                "clear  maintail  quit  reread  signal    stop    version",
            ]
        );
        assert_eq!(columns(&["a"]), ["a"]);
        assert!(columns(&[]).is_empty());
    }

    #[test]
    fn ctl_08_status_columns_are_supervisors() {
        let process = |group: &str, name: &str, state: &str, description: &str| ProcessInfo {
            group: group.to_owned(),
            name: name.to_owned(),
            statename: state.to_owned(),
            description: description.to_owned(),
            ..ProcessInfo::default()
        };
        let cat = process("cat", "cat", "RUNNING", "pid 1, uptime 0:00:02");
        let starting = process("g", "x", "STARTING", "");
        assert_eq!(
            status(&[&cat, &starting]),
            [
                "cat                              RUNNING   pid 1, uptime 0:00:02",
                "g:x                              STARTING  ",
            ]
        );
        let long = process("g", &"n".repeat(40), "STOPPED", "Not started");
        assert_eq!(
            status(&[&long]),
            [format!("g:{}   STOPPED   Not started", "n".repeat(40))]
        );
    }
}
