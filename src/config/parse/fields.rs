//! Reads the keys whose rows have a setter into the values of their section.

use std::ops::Range;

use super::super::expand::ExpandNames;
use super::super::key::{ConfigKey, KeyTable, ProgramValues, SectionKind, SectionValues};
use super::{ConfigReader, KeyResult, SectionAt};

impl ConfigReader<'_> {
    /// The values of a section of this kind in which no key is written.
    pub(super) fn defaults<T: SectionValues>(&self, kind: SectionKind) -> T {
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

    /// Reads the keys with a setter that are written in the section of the last [`Self::at`]. `positions`: those in
    /// [`KeyTable::rows`]. A wrong value is reported and changes nothing.
    pub(super) fn fields<T: SectionValues>(
        &mut self,
        at: SectionAt<'_>,
        names: &ExpandNames,
        positions: Range<usize>,
        values: &mut T,
    ) {
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
