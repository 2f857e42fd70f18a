//! Warnings about what Supervisor silently ignores: unknown keys and sections, sections in several places, comments
//! that cut a quoted text in two; and about Python plug-ins, which it would load.

use std::collections::HashMap;
use std::sync::Arc;

use super::super::hint;
use super::super::ini::{IniEntry, IniSection};
use super::super::key::{CTL_FACTORY, ConfigKey, SectionKind};
use super::super::lint::{Explained, Rule};
use super::super::plugin;
use super::super::problem::SourceSpan;
use super::{ConfigReader, SectionAt};

/// Maximum number of unknown words that the log names at a start. `--check` names all.
const LOGGED_MAX: usize = 8;
/// Maximum number of places of one section in a message.
const PLACES_MAX: usize = 8;

/// An unknown key or section.
struct UnknownWord {
    span: SourceSpan,
    /// Its description, with the section that contains it.
    text: String,
    /// What happens to it, as the end of the message.
    fate: &'static str,
    hint: String,
    /// Words with the same value here are reported once: the kind of section, and the word.
    same: (Option<SectionKind>, String),
}

impl UnknownWord {
    /// What `--check` says about it.
    fn explained(&self, text: &str) -> Explained {
        let (rule, key) = match &self.same {
            (None, _) => (Rule::UnknownSection, ""),
            (Some(_), key) => (Rule::UnknownKey, key.as_str()),
        };
        let plain = text.strip_suffix(&format!("; {}", self.hint));
        let plain = plain.filter(|_| !self.hint.is_empty()).unwrap_or(text);
        Explained::new(rule, plain)
            .key(key)
            .remedy(self.hint.clone())
    }
}

/// Adds the warnings. `strict`: unknown keys and sections and Python plug-ins are errors. `trusts_nobody`: files that
/// others can change are errors.
pub(super) fn lint(reader: &mut ConfigReader<'_>, strict: bool, trusts_nobody: bool) {
    let mut unknown = Vec::new();
    let mut cuts = Vec::new();
    for section in reader.ini.sections() {
        unknown.extend(unknown_words(section));
        let cut = |entry: &IniEntry| Some((**entry.cut.as_ref()?, entry.written.clone()));
        if SectionKind::of(&section.name).is_some() {
            cuts.extend(section.entries.iter().filter_map(cut));
        }
    }
    // Do not report a place that has an error already.
    unknown.retain(|word: &UnknownWord| !reader.report.has_error_at(word.span));
    if strict {
        for UnknownWord {
            span, text, hint, ..
        } in unknown
        {
            reader.report.add(span, &text, &hint);
        }
    } else {
        warn_of_unknown(reader, unknown);
    }
    plugins_of_the_client(reader);
    for (span, text) in std::mem::take(&mut reader.foreign) {
        if strict {
            reader.report.add(span, &text, "");
        } else {
            reader.warn(Rule::PythonPlugin, span, text);
        }
    }
    warn_of_repeated_sections(reader);
    warn_of_included_daemon_keys(reader);
    warn_of_other_writers(reader, trusts_nobody);
    for (span, key) in cuts {
        let text = format!(
            "{key} ends inside quotes: a ; or # after a blank starts a comment, within quotes too"
        );
        let explained = Explained::from(Rule::CutValue).key(&key);
        reader.warn(explained, span, text);
    }
}

/// The unknown keys of one section, or the unknown section itself.
fn unknown_words(section: &IniSection) -> Vec<UnknownWord> {
    let name = &section.name;
    let Some(kind) = SectionKind::of(name) else {
        let has_command = section.entries.iter().any(|entry| *entry.key == *"command");
        return vec![UnknownWord {
            span: section.span,
            text: format!("unknown section [{name}]"),
            fate: " is ignored",
            hint: hint::of_section(name, has_command).unwrap_or_default(),
            same: (None, name.clone()),
        }];
    };
    if kind.is_open() {
        return Vec::new();
    }
    let is_unknown = |entry: &&IniEntry| {
        ConfigKey::find(kind, &entry.key).is_none() && !hint::is_anothers(kind, &entry.key)
    };
    let entries = section.entries.iter().filter(is_unknown);
    entries
        .map(|entry| {
            let (text, fate, hint) = if hint::is_not_yet(kind, &entry.key) {
                let text = format!("{} in [{name}] is not supported yet", entry.written);
                (text, "; it has no effect", None)
            } else {
                let text = format!("unknown key {} in [{name}]", entry.written);
                (text, " is ignored", hint::of_key(kind, &entry.key))
            };
            UnknownWord {
                span: entry.key_span(),
                text,
                fate,
                hint: hint.unwrap_or_default(),
                same: (Some(kind), entry.written.to_string()),
            }
        })
        .collect()
}

/// Warns about each unknown word once, at its first place. The log names only a few, because a file that is shared with
/// another tool may have many, and the log gets them at each start.
fn warn_of_unknown(reader: &mut ConfigReader<'_>, unknown: Vec<UnknownWord>) {
    let mut places: HashMap<(Option<SectionKind>, String), usize> = HashMap::new();
    for word in &unknown {
        *places.entry(word.same.clone()).or_default() += 1;
    }
    let (mut logged, mut unlogged) = (0, 0);
    for word in unknown {
        // Only the first place of each word is still in the map.
        let Some(count) = places.remove(&word.same) else {
            continue;
        };
        let mut text = word.text.clone();
        text.push_str(word.fate);
        if count > 1 {
            text.push_str(&format!(" (and in {} more places)", count - 1));
        }
        if !word.hint.is_empty() {
            text.push_str(&format!("; {}", word.hint));
        }
        let explained = word.explained(&text);
        if !reader.report.warn(word.span, text.clone(), explained) {
            continue;
        }
        if logged < LOGGED_MAX {
            logged += 1;
            reader.log(word.span, text);
        } else {
            unlogged += 1;
        }
    }
    if unlogged > 0 {
        let text = format!(
            "{unlogged} more unknown keys or sections are ignored (supervisord --check lists them)"
        );
        reader.log(SourceSpan::default(), text);
    }
}

/// Warns about a section in several places, which is merged; that is often a copy-and-paste mistake. The warning is not
/// logged at each start, because a file may intend it.
fn warn_of_repeated_sections(reader: &mut ConfigReader<'_>) {
    let merged: Vec<(String, Vec<SourceSpan>)> = reader
        .ini
        .sections()
        .iter()
        .filter(|section| section.places.len() > 1)
        .filter(|section| {
            let kind = SectionKind::of(&section.name);
            kind.is_some_and(|kind| !matches!(kind, SectionKind::Daemon | SectionKind::Include))
        })
        .map(|section| (section.name.clone(), section.places.clone()))
        .collect();
    for (name, places) in merged {
        let mut shown: Vec<String> = places
            .iter()
            .take(PLACES_MAX)
            .map(|place| reader.file_line(*place))
            .collect();
        if let Some(more) = places
            .len()
            .checked_sub(PLACES_MAX)
            .filter(|&more| more > 0)
        {
            shown.push(format!("{more} more"));
        }
        let last = shown.pop().unwrap_or_default();
        let text = format!(
            "[{name}] is defined in {} and {last}; the last value of each key wins",
            shown.join(", ")
        );
        reader
            .report
            .warn(places[0], text, Rule::DuplicateSection.into());
    }
}

/// Warns about daemon settings in an included file, which override the main file. The warning is not logged either.
fn warn_of_included_daemon_keys(reader: &mut ConfigReader<'_>) {
    let section = reader.ini.section(SectionKind::Daemon.prefix());
    let entries = section.into_iter().flat_map(|section| &section.entries);
    let changed: Vec<(SourceSpan, Arc<str>, Option<SourceSpan>)> = entries
        .filter(|entry| entry.key_span().file != 0)
        .map(|entry| {
            let replaced = entry.replaced.as_deref().copied();
            (entry.key_span(), entry.written.clone(), replaced)
        })
        .collect();
    for (span, key, replaced) in changed {
        let text = match replaced {
            Some(before) => format!(
                "[supervisord] {key} is overridden by an included file; {} has no effect",
                reader.file_line(before)
            ),
            None => format!("[supervisord] {key} is set by an included file"),
        };
        let explained = Explained::from(Rule::IncludedDaemonKey).key(&key);
        reader.report.warn(span, text, explained);
    }
    let include = reader.ini.section(SectionKind::Include.prefix());
    let late: Vec<SourceSpan> = include
        .into_iter()
        .flat_map(|section| &section.places)
        .filter(|place| place.file != 0)
        .copied()
        .collect();
    for span in late {
        let text = "[include] in an included file has no effect".to_owned();
        reader.report.warn(span, text, Rule::NestedInclude.into());
    }
}

/// Warns about files that others can write: a user who can write a root daemon's configuration can run commands as
/// root.
fn warn_of_other_writers(reader: &mut ConfigReader<'_>, trusts_nobody: bool) {
    let mut found: Vec<(SourceSpan, String)> = Vec::new();
    let mut told: Vec<String> = Vec::new();
    for (index, file) in reader.files.clone().into_iter().enumerate() {
        if let Some(why) = reader.lookup.other_writer(&file) {
            let whole = SourceSpan {
                file: index,
                ..SourceSpan::default()
            };
            found.push((
                whole,
                format!("users other than root can change {file}: {why}"),
            ));
            told.push(why);
        }
    }
    for (span, directory) in reader.listed.clone() {
        // Report each reason once, however many files and directories it affects.
        if let Some(why) = reader
            .lookup
            .other_adder(&directory)
            .filter(|why| !told.contains(why))
        {
            found.push((
                span,
                format!("users other than root can add files to {directory}: {why}"),
            ));
            told.push(why);
        }
    }
    for (span, text) in found {
        if trusts_nobody {
            let sentence = format!(
                "{text}; as root, supervisord does not use a configuration file found by search that other users can change (name the file with -c)"
            );
            reader.report.add(span, &sentence, "");
        } else {
            reader.warn(Rule::OpenConfiguration, span, text);
        }
    }
}

/// Warns about client plug-ins. The daemon does not need them, but a check of the file should report them.
fn plugins_of_the_client(reader: &mut ConfigReader<'_>) {
    let is_plugin = |name: &str| SectionKind::of(name) == Some(SectionKind::CtlPlugin);
    for section in reader.names_of(is_plugin) {
        let at = SectionAt::new(&section, SectionKind::CtlPlugin);
        if let Some(factory) = reader.raw(at, CTL_FACTORY) {
            reader.foreign(at, CTL_FACTORY, plugin::actions_text(&section, &factory));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::super::load;
    use super::super::super::lookup::Fake;
    use super::super::super::options::DaemonOptions;

    const FILE: &str = "[supervisord]\nlogfil=x\nsetlocale=1\n[progam:x]\n[program:y]\ncommand=sh -c \"a ; b\"\n\
                        autostrt=1\n[rpcinterface:supervisor]\n\
                        supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\nany=1\n";

    #[test]
    fn cfg_14_unknown_keys_and_sections_give_a_warning_with_a_hint() {
        let machine = Fake::default().with("/etc/s.conf", FILE);
        let config = load("/etc/s.conf", &DaemonOptions::default(), &machine).expect("valid");
        let notes: Vec<String> = config.notes.iter().map(ToString::to_string).collect();
        assert_eq!(
            notes,
            [
                "/etc/s.conf:2:1: unknown key logfil in [supervisord] is ignored; did you mean logfile?",
                "/etc/s.conf:3:1: unknown key setlocale in [supervisord] is ignored",
                "/etc/s.conf:4:1: unknown section [progam:x] is ignored; did you mean [program:x]?",
                "/etc/s.conf:7:1: unknown key autostrt in [program:y] is ignored; did you mean autostart?",
                "/etc/s.conf:6:18: command ends inside quotes: a ; or # after a blank starts a comment, within quotes too",
            ]
        );
    }

    #[test]
    fn a_file_writable_by_others_gives_a_warning() {
        let text = "[supervisord]\n";
        for (path, count) in [("/etc/everybodys.conf", 1), ("/etc/s.conf", 0)] {
            let machine = Fake::default().with(path, text);
            let config = load(path, &DaemonOptions::default(), &machine).expect("valid");
            assert_eq!(config.notes.len(), count, "{:?}", config.notes);
        }
    }

    #[test]
    fn strict_turns_warnings_into_errors() {
        let machine = Fake::default().with("/etc/s.conf", FILE);
        let options = DaemonOptions {
            strict: true,
            ..DaemonOptions::default()
        };
        let errors = load("/etc/s.conf", &options, &machine).expect_err("strict");
        assert_eq!(errors.first, "unknown key logfil in [supervisord]");
        assert_eq!(errors.all.len(), 4);
        assert_eq!(
            errors.all[3].to_string(),
            "/etc/s.conf:7:1: unknown key autostrt in [program:y]; did you mean autostart?"
        );
    }
}
