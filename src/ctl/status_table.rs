//! The table of `status` for people at a terminal: columns by display width, coloured states, and a description that
//! explains the state. Without a terminal, `render::status` prints Supervisor's table. This module performs no I/O.

use super::printable;
use super::reply::ProcessInfo;
use super::screen::{Screen, Style, columns_of, cut, padded};
use crate::domain::ProcessState;

/// Minimum width of names, in columns. Three blanks follow, as in Supervisor.
const NAME_COLUMNS_MIN: usize = 30;
/// Width of states, in columns.
const STATE_COLUMNS: usize = 10;
/// Maximum width of a line of standard error in a description, in columns.
const STDERR_COLUMNS_MAX: usize = 200;

/// The table, one line per process.
pub(super) fn status_table(processes: &[&ProcessInfo], screen: &Screen) -> Vec<String> {
    let names: Vec<String> = processes
        .iter()
        .map(|process| printable::line(&process.namespec()))
        .collect();
    let widths = names.iter().map(|name| columns_of(name));
    let width = widths.max().unwrap_or(0).max(NAME_COLUMNS_MIN) + 3;
    names
        .iter()
        .zip(processes)
        .map(|(name, process)| {
            let state = &process.statename;
            let gap = " ".repeat(STATE_COLUMNS.saturating_sub(state.len()));
            let state = screen.styled(state, Style::of_state(state));
            let line = format!("{}{state}{gap}{}", padded(name, width), explain(process));
            line.trim_end().to_owned()
        })
        .collect()
}

/// Why a start or stop of a process failed. Empty: its state does not tell.
pub(super) fn explain_failure(process: &ProcessInfo) -> String {
    match ProcessState::from_code(process.state) {
        Some(
            ProcessState::Backoff
            | ProcessState::Fatal
            | ProcessState::Exited
            | ProcessState::Starting
            | ProcessState::Stopping,
        ) => format!("{}: {}", process.statename, explain(process)),
        _ => String::new(),
    }
}

/// Explains the state of a process.
fn explain(process: &ProcessInfo) -> String {
    let description = printable::line(&process.description);
    let details = process.details.as_ref();
    let last_exit = details.map_or("", |details| details.lastexit.as_str());
    let (how, at) = last_exit.split_once(" · ").unwrap_or((last_exit, ""));
    let mut parts: Vec<String> = Vec::new();
    match ProcessState::from_code(process.state) {
        Some(ProcessState::Backoff | ProcessState::Fatal) => {
            // The last exit is older than the failure of a dependency.
            let is_older = how.is_empty() || process.spawnerr.starts_with("dependency ");
            let why = match is_older {
                true => without_next_attempt(&description),
                false => how,
            };
            parts.push(printable::line(why));
        }
        Some(ProcessState::Stopped | ProcessState::Exited)
            if !how.is_empty() && begins_with_date(&description) =>
        {
            let age = age(process.now.saturating_sub(process.stop));
            parts.push(printable::line(&format!("{how}, {at} ({age})")));
            if let Some((_, next)) = description.split_once(", next run ") {
                parts.push(format!("next run {next}"));
            }
        }
        _ => parts.push(description),
    }
    parts.push(process.progress.clone());
    parts.push(last_stderr_line(process));
    parts.retain(|part| !part.is_empty());
    parts.join(", ")
}

/// The last line of what a failed process wrote to standard error. Empty: none is known.
fn last_stderr_line(process: &ProcessInfo) -> String {
    let details = process.details.as_ref().filter(|_| process.has_failed());
    let last = details.and_then(|details| details.laststderr.last());
    let line = last.and_then(|last| last.text.lines().rfind(|line| !line.trim().is_empty()));
    line.map_or_else(String::new, |line| {
        let line = printable::line(line.trim());
        format!("stderr: {}", cut(&line, STDERR_COLUMNS_MAX))
    })
}

/// The description without the time of the next attempt, which `progress` has too.
fn without_next_attempt(description: &str) -> &str {
    let at = description.find(", next attempt in ");
    at.map_or(description, |at| &description[..at])
}

/// Whether the description of a stopped process is Supervisor's date of the exit.
fn begins_with_date(description: &str) -> bool {
    let first = description.split(',').next().unwrap_or_default();
    first.ends_with(" AM") || first.ends_with(" PM")
}

/// How long ago something was, in the largest unit that fits.
fn age(seconds: i64) -> String {
    let seconds = seconds.max(0);
    match seconds {
        0..=119 => format!("{seconds} s ago"),
        120..=7_199 => format!("{} min ago", seconds / 60),
        7_200..=172_799 => format!("{} h ago", seconds / 3_600),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::super::reply::{LastStderr, ProcessDetails};
    use super::*;

    fn process(state: ProcessState, description: &str, last_exit: &str) -> ProcessInfo {
        ProcessInfo {
            name: "web".to_owned(),
            group: "web".to_owned(),
            state: i64::from(state.code()),
            statename: state.name().to_owned(),
            description: description.to_owned(),
            details: Some(ProcessDetails {
                lastexit: last_exit.to_owned(),
                ..ProcessDetails::default()
            }),
            now: 1_000,
            stop: 400,
            ..ProcessInfo::default()
        }
    }

    #[test]
    fn each_state_is_explained() {
        use ProcessState::{Backoff, Exited, Fatal, Running, Starting, Stopped, Stopping};
        let table = [
            (
                process(Running, "pid 7, uptime 0:00:02", ""),
                "",
                "pid 7, uptime 0:00:02",
            ),
            (
                process(Starting, "loading", ""),
                "for 4 s of 10 s",
                "loading, for 4 s of 10 s",
            ),
            (
                process(Stopping, "", ""),
                "SIGKILL in 6 s",
                "SIGKILL in 6 s",
            ),
            (
                process(
                    Backoff,
                    "Exited too quickly, next attempt in 2 s",
                    "exit status 1, too early · Nov 20 17:08",
                ),
                "retry 2 of 3 in 2 s",
                "exit status 1, too early, retry 2 of 3 in 2 s",
            ),
            (
                process(Fatal, "can't find command '/x'", ""),
                "",
                "can't find command '/x'",
            ),
            (
                process(Exited, "Nov 20 05:08 PM", "exit status 3 · Nov 20 17:08"),
                "restart in 2 s",
                "exit status 3, Nov 20 17:08 (10 min ago), restart in 2 s",
            ),
            (
                process(
                    Exited,
                    "Nov 20 05:08 PM, next run 2026-11-21 00:00:00",
                    "exit status 0 · Nov 20 17:08",
                ),
                "",
                "exit status 0, Nov 20 17:08 (10 min ago), next run 2026-11-21 00:00:00",
            ),
            (process(Stopped, "Not started", ""), "", "Not started"),
            (
                process(Stopped, "waiting for db", "stopped, SIGTERM · Nov 20 17:08"),
                "",
                "waiting for db",
            ),
        ];
        for (mut process, progress, expected) in table {
            process.progress = progress.to_owned();
            assert_eq!(explain(&process), expected);
        }
    }

    #[test]
    fn a_failed_process_shows_its_last_line_of_stderr() {
        let mut failed = process(ProcessState::Fatal, "unknown error", "exit status 1");
        failed.details_mut().laststderr = vec![LastStderr {
            namespec: "web".to_owned(),
            pid: 7,
            exited: 1,
            exit: "exit status 1".to_owned(),
            text: "first\ncannot bind \u{1b}[31mport 80\n\n".to_owned(),
        }];
        assert_eq!(
            explain(&failed),
            "exit status 1, stderr: cannot bind \u{fffd}[31mport 80"
        );
    }

    #[test]
    fn names_are_aligned_by_columns() {
        let mut chinese = process(ProcessState::Running, "pid 7, uptime 0:00:02", "");
        chinese.name = "数据库".to_owned();
        chinese.group = chinese.name.clone();
        let plain = process(ProcessState::Stopped, "Not started", "");
        let screen = Screen {
            has_colours: true,
            ..Screen::default()
        };
        assert_eq!(
            status_table(&[&chinese, &plain], &screen),
            [
                format!(
                    "数据库{}\x1b[32mRUNNING\x1b[0m   pid 7, uptime 0:00:02",
                    " ".repeat(27)
                ),
                format!("web{}\x1b[2mSTOPPED\x1b[0m   Not started", " ".repeat(30)),
            ]
        );
    }

    #[test]
    fn an_age_has_the_largest_unit_that_fits() {
        for (seconds, expected) in [
            (-5, "0 s ago"),
            (119, "119 s ago"),
            (120, "2 min ago"),
            (7_200, "2 h ago"),
            (172_800, "2 days ago"),
        ] {
            assert_eq!(age(seconds), expected);
        }
    }
}
