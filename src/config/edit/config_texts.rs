//! The texts of a configuration, and the edits of its programs.

use super::super::ini::Ini;
use super::super::key::SectionKind;
use super::super::line_role::LineRole;
use super::super::python::strip;
use super::super::value;
use super::dependants::dependants;
use super::draft::{Draft, Entries, TextEdit, entries_of, read};
use super::error::{EditError, EditNote, EditPlace};
use super::file_lines::{Block, FileLines, SourceFile, Splice, is_disabled_key, split_end};
use super::group_list::{PROGRAMS, change_list, changed_list};
use super::key_edit::{check_key, check_value, insert_key, key_lines, remove_key, replace_value};
use super::section_text::{SectionText, check_name, renamed_header};

/// The kinds of sections that form a group of their name.
const GROUPS: [SectionKind; 4] = [
    SectionKind::Program,
    SectionKind::Fcgi,
    SectionKind::Listener,
    SectionKind::Group,
];

/// The texts of all files of a configuration, in the order in which the parser reads them. An edit needs them all: a
/// section may be in several files, and other files may depend on its program.
pub struct ConfigTexts<'a> {
    files: Vec<SourceFile<'a>>,
}

/// A change of one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyEdit<'a> {
    /// The key, in any case.
    pub key: &'a str,
    /// The new value, as written in a file: `%` is not doubled. Several lines are separated by `\n` or `\r\n`. `None`:
    /// the key is removed.
    pub value: Option<&'a str>,
}

impl<'a> ConfigTexts<'a> {
    /// `files`: name and text of each file in the order of reading, the main file first. The names are for messages.
    ///
    /// # Errors
    /// [`EditError::MixedLineEnds`].
    pub fn new(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, EditError> {
        let mut all = Vec::new();
        for (name, text) in files {
            let lines = FileLines::new(text);
            if let Some(index) = lines.mixed_line_end() {
                let (file, line) = (name.to_owned(), index + 1);
                return Err(EditError::MixedLineEnds(EditPlace { file, line }));
            }
            all.push(SourceFile { name, text, lines });
        }
        Ok(Self { files: all })
    }

    /// The text of a program's section, with `\n` as line end: its header and what belongs to it below. If the section
    /// is in several places, one text that means the same.
    ///
    /// # Errors
    /// [`EditError::NotFound`].
    pub fn section_text(&self, program: &str) -> Result<String, EditError> {
        let section = self.find(program)?;
        let blocks = self.blocks_of(&section);
        let mut text = String::new();
        for (index, (file, block)) in blocks.iter().enumerate() {
            let start = block.header + usize::from(index > 0);
            for line in &self.files[*file].lines.lines[start..block.end] {
                text.push_str(split_end(line.text).0);
                text.push('\n');
            }
        }
        let ini = self.ini();
        if let Some(merged) = ini.section(&section)
            && blocks.len() > 1
            && entries_of_text(&text, &section) != entries_of(merged)
        {
            // The keys of the places have different indentations.
            text = format!("[{section}]\n");
            for entry in &merged.entries {
                let lines = key_lines(&entry.written, &entry.value).into_iter();
                text.extend(lines.map(|line| line + "\n"));
            }
        }
        Ok(text)
    }

    /// Adds a section at the end of a file. `file`: the index of the file; `text`: the whole section with its header.
    ///
    /// # Errors
    /// The text is not one section of a program, or a section of its name exists.
    pub fn add(&self, file: usize, text: &str) -> Result<TextEdit, EditError> {
        self.insert(file, &SectionText::parse(text)?)
    }

    /// Replaces a program's section. `text`: the whole section with its header. If the header has another name, the
    /// program is renamed, in the lists of its groups too. Comments above the header are replaced if the text has such
    /// comments.
    ///
    /// # Errors
    /// The text is not one section of a program. If it renames the program: a section of the new name exists, or
    /// another section needs the program.
    pub fn replace(&self, program: &str, text: &str) -> Result<TextEdit, EditError> {
        let section = self.find(program)?;
        let new = SectionText::parse(text)?;
        let mut draft = self.draft();
        if new.name != strip(program) {
            self.refuse_existing(&new.name)?;
            self.refuse_needed(&section, program)?;
            self.change_groups(&mut draft, program, Some(&new.name));
        }
        let blocks = self.blocks_of(&section);
        let mut removed = Vec::new();
        for (index, (file, block)) in blocks.iter().enumerate() {
            let lines = &self.files[*file].lines;
            // The removal of a place takes the blank line before it along.
            let loses_blank =
                |(other, next): &(usize, &Block<'_>)| other == file && next.top == block.end + 1;
            draft.splices[*file].push(match index {
                0 => replacement(lines, block, &new, blocks.iter().any(loses_blank)),
                _ => lines.removal(block),
            });
            if index > 0 {
                removed.push(self.place(*file, block));
            }
        }
        if !removed.is_empty() {
            let section = section.clone();
            draft.notes.push(EditNote::Joined { section, removed });
        }
        draft.before = Some(section);
        draft.after = Some((
            new.section.clone(),
            entries_of_text(&new.text(), &new.section),
        ));
        draft.finish(new.name, &self.files)
    }

    /// Removes a program: all places of its section, and its name in the lists of groups.
    ///
    /// # Errors
    /// [`EditError::NotFound`], [`EditError::Needed`].
    pub fn remove(&self, program: &str) -> Result<TextEdit, EditError> {
        let section = self.find(program)?;
        self.refuse_needed(&section, program)?;
        let mut draft = self.draft();
        for (file, block) in self.blocks_of(&section) {
            draft.splices[file].push(self.files[file].lines.removal(block));
        }
        self.change_groups(&mut draft, program, None);
        draft.before = Some(section);
        draft.finish(program.to_owned(), &self.files)
    }

    /// Adds a copy of a program's section under a new name at the end of a file. The copy is in no `[group:x]`.
    ///
    /// # Errors
    /// The program does not exist, or a section of the new name exists.
    pub fn copy(&self, program: &str, new_name: &str, file: usize) -> Result<TextEdit, EditError> {
        self.insert(file, &self.copied(program, new_name)?)
    }

    /// The text of a program's section under another name, for a file of its own.
    ///
    /// # Errors
    /// As [`Self::copy`].
    pub fn copy_text(&self, program: &str, new_name: &str) -> Result<String, EditError> {
        Ok(self.copied(program, new_name)?.text())
    }

    /// A name for a copy of a program that does not exist: `NAME-copy`, `NAME-copy-2`, …
    #[must_use]
    pub fn suggest_copy(&self, program: &str) -> String {
        let first = format!("{}-copy", strip(program));
        let more = (2_usize..).map(|number| format!("{first}-{number}"));
        let mut names = std::iter::once(first.clone()).chain(more);
        names
            .find(|name| self.refuse_existing(name).is_ok())
            .unwrap_or(first)
    }

    /// Sets or removes keys of a program. Only the lines of these keys change. A comment behind a value stays.
    ///
    /// # Errors
    /// [`EditError::NotFound`], [`EditError::InvalidKey`], [`EditError::InvalidValue`].
    pub fn set_keys(&self, program: &str, edits: &[KeyEdit<'_>]) -> Result<TextEdit, EditError> {
        let section = self.find(program)?;
        let mut texts: Vec<String> = self.files.iter().map(|file| file.text.to_owned()).collect();
        for edit in edits {
            let names = self.files.iter().map(|file| file.name);
            let present = ConfigTexts::new(names.zip(texts.iter().map(String::as_str)))?;
            let made = present.set_key(program, &section, *edit)?;
            for file in made.files {
                texts[file.file] = file.text;
            }
        }
        let files = self.files.iter().zip(texts);
        Ok(TextEdit::of_texts(program, files))
    }

    fn set_key(
        &self,
        program: &str,
        section: &str,
        edit: KeyEdit<'_>,
    ) -> Result<TextEdit, EditError> {
        let key = check_key(edit.key)?;
        let value = edit
            .value
            .map(|value| check_value(&key, value))
            .transpose()?;
        let mut draft = self.draft();
        let mut entries = self.entries(section);
        let blocks = self.blocks_of(section);
        let mut found = Vec::new();
        for (file, block) in &blocks {
            let keys = self.files[*file].lines.keys(block).into_iter();
            found.extend(
                keys.filter(|found| found.key == key)
                    .map(|found| (*file, found.lines)),
            );
        }
        match value {
            None => {
                for (file, lines) in found {
                    draft.splices[file].push(remove_key(&self.files[file].lines, lines));
                }
                entries.remove(&key);
            }
            Some(value) => {
                // The last value counts.
                match (found.pop(), blocks.first()) {
                    (Some((file, lines)), _) => {
                        let splice = replace_value(&self.files[file].lines, lines, &value);
                        draft.splices[file].push(splice);
                    }
                    (None, Some((file, block))) => {
                        let splice = insert_key(&self.files[*file].lines, block, edit.key, &value);
                        draft.splices[*file].push(splice);
                    }
                    (None, None) => {}
                }
                entries.insert(key, value);
            }
        }
        draft.before = Some(section.to_owned());
        draft.after = Some((section.to_owned(), entries));
        draft.finish(program.to_owned(), &self.files)
    }

    fn draft(&self) -> Draft {
        Draft::new(self.files.len())
    }

    fn ini(&self) -> Ini {
        read(self.files.iter().map(|file| (file.name, file.text))).0
    }

    /// The entries of a section as the parser merges them.
    fn entries(&self, section: &str) -> Entries {
        self.ini()
            .section(section)
            .map(entries_of)
            .unwrap_or_default()
    }

    fn all_blocks(&self) -> impl Iterator<Item = (usize, &Block<'a>)> {
        let files = self.files.iter().enumerate();
        files.flat_map(|(index, file)| file.lines.blocks.iter().map(move |block| (index, block)))
    }

    /// The places of a section: the index of the file, and the lines.
    fn blocks_of(&self, section: &str) -> Vec<(usize, &Block<'a>)> {
        self.all_blocks()
            .filter(|(_, block)| block.name == section)
            .collect()
    }

    /// The whole name of a program's section, which may have blanks around the name of the program.
    fn find(&self, program: &str) -> Result<String, EditError> {
        let prefix = SectionKind::Program.prefix();
        let program = strip(program);
        let titles = self
            .all_blocks()
            .filter_map(|(_, block)| block.name.strip_prefix(prefix));
        let found: Vec<&str> = titles.filter(|title| strip(title) == program).collect();
        let exact = found.iter().find(|title| **title == program);
        match exact.or(found.first()) {
            Some(title) => Ok(format!("{prefix}{title}")),
            None => Err(EditError::NotFound(program.to_owned())),
        }
    }

    fn place(&self, file: usize, block: &Block<'_>) -> EditPlace {
        EditPlace {
            file: self.files[file].name.to_owned(),
            line: block.header + 1,
        }
    }

    fn refuse_existing(&self, name: &str) -> Result<(), EditError> {
        let is_it = |block: &Block<'_>| {
            let mut prefixes = GROUPS.iter().map(|kind| kind.prefix());
            prefixes.any(|prefix| {
                let title = block.name.strip_prefix(prefix);
                title.is_some_and(|title| strip(title) == name)
            })
        };
        match self.all_blocks().find(|(_, block)| is_it(block)) {
            Some((file, block)) => Err(EditError::Exists {
                name: name.to_owned(),
                section: block.name.to_owned(),
                place: self.place(file, block),
            }),
            None => Ok(()),
        }
    }

    fn refuse_needed(&self, section: &str, program: &str) -> Result<(), EditError> {
        let names: Vec<&str> = self.files.iter().map(|file| file.name).collect();
        let dependants = dependants(&self.ini(), &names, section, strip(program));
        match dependants.is_empty() {
            true => Ok(()),
            false => Err(EditError::Needed {
                name: program.to_owned(),
                dependants,
            }),
        }
    }

    fn copied(&self, program: &str, new_name: &str) -> Result<SectionText, EditError> {
        let name = check_name(new_name)?;
        let mut copy = SectionText::parse(&self.section_text(program)?)?;
        copy.lines[0] = renamed_header(&copy.lines[0], &copy.section, &name);
        copy.section = format!("{}{name}", SectionKind::Program.prefix());
        copy.name = name;
        self.refuse_existing(&copy.name)?;
        Ok(copy)
    }

    /// Appends a section to a file.
    fn insert(&self, file: usize, new: &SectionText) -> Result<TextEdit, EditError> {
        let lines = &self.files.get(file).ok_or(EditError::NoFile(file))?.lines;
        self.refuse_existing(&new.name)?;
        let at = lines.content_end();
        let blank = (at > 0).then(String::new);
        let mut draft = self.draft();
        draft.splices[file].push(Splice {
            lines: at..at,
            new: blank
                .into_iter()
                .chain(new.above.clone())
                .chain(new.lines.clone())
                .collect(),
        });
        draft.after = Some((
            new.section.clone(),
            entries_of_text(&new.text(), &new.section),
        ));
        draft.finish(new.name.clone(), &self.files)
    }

    /// Removes a program from the lists of its groups, or renames it there. A group that loses its only program is
    /// removed.
    fn change_groups(&self, draft: &mut Draft, program: &str, new: Option<&str>) {
        let ini = self.ini();
        let program = strip(program);
        let is_group = |name: &str| SectionKind::of(name) == Some(SectionKind::Group);
        for section in ini
            .sections()
            .iter()
            .filter(|section| is_group(&section.name))
        {
            let mut own = section.entries.iter();
            let list = own.find(|entry| *entry.key == *PROGRAMS);
            let list = list.map_or("", |entry| entry.value.as_str());
            if !value::list(list).iter().any(|item| item == program) {
                continue;
            }
            let blocks = self.blocks_of(&section.name);
            let place = blocks.first().map(|(file, block)| self.place(*file, block));
            let Some(place) = place else { continue };
            let name = section.name.clone();
            let programs = changed_list(list, program, new);
            if programs.is_empty() {
                for (file, block) in blocks {
                    draft.splices[file].push(self.files[file].lines.removal(block));
                }
                draft.groups.insert(name.clone(), None);
                draft.notes.push(EditNote::GroupRemoved {
                    section: name,
                    place,
                });
                continue;
            }
            // The last list counts.
            let lists = blocks.iter().flat_map(|(file, block)| {
                let keys = self.files[*file].lines.keys(block).into_iter();
                keys.filter(|key| key.key == PROGRAMS)
                    .map(|key| (*file, key.lines))
            });
            if let Some((file, lines)) = lists.last() {
                let splice = change_list(&self.files[file].lines, lines, program, new);
                draft.splices[file].push(splice);
                draft.groups.insert(name.clone(), Some(programs));
                draft.notes.push(EditNote::GroupChanged {
                    section: name,
                    place,
                });
            }
        }
    }
}

/// The lines that replace the first place of a section. `loses_blank`: the same edit removes a blank line after it.
fn replacement(
    file: &FileLines<'_>,
    block: &Block<'_>,
    new: &SectionText,
    loses_blank: bool,
) -> Splice {
    let is_blank = |index: usize| match file.lines.get(index) {
        Some(line) => matches!(line.role, LineRole::Blank),
        None => true,
    };
    let has_comments = !new.above.is_empty();
    let start = if has_comments {
        block.top
    } else {
        block.header
    };
    // Comments that touch the lines of another section could be taken for that section's.
    let before = has_comments && start > 0 && !is_blank(start - 1);
    let last = new.lines.last().map_or("", |line| strip(line));
    let is_apart = is_blank(block.end) && !loses_blank;
    let after = last.starts_with([';', '#']) && !is_disabled_key(last) && !is_apart;
    let blank = |is_needed: bool| is_needed.then(String::new);
    let above = blank(before).into_iter().chain(new.above.iter().cloned());
    let below = new.lines.iter().cloned().chain(blank(after));
    Splice {
        lines: start..block.end,
        new: above.chain(below).collect(),
    }
}

fn entries_of_text(text: &str, section: &str) -> Entries {
    let (ini, _) = read([("", text)].into_iter());
    ini.section(section).map(entries_of).unwrap_or_default()
}
