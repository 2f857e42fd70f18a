//! The lines of one file: which of them belong to which section, and how some are replaced without a change to any
//! other byte.

use std::ops::Range;

use super::super::ini_line::IniLine;
use super::super::line_role::{LineRole, LineScanner};
use super::super::python::{is_space, strip};

/// Some editors write this at the beginning of a file.
const BYTE_ORDER_MARK: &str = "\u{feff}";

/// One line of a file.
pub(super) struct FileLine<'a> {
    /// The line with its line end.
    pub(super) text: &'a str,
    pub(super) role: LineRole<'a>,
}

/// The lines of a section, from one header to the next.
pub(super) struct Block<'a> {
    /// The text between the brackets.
    pub(super) name: &'a str,
    /// The index of the first comment line above the header that belongs to the section, or of the header.
    pub(super) top: usize,
    /// The index of the header.
    pub(super) header: usize,
    /// The index behind the last line: the last line of a value, or a comment directly below it. What follows up to the
    /// next section (blank lines, and comments behind a blank line) belongs to no section.
    pub(super) end: usize,
}

/// A key of a section, and the lines of its value.
pub(super) struct KeyLines {
    /// The key in lower case.
    pub(super) key: String,
    /// The line of the key, and those of its value: up to the last continuation line.
    pub(super) lines: Range<usize>,
}

/// A range of lines to replace.
pub(super) struct Splice {
    pub(super) lines: Range<usize>,
    /// The new lines. One without line end gets that of the file.
    pub(super) new: Vec<String>,
}

impl Splice {
    pub(super) fn remove(lines: Range<usize>) -> Self {
        let new = Vec::new();
        Self { lines, new }
    }
}

/// One file of a configuration.
pub(super) struct SourceFile<'a> {
    /// The name of the file, for messages.
    pub(super) name: &'a str,
    pub(super) text: &'a str,
    pub(super) lines: FileLines<'a>,
}

/// The lines of one file.
pub(super) struct FileLines<'a> {
    /// The byte order mark, or nothing.
    mark: &'a str,
    pub(super) lines: Vec<FileLine<'a>>,
    pub(super) blocks: Vec<Block<'a>>,
    /// The line end for new lines.
    line_end: &'a str,
}

impl<'a> FileLines<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let unmarked = text.strip_prefix(BYTE_ORDER_MARK);
        let mark = &text[..text.len() - unmarked.unwrap_or(text).len()];
        let mut scanner = LineScanner::default();
        let lines: Vec<FileLine<'_>> = split_lines(unmarked.unwrap_or(text))
            .map(|text| FileLine {
                text,
                role: scanner.role(&IniLine::new(0, 0, text)),
            })
            .collect();
        let ends = lines.iter().map(|line| split_end(line.text).1);
        let line_end = ends.clone().find(|end| !end.is_empty()).unwrap_or("\n");
        let blocks = blocks(&lines);
        Self {
            mark,
            lines,
            blocks,
            line_end,
        }
    }

    /// The line whose line end, a carriage return, differs from that of other lines. A line feed of ours next to it
    /// would join the two. `None`: there is none.
    pub(super) fn mixed_line_end(&self) -> Option<usize> {
        let ends = || self.lines.iter().map(|line| split_end(line.text).1);
        let has_feed = ends().any(|end| end.ends_with('\n'));
        has_feed
            .then(|| ends().position(|end| end == "\r"))
            .flatten()
    }

    /// The keys of a block in order.
    pub(super) fn keys(&self, block: &Block<'_>) -> Vec<KeyLines> {
        let mut keys: Vec<KeyLines> = Vec::new();
        for index in block.header + 1..block.end {
            match &self.lines[index].role {
                LineRole::Key(parts) => keys.push(KeyLines {
                    key: parts.key.to_lowercase(),
                    lines: index..index + 1,
                }),
                LineRole::Continuation => {
                    if let Some(last) = keys.last_mut() {
                        last.lines.end = index + 1;
                    }
                }
                _ => {}
            }
        }
        keys
    }

    /// The lines that a removal of a block removes: with its comments and one blank line before. At the beginning of
    /// the file, the blank lines after it go instead.
    pub(super) fn removal(&self, block: &Block<'_>) -> Splice {
        let is_blank = |index: usize| matches!(self.lines[index].role, LineRole::Blank);
        let (mut start, mut end) = (block.top, block.end);
        if start > 0 {
            start -= usize::from(is_blank(start - 1));
        } else if let Some(next) = (end..self.lines.len()).find(|&index| !is_blank(index)) {
            end = next;
        }
        Splice::remove(start..end)
    }

    /// The index behind the last line that is not blank.
    pub(super) fn content_end(&self) -> usize {
        let last = self
            .lines
            .iter()
            .rposition(|line| !matches!(line.role, LineRole::Blank));
        last.map_or(0, |last| last + 1)
    }

    /// The text with the splices applied. If the last line of the file has no line end, neither has the new last line.
    pub(super) fn apply(&self, mut splices: Vec<Splice>) -> String {
        splices.sort_by_key(|splice| (splice.lines.start, splice.lines.end));
        let mut pieces: Vec<&str> = Vec::with_capacity(self.lines.len());
        let mut at = 0;
        for splice in &splices {
            pieces.extend(
                self.lines[at..splice.lines.start.max(at)]
                    .iter()
                    .map(|line| line.text),
            );
            pieces.extend(splice.new.iter().map(String::as_str));
            at = splice.lines.end.max(at);
        }
        pieces.extend(self.lines[at..].iter().map(|line| line.text));
        let is_bare = self
            .lines
            .last()
            .is_some_and(|line| split_end(line.text).1.is_empty());
        let mut text = self.mark.to_owned();
        for (index, piece) in pieces.iter().enumerate() {
            let (content, end) = split_end(piece);
            text.push_str(content);
            if !is_bare || index + 1 < pieces.len() {
                text.push_str(if end.is_empty() { self.line_end } else { end });
            }
        }
        text
    }
}

/// Splits a text into lines with their line ends, which are those of Python's text files: `\n`, `\r\n` and `\r`.
pub(super) fn split_lines(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let end = match rest.find(['\n', '\r']) {
            Some(at) if rest[at..].starts_with("\r\n") => at + 2,
            Some(at) => at + 1,
            None => rest.len(),
        };
        let (line, after) = rest.split_at(end);
        rest = after;
        Some(line)
    })
}

/// Splits a line into its text and its line end.
pub(super) fn split_end(line: &str) -> (&str, &str) {
    line.split_at(line.trim_end_matches(['\n', '\r']).len())
}

/// The whitespace at the beginning of a line.
pub(super) fn indentation(line: &str) -> &str {
    let (text, _) = split_end(line);
    &text[..text.len() - text.trim_start_matches(is_space).len()]
}

/// Whether a comment is a key that somebody commented out, such as `;autostart=false`.
pub(super) fn is_disabled_key(comment: &str) -> bool {
    let text = strip(comment).trim_start_matches([';', '#']);
    let key = text.split_once('=').map(|(key, _)| strip(key));
    key.is_some_and(|key| !key.is_empty() && !key.contains(is_space))
}

fn blocks<'a>(lines: &[FileLine<'a>]) -> Vec<Block<'a>> {
    let is_content = |index: usize| {
        let role = &lines[index].role;
        !matches!(role, LineRole::Blank | LineRole::Comment)
    };
    let is_comment = |index: usize| matches!(lines[index].role, LineRole::Comment);
    let mut blocks: Vec<Block<'a>> = Vec::new();
    // The index behind the last line that is neither blank nor a comment.
    let mut content_end = 0;
    for (index, line) in lines.iter().enumerate() {
        if let LineRole::Header(name) = line.role {
            let mut top = index;
            while top > content_end && is_comment(top - 1) {
                top -= 1;
            }
            if top == content_end && content_end > 0 {
                // No blank line separates the comments from the section before, whose last lines they may be.
                let mut comments = lines[top..index].iter();
                let last = comments.rposition(|line| is_disabled_key(line.text));
                top += last.map_or(0, |last| last + 1);
            }
            end_block(&mut blocks, content_end, top, is_comment);
            blocks.push(Block {
                name,
                top,
                header: index,
                end: index + 1,
            });
        }
        if is_content(index) {
            content_end = index + 1;
        }
    }
    end_block(&mut blocks, content_end, lines.len(), is_comment);
    blocks
}

/// Sets the end of the last block: behind its last value and the comments directly below that, above `limit`.
fn end_block(
    blocks: &mut [Block<'_>],
    content_end: usize,
    limit: usize,
    is_comment: impl Fn(usize) -> bool,
) {
    if let Some(last) = blocks.last_mut() {
        last.end = content_end;
        while last.end < limit && is_comment(last.end) {
            last.end += 1;
        }
    }
}
