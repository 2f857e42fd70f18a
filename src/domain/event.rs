//! EVENTS: every event type with its parent, declared once, and the values that the core publishes.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{GroupName, ProcessName, ProcessState, SupervisorState};

/// One row of [`EVENTS`].
#[derive(Debug)]
pub struct EventType {
    /// The name as configurations and envelopes spell it.
    pub name: &'static str,
    /// The type whose subscribers receive this one too; empty for the root.
    pub parent: &'static str,
    /// It is emitted itself, not only a parent.
    pub concrete: bool,
    /// What happened.
    pub doc: &'static str,
}

const fn row(
    name: &'static str,
    parent: &'static str,
    concrete: bool,
    doc: &'static str,
) -> EventType {
    EventType {
        name,
        parent,
        concrete,
        doc,
    }
}

/// Every event type. An `[eventlistener:x]` may subscribe to any of them.
///
/// # Source
/// Supervisor manual, "Event Types".
pub const EVENTS: &[EventType] = &[
    row("EVENT", "", false, "Any event."),
    row(
        "PROCESS_STATE",
        "EVENT",
        false,
        "A process moved from one state to another.",
    ),
    row(
        "PROCESS_STATE_STARTING",
        "PROCESS_STATE",
        true,
        "A process is about to be spawned.",
    ),
    row(
        "PROCESS_STATE_RUNNING",
        "PROCESS_STATE",
        true,
        "A process stayed up for startsecs.",
    ),
    row(
        "PROCESS_STATE_BACKOFF",
        "PROCESS_STATE",
        true,
        "A process ended too early and will be tried again.",
    ),
    row(
        "PROCESS_STATE_STOPPING",
        "PROCESS_STATE",
        true,
        "A process was asked to stop.",
    ),
    row(
        "PROCESS_STATE_STOPPED",
        "PROCESS_STATE",
        true,
        "A process ended after it was asked to.",
    ),
    row(
        "PROCESS_STATE_EXITED",
        "PROCESS_STATE",
        true,
        "A running process ended by itself.",
    ),
    row(
        "PROCESS_STATE_FATAL",
        "PROCESS_STATE",
        true,
        "A process failed too often and is given up.",
    ),
    row(
        "PROCESS_STATE_UNKNOWN",
        "PROCESS_STATE",
        true,
        "The kernel refused a signal to a process.",
    ),
    row(
        "PROCESS_COMMUNICATION",
        "EVENT",
        false,
        "A process wrote between the capture tokens.",
    ),
    row(
        "PROCESS_COMMUNICATION_STDOUT",
        "PROCESS_COMMUNICATION",
        true,
        "It did so on standard output.",
    ),
    row(
        "PROCESS_COMMUNICATION_STDERR",
        "PROCESS_COMMUNICATION",
        true,
        "It did so on standard error.",
    ),
    row(
        "PROCESS_LOG",
        "EVENT",
        false,
        "A process wrote to a channel with events enabled.",
    ),
    row(
        "PROCESS_LOG_STDOUT",
        "PROCESS_LOG",
        true,
        "It did so on standard output.",
    ),
    row(
        "PROCESS_LOG_STDERR",
        "PROCESS_LOG",
        true,
        "It did so on standard error.",
    ),
    row(
        "REMOTE_COMMUNICATION",
        "EVENT",
        true,
        "A client called sendRemoteCommEvent.",
    ),
    row(
        "SUPERVISOR_STATE_CHANGE",
        "EVENT",
        false,
        "The daemon changed state.",
    ),
    row(
        "SUPERVISOR_STATE_CHANGE_RUNNING",
        "SUPERVISOR_STATE_CHANGE",
        true,
        "The daemon has started.",
    ),
    row(
        "SUPERVISOR_STATE_CHANGE_STOPPING",
        "SUPERVISOR_STATE_CHANGE",
        true,
        "The daemon begins to stop.",
    ),
    row("TICK", "EVENT", false, "Time went by."),
    row("TICK_5", "TICK", true, "Every 5 seconds."),
    row("TICK_60", "TICK", true, "Every 60 seconds."),
    row("TICK_3600", "TICK", true, "Every 3600 seconds."),
    row(
        "PROCESS_GROUP",
        "EVENT",
        false,
        "The set of groups changed.",
    ),
    row(
        "PROCESS_GROUP_ADDED",
        "PROCESS_GROUP",
        true,
        "A group was added.",
    ),
    row(
        "PROCESS_GROUP_REMOVED",
        "PROCESS_GROUP",
        true,
        "A group was removed.",
    ),
];

/// One of the two streams of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Channel {
    /// Standard output, and standard error too when `redirect_stderr` is on.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Channel {
    /// `stdout` or `stderr`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// What happened, with its data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventKind {
    /// A process changed state.
    ProcessState {
        /// The state left.
        from: ProcessState,
        /// The state entered.
        to: ProcessState,
        /// Failed attempts so far.
        tries: u32,
        /// The kernel's number, 0 if there is none.
        pid: i32,
        /// For EXITED: the exit code is among `exitcodes`.
        expected: bool,
    },
    /// Bytes between capture tokens.
    ProcessCommunication {
        /// The stream.
        channel: Channel,
        /// The kernel's number of the writer.
        pid: i32,
        /// The bytes.
        data: Arc<[u8]>,
    },
    /// Bytes written to a channel with events enabled.
    ProcessLog {
        /// The stream.
        channel: Channel,
        /// The kernel's number of the writer.
        pid: i32,
        /// The bytes.
        data: Arc<[u8]>,
    },
    /// A client's message.
    RemoteCommunication {
        /// Its type, chosen by the client.
        kind: String,
        /// Its data.
        data: String,
    },
    /// The daemon started or begins to stop.
    SupervisorState(SupervisorState),
    /// A group was added.
    GroupAdded,
    /// A group was removed.
    GroupRemoved,
}

/// An event with its subject. Process events carry both names, group events the group's, others none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The group concerned.
    pub group: Option<GroupName>,
    /// The process concerned.
    pub process: Option<ProcessName>,
    /// What happened.
    pub kind: EventKind,
}

impl Event {
    /// The name of its type, a concrete row of [`EVENTS`].
    #[must_use]
    pub fn name(&self) -> &'static str {
        match &self.kind {
            EventKind::ProcessState { to, .. } => match to {
                ProcessState::Stopped => "PROCESS_STATE_STOPPED",
                ProcessState::Starting => "PROCESS_STATE_STARTING",
                ProcessState::Running => "PROCESS_STATE_RUNNING",
                ProcessState::Backoff => "PROCESS_STATE_BACKOFF",
                ProcessState::Stopping => "PROCESS_STATE_STOPPING",
                ProcessState::Exited => "PROCESS_STATE_EXITED",
                ProcessState::Fatal => "PROCESS_STATE_FATAL",
                ProcessState::Unknown => "PROCESS_STATE_UNKNOWN",
            },
            EventKind::ProcessCommunication {
                channel: Channel::Stdout,
                ..
            } => "PROCESS_COMMUNICATION_STDOUT",
            EventKind::ProcessCommunication {
                channel: Channel::Stderr,
                ..
            } => "PROCESS_COMMUNICATION_STDERR",
            EventKind::ProcessLog {
                channel: Channel::Stdout,
                ..
            } => "PROCESS_LOG_STDOUT",
            EventKind::ProcessLog {
                channel: Channel::Stderr,
                ..
            } => "PROCESS_LOG_STDERR",
            EventKind::RemoteCommunication { .. } => "REMOTE_COMMUNICATION",
            EventKind::SupervisorState(SupervisorState::Running) => {
                "SUPERVISOR_STATE_CHANGE_RUNNING"
            }
            EventKind::SupervisorState(_) => "SUPERVISOR_STATE_CHANGE_STOPPING",
            EventKind::GroupAdded => "PROCESS_GROUP_ADDED",
            EventKind::GroupRemoved => "PROCESS_GROUP_REMOVED",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_parent_is_a_row_and_stands_before_its_children() {
        for (place, event) in EVENTS.iter().enumerate() {
            let parent = EVENTS.iter().position(|other| other.name == event.parent);
            assert!(
                event.parent.is_empty() || parent.is_some_and(|p| p < place),
                "{}",
                event.name
            );
        }
    }
}
