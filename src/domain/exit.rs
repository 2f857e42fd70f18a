//! How a process ended, and why one could not be spawned.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Errno, Signal, python_repr};

/// How a process ended. Its `Display` is the wording of the activity log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExitStatus {
    /// It called exit with this code, 0 to 255.
    Exited(u8),
    /// A signal ended it.
    Signalled {
        /// The signal.
        signal: Signal,
        /// It left a core dump.
        dumped: bool,
    },
    /// The kernel did not tell (or told something new; the number is the raw wait status).
    Unknown(i32),
}

impl ExitStatus {
    /// The number that `exitstatus` shows and `exitcodes` is compared with: the exit code, or -1.
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            Self::Exited(code) => i32::from(code),
            Self::Signalled { .. } | Self::Unknown(_) => -1,
        }
    }
}

impl fmt::Display for ExitStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(code) => write!(f, "exit status {code}"),
            Self::Signalled { signal, dumped } => {
                write!(
                    f,
                    "terminated by {signal}{}",
                    if *dumped { " (core dumped)" } else { "" }
                )
            }
            // It ended while no daemon was there, or as another's child.
            Self::Unknown(0) => f.write_str("exit status unknown"),
            Self::Unknown(status) => write!(f, "unknown termination cause 0x{status:04x}"),
        }
    }
}

/// What of the limits of its cgroup a process met while it ran. Its `Display` is the wording of the log and of `status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ResourceEvents {
    /// The kernel killed it, or something that it started, for want of memory: its own, or the machine's.
    pub oom_kill: bool,
    /// It wanted to be more processes than `pids_max`.
    pub pids_max: bool,
    /// It was slowed down because it had more than `memory_high`.
    pub memory_high: bool,
}

impl ResourceEvents {
    /// None.
    pub const NONE: Self = Self {
        oom_kill: false,
        pids_max: false,
        memory_high: false,
    };

    /// There are none.
    #[must_use]
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }

    /// Each with a word for programs and a text for people, the worst first.
    pub fn each(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        [
            (self.oom_kill, ("oom_kill", "killed by the OOM killer")),
            (self.pids_max, ("pids_max", "reached pids_max")),
            (
                self.memory_high,
                ("memory_high", "throttled at memory_high"),
            ),
        ]
        .into_iter()
        .filter_map(|(is, words)| is.then_some(words))
    }
}

impl fmt::Display for ResourceEvents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (_, text)) in self.each().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{text}")?;
        }
        Ok(())
    }
}

/// How the last attempt to run a process ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExitReason {
    /// It could not be spawned.
    NotSpawned(Box<SpawnError>),
    /// It ended before `startsecs`.
    TooQuick(ExitStatus),
    /// It ended before it had said that it is ready.
    Unready(ExitStatus),
    /// It was ended because it was not ready in time.
    NotReady(ExitStatus),
    /// It was ended by its watchdog.
    Watchdog(ExitStatus),
    /// It ended by itself.
    ByItself(ExitStatus),
    /// It ended after it was asked to stop.
    OnRequest(ExitStatus),
}

/// Why a process could not be spawned. Its `Display` is Supervisor's `spawnerr`, without quotes and escapes it would
/// print around odd paths but for the common ones (see [`python_repr`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SpawnError {
    /// The command's quotes or backslashes do not pair up.
    CannotParse {
        /// The command as configured.
        command: String,
        /// `No closing quotation` or `No escaped character`.
        reason: String,
    },
    /// No words in the command.
    Empty,
    /// Not found, with or without a search in PATH.
    NotFound(String),
    /// The path is a directory.
    Directory(String),
    /// No execute bit at all.
    NotExecutable(String),
    /// The daemon may not execute it.
    NoPermission(String),
    /// EMFILE while making pipes or opening logs.
    TooManyFiles {
        /// The process's name.
        name: String,
    },
    /// Any other error while making pipes or opening logs.
    Dispatchers {
        /// The process's name.
        name: String,
        /// What the kernel said.
        errno: Errno,
    },
    /// The socket of a FastCGI program cannot be made.
    Socket {
        /// Its address.
        url: String,
        /// Why.
        reason: String,
    },
    /// EAGAIN from the kernel when asked for a process.
    TooManyProcesses {
        /// The process's name.
        name: String,
    },
    /// It was not wanted any more before it ran its command.
    CalledOff {
        /// The process's name.
        name: String,
    },
    /// What has to be done first takes long.
    HeldUp(String),
    /// Any other error from the kernel when asked for a process.
    Fork {
        /// The process's name.
        name: String,
        /// What the kernel said.
        errno: Errno,
    },
}

impl SpawnError {
    /// Answers of the start methods differ: the command is missing (NO_FILE).
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound(_))
    }

    /// Answers of the start methods differ: the command cannot be run (NOT_EXECUTABLE).
    #[must_use]
    pub fn is_not_executable(&self) -> bool {
        matches!(
            self,
            Self::CannotParse { .. }
                | Self::Empty
                | Self::Directory(_)
                | Self::NotExecutable(_)
                | Self::NoPermission(_)
        )
    }
}

impl fmt::Display for SpawnError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CannotParse { command, reason } => {
                write!(f, "can't parse command {}: {reason}", python_repr(command))
            }
            Self::Empty => f.write_str("command is empty"),
            Self::NotFound(path) => write!(f, "can't find command {}", python_repr(path)),
            Self::Directory(path) => write!(f, "command at {} is a directory", python_repr(path)),
            Self::NotExecutable(path) => {
                write!(f, "command at {} is not executable", python_repr(path))
            }
            Self::NoPermission(path) => {
                write!(f, "no permission to run command {}", python_repr(path))
            }
            Self::TooManyFiles { name } => write!(f, "too many open files to spawn '{name}'"),
            Self::Dispatchers { name, errno } => {
                write!(
                    f,
                    "unknown error making dispatchers for '{name}': {}",
                    errno.name()
                )
            }
            // Differs: where a process is spawned, the original ends the daemon with this sentence.
            Self::Socket { url, reason } => {
                write!(f, "Could not create FastCGI socket {url}: {reason}")
            }
            Self::TooManyProcesses { name } => {
                write!(f, "Too many processes in process table to spawn '{name}'")
            }
            Self::CalledOff { name } => {
                write!(
                    f,
                    "start of '{name}' was cancelled before it executed its command"
                )
            }
            Self::HeldUp(why) => write!(f, "start delayed: {why}"),
            Self::Fork { name, errno } => write!(
                f,
                "unknown error during fork for '{name}': {}",
                errno.name()
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_told_worst_first() {
        assert_eq!(ResourceEvents::NONE.to_string(), "");
        let all = ResourceEvents {
            oom_kill: true,
            pids_max: true,
            memory_high: true,
        };
        assert_eq!(
            all.to_string(),
            "killed by the OOM killer, reached pids_max, throttled at memory_high"
        );
        let words: Vec<_> = all.each().map(|(word, _)| word).collect();
        assert_eq!(words, ["oom_kill", "pids_max", "memory_high"]);
    }

    #[test]
    fn log_03_status_wording() {
        let term = Signal::TERM;
        assert_eq!(ExitStatus::Exited(3).to_string(), "exit status 3");
        assert_eq!(
            ExitStatus::Signalled {
                signal: term,
                dumped: false
            }
            .to_string(),
            "terminated by SIGTERM"
        );
        assert_eq!(
            ExitStatus::Signalled {
                signal: term,
                dumped: true
            }
            .to_string(),
            "terminated by SIGTERM (core dumped)"
        );
        assert_eq!(ExitStatus::Unknown(0).to_string(), "exit status unknown");
        assert_eq!(
            ExitStatus::Unknown(0x7f).to_string(),
            "unknown termination cause 0x007f"
        );
        assert_eq!(
            ExitStatus::Signalled {
                signal: term,
                dumped: false
            }
            .code(),
            -1
        );
    }
}
