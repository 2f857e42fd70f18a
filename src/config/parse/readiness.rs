//! Checks a program's keys for readiness and keepalives against each other.

use super::super::key::ProgramValues;
use super::super::spec::{NotifySpec, READY_TIMEOUT};
use super::{ConfigReader, SectionAt};
use crate::domain::Seconds;

/// Checks the keys of one section when all of them are read, and finds the readiness timeout.
pub(super) fn readiness(
    reader: &mut ConfigReader<'_>,
    at: SectionAt<'_>,
    values: &mut ProgramValues,
) {
    let startsecs = values.spec.startsecs;
    let notify = &mut values.spec.notify;
    // A wrong descriptor is already reported; do not also report keys that need one.
    notify.check = reader.entry(at, "ready_check").is_some();
    notify.log = reader.entry(at, "ready_log").is_some();
    let has_fd = reader.entry(at, "ready_fd").is_some();
    let others = [
        ("notify", notify.socket),
        ("ready_fd", has_fd),
        ("ready_check", notify.check),
    ];
    if let Some((other, _)) = others.iter().find(|(_, is_set)| notify.log && *is_set) {
        reader.fail_with(
            at,
            "ready_log",
            format!("{other} and ready_log cannot be set together"),
            "a program with ready_log is RUNNING when a line matches",
        );
    }
    let tells_ready = notify.socket || notify.check || notify.log || has_fd;
    if !tells_ready && reader.entry(at, "ready_timeout").is_some() {
        reader.fail_with(
            at,
            "ready_timeout",
            "ready_timeout needs notify=true, ready_fd, ready_check or ready_log".to_owned(),
            "without them, a program is RUNNING after startsecs",
        );
    }
    if !notify.socket && notify.watchdog > Seconds(0) {
        reader.fail_with(
            at,
            "watchdogsecs",
            "watchdogsecs needs notify=true".to_owned(),
            "watchdog keepalives arrive on NOTIFY_SOCKET",
        );
    }
    if !tells_ready {
        *notify = NotifySpec::default();
        return;
    }
    let is_written = reader.entry(at, "startsecs").is_some();
    notify.ready_timeout = match values.ready_timeout {
        Some(timeout) => timeout,
        // The default of `startsecs` only shows that a program does not exit at once; most programs need longer to
        // become ready. A number that is written in the file was chosen on purpose.
        None if is_written && startsecs > Seconds(0) => startsecs,
        None => READY_TIMEOUT,
    };
}
