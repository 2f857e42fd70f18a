//! EVENTS: the table of all event types with their parents and payloads, and the events that the core publishes.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{GroupName, ProcessName, ProcessState, ResourceEvents, SupervisorState};

/// One row of [`EVENTS`].
#[derive(Debug)]
pub struct EventType {
    /// The name in configurations and envelopes.
    pub name: &'static str,
    /// The parent type. Its subscribers receive this type too. Empty for the root.
    pub parent: &'static str,
    /// The template of the payload with `{fields}`. `None`: the type is only a parent and is never emitted.
    pub payload: Option<&'static str>,
    /// The description.
    pub doc: &'static str,
}

impl EventType {
    /// Returns whether this type is `name` or descends from it.
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

/// The periods of the TICK events, in seconds.
pub const TICK_PERIODS: [i64; 3] = [5, 60, 3600];

/// One of the two output streams of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Channel {
    /// Standard output. It includes standard error with `redirect_stderr`.
    Stdout,
    /// Standard error.
    Stderr,
}

impl Channel {
    /// Returns `stdout` or `stderr`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// Which kinds of events about process output have subscribers. For the others the output thread does not send the
/// bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct OutputEvents {
    /// Whether PROCESS_LOG has subscribers.
    pub logs: bool,
    /// Whether PROCESS_COMMUNICATION has subscribers.
    pub communications: bool,
}

/// The kind of an event with its data.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventKind {
    /// A process changed state.
    ProcessState {
        /// The old state.
        from: ProcessState,
        /// The new state.
        to: ProcessState,
        /// The number of failed attempts so far.
        tries: u32,
        /// The PID. 0: none.
        pid: i32,
        /// For EXITED: whether the exit code is one of `exitcodes`.
        expected: bool,
        /// Resource limits that the instance hit before it exited.
        #[serde(rename = "causes")]
        resource_events: ResourceEvents,
    },
    /// A process wrote bytes between capture tokens.
    ProcessCommunication {
        /// The stream.
        channel: Channel,
        /// The PID of the process.
        pid: i32,
        /// The bytes.
        data: Arc<[u8]>,
    },
    /// A process wrote bytes to a stream with events enabled.
    ProcessLog {
        /// The stream.
        channel: Channel,
        /// The PID of the process.
        pid: i32,
        /// The bytes.
        data: Arc<[u8]>,
    },
    /// A client sent a message.
    RemoteCommunication {
        /// The type, chosen by the client.
        kind: String,
        /// The data.
        data: String,
    },
    /// The daemon has started or starts to stop.
    SupervisorState(SupervisorState),
    /// A group was added.
    GroupAdded,
    /// A group was removed.
    GroupRemoved,
    /// A tick period has passed.
    Tick {
        /// The period in seconds, one of [`TICK_PERIODS`].
        period: i64,
        /// The time in seconds since the epoch, a multiple of the period.
        when: i64,
    },
}

/// An event and its subject. Process events have both names, group events only the group, other events none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// The group that the event is about.
    pub group: Option<GroupName>,
    /// The process that the event is about.
    pub process: Option<ProcessName>,
    /// The kind and data.
    pub kind: EventKind,
}

impl Event {
    /// Returns the name of the type, which is a row of [`EVENTS`] with a payload.
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

    /// Returns the index of the type in [`EVENTS`].
    #[must_use]
    pub fn place(&self) -> usize {
        let name = self.name();
        EVENTS
            .iter()
            .position(|event| event.name == name)
            .expect("invariant: every name that `name` gives is a row of EVENTS")
    }

    /// Returns the approximate size of the data in bytes, for limits.
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
    fn evt_01_every_parent_is_a_row_before_its_children() {
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
