//! The keys of `[notify:x]`, and the values that they fill.

use std::sync::Arc;

use super::super::health;
use super::super::notification::{self, FlappingLimit, ReportCondition, ReportFormat};
use super::super::script::Script;
use super::super::spec::ConfiguredUser;
use super::super::value::configured_user;
use super::program::shared_path;
use super::row::{ConfigKey, key};
use super::small::items;
use super::value_kind::ValueKind::{
    Conditions, Environment, Flapping, List, ReportFormat as Format, Script as ScriptText, Seconds,
    Text, User,
};
use super::values::{Field, SectionValues, Setter, set, setter_of};
use crate::domain;

#[rustfmt::skip] // One row, one line.
pub(super) const NOTIFY: &[ConfigKey] = &[
    key("on", Conditions, Some("fatal"), "conditions to report: fatal, exited (unexpectedly, each time), unhealthy, flapping (see that key), and recovered (RUNNING, healthy and stable after one of the others)").ours().example("fatal,unhealthy,flapping,recovered").notification(set!(on = notification::conditions)),
    key("command", ScriptText, None, "command that reads the report on standard input, or an http:// URL that gets it as a POST request").ours().example("mail -s \"programs need attention\" root").notification(set!(script = Some(notification::command))),
    key("programs", List, Some(""), "programs, groups and processes to report about; empty: all").ours().example("web,db:*").notification(set!(programs = items)),
    key("format", Format, Some("text"), "the report: text for people, or json").ours().example("json").notification(set!(format = notification::format)),
    key("interval", Seconds, Some("60"), "minimum time between two runs; what happens meanwhile is in the next report").ours().notification(set!(interval = health::period)),
    key("flapping", Flapping, Some("5/10min"), "number of unexpected exits of a process, and the time within which they are flapping").ours().example("3/1h").notification(set!(flapping = notification::flapping)),
    key("timeout", Seconds, Some("60"), "maximum duration of a run; a run that fails is repeated twice").ours().notification(set!(timeout = health::period)),
    key("user", User, None, "user that the command runs as").ours().example("nobody").notification(set!(lookup: user = Some(configured_user))),
    key("directory", Text, None, "working directory of the command").ours().example("/tmp").notification(set!(directory = Some(shared_path))),
    key("environment", Environment, Some(""), "environment variables of the command").ours().example("LANG=\"C.UTF-8\"").secret(),
];

/// The values of `[notify:x]`.
pub(in crate::config) struct NotificationValues {
    pub(in crate::config) on: Vec<ReportCondition>,
    pub(in crate::config) programs: Vec<String>,
    pub(in crate::config) format: ReportFormat,
    pub(in crate::config) interval: domain::Seconds,
    pub(in crate::config) flapping: FlappingLimit,
    /// `None`: not set.
    pub(in crate::config) script: Option<Script>,
    pub(in crate::config) timeout: domain::Seconds,
    /// `None`: the daemon's user.
    pub(in crate::config) user: Option<ConfiguredUser>,
    /// `None`: the daemon's directory.
    pub(in crate::config) directory: Option<Arc<std::path::Path>>,
}

impl SectionValues for NotificationValues {
    fn empty() -> Self {
        Self {
            on: Vec::new(),
            programs: Vec::new(),
            format: ReportFormat::Text,
            interval: domain::Seconds(0),
            flapping: FlappingLimit {
                exits: 0,
                seconds: 0,
            },
            script: None,
            timeout: domain::Seconds(0),
            user: None,
            directory: None,
        }
    }

    fn setter(field: Field) -> Option<Setter<Self>> {
        setter_of!(field, Notification)
    }
}
