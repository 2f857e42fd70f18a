//! What the rules look at: the text of the sections, the parsed configuration, and the machine.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::ini::{Ini, IniEntry, IniSection};
use super::super::key::SectionKind;
use super::super::lookup::Lookup;
use super::super::problem::SourceSpan;
use super::super::spec::{DaemonSpec, GroupSpec, ProcessSpec, ServerSpec};
use super::explained::Explained;
use super::words::{CommandWord, command_words};

/// What the rules found, with its place.
pub(super) type Findings = Vec<(SourceSpan, Explained)>;

/// The input of all rules.
pub(in crate::config) struct LintInput<'a> {
    pub(super) ini: &'a Ini,
    pub(super) lookup: &'a dyn Lookup,
    /// The files, by their index in spans. Empty: the configuration is in no file.
    pub(super) files: &'a [String],
    pub(super) daemon: &'a DaemonSpec,
    pub(super) servers: &'a [ServerSpec],
    groups: HashMap<&'a str, &'a GroupSpec>,
    /// The sections of programs, listeners and fcgi programs, in the order of the files.
    pub(super) programs: Vec<LintProgram<'a>>,
}

/// A section of a program, and its processes.
pub(super) struct LintProgram<'a> {
    ini: &'a Ini,
    pub(super) section: &'a IniSection,
    /// Its processes in all groups. Empty: `numprocs` is 0, or the section has an error.
    pub(super) processes: Vec<&'a ProcessSpec>,
    /// The command of the first process, or as written. Empty: there is none.
    pub(super) command: &'a str,
    /// The words of `command`.
    pub(super) words: Vec<CommandWord>,
}

impl<'a> LintInput<'a> {
    pub(in crate::config) fn new(
        ini: &'a Ini,
        lookup: &'a dyn Lookup,
        files: &'a [String],
        daemon: &'a DaemonSpec,
        servers: &'a [ServerSpec],
        groups: &'a [Arc<GroupSpec>],
    ) -> Self {
        let is_program = |section: &&IniSection| {
            matches!(
                SectionKind::of(&section.name),
                Some(SectionKind::Program | SectionKind::Listener | SectionKind::Fcgi)
            )
        };
        let mut made: HashMap<&str, Vec<&ProcessSpec>> = HashMap::new();
        for group in groups {
            let processes: HashMap<_, _> = group
                .processes
                .iter()
                .map(|process| (&process.name, &**process))
                .collect();
            for program in &group.programs {
                let own = program
                    .members
                    .iter()
                    .filter_map(|name| processes.get(name));
                made.entry(&program.template.section)
                    .or_default()
                    .extend(own);
            }
        }
        let sections = ini.sections().iter().filter(is_program);
        let programs = sections
            .map(|section| {
                let processes = made.remove(section.name.as_str()).unwrap_or_default();
                let written = || {
                    ini.entry_of(Some(section), "command")
                        .map(|entry| &*entry.value)
                };
                let first = processes
                    .first()
                    .map(|process: &&ProcessSpec| &*process.command);
                let command = first.or_else(written).unwrap_or_default();
                LintProgram {
                    ini,
                    section,
                    processes,
                    command,
                    words: command_words(command),
                }
            })
            .collect();
        let groups = groups.iter().map(|group| (group.name.as_str(), &**group));
        let groups = groups.collect();
        Self {
            ini,
            lookup,
            files,
            daemon,
            servers,
            groups,
            programs,
        }
    }

    /// The group with this name.
    pub(super) fn group(&self, name: &str) -> Option<&'a GroupSpec> {
        self.groups.get(name).copied()
    }

    /// The entry of a key of another section.
    pub(super) fn entry(&self, section: &str, key: &str) -> Option<&'a IniEntry> {
        self.ini.get(section, key)
    }

    /// The place as `file:line`, for messages.
    pub(super) fn file_line(&self, span: SourceSpan) -> String {
        let file = self.files.get(span.file).map_or("", String::as_str);
        format!("{file}:{}", span.line)
    }
}

impl<'a> LintProgram<'a> {
    /// The name after the colon.
    pub(super) fn name(&self) -> &'a str {
        let name = self.section.name.split_once(':');
        name.map_or("", |(_, name)| name)
    }

    /// The entry of a key, or that of `[DEFAULT]`.
    pub(super) fn entry(&self, key: &str) -> Option<&'a IniEntry> {
        self.ini.entry_of(Some(self.section), key)
    }

    /// The span of a key's value, or of the section.
    pub(super) fn span(&self, key: &str) -> SourceSpan {
        self.entry(key)
            .map_or(self.section.span, IniEntry::value_span)
    }

    /// The span of a part of a key's value, if it is in the first line of the value, or of the value.
    pub(super) fn span_of_part(&self, key: &str, part: &str) -> SourceSpan {
        let Some(entry) = self.entry(key) else {
            return self.section.span;
        };
        span_of_part(entry, part)
    }

    /// The first process.
    pub(super) fn first(&self) -> Option<&'a ProcessSpec> {
        self.processes.first().copied()
    }
}

/// The span of a part of a value, if it is in the first line of the value, or of the value.
pub(super) fn span_of_part(entry: &IniEntry, part: &str) -> SourceSpan {
    let whole = entry.value_span();
    let line = entry.value.lines().next().unwrap_or_default();
    // `%(here)s` may be replaced already, so that the value is not the text of the file.
    let is_text_of_file = line.chars().count() == whole.len;
    match line
        .find(part)
        .filter(|_| !part.is_empty() && is_text_of_file)
    {
        Some(at) => SourceSpan {
            column: whole.column + line[..at].chars().count(),
            len: part.chars().count(),
            ..whole
        },
        None => whole,
    }
}
