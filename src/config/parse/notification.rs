//! Parses `[notify:x]` sections.

use std::sync::Arc;

use super::super::key::{NotificationValues, SectionKind};
use super::super::spec::{Environment, NotificationSpec, ProcessSpec};
use super::program::{NAME_HINT, own_environment};
use super::{ConfigReader, RowCursor};
use crate::domain::{GroupName, Namespec, ProcessName};

/// Parses all sections in file order. `daemon`: the variables of `[supervisord] environment`.
pub(super) fn read_notifications(
    reader: &mut ConfigReader<'_>,
    daemon: &Environment,
) -> Vec<NotificationSpec> {
    let sections = reader.names_of(|name| SectionKind::of(name) == Some(SectionKind::Notify));
    sections
        .into_iter()
        .filter_map(|section| one(reader, &section, daemon))
        .collect()
}

fn one(
    reader: &mut ConfigReader<'_>,
    section: &str,
    daemon: &Environment,
) -> Option<NotificationSpec> {
    let at = reader.at(section, SectionKind::Notify);
    let names = reader.only_here();
    let mut values: NotificationValues = reader.defaults(at.kind);
    let mut rows = RowCursor::new(at.kind);
    reader.fields(at, &names, rows.rest(), &mut values);
    let own = own_environment(reader, at, &names);
    let is_missing = reader.entry(at, "command").is_none();
    if is_missing {
        let sentence = format!("section [{section}] does not specify a command");
        reader.fail(at, "command", sentence);
    }
    let title = &section[SectionKind::Notify.prefix().len()..];
    let (Ok(name), Ok(group)) = (ProcessName::parse(title), GroupName::parse(title)) else {
        let sentence = format!("Invalid name {title:?} of section [{section}]");
        reader.fail_with(at, "", sentence, NAME_HINT);
        return None;
    };
    let mut environment = daemon.to_vec();
    environment.extend(own);
    let process = ProcessSpec {
        user: values.user,
        directory: values.directory,
        environment: environment.into(),
        ..ProcessSpec::new(name, group)
    };
    let programs = values.programs.iter();
    Some(NotificationSpec {
        on: values.on,
        programs: programs.map(|name| Namespec::parse(name)).collect(),
        format: values.format,
        interval: values.interval,
        flapping: values.flapping,
        script: values.script?,
        timeout: values.timeout,
        process: Arc::new(process),
    })
}
