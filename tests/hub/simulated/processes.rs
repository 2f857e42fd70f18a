//! The processes of a simulated node.

use std::time::{SystemTime, UNIX_EPOCH};

/// The state with which a process begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum FirstState {
    Running,
    Stopped,
}

/// One process.
#[derive(Debug, Clone)]
pub(crate) struct SimulatedProcess {
    pub(crate) group: String,
    pub(crate) name: String,
    /// The code of the state in XML-RPC.
    pub(crate) state: u16,
    pub(crate) start: i64,
    pub(crate) stop: i64,
    pub(crate) pid: u32,
    pub(crate) exit_status: i32,
    pub(crate) log: String,
}

impl SimulatedProcess {
    pub(crate) fn new(group: &str, name: &str, first: FirstState) -> Self {
        let runs = first == FirstState::Running;
        Self {
            group: group.to_owned(),
            name: name.to_owned(),
            state: if runs { 20 } else { 0 },
            start: if runs { now() - 33 } else { 0 },
            stop: 0,
            pid: if runs { 4000 } else { 0 },
            exit_status: 0,
            log: format!("first line of {name}\nlast line of {name}\n"),
        }
    }

    /// The name of the state, as Supervisor writes it.
    pub(crate) fn state_name(&self) -> &'static str {
        match self.state {
            0 => "STOPPED",
            10 => "STARTING",
            20 => "RUNNING",
            30 => "BACKOFF",
            40 => "STOPPING",
            100 => "EXITED",
            200 => "FATAL",
            _ => "UNKNOWN",
        }
    }

    pub(crate) fn runs(&self) -> bool {
        self.state == 20
    }

    pub(crate) fn start_now(&mut self) {
        self.state = 20;
        self.start = now();
        self.pid = self.pid.max(4000) + 1;
    }

    pub(crate) fn stop_now(&mut self, state: u16, exit_status: i32) {
        self.state = state;
        self.stop = now();
        self.exit_status = exit_status;
    }

    /// `group:name`.
    pub(crate) fn namespec(&self) -> String {
        format!("{}:{}", self.group, self.name)
    }

    pub(crate) fn description(&self, now: i64) -> String {
        let up = now - self.start;
        match self.state {
            20 => format!(
                "pid {}, uptime {}:{:02}:{:02}",
                self.pid,
                up / 3600,
                up / 60 % 60,
                up % 60
            ),
            0 if self.start == 0 => "Not started".to_owned(),
            _ => "Dec 01 10:00 AM".to_owned(),
        }
    }

    pub(crate) fn shown_pid(&self) -> u32 {
        if self.runs() { self.pid } else { 0 }
    }
}

/// Seconds since the epoch.
pub(crate) fn now() -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(now.as_secs()).unwrap_or(i64::MAX)
}

/// Milliseconds since the epoch.
pub(crate) fn now_ms() -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}
