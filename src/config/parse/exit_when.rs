//! Checks that `exit_when` names a program of the configuration.

use std::sync::Arc;

use super::super::hint;
use super::super::key::SectionKind;
use super::super::spec::{DaemonSpec, ExitWhen, GroupSpec};
use super::{ConfigReader, SectionAt};
use crate::domain::{Namespec, python_repr};

/// Checks the key when all groups are known.
pub(super) fn check_exit_when(
    reader: &mut ConfigReader<'_>,
    daemon: &DaemonSpec,
    groups: &[Arc<GroupSpec>],
) {
    let ExitWhen::Ended(named) = &daemon.exit_when else {
        return;
    };
    let processes = || groups.iter().flat_map(|group| &group.processes);
    let is_it = |(group, process): (&str, &str)| daemon.exit_when.names(group, process);
    if processes().any(|process| is_it((process.group.as_str(), process.name.as_str()))) {
        return;
    }
    let text = match &named.process {
        Some(process) => Namespec::print(&named.group, process),
        None => format!("{}:*", named.group),
    };
    let known: Vec<String> = processes()
        .map(|process| Namespec::print(process.group.as_str(), process.name.as_str()))
        .collect();
    // The name of a process in a group of another name.
    let member = processes().find(|process| process.name.as_str() == text);
    let member =
        member.map(|process| Namespec::print(process.group.as_str(), process.name.as_str()));
    let hint = match member
        .as_deref()
        .or_else(|| hint::closest_name(&text, &known))
    {
        Some(name) => format!("did you mean {name}?"),
        None => {
            "it takes never, all-exited, any-fatal, or the name of a program or group".to_owned()
        }
    };
    let at = SectionAt::new(SectionKind::Daemon.prefix(), SectionKind::Daemon);
    let sentence = format!("exit_when names no program: {}", python_repr(&text));
    reader.fail_with(at, "exit_when", sentence, &hint);
}
