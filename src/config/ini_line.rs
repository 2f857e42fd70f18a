//! One line of INI text: its comment, its indentation, and the spans in it.

use std::ops::Range;

use super::problem::SourceSpan;
use super::python::{is_space, rstrip, strip};

/// One line of a file.
pub(super) struct IniLine<'a> {
    /// The index of the file, for spans.
    file: usize,
    /// The line number, from 1.
    pub(super) number: usize,
    /// The line with its line end.
    pub(super) text: &'a str,
    /// The byte offset of the comment.
    comment: Option<usize>,
    /// The text without the comment and without the space around it.
    pub(super) kept: &'a str,
}

/// The key of a line and what follows the separator.
pub(super) struct KeyAndRest<'a> {
    pub(super) key: &'a str,
    rest: &'a str,
}

impl<'a> IniLine<'a> {
    pub(super) fn new(file: usize, number: usize, text: &'a str) -> Self {
        let comment = comment_start(text);
        Self {
            file,
            number,
            text,
            comment,
            kept: strip(&text[..comment.unwrap_or(text.len())]),
        }
    }

    /// Whether the line has a comment.
    pub(super) const fn has_comment(&self) -> bool {
        self.comment.is_some()
    }

    /// The number of spaces before the text.
    pub(super) fn indent(&self) -> usize {
        self.text.chars().take_while(|&c| is_space(c)).count()
    }

    /// The byte offset of the text.
    fn start(&self) -> usize {
        self.text.len() - self.text.trim_start_matches(is_space).len()
    }

    /// The byte range of the text without the comment.
    pub(super) fn kept_range(&self) -> Range<usize> {
        let start = self.start();
        start..start + self.kept.len()
    }

    /// The byte range of the value of a key, and the offset of the separator. `None`: the line has no separator.
    pub(super) fn value_range(&self) -> Option<(usize, Range<usize>)> {
        let kept = self.kept_range();
        let separator = kept.start + self.kept.find(['=', ':'])?;
        let rest = &self.text[separator + 1..kept.end];
        let value = kept.end - rest.trim_start_matches(is_space).len();
        Some((separator, value..kept.end))
    }

    /// The comment with the line end. `None`: the line has no comment.
    pub(super) fn comment_text(&self) -> Option<&'a str> {
        self.comment.map(|at| &self.text[at..])
    }

    fn span(&self, from: usize, text: &str) -> SourceSpan {
        SourceSpan {
            file: self.file,
            line: self.number,
            column: self.text[..from].chars().count() + 1,
            len: text.chars().count().max(1),
        }
    }

    /// The span of the text.
    pub(super) fn kept_span(&self) -> SourceSpan {
        self.span(self.start(), self.kept)
    }

    /// The span of the comment if `value` ends inside quotes, so that the comment has cut the value in two.
    pub(super) fn cut(&self, value: &str) -> Option<Box<SourceSpan>> {
        self.comment
            .filter(|_| in_quotes(value))
            .map(|at| Box::new(self.span(at, &self.text[at..=at])))
    }

    /// The name between the brackets of a section header.
    pub(super) fn header(&self) -> Option<&'a str> {
        header(self.kept)
    }

    /// Splits the text at the first `=` or `:`. `None`: it has neither.
    pub(super) fn key_and_rest(&self) -> Option<KeyAndRest<'a>> {
        let at = self.kept.find(['=', ':'])?;
        Some(KeyAndRest {
            key: rstrip(&self.kept[..at]),
            rest: &self.kept[at + 1..],
        })
    }

    /// The spans of a key and of its value. An empty value has the span of its key.
    pub(super) fn entry_spans(&self, parts: &KeyAndRest<'_>) -> (SourceSpan, SourceSpan) {
        let key = self.span(self.start(), parts.key);
        let rest = parts.rest.trim_start_matches(is_space);
        let value = match parts.value() {
            "" => key,
            value => self.span(self.start() + self.kept.len() - rest.len(), value),
        };
        (key, value)
    }
}

impl<'a> KeyAndRest<'a> {
    /// The value, trimmed.
    pub(super) fn value(&self) -> &'a str {
        strip(self.rest)
    }
}

/// The byte offset of the comment in a line. As in Python, the searches for `;` and `#` advance in lockstep, one
/// occurrence of each per round, and the first round that finds a comment ends them. In `a=x;y ;cut #d`, the first round
/// finds the `#`, so the ` ;` before it is part of the value.
fn comment_start(line: &str) -> Option<usize> {
    if line.trim_start_matches(is_space).starts_with(['#', ';']) {
        return Some(0);
    }
    let mut semicolons = line.match_indices(';').map(|(at, _)| at);
    let mut hashes = line.match_indices('#').map(|(at, _)| at);
    loop {
        let round = [semicolons.next(), hashes.next()];
        if round == [None, None] {
            return None;
        }
        let found = round
            .into_iter()
            .flatten()
            .filter(|&at| line[..at].chars().next_back().is_none_or(is_space))
            .min();
        if found.is_some() {
            return found;
        }
    }
}

/// The name between the first `[` and the last `]` of a header line. `None`: it is empty.
fn header(line: &str) -> Option<&str> {
    let inner = line.strip_prefix('[')?;
    let end = inner.rfind(']')?;
    (end > 0).then(|| &inner[..end])
}

/// Whether the text ends inside quotes, by the rules of a shell.
fn in_quotes(text: &str) -> bool {
    let mut open = None;
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match (open, c) {
            (None | Some('"'), '\\') => {
                characters.next();
            }
            (None, '"' | '\'') => open = Some(c),
            (Some(quote), c) if quote == c => open = None,
            _ => {}
        }
    }
    open.is_some()
}
