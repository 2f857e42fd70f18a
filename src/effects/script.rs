//! Effects of the `scripts` thread: hooks, health checks and actions of programs.

use std::fmt;
use std::sync::Arc;

use crate::config::script::Script;
use crate::config::spec::ProcessSpec;
use crate::domain::{ExitStatus, Seconds};

/// One run of a script. Never used again, also not by the next daemon's own runs, because that daemon gets no answers
/// to the runs of this one.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize,
)]
pub struct ScriptId(pub u64);

/// A script to run.
#[derive(Debug, Clone, PartialEq)]
pub struct ScriptRun {
    /// The run.
    pub id: ScriptId,
    /// What to do.
    pub script: Script,
    /// The process on whose behalf it runs. A command gets the user, environment, directory, limits and cgroup of this
    /// process.
    pub spec: Arc<ProcessSpec>,
    /// Variables of a command beside those of the process.
    pub variables: Vec<(String, String)>,
    /// What a command reads on standard input. Empty: nothing.
    pub input: String,
    /// How long it may take. The process group of a command that takes longer is killed.
    pub limit: Seconds,
}

/// An effect of the `scripts` thread.
#[derive(Debug, Clone, PartialEq)]
pub enum ScriptEffect {
    /// Run a script. Answered with [`ScriptOutcome::Ended`].
    Run(Box<ScriptRun>),
    /// Kill the process group of a run that is not wanted any more. Its answer comes, with
    /// [`ScriptFailure::Cancelled`], unless the script ended before.
    Cancel(ScriptId),
}

/// What the `scripts` thread answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScriptOutcome {
    /// A script has ended.
    Ended {
        /// The run.
        id: ScriptId,
        /// `None`: it succeeded.
        failure: Option<ScriptFailure>,
        /// The last bytes that a command wrote, at most [`SCRIPT_OUTPUT_MAX`], as text.
        output: String,
    },
}

/// Maximum number of bytes of a command's output that are kept: the last ones.
pub const SCRIPT_OUTPUT_MAX: usize = 1024;

/// Why a script failed. `Display` follows the name of the hook or check in messages.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ScriptFailure {
    /// The command could not be started, for this reason.
    NotStarted(String),
    /// The command ended with another status than 0.
    Ended(ExitStatus),
    /// It took longer than its limit.
    TimedOut(Seconds),
    /// The server answered with this HTTP status.
    HttpStatus(u16),
    /// The connection or its answer failed, for this reason.
    Connection(String),
    /// It was cancelled.
    Cancelled,
}

impl fmt::Display for ScriptFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotStarted(why) => write!(f, "not started: {why}"),
            Self::Ended(status) => status.fmt(f),
            Self::TimedOut(limit) => write!(f, "not finished after {} s", limit.0),
            Self::HttpStatus(status) => write!(f, "HTTP status {status}"),
            Self::Connection(why) => f.write_str(why),
            Self::Cancelled => f.write_str("cancelled"),
        }
    }
}
