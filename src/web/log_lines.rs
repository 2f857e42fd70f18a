//! Renders the text of a log: its styles, the lines that a search finds, and the places where they match.

use std::ops::Range;

use maud::{PreEscaped, Render as _};

use super::styled_text::{StyledText, TextStyle};

/// Maximum number of marked matches in one text. Further lines are shown without marks.
const MARKS_MAX: usize = 20_000;

/// The lines of a log that a page shows.
pub(crate) struct ShownLines {
    pub(crate) markup: PreEscaped<String>,
    /// How many lines there are.
    pub(crate) count: usize,
}

impl ShownLines {
    /// Renders the lines that contain `search`, ignoring case. Empty: all lines.
    pub(crate) fn new(text: &StyledText, search: &str) -> Self {
        let needle = search.to_lowercase();
        let mut html = String::with_capacity(text.text.len());
        let (mut count, mut marks, mut start) = (0, 0, 0);
        for line in text.text.split_inclusive('\n') {
            let range = start..start + line.len();
            start = range.end;
            let matches = match needle.is_empty() {
                true => Vec::new(),
                false => match find_all(line, &needle, MARKS_MAX.saturating_sub(marks)) {
                    Some(matches) => matches,
                    None => continue,
                },
            };
            count += 1;
            marks += matches.len();
            for (style, part) in text.parts(range.clone()) {
                let local = part.start - range.start..part.end - range.start;
                push_part(&mut html, line, style, local, &matches);
            }
        }
        Self {
            markup: PreEscaped(html),
            count,
        }
    }
}

/// Where a line contains `needle`, which is in lower case. At most `most` places. `None`: it does not.
fn find_all(line: &str, needle: &str, most: usize) -> Option<Vec<Range<usize>>> {
    let low = line.to_lowercase();
    if !low.contains(needle) {
        return None;
    }
    // A few letters change their length in lower case, which would misplace the marks.
    if low.len() != line.len() {
        return Some(Vec::new());
    }
    let places = low.match_indices(needle).take(most);
    let ranges = places.map(|(at, found)| at..at + found.len());
    let is_whole = |range: &Range<usize>| line.get(range.clone()).is_some();
    Some(ranges.filter(is_whole).collect())
}

/// Appends a part of a line that has one style. `matches`: the marked places of the line, in order.
fn push_part(
    html: &mut String,
    line: &str,
    style: TextStyle,
    part: Range<usize>,
    matches: &[Range<usize>],
) {
    if part.is_empty() {
        return;
    }
    let classes = style.classes();
    if !classes.is_empty() {
        html.push_str("<span class=\"");
        html.push_str(&classes);
        html.push_str("\">");
    }
    let mut at = part.start;
    let first = matches.partition_point(|found| found.end <= part.start);
    let within = matches[first..]
        .iter()
        .take_while(|found| found.start < part.end);
    for found in within {
        let (from, to) = (found.start.max(part.start), found.end.min(part.end));
        line[at..from].render_to(html);
        html.push_str("<mark>");
        line[from..to].render_to(html);
        html.push_str("</mark>");
        at = to;
    }
    line[at..part.end].render_to(html);
    if !classes.is_empty() {
        html.push_str("</span>");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(raw: &str, search: &str) -> (String, usize) {
        let shown = ShownLines::new(&StyledText::parse(raw), search);
        (shown.markup.into_string(), shown.count)
    }

    #[test]
    fn matching_lines_are_shown_with_marks() {
        for (raw, search, expected, count) in [
            (
                "One\ntwo\nnone",
                "ONE",
                "<mark>One</mark>\nn<mark>one</mark>",
                2,
            ),
            ("a\nb", "", "a\nb", 2),
            ("a\nb", "c", "", 0),
            ("<b>&\n", "&", "&lt;b&gt;<mark>&amp;</mark>\n", 1),
            (
                "\u{1b}[31mred\u{1b}[0m herring",
                "d h",
                "<span class=\"f1\">re<mark>d</mark></span><mark> h</mark>erring",
                1,
            ),
            (
                "\u{1b}[1ma\nb\u{1b}[mc\n",
                "b",
                "<span class=\"bold\"><mark>b</mark></span>c\n",
                1,
            ),
            ("é É\n", "É", "<mark>é</mark> <mark>É</mark>\n", 1),
            // A letter whose lower case is longer.
            ("İstanbul\n", "stan", "İstanbul\n", 1),
        ] {
            let expected = (expected.to_owned(), count);
            assert_eq!(shown(raw, search), expected, "{raw:?} {search:?}");
        }
    }

    #[test]
    fn markup_of_a_program_stays_text() {
        let (html, _) = shown("</pre><script>\u{1b}[31m\"x\u{1b}[m", "script");
        assert_eq!(
            html,
            "&lt;/pre&gt;&lt;<mark>script</mark>&gt;<span class=\"f1\">&quot;x</span>"
        );
    }

    #[test]
    fn marks_are_bounded() {
        let (html, count) = shown(&"a\n".repeat(MARKS_MAX + 5), "a");
        assert_eq!(count, MARKS_MAX + 5);
        assert_eq!(html.matches("<mark>").count(), MARKS_MAX);
    }
}
