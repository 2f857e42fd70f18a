//! How the last attempt of a process ended, as a short text.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::api::ProcessView;
use crate::domain::{ExitReason, ExitStatus};

/// Returns how the last attempt ended, and when. Empty: no attempt has ended.
pub(in crate::server) fn last_exit(view: &ProcessView, zone: &TimeZone) -> String {
    let how = match &view.exit_reason {
        None => return String::new(),
        Some(ExitReason::NotSpawned(error)) => return error.to_string(),
        Some(ExitReason::TooQuick(status)) => format!("{}, too early", short_exit_status(*status)),
        Some(ExitReason::Unready(status)) => {
            format!("{}, before it was ready", short_exit_status(*status))
        }
        Some(ExitReason::NotReady(status)) => {
            format!("readiness timeout, {}", short_exit_status(*status))
        }
        Some(ExitReason::Watchdog(status)) => format!("watchdog, {}", short_exit_status(*status)),
        Some(ExitReason::Unhealthy(status)) => {
            format!("unhealthy, {}", short_exit_status(*status))
        }
        Some(ExitReason::ByItself(status)) => short_exit_status(*status),
        Some(ExitReason::OnRequest(status)) => format!("stopped, {}", short_exit_status(*status)),
    };
    let how = if view.resource_events.is_none() {
        how
    } else {
        format!("{how}, {}", view.resource_events)
    };
    match Timestamp::from_second(view.stop) {
        Ok(stop) => {
            let stop = stop.to_zoned(zone.clone());
            format!("{how} · {}", stop.strftime("%b %-d %H:%M"))
        }
        Err(_) => how,
    }
}

/// The exit status, short enough for a column: only the signal if there was one.
fn short_exit_status(status: ExitStatus) -> String {
    match status {
        ExitStatus::Signalled {
            signal,
            dumped: false,
        } => signal.to_string(),
        ExitStatus::Signalled { dumped: true, .. }
        | ExitStatus::Exited(_)
        | ExitStatus::Unknown(_) => status.to_string(),
    }
}
