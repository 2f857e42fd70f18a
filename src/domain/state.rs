//! States of processes and of the daemon, with their codes in XML-RPC.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The state of a process. The numbers are its XML-RPC codes.
///
/// # Source
/// Supervisor manual, "Subprocesses", process states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u16)]
pub enum ProcessState {
    /// Stopped on request, or never started.
    Stopped = 0,
    /// Spawned or about to be spawned, and not yet up for `startsecs`.
    Starting = 10,
    /// Up.
    Running = 20,
    /// Exited too early. Waits for the next attempt.
    Backoff = 30,
    /// Asked to stop and not reaped yet.
    Stopping = 40,
    /// Exited on its own from RUNNING.
    Exited = 100,
    /// All start attempts failed.
    Fatal = 200,
    /// The kernel refused a signal to the process.
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

    /// Returns the XML-RPC code.
    #[must_use]
    pub const fn code(self) -> u16 {
        self as u16
    }

    /// Returns the state with this XML-RPC code.
    #[must_use]
    pub fn from_code(code: i64) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|state| i64::from(state.code()) == code)
    }

    /// Returns the name in capitals, as used in events, structs and `status`.
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

    /// Returns whether the state counts as running: a start is refused, a stop is accepted.
    #[must_use]
    pub const fn is_running(self) -> bool {
        matches!(self, Self::Starting | Self::Running | Self::Backoff)
    }

    /// Returns whether the state counts as stopped: a start is accepted, the group may be removed.
    #[must_use]
    pub const fn is_stopped(self) -> bool {
        matches!(
            self,
            Self::Stopped | Self::Exited | Self::Fatal | Self::Unknown
        )
    }

    /// Returns whether a signal may be sent: there is a process, or should be one.
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

/// The state of the daemon ("mood" in Supervisor's code). The numbers are its XML-RPC codes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[repr(i8)]
pub enum SupervisorState {
    /// Known to clients, but never used.
    Fatal = 2,
    /// Normal operation.
    Running = 1,
    /// Stopping everything to restart.
    Restarting = 0,
    /// Stopping everything to exit.
    Shutdown = -1,
}

impl SupervisorState {
    /// Returns the XML-RPC code.
    #[must_use]
    pub const fn code(self) -> i8 {
        self as i8
    }

    /// Returns the name in capitals.
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
    fn prc_01_states_have_supervisors_codes_and_names() {
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
    fn prc_02_state_sets_are_supervisors() {
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
