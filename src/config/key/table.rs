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

/// The rows of one kind in the order in which they are read, with an index by name. A program has seventy keys and each
/// section is asked for many of them: a linear search took a sixth of the time to read a large configuration.
#[derive(Debug)]
pub(in crate::config) struct KeyTable {
    rows: Vec<&'static ConfigKey>,
    /// The positions of all rows, sorted by the hash of their names.
    by_mark: Vec<u8>,
    /// For each hash, the index of its first position in `by_mark`; then the end of the last one.
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
            let rank = |key: &ConfigKey| {
                let place = section.order().iter().position(|name| *name == key.name);
                (key.scope, place.unwrap_or(usize::MAX))
            };
            rows.sort_by_key(|key| rank(key));
            let narrow = |number| u8::try_from(number).expect("a section has fewer than 256 keys");
            let mut by_mark: Vec<u8> = (0..rows.len()).map(narrow).collect();
            let mark = |at: &u8| Self::mark(rows[usize::from(*at)].name);
            by_mark.sort_by_key(mark);
            let mut starts = [0; Self::MARKS + 1];
            for (at, start) in starts.iter_mut().enumerate() {
                *start = narrow(by_mark.partition_point(|row| mark(row) < at));
            }
            Self {
                rows,
                by_mark,
                starts,
            }
        })
    }

    /// The row with this name.
    fn find(&self, name: &str) -> Option<&'static ConfigKey> {
        self.position(name).map(|at| self.rows[at])
    }

    /// The position of the row with this name, in any case, in [`Self::rows`].
    pub(in crate::config) fn position(&self, name: &str) -> Option<usize> {
        let mut same = self
            .with_mark(Self::mark(name))
            .iter()
            .copied()
            .map(usize::from);
        // Compare pointers first: the compiler merges equal string literals, so callers usually pass the row's own.
        same.find(|&at| {
            let known = self.rows[at].name;
            std::ptr::eq(known, name) || known.eq_ignore_ascii_case(name)
        })
    }

    /// The rows, in the order in which they are read.
    pub(in crate::config) fn rows(&self) -> &[&'static ConfigKey] {
        &self.rows
    }

    fn with_mark(&self, mark: usize) -> &[u8] {
        &self.by_mark[usize::from(self.starts[mark])..usize::from(self.starts[mark + 1])]
    }

    /// The hash of a name: its length and a few of its letters in lower case.
    fn mark(name: &str) -> usize {
        let bytes = name.as_bytes();
        let length = bytes.len();
        let places = [
            0,
            length / 4,
            length / 2,
            length / 4 * 3,
            length.wrapping_sub(2),
            length.wrapping_sub(1),
        ];
        let letter = |at: usize| bytes.get(at).copied().unwrap_or_default();
        let mix = |hash: usize, at| {
            let letter = letter(at).to_ascii_lowercase();
            hash.wrapping_mul(31).wrapping_add(usize::from(letter))
        };
        // The upper bits of the product depend on all letters.
        let hash = places
            .into_iter()
            .fold(length, mix)
            .wrapping_mul(0x9E37_79B1);
        (hash >> 16) % Self::MARKS
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
                let searched = kind.keys().find(|key| key.name.eq_ignore_ascii_case(name));
                let found = ConfigKey::find(kind, name);
                assert!(
                    match (found, searched) {
                        (Some(found), Some(searched)) => std::ptr::eq(found, searched),
                        (found, searched) => found.is_none() && searched.is_none(),
                    },
                    "{kind:?} {name}"
                );
            }
        }
        // Many rows with one hash would amount to a linear search.
        let table = KeyTable::of(SectionKind::Program);
        let counts = (0..KeyTable::MARKS).map(|mark| table.with_mark(mark).len());
        assert!(counts.max() <= Some(3));
    }
}
