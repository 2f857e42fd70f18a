//! An index of the rows of one kind of section.

use std::sync::OnceLock;

use super::row::ConfigKey;
use super::section::{SECTIONS, SectionKind};

impl ConfigKey {
    /// The row with this name for a section of this kind.
    #[must_use]
    pub fn find(section: SectionKind, name: &str) -> Option<&'static Self> {
        KeyTable::of(section).find(name)
    }
}

/// An index of one kind's rows by name. A program has seventy keys and each section is asked for each of them: a linear
/// search took a sixth of the time to read a large configuration.
#[derive(Debug)]
pub(in crate::config) struct KeyTable {
    /// Sorted by the hash of their names.
    rows: Vec<&'static ConfigKey>,
    /// For each hash, the index of its first row; then the end of the last one.
    starts: [u8; KeyTable::MARKS + 1],
}

impl KeyTable {
    /// Several times the number of keys of a program, so that most hashes have at most one row.
    const MARKS: usize = 256;

    /// Returns the index of a kind, built at first use.
    pub(in crate::config) fn of(section: SectionKind) -> &'static Self {
        static TABLES: [OnceLock<KeyTable>; SECTIONS.len()] =
            [const { OnceLock::new() }; SECTIONS.len()];
        TABLES[section as usize].get_or_init(|| {
            let mut rows: Vec<&'static ConfigKey> = section.keys().collect();
            rows.sort_by_key(|key| Self::mark(key.name));
            let mut starts = [0; Self::MARKS + 1];
            for (mark, start) in starts.iter_mut().enumerate() {
                let before = rows.partition_point(|key| Self::mark(key.name) < mark);
                *start = u8::try_from(before).expect("a section has fewer than 256 keys");
            }
            Self { rows, starts }
        })
    }

    /// The row with this name.
    fn find(&self, name: &str) -> Option<&'static ConfigKey> {
        self.position(name).map(|at| self.rows[at])
    }

    /// The position of the row with this name, below [`KeyTable::len`].
    pub(in crate::config) fn position(&self, name: &str) -> Option<usize> {
        let mut same = self.with_mark(Self::mark(name));
        // Compare pointers first: the compiler merges equal string literals, so callers usually pass the row's own.
        same.find(|&at| std::ptr::eq(self.rows[at].name, name) || self.rows[at].name == name)
    }

    /// The number of rows.
    pub(in crate::config) fn len(&self) -> usize {
        self.rows.len()
    }

    fn with_mark(&self, mark: usize) -> std::ops::Range<usize> {
        usize::from(self.starts[mark])..usize::from(self.starts[mark + 1])
    }

    /// The hash of a name: its length and a few of its letters.
    fn mark(name: &str) -> usize {
        let bytes = name.as_bytes();
        let letter = |at: usize| usize::from(bytes.get(at).copied().unwrap_or_default());
        let length = bytes.len();
        let mark = length * 31
            + letter(0)
            + letter(length / 2) * 5
            + letter(length.wrapping_sub(2)) * 3
            + letter(length.wrapping_sub(1)) * 7;
        mark % Self::MARKS
    }
}

#[cfg(test)]
mod tests {
    use super::super::all;
    use super::*;

    #[test]
    fn key_lookup_equals_a_linear_search() {
        let mut names: Vec<&str> = all().iter().map(|(_, key)| key.name).collect();
        names.extend(["", "x", "Command", "commando", "\u{e9}", "\u{1f600}"]);
        for &(kind, ..) in SECTIONS {
            for name in &names {
                let searched = kind.keys().find(|key| key.name == *name);
                assert_eq!(ConfigKey::find(kind, name), searched, "{kind:?} {name}");
            }
        }
        // Many rows with one hash would amount to a linear search.
        let table = KeyTable::of(SectionKind::Program);
        let counts = (0..KeyTable::MARKS).map(|mark| table.with_mark(mark).len());
        assert!(counts.max() <= Some(3));
    }
}
