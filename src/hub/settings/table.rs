//! Reads the tables of a TOML file by tables of keys, and collects all problems.

use std::ops::Range;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::SettingsProblem;
use crate::config::closest_word;

/// A key of a table: its name, its default, what it means, and how its value is stored in `T`.
pub(super) struct SettingKey<T> {
    pub(super) name: &'static str,
    /// The value without the key, as the manual shows it. Empty: none.
    pub(super) default: &'static str,
    pub(super) doc: &'static str,
    pub(super) set: fn(&mut T, &SettingValue<'_>) -> Result<(), String>,
}

/// One file that is read.
pub(super) struct SettingsFile<'t> {
    /// The name in messages.
    pub(super) name: &'t str,
    pub(super) text: &'t str,
    pub(super) errors: Vec<SettingsProblem>,
    pub(super) warnings: Vec<SettingsProblem>,
}

impl<'t> SettingsFile<'t> {
    pub(super) fn new(name: &'t str, text: &'t str) -> Self {
        Self {
            name,
            text,
            errors: Vec::new(),
            warnings: Vec::new(),
        }
    }

    /// Parses the text. What is wrong with it becomes errors.
    pub(super) fn parse(&mut self) -> DeTable<'t> {
        let (table, errors) = DeTable::parse_recoverable(self.text);
        for error in errors {
            let span = error.span().unwrap_or(0..0);
            self.error(span, error.message().to_owned());
        }
        table.into_inner()
    }

    pub(super) fn error(&mut self, span: Range<usize>, text: impl Into<String>) {
        let problem = SettingsProblem::at(self.name, self.text, span, text);
        self.errors.push(problem);
    }

    pub(super) fn warning(&mut self, span: Range<usize>, text: impl Into<String>) {
        let problem = SettingsProblem::at(self.name, self.text, span, text);
        self.warnings.push(problem);
    }

    /// Reads a table with these keys into `target`. `title` names the table in messages. An unknown key is a warning.
    pub(super) fn read<T>(
        &mut self,
        title: &str,
        table: &DeTable<'_>,
        keys: &[SettingKey<T>],
        target: &mut T,
    ) {
        for (name, value) in table {
            let Some(key) = keys.iter().find(|key| key.name == *name.get_ref()) else {
                let known = keys.iter().map(|key| key.name);
                let text = unknown("key", name.get_ref(), title, known);
                self.warning(name.span(), text);
                continue;
            };
            if let Err(text) = (key.set)(target, &SettingValue(value.get_ref())) {
                self.error(value.span(), format!("{}: {text}", key.name));
            }
        }
    }

    /// The table of a value. Another value is an error.
    pub(super) fn table<'v>(
        &mut self,
        title: &str,
        value: &'v Spanned<DeValue<'t>>,
    ) -> Option<&'v DeTable<'t>> {
        let table = value.get_ref().as_table();
        if table.is_none() {
            self.error(value.span(), format!("{title} must be a table"));
        }
        table
    }
}

/// The text about an unknown key or table, with a suggestion.
pub(super) fn unknown<'w>(
    kind: &str,
    word: &str,
    title: &str,
    known: impl Iterator<Item = &'w str>,
) -> String {
    let hint = closest_word(word, known);
    let hint = hint.map_or_else(String::new, |hint| format!(" (did you mean {hint}?)"));
    format!("{title}: unknown {kind} {word} is ignored{hint}")
}

/// The value of a key.
pub(super) struct SettingValue<'v>(&'v DeValue<'v>);

impl SettingValue<'_> {
    fn wrong(&self, expected: &str) -> String {
        format!("expected {expected}, found {}", self.0.type_str())
    }

    pub(super) fn string(&self) -> Result<String, String> {
        let text = self.0.as_str();
        text.map(str::to_owned)
            .ok_or_else(|| self.wrong("a string"))
    }

    /// A string, or a list of strings.
    pub(super) fn strings(&self) -> Result<Vec<String>, String> {
        let Some(items) = self.0.as_array() else {
            return Ok(vec![self.string()?]);
        };
        let items = items
            .iter()
            .map(|item| SettingValue(item.get_ref()).string());
        items.collect()
    }

    pub(super) fn boolean(&self) -> Result<bool, String> {
        self.0.as_bool().ok_or_else(|| self.wrong("true or false"))
    }

    /// A whole number in a range. Its digits may also be a string, as Cesi writes a port.
    pub(super) fn number(&self, range: std::ops::RangeInclusive<u64>) -> Result<u64, String> {
        let (least, most) = (range.start(), range.end());
        let expected = format!("a number from {least} to {most}");
        let number = match self.0 {
            DeValue::String(text) => text.trim().parse().ok(),
            DeValue::Integer(number) => u64::from_str_radix(number.as_str(), number.radix()).ok(),
            _ => return Err(self.wrong(&expected)),
        };
        let number = number.filter(|number| range.contains(number));
        number.ok_or_else(|| format!("expected {expected}"))
    }

    /// Seconds, also with a fraction.
    pub(super) fn seconds(&self, least: f64, most: f64) -> Result<Duration, String> {
        let expected = format!("a number of seconds from {least} to {most}");
        let seconds: Option<f64> = match self.0 {
            DeValue::Integer(number) => number.as_str().parse().ok(),
            DeValue::Float(number) => number.as_str().parse().ok(),
            _ => return Err(self.wrong(&expected)),
        };
        let seconds = seconds.filter(|seconds| (least..=most).contains(seconds));
        let seconds = seconds.ok_or_else(|| format!("expected {expected}"))?;
        Ok(Duration::from_secs_f64(seconds))
    }
}
