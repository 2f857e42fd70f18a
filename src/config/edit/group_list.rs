//! Removes or renames a program in the list `programs` of a group. Only the item and its comma change.

use std::ops::Range;

use super::super::ini_line::IniLine;
use super::super::line_role::LineRole;
use super::super::python::{is_space, strip};
use super::super::value;
use super::file_lines::{FileLines, Splice, split_end};
use super::key_edit::{read_back, replace_value};

/// The key of a group with its programs.
pub(super) const PROGRAMS: &str = "programs";

/// An item of a list that is written in one or several lines.
struct ListItem {
    /// The index of the line, from the first line of the value.
    line: usize,
    /// The bytes of the line that are the item, without blanks.
    range: Range<usize>,
    /// The offset of the comma behind it, in the same line.
    comma: Option<usize>,
}

/// The list with a program renamed to `new`, or without it.
pub(super) fn changed_list(list: &str, name: &str, new: Option<&str>) -> Vec<String> {
    let items = value::list(list).into_iter();
    items
        .filter_map(|item| match item == name {
            true => new.map(str::to_owned),
            false => Some(item),
        })
        .collect()
}

/// Replaces the lines of the list: a program gets the name `new`, or is removed. Another program must remain.
pub(super) fn change_list(
    file: &FileLines<'_>,
    lines: Range<usize>,
    name: &str,
    new: Option<&str>,
) -> Splice {
    let old: Vec<String> = file.lines[lines.clone()]
        .iter()
        .map(|line| line.text.to_owned())
        .collect();
    let list = read_back(&old, PROGRAMS).unwrap_or_default();
    let expected = changed_list(&list, name, new);
    let edited = items(file, lines.clone()).map(|items| match new {
        Some(new) => renamed(&old, &items, name, new),
        None => without(&old, &items, name),
    });
    let is_right = |lines: &Vec<String>| {
        read_back(lines, PROGRAMS).is_some_and(|list| value::list(&list) == expected)
    };
    match edited.filter(is_right) {
        Some(new) => Splice { lines, new },
        // A form that the edit of single items does not understand.
        None => replace_value(file, lines, &expected.join(",")),
    }
}

/// The items of a list. `None`: an item is not in one line.
fn items(file: &FileLines<'_>, lines: Range<usize>) -> Option<Vec<ListItem>> {
    let mut items: Vec<ListItem> = Vec::new();
    for (line, index) in lines.enumerate() {
        let source = &file.lines[index];
        let parsed = IniLine::new(0, 0, source.text);
        let segment = match source.role {
            LineRole::Key(_) => parsed.value_range()?.1,
            LineRole::Continuation => parsed.kept_range(),
            _ => continue,
        };
        let mut at = segment.start;
        for part in source.text[segment.clone()].split(',') {
            let end = at + part.len();
            let comma = (end < segment.end).then_some(end);
            let start = end - part.trim_start_matches(is_space).len();
            let range = start..start + strip(part).len();
            at = end + 1;
            if range.is_empty() && comma.is_none() {
                continue;
            }
            if items.last().is_some_and(|last| last.comma.is_none()) {
                return None;
            }
            items.push(ListItem { line, range, comma });
        }
    }
    Some(items)
}

fn renamed(old: &[String], items: &[ListItem], name: &str, new: &str) -> Vec<String> {
    let mut lines = old.to_vec();
    for item in items.iter().rev() {
        let line = &mut lines[item.line];
        if line[item.range.clone()] == *name {
            line.replace_range(item.range.clone(), new);
        }
    }
    lines
}

fn without(old: &[String], items: &[ListItem], name: &str) -> Vec<String> {
    let is_removed = |item: &ListItem| old[item.line][item.range.clone()] == *name;
    let mut cuts: Vec<(usize, Range<usize>)> = Vec::new();
    for (index, item) in items
        .iter()
        .enumerate()
        .filter(|(_, item)| is_removed(item))
    {
        match item.comma {
            Some(comma) => {
                // The blanks behind the comma go too if an item follows in the line.
                let next = items.get(index + 1).filter(|next| next.line == item.line);
                let end = next.map_or(comma + 1, |next| next.range.start);
                cuts.push((item.line, item.range.start..end));
            }
            None => {
                cuts.push((item.line, item.range.clone()));
                // The comma of the last remaining item, with the blanks behind it.
                let before = (0..index).rev().find(|before| !is_removed(&items[*before]));
                if let Some((before, comma)) = before.and_then(|at| Some((at, items[at].comma?))) {
                    let line = items[before].line;
                    let next = items.get(before + 1).filter(|next| next.line == line);
                    let end = next.map_or(comma + 1, |next| next.range.start);
                    cuts.push((line, comma..end));
                }
            }
        }
    }
    cuts.sort_by_key(|(line, range)| (*line, range.start));
    let mut lines = old.to_vec();
    for (line, range) in cuts.iter().rev() {
        lines[*line].replace_range(range.clone(), "");
    }
    let is_cut = |index: usize| cuts.iter().any(|(line, _)| *line == index);
    let mut made = Vec::new();
    for (index, line) in lines.into_iter().enumerate() {
        let (text, end) = split_end(&line);
        let parsed = IniLine::new(0, 0, text);
        if !is_cut(index) {
            made.push(line);
        } else if index == 0 || !parsed.kept.is_empty() {
            // Blanks at the end are those between the items.
            let text = match parsed.has_comment() {
                true => text,
                false => text.trim_end_matches(is_space),
            };
            made.push(format!("{text}{end}"));
        }
    }
    made
}
