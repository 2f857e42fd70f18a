//! What all sections share while they are read: texts of keys, expanded and converted, and a report of what is wrong.

use std::borrow::Cow;
use std::collections::HashSet;
use std::sync::Arc;

use super::super::expand::{ExpandNames, ExpandValue, expand, has_nameless};
use super::super::hint;
use super::super::ini::{Ini, IniEntry, IniSection, KeyOrder, SectionIndex, universal_newlines};
use super::super::key::{ConfigKey, KeyTable, SectionKind};
use super::super::lookup::{Lookup, LookupError};
use super::super::path::{absolute, dirname};
use super::super::problem::{ConfigErrors, ConfigProblem, ProblemReport, SourceSpan};
use super::super::spec::{Environment, ProcessKind, ProgramSpec, ProgramTemplate};
use super::super::value;
use crate::domain::{Bytes, Line, python_repr};

/// A section that is being read.
#[derive(Debug, Clone, Copy)]
pub(in crate::config) struct SectionAt<'s> {
    /// Its whole name.
    pub(in crate::config) section: &'s str,
    /// Whose rows count.
    pub(in crate::config) kind: SectionKind,
    /// Sentences end in the section and the file.
    pub(in crate::config) located: bool,
    /// Where it is, if it was looked up already: the many keys of a program would look it up again and again.
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

/// What became of one key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) enum KeyResult<T> {
    /// It is not set and has no default.
    Absent,
    /// It is wrong, and has been reported.
    Wrong,
    /// It is this.
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

/// A configuration while it is read.
pub(in crate::config) struct ConfigReader<'a> {
    pub(in crate::config) ini: Ini,
    pub(in crate::config) lookup: &'a dyn Lookup,
    /// The main file as it was given.
    pub(in crate::config) path: &'a str,
    /// The directory of the main file, absolute.
    pub(in crate::config) here: String,
    /// `ENV_X` for every variable known so far.
    pub(in crate::config) env: ExpandNames,
    pub(in crate::config) report: ProblemReport,
    /// What Supervisor warns of, for the log.
    warnings: Vec<Line>,
    /// What we warn of besides, for the log.
    ours: Vec<Line>,
    /// Plug-ins of Python, by their places: warnings or errors, as is said later.
    pub(in crate::config) foreign: Vec<(SourceSpan, String)>,
    /// What Supervisor tells.
    pub(in crate::config) infos: Vec<Line>,
    /// Directories whose files are read for `[include]`, each with the place that says so.
    pub(in crate::config) listed: Vec<(SourceSpan, String)>,
    /// Names of the files read, by the index that spans have.
    pub(in crate::config) files: Vec<String>,
    /// Sections of programs, read for the group at hand.
    pub(in crate::config) programs: Vec<ProgramSpec>,
    /// Texts that many templates and processes share.
    shared: HashSet<Arc<str>>,
    /// Exit codes that many processes share.
    shared_codes: HashSet<Arc<[u8]>>,
    /// The section of which many keys are read, by the rows of its kind.
    arranged: Option<(SectionKind, KeyOrder)>,
    /// The name of the machine.
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
    /// Reads the main file. What is wrong inside it is reported; what can be read of it is.
    ///
    /// # Errors
    /// There is no such file, or it cannot be read.
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

    /// Reads one section alone, as it was when its template was made.
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

    /// Nothing is read yet.
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
            hostname: lookup.hostname(),
        };
        reader.add_env_names(&lookup.env());
        reader
    }

    /// Makes variables known as `ENV_X`.
    fn add_env_names(&mut self, variables: &[(String, String)]) {
        for (name, value) in variables {
            self.env
                .insert(format!("ENV_{name}"), ExpandValue::Text(value.clone()));
        }
    }

    /// A text that was asked for before is the same allocation.
    pub(in crate::config) fn share(&mut self, text: &str) -> Arc<str> {
        shared(&mut self.shared, text)
    }

    /// A list of exit codes that was asked for before is the same allocation.
    pub(in crate::config) fn share_codes(&mut self, codes: Vec<u8>) -> Arc<[u8]> {
        if let Some(known) = self.shared_codes.get(&*codes) {
            return Arc::clone(known);
        }
        let new: Arc<[u8]> = Arc::from(codes);
        self.shared_codes.insert(Arc::clone(&new));
        new
    }

    /// A section as it stands, for whoever wants more processes of it later.
    pub(in crate::config) fn template(
        &mut self,
        section: &str,
        kind: &ProcessKind,
        environment: &Environment,
    ) -> Arc<ProgramTemplate> {
        let file = self.file_of(section).to_owned();
        let here = self.here.clone();
        let mut options = Vec::new();
        if let Some(inner) = self.ini.section(section) {
            for entry in self.ini.entries(inner) {
                let value = shared(&mut self.shared, &entry.value);
                options.push((Arc::clone(&entry.key), value));
            }
        }
        Arc::new(ProgramTemplate {
            section: Arc::from(section),
            file: self.share(&file),
            here: self.share(&here),
            options: Arc::from(options),
            environment: environment.clone(),
            kind: kind.clone(),
        })
    }

    /// Takes in one file.
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
            // One sentence of Supervisor's covers all bad lines of a file.
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

    /// Names that are `here` alone.
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

    /// A section of which many keys will be read: it is looked up once, and so is each of its keys. It must not be changed
    /// before the next call.
    pub(in crate::config) fn at<'s>(
        &mut self,
        section: &'s str,
        kind: SectionKind,
    ) -> SectionAt<'s> {
        let index = self.ini.index_of(section);
        let table = KeyTable::of(kind);
        self.arranged = index.map(|index| {
            let position = |key: &str| table.position(key);
            (kind, self.ini.order_keys(index, table.len(), position))
        });
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

    /// The entry of a key in a section, else that of `[DEFAULT]`.
    pub(in crate::config) fn entry(&self, at: SectionAt<'_>, key: &str) -> Option<&IniEntry> {
        if let Some((kind, arranged)) = &self.arranged
            && *kind == at.kind
            && Some(arranged.index) == at.index
            && let Some(place) = KeyTable::of(at.kind).position(key)
        {
            return self.ini.ordered_entry(arranged, place);
        }
        self.ini.entry_of(self.section(at), key)
    }

    /// Where a key's value stands, else where its section does.
    pub(in crate::config) fn span_of(&self, at: SectionAt<'_>, key: &str) -> SourceSpan {
        self.entry(at, key)
            .map(IniEntry::value_span)
            .or_else(|| self.section(at).map(|section| section.span))
            .unwrap_or_default()
    }

    /// The file that a section stands in.
    fn file_of(&self, section: &str) -> &str {
        self.ini
            .section(section)
            .filter(|section| section.span.file != 0)
            .and_then(|section| self.files.get(section.span.file))
            .map_or(self.path, String::as_str)
    }

    /// Reports Supervisor's sentence about a key, or about the section if it does not have the key.
    pub(in crate::config) fn fail(&mut self, at: SectionAt<'_>, key: &str, sentence: String) {
        let hint = ConfigKey::find(at.kind, key)
            .map(|row| format!("{key} takes {}", row.kind.expected()))
            .unwrap_or_default();
        self.fail_with(at, key, sentence, &hint);
    }

    /// As [`Self::fail`], with a hint of its own.
    pub(in crate::config) fn fail_with(
        &mut self,
        at: SectionAt<'_>,
        key: &str,
        sentence: String,
        hint: &str,
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
        let span = self.span_of(at, key);
        self.report.add_located(span, &sentence, &location, hint);
    }

    /// Warns of what Supervisor warns of too, in its words. The log has them as often as Supervisor says them.
    pub(in crate::config) fn warn_as(&mut self, span: SourceSpan, line: Line) {
        self.report.warn(span, line.to_string());
        self.warnings.push(line);
    }

    /// Warns once of what Supervisor is silent about. A default span: the file as a whole is meant.
    pub(in crate::config) fn warn(&mut self, span: SourceSpan, text: String) {
        if self.report.warn(span, text.clone()) {
            self.log(span, text);
        }
    }

    /// Adds a line of ours to those that the log has at start.
    pub(in crate::config) fn log(&mut self, span: SourceSpan, text: String) {
        let text = self.report.shown(span, text);
        self.ours.push(Line::OurConfigWarning { text });
    }

    /// Warns once of what Supervisor is silent about in a key of a section of programs.
    pub(in crate::config) fn warn_of_key(&mut self, section: &str, key: &str, text: String) {
        let span = self.span_of(SectionAt::new(section, SectionKind::Program), key);
        self.warn(span, text);
    }

    /// `file:line` of a place inside a message.
    pub(in crate::config) fn file_line(&self, span: SourceSpan) -> String {
        let file = self.files.get(span.file).map_or("", String::as_str);
        format!("{file}:{}", span.line)
    }

    /// Where a section is opened first.
    pub(in crate::config) fn span_of_section(&self, section: &str) -> SourceSpan {
        let section = self.ini.section(section);
        section.map_or_else(SourceSpan::default, |section| section.span)
    }

    /// Ends the reading: what the log has to say of the files at start, and all warnings by file and line.
    ///
    /// # Errors
    /// All that is wrong in all files.
    pub(in crate::config) fn finish(self) -> Result<(Vec<Line>, Vec<ConfigProblem>), ConfigErrors> {
        let Self {
            report,
            warnings: mut notes,
            ours,
            infos,
            ..
        } = self;
        let warnings = report.finish()?;
        notes.extend(ours);
        notes.extend(infos);
        Ok((notes, warnings))
    }

    /// Notes a plug-in of Python.
    pub(in crate::config) fn foreign(&mut self, at: SectionAt<'_>, key: &str, text: String) {
        self.foreign.push((self.span_of(at, key), text));
    }

    /// A key's text as it stands, or its default.
    pub(in crate::config) fn raw(&self, at: SectionAt<'_>, key: &str) -> Option<String> {
        self.raw_text(at, key).map(Cow::into_owned)
    }

    /// The same. Nothing is copied of a default, which most keys of most programs have.
    fn raw_text(&self, at: SectionAt<'_>, key: &str) -> Option<Cow<'static, str>> {
        match self.entry(at, key) {
            Some(entry) => Some(Cow::Owned(entry.value.clone())),
            None => ConfigKey::find(at.kind, key)
                .and_then(|row| row.default)
                .map(Cow::Borrowed),
        }
    }

    /// A text with `ENV_X` and `names` expanded.
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
                    self.warn(self.span_of(at, key), text);
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
                self.fail_with(at, key, error.to_string(), &hint);
                KeyResult::Wrong
            }
        }
    }

    /// A key's text, expanded; or its default.
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

    /// The same. Nothing is copied of a default in which there is nothing to expand.
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

    /// A key's value.
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

    /// As [`Self::fail`], with a hint about what `value` was probably meant to be.
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

    /// A whole number; 0 where it is wrong.
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

    /// A boolean; false where it is wrong.
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

    /// A number of bytes; 0 where it is wrong.
    pub(in crate::config) fn bytes(
        &mut self,
        at: SectionAt<'_>,
        key: &str,
        names: &ExpandNames,
    ) -> Bytes {
        self.value(at, key, names, value::byte_size)
            .ok()
            .unwrap_or_default()
    }
}

/// Python's sentence for the first byte that is no UTF-8.
fn undecodable(bytes: &[u8], at: usize, length: Option<usize>) -> String {
    let byte = bytes.get(at).copied().unwrap_or_default();
    let reason = match (length, byte) {
        (None, _) => {
            return if bytes.len() - at == 1 {
                format!(
                    "'utf-8' codec can't decode byte {byte:#04x} in position {at}: unexpected end of data"
                )
            } else {
                format!(
                    "'utf-8' codec can't decode bytes in position {at}-{}: unexpected end of data",
                    bytes.len() - 1
                )
            };
        }
        (Some(_), 0xc2..=0xf4) => "invalid continuation byte",
        (Some(_), _) => "invalid start byte",
    };
    format!("'utf-8' codec can't decode byte {byte:#04x} in position {at}: {reason}")
}
