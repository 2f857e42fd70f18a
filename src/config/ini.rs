//! Parses INI text into sections, with the span of every key and value. Only this file, `ini_line.rs` and
//! `line_role.rs` know the dialect.
//!
//! The dialect is that of Python's raw parser with `strict` off, inline comments by `;` and `#`, and blank lines inside
//! values.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::ini_line::{IniLine, KeyAndRest};
use super::line_role::{LineRole, LineScanner};
use super::problem::SourceSpan;
use super::python::rstrip;
use crate::domain::python_repr;

/// One key and its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IniEntry {
    /// The key in lower case.
    pub key: Arc<str>,
    /// The key as written, for messages.
    pub written: Arc<str>,
    /// The value, trimmed. Continuation lines are joined by newlines.
    pub value: String,
    place: EntrySpans,
    /// The span of an inline comment that began inside quotes and so cut the value in two.
    pub cut: Option<Box<SourceSpan>>,
    /// The span of an earlier occurrence of the key, whose value this entry replaced.
    pub replaced: Option<Box<SourceSpan>>,
}

/// The spans of a key and its value. With the fields of [`SourceSpan`], they would take half of the memory of a large
/// configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct EntrySpans {
    file: u32,
    /// The line of the key and of the value's first line.
    line: u32,
    /// Column and length of the key.
    key: (u32, u32),
    /// Column and length of the value's first line.
    value: (u32, u32),
}

impl EntrySpans {
    fn new(key: SourceSpan, value: SourceSpan) -> Self {
        // A file with larger numbers does not fit into memory twice.
        let narrow = |number: usize| u32::try_from(number).unwrap_or(u32::MAX);
        Self {
            file: narrow(key.file),
            line: narrow(key.line),
            key: (narrow(key.column), narrow(key.len)),
            value: (narrow(value.column), narrow(value.len)),
        }
    }

    fn span(self, (column, len): (u32, u32)) -> SourceSpan {
        SourceSpan {
            file: self.file as usize,
            line: self.line as usize,
            column: column as usize,
            len: len as usize,
        }
    }
}

impl IniEntry {
    /// The span of the key.
    #[must_use]
    pub fn key_span(&self) -> SourceSpan {
        self.place.span(self.place.key)
    }

    /// The span of the value's first line.
    #[must_use]
    pub fn value_span(&self) -> SourceSpan {
        self.place.span(self.place.value)
    }
}

/// One section, merged from all places that have its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IniSection {
    /// The text between the brackets, unchanged.
    pub name: String,
    /// The span of its first header.
    pub span: SourceSpan,
    /// The spans of all its headers, including the first. Empty: the section is in no file.
    pub places: Vec<SourceSpan>,
    /// The entries in the order in which the keys first appear.
    pub entries: Vec<IniEntry>,
}

impl IniSection {
    /// The entry of a key in any case.
    fn entry(&self, key: &str) -> Option<&IniEntry> {
        let mut entries = self.entries.iter();
        entries.find(|entry| entry.key.eq_ignore_ascii_case(key))
    }

    fn replace(&mut self, from: &str, to: &str) {
        for entry in &mut self.entries {
            if entry.value.contains(from) {
                entry.value = entry.value.replace(from, to);
            }
        }
    }

    fn insert_entry(&mut self, mut entry: IniEntry) -> usize {
        match self.entries.iter().position(|old| old.key == entry.key) {
            Some(at) => {
                entry.replaced = Some(Box::new(self.entries[at].key_span()));
                self.entries[at] = entry;
                at
            }
            None => {
                self.entries.push(entry);
                self.entries.len() - 1
            }
        }
    }
}

/// All sections of one or several files.
#[derive(Debug, Clone)]
pub struct Ini {
    sections: Vec<IniSection>,
    index: HashMap<String, usize>,
    /// `[DEFAULT]`.
    pub defaults: IniSection,
    /// Interned keys, as written and in lower case: there are few, however many sections have them.
    keys: HashSet<Arc<str>>,
    /// Sections that may contain text for [`Ini::replace`]: those with a header since the last call.
    unreplaced: Vec<usize>,
}

/// An index of a section's entries by key. It is valid until the section changes.
#[derive(Debug)]
pub struct KeyOrder {
    /// The section. `None`: it does not exist, and only `[DEFAULT]` applies.
    pub index: Option<SectionIndex>,
    /// For each key: whether the section itself has it, and the index of its entry.
    places: Vec<Option<(bool, u32)>>,
}

/// Maximum initial capacity for the entries of a section.
const USUAL_MAX: usize = 32;

/// The index of a section in an [`Ini`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SectionIndex(usize);

/// The errors in the text of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IniError {
    /// Python's message with all its lines.
    pub sentence: String,
    /// The span of each bad line, with a hint.
    pub lines: Vec<(SourceSpan, &'static str)>,
}

/// The section whose keys apply to every section.
const DEFAULT: &str = "DEFAULT";
/// Some editors write this at the beginning of a file. Supervisor does not skip it.
const BYTE_ORDER_MARK: char = '\u{feff}';

/// Replaces all line ends by `\n`, as Python does when it reads a text file.
#[must_use]
pub fn universal_newlines(text: &str) -> String {
    if text.contains('\r') {
        text.replace("\r\n", "\n").replace('\r', "\n")
    } else {
        text.to_owned()
    }
}

impl Default for Ini {
    fn default() -> Self {
        Self {
            sections: Vec::new(),
            index: HashMap::new(),
            defaults: IniSection {
                name: DEFAULT.to_owned(),
                span: SourceSpan::default(),
                places: Vec::new(),
                entries: Vec::new(),
            },
            keys: HashSet::new(),
            unreplaced: Vec::new(),
        }
    }
}

/// The position of the parser: its section and its last key.
#[derive(Clone, Copy)]
struct ReadPosition {
    /// `None`: in `[DEFAULT]`.
    section: Option<usize>,
    entry: Option<usize>,
}

impl Ini {
    /// Adds the sections of a file. `name` and `file` are for messages and spans; `text` has only `\n` as line ends.
    ///
    /// # Errors
    /// Lines that cannot be parsed, or that are before any section. All other lines are added nevertheless.
    ///
    /// # Source
    /// Python's `configparser`, "Supported INI File Structure".
    pub fn read(&mut self, name: &str, file: usize, text: &str) -> Result<(), IniError> {
        let mut reader = FileReader::new(self, name, file);
        let unmarked = text.strip_prefix(BYTE_ORDER_MARK);
        if unmarked.is_some() {
            reader.refuse_byte_order_mark(text);
        }
        for (number, line) in (1..).zip(unmarked.unwrap_or(text).split_inclusive('\n')) {
            reader.read_line(&IniLine::new(file, number, line));
        }
        reader.finish()
    }

    /// Makes one section without spans. If a key is given twice, its last value counts.
    #[must_use]
    pub fn of_section<'a>(name: &str, options: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut ini = Self::default();
        ini.section_at(name, SourceSpan::default());
        for (key, value) in options {
            ini.set(name, key, value);
        }
        ini
    }

    /// Sets a key (in any case) of an existing section.
    pub fn set(&mut self, section: &str, key: &str, value: &str) {
        if let Some(&at) = self.index.get(section) {
            let (lower, written) = self.intern_key(key);
            self.sections[at].insert_entry(IniEntry {
                key: lower,
                written,
                value: value.to_owned(),
                place: EntrySpans::default(),
                cut: None,
                replaced: None,
            });
        }
    }

    /// Returns the interned key in lower case, and as written.
    fn intern_key(&mut self, written: &str) -> (Arc<str>, Arc<str>) {
        let written = self.intern(written);
        // Most keys are in lower case already.
        let is_lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let lower = match written.chars().all(is_lower) {
            true => Arc::clone(&written),
            false => self.intern(&written.to_lowercase()),
        };
        (lower, written)
    }

    fn intern(&mut self, key: &str) -> Arc<str> {
        if let Some(known) = self.keys.get(key) {
            return Arc::clone(known);
        }
        let new: Arc<str> = Arc::from(key);
        self.keys.insert(Arc::clone(&new));
        new
    }

    /// The section at this index. `None`: `[DEFAULT]`.
    fn section_mut(&mut self, section: Option<usize>) -> &mut IniSection {
        match section {
            Some(at) => &mut self.sections[at],
            None => &mut self.defaults,
        }
    }

    /// The entry that a continuation line would extend.
    fn current_entry(&mut self, position: ReadPosition) -> Option<&mut IniEntry> {
        let at = position.entry?;
        self.section_mut(position.section).entries.get_mut(at)
    }

    /// The index of the section with this name, which is created if needed. `None`: `[DEFAULT]`.
    fn section_at(&mut self, name: &str, span: SourceSpan) -> Option<usize> {
        if name == DEFAULT {
            return None;
        }
        if let Some(&at) = self.index.get(name) {
            self.sections[at].places.push(span);
            self.unreplaced.push(at);
            return Some(at);
        }
        self.index.insert(name.to_owned(), self.sections.len());
        self.unreplaced.push(self.sections.len());
        let last = self.sections.last();
        let usual = last.map_or(0, |last| last.entries.len().min(USUAL_MAX));
        self.sections.push(IniSection {
            name: name.to_owned(),
            span,
            places: vec![span],
            // Sections of one file are often similar.
            entries: Vec::with_capacity(usual),
        });
        Some(self.sections.len() - 1)
    }

    /// All sections but `[DEFAULT]`, in the order in which they first appear.
    #[must_use]
    pub fn sections(&self) -> &[IniSection] {
        &self.sections
    }

    /// The section with exactly this name.
    #[must_use]
    pub fn section(&self, name: &str) -> Option<&IniSection> {
        self.index.get(name).map(|&at| &self.sections[at])
    }

    /// The index of the section with exactly this name.
    #[must_use]
    pub fn index_of(&self, name: &str) -> Option<SectionIndex> {
        self.index.get(name).map(|&at| SectionIndex(at))
    }

    /// The section at an index of this `Ini`.
    #[must_use]
    pub fn section_at_index(&self, index: SectionIndex) -> Option<&IniSection> {
        self.sections.get(index.0)
    }

    /// The entry of a key (lower case), or that of `[DEFAULT]`.
    #[must_use]
    pub fn get(&self, section: &str, key: &str) -> Option<&IniEntry> {
        self.entry_of(self.section(section), key)
    }

    /// The entry of a key (lower case) in a section, or that of `[DEFAULT]`.
    #[must_use]
    pub fn entry_of<'a>(
        &'a self,
        section: Option<&'a IniSection>,
        key: &str,
    ) -> Option<&'a IniEntry> {
        section
            .and_then(|section| section.entry(key))
            .or_else(|| self.defaults.entry(key))
    }

    /// Indexes the entries of a section that many keys will be read from. `position` returns the index of a key (lower
    /// case), below `count`. An entry of `[DEFAULT]` applies if the section does not have its key.
    #[must_use]
    pub fn order_keys(
        &self,
        index: Option<SectionIndex>,
        count: usize,
        position: impl Fn(&str) -> Option<usize>,
    ) -> KeyOrder {
        let mut places = vec![None; count];
        let own = index.and_then(|index| self.section_at_index(index));
        let own = own.map_or(&[][..], |section| &section.entries);
        for (is_own, entries) in [(false, &self.defaults.entries[..]), (true, own)] {
            for (at, entry) in entries.iter().enumerate() {
                if let Some(place) = position(&entry.key).and_then(|place| places.get_mut(place)) {
                    *place = u32::try_from(at).ok().map(|at| (is_own, at));
                }
            }
        }
        KeyOrder { index, places }
    }

    /// The entry of the key at `place` in an indexed section.
    #[must_use]
    pub fn ordered_entry(&self, arranged: &KeyOrder, place: usize) -> Option<&IniEntry> {
        let (is_own, at) = arranged.places.get(place).copied().flatten()?;
        let section = match is_own {
            true => self.section_at_index(arranged.index?)?,
            false => &self.defaults,
        };
        section.entries.get(at as usize)
    }

    /// All entries of a section: its own, then those of `[DEFAULT]` that it does not set itself.
    pub fn entries<'a>(&'a self, section: &'a IniSection) -> impl Iterator<Item = &'a IniEntry> {
        section.entries.iter().chain(
            self.defaults
                .entries
                .iter()
                .filter(|entry| section.entry(&entry.key).is_none()),
        )
    }

    /// Copies entries of the section `from` into each section that `is_target` accepts and that lacks their keys. They
    /// keep their spans.
    pub fn copy_missing(
        &mut self,
        from: &str,
        is_target: impl Fn(&str) -> bool,
        is_copied: impl Fn(&IniEntry) -> bool,
    ) {
        let Some(source) = self.section(from) else {
            return;
        };
        let source = source.entries.iter().filter(|&entry| is_copied(entry));
        let source: Vec<IniEntry> = source.cloned().collect();
        for section in &mut self.sections {
            if is_target(&section.name) {
                for entry in &source {
                    if section.entry(&entry.key).is_none() {
                        section.entries.push(entry.clone());
                    }
                }
            }
        }
    }

    /// Replaces `from` by `to` in every value of every section. A value of `[DEFAULT]` that contains `from` is copied
    /// into each section before; `[DEFAULT]` itself does not change.
    /// All calls must have the same `from`.
    pub fn replace(&mut self, from: &str, to: &str) {
        let Self {
            sections,
            defaults,
            unreplaced,
            ..
        } = self;
        let is_in = |entry: &&IniEntry| entry.value.contains(from);
        let inherited: Vec<&IniEntry> = defaults.entries.iter().filter(is_in).collect();
        if inherited.is_empty() {
            // Thousands of files with one section each: a walk over all sections after each file is quadratic.
            for &at in &*unreplaced {
                sections[at].replace(from, to);
            }
        } else {
            for section in sections {
                for &entry in &inherited {
                    if section.entry(&entry.key).is_none() {
                        section.entries.push(entry.clone());
                    }
                }
                section.replace(from, to);
            }
        }
        if !to.contains(from) {
            unreplaced.clear();
        }
    }
}

/// Reads the lines of one file into an [`Ini`].
struct FileReader<'a> {
    ini: &'a mut Ini,
    name: &'a str,
    file: usize,
    /// `None`: before the first section.
    position: Option<ReadPosition>,
    scanner: LineScanner,
    /// The error about the first line that is before any section.
    homeless: Option<IniError>,
    /// The lines that cannot be parsed, with Python's message about all of them.
    bad: IniError,
    /// The section and the index of each entry of this file.
    touched: Vec<(Option<usize>, usize)>,
}

impl<'a> FileReader<'a> {
    fn new(ini: &'a mut Ini, name: &'a str, file: usize) -> Self {
        Self {
            ini,
            name,
            file,
            position: None,
            scanner: LineScanner::default(),
            homeless: None,
            bad: IniError {
                sentence: String::new(),
                lines: Vec::new(),
            },
            touched: Vec::new(),
        }
    }

    /// Records the error about a byte order mark at the beginning of the file.
    fn refuse_byte_order_mark(&mut self, text: &str) {
        let line = text.split_inclusive('\n').next().unwrap_or_default();
        let span = SourceSpan {
            file: self.file,
            line: 1,
            column: 1,
            len: 1,
        };
        self.homeless = Some(IniError {
            sentence: no_header(self.name, 1, line),
            lines: vec![(
                span,
                "the file begins with a byte order mark (U+FEFF); save the file as UTF-8 without a byte order mark",
            )],
        });
    }

    fn read_line(&mut self, line: &IniLine<'_>) {
        match self.scanner.role(line) {
            LineRole::Comment => {}
            // A blank line is part of the value around it; a comment line is not.
            LineRole::Blank => {
                if let Some(entry) = self.current_entry() {
                    entry.value.push('\n');
                }
            }
            LineRole::Continuation => {
                if let Some(entry) = self.current_entry() {
                    entry.value.push('\n');
                    entry.value.push_str(line.kept);
                    entry.cut = entry.cut.take().or_else(|| line.cut(&entry.value));
                }
            }
            LineRole::Header(header) => {
                self.position = Some(ReadPosition {
                    section: self.ini.section_at(header, line.kept_span()),
                    entry: None,
                });
            }
            LineRole::Key(parts) => self.read_key(line, &parts),
            LineRole::Bad => self.refuse_line(line),
            LineRole::Homeless => self.refuse_homeless(line),
        }
    }

    /// The entry that a continuation line would extend.
    fn current_entry(&mut self) -> Option<&mut IniEntry> {
        self.ini.current_entry(self.position?)
    }

    /// Records the error about a line before any section.
    fn refuse_homeless(&mut self, line: &IniLine<'_>) {
        self.homeless.get_or_insert_with(|| IniError {
            sentence: no_header(self.name, line.number, line.text),
            lines: vec![(
                line.kept_span(),
                "expected a section header such as [supervisord] before this line",
            )],
        });
    }

    /// Reads a key and the first line of its value.
    fn read_key(&mut self, line: &IniLine<'_>, parts: &KeyAndRest<'_>) {
        if parts.key.is_empty() {
            self.refuse_line(line);
        }
        let section = self.position.and_then(|position| position.section);
        let (key_span, value_span) = line.entry_spans(parts);
        let (key, written) = self.ini.intern_key(parts.key);
        let at = self.ini.section_mut(section).insert_entry(IniEntry {
            key,
            written,
            value: parts.value().to_owned(),
            place: EntrySpans::new(key_span, value_span),
            cut: line.cut(parts.value()),
            replaced: None,
        });
        self.position = Some(ReadPosition {
            section,
            // An empty key takes no continuation lines.
            entry: (!parts.key.is_empty()).then_some(at),
        });
        self.touched.push((section, at));
    }

    /// Records the error about a line that cannot be parsed.
    fn refuse_line(&mut self, line: &IniLine<'_>) {
        let bad = &mut self.bad;
        bad.lines.push((
            line.kept_span(),
            "expected `key = value`, a [section] or a comment that begins with ; or #",
        ));
        if bad.sentence.is_empty() {
            let name = python_repr(self.name);
            bad.sentence = format!("Source contains parsing errors: {name}");
        }
        let (number, text) = (line.number, python_repr(line.text));
        bad.sentence
            .push_str(&format!("\n\t[line {number:2}]: {text}"));
    }

    /// Removes the blank lines at the ends of values, and returns the errors.
    fn finish(self) -> Result<(), IniError> {
        for (section, at) in self.touched {
            let entry = Some(at);
            if let Some(entry) = self.ini.current_entry(ReadPosition { section, entry }) {
                entry.value.truncate(rstrip(&entry.value).len());
            }
        }
        match self.homeless {
            // It can only be the first error of a file, and it is the one at which Python stops.
            Some(mut error) => {
                error.lines.extend(self.bad.lines);
                Err(error)
            }
            None if self.bad.lines.is_empty() => Ok(()),
            None => Err(self.bad),
        }
    }
}

/// Python's message for a line before the first section.
fn no_header(name: &str, number: usize, line: &str) -> String {
    format!(
        "File contains no section headers.\nfile: {}, line: {number}\n{}",
        python_repr(name),
        python_repr(line)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each section as `name{key=value|…}`, or the message of the error.
    fn shown(text: &str) -> String {
        let mut ini = Ini::default();
        if let Err(error) = ini.read("f", 0, &universal_newlines(text)) {
            return error.sentence;
        }
        let pairs = |section: &IniSection| {
            section
                .entries
                .iter()
                .map(|entry| format!("{}={}", entry.key, entry.value))
                .collect::<Vec<_>>()
                .join("|")
        };
        std::iter::once(&ini.defaults)
            .filter(|defaults| !defaults.entries.is_empty())
            .chain(ini.sections())
            .map(|section| format!("{}{{{}}}", section.name, pairs(section)))
            .collect()
    }

    #[test]
    fn cfg_07_to_13_the_reader_follows_pythons_dialect() {
        for (row, text, expected) in [
            ("keys in lower case", "[S]\nKey=V\n", "S{key=V}"),
            (
                "either separator, the first one",
                "[s]\na:b=c\nd=e:f\n",
                "s{a=b=c|d=e:f}",
            ),
            ("blanks around", "[s]\na \t=\u{a0} b \n", "s{a=b}"),
            ("full line comments", "[s]\n;a=1\n  # b=2\nc=3\n", "s{c=3}"),
            (
                "inline comments",
                "[s]\na=1 ;x\nb=2\t#x\nc=3;x\n",
                "s{a=1|b=2|c=3;x}",
            ),
            ("within quotes too", "[s]\na=\"b ; c\"\n", "s{a=\"b}"),
            ("lockstep", "[s]\na=x;y ;cut #d\n", "s{a=x;y ;cut}"),
            ("comment after a header", "[s] ;x\n[t] x\n", "s{}t{}"),
            ("the last bracket ends a header", "[a]b]\n", "a]b{}"),
            ("empty header is none", "[s]\n[]=1\n", "s{[]=1}"),
            ("continuation", "[s]\na=1\n 2\n  3\n", "s{a=1\n2\n3}"),
            (
                "blank lines inside a value stay",
                "[s]\na=1\n\n 2\n\n\n",
                "s{a=1\n\n2}",
            ),
            (
                "comment lines inside a value go",
                "[s]\na=1\n ;x\n 2\n",
                "s{a=1\n2}",
            ),
            (
                "an indented key is swallowed",
                "[s]\na=1\n b=2\n",
                "s{a=1\nb=2}",
            ),
            (
                "an indented key of its own",
                "[s]\n  a=1\n  b=2\n c=3\n",
                "s{a=1|b=2|c=3}",
            ),
            (
                "an indented header is swallowed",
                "[s]\na=1\n [t]\n",
                "s{a=1\n[t]}",
            ),
            (
                "later wins, place stays",
                "[s]\na=1\nb=2\na=3\n",
                "s{a=3|b=2}",
            ),
            (
                "sections merge",
                "[s]\na=1\n[t]\n[s]\nb=2\n",
                "s{a=1|b=2}t{}",
            ),
            ("defaults", "[DEFAULT]\na=1\n[s]\n", "DEFAULT{a=1}s{}"),
            ("no newline at the end", "[s]\na=1", "s{a=1}"),
            (
                "line ends of other systems",
                "[s]\r\na=1\rb=2\r\n",
                "s{a=1|b=2}",
            ),
            ("empty value", "[s]\na=\nb = ;x\n", "s{a=|b=}"),
            ("nothing", "", ""),
        ] {
            assert_eq!(shown(text), expected, "{row}");
        }
    }

    #[test]
    fn cfg_15_cfg_16_parse_errors_have_pythons_messages() {
        for (text, expected) in [
            (
                "a=1\n[s]\n",
                "File contains no section headers.\nfile: 'f', line: 1\n'a=1\\n'",
            ),
            (
                "[s]\nfoo",
                "Source contains parsing errors: 'f'\n\t[line  2]: 'foo'",
            ),
            (
                "[s]\nrem x\n=1\n",
                "Source contains parsing errors: 'f'\n\t[line  2]: 'rem x\\n'\n\t[line  3]: '=1\\n'",
            ),
        ] {
            assert_eq!(shown(text), expected, "{text:?}");
        }
    }

    #[test]
    fn spans_count_characters_from_one() {
        let mut ini = Ini::default();
        ini.read("f", 3, "[é]\n\u{a0}ké  =\t vé ; x\ne=\nq=\"a ; b\"\n")
            .expect("valid");
        let place = |span: SourceSpan| (span.file, span.line, span.column, span.len);
        assert_eq!(place(ini.sections()[0].span), (3, 1, 1, 3));
        let entry = ini.get("é", "ké").expect("set");
        assert_eq!(place(entry.key_span()), (3, 2, 2, 2));
        assert_eq!(place(entry.value_span()), (3, 2, 9, 2));
        assert_eq!(entry.cut, None);
        let empty = ini.get("é", "e").expect("set");
        assert_eq!(place(empty.value_span()), (3, 3, 1, 1));
        let cut = ini.get("é", "q").and_then(|entry| entry.cut.clone());
        assert_eq!(cut.map(|cut| place(*cut)), Some((3, 4, 6, 1)));
    }

    #[test]
    fn cfg_25_replacing_copies_defaults_into_sections() {
        let mut ini = Ini::default();
        ini.read("f", 0, "[DEFAULT]\nd=@\ne=x\n[s]\na=@@\n[t]\nd=own\n")
            .expect("valid");
        ini.replace("@", "1");
        let value = |section, key| ini.get(section, key).map(|entry| entry.value.as_str());
        assert_eq!(value("s", "d"), Some("1"));
        assert_eq!(value("s", "a"), Some("11"));
        assert_eq!(value("t", "d"), Some("own"));
        assert_eq!(value("new", "d"), Some("@"));
        assert_eq!(value("s", "e"), Some("x"));
    }

    #[test]
    fn a_second_replace_changes_only_newer_entries() {
        let mut ini = Ini::default();
        let mut add = |text, to: &str| {
            ini.read("f", 0, text).expect("valid");
            ini.replace("@", to);
            let values = ini.sections().iter().flat_map(|section| &section.entries);
            values.map(|entry| entry.value.clone()).collect::<Vec<_>>()
        };
        assert_eq!(add("[s]\na=@\n[t]\nb=@\n", "1"), ["1", "1"]);
        assert_eq!(add("[s]\nc=@\n", "2"), ["1", "2", "1"]);
        assert_eq!(add("[u]\nd=@\n", "@3"), ["1", "2", "1", "@3"]);
        // A replacement that contains the text is replaced again, as in Supervisor.
        assert_eq!(add("[v]\n", "4"), ["1", "2", "1", "43"]);
        let late = add("[DEFAULT]\nz=@\n[w]\n", "5");
        assert_eq!(late, ["1", "2", "5", "1", "5", "43", "5", "5", "5"]);
    }

    #[test]
    fn a_key_is_stored_once_in_each_spelling() {
        let mut ini = Ini::default();
        ini.read("f", 0, "[s]\nKey=1\n[t]\nkey=2\n[u]\nKEY=3\nÉ=4\n")
            .expect("valid");
        let entry = |section, key| ini.get(section, key).expect("set");
        let [s, t, u] = ["s", "t", "u"].map(|section| entry(section, "key"));
        assert!(Arc::ptr_eq(&s.key, &t.key) && Arc::ptr_eq(&t.key, &u.key));
        assert!(Arc::ptr_eq(&t.key, &t.written));
        assert_eq!([&*s.written, &*u.written], ["Key", "KEY"]);
        assert_eq!(*entry("u", "é").written, *"É");
        let index = ini.index_of("t").expect("there");
        assert_eq!(
            ini.section_at_index(index).map(|t| t.name.as_str()),
            Some("t")
        );
        assert_eq!(ini.index_of("DEFAULT"), None);
    }

    #[test]
    fn an_indexed_section_finds_the_same_entries_as_a_search() {
        let mut ini = Ini::default();
        ini.read(
            "f",
            0,
            "[DEFAULT]\na=0\nd=0\n[s]\nb=1\na=1\nx=1\nb=2\n[empty]\n",
        )
        .expect("valid");
        let keys = ["a", "b", "c", "d"];
        for section in ["s", "empty"] {
            let index = ini.index_of(section).expect("there");
            let position = |key: &str| keys.iter().position(|known| *known == key);
            let arranged = ini.order_keys(Some(index), keys.len(), position);
            for (place, key) in keys.into_iter().enumerate() {
                let found = ini.ordered_entry(&arranged, place);
                assert_eq!(found, ini.get(section, key), "{section} {key}");
            }
            assert_eq!(ini.ordered_entry(&arranged, keys.len()), None);
        }
    }
}
