//! Reads the keys whose rows have a setter into the values of their section.

use std::ops::Range;

use super::super::expand::ExpandNames;
use super::super::key::{
    ConfigKey, ExpandScope, KeyTable, ProgramValues, SectionKind, SectionValues,
};
use super::{ConfigReader, KeyResult, SectionAt};

/// Goes through the rows of a section in the order in which they are read, from one check to the next.
pub(in crate::config) struct RowCursor {
    kind: SectionKind,
    next: usize,
}

impl RowCursor {
    /// Starts at the first row.
    pub(in crate::config) fn new(kind: SectionKind) -> Self {
        Self { kind, next: 0 }
    }

    /// Starts at the first row of those that are read for each process.
    pub(super) fn of_process(kind: SectionKind) -> Self {
        let rows = KeyTable::of(kind).rows();
        let next = rows.partition_point(|row| row.scope == ExpandScope::Section);
        Self { kind, next }
    }

    /// The next rows up to and including that of the key `last`.
    pub(in crate::config) fn to(&mut self, last: &str) -> Range<usize> {
        let position = KeyTable::of(self.kind).position(last);
        self.before(position.expect("a key of this kind of section") + 1)
    }

    /// The next rows of those that are read once for the section.
    pub(super) fn rest_of_section(&mut self) -> Range<usize> {
        self.before(Self::of_process(self.kind).next)
    }

    /// All further rows.
    pub(in crate::config) fn rest(&mut self) -> Range<usize> {
        self.before(KeyTable::of(self.kind).rows().len())
    }

    fn before(&mut self, end: usize) -> Range<usize> {
        let start = std::mem::replace(&mut self.next, end);
        start..end
    }
}

impl ConfigReader<'_> {
    /// The values of a section of this kind in which no key is written.
    pub(in crate::config) fn defaults<T: SectionValues>(&self, kind: SectionKind) -> T {
        let mut values = T::empty();
        for row in KeyTable::of(kind).rows() {
            if let (Some(set), Some(text)) = (T::setter(row.field), row.default) {
                set(&mut values, text, self.lookup).expect("the default of a row is valid");
            }
        }
        values
    }

    /// Like [`Self::defaults`] for programs. Ten thousand programs share the parsed defaults.
    pub(super) fn program_defaults(&mut self) -> ProgramValues {
        if self.program_defaults.is_none() {
            self.program_defaults = Some(self.defaults(SectionKind::Program));
        }
        self.program_defaults
            .clone()
            .expect("they were made right now")
    }

    /// Reads the keys with a setter of these values that are written in the section of the last [`Self::at`].
    /// `positions`: those of a [`RowCursor`]. A wrong value is reported and changes nothing.
    pub(in crate::config) fn fields<T: SectionValues>(
        &mut self,
        at: SectionAt<'_>,
        names: &ExpandNames,
        positions: Range<usize>,
        values: &mut T,
    ) {
        debug_assert!(
            matches!(&self.arranged, Some((kind, order)) if *kind == at.kind && order.index == at.index),
            "another section was arranged than {}",
            at.section
        );
        let lookup = self.lookup;
        let rows = KeyTable::of(at.kind).rows();
        for position in positions {
            let order = self.arranged.as_ref().map(|(_, order)| order);
            let Some(entry) = order.and_then(|order| self.ini.ordered_entry(order, position))
            else {
                continue;
            };
            let row = rows[position];
            let Some(set) = T::setter(row.field) else {
                continue;
            };
            let written = &entry.value;
            let (text, result) = if !written.contains('%') || row.kind.is_literal(written) {
                match set(values, written, lookup) {
                    Ok(()) => continue,
                    Err(sentence) => (written.clone(), Err(sentence)),
                }
            } else {
                let text = written.clone();
                let KeyResult::Is(text) = self.expanded_row(at, row, &text, names) else {
                    continue;
                };
                let result = set(values, &text, lookup);
                (text, result)
            };
            if let Err(sentence) = result {
                self.fail_of(at, row.name, sentence, &text);
            }
        }
    }

    /// Whether the value that is written for a key is wrong, which is reported.
    pub(super) fn is_wrong(&self, at: SectionAt<'_>, key: &str) -> bool {
        self.entry(at, key)
            .is_some_and(|entry| self.report.has_error_at(entry.value_span()))
    }

    /// Expands the value of a row.
    fn expanded_row(
        &mut self,
        at: SectionAt<'_>,
        row: &ConfigKey,
        text: &str,
        names: &ExpandNames,
    ) -> KeyResult<String> {
        let place = format!("{}.{}", at.section, row.name);
        match self.expanded(at, row.name, text, names, &place) {
            KeyResult::Is(text) if row.is_expanded_twice => {
                self.expanded(at, row.name, &text, names, row.name)
            }
            result => result,
        }
    }
}
