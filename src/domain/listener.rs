//! The protocol states of an event listener, and the messages that it writes.

use serde::{Deserialize, Serialize};

/// The protocol state of a listener, with Supervisor's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ListenerState {
    /// The listener has handled its event or was just started.
    Acknowledged,
    /// The listener waits for an event.
    Ready,
    /// The listener has an event and has not answered it.
    Busy,
    /// The listener broke the protocol. This instance gets no more events.
    Unknown,
}

impl ListenerState {
    /// Returns the name in log lines.
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

/// A protocol message on the standard output of a listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ListenerOutput {
    /// `READY`.
    Ready,
    /// A complete result.
    Result(Verdict),
    /// A line that should have been `RESULT` and a number. It contains the line.
    BadResult(String),
    /// Output where none or another message was expected.
    Nonsense,
}

/// The content of a result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// `OK`.
    Ok,
    /// `FAIL`.
    Fail,
    /// Any other text.
    Other,
}
