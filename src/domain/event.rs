//! EVENTS: every event type with its parent and payload, declared once, and the values that the core publishes.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{GroupName, ProcessName, ProcessState, ResourceEvents, SupervisorState};

/// One row of [`EVENTS`].
#[derive(Debug)]
pub struct EventType {
    /// The name as configurations and envelopes spell it.
    pub name: &'static str,
    /// The type whose subscribers receive this one too; empty for the root.
    pub parent: &'static str,
    /// What a listener reads after the header, with `{fields}`; none: it is not emitted itself, it is a parent only.
    pub payload: Option<&'static str>,
    /// What happened.
    pub doc: &'static str,
}

impl EventType {
    /// It is of the type `name`, itself or by descent.
    #[must_use]
    pub fn is_a(&self, name: &str) -> bool {
        let mut at = Some(self);
        while let Some(event) = at {
            if event.name == name {
                return true;
            }
            at = EVENTS.iter().find(|other| other.name == event.parent);
        }
        false
    }
}

const fn row(
    name: &'static str,
    parent: &'static str,
    payload: &'static str,
    doc: &'static str,
) -> EventType {
    EventType {
        name,
        parent,
        payload: Some(payload),
        doc,
    }
}

const fn parent(name: &'static str, parent: &'static str, doc: &'static str) -> EventType {
    EventType {
        name,
        parent,
        payload: None,
        doc,
    }
}

/// Every event type. An `[eventlistener:x]` may subscribe to any of them.
///
/// # Source
/// Supervisor manual, "Event Types".
#[rustfmt::skip]
pub const EVENTS: &[EventType] = &[
    parent("EVENT", "", "Any event."),
    parent("PROCESS_STATE", "EVENT", "A process changed its state."),
    row("PROCESS_STATE_STARTING", "PROCESS_STATE", "processname:{process} groupname:{group} from_state:{from_state} tries:{tries}", "A process is STARTING: the daemon is about to spawn it."),
    row("PROCESS_STATE_RUNNING", "PROCESS_STATE", "processname:{process} groupname:{group} from_state:{from_state} pid:{pid}", "A process is RUNNING: it has been up for startsecs, or has reported readiness."),
    row("PROCESS_STATE_BACKOFF", "PROCESS_STATE", "processname:{process} groupname:{group} from_state:{from_state} tries:{tries}", "A process is in BACKOFF: it exited too early or could not be started, and the daemon will try again."),
    row("PROCESS_STATE_STOPPING", "PROCESS_STATE", "processname:{process} groupname:{group} from_state:{from_state} pid:{pid}", "A process is STOPPING: the daemon sends it the stop signal."),
    row("PROCESS_STATE_STOPPED", "PROCESS_STATE", "processname:{process} groupname:{group} from_state:{from_state} pid:{pid}", "A process is STOPPED: it exited after a stop request."),
    row("PROCESS_STATE_EXITED", "PROCESS_STATE", "processname:{process} groupname:{group} from_state:{from_state} expected:{expected} pid:{pid}", "A process is EXITED: it exited from RUNNING without a stop request."),
    row("PROCESS_STATE_FATAL", "PROCESS_STATE", "processname:{process} groupname:{group} from_state:{from_state}", "A process is FATAL: all start attempts failed."),
    row("PROCESS_STATE_UNKNOWN", "PROCESS_STATE", "processname:{process} groupname:{group} from_state:{from_state}", "A process is UNKNOWN: the kernel refused to deliver a signal to it."),
    parent("PROCESS_COMMUNICATION", "EVENT", "A process wrote text between the capture tokens."),
    row("PROCESS_COMMUNICATION_STDOUT", "PROCESS_COMMUNICATION", "processname:{process} groupname:{group} pid:{pid}\n{data}", "A process wrote text between the capture tokens to standard output."),
    row("PROCESS_COMMUNICATION_STDERR", "PROCESS_COMMUNICATION", "processname:{process} groupname:{group} pid:{pid}\n{data}", "A process wrote text between the capture tokens to standard error."),
    parent("PROCESS_LOG", "EVENT", "A process wrote to a stream with stdout_events_enabled or stderr_events_enabled."),
    row("PROCESS_LOG_STDOUT", "PROCESS_LOG", "processname:{process} groupname:{group} pid:{pid} channel:{channel}\n{data}", "A process wrote to standard output."),
    row("PROCESS_LOG_STDERR", "PROCESS_LOG", "processname:{process} groupname:{group} pid:{pid} channel:{channel}\n{data}", "A process wrote to standard error."),
    row("REMOTE_COMMUNICATION", "EVENT", "type:{type}\n{data}", "A client called sendRemoteCommEvent."),
    parent("SUPERVISOR_STATE_CHANGE", "EVENT", "The daemon changed state."),
    row("SUPERVISOR_STATE_CHANGE_RUNNING", "SUPERVISOR_STATE_CHANGE", "", "The daemon has started."),
    row("SUPERVISOR_STATE_CHANGE_STOPPING", "SUPERVISOR_STATE_CHANGE", "", "The daemon begins to stop."),
    parent("TICK", "EVENT", "A period has passed."),
    row("TICK_5", "TICK", "when:{when}", "Every 5 seconds."),
    row("TICK_60", "TICK", "when:{when}", "Every 60 seconds."),
    row("TICK_3600", "TICK", "when:{when}", "Every 3600 seconds."),
    parent("PROCESS_GROUP", "EVENT", "The set of process groups changed."),
    row("PROCESS_GROUP_ADDED", "PROCESS_GROUP", "groupname:{group}\n", "A process group was added."),
    row("PROCESS_GROUP_REMOVED", "PROCESS_GROUP", "groupname:{group}\n", "A process group was removed."),
];

/// Periods of the TICK events, in seconds.
pub const TICK_PERIODS: [i64; 3] = [5, 60, 3600];

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

/// Which events about what processes write somebody listens to. Where nobody does, the bytes need not travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OutputEvents {
    /// PROCESS_LOG.
    pub logs: bool,
    /// PROCESS_COMMUNICATION.
    pub communications: bool,
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
        /// What of its limits it met in the instance that this ends.
        #[serde(rename = "causes")]
        resource_events: ResourceEvents,
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
    /// Time went by.
    Tick {
        /// One of [`TICK_PERIODS`].
        period: i64,
        /// Seconds since the epoch; a multiple of the period.
        when: i64,
    },
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
            EventKind::Tick { period: 5, .. } => "TICK_5",
            EventKind::Tick { period: 60, .. } => "TICK_60",
            EventKind::Tick { .. } => "TICK_3600",
        }
    }

    /// The place of its type in [`EVENTS`].
    #[must_use]
    pub fn place(&self) -> usize {
        let name = self.name();
        EVENTS
            .iter()
            .position(|event| event.name == name)
            .expect("invariant: every name that `name` gives is a row of EVENTS")
    }

    /// About how many bytes it holds, for bounds.
    #[must_use]
    pub fn size(&self) -> usize {
        let data = match &self.kind {
            EventKind::ProcessCommunication { data, .. } | EventKind::ProcessLog { data, .. } => {
                data.len()
            }
            EventKind::RemoteCommunication { kind, data } => kind.len() + data.len(),
            EventKind::ProcessState { .. }
            | EventKind::SupervisorState(_)
            | EventKind::GroupAdded
            | EventKind::GroupRemoved
            | EventKind::Tick { .. } => 0,
        };
        size_of::<Self>() + data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn evt_01_every_parent_is_a_row_and_stands_before_its_children() {
        for (place, event) in EVENTS.iter().enumerate() {
            let parent = EVENTS.iter().position(|other| other.name == event.parent);
            assert!(
                event.parent.is_empty() || parent.is_some_and(|p| p < place),
                "{}",
                event.name
            );
            assert!(event.is_a("EVENT") && event.is_a(event.name));
            assert_eq!(
                event.is_a("PROCESS_STATE"),
                event.name.starts_with("PROCESS_STATE")
            );
        }
    }
}
