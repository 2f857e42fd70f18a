//! An edit before it is applied, and the check that it changes nothing else.

use std::collections::BTreeMap;

use super::super::ini::{Ini, IniSection, universal_newlines};
use super::super::value;
use super::error::{EditError, EditNote, EditPlace};
use super::file_lines::{SourceFile, Splice};
use super::group_list::PROGRAMS;
use super::line_diff::LineDiff;

/// The number of equal lines around each change in the differences of an edit.
const CONTEXT: usize = 3;

/// The result of an edit: new texts for the files that change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextEdit {
    /// The name of the program after the edit.
    pub program: String,
    /// The files that change, in order. Empty: the edit changes nothing.
    pub files: Vec<FileEdit>,
    /// What the edit did beyond the request.
    pub notes: Vec<EditNote>,
}

/// The new text of one file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileEdit {
    /// The index of the file.
    pub file: usize,
    /// The name of the file, as it was given.
    pub name: String,
    /// The whole new text.
    pub text: String,
    /// The difference from the old text.
    pub diff: LineDiff,
}

impl TextEdit {
    /// Compares the files with their new texts.
    pub(super) fn of_texts<'f, 'a: 'f>(
        program: &str,
        files: impl Iterator<Item = (&'f SourceFile<'a>, String)>,
    ) -> Self {
        let changed = files
            .enumerate()
            .filter(|(_, (file, text))| file.text != text);
        let edit = |(index, (file, text)): (usize, (&SourceFile<'_>, String))| FileEdit {
            file: index,
            name: file.name.to_owned(),
            diff: LineDiff::new(file.text, &text, CONTEXT),
            text,
        };
        Self {
            program: program.to_owned(),
            files: changed.map(edit).collect(),
            notes: Vec::new(),
        }
    }
}

/// The keys and values of a section.
pub(super) type Entries = BTreeMap<String, String>;

/// An edit before it is applied.
pub(super) struct Draft {
    /// The lines to replace, for each file.
    pub(super) splices: Vec<Vec<Splice>>,
    pub(super) notes: Vec<EditNote>,
    /// The section of the program before. `None`: there is none.
    pub(super) before: Option<String>,
    /// The section of the program after the edit, and its entries. `None`: there is none.
    pub(super) after: Option<(String, Entries)>,
    /// The groups that change, with their programs. `None`: the group is removed.
    pub(super) groups: BTreeMap<String, Option<Vec<String>>>,
}

impl Draft {
    pub(super) fn new(files: usize) -> Self {
        Self {
            splices: std::iter::repeat_with(Vec::new).take(files).collect(),
            notes: Vec::new(),
            before: None,
            after: None,
            groups: BTreeMap::new(),
        }
    }

    /// Applies the edit and checks the result.
    ///
    /// # Errors
    /// [`EditError::Entangled`].
    pub(super) fn finish(
        mut self,
        program: String,
        files: &[SourceFile<'_>],
    ) -> Result<TextEdit, EditError> {
        let mut splices = std::mem::take(&mut self.splices).into_iter();
        let apply = |file: &SourceFile<'_>| match splices.next() {
            Some(splices) if !splices.is_empty() => file.lines.apply(splices),
            _ => file.text.to_owned(),
        };
        let texts: Vec<String> = files.iter().map(apply).collect();
        let names = || files.iter().map(|file| file.name);
        let old = read(names().zip(files.iter().map(|file| file.text)));
        let new = read(names().zip(texts.iter().map(String::as_str)));
        self.check(files, &old, &new)?;
        let mut edit = TextEdit::of_texts(&program, files.iter().zip(texts));
        edit.notes = self.notes;
        Ok(edit)
    }

    fn check(
        &self,
        files: &[SourceFile<'_>],
        (old, old_bad): &(Ini, usize),
        (new, new_bad): &(Ini, usize),
    ) -> Result<(), EditError> {
        let entangled = |section: &IniSection| EditError::Entangled {
            section: section.name.clone(),
            place: EditPlace {
                file: files
                    .get(section.span.file)
                    .map_or("", |file| file.name)
                    .to_owned(),
                line: section.span.line,
            },
        };
        let own = [
            self.before.as_deref(),
            self.after.as_ref().map(|(name, _)| &**name),
        ];
        let is_other = |section: &&IniSection| {
            !own.contains(&Some(section.name.as_str())) && !self.groups.contains_key(&section.name)
        };
        let mut after = new.sections().iter().filter(is_other);
        for section in old.sections().iter().filter(is_other) {
            match after.next() {
                Some(other) if is_equal(section, other) => {}
                _ => return Err(entangled(section)),
            }
        }
        if let Some(more) = after.next() {
            return Err(entangled(more));
        }
        if !is_equal(&old.defaults, &new.defaults) || new_bad > old_bad {
            return Err(entangled(&old.defaults));
        }
        for (group, programs) in &self.groups {
            let (before, after) = (old.section(group), new.section(group));
            let is_right = match (before, after, programs) {
                (Some(_), None, None) => true,
                (Some(before), Some(after), Some(programs)) => {
                    let list = new.get(group, PROGRAMS).map_or("", |entry| &entry.value);
                    let same = same_but_programs(before) == same_but_programs(after);
                    same && value::list(list) == *programs
                }
                _ => false,
            };
            if let (false, Some(section)) = (is_right, before.or(after)) {
                return Err(entangled(section));
            }
        }
        let name = own[1].or(own[0]).unwrap_or_default();
        let is_right = match (&self.after, new.section(name)) {
            (Some((_, entries)), Some(section)) => entries_of(section) == *entries,
            (None, None) => true,
            _ => false,
        };
        let is_gone = own[0] == own[1] || own[0].is_none_or(|name| new.section(name).is_none());
        match (is_right && is_gone, new.section(name).or(old.section(name))) {
            (false, Some(section)) => Err(entangled(section)),
            _ => Ok(()),
        }
    }
}

/// The sections of all files as the parser reads them, and the number of lines that it refuses.
pub(super) fn read<'a>(files: impl Iterator<Item = (&'a str, &'a str)>) -> (Ini, usize) {
    let mut ini = Ini::default();
    let mut bad = 0;
    for (index, (name, text)) in files.enumerate() {
        if let Err(error) = ini.read(name, index, &universal_newlines(text)) {
            bad += error.lines.len();
        }
    }
    (ini, bad)
}

/// The keys and values of a section.
pub(super) fn entries_of(section: &IniSection) -> Entries {
    let entries = section.entries.iter();
    entries
        .map(|entry| (entry.key.to_string(), entry.value.clone()))
        .collect()
}

fn same_but_programs(section: &IniSection) -> Entries {
    let mut entries = entries_of(section);
    entries.remove(PROGRAMS);
    entries
}

fn is_equal(old: &IniSection, new: &IniSection) -> bool {
    let pairs = old.entries.iter().zip(&new.entries);
    let is_same = old.name == new.name && old.entries.len() == new.entries.len();
    is_same
        && pairs
            .into_iter()
            .all(|(old, new)| (&old.key, &old.value) == (&new.key, &new.value))
}
