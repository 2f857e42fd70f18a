//! The changes that the core publishes. Events of listeners, D-Bus signals and the updates of pages are renderings of them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{Channel, GroupName, ProcessName, ProcessState, ResourceEvents, SupervisorState};

/// A change that the core publishes. [`EVENTS`](super::EVENTS) renders it for listeners, [`StatusChange`] for servers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "StoredChange", into = "StoredChange")]
pub enum Change {
    /// A process changed state.
    ProcessState {
        /// Its group.
        group: GroupName,
        /// Its name.
        process: ProcessName,
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
        resource_events: ResourceEvents,
    },
    /// A process wrote bytes between capture tokens.
    ProcessCommunication {
        /// Its group.
        group: GroupName,
        /// Its name.
        process: ProcessName,
        /// The stream.
        channel: Channel,
        /// The PID of the process.
        pid: i32,
        /// The bytes.
        data: Arc<[u8]>,
    },
    /// A process wrote bytes to a stream with events enabled.
    ProcessLog {
        /// Its group.
        group: GroupName,
        /// Its name.
        process: ProcessName,
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
    GroupAdded(GroupName),
    /// A group was removed.
    GroupRemoved(GroupName),
    /// A tick period has passed.
    Tick {
        /// The period.
        period: TickPeriod,
        /// The time in seconds since the epoch, a multiple of the period.
        when: i64,
    },
}

/// The period of a TICK event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TickPeriod {
    /// 5 seconds.
    Seconds5,
    /// 60 seconds.
    Seconds60,
    /// 3600 seconds.
    Seconds3600,
}

impl TickPeriod {
    /// All periods.
    pub const ALL: [Self; 3] = [Self::Seconds5, Self::Seconds60, Self::Seconds3600];

    /// Returns the period in seconds.
    #[must_use]
    pub const fn seconds(self) -> i64 {
        match self {
            Self::Seconds5 => 5,
            Self::Seconds60 => 60,
            Self::Seconds3600 => 3600,
        }
    }
}

/// What a server shows of a change: the new states, in a bounded size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StatusChange {
    /// A process changed state.
    Process {
        /// Its group.
        group: GroupName,
        /// Its name.
        process: ProcessName,
        /// The old state.
        from: ProcessState,
        /// The new state.
        to: ProcessState,
        /// The PID. 0: none.
        pid: i32,
    },
    /// The daemon changed state.
    Supervisor(SupervisorState),
    /// A group was added or removed.
    Groups,
}

impl Change {
    /// Returns the group that the change is about. `None`: it is about the daemon.
    #[must_use]
    pub const fn group(&self) -> Option<&GroupName> {
        match self {
            Self::ProcessState { group, .. }
            | Self::ProcessCommunication { group, .. }
            | Self::ProcessLog { group, .. }
            | Self::GroupAdded(group)
            | Self::GroupRemoved(group) => Some(group),
            Self::RemoteCommunication { .. } | Self::SupervisorState(_) | Self::Tick { .. } => None,
        }
    }

    /// Returns the process that the change is about. `None`: it is about a group or the daemon.
    #[must_use]
    pub const fn process(&self) -> Option<&ProcessName> {
        match self {
            Self::ProcessState { process, .. }
            | Self::ProcessCommunication { process, .. }
            | Self::ProcessLog { process, .. } => Some(process),
            Self::GroupAdded(_)
            | Self::GroupRemoved(_)
            | Self::RemoteCommunication { .. }
            | Self::SupervisorState(_)
            | Self::Tick { .. } => None,
        }
    }

    /// Returns what servers show of the change. `None`: nothing. Output and messages have no size limit that fits a
    /// queue of changes.
    #[must_use]
    pub fn status(&self) -> Option<StatusChange> {
        match self {
            Self::ProcessState {
                group,
                process,
                from,
                to,
                pid,
                ..
            } => Some(StatusChange::Process {
                group: group.clone(),
                process: process.clone(),
                from: *from,
                to: *to,
                pid: *pid,
            }),
            Self::SupervisorState(state) => Some(StatusChange::Supervisor(*state)),
            Self::GroupAdded(_) | Self::GroupRemoved(_) => Some(StatusChange::Groups),
            Self::ProcessCommunication { .. }
            | Self::ProcessLog { .. }
            | Self::RemoteCommunication { .. }
            | Self::Tick { .. } => None,
        }
    }

    /// Returns the approximate size of the change in bytes, for limits.
    #[must_use]
    pub fn size(&self) -> usize {
        let data = match self {
            Self::ProcessCommunication { data, .. } | Self::ProcessLog { data, .. } => data.len(),
            Self::RemoteCommunication { kind, data } => kind.len() + data.len(),
            Self::ProcessState { .. }
            | Self::SupervisorState(_)
            | Self::GroupAdded(_)
            | Self::GroupRemoved(_)
            | Self::Tick { .. } => 0,
        };
        size_of::<Self>() + data
    }
}

/// A change as handoffs contain it: the names beside the kind. Daemons of earlier versions wrote this shape and read it.
#[derive(Serialize, Deserialize)]
struct StoredChange {
    group: Option<GroupName>,
    process: Option<ProcessName>,
    kind: StoredKind,
}

/// The kind of a [`StoredChange`] with its data.
#[derive(Serialize, Deserialize)]
enum StoredKind {
    ProcessState {
        from: ProcessState,
        to: ProcessState,
        tries: u32,
        pid: i32,
        expected: bool,
        #[serde(rename = "causes")]
        resource_events: ResourceEvents,
    },
    ProcessCommunication {
        channel: Channel,
        pid: i32,
        data: Arc<[u8]>,
    },
    ProcessLog {
        channel: Channel,
        pid: i32,
        data: Arc<[u8]>,
    },
    RemoteCommunication {
        kind: String,
        data: String,
    },
    SupervisorState(SupervisorState),
    GroupAdded,
    GroupRemoved,
    Tick {
        period: i64,
        when: i64,
    },
}

impl From<Change> for StoredChange {
    fn from(change: Change) -> Self {
        let (group, process) = (change.group().cloned(), change.process().cloned());
        let kind = match change {
            Change::ProcessState {
                group: _,
                process: _,
                from,
                to,
                tries,
                pid,
                expected,
                resource_events,
            } => StoredKind::ProcessState {
                from,
                to,
                tries,
                pid,
                expected,
                resource_events,
            },
            Change::ProcessCommunication {
                group: _,
                process: _,
                channel,
                pid,
                data,
            } => StoredKind::ProcessCommunication { channel, pid, data },
            Change::ProcessLog {
                group: _,
                process: _,
                channel,
                pid,
                data,
            } => StoredKind::ProcessLog { channel, pid, data },
            Change::RemoteCommunication { kind, data } => {
                StoredKind::RemoteCommunication { kind, data }
            }
            Change::SupervisorState(state) => StoredKind::SupervisorState(state),
            Change::GroupAdded(_) => StoredKind::GroupAdded,
            Change::GroupRemoved(_) => StoredKind::GroupRemoved,
            Change::Tick { period, when } => StoredKind::Tick {
                period: period.seconds(),
                when,
            },
        };
        Self {
            group,
            process,
            kind,
        }
    }
}

impl TryFrom<StoredChange> for Change {
    type Error = &'static str;

    fn try_from(stored: StoredChange) -> Result<Self, Self::Error> {
        let group = stored.group.ok_or("a change without its group");
        let process = stored.process.ok_or("a change without its process");
        Ok(match stored.kind {
            StoredKind::ProcessState {
                from,
                to,
                tries,
                pid,
                expected,
                resource_events,
            } => Self::ProcessState {
                group: group?,
                process: process?,
                from,
                to,
                tries,
                pid,
                expected,
                resource_events,
            },
            StoredKind::ProcessCommunication { channel, pid, data } => Self::ProcessCommunication {
                group: group?,
                process: process?,
                channel,
                pid,
                data,
            },
            StoredKind::ProcessLog { channel, pid, data } => Self::ProcessLog {
                group: group?,
                process: process?,
                channel,
                pid,
                data,
            },
            StoredKind::RemoteCommunication { kind, data } => {
                Self::RemoteCommunication { kind, data }
            }
            StoredKind::SupervisorState(state) => Self::SupervisorState(state),
            StoredKind::GroupAdded => Self::GroupAdded(group?),
            StoredKind::GroupRemoved => Self::GroupRemoved(group?),
            StoredKind::Tick { period, when } => Self::Tick {
                period: TickPeriod::ALL
                    .into_iter()
                    .find(|known| known.seconds() == period)
                    .ok_or("an unknown period of ticks")?,
                when,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_change_has_the_shape_of_earlier_versions() {
        let group = || GroupName::parse("g").expect("valid");
        let process = || ProcessName::parse("p").expect("valid");
        let none = r#"{"group":null,"process":null,"kind":"#;
        let both = r#"{"group":"g","process":"p","kind":"#;
        for (change, stored) in [
            (
                Change::ProcessState {
                    group: group(),
                    process: process(),
                    from: ProcessState::Running,
                    to: ProcessState::Exited,
                    tries: 1,
                    pid: 7,
                    expected: true,
                    resource_events: ResourceEvents::NONE,
                },
                format!(
                    r#"{both}{{"ProcessState":{{"from":"Running","to":"Exited","tries":1,"pid":7,"expected":true,"causes":{}}}}}}}"#,
                    serde_json::to_string(&ResourceEvents::NONE).expect("written")
                ),
            ),
            (
                Change::ProcessLog {
                    group: group(),
                    process: process(),
                    channel: Channel::Stderr,
                    pid: 7,
                    data: Arc::from(&b"x"[..]),
                },
                format!(r#"{both}{{"ProcessLog":{{"channel":"Stderr","pid":7,"data":[120]}}}}}}"#),
            ),
            (
                Change::GroupAdded(group()),
                r#"{"group":"g","process":null,"kind":"GroupAdded"}"#.to_owned(),
            ),
            (
                Change::Tick {
                    period: TickPeriod::Seconds60,
                    when: 120,
                },
                format!(r#"{none}{{"Tick":{{"period":60,"when":120}}}}}}"#),
            ),
        ] {
            assert_eq!(serde_json::to_string(&change).expect("written"), stored);
            assert_eq!(
                serde_json::from_str::<Change>(&stored).expect("read"),
                change
            );
        }
        for wrong in [
            r#""GroupAdded""#,
            r#"{"Tick":{"period":7,"when":7}}"#,
            r#"{"ProcessLog":{"channel":"Stderr","pid":7,"data":[]}}"#,
        ] {
            assert!(serde_json::from_str::<Change>(&format!("{none}{wrong}}}")).is_err());
        }
    }
}
