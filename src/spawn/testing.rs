//! For tests: a process's specification with Supervisor's defaults.

use std::sync::Arc;

use crate::config::spec::{AutoRestart, FcgiSocket, LogSpec, LogTarget, ProcessKind, ProcessSpec};
use crate::domain::{Bytes, GroupName, ProcessName, Seconds, Signal};

pub(super) fn spec(command: &str, environment: &[(&str, &str)]) -> ProcessSpec {
    let log = LogSpec {
        target: LogTarget::None,
        maxbytes: Bytes(0),
        backups: 0,
        capture_maxbytes: Bytes(0),
        events: false,
        syslog: false,
        journal: None,
    };
    ProcessSpec {
        name: ProcessName::parse("proc").expect("valid"),
        group: GroupName::parse("team").expect("valid"),
        command: command.into(),
        directory: None,
        umask: None,
        priority: 999,
        autostart: true,
        autorestart: AutoRestart::Unexpected,
        startsecs: Seconds(1),
        startretries: 3,
        exitcodes: Arc::new([0]),
        stopsignal: Signal::TERM,
        stopwaitsecs: Seconds(10),
        stopasgroup: false,
        killasgroup: false,
        user: None,
        redirect_stderr: false,
        stdout: log.clone(),
        stderr: log,
        environment: environment
            .iter()
            .map(|&(name, value)| (name.to_owned(), value.to_owned()))
            .collect(),
        server_url: None,
        kind: ProcessKind::Program,
        restart_floor: Seconds(1),
        confinement: crate::config::spec::Confinement::none(),
    }
}

/// A process of the group `group` that listens at `url`.
pub(super) fn fcgi(group: &str, url: &str, command: &str) -> ProcessSpec {
    ProcessSpec {
        group: GroupName::parse(group).expect("valid"),
        kind: ProcessKind::Fcgi(Arc::new(FcgiSocket {
            program: Arc::from("web"),
            url: url.to_owned(),
            mode: url.starts_with("unix").then_some(0o700),
            owner: (None, None),
            backlog: None,
        })),
        ..spec(command, &[])
    }
}
