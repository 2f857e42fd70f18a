//! How a process exited, and why a process could not be spawned.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Errno, Signal, python_repr};

/// How a process exited. `Display` is the wording of the activity log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExitStatus {
    /// The process called exit with this code, 0 to 255.
    Exited(u8),
    /// A signal killed the process.
    Signalled {
        /// The signal.
        signal: Signal,
        /// Whether the process dumped core.
        dumped: bool,
    },
    /// Unknown: the kernel did not report it, or reported this unknown wait status.
    Unknown(i32),
}

impl ExitStatus {
    /// Returns the number that `exitstatus` shows and `exitcodes` is compared with: the exit code, or -1.
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
            // The process exited while no daemon ran, or as the child of another process.
            Self::Unknown(0) => f.write_str("exit status unknown"),
            Self::Unknown(status) => write!(f, "unknown termination cause 0x{status:04x}"),
        }
    }
}

/// The resource limits that a process hit while it ran. `Display` is the wording of the log and of `status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ResourceEvents {
    /// The kernel killed a process of its cgroup because the memory of the cgroup or of the machine was exhausted.
    pub oom_kill: bool,
    /// The cgroup reached `pids_max` processes.
    pub pids_max: bool,
    /// The process was throttled because it used more memory than `memory_high`.
    pub memory_high: bool,
}

impl ResourceEvents {
    /// No limit was hit.
    pub const NONE: Self = Self {
        oom_kill: false,
        pids_max: false,
        memory_high: false,
    };

    /// Returns whether no limit was hit.
    #[must_use]
    pub fn is_none(self) -> bool {
        self == Self::NONE
    }

    /// Returns each limit that was hit, the worst first, with a word for programs and a text for people.
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
    /// The process could not be spawned.
    NotSpawned(Box<SpawnError>),
    /// The process exited before `startsecs`.
    TooQuick(ExitStatus),
    /// The process exited before it reported that it is ready.
    Unready(ExitStatus),
    /// The daemon terminated the process because it was not ready in time.
    NotReady(ExitStatus),
    /// The daemon terminated the process after a watchdog failure.
    Watchdog(ExitStatus),
    /// The daemon terminated the process because it was unhealthy.
    Unhealthy(ExitStatus),
    /// The process exited on its own.
    ByItself(ExitStatus),
    /// The process exited after a stop request.
    OnRequest(ExitStatus),
}

impl ExitReason {
    /// A word for each kind of reason. Kinds that people need not tell apart share a word.
    pub const WORDS: [&str; 7] = [
        "exited",
        "stopped",
        "too-quick",
        "not-ready",
        "watchdog",
        "unhealthy",
        "not-spawned",
    ];

    /// Returns the index of the reason's word in [`ExitReason::WORDS`].
    const fn index(&self) -> usize {
        match self {
            Self::ByItself(_) => 0,
            Self::OnRequest(_) => 1,
            Self::TooQuick(_) => 2,
            Self::Unready(_) | Self::NotReady(_) => 3,
            Self::Watchdog(_) => 4,
            Self::Unhealthy(_) => 5,
            Self::NotSpawned(_) => 6,
        }
    }

    /// Returns how the instance exited. `None`: there was no instance.
    #[must_use]
    pub const fn status(&self) -> Option<ExitStatus> {
        match self {
            Self::NotSpawned(_) => None,
            Self::TooQuick(status)
            | Self::Unready(status)
            | Self::NotReady(status)
            | Self::Watchdog(status)
            | Self::Unhealthy(status)
            | Self::ByItself(status)
            | Self::OnRequest(status) => Some(*status),
        }
    }

    /// Returns the word for the reason.
    #[must_use]
    pub const fn word(&self) -> &'static str {
        Self::WORDS[self.index()]
    }
}

/// How many attempts to run a process ended for each reason, in the order of [`ExitReason::WORDS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ExitCounts(pub [u32; ExitReason::WORDS.len()]);

impl ExitCounts {
    /// Counts an end.
    pub const fn add(&mut self, reason: &ExitReason) {
        let count = &mut self.0[reason.index()];
        *count = count.saturating_add(1);
    }

    /// Returns whether nothing was counted.
    #[must_use]
    pub fn is_zero(&self) -> bool {
        *self == Self::default()
    }

    /// Returns the words with their counts, without those that are 0.
    pub fn each(self) -> impl Iterator<Item = (&'static str, u32)> {
        let counts = ExitReason::WORDS.into_iter().zip(self.0);
        counts.filter(|&(_, count)| count > 0)
    }
}

/// Why a process could not be spawned. `Display` is Supervisor's `spawnerr`. Supervisor quotes and escapes unusual
/// paths; only the common cases of that are reproduced (see [`python_repr`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum SpawnError {
    /// The quotes or backslashes of the command are unbalanced.
    CannotParse {
        /// The command as configured.
        command: String,
        /// `No closing quotation` or `No escaped character`.
        reason: String,
    },
    /// The command is empty.
    Empty,
    /// The command was not found, with or without a search in PATH.
    NotFound(String),
    /// The path is a directory.
    Directory(String),
    /// The file has no execute bit.
    NotExecutable(String),
    /// The daemon lacks the permission to execute the file.
    NoPermission(String),
    /// EMFILE while making pipes or opening logs.
    TooManyFiles {
        /// The name of the process.
        name: String,
    },
    /// Any other error while making pipes or opening logs.
    Dispatchers {
        /// The name of the process.
        name: String,
        /// The error.
        errno: Errno,
    },
    /// An env file is missing, cannot be read or has a bad line.
    EnvFile {
        /// The path, with the line if one is bad.
        place: String,
        /// Why. It contains no part of a value.
        reason: String,
    },
    /// The socket of a FastCGI program could not be made.
    Socket {
        /// Its address.
        url: String,
        /// Why.
        reason: String,
    },
    /// EAGAIN from the kernel while creating the process.
    TooManyProcesses {
        /// The name of the process.
        name: String,
    },
    /// `pre_start_hook` failed and is required.
    Hook {
        /// Why.
        reason: String,
    },
    /// The start was cancelled before the process executed its command.
    CalledOff {
        /// The name of the process.
        name: String,
    },
    /// The preparation of the start takes long, for this reason.
    HeldUp(String),
    /// Any other error from the kernel while creating the process.
    Fork {
        /// The name of the process.
        name: String,
        /// The error.
        errno: Errno,
    },
}

impl SpawnError {
    /// Returns whether the start methods answer NO_FILE: the command is missing.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::NotFound(_))
    }

    /// Returns whether the start methods answer NOT_EXECUTABLE: the command cannot be executed.
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
            Self::EnvFile { place, reason } => write!(f, "env file {place}: {reason}"),
            // Differs: if this happens at a spawn, the original exits with this message.
            Self::Socket { url, reason } => {
                write!(f, "Could not create FastCGI socket {url}: {reason}")
            }
            Self::TooManyProcesses { name } => {
                write!(f, "Too many processes in process table to spawn '{name}'")
            }
            Self::Hook { reason } => write!(f, "pre_start_hook failed: {reason}"),
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
    fn resource_events_are_listed_worst_first() {
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
    fn log_03_exit_statuses_have_supervisors_wording() {
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
