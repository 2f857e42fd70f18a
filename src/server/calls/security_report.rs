//! How well programs are confined, as JSON.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde_json::{Value, json};

use crate::api::ConfigView;
use crate::config::security::{DaemonPrivileges, SecurityScore};
use crate::config::spec::ProcessSpec;
use crate::domain::Namespec;
use crate::sys;

/// The scores of the programs that `names` mean; no names: all. A program with several processes is told once, with the
/// settings of its first process.
pub(super) fn security_json(views: &[ConfigView], names: &[String]) -> Value {
    let daemon = DaemonPrivileges {
        is_root: sys::effective_uid() == 0,
    };
    let specs: Vec<Namespec> = names.iter().map(|name| Namespec::parse(name)).collect();
    let is_asked = |process: &ProcessSpec| {
        let (group, name) = (process.group.as_str(), process.name.as_str());
        let is_named = |(spec, text): (&Namespec, &String)| {
            spec.group == group && spec.process.as_ref().is_none_or(|wanted| wanted == name)
                || text == group
        };
        specs.is_empty() || specs.iter().zip(names).any(is_named)
    };
    let mut told = BTreeSet::new();
    let mut programs = Vec::new();
    for view in views.iter().filter(|view| is_asked(&view.process)) {
        let process: &Arc<ProcessSpec> = &view.process;
        let mut sections = view.group.programs.iter();
        let program = sections.find(|program| program.members.contains(&process.name));
        let section = program.map(|program| &*program.template.section);
        if section.is_some_and(|section| !told.insert((&view.group.name, section))) {
            continue;
        }
        let score = SecurityScore::of(process, daemon);
        programs.push(json!({
            "name": Namespec::print(process.group.as_str(), process.name.as_str()),
            "group": process.group.as_str(),
            "section": section,
            "processes": program.map_or(1, |program| program.members.len()),
            "score": score.score,
            "checks": score.checks,
        }));
    }
    json!({ "programs": programs })
}
