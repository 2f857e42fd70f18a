//! Where an event listener stands, and what it says to get there.

use serde::{Deserialize, Serialize};

/// Where a listener stands. The names are Supervisor's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ListenerState {
    /// It has handled its event, or was just started.
    Acknowledged,
    /// It waits for an event.
    Ready,
    /// It has an event and owes a result.
    Busy,
    /// It broke the protocol, and gets no event any more in this instance.
    Unknown,
}

impl ListenerState {
    /// The name in log lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Acknowledged => "ACKNOWLEDGED",
            Self::Ready => "READY",
            Self::Busy => "BUSY",
            Self::Unknown => "UNKNOWN",
        }
    }
}

/// What a listener said on its standard output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ListenerOutput {
    /// `READY`.
    Ready,
    /// A whole result.
    Result(Verdict),
    /// A line that should have been `RESULT` and a number, as it reads.
    BadResult(String),
    /// Something where nothing, or something else, was to come.
    Nonsense,
}

/// What a result says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// `OK`.
    Ok,
    /// `FAIL`.
    Fail,
    /// Anything else.
    Other,
}
