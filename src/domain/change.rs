//! The changes that the core publishes. Events of listeners, D-Bus signals and the updates of pages are renderings of them.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::change_value::{ChangeField as _, ChangeValue};
use super::{Channel, GroupName, ProcessName, ProcessState, ResourceEvents, SupervisorState};

/// Declares [`Change`] and its written form from rows, by the subject of a change. The fields of a process's row come
/// besides the group and the name; a change of a group has only the group. A `value` is about the daemon too, and has one
/// value without a name.
macro_rules! changes {
    (
        process { $($(#[$of_process:meta])* $Process:ident { $($(#[$of_field:meta])* $field:ident: $Field:ty),* $(,)? })* }
        group { $($(#[$of_group:meta])* $Group:ident)* }
        daemon { $($(#[$of_message:meta])* $Message:ident { $($(#[$of_part:meta])* $part:ident: $Part:ty),* $(,)? })* }
        value { $($(#[$of_value:meta])* $Value:ident($Of:ty))* }
    ) => {
        /// A change that the core publishes. [`EVENTS`](super::EVENTS) renders it for listeners, [`StatusChange`] for
        /// servers.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[serde(try_from = "StoredChange", into = "StoredChange")]
        pub enum Change {
            $($(#[$of_process])* $Process {
                /// Its group.
                group: GroupName,
                /// Its name.
                process: ProcessName,
                $($(#[$of_field])* $field: $Field,)*
            },)*
            $($(#[$of_group])* $Group(GroupName),)*
            $($(#[$of_message])* $Message { $($(#[$of_part])* $part: $Part,)* },)*
            $($(#[$of_value])* $Value($Of),)*
        }

        impl Change {
            /// Returns the group that the change is about. `None`: it is about the daemon.
            #[must_use]
            pub const fn group(&self) -> Option<&GroupName> {
                match self {
                    $(Self::$Process { group, .. })|* => Some(group),
                    $(Self::$Group(group))|* => Some(group),
                    $(Self::$Message { .. })|* $(| Self::$Value(_))* => None,
                }
            }

            /// Returns the process that the change is about. `None`: it is about a group or the daemon.
            #[must_use]
            pub const fn process(&self) -> Option<&ProcessName> {
                match self {
                    $(Self::$Process { process, .. })|* => Some(process),
                    $(Self::$Group(_))|* $(| Self::$Message { .. })* $(| Self::$Value(_))* => None,
                }
            }
        }

        impl Change {
            /// Calls `use_field` with the name and the value of each field besides group and process, in the order of the
            /// row. A value without a name is the `state`.
            pub fn each_field(&self, mut use_field: impl FnMut(&'static str, ChangeValue<'_>)) {
                match self {
                    $(Self::$Process { group: _, process: _, $($field),* } => {
                        $(use_field(stringify!($field), $field.value());)*
                    })*
                    $(Self::$Group(_))|* => {}
                    $(Self::$Message { $($part),* } => { $(use_field(stringify!($part), $part.value());)* })*
                    $(Self::$Value(state) => use_field("state", state.value()),)*
                }
            }
        }

        /// The kind of a [`StoredChange`] with its data.
        #[derive(Serialize, Deserialize)]
        enum StoredKind {
            $($Process { $($(#[$of_field])* $field: $Field,)* },)*
            $($Group,)*
            $($Message { $($part: $Part,)* },)*
            $($Value($Of),)*
        }

        impl From<Change> for StoredChange {
            fn from(change: Change) -> Self {
                let (group, process) = (change.group().cloned(), change.process().cloned());
                let kind = match change {
                    $(Change::$Process { group: _, process: _, $($field),* } => StoredKind::$Process { $($field),* },)*
                    $(Change::$Group(_) => StoredKind::$Group,)*
                    $(Change::$Message { $($part),* } => StoredKind::$Message { $($part),* },)*
                    $(Change::$Value(value) => StoredKind::$Value(value),)*
                };
                Self { group, process, kind }
            }
        }

        impl TryFrom<StoredChange> for Change {
            type Error = &'static str;

            fn try_from(stored: StoredChange) -> Result<Self, Self::Error> {
                let group = stored.group.ok_or("a change without its group");
                let process = stored.process.ok_or("a change without its process");
                Ok(match stored.kind {
                    $(StoredKind::$Process { $($field),* } => Self::$Process {
                        group: group?,
                        process: process?,
                        $($field),*
                    },)*
                    $(StoredKind::$Group => Self::$Group(group?),)*
                    $(StoredKind::$Message { $($part),* } => Self::$Message { $($part),* },)*
                    $(StoredKind::$Value(value) => Self::$Value(value),)*
                })
            }
        }
    };
}

changes! {
    process {
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
        }
        /// The health of a process changed.
        ProcessHealth {
            /// Whether the process is healthy now.
            is_healthy: bool,
            /// The PID of the process.
            pid: i32,
            /// Why the process is unhealthy. Empty: it is not.
            reason: String,
        }
        /// A process wrote bytes between capture tokens.
        ProcessCommunication {
            /// The stream.
            channel: Channel,
            /// The PID of the process.
            pid: i32,
            /// The bytes.
            data: Arc<[u8]>,
        }
        /// A process wrote bytes to a stream with events enabled.
        ProcessLog {
            /// The stream.
            channel: Channel,
            /// The PID of the process.
            pid: i32,
            /// The bytes.
            data: Arc<[u8]>,
        }
    }
    group {
        /// A group was added.
        GroupAdded
        /// A group was removed.
        GroupRemoved
    }
    daemon {
        /// A client sent a message.
        RemoteCommunication {
            /// The type, chosen by the client.
            kind: String,
            /// The data.
            data: String,
        }
        /// A text of the source of the configuration was refused. Nothing was changed.
        ConfigRejected {
            /// The source.
            item: String,
            /// The MD5 of the text.
            md5: String,
            /// What is wrong with it: one line.
            error: String,
        }
        /// A tick period has passed.
        Tick {
            /// The period.
            period: TickPeriod,
            /// The time in seconds since the epoch, a multiple of the period.
            when: i64,
        }
    }
    value {
        /// The daemon has started or starts to stop.
        SupervisorState(SupervisorState)
    }
}

/// A change as handoffs contain it: the names beside the kind. Daemons of earlier versions wrote this shape and read it.
#[derive(Serialize, Deserialize)]
struct StoredChange {
    group: Option<GroupName>,
    process: Option<ProcessName>,
    kind: StoredKind,
}

/// The period of a TICK event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "i64", into = "i64")]
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

impl From<TickPeriod> for i64 {
    fn from(period: TickPeriod) -> Self {
        period.seconds()
    }
}

impl TryFrom<i64> for TickPeriod {
    type Error = &'static str;

    fn try_from(seconds: i64) -> Result<Self, Self::Error> {
        let mut known = Self::ALL.into_iter();
        let period = known.find(|period| period.seconds() == seconds);
        period.ok_or("an unknown period of ticks")
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
    /// The health of a process changed.
    Health {
        /// Its group.
        group: GroupName,
        /// Its name.
        process: ProcessName,
    },
    /// The daemon changed state.
    Supervisor(SupervisorState),
    /// A group was added or removed.
    Groups,
}

impl Change {
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
            Self::ProcessHealth { group, process, .. } => Some(StatusChange::Health {
                group: group.clone(),
                process: process.clone(),
            }),
            Self::SupervisorState(state) => Some(StatusChange::Supervisor(*state)),
            Self::GroupAdded(_) | Self::GroupRemoved(_) => Some(StatusChange::Groups),
            Self::ProcessCommunication { .. }
            | Self::ProcessLog { .. }
            | Self::RemoteCommunication { .. }
            | Self::ConfigRejected { .. }
            | Self::Tick { .. } => None,
        }
    }

    /// Returns the approximate size of the change in bytes, for limits.
    #[must_use]
    pub fn size(&self) -> usize {
        let data = match self {
            Self::ProcessCommunication { data, .. } | Self::ProcessLog { data, .. } => data.len(),
            Self::RemoteCommunication { kind, data } => kind.len() + data.len(),
            Self::ConfigRejected { item, md5, error } => item.len() + md5.len() + error.len(),
            Self::ProcessHealth { reason, .. } => reason.len(),
            Self::ProcessState { .. }
            | Self::SupervisorState(_)
            | Self::GroupAdded(_)
            | Self::GroupRemoved(_)
            | Self::Tick { .. } => 0,
        };
        size_of::<Self>() + data
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
        let mut fields = Vec::new();
        Change::ProcessState {
            group: group(),
            process: process(),
            from: ProcessState::Running,
            to: ProcessState::Exited,
            tries: 1,
            pid: 7,
            expected: true,
            resource_events: ResourceEvents::NONE,
        }
        .each_field(|name, value| fields.push(format!("{name}={value:?}")));
        assert_eq!(
            fields,
            [
                "from=Text(\"RUNNING\")",
                "to=Text(\"EXITED\")",
                "tries=Int(1)",
                "pid=Int(7)",
                "expected=Truth(true)",
                "resource_events=Words([])",
            ]
        );
        for wrong in [
            r#""GroupAdded""#,
            r#"{"Tick":{"period":7,"when":7}}"#,
            r#"{"ProcessLog":{"channel":"Stderr","pid":7,"data":[]}}"#,
        ] {
            assert!(serde_json::from_str::<Change>(&format!("{none}{wrong}}}")).is_err());
        }
    }
}
