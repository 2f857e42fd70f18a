//! What each line of INI text is. That depends on the lines before: an indented line continues a value only after a key.

use super::ini_line::{IniLine, KeyAndRest};

/// What a line of INI text is.
pub(super) enum LineRole<'a> {
    /// It has no text and no comment. Within a value it is part of that.
    Blank,
    /// It has only a comment.
    Comment,
    /// It continues the value of the last key.
    Continuation,
    /// The header of a section, with the name between the brackets.
    Header(&'a str),
    /// A key, which may be empty, and its value.
    Key(KeyAndRest<'a>),
    /// It cannot be parsed: it has no separator.
    Bad,
    /// It is before any section.
    Homeless,
}

/// Tells the roles of the lines of one file, which it gets in their order.
#[derive(Debug, Default)]
pub(super) struct LineScanner {
    /// The indentation of the last line that began a key or a section.
    indent: usize,
    has_section: bool,
    /// Whether the last key takes continuation lines.
    is_open: bool,
}

impl LineScanner {
    /// Returns the role of the next line.
    pub(super) fn role<'a>(&mut self, line: &IniLine<'a>) -> LineRole<'a> {
        if line.kept.is_empty() {
            return match line.has_comment() {
                true => LineRole::Comment,
                false => LineRole::Blank,
            };
        }
        let indent = line.indent();
        if indent > self.indent && self.is_open {
            return LineRole::Continuation;
        }
        self.indent = indent;
        if let Some(header) = line.header() {
            self.has_section = true;
            self.is_open = false;
            return LineRole::Header(header);
        }
        if !self.has_section {
            return LineRole::Homeless;
        }
        match line.key_and_rest() {
            Some(parts) => {
                // An empty key takes no continuation lines.
                self.is_open = !parts.key.is_empty();
                LineRole::Key(parts)
            }
            // Python goes on with an empty key, but after a line without a separator the key before stays open.
            None => LineRole::Bad,
        }
    }
}
