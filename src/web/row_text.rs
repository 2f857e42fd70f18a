//! Words and numbers of a row in the language of the page.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::texts::{Language, Text};
use crate::domain::ProcessState;

/// The word for a state.
pub(crate) const fn state_text(state: ProcessState) -> Text {
    match state {
        ProcessState::Running => Text::StateRunning,
        ProcessState::Starting => Text::StateStarting,
        ProcessState::Backoff => Text::StateBackoff,
        ProcessState::Stopping => Text::StateStopping,
        ProcessState::Fatal => Text::StateFatal,
        ProcessState::Exited => Text::StateExited,
        ProcessState::Stopped => Text::StateStopped,
        ProcessState::Unknown => Text::StateUnknown,
    }
}

/// The word for the health whose badge has this name.
pub(crate) fn health_text(badge: &str) -> Text {
    match badge {
        "" => Text::HealthNone,
        "unhealthy" => Text::HealthUnhealthy,
        _ => Text::HealthHealthy,
    }
}

/// A point in time as `format` writes it. `None`: it is outside the range of the calendar.
pub(crate) fn format_time(
    seconds: i64,
    format: Text,
    zone: &TimeZone,
    language: Language,
) -> Option<String> {
    let time = Timestamp::from_second(seconds).ok()?;
    let time = time.to_zoned(zone.clone());
    Some(time.strftime(language.say(format)).to_string())
}

/// Formats seconds in the two largest units. The page's script formats them the same way.
pub(crate) fn format_uptime(seconds: u64, language: Language) -> String {
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => language.fill(Text::SpanSeconds, &[&seconds]),
        (0, 0, minutes) => language.fill(Text::SpanMinutes, &[&minutes, &(seconds % 60)]),
        (0, hours, minutes) => language.fill(Text::SpanHours, &[&hours, &minutes]),
        (days, hours, _) => language.fill(Text::SpanDays, &[&days, &hours]),
    }
}

/// Formats how long ago something was, in its largest unit. The page's script formats it the same way.
pub(crate) fn format_age(seconds: u64, language: Language) -> String {
    match seconds {
        0..60 => language.say(Text::AgeNow).to_owned(),
        60..3600 => language.fill(Text::AgeMinutes, &[&(seconds / 60)]),
        3600..86_400 => language.fill(Text::AgeHours, &[&(seconds / 3600)]),
        _ => language.fill(Text::AgeDays, &[&(seconds / 86_400)]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_shortened() {
        let seconds = [
            (5, "5 s"),
            (65, "1 min 5 s"),
            (3_700, "1 h 1 min"),
            (200_000, "2 d 7 h"),
        ];
        for (given, expected) in seconds {
            assert_eq!(format_uptime(given, Language::English), expected);
        }
        let ages = [
            (59, "just now"),
            (60, "1 min ago"),
            (7_300, "2 h ago"),
            (200_000, "2 d ago"),
        ];
        for (given, expected) in ages {
            assert_eq!(format_age(given, Language::English), expected);
        }
        assert_eq!(format_uptime(3_700, Language::Chinese), "1 小时 1 分");
    }
}
