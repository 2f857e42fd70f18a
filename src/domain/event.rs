//! EVENTS: the table of all event types with their parents and payloads, as renderings of changes.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Change, ProcessState, SupervisorState, TickPeriod, decoded};

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

/// Generates [`EVENTS`], [`Change::name`] and [`Payload`] from rows
/// `NAME in PARENT: "description" = pattern => "template", field = value;`.
///
/// A row without a pattern is a parent, which is never emitted. The pattern says which changes have this type, and each
/// change has exactly one: a change without a row, or with two, does not compile. The fields of the template are those
/// that the pattern binds, or the values after it: a field without a value, or a value without a field, does not compile.
macro_rules! events {
    (@payload) => { None };
    (@payload $template:literal) => { Some($template) };
    (@parent) => { "" };
    (@parent $PARENT:ident) => { stringify!($PARENT) };
    ($(
        $NAME:ident $(in $PARENT:ident)?: $doc:literal
        $(= $pattern:pat => $template:literal $(, $field:ident = $value:expr)*)?;
    )*) => {
        /// Every event type. An `[eventlistener:x]` may subscribe to any of them.
        ///
        /// # Source
        /// Supervisor manual, "Event Types".
        pub const EVENTS: &[EventType] = &[$(EventType {
            name: stringify!($NAME),
            parent: events!(@parent $($PARENT)?),
            payload: events!(@payload $($template)?),
            doc: $doc,
        },)*];

        impl Change {
            /// Returns the name of the event type, which is a row of [`EVENTS`] with a payload.
            #[must_use]
            #[expect(unused_variables, reason = "the patterns bind the fields of the payload")]
            pub const fn name(&self) -> &'static str {
                match self { $($($pattern => stringify!($NAME),)?)* }
            }
        }

        impl fmt::Display for Payload<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self.0 {
                    $($($pattern => f.write_fmt(format_args!($template $(, $field = $value)*))?,)?)*
                }
                self.fmt_resource_events(f)
            }
        }
    };
}

#[rustfmt::skip] // One row, one type.
events! {
    EVENT: "Any event.";
    PROCESS_STATE in EVENT: "A process changed its state.";
    PROCESS_STATE_STARTING in PROCESS_STATE: "A process is STARTING: the daemon is about to spawn it."
        = Change::ProcessState { to: ProcessState::Starting, process, group, from, tries, .. }
        => "processname:{process} groupname:{group} from_state:{from_state} tries:{tries}", from_state = from;
    PROCESS_STATE_RUNNING in PROCESS_STATE: "A process is RUNNING: it has been up for startsecs, or has reported readiness."
        = Change::ProcessState { to: ProcessState::Running, process, group, from, pid, .. }
        => "processname:{process} groupname:{group} from_state:{from_state} pid:{pid}", from_state = from;
    PROCESS_STATE_BACKOFF in PROCESS_STATE: "A process is in BACKOFF: it exited too early or could not be started, and the daemon will try again."
        = Change::ProcessState { to: ProcessState::Backoff, process, group, from, tries, .. }
        => "processname:{process} groupname:{group} from_state:{from_state} tries:{tries}", from_state = from;
    PROCESS_STATE_STOPPING in PROCESS_STATE: "A process is STOPPING: the daemon sends it the stop signal."
        = Change::ProcessState { to: ProcessState::Stopping, process, group, from, pid, .. }
        => "processname:{process} groupname:{group} from_state:{from_state} pid:{pid}", from_state = from;
    PROCESS_STATE_STOPPED in PROCESS_STATE: "A process is STOPPED: it exited after a stop request."
        = Change::ProcessState { to: ProcessState::Stopped, process, group, from, pid, .. }
        => "processname:{process} groupname:{group} from_state:{from_state} pid:{pid}", from_state = from;
    PROCESS_STATE_EXITED in PROCESS_STATE: "A process is EXITED: it exited from RUNNING without a stop request."
        = Change::ProcessState { to: ProcessState::Exited, process, group, from, expected, pid, .. }
        => "processname:{process} groupname:{group} from_state:{from_state} expected:{expected} pid:{pid}", from_state = from, expected = i32::from(*expected);
    PROCESS_STATE_FATAL in PROCESS_STATE: "A process is FATAL: all start attempts failed."
        = Change::ProcessState { to: ProcessState::Fatal, process, group, from, .. }
        => "processname:{process} groupname:{group} from_state:{from_state}", from_state = from;
    PROCESS_STATE_UNKNOWN in PROCESS_STATE: "A process is UNKNOWN: the kernel refused to deliver a signal to it."
        = Change::ProcessState { to: ProcessState::Unknown, process, group, from, .. }
        => "processname:{process} groupname:{group} from_state:{from_state}", from_state = from;
    PROCESS_HEALTH in EVENT: "The health of a process with a health check changed. Supervisor does not have these events.";
    PROCESS_HEALTH_HEALTHY in PROCESS_HEALTH: "A process became healthy, for the first time since its start or again."
        = Change::ProcessHealth { is_healthy: true, process, group, pid, .. }
        => "processname:{process} groupname:{group} pid:{pid}";
    PROCESS_HEALTH_UNHEALTHY in PROCESS_HEALTH: "A process became unhealthy."
        = Change::ProcessHealth { is_healthy: false, process, group, pid, reason }
        => "processname:{process} groupname:{group} pid:{pid}\n{reason}";
    PROCESS_COMMUNICATION in EVENT: "A process wrote text between the capture tokens.";
    PROCESS_COMMUNICATION_STDOUT in PROCESS_COMMUNICATION: "A process wrote text between the capture tokens to standard output."
        = Change::ProcessCommunication { channel: Channel::Stdout, process, group, pid, data }
        => "processname:{process} groupname:{group} pid:{pid}\n{data}", data = decoded(data);
    PROCESS_COMMUNICATION_STDERR in PROCESS_COMMUNICATION: "A process wrote text between the capture tokens to standard error."
        = Change::ProcessCommunication { channel: Channel::Stderr, process, group, pid, data }
        => "processname:{process} groupname:{group} pid:{pid}\n{data}", data = decoded(data);
    PROCESS_LOG in EVENT: "A process wrote to a stream with stdout_events_enabled or stderr_events_enabled.";
    PROCESS_LOG_STDOUT in PROCESS_LOG: "A process wrote to standard output."
        = Change::ProcessLog { channel: channel @ Channel::Stdout, process, group, pid, data }
        => "processname:{process} groupname:{group} pid:{pid} channel:{channel}\n{data}", channel = channel.name(), data = decoded(data);
    PROCESS_LOG_STDERR in PROCESS_LOG: "A process wrote to standard error."
        = Change::ProcessLog { channel: channel @ Channel::Stderr, process, group, pid, data }
        => "processname:{process} groupname:{group} pid:{pid} channel:{channel}\n{data}", channel = channel.name(), data = decoded(data);
    REMOTE_COMMUNICATION in EVENT: "A client called sendRemoteCommEvent."
        = Change::RemoteCommunication { kind, data }
        => "type:{type}\n{data}", type = kind;
    SUPERVISOR_STATE_CHANGE in EVENT: "The daemon changed state.";
    SUPERVISOR_STATE_CHANGE_RUNNING in SUPERVISOR_STATE_CHANGE: "The daemon has started."
        = Change::SupervisorState(SupervisorState::Running)
        => "";
    SUPERVISOR_STATE_CHANGE_STOPPING in SUPERVISOR_STATE_CHANGE: "The daemon begins to stop."
        = Change::SupervisorState(SupervisorState::Restarting | SupervisorState::Shutdown | SupervisorState::Fatal)
        => "";
    TICK in EVENT: "A period has passed.";
    TICK_5 in TICK: "Every 5 seconds."
        = Change::Tick { period: TickPeriod::Seconds5, when }
        => "when:{when}";
    TICK_60 in TICK: "Every 60 seconds."
        = Change::Tick { period: TickPeriod::Seconds60, when }
        => "when:{when}";
    TICK_3600 in TICK: "Every 3600 seconds."
        = Change::Tick { period: TickPeriod::Seconds3600, when }
        => "when:{when}";
    PROCESS_GROUP in EVENT: "The set of process groups changed.";
    PROCESS_GROUP_ADDED in PROCESS_GROUP: "A process group was added."
        = Change::GroupAdded(group)
        => "groupname:{group}\n";
    PROCESS_GROUP_REMOVED in PROCESS_GROUP: "A process group was removed."
        = Change::GroupRemoved(group)
        => "groupname:{group}\n";
    CONFIG_SOURCE in EVENT: "Something happened to the text of the source of the configuration: an item of a Nacos server, or the output of a command. Supervisor does not have these events.";
    CONFIG_SOURCE_REJECTED in CONFIG_SOURCE: "The newest text of the source was refused, once for each text. Nothing was changed."
        = Change::ConfigRejected { item, md5, error }
        => "source:{item} md5:{md5}\n{error}";
}

/// The values in payloads that need a description, with it. The names `process`, `group`, `pid` and `data` need none.
pub const EVENT_VALUES: &[(&str, &str)] = &[
    (
        "from_state",
        "The previous state, such as RUNNING or BACKOFF.",
    ),
    ("tries", "Number of failed start attempts in a row."),
    (
        "expected",
        "1 if the exit code is among `exitcodes`, else 0.",
    ),
    ("channel", "`stdout` or `stderr`."),
    (
        "type",
        "The type that the client of sendRemoteCommEvent chose.",
    ),
    ("reason", "Why the health check failed."),
    (
        "item",
        "The source: namespace, group and data ID of the item, or the command.",
    ),
    ("md5", "The MD5 of the text."),
    ("error", "What is wrong with the text, in one line."),
    ("when", "Seconds since the epoch, a multiple of the period."),
    (
        "causes",
        "The cgroup limits that the process reached before its exit, if there are any, at the end of the payload. Supervisor does \
         not have this value.",
    ),
];

/// One of the two output streams of a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
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

/// The payload of an event, without its header. `Display` renders it.
#[derive(Debug, Clone, Copy)]
pub struct Payload<'a>(pub &'a Change);

impl Payload<'_> {
    /// Adds the resource limits that a process hit. Only programs with keys that Supervisor does not have can have
    /// resource events, so listeners of other programs never see this field.
    fn fmt_resource_events(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Change::ProcessState {
            resource_events, ..
        } = self.0
        else {
            return Ok(());
        };
        let words: Vec<&str> = resource_events.each().map(|(word, _)| word).collect();
        match words.is_empty() {
            true => Ok(()),
            false => write!(f, " causes:{}", words.join(",")),
        }
    }
}

impl Change {
    /// Returns the index of the event type in [`EVENTS`].
    #[must_use]
    pub fn event_index(&self) -> usize {
        let name = self.name();
        EVENTS
            .iter()
            .position(|event| event.name == name)
            .expect("invariant: a row of EVENTS generates each name")
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::domain::{GroupName, ProcessName, ResourceEvents};

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

    fn group() -> GroupName {
        GroupName::parse("cats").expect("valid")
    }

    fn process() -> ProcessName {
        ProcessName::parse("cat_00").expect("valid")
    }

    fn payload(change: &Change) -> String {
        Payload(change).to_string()
    }

    fn to(to: ProcessState) -> Change {
        Change::ProcessState {
            group: group(),
            process: process(),
            from: ProcessState::Starting,
            to,
            tries: 2,
            pid: 7,
            expected: true,
            resource_events: ResourceEvents::NONE,
        }
    }

    #[test]
    fn resource_events_are_the_last_field() {
        let mut event = to(ProcessState::Exited);
        let plain = payload(&event);
        let Change::ProcessState {
            resource_events, ..
        } = &mut event
        else {
            panic!("another kind");
        };
        (resource_events.oom_kill, resource_events.pids_max) = (true, true);
        assert_eq!(payload(&event), format!("{plain} causes:oom_kill,pids_max"));
    }

    fn log(channel: Channel, data: &[u8]) -> Change {
        Change::ProcessLog {
            group: group(),
            process: process(),
            channel,
            pid: 7,
            data: Arc::from(data),
        }
    }

    fn health(is_healthy: bool, reason: &str) -> Change {
        Change::ProcessHealth {
            group: group(),
            process: process(),
            is_healthy,
            pid: 7,
            reason: reason.to_owned(),
        }
    }

    fn communication(channel: Channel, data: &[u8]) -> Change {
        Change::ProcessCommunication {
            group: group(),
            process: process(),
            channel,
            pid: 7,
            data: Arc::from(data),
        }
    }

    #[test]
    fn evt_02_to_evt_08_payloads_are_supervisors() {
        let state = "processname:cat_00 groupname:cats from_state:STARTING";
        let remote = Change::RemoteCommunication {
            kind: "t\u{e9}".to_owned(),
            data: "some\ndata\n".to_owned(),
        };
        let tick = |period| Change::Tick {
            period,
            when: 1_200,
        };
        let table = [
            (to(ProcessState::Starting), format!("{state} tries:2")),
            (to(ProcessState::Backoff), format!("{state} tries:2")),
            (to(ProcessState::Running), format!("{state} pid:7")),
            (to(ProcessState::Stopping), format!("{state} pid:7")),
            (to(ProcessState::Stopped), format!("{state} pid:7")),
            (
                to(ProcessState::Exited),
                format!("{state} expected:1 pid:7"),
            ),
            (to(ProcessState::Fatal), state.to_owned()),
            (to(ProcessState::Unknown), state.to_owned()),
            (
                communication(Channel::Stdout, b"a\nb"),
                "processname:cat_00 groupname:cats pid:7\na\nb".to_owned(),
            ),
            (
                communication(Channel::Stderr, b"\xff"),
                "processname:cat_00 groupname:cats pid:7\nUndecodable: b'\\xff'".to_owned(),
            ),
            (
                log(Channel::Stdout, "{pid}é\n".as_bytes()),
                "processname:cat_00 groupname:cats pid:7 channel:stdout\n{pid}é\n".to_owned(),
            ),
            (
                log(Channel::Stderr, b""),
                "processname:cat_00 groupname:cats pid:7 channel:stderr\n".to_owned(),
            ),
            (
                health(true, ""),
                "processname:cat_00 groupname:cats pid:7".to_owned(),
            ),
            (
                health(false, "HTTP status 503"),
                "processname:cat_00 groupname:cats pid:7\nHTTP status 503".to_owned(),
            ),
            (remote, "type:té\nsome\ndata\n".to_owned()),
            (
                Change::SupervisorState(SupervisorState::Running),
                String::new(),
            ),
            (
                Change::SupervisorState(SupervisorState::Shutdown),
                String::new(),
            ),
            (Change::GroupAdded(group()), "groupname:cats\n".to_owned()),
            (Change::GroupRemoved(group()), "groupname:cats\n".to_owned()),
            (
                Change::ConfigRejected {
                    item: "public/G/d".to_owned(),
                    md5: "0123".to_owned(),
                    error: "d:3:11: wrong".to_owned(),
                },
                "source:public/G/d md5:0123\nd:3:11: wrong".to_owned(),
            ),
            (tick(TickPeriod::Seconds5), "when:1200".to_owned()),
            (tick(TickPeriod::Seconds60), "when:1200".to_owned()),
            (tick(TickPeriod::Seconds3600), "when:1200".to_owned()),
        ];
        for (event, expected) in &table {
            assert_eq!(payload(event), *expected, "{}", event.name());
        }
        // Every row with a payload was tested.
        for row in EVENTS.iter().filter(|row| row.payload.is_some()) {
            assert!(
                table.iter().any(|(event, _)| event.name() == row.name),
                "{}",
                row.name
            );
        }
    }

    #[test]
    fn every_value_of_a_payload_is_described() {
        for template in EVENTS.iter().filter_map(|event| event.payload) {
            for part in template.split('{').skip(1) {
                let field = part.split('}').next().expect("a field");
                let is_plain = ["process", "group", "pid", "data"].contains(&field);
                let is_described = EVENT_VALUES.iter().any(|(name, _)| *name == field);
                assert!(is_plain != is_described, "{field}");
            }
        }
    }
}
