//! What the hub can ask a node to do with one process, and how it can fail.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::view::NodeState;
use crate::domain::Signal;

/// An action on one process of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Start it, and wait until it is RUNNING.
    Start,
    /// Stop it, and wait until it has exited.
    Stop,
    /// Stop it if it runs, then start it.
    Restart,
    /// Send it a signal.
    Signal(Signal),
    /// Clear its log files.
    ClearLogs,
}

/// The user of the hub for whom it acts. Nodes that trust the hub with it show the name in their audit lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HubUser {
    /// The user name.
    pub name: Arc<str>,
}

/// Why an action was not done, or a log not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ActionError {
    /// The fleet has no node with this name.
    #[error("no node has this name")]
    UnknownNode,
    /// The node is not connected, so it was not asked. The reason is that of its view.
    #[error("the node is not connected: {state}{}{reason}", if .reason.is_empty() { "" } else { ": " })]
    NotConnected {
        /// The state of the node.
        state: NodeState,
        /// Why it is in this state.
        reason: Arc<str>,
    },
    /// The node refuses it with a fault of XML-RPC.
    #[error("{text}")]
    Fault {
        /// The code, as [`crate::api::FaultCode`] lists those of Supervisor. The Go project has others.
        code: i64,
        /// The text of the node, in one line without control characters, such as `ALREADY_STARTED: web:a`.
        text: String,
    },
    /// The connection failed, or what the node answered is no answer. Whether it did the action is not known.
    #[error("{0}")]
    NoAnswer(String),
    /// The node did not answer in time. Whether it did the action is not known.
    #[error("no answer within {} s", .0.as_secs())]
    TimedOut(Duration),
}

impl Action {
    /// Returns the word that clients see: `start`, `stop`, `restart`, `signal`, `clear`.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
            Self::Signal(_) => "signal",
            Self::ClearLogs => "clear",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

impl HubUser {
    /// The user with this name.
    #[must_use]
    pub fn new(name: &str) -> Self {
        Self { name: name.into() }
    }
}
