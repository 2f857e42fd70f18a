//! What happens next to a process without a request, for people who wait for it.

use std::fmt;

/// What happens next to a process without a request, and how far away it is. Times are whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ProcessProgress {
    /// Nothing is due.
    #[default]
    None,
    /// STARTING: `pre_start_hook` runs.
    PreStart,
    /// STARTING: the process becomes RUNNING when it has been up for `startsecs`.
    Starting {
        /// How long it has been up.
        up: u64,
        /// `startsecs`.
        needed: u64,
    },
    /// STARTING: the process has not reported that it is ready.
    AwaitingReady {
        /// The time left. `None`: no limit.
        left: Option<u64>,
    },
    /// STOPPING: `pre_stop_hook` or `stop_command` runs, before the stop signal.
    PreStop {
        /// The time left.
        left: u64,
    },
    /// STARTING, RUNNING or STOPPING: the process was told to exit.
    Kill {
        /// When SIGKILL is sent.
        left: u64,
    },
    /// STOPPING: SIGKILL was sent.
    Killed,
    /// BACKOFF: the next attempt is due.
    Retry {
        /// Its number, from 1.
        number: i64,
        /// `startretries`. `None`: unlimited.
        of: Option<i64>,
        /// When it starts.
        left: u64,
    },
    /// EXITED: an automatic restart is due.
    Restart {
        /// When it starts.
        left: u64,
    },
}

impl fmt::Display for ProcessProgress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::None => Ok(()),
            Self::PreStart => f.write_str("pre_start_hook runs"),
            Self::Starting { up, needed } => write!(f, "for {up} s of {needed} s"),
            Self::AwaitingReady { left: None } => f.write_str("not ready yet"),
            Self::AwaitingReady { left: Some(left) } => {
                write!(f, "not ready yet, timeout in {left} s")
            }
            Self::PreStop { left } => write!(f, "stop signal in {left} s or earlier"),
            Self::Kill { left } => write!(f, "SIGKILL in {left} s"),
            Self::Killed => f.write_str("SIGKILL sent"),
            Self::Retry {
                number,
                of: Some(of),
                left,
            } => write!(f, "retry {number} of {of} in {left} s"),
            Self::Retry {
                number,
                of: None,
                left,
            } => write!(f, "retry {number} in {left} s"),
            Self::Restart { left } => write!(f, "restart in {left} s"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_a_short_text() {
        for (progress, expected) in [
            (ProcessProgress::None, ""),
            (
                ProcessProgress::Starting { up: 4, needed: 10 },
                "for 4 s of 10 s",
            ),
            (ProcessProgress::Kill { left: 6 }, "SIGKILL in 6 s"),
            (
                ProcessProgress::Retry {
                    number: 2,
                    of: Some(3),
                    left: 2,
                },
                "retry 2 of 3 in 2 s",
            ),
            (
                ProcessProgress::Retry {
                    number: 9,
                    of: None,
                    left: 1,
                },
                "retry 9 in 1 s",
            ),
        ] {
            assert_eq!(progress.to_string(), expected);
        }
    }
}
