//! Exit statuses of `supervisorctl`, and their relation to faults.
//!
//! # Source
//! Observed in Supervisor 4.3.0. The numbers are those of the Linux Standard Base for init scripts.

use crate::api::FaultCode;

/// Any other failure.
pub(super) const GENERIC: u8 = 1;
/// Wrong arguments, usage errors, or starting an unknown group.
pub(super) const INVALID_ARGUMENTS: u8 = 2;
/// `plan` and `update --dry-run` only: `update` would change something.
pub(super) const PLAN_HAS_CHANGES: u8 = 2;
/// The server does not offer the required methods.
pub(super) const UNIMPLEMENTED: u8 = 3;
/// The server refused the connection.
pub(super) const INSUFFICIENT_PRIVILEGES: u8 = 4;
/// The server has another version of the API.
pub(super) const NOT_INSTALLED: u8 = 5;
/// A process or the server is not running.
pub(super) const NOT_RUNNING: u8 = 7;
/// The interrupt key ended the program. Shells use the same status.
pub(super) const INTERRUPTED: u8 = 130;
/// `status` only: a requested process is not running.
pub(super) const STATUS_NOT_RUNNING: u8 = 3;
/// `status` only: a name is unknown, or the server does not respond.
pub(super) const STATUS_UNKNOWN: u8 = 4;

/// All exit statuses with their meanings.
#[rustfmt::skip] // One row, one line.
pub(super) const STATUSES: &[(u8, &str)] = &[
    (0, "Success."),
    (GENERIC, "Failure; the output gives the reason: an unknown name, a wrong argument, a fault."),
    (INVALID_ARGUMENTS, "Wrong options or arguments, a configuration with errors, or an unknown group. From `plan` and `update --dry-run`: `update` would change something."),
    (UNIMPLEMENTED, "The daemon does not offer the required methods: `[rpcinterface:supervisor]` is missing. From `status`: a requested process is not RUNNING."),
    (INSUFFICIENT_PRIVILEGES, "Connection refused: no daemon listens on the address. From `status`: unknown name, or the daemon does not answer."),
    (NOT_INSTALLED, "The daemon has another version of the interface."),
    (NOT_RUNNING, "A process could not be started, a process is not running, or the daemon's socket does not exist."),
    (INTERRUPTED, "Interrupted with Ctrl-C."),
];

/// The exit status for a result with this fault code. `None`: no change. `neutral`: the fault that the action treats
/// as success.
pub(super) fn of_result(code: i64, neutral: Option<FaultCode>) -> Option<u8> {
    let is = |fault: FaultCode| code == i64::from(fault.code());
    if is(FaultCode::Success) || neutral.is_some_and(is) {
        None
    } else if is(FaultCode::SpawnError)
        || is(FaultCode::AbnormalTermination)
        || is(FaultCode::NotRunning)
    {
        Some(NOT_RUNNING)
    } else {
        Some(GENERIC)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ctl_07_faults_give_supervisors_exit_statuses() {
        let table = [
            ("success", 80, None, None),
            ("neutral", 60, Some(FaultCode::AlreadyStarted), None),
            ("not neutral here", 60, None, Some(1)),
            ("spawn error", 50, Some(FaultCode::AlreadyStarted), Some(7)),
            ("abnormal termination", 40, None, Some(7)),
            ("not running", 70, None, Some(7)),
            ("not running, stop", 70, Some(FaultCode::NotRunning), None),
            ("bad name", 10, None, Some(1)),
            ("unheard of", 4711, None, Some(1)),
        ];
        for (name, code, neutral, expected) in table {
            assert_eq!(of_result(code, neutral), expected, "{name}");
        }
    }
}
