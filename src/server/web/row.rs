//! One process as the page shows it. The texts are the same in HTML and in live updates.

use jiff::tz::TimeZone;
use serde::Serialize;

use super::row_text;
use super::texts::Language;
use crate::api::ProcessView;
use crate::domain::{ProcessHealth, ProcessState};
use crate::server::calls::process_usage::ProcessUsage;

/// The contents of a row. The short names are those of the live updates, which may carry a thousand rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct ProcessRow {
    /// `group:process`.
    #[serde(rename = "n")]
    pub(super) id: String,
    /// The name of its state, in lower case.
    #[serde(rename = "s")]
    pub(super) state: String,
    /// Its state in the language of the page.
    #[serde(rename = "v")]
    pub(super) state_word: &'static str,
    /// The class of its state, as in Supervisor's page.
    #[serde(rename = "k")]
    pub(super) class: &'static str,
    /// The colour of its state.
    #[serde(rename = "t")]
    pub(super) tone: &'static str,
    /// The actions that are possible, as a word for the style sheet.
    #[serde(rename = "o")]
    pub(super) offers: &'static str,
    /// Whether the process has a log file that can be cleared.
    #[serde(rename = "l")]
    pub(super) has_log: bool,
    /// What its state is about, without the uptime, which the page counts itself.
    #[serde(rename = "d")]
    pub(super) description: String,
    /// The name of its health as the badge shows it. Empty: there is no badge.
    #[serde(rename = "h")]
    pub(super) health: &'static str,
    /// Its health in the language of the page.
    #[serde(rename = "b")]
    pub(super) health_word: &'static str,
    /// Why it is unhealthy. Empty: it is not.
    #[serde(rename = "w")]
    pub(super) health_reason: String,
    /// PID. 0: not running.
    #[serde(rename = "p")]
    pub(super) pid: i32,
    /// Seconds since the process was spawned. `None`: not running.
    #[serde(rename = "u")]
    pub(super) uptime: Option<u64>,
    /// Number of restarts.
    #[serde(rename = "r")]
    pub(super) restarts: u64,
    /// How the last instance exited.
    #[serde(rename = "e")]
    pub(super) ending: String,
    /// Seconds since the last instance exited. `None`: no instance has exited.
    #[serde(rename = "a")]
    pub(super) age: Option<u64>,
    /// CPU usage with all children.
    #[serde(rename = "c")]
    pub(super) cpu: String,
    /// Memory with all children.
    #[serde(rename = "m")]
    pub(super) memory: String,
    /// CPU usage in thousandths of a processor and memory in bytes, for sums and orders.
    #[serde(skip)]
    pub(super) figures: (u64, u64),
}

impl ProcessRow {
    /// The row of a process. `usage` is `None` if it is unknown.
    pub(super) fn new(
        view: &ProcessView,
        usage: Option<ProcessUsage>,
        zone: &TimeZone,
        language: Language,
    ) -> Self {
        let runs = view.pid != 0;
        let usage = usage.filter(|_| runs);
        let permille = usage.and_then(|usage| usage.tree_permille);
        let health = health_badge(&view.health);
        let ending = row_text::last_exit(view, zone, language);
        Self {
            id: format!("{}:{}", view.group, view.name),
            state: view.state.name().to_ascii_lowercase(),
            state_word: language.say(row_text::state_text(view.state)),
            class: state_class(view.state),
            tone: tone(view),
            offers: offers(view.state),
            has_log: view.stdout_logfile.is_some() || view.stderr_logfile.is_some(),
            description: row_text::description(view, zone, language),
            health,
            health_word: language.say(row_text::health_text(health)),
            health_reason: view.health.reason().to_owned(),
            pid: view.pid,
            uptime: runs.then_some(view.uptime),
            restarts: view.restarts,
            age: (!ending.is_empty() && view.stop > 0)
                .then(|| u64::try_from(view.now.saturating_sub(view.stop)).unwrap_or(0)),
            ending: row_text::discarded(view, language) + &ending,
            cpu: permille.map_or_else(String::new, format_percent),
            memory: usage.map_or_else(String::new, |usage| format_size(usage.tree_memory)),
            figures: (
                permille.unwrap_or(0),
                usage.map_or(0, |usage| usage.tree_memory),
            ),
        }
    }

    /// Whether a page that shows `other` needs no update. Uptime and age are ignored, because pages count them
    /// themselves.
    pub(super) fn is_covered_by(&self, other: &Self) -> bool {
        let timeless = |row: &Self| Self {
            uptime: row.uptime.map(|_| 0),
            age: row.age.map(|_| 0),
            figures: (0, 0),
            ..row.clone()
        };
        timeless(self) == timeless(other)
    }
}

/// Whether both views of a process make the same row, apart from the uptime. Comparing views avoids making rows: a
/// thousand of them take a millisecond.
pub(super) fn is_same(one: &ProcessView, other: &ProcessView) -> bool {
    let ProcessView {
        name,
        group,
        state,
        start,
        stop,
        now: _,
        uptime: _,
        spawn_error,
        health,
        dependency_text,
        exit_status,
        restarts,
        next_attempt,
        exit_reason: ending,
        unexpected_exit,
        status_text,
        resource_events: causes,
        next_run,
        events_discarded,
        ready: _,
        // No part of the page.
        events_waiting: _,
        exits: _,
        has_cgroup: _,
        pid,
        uid,
        stdout_logfile,
        stderr_logfile,
    } = one;
    *pid == other.pid
        && *state == other.state
        && *name == other.name
        && *group == other.group
        && *start == other.start
        && *stop == other.stop
        && *spawn_error == other.spawn_error
        && *health == other.health
        && *dependency_text == other.dependency_text
        && *exit_status == other.exit_status
        && *restarts == other.restarts
        && *next_attempt == other.next_attempt
        && *ending == other.exit_reason
        && *unexpected_exit == other.unexpected_exit
        && *status_text == other.status_text
        && *causes == other.resource_events
        && *next_run == other.next_run
        && *events_discarded == other.events_discarded
        && *uid == other.uid
        && *stdout_logfile == other.stdout_logfile
        && *stderr_logfile == other.stderr_logfile
}

/// The badge for the health of a process. Nothing is shown before anything is known, which the state tells well enough.
const fn health_badge(health: &ProcessHealth) -> &'static str {
    match health {
        ProcessHealth::None | ProcessHealth::Starting => "",
        ProcessHealth::Healthy | ProcessHealth::Unhealthy(_) => health.name(),
    }
}

/// Whether a button of a row is enabled. Disabled buttons stay in place, so that a double click on one button never
/// hits another.
pub(super) fn is_enabled(offers: &str, word: &str) -> bool {
    match word {
        "start" => offers == "start",
        "stop" | "restart" => offers == "stop",
        _ => true,
    }
}

/// The actions that are possible in a state.
const fn offers(state: ProcessState) -> &'static str {
    match state {
        ProcessState::Stopped | ProcessState::Exited | ProcessState::Fatal => "start",
        ProcessState::Running | ProcessState::Starting | ProcessState::Backoff => "stop",
        ProcessState::Stopping | ProcessState::Unknown => "none",
    }
}

const fn state_class(state: ProcessState) -> &'static str {
    match state {
        ProcessState::Running => "statusrunning",
        ProcessState::Fatal | ProcessState::Backoff => "statuserror",
        ProcessState::Stopped
        | ProcessState::Starting
        | ProcessState::Stopping
        | ProcessState::Exited
        | ProcessState::Unknown => "statusnominal",
    }
}

/// The colour of a state: grey for what does not run, blue for what is about to change, red for what failed, green for
/// what runs.
const fn tone(view: &ProcessView) -> &'static str {
    match view.state {
        ProcessState::Running => match view.health {
            ProcessHealth::Unhealthy(_) => "red",
            _ => "green",
        },
        ProcessState::Starting | ProcessState::Stopping => "blue",
        ProcessState::Fatal | ProcessState::Backoff | ProcessState::Unknown => "red",
        ProcessState::Exited if view.unexpected_exit => "red",
        ProcessState::Exited | ProcessState::Stopped => "grey",
    }
}

/// Formats thousandths of one CPU as `12.3 %`.
pub(super) fn format_percent(permille: u64) -> String {
    if permille >= 1000 {
        format!("{} %", permille / 10)
    } else {
        format!("{}.{} %", permille / 10, permille % 10)
    }
}

/// Formats bytes in the unit that gives one to four digits.
pub(super) fn format_size(bytes: u64) -> String {
    let kib = bytes / 1024;
    match kib {
        0..1024 => format!("{kib} KiB"),
        1024..1_048_576 => format!("{}.{} MiB", kib / 1024, kib % 1024 * 10 / 1024),
        _ => {
            let mib = kib / 1024;
            format!("{}.{} GiB", mib / 1024, mib % 1024 * 10 / 1024)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ExitReason, ExitStatus};
    use crate::server::calls::process_members::tests::cat;

    #[test]
    fn numbers_are_shortened() {
        let sizes = [
            (0, "0 KiB"),
            (1_048_575, "1023 KiB"),
            (1_600_000, "1.5 MiB"),
            (5 << 30, "5.0 GiB"),
        ];
        for (given, expected) in sizes {
            assert_eq!(format_size(given), expected);
        }
        let shares = [(0, "0.0 %"), (999, "99.9 %"), (1_250, "125 %")];
        for (given, expected) in shares {
            assert_eq!(format_percent(given), expected);
        }
    }

    #[test]
    fn a_changed_field_makes_a_different_row() {
        let changes: [fn(&mut ProcessView); 12] = [
            |view| view.unexpected_exit = true,
            |view| view.health = ProcessHealth::Healthy,
            |view| view.pid = 8,
            |view| view.state = ProcessState::Stopping,
            |view| view.restarts = 1,
            |view| view.stop = 1,
            |view| view.status_text = "x".to_owned(),
            |view| view.spawn_error = "x".to_owned(),
            |view| view.dependency_text = "x".to_owned(),
            |view| view.events_discarded = 1,
            |view| view.stderr_logfile = None,
            |view| view.next_attempt = Some(1),
        ];
        for (at, change) in changes.iter().enumerate() {
            let mut view = cat();
            change(&mut view);
            assert!(!is_same(&cat(), &view), "{at}");
        }
        let later = ProcessView {
            now: cat().now + 5,
            uptime: 6,
            ..cat()
        };
        assert!(is_same(&cat(), &later));
    }

    #[test]
    fn a_growing_uptime_is_no_change() {
        let row = |uptime, pid| {
            let view = ProcessView {
                uptime,
                pid,
                ..cat()
            };
            ProcessRow::new(&view, None, &TimeZone::UTC, Language::English)
        };
        assert!(row(5, 7).is_covered_by(&row(1, 7)));
        assert!(!row(5, 8).is_covered_by(&row(1, 7)));
        assert!(!row(5, 0).is_covered_by(&row(5, 7)));
    }

    #[test]
    fn colours_mean_something() {
        let exited = |status| {
            let reason = ExitReason::ByItself(ExitStatus::Exited(status));
            ProcessView {
                state: ProcessState::Exited,
                exit_reason: Some(reason),
                unexpected_exit: status != 0,
                ..cat()
            }
        };
        let in_state = |state| ProcessView { state, ..cat() };
        for (view, expected) in [
            (cat(), "green"),
            (exited(0), "grey"),
            (exited(3), "red"),
            (in_state(ProcessState::Stopped), "grey"),
            (in_state(ProcessState::Stopping), "blue"),
            (in_state(ProcessState::Starting), "blue"),
            (in_state(ProcessState::Fatal), "red"),
        ] {
            assert_eq!(tone(&view), expected, "{view:?}");
        }
    }
}
