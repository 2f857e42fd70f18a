//! The shared state while sections are read: keys are looked up, expanded and converted, and errors are collected.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use super::super::expand::{ExpandNames, ExpandValue, expand, has_nameless};
use super::super::hint;
use super::super::ini::{Ini, IniEntry, IniSection, KeyOrder, SectionIndex, universal_newlines};
use super::super::key::{ConfigKey, KeyTable, ProgramValues, SectionKind};
use super::super::lint::{Explained, Rule, explain, explain_unknown_name};
use super::super::lookup::{Lookup, LookupError};
use super::super::path::{absolute, dirname};
use super::super::problem::{ConfigErrors, ConfigProblem, ProblemReport, SourceSpan, Sources};
use super::super::python::undecodable;
use super::super::spec::{Environment, KeyOrigins, ProcessKind, ProgramSpec, ProgramTemplate};
use super::super::value;
use crate::domain::{Line, python_repr};

/// A section that is being read.
#[derive(Debug, Clone, Copy)]
pub(in crate::config) struct SectionAt<'s> {
    /// Its whole name.
    pub(in crate::config) section: &'s str,
    /// The kind whose rows apply.
    pub(in crate::config) kind: SectionKind,
    /// Whether messages end in the section and the file.
    pub(in crate::config) located: bool,
    /// The section's index, if known, because a program looks up many keys.
    pub(in crate::config) index: Option<SectionIndex>,
}

impl<'s> SectionAt<'s> {
    pub(in crate::config) fn new(section: &'s str, kind: SectionKind) -> Self {
        Self {
            section,
            kind,
            located: false,
            index: None,
        }
    }
}

/// The result for one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) enum KeyResult<T> {
    /// The key is not set and has no default.
    Absent,
    /// The value is wrong, which is reported.
    Wrong,
    /// The value.
    Is(T),
}

impl<T> KeyResult<T> {
    pub(in crate::config) fn ok(self) -> Option<T> {
        match self {
            Self::Is(value) => Some(value),
            Self::Absent | Self::Wrong => None,
        }
    }
}

/// The state of reading a configuration.
pub(in crate::config) struct ConfigReader<'a> {
    pub(in crate::config) ini: Ini,
    pub(in crate::config) lookup: &'a dyn Lookup,
    /// The path of the main file, as given.
    pub(in crate::config) path: &'a str,
    /// The directory of the main file, absolute.
    pub(in crate::config) here: String,
    /// `ENV_X` for every known variable.
    pub(in crate::config) env: ExpandNames,
    pub(in crate::config) report: ProblemReport,
    /// Supervisor's own warnings, for the log.
    warnings: Vec<Line>,
    /// New warnings, for the log.
    ours: Vec<Line>,
    /// Python plug-ins with their places. They become warnings or errors later.
    pub(in crate::config) foreign: Vec<(SourceSpan, String)>,
    /// Supervisor's informational lines.
    pub(in crate::config) infos: Vec<Line>,
    /// Directories whose files `[include]` reads, each with the span of the pattern.
    pub(in crate::config) listed: Vec<(SourceSpan, String)>,
    /// Names of the files, by their index in spans.
    pub(in crate::config) files: Vec<String>,
    /// The program sections that were read for the present group.
    pub(in crate::config) programs: Vec<ProgramSpec>,
    /// Interned texts, which many templates and processes share.
    shared: HashSet<Arc<str>>,
    /// Interned exit codes, which many processes share.
    shared_codes: HashSet<Arc<[u8]>>,
    /// The index of the section whose keys are being read, with its kind.
    pub(super) arranged: Option<(SectionKind, KeyOrder)>,
    /// The values of a program section in which no key is written. `None`: no program was read yet.
    pub(super) program_defaults: Option<ProgramValues>,
    /// The host name.
    pub(in crate::config) hostname: String,
}

fn shared(texts: &mut HashSet<Arc<str>>, text: &str) -> Arc<str> {
    if let Some(known) = texts.get(text) {
        return Arc::clone(known);
    }
    let new: Arc<str> = Arc::from(text);
    texts.insert(Arc::clone(&new));
    new
}

impl<'a> ConfigReader<'a> {
    /// Reads the main file and reports all errors in it.
    ///
    /// # Errors
    /// The file does not exist or cannot be read.
    pub(in crate::config) fn open(
        path: &'a str,
        lookup: &'a dyn Lookup,
    ) -> Result<Self, ConfigErrors> {
        let bytes = lookup.read(path).map_err(|error| {
            let (verb, why) = match error {
                LookupError::Missing(why) => ("find", why),
                LookupError::Unreadable(why) => ("read", why),
            };
            ConfigErrors::of_file(format!("could not {verb} config file {path}"), &why)
        })?;
        let mut reader = Self::empty(path, absolute(dirname(path), lookup), lookup);
        reader.add(path, &bytes);
        Ok(reader)
    }

    /// Makes a reader for a configuration that is in no local file.
    pub(in crate::config) fn without_file(lookup: &'a dyn Lookup) -> Self {
        Self::empty("", absolute(".", lookup), lookup)
    }

    /// Makes a reader with one section, in the state of its template.
    pub(in crate::config) fn of_template(
        template: &'a ProgramTemplate,
        lookup: &'a dyn Lookup,
    ) -> Self {
        let mut reader = Self::empty(&template.file, template.here.to_string(), lookup);
        reader.report.source(&template.file, "");
        reader.ini = Ini::of_section(
            &template.section,
            template
                .options
                .iter()
                .map(|(key, value)| (&**key, &**value)),
        );
        reader.add_env_names(&template.environment);
        reader
    }

    /// Makes an empty reader.
    fn empty(path: &'a str, here: String, lookup: &'a dyn Lookup) -> Self {
        let mut reader = Self {
            ini: Ini::default(),
            lookup,
            path,
            here,
            env: ExpandNames::new(),
            report: ProblemReport::default(),
            warnings: Vec::new(),
            ours: Vec::new(),
            foreign: Vec::new(),
            infos: Vec::new(),
            listed: Vec::new(),
            files: Vec::new(),
            programs: Vec::new(),
            shared: HashSet::new(),
            shared_codes: HashSet::new(),
            arranged: None,
            program_defaults: None,
            hostname: lookup.hostname(),
        };
        reader.add_env_names(&lookup.env());
        reader
    }

    /// Adds variables as `ENV_X`.
    fn add_env_names(&mut self, variables: &[(String, String)]) {
        for (name, value) in variables {
            self.env
                .insert(format!("ENV_{name}"), ExpandValue::Text(value.clone()));
        }
    }

    /// Interns a text: equal texts share one allocation.
    pub(in crate::config) fn share(&mut self, text: &str) -> Arc<str> {
        shared(&mut self.shared, text)
    }

    /// Interns a list of exit codes.
    pub(in crate::config) fn share_codes(&mut self, codes: &Arc<[u8]>) -> Arc<[u8]> {
        if let Some(known) = self.shared_codes.get(codes) {
            return Arc::clone(known);
        }
        self.shared_codes.insert(Arc::clone(codes));
        Arc::clone(codes)
    }

    /// Makes the template of a section, from which more processes can be made later.
    pub(in crate::config) fn template(
        &mut self,
        section: &str,
        kind: &ProcessKind,
        environment: &Environment,
    ) -> Arc<ProgramTemplate> {
        let file = self.file_of(section).to_owned();
        let here = self.here.clone();
        let mut options = Vec::new();
        let mut origins = Vec::new();
        if let Some(inner) = self.ini.section(section) {
            for entry in self.ini.entries(inner) {
                let value = shared(&mut self.shared, &entry.value);
                options.push((Arc::clone(&entry.key), value));
                let span = entry.value_span();
                let name = self.files.get(span.file).map_or("", String::as_str);
                origins.push((shared(&mut self.shared, name), span.line));
            }
        }
        Arc::new(ProgramTemplate {
            section: Arc::from(section),
            file: self.share(&file),
            here: self.share(&here),
            options: Arc::from(options),
            origins: KeyOrigins::new(origins),
            environment: environment.clone(),
            kind: kind.clone(),
        })
    }

    /// Reads one file.
    pub(in crate::config) fn add(&mut self, name: &str, bytes: &[u8]) {
        let text = universal_newlines(&String::from_utf8_lossy(bytes));
        let file = self.report.source(name, &text);
        self.files.push(name.to_owned());
        if let Err(error) = std::str::from_utf8(bytes) {
            let at = error.valid_up_to();
            let before = String::from_utf8_lossy(&bytes[..at]).into_owned();
            let before = universal_newlines(&before);
            let span = SourceSpan {
                file,
                line: before.matches('\n').count() + 1,
                column: before.chars().rev().take_while(|&c| c != '\n').count() + 1,
                len: 1,
            };
            let sentence = undecodable(bytes, at, error.error_len());
            self.report
                .add(span, &sentence, "configuration files must be UTF-8");
        }
        if let Err(error) = self.ini.read(name, file, &text) {
            // Supervisor has one message for all bad lines of a file.
            self.report.sentence(error.sentence.clone());
            for (span, hint) in error.lines {
                let line = text.split('\n').nth(span.line - 1).unwrap_or_default();
                let message = format!(
                    "{}: {}",
                    error.sentence.lines().next().unwrap_or_default(),
                    python_repr(line.trim())
                );
                self.report.add(span, &message, hint);
            }
        }
    }

    /// The names for expansion with `here` only.
    pub(in crate::config) fn only_here(&self) -> ExpandNames {
        ExpandNames::from([("here".to_owned(), ExpandValue::Text(self.here.clone()))])
    }

    /// The names of all sections that `is` accepts, in the order in which they first appear.
    pub(in crate::config) fn names_of(&self, is: impl Fn(&str) -> bool) -> Vec<String> {
        self.ini
            .sections()
            .iter()
            .filter(|section| is(&section.name))
            .map(|section| section.name.clone())
            .collect()
    }

    /// Looks up and indexes a section from which many keys will be read. The section must not change before the next
    /// call for another section.
    pub(in crate::config) fn at<'s>(
        &mut self,
        section: &'s str,
        kind: SectionKind,
    ) -> SectionAt<'s> {
        let index = self.ini.index_of(section);
        let table = KeyTable::of(kind);
        let is_known = |(of, order): &(SectionKind, KeyOrder)| *of == kind && order.index == index;
        if index.is_none() || !self.arranged.as_ref().is_some_and(is_known) {
            let count = table.rows().len();
            let order = self.ini.order_keys(index, count, |key| table.position(key));
            self.arranged = Some((kind, order));
        }
        SectionAt {
            index,
            ..SectionAt::new(section, kind)
        }
    }

    fn section(&self, at: SectionAt<'_>) -> Option<&IniSection> {
        match at.index {
            Some(index) => self.ini.section_at_index(index),
            None => self.ini.section(at.section),
        }
    }

    /// The entry of a key in a section, or that of `[DEFAULT]`.
    pub(in crate::config) fn entry(&self, at: SectionAt<'_>, key: &str) -> Option<&IniEntry> {
        if let Some((kind, arranged)) = &self.arranged
            && *kind == at.kind
            && at.index.is_some()
            && arranged.index == at.index
            && let Some(place) = KeyTable::of(at.kind).position(key)
        {
            return self.ini.ordered_entry(arranged, place);
        }
        self.ini.entry_of(self.section(at), key)
    }

    /// The span of a key's value, or of its section.
    pub(in crate::config) fn span_of(&self, at: SectionAt<'_>, key: &str) -> SourceSpan {
        self.entry(at, key)
            .map(IniEntry::value_span)
            .or_else(|| self.section(at).map(|section| section.span))
            .unwrap_or_default()
    }

    /// The file of a section.
    fn file_of(&self, section: &str) -> &str {
        self.ini
            .section(section)
            .filter(|section| section.span.file != 0)
            .and_then(|section| self.files.get(section.span.file))
            .map_or(self.path, String::as_str)
    }

    /// Reports Supervisor's message about a key, or about the section if it lacks the key.
    pub(in crate::config) fn fail(&mut self, at: SectionAt<'_>, key: &str, sentence: String) {
        let hint = ConfigKey::find(at.kind, key)
            .map(|row| format!("{key} takes {}", row.kind.expected()))
            .unwrap_or_default();
        self.fail_with(at, key, sentence, &hint);
    }

    /// Like [`Self::fail`], with the given hint.
    pub(in crate::config) fn fail_with(
        &mut self,
        at: SectionAt<'_>,
        key: &str,
        sentence: String,
        hint: &str,
    ) {
        let explained = explain(ConfigKey::find(at.kind, key), key, &sentence, hint);
        self.fail_explained(at, sentence, hint, explained);
    }

    /// Like [`Self::fail_with`], with what `--check` says about it.
    pub(super) fn fail_explained(
        &mut self,
        at: SectionAt<'_>,
        sentence: String,
        hint: &str,
        explained: Explained,
    ) {
        let location = if at.located {
            format!(
                " in section {} (file: {})",
                python_repr(at.section),
                python_repr(self.file_of(at.section))
            )
        } else {
            String::new()
        };
        let span = self.span_of(at, &explained.key);
        self.report
            .add_located(span, (&sentence, &location), hint, explained);
    }

    /// Reports one of Supervisor's own warnings. The log gets it as often as Supervisor logs it.
    pub(in crate::config) fn warn_as(
        &mut self,
        explained: impl Into<Explained>,
        span: SourceSpan,
        line: Line,
    ) {
        self.report.warn(span, line.to_string(), explained.into());
        self.warnings.push(line);
    }

    /// Reports a new warning, once. A default span means the file as a whole.
    pub(in crate::config) fn warn(
        &mut self,
        explained: impl Into<Explained>,
        span: SourceSpan,
        text: String,
    ) {
        if self.report.warn(span, text.clone(), explained.into()) {
            self.log(span, text);
        }
    }

    /// Adds a new warning to the log at start.
    pub(in crate::config) fn log(&mut self, span: SourceSpan, text: String) {
        let text = self.report.shown(span, &text);
        self.ours.push(Line::OurConfigWarning { text });
    }

    /// Reports a new warning about a key of a program section, once.
    pub(in crate::config) fn warn_of_key(
        &mut self,
        rule: Rule,
        section: &str,
        key: &str,
        text: String,
    ) {
        let span = self.span_of(SectionAt::new(section, SectionKind::Program), key);
        self.warn(Explained::from(rule).key(key), span, text);
    }

    /// The place as `file:line`, for messages.
    pub(in crate::config) fn file_line(&self, span: SourceSpan) -> String {
        let file = self.files.get(span.file).map_or("", String::as_str);
        format!("{file}:{}", span.line)
    }

    /// The span of a section's first header.
    pub(in crate::config) fn span_of_section(&self, section: &str) -> SourceSpan {
        let section = self.ini.section(section);
        section.map_or_else(SourceSpan::default, |section| section.span)
    }

    /// Finishes reading. Returns the lines for the log at start, all warnings by file and line, and the sources.
    ///
    /// # Errors
    /// All errors in all files.
    pub(in crate::config) fn finish(
        self,
    ) -> Result<(Vec<Line>, Vec<ConfigProblem>, Sources), ConfigErrors> {
        let Self {
            report,
            warnings: mut notes,
            ours,
            infos,
            ..
        } = self;
        let (warnings, sources) = report.finish()?;
        notes.extend(ours);
        notes.extend(infos);
        Ok((notes, warnings, sources))
    }

    /// Records a Python plug-in.
    pub(in crate::config) fn foreign(&mut self, at: SectionAt<'_>, key: &str, text: String) {
        self.foreign.push((self.span_of(at, key), text));
    }

    /// A key's text as written, or its default.
    pub(in crate::config) fn raw(&self, at: SectionAt<'_>, key: &str) -> Option<String> {
        self.raw_text(at, key).map(Cow::into_owned)
    }

    /// Like [`Self::raw`], but does not copy defaults, which most keys of most programs have.
    fn raw_text(&self, at: SectionAt<'_>, key: &str) -> Option<Cow<'static, str>> {
        match self.entry(at, key) {
            Some(entry) => Some(Cow::Owned(entry.value.clone())),
            None => ConfigKey::find(at.kind, key)
                .and_then(|row| row.default)
                .map(Cow::Borrowed),
        }
    }

    /// Expands a text with `ENV_X` and `names`.
    pub(in crate::config) fn expanded(
        &mut self,
        at: SectionAt<'_>,
        key: &str,
        text: &str,
        names: &ExpandNames,
        place: &str,
    ) -> KeyResult<String> {
        match expand(text, &[&self.env, names], place) {
            Ok(done) => {
                if text.contains('%') && has_nameless(text) {
                    let text = format!(
                        "a single % in {key} expands to all names and values, as in Supervisor (write %% for a percent sign)"
                    );
                    let explained = Explained::from(Rule::SinglePercent).key(key);
                    self.warn(explained, self.span_of(at, key), text);
                }
                KeyResult::Is(done)
            }
            Err(error) => {
                let hint = match error.unset_variable() {
                    Some(name) => format!(
                        "{name} is not set in the environment of supervisord; %(ENV_{name}:-TEXT)s gives a default"
                    ),
                    None => "write %% for a literal %".to_owned(),
                };
                let known = self.env.keys().chain(names.keys());
                match error.unknown_name() {
                    Some(name) => {
                        let explained = explain_unknown_name(key, name, known);
                        self.fail_explained(at, error.to_string(), &hint, explained);
                    }
                    None => self.fail_with(at, key, error.to_string(), &hint),
                }
                KeyResult::Wrong
            }
        }
    }

    /// A key's expanded text, or its default.
    pub(in crate::config) fn text(
        &mut self,
        at: SectionAt<'_>,
        key: &str,
        names: &ExpandNames,
    ) -> KeyResult<String> {
        match self.expanded_text(at, key, names) {
            KeyResult::Absent => KeyResult::Absent,
            KeyResult::Wrong => KeyResult::Wrong,
            KeyResult::Is(text) => KeyResult::Is(text.into_owned()),
        }
    }

    /// Like [`Self::text`], but does not copy defaults without expansion.
    fn expanded_text(
        &mut self,
        at: SectionAt<'_>,
        key: &str,
        names: &ExpandNames,
    ) -> KeyResult<Cow<'static, str>> {
        match self.raw_text(at, key) {
            None => KeyResult::Absent,
            Some(text) if !text.contains('%') => KeyResult::Is(text),
            Some(text) => {
                let place = format!("{}.{key}", at.section);
                match self.expanded(at, key, &text, names, &place) {
                    KeyResult::Absent => KeyResult::Absent,
                    KeyResult::Wrong => KeyResult::Wrong,
                    KeyResult::Is(text) => KeyResult::Is(Cow::Owned(text)),
                }
            }
        }
    }

    /// A key's converted value.
    pub(in crate::config) fn value<T>(
        &mut self,
        at: SectionAt<'_>,
        key: &str,
        names: &ExpandNames,
        convert: impl FnOnce(&str) -> Result<T, String>,
    ) -> KeyResult<T> {
        match self.expanded_text(at, key, names) {
            KeyResult::Absent => KeyResult::Absent,
            KeyResult::Wrong => KeyResult::Wrong,
            KeyResult::Is(text) => match convert(&text) {
                Ok(value) => KeyResult::Is(value),
                Err(sentence) => {
                    self.fail_of(at, key, sentence, &text);
                    KeyResult::Wrong
                }
            },
        }
    }

    /// Like [`Self::fail`], with a suggestion for `value`.
    pub(in crate::config) fn fail_of(
        &mut self,
        at: SectionAt<'_>,
        key: &str,
        sentence: String,
        value: &str,
    ) {
        let row = ConfigKey::find(at.kind, key);
        match row.and_then(|row| hint::of_value(row.kind, value)) {
            Some(meant) => self.fail_with(at, key, sentence, &meant),
            None => self.fail(at, key, sentence),
        }
    }

    /// An integer; 0 if it is wrong.
    pub(in crate::config) fn integer(
        &mut self,
        at: SectionAt<'_>,
        key: &str,
        names: &ExpandNames,
    ) -> i64 {
        self.value(at, key, names, value::integer)
            .ok()
            .unwrap_or_default()
    }

    /// A boolean; false if it is wrong.
    pub(in crate::config) fn boolean(
        &mut self,
        at: SectionAt<'_>,
        key: &str,
        names: &ExpandNames,
    ) -> bool {
        self.value(at, key, names, value::boolean)
            .ok()
            .unwrap_or_default()
    }
}
