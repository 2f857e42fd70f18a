//! States of processes and of the daemon, with the codes they have on the wire.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The state of one process. The numbers are wire codes.
///
/// # Source
/// Supervisor manual, "Subprocesses", process states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u16)]
pub enum ProcessState {
    /// Stopped on request, or never started.
    Stopped = 0,
    /// Spawned (or about to be), not yet up for `startsecs`.
    Starting = 10,
    /// Up.
    Running = 20,
    /// Ended too early; waits for the next attempt.
    Backoff = 30,
    /// Asked to stop, not yet reaped.
    Stopping = 40,
    /// Ended by itself from RUNNING.
    Exited = 100,
    /// Given up on.
    Fatal = 200,
    /// The kernel refused a signal to it; nothing is known any more.
    Unknown = 1000,
}

impl ProcessState {
    /// Every state.
    pub const ALL: [Self; 8] = [
        Self::Stopped,
        Self::Starting,
        Self::Running,
        Self::Backoff,
        Self::Stopping,
        Self::Exited,
        Self::Fatal,
        Self::Unknown,
    ];

    /// The code on the wire.
    #[must_use]
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// The state with this wire code.
    #[must_use]
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|state| i64::from(state.code()) == code)
    }

    /// The name in capitals, as events, structs and `status` say it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stopped => "STOPPED",
            Self::Starting => "STARTING",
            Self::Running => "RUNNING",
            Self::Backoff => "BACKOFF",
            Self::Stopping => "STOPPING",
            Self::Exited => "EXITED",
            Self::Fatal => "FATAL",
            Self::Unknown => "UNKNOWN",
        }
    }

    /// Counts as running: a start is refused, a stop accepted.
    #[must_use]
    pub const fn is_running(self) -> bool {
        matches!(self, Self::Starting | Self::Running | Self::Backoff)
    }

    /// Counts as stopped: a start is accepted, the group may be removed.
    #[must_use]
    pub const fn is_stopped(self) -> bool {
        matches!(
            self,
            Self::Stopped | Self::Exited | Self::Fatal | Self::Unknown
        )
    }

    /// There is (or should be) a process to send a signal to.
    #[must_use]
    pub const fn is_signallable(self) -> bool {
        matches!(self, Self::Starting | Self::Running | Self::Stopping)
    }
}

impl fmt::Display for ProcessState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The daemon's own state ("mood" in Supervisor's code). The numbers are wire codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(i8)]
pub enum SupervisorState {
    /// Known to clients, never used.
    Fatal = 2,
    /// Normal work.
    Running = 1,
    /// Stopping everything in order to start again in place.
    Restarting = 0,
    /// Stopping everything in order to end.
    Shutdown = -1,
}

impl SupervisorState {
    /// The code on the wire.
    #[must_use]
    pub const fn code(self) -> i8 {
        self as i8
    }

    /// The name in capitals.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Fatal => "FATAL",
            Self::Running => "RUNNING",
            Self::Restarting => "RESTARTING",
            Self::Shutdown => "SHUTDOWN",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::ProcessState::{
        self, Backoff, Exited, Fatal, Running, Starting, Stopped, Stopping, Unknown,
    };

    #[test]
    fn prc_01_codes_and_names() {
        let table = [
            (0, "STOPPED"),
            (10, "STARTING"),
            (20, "RUNNING"),
            (30, "BACKOFF"),
            (40, "STOPPING"),
            (100, "EXITED"),
            (200, "FATAL"),
            (1000, "UNKNOWN"),
        ];
        for (code, name) in table {
            assert_eq!(
                ProcessState::from_code(code).map(ProcessState::name),
                Some(name)
            );
        }
        assert_eq!(ProcessState::from_code(7), None);
    }

    #[test]
    fn prc_02_sets() {
        let set = |of: fn(ProcessState) -> bool| {
            ProcessState::ALL
                .into_iter()
                .filter(|&s| of(s))
                .collect::<Vec<_>>()
        };
        assert_eq!(set(ProcessState::is_running), [Starting, Running, Backoff]);
        assert_eq!(
            set(ProcessState::is_stopped),
            [Stopped, Exited, Fatal, Unknown]
        );
        assert_eq!(
            set(ProcessState::is_signallable),
            [Starting, Running, Stopping]
        );
    }
}
