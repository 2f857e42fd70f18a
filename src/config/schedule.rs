//! When a program with `cron` runs.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::lookup::Lookup;
use crate::domain::{CronExpression, Seconds, Wall, python_repr};

/// The schedule of a program.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ScheduleSpec {
    /// The expression as configured. It was parsed when the configuration was read.
    pub cron: Arc<str>,
    /// What happens if the program still runs when its next run is due.
    pub overlap: CronOverlap,
    /// What happens to runs that were due while they could not start.
    pub missed: CronMissed,
    /// Maximum random delay of each run; 0: none.
    pub jitter: Seconds,
}

/// What happens if a program still runs when its next run is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum CronOverlap {
    /// The new run is skipped.
    #[default]
    Skip,
    /// The new run starts when the present one has ended. At most one run waits.
    Queue,
    /// The present run is stopped, and the new one starts then.
    Kill,
}

/// What happens to runs that were due while the daemon was not there, the machine slept or the clock jumped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub enum CronMissed {
    /// They do not happen.
    #[default]
    Skip,
    /// One run makes up for all of them.
    Once,
}

/// Checks a cron expression: its zone is known, and it has an occurrence. Returns it without blanks at both ends.
///
/// # Errors
/// It is no such expression, or it never occurs.
pub(super) fn cron(text: &str, lookup: &dyn Lookup) -> Result<Arc<str>, String> {
    let expression = CronExpression::parse(text)?;
    let wrong = |why: String| format!("invalid cron expression {}: {why}", python_repr(text));
    let zone = lookup.cron_zone(expression.zone()).ok_or_else(|| {
        let name = expression.zone().unwrap_or_default();
        wrong(format!("there is no time zone {name} on this host"))
    })?;
    let is_calendar = matches!(expression, CronExpression::Calendar { .. });
    // No expression has a year, so it occurs after any moment or never.
    if is_calendar && expression.next_after(Wall(0), &zone).is_none() {
        return Err(wrong("it never occurs".to_owned()));
    }
    Ok(Arc::from(text.trim()))
}

/// Parses `skip`, `queue` or `kill`, in any case.
///
/// # Errors
/// Any other word.
pub(super) fn overlap(text: &str) -> Result<CronOverlap, String> {
    match text.to_lowercase().as_str() {
        "skip" => Ok(CronOverlap::Skip),
        "queue" => Ok(CronOverlap::Queue),
        "kill" => Ok(CronOverlap::Kill),
        _ => Err(format!(
            "invalid 'cron_overlap' value {}",
            python_repr(text)
        )),
    }
}

/// Parses `skip` or `once`, in any case.
///
/// # Errors
/// Any other word.
pub(super) fn missed(text: &str) -> Result<CronMissed, String> {
    match text.to_lowercase().as_str() {
        "skip" => Ok(CronMissed::Skip),
        "once" => Ok(CronMissed::Once),
        _ => Err(format!("invalid 'cron_missed' value {}", python_repr(text))),
    }
}
