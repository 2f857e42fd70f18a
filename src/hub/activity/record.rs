//! A record of the activity log, as a line of JSON and as a line of Cesi's log.

use jiff::Timestamp;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::event::{ActivityEvent, ActivityLevel};
use crate::domain::Foreign;
use crate::sys;

/// A record. All texts are on one line and bounded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::hub) struct ActivityRecord {
    /// When it happened.
    #[serde(serialize_with = "write_time", deserialize_with = "read_time")]
    pub(in crate::hub) time: Timestamp,
    pub(in crate::hub) level: ActivityLevel,
    /// The user, or the name of one who could not log in.
    pub(in crate::hub) user: String,
    /// The address of the client.
    #[serde(default)]
    pub(in crate::hub) address: String,
    /// What happened, such as `start`.
    #[serde(default)]
    pub(in crate::hub) event: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::hub) node: Option<String>,
    /// `group:name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in crate::hub) process: Option<String>,
    /// `ok`, or why it failed.
    #[serde(default)]
    pub(in crate::hub) result: String,
    /// The whole record as a sentence.
    pub(in crate::hub) text: String,
}

fn write_time<S: Serializer>(time: &Timestamp, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(time)
}

fn read_time<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Timestamp, D::Error> {
    let text = String::deserialize(deserializer)?;
    text.parse().map_err(serde::de::Error::custom)
}

fn bounded(text: &str) -> String {
    Foreign(text).to_string()
}

impl ActivityRecord {
    pub(super) fn new(user: &str, address: &str, event: &ActivityEvent, time: Timestamp) -> Self {
        let user = bounded(user);
        let (node, process) = event.place();
        Self {
            time,
            level: event.level(),
            address: bounded(address),
            event: event.name().to_owned(),
            node: node.map(bounded),
            process: process.map(bounded),
            result: bounded(event.result()),
            text: Foreign(event.text(&user)).to_string(),
            user,
        }
    }

    /// The record as a line of Cesi's log, such as `2020-01-12 06:42:25,426 [INFO]: admin logged in.`, without its end.
    pub(in crate::hub) fn line(&self) -> String {
        let time = self.time.to_zoned(sys::time_zone());
        let millis = self.time.subsec_millisecond();
        let time = time.strftime("%Y-%m-%d %H:%M:%S");
        format!("{time},{millis:03} [{}]: {}", self.level.word(), self.text)
    }

    /// Whether what the user did succeeded.
    pub(in crate::hub) fn is_success(&self) -> bool {
        self.level == ActivityLevel::Info
    }

    /// Reads a line of the file. `None`: it is no record.
    pub(super) fn parse(line: &str) -> Option<Self> {
        serde_json::from_str(line).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(event: ActivityEvent) -> String {
        let time = "2020-01-12T06:42:25.426Z".parse().expect("a time");
        let record = ActivityRecord::new("admin", "10.0.0.1", &event, time);
        let json = serde_json::to_string(&record).expect("serializable");
        assert_eq!(ActivityRecord::parse(&json), Some(record.clone()));
        record.line().split_once(' ').expect("a date").1[13..].to_owned()
    }

    fn action(failure: Option<&str>) -> ActivityEvent {
        ActivityEvent::Action {
            action: "start",
            node: "node1".to_owned(),
            process: "grp:ping".to_owned(),
            failure: failure.map(str::to_owned),
        }
    }

    #[test]
    fn lines_are_those_of_cesi() {
        for (event, expected) in [
            (ActivityEvent::LoggedIn, "[INFO]: admin logged in."),
            (ActivityEvent::LoggedOut, "[INFO]: admin logged out"),
            (
                action(None),
                "[INFO]: admin started node1 node's grp:ping process.",
            ),
            (
                action(Some("NO_FILE")),
                "[ERROR]: admin unsuccessful start event node1 node's grp:ping process.",
            ),
            (
                ActivityEvent::UserAdded("bob".to_owned()),
                "[INFO]: 'bob' user added by 'admin' user.",
            ),
            (
                ActivityEvent::PasswordChanged,
                "[INFO]: admin user changed the own password.",
            ),
            (
                ActivityEvent::OldPasswordWrong,
                "[WARNING]: Old password is wrong to change admin 's password.",
            ),
        ] {
            assert_eq!(line(event), expected);
        }
    }

    #[test]
    fn foreign_texts_stay_on_one_line() {
        let event = ActivityEvent::UserAdded(format!("x\n{}", "y".repeat(1000)));
        let record = ActivityRecord::new("a\u{202e}\n", "", &event, Timestamp::UNIX_EPOCH);
        assert!(!record.line().contains(['\n', '\u{202e}']));
        assert!(record.line().len() < 300);
    }
}
