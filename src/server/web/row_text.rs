//! The texts of a row in the language of the page.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::api::ProcessView;
use crate::domain::{ExitReason, ExitStatus, ProcessState};
use crate::web::row_text::format_time;
use crate::web::texts::{Language, Text};

/// What the state of a process is about. It contains points in time, never durations, which would have to be sent to the
/// page again and again.
pub(super) fn description(view: &ProcessView, zone: &TimeZone, language: Language) -> String {
    let mut text = match view.state {
        ProcessState::Running => language.fill(Text::DescribePid, &[&view.pid]),
        ProcessState::Backoff | ProcessState::Fatal if view.spawn_error.is_empty() => {
            language.say(Text::DescribeUnknownError).to_owned()
        }
        ProcessState::Stopped if !view.dependency_text.is_empty() => view.dependency_text.clone(),
        ProcessState::Stopped | ProcessState::Exited if view.start == 0 => {
            language.say(Text::DescribeNotStarted).to_owned()
        }
        ProcessState::Stopped | ProcessState::Exited => {
            let since = format_time(view.stop, Text::ExitTime, zone, language);
            language.fill(Text::DescribeSince, &[&since.unwrap_or_default()])
        }
        ProcessState::Starting | ProcessState::Stopping if view.spawn_error.is_empty() => {
            view.status_text.clone()
        }
        ProcessState::Unknown => view.status_text.clone(),
        ProcessState::Backoff
        | ProcessState::Fatal
        | ProcessState::Starting
        | ProcessState::Stopping => view.spawn_error.clone(),
    };
    let at = |seconds: Option<i64>| {
        let time = Timestamp::from_second(seconds?).ok()?;
        let time = time.to_zoned(zone.clone());
        Some(time.strftime("%Y-%m-%d %H:%M:%S").to_string())
    };
    if let Some(next) = at(view.next_attempt) {
        text.push_str(&language.fill(Text::NextAttempt, &[&next]));
    }
    if let Some(next) = at(view.next_run) {
        text.push_str(&language.fill(Text::NextRun, &[&next]));
    }
    if let Some(hold) = &view.hold {
        text.push_str(&match at(hold.until) {
            Some(until) => language.fill(Text::OnHoldUntil, &[&until]),
            None => language.say(Text::OnHold).to_owned(),
        });
        if !hold.reason.is_empty() {
            text.push_str(&language.fill(Text::OnHoldReason, &[&hold.reason]));
        }
    }
    text
}

/// The events that a listener pool discarded. They come before the exit status because they matter more.
pub(super) fn discarded(view: &ProcessView, language: Language) -> String {
    match view.events_discarded {
        0 => String::new(),
        count => language.fill(Text::EventsDiscarded, &[&count]),
    }
}

/// How the last attempt ended, and when. Empty: no attempt has ended.
pub(super) fn last_exit(view: &ProcessView, zone: &TimeZone, language: Language) -> String {
    let mut text = match &view.exit_reason {
        None => return String::new(),
        Some(reason @ ExitReason::NotSpawned(_)) => return exit_reason(reason, language),
        Some(reason) => exit_reason(reason, language),
    };
    if !view.resource_events.is_none() {
        text.push_str(language.say(Text::Separator));
        text.push_str(&view.resource_events.to_string());
    }
    if let Some(time) = format_time(view.stop, Text::ExitTime, zone, language) {
        text.push_str(" · ");
        text.push_str(&time);
    }
    text
}

/// How an attempt ended.
pub(super) fn exit_reason(reason: &ExitReason, language: Language) -> String {
    let with_status = |text, status: &ExitStatus| {
        let status = short_exit_status(*status, language);
        language.fill(text, &[&status])
    };
    match reason {
        ExitReason::NotSpawned(error) => error.to_string(),
        ExitReason::TooQuick(status) => with_status(Text::EndedTooEarly, status),
        ExitReason::Unready(status) => with_status(Text::EndedUnready, status),
        ExitReason::NotReady(status) => with_status(Text::EndedNotReady, status),
        ExitReason::Watchdog(status) => with_status(Text::EndedWatchdog, status),
        ExitReason::Unhealthy(status) => with_status(Text::EndedUnhealthy, status),
        ExitReason::ByItself(status) => short_exit_status(*status, language),
        ExitReason::OnRequest(status) => with_status(Text::EndedStopped, status),
    }
}

/// The exit status, short enough for a column: only the signal if there was one.
fn short_exit_status(status: ExitStatus, language: Language) -> String {
    match status {
        ExitStatus::Exited(code) => language.fill(Text::ExitCode, &[&code]),
        ExitStatus::Signalled {
            signal,
            dumped: false,
        } => signal.to_string(),
        ExitStatus::Signalled {
            signal,
            dumped: true,
        } if language != Language::English => language.fill(Text::ExitDumped, &[&signal]),
        ExitStatus::Unknown(0) => language.say(Text::ExitUnknown).to_owned(),
        ExitStatus::Signalled { .. } | ExitStatus::Unknown(_) => status.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Signal, SpawnError};
    use crate::server::calls::last_exit as status;
    use crate::server::calls::process_members::tests::cat;
    use crate::web::row_text::state_text;

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
            assert_eq!(
                last_exit(&view, &TimeZone::UTC, Language::English),
                expected
            );
            // The same as in the table of `status -v`.
            assert_eq!(status::last_exit(&view, &TimeZone::UTC), expected);
        }
    }

    #[test]
    fn a_row_speaks_chinese() {
        let view = ProcessView {
            exit_reason: Some(ExitReason::TooQuick(ExitStatus::Exited(1))),
            stop: 1_772_323_200,
            state: ProcessState::Stopped,
            ..cat()
        };
        let zone = TimeZone::UTC;
        assert_eq!(
            last_exit(&view, &zone, Language::Chinese),
            "退出码 1，过早退出 · 3月1日 00:00"
        );
        assert_eq!(
            description(&view, &zone, Language::Chinese),
            "自 3月1日 00:00"
        );
        assert_eq!(Language::Chinese.say(state_text(view.state)), "已停止");
    }
}
