//! The protocol state of an event listener. `listener` changes it.

use serde::{Deserialize, Serialize};

use crate::domain::{Envelope, ListenerState};

/// The protocol state of one listener.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum ListenerStage {
    /// The listener has handled its event or was just started.
    Acknowledged,
    /// The listener waits for an event.
    Ready,
    /// The listener waits for an event, but has closed its standard input.
    #[serde(rename = "Deaf")]
    StdinClosed,
    /// The listener has an event and has not answered it.
    Busy(Box<Envelope>),
    /// The listener broke the protocol.
    Unknown,
}

impl ListenerStage {
    /// Returns the state whose name log lines show.
    pub(super) const fn state(&self) -> ListenerState {
        match self {
            Self::Acknowledged => ListenerState::Acknowledged,
            Self::Ready | Self::StdinClosed => ListenerState::Ready,
            Self::Busy(_) => ListenerState::Busy,
            Self::Unknown => ListenerState::Unknown,
        }
    }
}
