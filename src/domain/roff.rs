//! Manual pages in roff: the list of pages, and the writer for all of them.
//!
//! Texts are plain, with three marks: `` `word` `` is literal and printed in bold, `<name>` is a placeholder and
//! printed in italics, and `name(8)` refers to another page. Only this module escapes characters that are special in
//! roff.
//!
//! # Source
//! man(7) of groff and of mandoc.

use super::VERSION;

/// The date of the last review of the pages, shown at the bottom of each.
pub const DATE: &str = "2026-11-28";

/// The title of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Title {
    /// The name of the page.
    pub name: &'static str,
    /// The section of the manual.
    pub section: u8,
    /// A short description.
    pub what: &'static str,
}

impl Title {
    /// Returns the name of the file in `man/`.
    #[must_use]
    pub fn file(&self) -> String {
        format!("{}.{}", self.name, self.section)
    }
}

const fn title(name: &'static str, section: u8, what: &'static str) -> Title {
    Title {
        name,
        section,
        what,
    }
}

/// All pages, ordered by section and name.
#[rustfmt::skip]
pub const PAGES: &[Title] = &[
    title("echo_supervisord_conf", 1, "print a sample configuration of supervisord"),
    title("pidproxy", 1, "run a daemon that forks to the background"),
    title("supervisorctl", 1, "control supervisord and its programs"),
    title("org.supervisord.Supervisor1", 5, "the D-Bus interface of supervisord"),
    title("supervisord.conf", 5, "configuration of supervisord"),
    title("supervisord-events", 7, "events and event listeners of supervisord"),
    title("supervisord-journal-fields", 7, "journal fields and log lines of supervisord"),
    title("supervisord-xmlrpc", 7, "the XML-RPC interface of supervisord"),
    title("supervisord", 8, "start programs and keep them running"),
    title("supervisord-agent", 8, "connect to foreign servers for supervisord"),
    title("supervisord-hub", 8, "show and control the processes of many hosts"),
];

/// The kind of an example, for the tests that run it. A comment before the example contains the word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Example {
    /// A complete configuration file.
    Configuration,
    /// Sections that need a complete configuration around them.
    Sections,
    /// Shell commands that run everywhere.
    Shell,
    /// Commands that change the machine or need a separate one.
    Machine,
    /// Any other text.
    Text,
}

impl Example {
    /// Returns the word in the comment.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Configuration => "configuration",
            Self::Sections => "sections",
            Self::Shell => "shell",
            Self::Machine => "machine",
            Self::Text => "text",
        }
    }
}

/// Turns off hyphenation and justification, so that names can be copied from a page.
const UNBROKEN: &str = ".nh\n.nr HY 0\n.ad l\n";

/// Maximum number of characters in a line of roff.
const LINE_WIDTH: usize = 78;

/// A page under construction.
#[derive(Debug)]
pub struct Page {
    title: Title,
    text: String,
}

impl Page {
    /// Starts the page of this name, which must be in [`PAGES`], and writes it up to the end of the NAME section.
    /// `source` names what the page is generated from.
    #[must_use]
    pub fn new(name: &str, source: &str) -> Self {
        let title = *PAGES
            .iter()
            .find(|page| page.name == name)
            .expect("invariant: pages are written by the names that stand in PAGES");
        Self {
            title,
            text: format!(
                ".\\\" Drawn from {source}; do not edit.\n.TH {} {} {DATE} \"supervisord {VERSION}\"\n{UNBROKEN}.SH NAME\n{} \\- {}\n",
                escaped(&title.name.to_uppercase()),
                title.section,
                escaped(title.name),
                wrapped(title.what),
            ),
        }
    }

    fn line(&mut self, line: &str) {
        self.text.push_str(line);
        self.text.push('\n');
    }

    /// Starts a section.
    pub fn section(&mut self, title: &str) {
        self.line(&format!(".SH {}", escaped(title)));
    }

    /// Starts a subsection.
    pub fn part(&mut self, title: &str) {
        self.line(&format!(".SS {}", escaped(title)));
    }

    /// Writes paragraphs, which empty lines separate. The first one after a title needs no paragraph macro.
    pub fn prose(&mut self, text: &str) {
        self.paragraphs(text, ".PP");
    }

    /// Starts a paragraph with the macro `with`, unless the previous line starts one already.
    fn separate(&mut self, with: &str) {
        let last = self.text.lines().next_back().unwrap_or_default();
        let begins = [".SH", ".SS", ".TP", ".PP"];
        if !begins.iter().any(|begin| last.starts_with(begin)) {
            self.line(with);
        }
    }

    fn paragraphs(&mut self, text: &str, between: &str) {
        for paragraph in text.split("\n\n") {
            self.separate(between);
            let lines = wrapped(paragraph);
            self.line(&lines);
        }
    }

    /// Writes an entry of a list: a tag and its text.
    pub fn entry(&mut self, tag: &str, text: &str) {
        self.line(".TP");
        // A tag is always one line.
        let tag = words(tag).join(" ");
        self.line(&tag);
        let mut paragraphs = text.splitn(2, "\n\n");
        let first = wrapped(paragraphs.next().unwrap_or_default());
        // Without text, roff would take the next macro as the text of the entry.
        self.line(if first.is_empty() { "\\&" } else { &first });
        if let Some(rest) = paragraphs.next() {
            self.more(rest);
        }
    }

    /// Writes another paragraph of the entry.
    pub fn more(&mut self, text: &str) {
        self.paragraphs(text, ".IP");
    }

    /// Writes the SYNOPSIS section with one line per command form.
    pub fn synopsis(&mut self, lines: &[&str]) {
        self.section("SYNOPSIS");
        for (place, line) in lines.iter().enumerate() {
            if place > 0 {
                self.line(".br");
            }
            self.line(&words(line).join(" "));
        }
    }

    /// Writes lines without filling them.
    pub fn example(&mut self, kind: Example, text: &str) {
        self.separate(".PP");
        self.line(&format!(".\\\" example: {}", kind.word()));
        self.line(".RS 4");
        self.line(".EX");
        for line in text.trim_matches('\n').lines() {
            let line = escaped(line);
            let guard = if line.starts_with('.') { "\\&" } else { "" };
            self.line(&format!("{guard}{line}"));
        }
        self.line(".EE");
        self.line(".RE");
    }

    /// Finishes the page with the SEE ALSO section: all other pages and `others`. Returns the page.
    #[must_use]
    pub fn see_also(mut self, others: &[(&str, u8)]) -> String {
        self.section("SEE ALSO");
        let ours = PAGES
            .iter()
            .filter(|page| page.name != self.title.name)
            .map(|page| (page.name, page.section));
        let mut all: Vec<(&str, u8)> = ours.chain(others.iter().copied()).collect();
        all.sort_by_key(|&(name, section)| (section, name.to_lowercase()));
        let count = all.len();
        for (place, (name, section)) in all.into_iter().enumerate() {
            let comma = if place + 1 < count { "," } else { "" };
            self.line(&format!(".BR {} ({section}){comma}", escaped(name)));
        }
        self.text
    }
}

/// Escapes characters that are special in roff, except at the start of a line.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            // Formatters turn these into typographic characters.
            '\'' => out.push_str("\\(aq"),
            '`' => out.push_str("\\(ga"),
            '^' => out.push_str("\\(ha"),
            '~' => out.push_str("\\(ti"),
            '→' => out.push_str("\\(->"),
            '…' => out.push_str("..."),
            '≥' => out.push_str("\\(>="),
            '–' => out.push_str("\\(en"),
            '“' => out.push_str("\\(lq"),
            '”' => out.push_str("\\(rq"),
            c if c.is_ascii() => out.push(c),
            c => out.push_str(&format!("\\[u{:04X}]", u32::from(c))),
        }
    }
    out
}

/// Returns text with marks as lines of limited width. Each sentence ends a line, and no line starts with a control
/// character of roff.
#[must_use]
pub fn wrapped(text: &str) -> String {
    let words = words(text);
    let mut lines = vec![String::new()];
    for (place, word) in words.iter().enumerate() {
        let ended = place > 0 && ends_sentence(&words[place - 1]);
        if let Some(line) = lines.last_mut() {
            let is_new = word.starts_with(|c: char| c.is_uppercase() || c == '\\' || c == '[');
            if ended && !is_new {
                // Not the end of a sentence. Without this mark roff would print a wider space.
                line.push_str("\\&");
            }
            if !line.is_empty() && ((ended && is_new) || line.len() + 1 + word.len() > LINE_WIDTH) {
                lines.push(String::new());
            }
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            } else if word.starts_with(['.', '\'']) {
                line.push_str("\\&");
            }
            line.push_str(word);
        }
    }
    lines.join("\n")
}

fn ends_sentence(word: &str) -> bool {
    word.trim_end_matches([')', '"']).ends_with(['.', '?', '!'])
}

/// Returns the words of a text with marks turned into fonts. Text between two grave accents is in one font, even if it
/// has several words.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut literal = false;
    for word in text.split_whitespace() {
        let mut out = String::new();
        // A literal from an earlier word continues.
        let mut rest = word;
        if literal {
            out.push_str("\\fB");
        }
        while let Some(at) = rest.find('`') {
            out.push_str(&piece(&rest[..at], literal));
            literal = !literal;
            out.push_str(if literal { "\\fB" } else { "\\fR" });
            rest = &rest[at + 1..];
        }
        out.push_str(&piece(rest, literal));
        if literal {
            out.push_str("\\fR");
        }
        words.push(out.replace("\\fB\\fR", ""));
    }
    words
}

/// Formats a part of a word that is wholly literal or wholly not.
fn piece(text: &str, literal: bool) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, name, after)) = placeholder(rest) {
        out.push_str(&plain(before, literal));
        out.push_str("\\fI");
        out.push_str(&escaped(name));
        out.push_str(if literal { "\\fB" } else { "\\fR" });
        rest = after;
    }
    out.push_str(&plain(rest, literal));
    out
}

/// Returns the first `<name>` of a text with the text before and after it. `None`: there is none.
fn placeholder(text: &str) -> Option<(&str, &str, &str)> {
    let start = text.find('<')?;
    let end = start + text[start..].find('>')?;
    let name = &text[start + 1..end];
    let is_name = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.|".contains(c));
    is_name.then(|| (&text[..start], name, &text[end + 1..]))
}

fn plain(text: &str, literal: bool) -> String {
    if literal {
        return escaped(text);
    }
    match reference(text) {
        Some((before, name, rest)) => {
            format!(
                "{}\\fB{}\\fR{}",
                escaped(before),
                escaped(name),
                escaped(rest)
            )
        }
        // In plain text an apostrophe needs no escape.
        None => escaped(text).replace("\\(aq", "'"),
    }
}

/// Splits a word that refers to a page, as in `(supervisord(8)).`, into the text before the name, the name, and the
/// rest. `None`: it refers to no page.
fn reference(word: &str) -> Option<(&str, &str, &str)> {
    let start = word.find(|c: char| c.is_ascii_alphanumeric())?;
    let open = start + word[start..].find('(')?;
    let (name, rest) = (&word[start..open], &word[open..]);
    let bytes = rest.as_bytes();
    let is_page = bytes.len() > 2 && (b'1'..=b'8').contains(&bytes[1]) && bytes[2] == b')';
    let is_name = name
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "-_.+".contains(c));
    (is_page && is_name).then_some((&word[..start], name, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roff_syntax_is_escaped() {
        for (text, expected) in [
            ("a-b c\\n", "a\\-b c\\en"),
            (".profile is 'it'", "\\&.profile is 'it'"),
            ("'quoted'", "\\&'quoted'"),
            (
                "run `a 'b' -c` now",
                "run \\fBa\\fR \\fB\\(aqb\\(aq\\fR \\fB\\-c\\fR now",
            ),
            ("`stop <gname>:*`", "\\fBstop\\fR \\fB\\fIgname\\fB:*\\fR"),
            ("see supervisord(8).", "see \\fBsupervisord\\fR(8)."),
            ("(sd_notify(3))", "(\\fBsd_notify\\fR(3))"),
            ("`<0>` to `<7>`", "\\fB<0>\\fR to \\fB<7>\\fR"),
            ("e.g. this", "e.g.\\& this"),
            ("One. Two.", "One.\nTwo."),
            ("“a” → b…", "\\(lqa\\(rq \\(-> b..."),
            ("é", "\\[u00E9]"),
        ] {
            assert_eq!(wrapped(text), expected, "{text}");
        }
        let long = wrapped(&"word ".repeat(100));
        assert!(long.lines().all(|line| line.len() <= LINE_WIDTH), "{long}");
    }

    #[test]
    fn a_page_has_its_parts_in_order() {
        let mut page = Page::new("pidproxy", "nothing");
        page.synopsis(&["`pidproxy` <file>", "`pidproxy`"]);
        page.section("OPTIONS");
        page.prose("One.\n\nTwo.");
        page.entry("`-x`", "It.\n\nMore.");
        page.entry("`-y`", "");
        page.example(Example::Text, "\n.x\n  \\y\n-z\n");
        let text = page.see_also(&[("systemd", 1)]);
        let (_, body) = text.split_once("background\n").expect("NAME");
        assert_eq!(
            body.split(".SH SEE ALSO\n").next(),
            Some(
                ".SH SYNOPSIS\n\\fBpidproxy\\fR \\fIfile\\fR\n.br\n\\fBpidproxy\\fR\n.SH OPTIONS\nOne.\n.PP\nTwo.\n\
                 .TP\n\\fB\\-x\\fR\nIt.\n.IP\nMore.\n.TP\n\\fB\\-y\\fR\n\\&\n\
                 .PP\n.\\\" example: text\n.RS 4\n.EX\n\\&.x\n  \\ey\n\\-z\n.EE\n.RE\n"
            )
        );
        assert!(text.ends_with(".BR systemd (1),\n.BR org.supervisord.Supervisor1 (5),\n.BR supervisord.conf (5),\n\
            .BR supervisord\\-events (7),\n.BR supervisord\\-journal\\-fields (7),\n.BR supervisord\\-xmlrpc (7),\n\
            .BR supervisord (8),\n.BR supervisord\\-agent (8),\n.BR supervisord\\-hub (8)\n"), "{text}");
        assert!(!text.contains("BR pidproxy"));
    }

    #[test]
    fn pages_are_in_order() {
        assert!(PAGES.is_sorted_by_key(|page| (page.section, page.name)));
    }
}
