//! Processes as a node lists them: read from structs of XML-RPC or from JSON, checked, and made into views.

use std::collections::HashSet;
use std::sync::Arc;

use serde::Deserialize;

use super::interner::Interner;
use super::view::ProcessView;
use crate::api::xmlrpc::RpcValue;
use crate::domain::{ProcessState, is_deceptive};

/// Maximum number of processes of a node.
pub const PROCESSES_MAX: usize = 20_000;
/// Maximum length of the name of a process or of a group in characters.
const NAME_CHARS_MAX: usize = 255;
/// Maximum length of other texts in characters. Longer ones are cut.
const TEXT_CHARS_MAX: usize = 1024;

/// One process, unchecked.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub(super) struct ProcessRow {
    pub(super) name: String,
    pub(super) group: String,
    start: i64,
    stop: i64,
    now: i64,
    state: i64,
    spawnerr: String,
    exitstatus: i64,
    logfile: String,
    stdout_logfile: String,
    stderr_logfile: String,
    pid: i64,
    description: String,
    restarts: Option<u64>,
    nextattempt: i64,
    health: String,
    /// The Go project names the host here.
    node: Option<String>,
}

/// The processes of a node, by group and name.
#[derive(Debug, Default)]
pub(super) struct ProcessRows {
    pub(super) rows: Vec<ProcessRow>,
    /// Number of processes that were left out: their names are invalid or occur twice.
    pub(super) hidden: usize,
}

impl ProcessRow {
    /// The members that the event stream's side asks for.
    pub(super) const MEMBERS: [&'static str; 15] = [
        "name",
        "group",
        "start",
        "stop",
        "now",
        "state",
        "spawnerr",
        "exitstatus",
        "stdout_logfile",
        "stderr_logfile",
        "pid",
        "description",
        "restarts",
        "nextattempt",
        "health",
    ];

    /// Reads a struct of `getAllProcessInfo`. Members that are missing or have another type have their default, because
    /// servers differ; the names decide whether it is a process.
    fn of_struct(value: RpcValue) -> Option<Self> {
        let RpcValue::Struct(members) = value else {
            return None;
        };
        let mut row = Self::default();
        for (name, value) in members {
            match (name.as_str(), value) {
                ("name", RpcValue::Text(text)) => row.name = text,
                ("group", RpcValue::Text(text)) => row.group = text,
                ("spawnerr", RpcValue::Text(text)) => row.spawnerr = text,
                ("logfile", RpcValue::Text(text)) => row.logfile = text,
                ("stdout_logfile", RpcValue::Text(text)) => row.stdout_logfile = text,
                ("stderr_logfile", RpcValue::Text(text)) => row.stderr_logfile = text,
                ("description", RpcValue::Text(text)) => row.description = text,
                ("node", RpcValue::Text(text)) => row.node = Some(text),
                ("start", RpcValue::Int(number)) => row.start = number,
                ("stop", RpcValue::Int(number)) => row.stop = number,
                ("now", RpcValue::Int(number)) => row.now = number,
                ("state", RpcValue::Int(number)) => row.state = number,
                ("exitstatus", RpcValue::Int(number)) => row.exitstatus = number,
                ("pid", RpcValue::Int(number)) => row.pid = number,
                _ => {}
            }
        }
        Some(row)
    }

    /// The group and the name.
    pub(super) fn key(&self) -> (&str, &str) {
        (&self.group, &self.name)
    }

    fn has_valid_names(&self) -> bool {
        let is_valid = |text: &str| {
            !text.is_empty()
                && text.chars().count() <= NAME_CHARS_MAX
                && !text.contains(is_deceptive)
        };
        is_valid(&self.name) && is_valid(&self.group) && !self.group.contains(':')
    }

    /// The view of the process.
    pub(super) fn view(&self, interner: &Interner) -> ProcessView {
        let text = |text: &str| interner.intern(&one_line(text, TEXT_CHARS_MAX));
        let state = ProcessState::from_code(self.state).unwrap_or(ProcessState::Unknown);
        let stdout = match self.stdout_logfile.is_empty() {
            true => &self.logfile,
            false => &self.stdout_logfile,
        };
        let description = one_line(&self.description, TEXT_CHARS_MAX);
        let note = match state {
            ProcessState::Running => note_of_running(&description),
            _ => without_next_attempt(&description),
        };
        ProcessView {
            group: text(&self.group),
            name: text(&self.name),
            state,
            start: self.start,
            stop: self.stop,
            pid: i32::try_from(self.pid).unwrap_or(0),
            exit_status: i32::try_from(self.exitstatus).unwrap_or(-1),
            spawn_error: text(&self.spawnerr),
            stdout_logfile: text(stdout),
            stderr_logfile: text(&self.stderr_logfile),
            note: interner.intern(note),
            health: text(&self.health),
            restarts: self.restarts,
            next_attempt: self.nextattempt,
        }
    }
}

impl ProcessRows {
    /// Reads the result of `getAllProcessInfo`.
    ///
    /// # Errors
    /// Why it is no list of processes.
    pub(super) fn of_value(value: RpcValue) -> Result<Self, String> {
        let RpcValue::Array(items) = value else {
            return Err("its list of processes is no array".to_owned());
        };
        check_count(items.len())?;
        let rows: Option<Vec<ProcessRow>> = items.into_iter().map(ProcessRow::of_struct).collect();
        let rows = rows.ok_or("its list of processes has something else than processes")?;
        Ok(Self::checked(rows))
    }

    /// Reads a list in JSON.
    ///
    /// # Errors
    /// Why it is no list of processes.
    pub(super) fn of_json(json: &[u8]) -> Result<Self, String> {
        let rows: Vec<ProcessRow> = serde_json::from_slice(json)
            .map_err(|error| format!("its list of processes cannot be read: {error}"))?;
        check_count(rows.len())?;
        Ok(Self::checked(rows))
    }

    /// Sorts the processes, and leaves out those whose names cannot be shown or occur twice.
    fn checked(mut rows: Vec<ProcessRow>) -> Self {
        let listed = rows.len();
        for row in &mut rows {
            // A program of the Go project that is in no group.
            if row.group.is_empty() {
                row.group.clone_from(&row.name);
            }
        }
        rows.retain(ProcessRow::has_valid_names);
        rows.sort_by(|one, other| one.key().cmp(&other.key()));
        rows.dedup_by(|later, earlier| later.key() == earlier.key());
        Self {
            hidden: listed - rows.len(),
            rows,
        }
    }

    /// The node's clock minus that of this host in seconds. `None`: the node did not tell its time. `now`: seconds since
    /// the epoch by the clock of this host.
    pub(super) fn clock_offset(&self, now: i64) -> Option<i64> {
        let row = self.rows.iter().find(|row| row.now != 0)?;
        Some(row.now.saturating_sub(now))
    }

    /// Whether the Go project has written it.
    pub(super) fn is_of_go(&self) -> bool {
        self.rows.iter().any(|row| row.node.is_some())
    }
}

fn check_count(count: usize) -> Result<(), String> {
    match count > PROCESSES_MAX {
        true => Err(format!(
            "it lists {count} processes (maximum {PROCESSES_MAX})"
        )),
        false => Ok(()),
    }
}

/// A text without control characters, cut if it is long.
pub(super) fn one_line(text: &str, chars_max: usize) -> String {
    let shown = text.chars().take(chars_max);
    shown
        .map(|c| {
            if is_deceptive(c) {
                char::REPLACEMENT_CHARACTER
            } else {
                c
            }
        })
        .collect()
}

/// What follows `pid N, uptime T` in the description of a running process. The whole text, if that is not how it begins.
fn note_of_running(description: &str) -> &str {
    let digits =
        |text: &str| text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let after_uptime = || {
        let rest = description.strip_prefix("pid ")?;
        let mut rest = rest[digits(rest)..].strip_prefix(", uptime ")?;
        let after_number = &rest[digits(rest)..];
        let after_days = after_number
            .strip_prefix(" days, ")
            .or_else(|| after_number.strip_prefix(" day, "));
        rest = after_days.unwrap_or(rest);
        Some(rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == ':'))
    };
    match after_uptime() {
        Some(rest) => rest.strip_prefix(", ").unwrap_or(rest),
        None => description,
    }
}

/// The description without `, next attempt in N s`, which is true for a moment only.
fn without_next_attempt(description: &str) -> &str {
    let Some((before, after)) = description.rsplit_once(", next attempt in ") else {
        return description;
    };
    let seconds = after.strip_suffix(" s").unwrap_or_default();
    let is_number = !seconds.is_empty() && seconds.bytes().all(|byte| byte.is_ascii_digit());
    if is_number { before } else { description }
}

/// What a new list of processes changes.
#[derive(Debug, Default)]
pub(super) struct MergedProcesses {
    /// All processes after it.
    pub(super) processes: Vec<Arc<ProcessView>>,
    /// Those that are new or differ.
    pub(super) changed: Vec<Arc<ProcessView>>,
    /// Those that are gone.
    pub(super) removed: Vec<Arc<ProcessView>>,
}

/// Compares the processes of a node with what it lists now. Both are sorted by group and name. Processes that did not
/// change stay the same values.
pub(super) fn merge(
    known: &[Arc<ProcessView>],
    rows: &[ProcessRow],
    interner: &Interner,
) -> MergedProcesses {
    let mut merged = MergedProcesses {
        processes: Vec::with_capacity(rows.len()),
        ..MergedProcesses::default()
    };
    let mut known = known.iter().peekable();
    for row in rows {
        while let Some(gone) = known.next_if(|one| one.key() < row.key()) {
            merged.removed.push(gone.clone());
        }
        let view = row.view(interner);
        let same = known.next_if(|one| one.key() == row.key());
        let process = match same {
            Some(same) if **same == view => same.clone(),
            Some(_) | None => {
                let process = Arc::new(view);
                merged.changed.push(process.clone());
                process
            }
        };
        merged.processes.push(process);
    }
    merged.removed.extend(known.cloned());
    merged
}

/// Compares some of the processes of a node with what it lists of them now. `asked`: their groups and names.
pub(super) fn merge_some(
    known: &[Arc<ProcessView>],
    rows: &[ProcessRow],
    asked: &HashSet<(String, String)>,
    interner: &Interner,
) -> MergedProcesses {
    let is_asked = |process: &ProcessView| {
        asked.contains(&(process.group.to_string(), process.name.to_string()))
    };
    let (concerned, others): (Vec<_>, Vec<_>) =
        known.iter().cloned().partition(|process| is_asked(process));
    let mut merged = merge(&concerned, rows, interner);
    merged.processes.extend(others);
    merged
        .processes
        .sort_by(|one, other| one.key().cmp(&other.key()));
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(group: &str, name: &str) -> ProcessRow {
        ProcessRow {
            group: group.to_owned(),
            name: name.to_owned(),
            state: 20,
            pid: 7,
            description: "pid 7, uptime 0:00:01".to_owned(),
            ..ProcessRow::default()
        }
    }

    fn rows(rows: Vec<ProcessRow>) -> ProcessRows {
        ProcessRows::checked(rows)
    }

    #[test]
    fn names_that_cannot_be_shown_or_occur_twice_are_hidden() {
        let long = "x".repeat(NAME_CHARS_MAX + 1);
        let checked = rows(vec![
            row("web", "b"),
            row("web", "a"),
            row("web", "a"),
            row("", "alone"),
            row("", ""),
            row("web", "a\nb"),
            row("web", "\u{202e}a"),
            row("a:b", "c"),
            row("web", &long),
        ]);
        let keys: Vec<_> = checked.rows.iter().map(ProcessRow::key).collect();
        assert_eq!(keys, [("alone", "alone"), ("web", "a"), ("web", "b")]);
        assert_eq!(checked.hidden, 6);
    }

    #[test]
    fn a_description_loses_what_is_true_for_a_moment() {
        for (description, expected) in [
            ("pid 12, uptime 0:00:33", ""),
            ("pid 12, uptime 1 day, 3:00:33", ""),
            (
                "pid 12, uptime 12 days, 13:00:33, 3 events discarded, up",
                "3 events discarded, up",
            ),
            ("pid 12, uptime 0:00:33, 7 jobs", "7 jobs"),
            ("something else", "something else"),
            ("pid x", "pid x"),
            ("", ""),
        ] {
            assert_eq!(note_of_running(description), expected, "{description}");
        }
        for (description, expected) in [
            (
                "Exited too quickly, next attempt in 12 s",
                "Exited too quickly",
            ),
            ("x, next attempt in  s", "x, next attempt in  s"),
            ("x, next attempt in 1 s, y", "x, next attempt in 1 s, y"),
            ("Nov 20 05:08 PM", "Nov 20 05:08 PM"),
        ] {
            assert_eq!(without_next_attempt(description), expected);
        }
    }

    #[test]
    fn structs_of_all_servers_are_read() {
        let text = RpcValue::text;
        let go = RpcValue::Struct(vec![
            ("name".to_owned(), text("a")),
            ("group".to_owned(), text("a")),
            ("state".to_owned(), RpcValue::Int(30)),
            ("statename".to_owned(), text("Backoff")),
            ("pid".to_owned(), text("none")),
            ("logfile".to_owned(), text("/l\x1b")),
            ("now".to_owned(), RpcValue::Int(1_000_000)),
            ("node".to_owned(), text("n1")),
        ]);
        let read = ProcessRows::of_value(RpcValue::Array(vec![go])).expect("a list");
        assert!(read.is_of_go());
        assert_eq!(read.clock_offset(1_000_090), Some(-90));
        let view = read.rows[0].view(&Interner::new());
        assert_eq!((view.state, view.pid), (ProcessState::Backoff, 0));
        assert_eq!(&*view.stdout_logfile, "/l\u{fffd}");
        for wrong in [text("x"), RpcValue::Array(vec![text("x")])] {
            assert!(ProcessRows::of_value(wrong).is_err());
        }
        let many = vec![RpcValue::Struct(Vec::new()); PROCESSES_MAX + 1];
        assert!(ProcessRows::of_value(RpcValue::Array(many)).is_err());
        let json = br#"[{"name":"a","group":"g","state":20,"pid":7,"restarts":2,"health":"healthy","new":[1]}]"#;
        let ours = ProcessRows::of_json(json).expect("a list");
        assert_eq!((ours.rows[0].restarts, ours.is_of_go()), (Some(2), false));
        for wrong in ["{}", "[1]", "[{\"name\":1}]", "<html>", ""] {
            assert!(ProcessRows::of_json(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn only_what_differs_is_a_change() {
        let interner = Interner::new();
        let first = merge(
            &[],
            &rows(vec![row("web", "a"), row("web", "c")]).rows,
            &interner,
        );
        assert_eq!((first.changed.len(), first.removed.len()), (2, 0));
        let later = ProcessRow {
            description: "pid 7, uptime 0:00:09".to_owned(),
            now: 5,
            ..row("web", "a")
        };
        let same = merge(
            &first.processes,
            &rows(vec![later, row("web", "c")]).rows,
            &interner,
        );
        assert!(same.changed.is_empty() && same.removed.is_empty());
        assert!(Arc::ptr_eq(&same.processes[0], &first.processes[0]));
        let stopped = ProcessRow {
            state: 0,
            ..row("web", "c")
        };
        let other = merge(
            &first.processes,
            &rows(vec![row("web", "b"), stopped]).rows,
            &interner,
        );
        let names = |list: &[Arc<ProcessView>]| -> Vec<String> {
            list.iter()
                .map(|process| process.name.to_string())
                .collect()
        };
        assert_eq!(names(&other.changed), ["b", "c"]);
        assert_eq!(names(&other.removed), ["a"]);
        assert_eq!(names(&other.processes), ["b", "c"]);
    }

    #[test]
    fn of_some_processes_the_others_stay() {
        let interner = Interner::new();
        let known = merge(
            &[],
            &rows(vec![row("g", "a"), row("g", "b"), row("g", "c")]).rows,
            &interner,
        );
        let asked = ["a", "b"]
            .map(|name| ("g".to_owned(), name.to_owned()))
            .into();
        let answer = rows(vec![ProcessRow {
            state: 100,
            exitstatus: 3,
            ..row("g", "a")
        }]);
        let merged = merge_some(&known.processes, &answer.rows, &asked, &interner);
        let names: Vec<_> = merged
            .processes
            .iter()
            .map(|process| &*process.name)
            .collect();
        assert_eq!(names, ["a", "c"]);
        assert_eq!(merged.changed.len(), 1);
        assert_eq!(merged.changed[0].exit_status, 3);
        assert_eq!(&*merged.removed[0].name, "b");
    }
}
