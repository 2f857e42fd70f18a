//! What is wrong with the settings, and where.

use std::fmt;
use std::ops::Range;

use crate::domain::Foreign;

/// A problem of the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsProblem {
    /// The file, as it was named.
    pub file: String,
    /// Line and column, from 1. `None`: the problem is the file's as a whole.
    pub place: Option<(usize, usize)>,
    /// What is wrong, and what was expected.
    pub text: String,
}

impl SettingsProblem {
    /// A problem of a whole file.
    pub(super) fn of_file(file: &str, text: impl Into<String>) -> Self {
        Self {
            file: file.to_owned(),
            place: None,
            text: text.into(),
        }
    }

    /// A problem at a span of the text of a file.
    pub(super) fn at(file: &str, text: &str, span: Range<usize>, what: impl Into<String>) -> Self {
        let before = text.get(..span.start).unwrap_or(text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        let line = before.matches('\n').count() + 1;
        let column = before[line_start..].chars().count() + 1;
        Self {
            file: file.to_owned(),
            place: Some((line, column)),
            text: what.into(),
        }
    }
}

impl fmt::Display for SettingsProblem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file)?;
        if let Some((line, column)) = self.place {
            write!(f, ":{line}:{column}")?;
        }
        write!(f, ": {}", Foreign(&self.text))
    }
}
