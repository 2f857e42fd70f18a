//! What tests of this room share: plain programs, directories that vanish, and waiting with a limit.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use crate::config::spec::{AutoRestart, LogSpec, LogTarget, ProcessKind, ProcessSpec};
use crate::domain::{Bytes, GroupName, ProcessName, Seconds, Signal};

/// A directory of its own, removed at the end.
pub(crate) struct TempDir(PathBuf);

impl TempDir {
    pub(crate) fn new(what: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!(
            "supervisord-{what}-{}-{}",
            std::process::id(),
            NEXT.fetch_add(1, Ordering::Relaxed)
        );
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("a new directory");
        Self(path)
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn root(&self) -> &std::path::Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A stream without anything but this target.
pub(crate) fn log_spec(target: LogTarget) -> LogSpec {
    LogSpec {
        target,
        maxbytes: Bytes(0),
        backups: 0,
        capture_maxbytes: Bytes(0),
        events: false,
        syslog: false,
        journal: None,
    }
}

/// A plain program that writes nowhere.
pub(crate) fn spec(name: &str, group: &str) -> ProcessSpec {
    ProcessSpec {
        name: ProcessName::parse(name).expect("valid"),
        group: GroupName::parse(group).expect("valid"),
        command: "/bin/cat".into(),
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
        confinement: crate::config::spec::Confinement::none(),
    }
}

/// Waits until `done`, at most ten seconds.
pub(crate) fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let limit = Instant::now() + Duration::from_secs(10);
    while !done() {
        assert!(Instant::now() < limit, "in vain: {what}");
        std::thread::yield_now();
    }
}
