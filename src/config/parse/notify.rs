//! The keys of how a program tells that it is ready and alive.

use super::super::expand::ExpandNames;
use super::super::spec::{NotifySpec, READY_FDS, READY_TIMEOUT};
use super::super::value;
use super::{ConfigReader, KeyResult, SectionAt};
use crate::domain::Seconds;

/// What one section says; whatever is wrong is left out, and reported. `startsecs` as the section has it.
pub(super) fn notify(
    reader: &mut ConfigReader<'_>,
    at: SectionAt<'_>,
    names: &ExpandNames,
    startsecs: Seconds,
) -> NotifySpec {
    let socket = reader.boolean(at, "notify", names);
    let ready_fd = reader.value(at, "ready_fd", names, ready_fd);
    let timeout = reader.value(at, "ready_timeout", names, seconds);
    let watchdog = reader.value(at, "watchdogsecs", names, seconds);
    // A descriptor that is wrong has been reported, and is no reason to complain of what needs one.
    let tells_ready = socket || ready_fd != KeyResult::Absent;
    if !tells_ready && timeout != KeyResult::Absent {
        reader.fail_with(
            at,
            "ready_timeout",
            "ready_timeout needs notify=true or ready_fd".to_owned(),
            "without them, a program is RUNNING after startsecs",
        );
    }
    if !socket && matches!(watchdog, KeyResult::Is(Seconds(1..))) {
        reader.fail_with(
            at,
            "watchdogsecs",
            "watchdogsecs needs notify=true".to_owned(),
            "watchdog keepalives arrive on NOTIFY_SOCKET",
        );
    }
    let is_written = reader.entry(at, "startsecs").is_some();
    let ready_timeout = match timeout {
        KeyResult::Is(timeout) => timeout,
        // The default of `startsecs` is the time in which a program shows that it does not fall over at once. Most need
        // longer than that to be ready; who wrote a number meant one.
        KeyResult::Absent | KeyResult::Wrong if is_written && startsecs.0 > 0 => startsecs,
        KeyResult::Absent | KeyResult::Wrong => READY_TIMEOUT,
    };
    if !tells_ready {
        return NotifySpec::default();
    }
    NotifySpec {
        socket,
        ready_fd: ready_fd.ok(),
        ready_timeout,
        watchdog: watchdog.ok().unwrap_or_default(),
    }
}

fn ready_fd(text: &str) -> Result<u16, String> {
    let number = value::integer(text)?;
    match u16::try_from(number) {
        Ok(fd) if READY_FDS.contains(&number) => Ok(fd),
        _ => Err(format!(
            "ready_fd {number} is not from {} to {}",
            READY_FDS.start(),
            READY_FDS.end()
        )),
    }
}

fn seconds(text: &str) -> Result<Seconds, String> {
    match value::integer(text)? {
        number if number < 0 => Err(format!("{number} is below lower bound (0)")),
        number => Ok(Seconds(number)),
    }
}
