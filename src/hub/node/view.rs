//! What the hub knows of a node and of its processes. Views are immutable and shared.

use std::fmt;
use std::sync::Arc;

use crate::domain::ProcessState;

/// Milliseconds since the epoch, by the clock of this host.
pub type WallMillis = i64;

/// A node as it was known at some time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NodeView {
    /// The unique name.
    pub name: Arc<str>,
    /// The environment. Empty: the one without a name.
    pub environment: Arc<str>,
    /// Labels for filters.
    pub tags: Arc<[String]>,
    /// The address without any secret.
    pub address: Arc<str>,
    /// Whether the hub has the node's state, and if not, why.
    pub state: NodeState,
    /// Why the node is in this state, in one line without control characters. Empty: it is connected.
    pub reason: Arc<str>,
    /// Since when it is in this state.
    pub since: WallMillis,
    /// When an answer of the node, or an event of its stream, last arrived. `None`: none did.
    pub last_success: Option<WallMillis>,
    /// Which program answers. `None`: none has yet.
    pub kind: Option<NodeKind>,
    /// The version that it reports. Empty: it has not yet.
    pub version: Arc<str>,
    /// The node's clock minus that of this host, in seconds. Times of its processes are by the node's clock.
    pub clock_offset: i64,
    /// Number of processes that the node lists and that are not shown: their names are invalid or occur twice.
    pub hidden: usize,
    /// The processes by group and name. The last known ones while the node is not connected.
    pub processes: Arc<[Arc<ProcessView>]>,
}

/// Whether the hub has the state of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NodeState {
    /// The first attempt has not ended.
    Connecting,
    /// The processes are those that the node has.
    Connected,
    /// No connection, no answer in time, or a proxy that has none.
    Unreachable,
    /// The user name, the password or the token is wrong, or may not see the processes.
    Unauthorized,
    /// Something else answers, or what it answers is no list of processes.
    NotASupervisor,
    /// A supervisord without `[rpcinterface:supervisor]`.
    NoRpcInterface,
    /// The settings say that nobody connects to it.
    Disabled,
}

/// The program that answers at a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NodeKind {
    /// This project: changes arrive by its event stream.
    Ours,
    /// Supervisor, in Python.
    Supervisor,
    /// The Go project.
    Go,
}

/// A process of a node, by the node's clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessView {
    /// The group.
    pub group: Arc<str>,
    /// The name, unique within its group.
    pub name: Arc<str>,
    /// The state.
    pub state: ProcessState,
    /// When it was last started, in seconds since the epoch. 0: never.
    pub start: i64,
    /// When it last stopped, in seconds since the epoch. 0: never.
    pub stop: i64,
    /// The PID. 0: none.
    pub pid: i32,
    /// The exit status of the last instance.
    pub exit_status: i32,
    /// Why the last attempt to start it failed. Empty: it did not.
    pub spawn_error: Arc<str>,
    /// The log file of standard output. Empty: none.
    pub stdout_logfile: Arc<str>,
    /// The log file of standard error. Empty: none.
    pub stderr_logfile: Arc<str>,
    /// The description as the node wrote it, without what is true for a moment only: the uptime of a running process, and
    /// the seconds until the next attempt. [`ProcessView::description`] writes them for any time.
    pub note: Arc<str>,
    /// `none`, `starting`, `healthy` or `unhealthy`. Empty: the node does not know health checks.
    pub health: Arc<str>,
    /// Number of automatic restarts. `None`: the node does not count them.
    pub restarts: Option<u64>,
    /// When the next automatic start is due, in seconds since the epoch. 0: none is.
    pub next_attempt: i64,
}

impl NodeState {
    /// Every state.
    pub const ALL: [Self; 7] = [
        Self::Connecting,
        Self::Connected,
        Self::Unreachable,
        Self::Unauthorized,
        Self::NotASupervisor,
        Self::NoRpcInterface,
        Self::Disabled,
    ];

    /// Returns the words that clients see.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Self::Connecting => "connecting",
            Self::Connected => "connected",
            Self::Unreachable => "unreachable",
            Self::Unauthorized => "unauthorized",
            Self::NotASupervisor => "not a supervisor",
            Self::NoRpcInterface => "no rpc interface",
            Self::Disabled => "disabled",
        }
    }
}

impl fmt::Display for NodeState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.words())
    }
}

impl NodeKind {
    /// Returns the name that clients see.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ours => "supervisord",
            Self::Supervisor => "supervisor",
            Self::Go => "go",
        }
    }
}

impl NodeView {
    /// Whether the processes are the last known ones, and not those that the node has now.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        self.state != NodeState::Connected && !self.processes.is_empty()
    }

    /// The seconds since the epoch by the node's clock.
    #[must_use]
    pub const fn now(&self, wall: WallMillis) -> i64 {
        wall.div_euclid(1000).saturating_add(self.clock_offset)
    }

    /// Returns a process. `None`: the node has none with this name.
    #[must_use]
    pub fn process(&self, group: &str, name: &str) -> Option<&Arc<ProcessView>> {
        let found = self
            .processes
            .binary_search_by(|process| process.key().cmp(&(group, name)));
        found.ok().and_then(|at| self.processes.get(at))
    }
}

impl ProcessView {
    /// The group and the name, by which processes are ordered.
    #[must_use]
    pub fn key(&self) -> (&str, &str) {
        (&self.group, &self.name)
    }

    /// Returns `group:name`.
    #[must_use]
    pub fn namespec(&self) -> String {
        format!("{}:{}", self.group, self.name)
    }

    /// The seconds since it was started, if it is RUNNING. `now`: [`NodeView::now`].
    #[must_use]
    pub fn uptime(&self, now: i64) -> Option<u64> {
        let seconds = now.saturating_sub(self.start).max(0);
        (self.state == ProcessState::Running).then(|| seconds.unsigned_abs())
    }

    /// The description of `getProcessInfo`. `now`: [`NodeView::now`].
    #[must_use]
    pub fn description(&self, now: i64) -> String {
        let Some(uptime) = self.uptime(now) else {
            let left = self.next_attempt.saturating_sub(now).max(0);
            return match self.next_attempt {
                0 => self.note.to_string(),
                _ => format!("{}, next attempt in {left} s", self.note),
            };
        };
        let separator = if self.note.is_empty() { "" } else { ", " };
        format!(
            "pid {}, uptime {}{separator}{}",
            self.pid,
            uptime_text(uptime),
            self.note
        )
    }
}

/// Seconds as Supervisor writes an uptime: `H:MM:SS`, preceded by the days if there are any.
#[must_use]
pub fn uptime_text(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let days = match days {
        0 => String::new(),
        1 => "1 day, ".to_owned(),
        _ => format!("{days} days, "),
    };
    format!(
        "{days}{}:{:02}:{:02}",
        rest / 3600,
        rest / 60 % 60,
        rest % 60
    )
}

#[cfg(test)]
pub(in crate::hub) mod tests {
    use super::*;

    /// A running process of the group `web`.
    pub(in crate::hub) fn running(name: &str) -> ProcessView {
        let empty = || Arc::from("");
        ProcessView {
            group: Arc::from("web"),
            name: Arc::from(name),
            state: ProcessState::Running,
            start: 1000,
            stop: 0,
            pid: 7,
            exit_status: 0,
            spawn_error: empty(),
            stdout_logfile: empty(),
            stderr_logfile: empty(),
            note: empty(),
            health: empty(),
            restarts: None,
            next_attempt: 0,
        }
    }

    /// A connected node without processes.
    pub(in crate::hub) fn connected_node(name: &str) -> NodeView {
        NodeView {
            name: Arc::from(name),
            environment: Arc::from(""),
            tags: Arc::from([]),
            address: Arc::from("http://192.0.2.1:9001"),
            state: NodeState::Connected,
            reason: Arc::from(""),
            since: 0,
            last_success: None,
            kind: None,
            version: Arc::from(""),
            clock_offset: 0,
            hidden: 0,
            processes: Arc::from([]),
        }
    }

    #[test]
    fn a_description_is_written_for_the_time_of_the_node() {
        let process = running("a");
        assert_eq!(process.description(1033), "pid 7, uptime 0:00:33");
        assert_eq!(process.description(0), "pid 7, uptime 0:00:00");
        assert_eq!(
            process.description(1000 + 200_000),
            "pid 7, uptime 2 days, 7:33:20"
        );
        let noted = ProcessView {
            note: Arc::from("up"),
            ..running("a")
        };
        assert_eq!(
            noted.description(87_400),
            "pid 7, uptime 1 day, 0:00:00, up"
        );
        let stopped = ProcessView {
            state: ProcessState::Stopped,
            note: Arc::from("Not started"),
            ..running("a")
        };
        assert_eq!(stopped.description(2000), "Not started");
        let backoff = ProcessView {
            state: ProcessState::Backoff,
            note: Arc::from("why"),
            next_attempt: 1012,
            ..running("a")
        };
        assert_eq!(backoff.description(1000), "why, next attempt in 12 s");
        assert_eq!(backoff.description(1020), "why, next attempt in 0 s");
    }
}
