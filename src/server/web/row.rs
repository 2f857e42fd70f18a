//! The rows of the daemon's processes.

use jiff::tz::TimeZone;

use super::row_text;
use crate::api::ProcessView;
use crate::domain::ProcessHealth;
use crate::server::calls::process_usage::ProcessUsage;
use crate::web::row::{ProcessRow, format_percent, format_size, offers, state_class, state_tone};
use crate::web::row_text::{health_text, state_text};
use crate::web::texts::Language;

/// The row of a process. `usage` is `None` if it is unknown.
pub(super) fn process_row(
    view: &ProcessView,
    usage: Option<ProcessUsage>,
    zone: &TimeZone,
    language: Language,
) -> ProcessRow {
    let runs = view.pid != 0;
    let usage = usage.filter(|_| runs);
    let permille = usage.and_then(|usage| usage.tree_permille);
    let health = health_badge(&view.health);
    let ending = row_text::last_exit(view, zone, language);
    ProcessRow {
        id: format!("{}:{}", view.group, view.name),
        state: view.state.name().to_ascii_lowercase(),
        state_word: language.say(state_text(view.state)),
        class: state_class(view.state),
        tone: tone(view),
        offers: offers(view.state),
        has_log: view.stdout_logfile.is_some() || view.stderr_logfile.is_some(),
        description: row_text::description(view, zone, language),
        health,
        health_word: language.say(health_text(health)),
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
        names: (view.group.to_string(), view.name.to_string()),
        process_state: view.state,
        stopped_at: view.stop,
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
        progress: _,
        exit_reason: ending,
        unexpected_exit,
        status_text,
        resource_events: causes,
        next_run,
        events_discarded,
        ready: _,
        hold,
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
        && *hold == other.hold
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

/// The colour of the state of a process.
const fn tone(view: &ProcessView) -> &'static str {
    let is_unhealthy = matches!(view.health, ProcessHealth::Unhealthy(_));
    state_tone(view.state, is_unhealthy, view.unexpected_exit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{ExitReason, ExitStatus, ProcessState};
    use crate::server::calls::process_members::tests::cat;

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
            process_row(&view, None, &TimeZone::UTC, Language::English)
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
