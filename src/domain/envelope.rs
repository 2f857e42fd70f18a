//! The message by which a listener gets an event: a header line, then the payload.
//!
//! # Source
//! Supervisor manual, "Event Listeners", "Event Notification Protocol".

use std::borrow::Cow;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{EVENTS, Event, EventKind, GroupName, decoded};

/// The reserved space for the header, in bytes. Most headers are shorter.
const HEADER_BYTES: usize = 256;

/// An event for one pool of listeners.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The identifier of the daemon.
    pub server: Arc<str>,
    /// The name of the pool.
    pub pool: GroupName,
    /// The number of the event among those that any pool subscribes to, from 0. It continues after a reload.
    pub serial: u64,
    /// The number of the event in the pool, from 0.
    pub pool_serial: u64,
    /// The event.
    pub event: Arc<Event>,
}

impl Envelope {
    /// Returns header and payload. `len` counts characters, not bytes, because clients written for Supervisor read
    /// characters.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = payload_behind(HEADER_BYTES, &self.event);
        let Self {
            server,
            pool,
            serial,
            pool_serial,
            event,
        } = self;
        let header = format!(
            "ver:3.0 server:{server} serial:{serial} pool:{pool} poolserial:{pool_serial} eventname:{} len:{}\n",
            event.name(),
            text.chars().count(),
        );
        // Insert the header in place: a captured payload may have many megabytes, and a second copy would need as much
        // memory again.
        text.insert_str(0, &header);
        text
    }
}

/// Returns the payload: the template of [`EVENTS`] with its fields filled in.
#[must_use]
pub fn payload(event: &Event) -> String {
    payload_behind(0, event)
}

/// Returns the payload in a string with spare capacity for `room` bytes.
fn payload_behind(room: usize, event: &Event) -> String {
    let template = EVENTS[event.place()].payload.unwrap_or_default();
    let mut text = String::with_capacity(room + template.len() + event.size());
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (field, after) = after.split_once('}').unwrap_or((after, ""));
        text.push_str(before);
        text.push_str(&value(event, field));
        rest = after;
    }
    text.push_str(rest);
    // Only programs with keys that Supervisor does not have can have resource events, so listeners of other programs
    // never see this field.
    if let EventKind::ProcessState {
        resource_events, ..
    } = event.kind
        && !resource_events.is_none()
    {
        let words: Vec<&str> = resource_events.each().map(|(word, _)| word).collect();
        text.push_str(" causes:");
        text.push_str(&words.join(","));
    }
    text
}

/// Returns the value of one field of a template.
fn value<'a>(event: &'a Event, field: &str) -> Cow<'a, str> {
    let number = |number: i64| Cow::Owned(number.to_string());
    match (field, &event.kind) {
        ("process", _) => event
            .process
            .as_ref()
            .map_or("", |name| name.as_str())
            .into(),
        ("group", _) => event.group.as_ref().map_or("", |name| name.as_str()).into(),
        ("from_state", EventKind::ProcessState { from, .. }) => from.name().into(),
        ("tries", EventKind::ProcessState { tries, .. }) => number(i64::from(*tries)),
        ("expected", EventKind::ProcessState { expected, .. }) => number(i64::from(*expected)),
        (
            "pid",
            EventKind::ProcessState { pid, .. }
            | EventKind::ProcessCommunication { pid, .. }
            | EventKind::ProcessLog { pid, .. },
        ) => number(i64::from(*pid)),
        (
            "channel",
            EventKind::ProcessCommunication { channel, .. } | EventKind::ProcessLog { channel, .. },
        ) => channel.name().into(),
        (
            "data",
            EventKind::ProcessCommunication { data, .. } | EventKind::ProcessLog { data, .. },
        ) => decoded(data),
        ("data", EventKind::RemoteCommunication { data, .. }) => data.as_str().into(),
        ("type", EventKind::RemoteCommunication { kind, .. }) => kind.as_str().into(),
        ("when", EventKind::Tick { when, .. }) => number(*when),
        // A test fills all templates and checks that this never occurs.
        _ => "?".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Channel, ProcessName, ProcessState, ResourceEvents, SupervisorState};

    fn event(kind: EventKind) -> Event {
        let (process, group) = match &kind {
            EventKind::ProcessState { .. }
            | EventKind::ProcessCommunication { .. }
            | EventKind::ProcessLog { .. } => (true, true),
            EventKind::GroupAdded | EventKind::GroupRemoved => (false, true),
            EventKind::RemoteCommunication { .. }
            | EventKind::SupervisorState(_)
            | EventKind::Tick { .. } => (false, false),
        };
        Event {
            process: process.then(|| ProcessName::parse("cat_00").expect("valid")),
            group: group.then(|| GroupName::parse("cats").expect("valid")),
            kind,
        }
    }

    fn to(to: ProcessState) -> Event {
        event(EventKind::ProcessState {
            from: ProcessState::Starting,
            to,
            tries: 2,
            pid: 7,
            expected: true,
            resource_events: ResourceEvents::NONE,
        })
    }

    #[test]
    fn resource_events_are_the_last_field() {
        let mut event = to(ProcessState::Exited);
        let plain = payload(&event);
        let EventKind::ProcessState {
            resource_events, ..
        } = &mut event.kind
        else {
            panic!("another kind");
        };
        (resource_events.oom_kill, resource_events.pids_max) = (true, true);
        assert_eq!(payload(&event), format!("{plain} causes:oom_kill,pids_max"));
    }

    fn log(channel: Channel, data: &[u8]) -> Event {
        event(EventKind::ProcessLog {
            channel,
            pid: 7,
            data: Arc::from(data),
        })
    }

    fn communication(channel: Channel, data: &[u8]) -> Event {
        event(EventKind::ProcessCommunication {
            channel,
            pid: 7,
            data: Arc::from(data),
        })
    }

    #[test]
    fn evt_02_to_evt_08_payloads_are_supervisors() {
        let state = "processname:cat_00 groupname:cats from_state:STARTING";
        let remote = EventKind::RemoteCommunication {
            kind: "t\u{e9}".to_owned(),
            data: "some\ndata\n".to_owned(),
        };
        let tick = |period| {
            event(EventKind::Tick {
                period,
                when: 1_200,
            })
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
            (event(remote), "type:té\nsome\ndata\n".to_owned()),
            (
                event(EventKind::SupervisorState(SupervisorState::Running)),
                String::new(),
            ),
            (
                event(EventKind::SupervisorState(SupervisorState::Shutdown)),
                String::new(),
            ),
            (event(EventKind::GroupAdded), "groupname:cats\n".to_owned()),
            (
                event(EventKind::GroupRemoved),
                "groupname:cats\n".to_owned(),
            ),
            (tick(5), "when:1200".to_owned()),
            (tick(60), "when:1200".to_owned()),
            (tick(3600), "when:1200".to_owned()),
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
    fn evt_09_the_header_counts_characters() {
        let envelope = Envelope {
            server: Arc::from("super visor"),
            pool: GroupName::parse("pool").expect("valid"),
            serial: 12,
            pool_serial: 3,
            event: Arc::new(log(Channel::Stdout, "é\n".as_bytes())),
        };
        assert_eq!(
            envelope.text(),
            "ver:3.0 server:super visor serial:12 pool:pool poolserial:3 eventname:PROCESS_LOG_STDOUT len:57\n\
             processname:cat_00 groupname:cats pid:7 channel:stdout\né\n"
        );
    }
}
