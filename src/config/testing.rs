//! Test helpers for all modules: a program's specification with Supervisor's defaults.

use std::sync::Arc;

use super::spec::{AutoRestart, LogSpec, LogTarget, ProcessSpec};
use crate::domain::{GroupName, ProcessName, Seconds};

/// A log with this target and no other setting.
pub(crate) fn log_spec(target: LogTarget) -> LogSpec {
    LogSpec::new(target)
}

/// A plain program, `/bin/cat`, without logs.
pub(crate) fn program(group: &str, name: &str) -> ProcessSpec {
    ProcessSpec {
        command: Arc::from("/bin/cat"),
        priority: 999,
        autostart: true,
        autorestart: AutoRestart::Unexpected,
        startsecs: Seconds(1),
        startretries: 3,
        exitcodes: Arc::from([0]),
        stopwaitsecs: Seconds(10),
        restart_floor: Seconds(1),
        ..ProcessSpec::new(
            ProcessName::parse(name).expect("valid"),
            GroupName::parse(group).expect("valid"),
        )
    }
}
