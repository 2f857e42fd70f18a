//! Sets or removes one key in the lines of a section.

use std::ops::Range;

use super::super::ini::{Ini, universal_newlines};
use super::super::ini_line::IniLine;
use super::super::line_role::LineRole;
use super::super::python::is_space;
use super::error::{EditError, ValueProblem};
use super::file_lines::{Block, FileLines, Splice, indentation, split_end};

/// The indentation of the second and later lines of a value, below that of its key.
const CONTINUATION: &str = "    ";

/// Checks a key, and returns it in lower case.
///
/// # Errors
/// [`EditError::InvalidKey`].
pub(super) fn check_key(key: &str) -> Result<String, EditError> {
    let is_fine = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    match !key.is_empty() && key.chars().all(is_fine) {
        true => Ok(key.to_ascii_lowercase()),
        false => Err(EditError::InvalidKey(key.to_owned())),
    }
}

/// Checks that a value can be written in a file: that what is read back is the same. Returns it with `\n` as its only
/// line end.
///
/// # Errors
/// [`EditError::InvalidValue`].
pub(super) fn check_value(key: &str, value: &str) -> Result<String, EditError> {
    let value = universal_newlines(value);
    let invalid = |line: usize, problem: ValueProblem| EditError::InvalidValue {
        key: key.to_owned(),
        line,
        problem,
    };
    let count = value.split('\n').count();
    for (number, line) in (1..).zip(value.split('\n')) {
        if line.contains(|c: char| c.is_control() && c != '\t') {
            return Err(invalid(number, ValueProblem::ControlCharacter));
        }
        let is_last_empty = number == count && number > 1 && line.is_empty();
        if is_last_empty || line.starts_with(is_space) || line.ends_with(is_space) {
            return Err(invalid(number, ValueProblem::OuterBlank));
        }
        if starts_comment(line) {
            return Err(invalid(number, ValueProblem::Comment));
        }
    }
    match read_back(&key_lines(key, &value), key) {
        Some(read) if read == value => Ok(value),
        _ => Err(invalid(1, ValueProblem::Inexpressible)),
    }
}

/// Whether a line of a value has a `;` or `#` that can begin a comment.
fn starts_comment(line: &str) -> bool {
    let marks = line.match_indices([';', '#']);
    let is_comment = |at: usize| line[..at].chars().next_back().is_none_or(is_space);
    marks.map(|(at, _)| at).any(is_comment)
}

/// The value of a key (lower case) as the parser reads it from the lines of a section.
pub(super) fn read_back(lines: &[String], key: &str) -> Option<String> {
    const SECTION: &str = "s";
    let text: Vec<&str> = lines.iter().map(|line| split_end(line).0).collect();
    let mut ini = Ini::default();
    let text = format!("[{SECTION}]\n{}\n", text.join("\n"));
    ini.read("", 0, &text).ok()?;
    let section = ini.section(SECTION)?;
    ini.entry_of(Some(section), key)
        .map(|entry| entry.value.clone())
}

/// The lines of a key and its value. `start`: the line up to the value; `indent`: that of the key.
fn written(start: &str, indent: &str, value: &str) -> Vec<String> {
    let mut lines = Vec::new();
    for (index, line) in value.split('\n').enumerate() {
        lines.push(match (index, line) {
            (0, "") => start.trim_end_matches(is_space).to_owned(),
            (0, line) => format!("{start}{line}"),
            (_, "") => String::new(),
            (_, line) => format!("{indent}{CONTINUATION}{line}"),
        });
    }
    lines
}

/// The lines of a key and its value in a section without indentation.
pub(super) fn key_lines(key: &str, value: &str) -> Vec<String> {
    written(&format!("{key}="), "", value)
}

/// Replaces the value of a key. The comments in its lines stay: one behind the first line of the value, and those that
/// have lines of their own.
pub(super) fn replace_value(file: &FileLines<'_>, lines: Range<usize>, value: &str) -> Splice {
    let (text, end) = split_end(file.lines[lines.start].text);
    let line = IniLine::new(0, 0, text);
    let kept = line.kept_range();
    let (separator, old) = line.value_range().unwrap_or((kept.end, kept.end..kept.end));
    let start = match old.is_empty() {
        false => text[..old.start].to_owned(),
        true if text[..separator].ends_with(is_space) => format!("{} ", &text[..=separator]),
        true => text[..=separator].to_owned(),
    };
    let indent = indentation(text);
    let mut new = written(&start, indent, value);
    if let Some(comment) = line.comment_text() {
        let comment = comment.trim_end_matches(is_space);
        let gap = &text[kept.end..];
        let gap = &gap[..gap.len() - gap.trim_start_matches(is_space).len()];
        let gap = if gap.is_empty() { " " } else { gap };
        let first = format!("{}{gap}{comment}", new[0]);
        // The search for comments has traps: in `a=x;y ;cut #d`, the `;` before `y` hides the first comment.
        match IniLine::new(0, 0, &first).kept == IniLine::new(0, 0, &new[0]).kept {
            true => new[0] = first,
            false => new.insert(0, format!("{indent}{comment}")),
        }
    }
    new[0].push_str(end);
    let inner = file.lines[lines.start + 1..lines.end].iter();
    let comments = inner.filter(|line| matches!(line.role, LineRole::Comment));
    new.extend(comments.map(|line| line.text.to_owned()));
    Splice { lines, new }
}

/// Removes the lines of a key, but not the comments between them that have lines of their own.
pub(super) fn remove_key(file: &FileLines<'_>, lines: Range<usize>) -> Splice {
    let inner = file.lines[lines.clone()].iter();
    let comments = inner.filter(|line| matches!(line.role, LineRole::Comment));
    let new = comments.map(|line| line.text.to_owned()).collect();
    Splice { lines, new }
}

/// Inserts a key behind the last key of a block, written as that.
pub(super) fn insert_key(
    file: &FileLines<'_>,
    block: &Block<'_>,
    key: &str,
    value: &str,
) -> Splice {
    let keys = file.keys(block);
    let (model, at) = match keys.last() {
        Some(last) => (last.lines.start, last.lines.end),
        None => (block.header, block.header + 1),
    };
    let text = file.lines[model].text;
    let indent = indentation(text);
    let separator = IniLine::new(0, 0, text)
        .value_range()
        .map(|(separator, _)| separator);
    let is_wide = separator.is_some_and(|at| !keys.is_empty() && text[..at].ends_with(is_space));
    let separator = if is_wide { " = " } else { "=" };
    Splice {
        lines: at..at,
        new: written(&format!("{indent}{key}{separator}"), indent, value),
    }
}
