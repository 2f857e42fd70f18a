//! Finds the keys that name a program and would be wrong without it.

use std::collections::HashSet;

use super::super::dependency::{self, DependencyTarget};
use super::super::exit_when::ExitWhen;
use super::super::ini::{Ini, IniEntry, IniSection};
use super::super::key::SectionKind;
use super::super::value;
use super::error::{Dependant, EditPlace};
use super::group_list::{PROGRAMS, changed_list};
use crate::domain::Namespec;

/// What disappears with a program.
struct Removal<'a> {
    program: &'a str,
    /// The groups that disappear: that of the program itself, or a `[group:x]` without other programs.
    groups: HashSet<&'a str>,
    /// The groups that keep other programs.
    remaining: HashSet<&'a str>,
}

/// The keys of other sections that need the program: `depends_on` and the like, and `exit_when`. `files`: the names of
/// the files.
pub(super) fn dependants(
    ini: &Ini,
    files: &[&str],
    section: &str,
    program: &str,
) -> Vec<Dependant> {
    let removal = removal(ini, program);
    let mut found = Vec::new();
    let others = ini.sections().iter().filter(|other| other.name != section);
    for other in others.chain([&ini.defaults]) {
        for entry in &other.entries {
            if needs(&removal, other, entry) {
                let span = entry.value_span();
                found.push((
                    span.file,
                    span.line,
                    Dependant {
                        section: other.name.clone(),
                        key: entry.key.to_string(),
                        place: EditPlace {
                            file: files.get(span.file).copied().unwrap_or_default().to_owned(),
                            line: span.line,
                        },
                    },
                ));
            }
        }
    }
    found.sort_by_key(|(file, line, _)| (*file, *line));
    found
        .into_iter()
        .map(|(_, _, dependant)| dependant)
        .collect()
}

fn removal<'a>(ini: &'a Ini, program: &'a str) -> Removal<'a> {
    let prefix = SectionKind::Group.prefix();
    let (mut groups, mut remaining) = (HashSet::new(), HashSet::new());
    for section in ini.sections() {
        let Some(group) = section.name.strip_prefix(prefix) else {
            continue;
        };
        let list = ini
            .get(&section.name, PROGRAMS)
            .map_or("", |entry| &entry.value);
        if value::list(list).iter().any(|item| item == program) {
            let is_empty = changed_list(list, program, None).is_empty();
            let set = if is_empty {
                &mut groups
            } else {
                &mut remaining
            };
            set.insert(group);
        }
    }
    if groups.is_empty() && remaining.is_empty() {
        groups.insert(program);
    }
    Removal {
        program,
        groups,
        remaining,
    }
}

impl Removal<'_> {
    /// Whether a process of a group may be one of the program. Their names are known only after expansion; the usual
    /// ones are the name of the program, and that name with a number.
    fn has_process(&self, group: &str, process: &str) -> bool {
        let rest = process.strip_prefix(self.program);
        let rest = rest.map(|rest| rest.strip_prefix('_').unwrap_or(rest));
        let is_usual = rest.is_some_and(|rest| rest.bytes().all(|byte| byte.is_ascii_digit()));
        self.groups.contains(group) || self.remaining.contains(group) && is_usual
    }

    fn has(&self, target: &DependencyTarget) -> bool {
        match target {
            DependencyTarget::Name(name) => {
                let is_program = **name == *self.program && !self.remaining.contains(&**name);
                is_program || self.groups.contains(&**name)
            }
            DependencyTarget::Group(group) => self.groups.contains(&**group),
            DependencyTarget::Process(group, process) => self.has_process(group, process),
        }
    }

    fn has_named(&self, named: &Namespec) -> bool {
        let group = named.group.as_str();
        match named.process.as_deref() {
            Some(process) if process != group => self.has_process(group, process),
            _ => self.groups.contains(group),
        }
    }
}

/// Whether a key of a section needs what disappears. A value that does not parse is left to the parser.
fn needs(removal: &Removal<'_>, section: &IniSection, entry: &IniEntry) -> bool {
    let value = entry.value.as_str();
    let is_default = section.name == "DEFAULT";
    let kind = SectionKind::of(&section.name);
    let is_program = matches!(
        kind,
        Some(
            SectionKind::Program
                | SectionKind::ProgramDefault
                | SectionKind::Listener
                | SectionKind::Fcgi
        )
    );
    match &*entry.key {
        "exit_when" if is_default || kind == Some(SectionKind::Daemon) => {
            matches!(ExitWhen::parse(value), Ok(ExitWhen::Ended(named)) if removal.has_named(&named))
        }
        _ if !is_program && !is_default => false,
        "depends_on" => {
            let parsed = dependency::depends_on(value).unwrap_or_default();
            parsed
                .iter()
                .any(|dependency| removal.has(&dependency.target))
        }
        "restart_with" => {
            let parsed = dependency::restart_with(value).unwrap_or_default();
            parsed.iter().any(|target| removal.has(target))
        }
        "dependent_startup_wait_for" => {
            let parsed = dependency::wait_for(value).unwrap_or_default();
            parsed
                .iter()
                .any(|dependency| removal.has(&dependency.target))
        }
        _ => false,
    }
}
