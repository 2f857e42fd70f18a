//! The difference between two texts by lines, as a unified diff.

use std::fmt;
use std::ops::Range;

/// Maximum number of removed and added lines that are searched for the shortest difference. The search takes the square
/// of this number in time and memory. Beyond it, everything between the first and the last different line counts as
/// replaced.
const EDITS_MAX: usize = 1000;

/// One line of a difference, without its `\n`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiffLine {
    /// Both texts have it.
    Same(String),
    /// Only the old text has it.
    Removed(String),
    /// Only the new text has it.
    Added(String),
}

/// A part of a difference: changed lines with the lines around them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiffHunk {
    /// The line of the old text at which the hunk begins, from 1.
    pub old_start: usize,
    /// The line of the new text at which the hunk begins, from 1.
    pub new_start: usize,
    /// The lines.
    pub lines: Vec<DiffLine>,
    /// Whether the last line of the old text is in the hunk and has no line end.
    old_is_bare: bool,
    /// Whether the last line of the new text is in the hunk and has no line end.
    new_is_bare: bool,
}

/// The difference between two texts. `Display` writes it as a unified diff without the names of the files.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LineDiff {
    /// The hunks in the order of the lines. Empty: the texts are equal.
    pub hunks: Vec<DiffHunk>,
}

/// A range of old lines that a range of new lines replaces.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Replacement {
    old: Range<usize>,
    new: Range<usize>,
}

impl LineDiff {
    /// Compares two texts. `context`: the maximum number of equal lines before and after each change.
    #[must_use]
    pub fn new(old: &str, new: &str, context: usize) -> Self {
        let (old, new) = (lines(old), lines(new));
        let mut hunks: Vec<DiffHunk> = Vec::new();
        let mut group: Vec<Replacement> = Vec::new();
        for replacement in replacements(&old, &new) {
            let is_near = |last: &Replacement| replacement.old.start - last.old.end <= 2 * context;
            if !group.last().is_none_or(is_near) {
                hunks.push(hunk(&old, &new, &group, context));
                group.clear();
            }
            group.push(replacement);
        }
        if !group.is_empty() {
            hunks.push(hunk(&old, &new, &group, context));
        }
        Self { hunks }
    }

    /// The same difference with the lines of two other texts, which have as many lines as those that were compared.
    #[must_use]
    pub(super) fn with_lines_of(mut self, old: &str, new: &str) -> Self {
        let (old, new) = (lines(old), lines(new));
        let shown = |lines: &[&str], at: usize| {
            let line = lines.get(at).copied().unwrap_or_default();
            line.strip_suffix('\n').unwrap_or(line).to_owned()
        };
        for hunk in &mut self.hunks {
            let (mut old_at, mut new_at) = (hunk.old_start - 1, hunk.new_start - 1);
            for line in &mut hunk.lines {
                let (text, is_old, is_new) = match line {
                    DiffLine::Same(text) => (text, true, true),
                    DiffLine::Removed(text) => (text, true, false),
                    DiffLine::Added(text) => (text, false, true),
                };
                *text = match is_old {
                    true => shown(&old, old_at),
                    false => shown(&new, new_at),
                };
                old_at += usize::from(is_old);
                new_at += usize::from(is_new);
            }
        }
        self
    }

    /// Returns whether the texts are equal.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.hunks.is_empty()
    }

    /// The numbers of removed and of added lines.
    #[must_use]
    pub fn counts(&self) -> (usize, usize) {
        let lines = || self.hunks.iter().flat_map(|hunk| &hunk.lines);
        let removed = lines().filter(|line| matches!(line, DiffLine::Removed(_)));
        let added = lines().filter(|line| matches!(line, DiffLine::Added(_)));
        (removed.count(), added.count())
    }
}

impl DiffHunk {
    /// The numbers of lines of the old and of the new text.
    fn lengths(&self) -> (usize, usize) {
        let old = |line: &&DiffLine| !matches!(line, DiffLine::Added(_));
        let new = |line: &&DiffLine| !matches!(line, DiffLine::Removed(_));
        (
            self.lines.iter().filter(old).count(),
            self.lines.iter().filter(new).count(),
        )
    }
}

impl fmt::Display for LineDiff {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.hunks.iter().try_for_each(|hunk| hunk.fmt(f))
    }
}

impl fmt::Display for DiffHunk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // As in diff(1): an empty range is named by the line before it.
        let range = |start: usize, len: usize| match len {
            0 => format!("{},0", start - 1),
            1 => start.to_string(),
            len => format!("{start},{len}"),
        };
        let (old, new) = self.lengths();
        let (old, new) = (range(self.old_start, old), range(self.new_start, new));
        writeln!(f, "@@ -{old} +{new} @@")?;
        let last = |is: fn(&DiffLine) -> bool| self.lines.iter().rposition(is);
        let old_last = last(|line| !matches!(line, DiffLine::Added(_)));
        let new_last = last(|line| !matches!(line, DiffLine::Removed(_)));
        for (index, line) in self.lines.iter().enumerate() {
            let (sign, text) = match line {
                DiffLine::Same(text) => (' ', text),
                DiffLine::Removed(text) => ('-', text),
                DiffLine::Added(text) => ('+', text),
            };
            writeln!(f, "{sign}{text}")?;
            let is_bare = self.old_is_bare && old_last == Some(index)
                || self.new_is_bare && new_last == Some(index);
            if is_bare {
                writeln!(f, "\\ No newline at end of file")?;
            }
        }
        Ok(())
    }
}

/// The lines of a text with their line ends.
fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

/// Makes the hunk of replacements that are near each other.
fn hunk(old: &[&str], new: &[&str], group: &[Replacement], context: usize) -> DiffHunk {
    let bare = |line: &str| line.strip_suffix('\n').unwrap_or(line).to_owned();
    let (first, last) = (&group[0], &group[group.len() - 1]);
    let before = first.old.start.min(context);
    let end = old.len().min(last.old.end + context);
    let new_end = last.new.end + (end - last.old.end);
    let mut at = first.old.start - before;
    let mut lines = Vec::new();
    for Replacement {
        old: gone,
        new: come,
    } in group
    {
        lines.extend(
            old[at..gone.start]
                .iter()
                .map(|line| DiffLine::Same(bare(line))),
        );
        lines.extend(
            old[gone.clone()]
                .iter()
                .map(|line| DiffLine::Removed(bare(line))),
        );
        lines.extend(
            new[come.clone()]
                .iter()
                .map(|line| DiffLine::Added(bare(line))),
        );
        at = gone.end;
    }
    lines.extend(old[at..end].iter().map(|line| DiffLine::Same(bare(line))));
    let ends_bare = |lines: &[&str], end: usize| {
        end == lines.len() && lines.last().is_some_and(|line| !line.ends_with('\n'))
    };
    DiffHunk {
        old_start: first.old.start - before + 1,
        new_start: first.new.start - before + 1,
        lines,
        old_is_bare: ends_bare(old, end),
        new_is_bare: ends_bare(new, new_end),
    }
}

/// Finds what to replace in the old lines to get the new ones.
fn replacements(old: &[&str], new: &[&str]) -> Vec<Replacement> {
    let start = old
        .iter()
        .zip(new)
        .take_while(|(old, new)| old == new)
        .count();
    let (old, new) = (&old[start..], &new[start..]);
    let pairs = old.iter().rev().zip(new.iter().rev());
    let tail = pairs.take_while(|(old, new)| old == new).count();
    let (old, new) = (&old[..old.len() - tail], &new[..new.len() - tail]);
    if old.is_empty() && new.is_empty() {
        return Vec::new();
    }
    let found = shortest(old, new).unwrap_or_else(|| {
        vec![Replacement {
            old: 0..old.len(),
            new: 0..new.len(),
        }]
    });
    let shift = |range: Range<usize>| range.start + start..range.end + start;
    let shifted = |Replacement { old, new }| Replacement {
        old: shift(old),
        new: shift(new),
    };
    found.into_iter().map(shifted).collect()
}

/// Finds the shortest difference. `None`: it has more than [`EDITS_MAX`] lines.
///
/// # Source
/// E. Myers, "An O(ND) Difference Algorithm and Its Variations", 1986: for each number of edits, the furthest old line
/// that is reached on each diagonal (old line less new line).
fn shortest(old: &[&str], new: &[&str]) -> Option<Vec<Replacement>> {
    let max = EDITS_MAX.min(old.len() + new.len());
    // Diagonal k is at index k + max + 1.
    let mut reached = vec![0_usize; 2 * max + 3];
    let mut history: Vec<Vec<usize>> = Vec::new();
    for edits in 0..=max {
        let low = max + 1 - edits;
        // The part that this round changes, and one diagonal on both sides of it.
        history.push(reached[low - 1..=max + 2 + edits].to_vec());
        for at in (low..=max + 1 + edits).step_by(2) {
            let is_down = at == low || at != max + 1 + edits && reached[at - 1] < reached[at + 1];
            let mut x = if is_down {
                reached[at + 1]
            } else {
                reached[at - 1] + 1
            };
            // An old line less a diagonal may be negative beyond the edges of the grid.
            let Some(mut y) = (x + max + 1).checked_sub(at) else {
                continue;
            };
            while x < old.len() && y < new.len() && old[x] == new[y] {
                (x, y) = (x + 1, y + 1);
            }
            reached[at] = x;
            if x >= old.len() && y >= new.len() {
                return Some(trace(&history, max, old.len(), new.len()));
            }
        }
    }
    None
}

/// Walks back from the ends of both texts through the recorded rounds.
fn trace(history: &[Vec<usize>], max: usize, old: usize, new: usize) -> Vec<Replacement> {
    let (mut x, mut y) = (old, new);
    let mut found: Vec<Replacement> = Vec::new();
    for (edits, reached) in history.iter().enumerate().skip(1).rev() {
        let low = max + 1 - edits;
        let reached = |at: usize| reached[at - (low - 1)];
        let at = x + max + 1 - y;
        let is_down = at == low || at != max + 1 + edits && reached(at - 1) < reached(at + 1);
        let from = if is_down { at + 1 } else { at - 1 };
        let from_x = reached(from);
        let from_y = from_x + max + 1 - from;
        let (to_x, to_y) = match is_down {
            true => (from_x, from_y + 1),
            false => (from_x + 1, from_y),
        };
        match found.last_mut() {
            Some(next) if next.old.start == to_x && next.new.start == to_y => {
                next.old.start = from_x;
                next.new.start = from_y;
            }
            _ => found.push(Replacement {
                old: from_x..to_x,
                new: from_y..to_y,
            }),
        }
        (x, y) = (from_x, from_y);
    }
    found.reverse();
    found
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn shown(old: &str, new: &str, context: usize) -> String {
        LineDiff::new(old, new, context).to_string()
    }

    #[test]
    fn a_difference_is_written_as_by_diff() {
        for (old, new, expected) in [
            ("a\nb\n", "a\nb\n", ""),
            ("", "a\n", "@@ -0,0 +1 @@\n+a\n"),
            ("a\n", "", "@@ -1 +0,0 @@\n-a\n"),
            (
                "a\nb\nc\nd\n",
                "a\nb\nx\nd\n",
                "@@ -2,3 +2,3 @@\n b\n-c\n+x\n d\n",
            ),
            (
                "a\nb\nc\nd\n",
                "a\nc\nd\ne\n",
                "@@ -1,4 +1,4 @@\n a\n-b\n c\n d\n+e\n",
            ),
            (
                "a\nb\nc\nd\nx\n",
                "a\nc\nd\nx\ne\n",
                "@@ -1,3 +1,2 @@\n a\n-b\n c\n@@ -5 +4,2 @@\n x\n+e\n",
            ),
            (
                "a\nb",
                "a\nb\n",
                "@@ -1,2 +1,2 @@\n a\n-b\n\\ No newline at end of file\n+b\n",
            ),
            (
                "a\nb",
                "x\nb",
                "@@ -1,2 +1,2 @@\n-a\n+x\n b\n\\ No newline at end of file\n",
            ),
            ("a\r\n", "a\n", "@@ -1 +1 @@\n-a\r\n+a\n"),
        ] {
            assert_eq!(shown(old, new, 1), expected, "{old:?} {new:?}");
        }
        assert_eq!(LineDiff::new("a\nb\n", "b\nc\n", 0).counts(), (1, 1));
    }

    #[test]
    fn texts_with_nothing_in_common_are_replaced_whole() {
        let old: String = (0..3000).map(|line| format!("old {line}\n")).collect();
        let new: String = (0..3000).map(|line| format!("new {line}\n")).collect();
        let diff = LineDiff::new(&format!("a\n{old}z\n"), &format!("a\n{new}z\n"), 3);
        assert_eq!(diff.counts(), (3000, 3000));
        assert_eq!(diff.hunks.len(), 1);
    }

    /// Applies the hunks to the old text, checking the lines that both have.
    fn applied(old: &str, diff: &LineDiff) -> String {
        let old: Vec<&str> = lines(old);
        let mut made = String::new();
        let mut at = 0;
        for hunk in &diff.hunks {
            assert!(at < hunk.old_start, "hunks are in order and apart");
            made.extend(old[at..hunk.old_start - 1].iter().copied());
            at = hunk.old_start - 1;
            let last = hunk
                .lines
                .iter()
                .rposition(|line| !matches!(line, DiffLine::Removed(_)));
            for (index, line) in hunk.lines.iter().enumerate() {
                if let DiffLine::Same(text) | DiffLine::Removed(text) = line {
                    assert_eq!(old[at].strip_suffix('\n').unwrap_or(old[at]), text);
                    at += 1;
                }
                if let DiffLine::Same(text) | DiffLine::Added(text) = line {
                    made.push_str(text);
                    if !(hunk.new_is_bare && last == Some(index)) {
                        made.push('\n');
                    }
                }
            }
        }
        made.extend(old[at..].iter().copied());
        made
    }

    proptest! {
        #[test]
        fn a_difference_turns_the_old_text_into_the_new_one(
            old in "[ab\n]{0,40}",
            new in "[ab\n]{0,40}",
            context in 0_usize..4,
        ) {
            let diff = LineDiff::new(&old, &new, context);
            prop_assert_eq!(applied(&old, &diff), new.clone());
            prop_assert_eq!(diff.is_empty(), old == new);
        }
    }
}
