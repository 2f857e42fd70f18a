//! One process as the page shows it. The texts are the same in HTML and in live updates.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde::Serialize;

use crate::api::ProcessView;
use crate::domain::{ProcessHealth, ProcessState};
use crate::server::calls::last_exit::last_exit;
use crate::server::calls::process_members::description;
use crate::server::calls::process_usage::ProcessUsage;

/// The contents of a row. The short names are those of the live updates, which may carry a thousand rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(super) struct ProcessRow {
    /// `group:process`.
    #[serde(rename = "n")]
    pub(super) id: String,
    /// Its state in lower case.
    #[serde(rename = "s")]
    pub(super) state: String,
    /// The class of its state, as in Supervisor's page.
    #[serde(rename = "k")]
    pub(super) class: &'static str,
    /// The actions that are possible, as a word for the style sheet.
    #[serde(rename = "o")]
    pub(super) offers: &'static str,
    /// Whether the process has a log file that can be cleared.
    #[serde(rename = "l")]
    pub(super) has_log: bool,
    /// The description of `getProcessInfo`, without the uptime, which the page counts itself.
    #[serde(rename = "d")]
    pub(super) description: String,
    /// Its health as the badge shows it. Empty: there is no badge.
    #[serde(rename = "h")]
    pub(super) health: &'static str,
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
    /// CPU usage.
    #[serde(rename = "c")]
    pub(super) cpu: String,
    /// Resident memory.
    #[serde(rename = "m")]
    pub(super) memory: String,
}

impl ProcessRow {
    /// The row of a process. `usage` is `None` if it is unknown.
    pub(super) fn new(view: &ProcessView, usage: Option<ProcessUsage>, zone: &TimeZone) -> Self {
        let runs = view.pid != 0;
        let usage = usage.filter(|_| runs);
        Self {
            id: format!("{}:{}", view.group, view.name),
            state: view.state.name().to_ascii_lowercase(),
            class: state_class(view.state),
            offers: offers(view.state),
            has_log: view.stdout_logfile.is_some() || view.stderr_logfile.is_some(),
            description: match view.state {
                ProcessState::Running => format!("pid {}", view.pid),
                _ => description_with_time(view, zone),
            },
            health: health_badge(&view.health),
            health_reason: view.health.reason().to_owned(),
            pid: view.pid,
            uptime: runs.then_some(view.uptime),
            restarts: view.restarts,
            ending: discarded(view) + &last_exit(view, zone),
            cpu: usage
                .and_then(|usage| usage.cpu_permille)
                .map_or_else(String::new, format_percent),
            memory: usage.map_or_else(String::new, |usage| format_size(usage.memory)),
        }
    }

    /// Whether a page that shows `other` needs no update. The uptime is ignored, because pages count it themselves.
    pub(super) fn is_covered_by(&self, other: &Self) -> bool {
        let Self {
            id,
            state,
            class,
            offers,
            has_log,
            description,
            health,
            health_reason,
            pid,
            uptime,
            restarts,
            ending,
            cpu,
            memory,
        } = self;
        *id == other.id
            && *state == other.state
            && *class == other.class
            && *offers == other.offers
            && *has_log == other.has_log
            && *description == other.description
            && *health == other.health
            && *health_reason == other.health_reason
            && *pid == other.pid
            && uptime.is_some() == other.uptime.is_some()
            && *restarts == other.restarts
            && *ending == other.ending
            && *cpu == other.cpu
            && *memory == other.memory
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

/// The description of a process, with the time of the next attempt in place of the seconds until then, which would have to
/// be sent to the page again and again.
fn description_with_time(view: &ProcessView, zone: &TimeZone) -> String {
    let Some(at) = view.next_attempt else {
        return description(view, zone);
    };
    let next_attempt = None;
    let mut text = description(
        &ProcessView {
            next_attempt,
            ..view.clone()
        },
        zone,
    );
    if let Ok(at) = Timestamp::from_second(at) {
        let at = at.to_zoned(zone.clone());
        text.push_str(&format!(", next attempt at {}", at.strftime("%H:%M:%S")));
    }
    text
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

/// The events that a listener pool discarded. They come before the exit status because they matter more.
fn discarded(view: &ProcessView) -> String {
    match view.events_discarded {
        0 => String::new(),
        count => format!("{count} events discarded; "),
    }
}

/// Formats thousandths of one CPU as `12.3 %`.
fn format_percent(permille: u64) -> String {
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

/// Formats seconds in the two largest units. The page's script formats them the same way.
pub(super) fn format_uptime(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => format!("{minutes} min {} s", seconds % 60),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ExitReason, ExitStatus};
    use crate::domain::{Signal, SpawnError};
    use crate::server::calls::process_members::tests::cat;

    #[test]
    fn exit_reasons_are_described() {
        let term = ExitStatus::Signalled {
            signal: Signal::parse("TERM").expect("valid"),
            dumped: false,
        };
        let missing = Box::new(SpawnError::NotFound("/x".to_owned()));
        let table = [
            (None, ""),
            (
                Some(ExitReason::NotSpawned(missing)),
                "can't find command '/x'",
            ),
            (
                Some(ExitReason::TooQuick(ExitStatus::Exited(1))),
                "exit status 1, too early · Mar 1 00:00",
            ),
            (
                Some(ExitReason::Unready(ExitStatus::Exited(0))),
                "exit status 0, before it was ready · Mar 1 00:00",
            ),
            (
                Some(ExitReason::NotReady(term)),
                "readiness timeout, SIGTERM · Mar 1 00:00",
            ),
            (
                Some(ExitReason::Watchdog(term)),
                "watchdog, SIGTERM · Mar 1 00:00",
            ),
            (
                Some(ExitReason::ByItself(ExitStatus::Exited(0))),
                "exit status 0 · Mar 1 00:00",
            ),
            (
                Some(ExitReason::OnRequest(term)),
                "stopped, SIGTERM · Mar 1 00:00",
            ),
        ];
        for (given, expected) in table {
            let view = ProcessView {
                exit_reason: given,
                stop: 1_772_323_200,
                ..cat()
            };
            assert_eq!(last_exit(&view, &TimeZone::UTC), expected);
        }
    }

    #[test]
    fn numbers_are_shortened() {
        let seconds = [
            (5, "5 s"),
            (65, "1 min 5 s"),
            (3_700, "1 h 1 min"),
            (200_000, "2 d 7 h"),
        ];
        for (given, expected) in seconds {
            assert_eq!(format_uptime(given), expected);
        }
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
        let changes: [fn(&mut ProcessView); 11] = [
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
            ProcessRow::new(&view, None, &TimeZone::UTC)
        };
        assert!(row(5, 7).is_covered_by(&row(1, 7)));
        assert!(!row(5, 8).is_covered_by(&row(1, 7)));
        assert!(!row(5, 0).is_covered_by(&row(5, 7)));
    }
}
