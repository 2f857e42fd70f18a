//! A process of a host as a row of the daemon's table.

use jiff::tz::TimeZone;

use crate::domain::ProcessState;
use crate::hub::node::{NodeView, ProcessView, wall_now};
use crate::hub::users::AccessLimits;
use crate::web::row::{ProcessRow, offers, state_class, state_tone};
use crate::web::row_text::{format_time, health_text, state_text};
use crate::web::texts::{Language, Text};

/// The rows of a host within limits.
pub(super) fn node_rows(
    node: &NodeView,
    limits: &AccessLimits,
    language: Language,
) -> Vec<ProcessRow> {
    let zone = crate::sys::time_zone();
    let processes = crate::hub::api::perform::visible(node, limits);
    processes
        .map(|process| process_row(node, process, &zone, language))
        .collect()
}

/// The row of a process. Times of a host are by its own clock.
pub(super) fn process_row(
    node: &NodeView,
    process: &ProcessView,
    zone: &TimeZone,
    language: Language,
) -> ProcessRow {
    let now = node.now(wall_now());
    let state = process.state;
    let is_unhealthy = process.health == "unhealthy".into();
    let is_unexpected = state == ProcessState::Exited && process.exit_status != 0;
    let health = match &*process.health {
        "healthy" => "healthy",
        "unhealthy" => "unhealthy",
        _ => "",
    };
    let ending = ending(node, process, zone, language);
    let age = now.saturating_sub(process.stop).max(0).unsigned_abs();
    ProcessRow {
        id: process.namespec(),
        state: state.name().to_ascii_lowercase(),
        state_word: language.say(state_text(state)),
        class: state_class(state),
        tone: state_tone(state, is_unhealthy, is_unexpected),
        offers: offers(state),
        has_log: !process.stdout_logfile.is_empty() || !process.stderr_logfile.is_empty(),
        description: process.note.to_string(),
        health,
        health_word: language.say(health_text(health)),
        health_reason: String::new(),
        pid: process.pid,
        uptime: process.uptime(now),
        restarts: process.restarts.unwrap_or(0),
        age: (!ending.is_empty() && process.stop > 0).then_some(age),
        ending,
        cpu: String::new(),
        memory: String::new(),
        figures: (0, 0),
        names: (process.group.to_string(), process.name.to_string()),
        process_state: state,
        stopped_at: process.stop,
    }
}

/// How the last instance ended, and when. Empty: none has.
fn ending(node: &NodeView, process: &ProcessView, zone: &TimeZone, language: Language) -> String {
    if !process.spawn_error.is_empty() {
        return process.spawn_error.to_string();
    }
    if process.stop == 0 || process.state == ProcessState::Running && process.exit_status == 0 {
        return String::new();
    }
    let status = language.fill(Text::ExitCode, &[&process.exit_status]);
    // By the clock of this host, as all other times of the page.
    let stopped = process.stop.saturating_sub(node.clock_offset);
    match format_time(stopped, Text::ExitTime, zone, language) {
        Some(time) => format!("{status} · {time}"),
        None => status,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hub::node::tests::{connected_node, running};
    use std::sync::Arc;

    #[test]
    fn a_row_is_written_by_the_clock_of_the_host() {
        let process = ProcessView {
            state: ProcessState::Exited,
            exit_status: 3,
            stop: 1_772_323_200 + 3600,
            health: Arc::from("unhealthy"),
            ..running("a")
        };
        let mut node = connected_node("n");
        node.clock_offset = 3600;
        let row = process_row(&node, &process, &TimeZone::UTC, Language::English);
        assert_eq!(row.ending, "exit status 3 · Mar 1 00:00");
        assert_eq!(
            (row.tone, row.offers, row.health),
            ("red", "start", "unhealthy")
        );
        assert_eq!(row.id, "web:a");
        let spawned = ProcessView {
            spawn_error: Arc::from("can't find command '/x'"),
            ..process
        };
        let row = process_row(&node, &spawned, &TimeZone::UTC, Language::English);
        assert_eq!(row.ending, "can't find command '/x'");
    }
}
