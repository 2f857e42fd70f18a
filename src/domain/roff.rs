//! Manual pages in roff: which there are, and the one writer that all of them are drawn with. Knows nothing of what they say.
//!
//! Texts are plain, with three marks: `` `word` `` is literal and printed bold, `<name>` stands for something else and is
//! printed in italics, and `name(8)` is another page. Everything that means something to roff is escaped here and nowhere
//! else.
//!
//! # Source
//! man(7) of groff and of mandoc.

use super::VERSION;

/// When the pages were last read through; what stands at the bottom of each.
pub const DATE: &str = "2026-11-28";

/// What names a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Title {
    /// Its name, as it is asked for.
    pub name: &'static str,
    /// Its section of the manual.
    pub section: u8,
    /// What it is about, in a few words.
    pub what: &'static str,
}

impl Title {
    /// The file in `man/`.
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

/// Every page of ours, by section and name.
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
];

/// What an example is, for those who try it: the word stands in a comment before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Example {
    /// A whole configuration file.
    Configuration,
    /// Sections of one, which need the others.
    Sections,
    /// Commands of a shell that anybody can run.
    Shell,
    /// Commands that change a machine, or need one of its own.
    Machine,
    /// Anything else.
    Text,
}

impl Example {
    /// The word in the comment.
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

/// Words are neither hyphenated nor spread out: a name that is copied from a page must be the name.
const UNBROKEN: &str = ".nh\n.nr HY 0\n.ad l\n";

/// Characters in a line of roff, at most.
const LINE_WIDTH: usize = 78;

/// A page being written.
#[derive(Debug)]
pub struct Page {
    title: Title,
    text: String,
}

impl Page {
    /// The page of this name, which is one of [`PAGES`], up to the end of its NAME. `source` says what it is drawn from.
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

    /// Begins a section.
    pub fn section(&mut self, title: &str) {
        self.line(&format!(".SH {}", escaped(title)));
    }

    /// Begins a part of a section.
    pub fn part(&mut self, title: &str) {
        self.line(&format!(".SS {}", escaped(title)));
    }

    /// Text; an empty line begins a paragraph. What follows a title, too, begins none of its own.
    pub fn prose(&mut self, text: &str) {
        self.paragraphs(text, ".PP");
    }

    /// Begins a paragraph with `with`, unless what stands there has begun one.
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

    /// An entry of a list: a tag, and what it is.
    pub fn entry(&mut self, tag: &str, text: &str) {
        self.line(".TP");
        // A tag is one line, however long.
        let tag = words(tag).join(" ");
        self.line(&tag);
        let mut paragraphs = text.splitn(2, "\n\n");
        let first = wrapped(paragraphs.next().unwrap_or_default());
        // An entry without text would take the next macro for its text.
        self.line(if first.is_empty() { "\\&" } else { &first });
        if let Some(rest) = paragraphs.next() {
            self.more(rest);
        }
    }

    /// Another paragraph of the entry.
    pub fn more(&mut self, text: &str) {
        self.paragraphs(text, ".IP");
    }

    /// How a command is called, each line of its own.
    pub fn synopsis(&mut self, lines: &[&str]) {
        self.section("SYNOPSIS");
        for (place, line) in lines.iter().enumerate() {
            if place > 0 {
                self.line(".br");
            }
            self.line(&words(line).join(" "));
        }
    }

    /// Lines that stay as they are.
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

    /// The end of the page: all other pages of ours, and `others`.
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

/// Text as it is: nothing in it means anything to roff but at the start of a line.
#[must_use]
pub fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\e"),
            '-' => out.push_str("\\-"),
            // Printers make typographic signs of these.
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

/// Text with our marks, in lines of bounded width of which none ends within a sentence's last word or begins with what roff
/// takes for its own.
#[must_use]
pub fn wrapped(text: &str) -> String {
    let words = words(text);
    let mut lines = vec![String::new()];
    for (place, word) in words.iter().enumerate() {
        let ended = place > 0 && ends_sentence(&words[place - 1]);
        if let Some(line) = lines.last_mut() {
            let is_new = word.starts_with(|c: char| c.is_uppercase() || c == '\\' || c == '[');
            if ended && !is_new {
                // Not the end of a sentence: roff is told so, for it would make the blank wider.
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

/// The words of a text, each with its marks turned into fonts. What stands between two grave accents is one font, however
/// many words it has.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut literal = false;
    for word in text.split_whitespace() {
        let mut out = String::new();
        // A literal that has begun in an earlier word goes on here.
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

/// A part of a word, all of it literal or not.
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

/// The first `<name>` of a text, with what stands before and behind it.
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
        // In text an apostrophe is one.
        None => escaped(text).replace("\\(aq", "'"),
    }
}

/// A word that names a page, as in `(supervisord(8)).`: what stands before the name, the name, the rest.
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
    fn what_means_something_to_roff_is_escaped() {
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
            .BR supervisord (8)\n"), "{text}");
        assert!(!text.contains("BR pidproxy"));
    }

    #[test]
    fn pages_are_in_order() {
        assert!(PAGES.is_sorted_by_key(|page| (page.section, page.name)));
    }
}
