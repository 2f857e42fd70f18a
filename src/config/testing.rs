//! Test helpers for all modules: a program's specification with Supervisor's defaults. A new field needs a value only
//! here.

use std::sync::Arc;

use super::spec::{
    AutoRestart, LogSpec, LogTarget, NamedTargets, NotifySpec, ProcessKind, ProcessSpec,
};
use crate::domain::{Bytes, GroupName, ProcessName, Seconds, Signal};

/// A log with this target and no other setting.
pub(crate) fn log_spec(target: LogTarget) -> LogSpec {
    LogSpec {
        target,
        maxbytes: Bytes(0),
        backups: 0,
        capture_maxbytes: Bytes(0),
        events: false,
        named: NamedTargets::default(),
    }
}

/// A plain program, `/bin/cat`, without logs.
pub(crate) fn program(group: &str, name: &str) -> ProcessSpec {
    ProcessSpec {
        name: ProcessName::parse(name).expect("valid"),
        group: GroupName::parse(group).expect("valid"),
        command: Arc::from("/bin/cat"),
        directory: None,
        umask: None,
        priority: 999,
        autostart: true,
        autorestart: AutoRestart::Unexpected,
        startsecs: Seconds(1),
        startretries: 3,
        exitcodes: Arc::from([0]),
        stopsignal: Signal::TERM,
        stopwaitsecs: Seconds(10),
        stopasgroup: false,
        killasgroup: false,
        user: None,
        redirect_stderr: false,
        stdout: log_spec(LogTarget::None),
        stderr: log_spec(LogTarget::None),
        environment: Arc::from([]),
        server_url: None,
        kind: ProcessKind::Program,
        restart_floor: Seconds(1),
        notify: NotifySpec::default(),
        confinement: Arc::default(),
        resources: Arc::default(),
    }
}
