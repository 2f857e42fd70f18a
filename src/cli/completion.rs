//! Completes command lines: which position the current word has, and its candidates. Shells call the program itself, so
//! the candidates always match what it accepts.

use std::fmt;

use super::getopt::{OptionSpec, find_long};
use crate::domain::Level;

/// The first argument of a completion request.
pub const FLAG: &str = "--complete";

/// A completion request of a shell.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CompletionRequest {
    /// The program's name as it was typed.
    pub program: String,
    /// The words after it.
    pub before: Vec<String>,
    /// The current word, up to the cursor.
    pub word: String,
}

impl CompletionRequest {
    /// Parses the arguments `--complete INDEX PROGRAM WORD...` (without argv\[0\]). `None`: it is not a completion
    /// request. An invalid request has an empty program.
    #[must_use]
    pub fn from_args(args: &[String]) -> Option<Self> {
        let (flag, rest) = args.split_first()?;
        if flag != FLAG {
            return None;
        }
        let sensible = || {
            let (index, words) = rest.split_first()?;
            let index: usize = index.parse().ok()?;
            let (program, words) = words.split_first()?;
            let place = index.checked_sub(1)?;
            Some(Self {
                program: program.clone(),
                before: words.get(..place)?.to_vec(),
                word: words.get(place).cloned().unwrap_or_default(),
            })
        };
        Some(sensible().unwrap_or_default())
    }

    /// The program's name without directories.
    #[must_use]
    pub fn name(&self) -> &str {
        self.program.rsplit('/').next().unwrap_or_default()
    }
}

/// A candidate for the current word.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Candidate {
    /// The whole word.
    pub text: String,
    /// A short description. May be empty.
    pub doc: String,
}

impl Candidate {
    /// Makes a candidate.
    pub fn new(text: impl Into<String>, doc: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            doc: doc.into(),
        }
    }
}

/// Names that the shell itself completes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NameSource {
    /// File names.
    Files,
    /// Directory names.
    Directories,
    /// User names.
    Users,
}

/// The answer to a request. `Display` prints a line per candidate, with a tab before its description. A name source is
/// a line that starts with a tab.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Completion {
    /// The candidates.
    pub candidates: Vec<Candidate>,
    /// Names that the shell adds.
    pub names: Option<NameSource>,
}

impl Completion {
    /// The candidates that begin with `word`.
    pub fn of(candidates: impl IntoIterator<Item = Candidate>, word: &str) -> Self {
        let fits = |candidate: &Candidate| {
            // Each candidate is one line, and a terminal shows it.
            candidate.text.starts_with(word) && !candidate.text.contains(char::is_control)
        };
        Self {
            candidates: candidates.into_iter().filter(fits).collect(),
            names: None,
        }
    }

    /// Names from this source only.
    #[must_use]
    pub const fn names(names: NameSource) -> Self {
        Self {
            candidates: Vec::new(),
            names: Some(names),
        }
    }
}

impl fmt::Display for Completion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Candidate { text, doc } in &self.candidates {
            match doc.is_empty() {
                true => writeln!(f, "{text}")?,
                false => writeln!(f, "{text}\t{}", doc.replace(char::is_control, " "))?,
            }
        }
        match self.names {
            None => Ok(()),
            Some(NameSource::Files) => f.write_str("\tfiles\n"),
            Some(NameSource::Directories) => f.write_str("\tdirectories\n"),
            Some(NameSource::Users) => f.write_str("\tusers\n"),
        }
    }
}

/// The position of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WordPosition {
    /// It is an option.
    Option,
    /// It is the argument of an option.
    Value {
        /// The index of that option in the table.
        index: usize,
        /// The part of the word before the argument, such as `--logfile=`.
        joined: String,
    },
    /// It is a positional argument, and the options end at this index.
    Word(usize),
}

/// Finds the position of `word` after the words `before`, by the rules of [`getopt`](super::getopt::getopt). Invalid
/// words are skipped, because a shell asks while the user types.
#[must_use]
pub fn word_position(before: &[String], word: &str, table: &[OptionSpec]) -> WordPosition {
    let mut pending = None;
    for (at, given) in before.iter().enumerate() {
        if pending.take().is_some() {
            continue;
        }
        if given == "-" || !given.starts_with('-') {
            return WordPosition::Word(at);
        }
        if given == "--" {
            return WordPosition::Word(at + 1);
        }
        pending = match given.strip_prefix("--") {
            Some(long) if long.contains('=') => None,
            Some(long) => find_long(long, table)
                .ok()
                .filter(|&index| table[index].argument),
            None => awaited_option(&given[1..], table),
        };
    }
    if let Some(index) = pending {
        return WordPosition::Value {
            index,
            joined: String::new(),
        };
    }
    match word
        .strip_prefix("--")
        .and_then(|long| long.split_once('='))
    {
        Some((long, _)) => match find_long(long, table) {
            Ok(index) if table[index].argument => WordPosition::Value {
                index,
                joined: format!("--{long}="),
            },
            _ => WordPosition::Option,
        },
        None if word.starts_with('-') => WordPosition::Option,
        None => WordPosition::Word(before.len()),
    }
}

/// The option whose argument is the next word, if the last of these letters is one.
fn awaited_option(letters: &str, table: &[OptionSpec]) -> Option<usize> {
    for (at, letter) in letters.char_indices() {
        let index = table.iter().position(|opt| opt.short == Some(letter))?;
        if table[index].argument {
            let is_last = at + letter.len_utf8() == letters.len();
            return is_last.then_some(index);
        }
    }
    None
}

/// The options of a table that `word` can become.
pub fn options<'a>(rows: impl Iterator<Item = (OptionSpec, &'a str)>, word: &str) -> Completion {
    let mut candidates = Vec::new();
    for (opt, doc) in rows {
        if let Some(letter) = opt.short.filter(|_| !word.starts_with("--")) {
            candidates.push(Candidate::new(format!("-{letter}"), doc));
        }
        if let Some(long) = opt.long {
            candidates.push(Candidate::new(format!("--{long}"), doc));
        }
    }
    Completion::of(candidates, word)
}

/// The candidates for an argument that tables describe as `value`.
#[must_use]
pub fn values(value: &str, joined: &str, word: &str) -> Completion {
    match value {
        "FILE" => Completion::names(NameSource::Files),
        "DIR" => Completion::names(NameSource::Directories),
        "USER" => Completion::names(NameSource::Users),
        "WHEN" => {
            let candidates = ["always", "auto", "never"]
                .map(|when| Candidate::new(format!("{joined}{when}"), ""));
            Completion::of(candidates, word)
        }
        "LEVEL" => {
            let levels = Level::ALL.iter();
            let candidates = levels
                .map(|(_, name, letters)| Candidate::new(format!("{joined}{name}"), *letters));
            Completion::of(candidates, word)
        }
        _ => Completion::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(line: &str) -> Vec<String> {
        line.split(' ').map(str::to_owned).collect()
    }

    const fn opt(short: char, long: &'static str, argument: bool) -> OptionSpec {
        OptionSpec {
            short: Some(short),
            long: Some(long),
            argument,
            ours: false,
        }
    }

    #[test]
    fn a_request_names_the_program_and_the_position() {
        let request = |line: &str| CompletionRequest::from_args(&words(line));
        let asked = |program: &str, before: &[&str], word: &str| {
            Some(CompletionRequest {
                program: program.to_owned(),
                before: before.iter().map(|&word| word.to_owned()).collect(),
                word: word.to_owned(),
            })
        };
        assert_eq!(request("status"), None);
        assert_eq!(request("--complete 1 p st"), asked("p", &[], "st"));
        assert_eq!(
            request("--complete 2 /b/p st x y"),
            asked("/b/p", &["st"], "x")
        );
        assert_eq!(request("--complete 2 p st"), asked("p", &["st"], ""));
        for nonsense in [
            "--complete",
            "--complete x p",
            "--complete 0 p",
            "--complete 9 p a",
        ] {
            assert_eq!(
                request(nonsense),
                Some(CompletionRequest::default()),
                "{nonsense}"
            );
        }
        assert_eq!(
            request("--complete 1 /b/p").map(|q| q.name().to_owned()),
            Some("p".to_owned())
        );
    }

    #[test]
    fn word_positions_follow_getopt() {
        let table = [opt('n', "nodaemon", false), opt('c', "configuration", true)];
        let value = |joined: &str| WordPosition::Value {
            index: 1,
            joined: joined.to_owned(),
        };
        for (line, expected) in [
            ("", WordPosition::Word(0)),
            ("-", WordPosition::Option),
            ("--conf", WordPosition::Option),
            ("-n ", WordPosition::Word(1)),
            ("-c ", value("")),
            ("-nc -x", value("")),
            ("-cfile ", WordPosition::Word(1)),
            ("--conf ", value("")),
            ("--conf=x ", WordPosition::Word(1)),
            ("--conf=x", value("--conf=")),
            ("--nodaemon=x", WordPosition::Option),
            ("-x --nosuch -c a start -", WordPosition::Word(4)),
            ("-- -", WordPosition::Word(1)),
            ("- x", WordPosition::Word(0)),
        ] {
            let mut before = words(line);
            let word = before.pop().unwrap_or_default();
            let found = word_position(&before, &word, &table);
            assert_eq!(found, expected, "{line:?}");
        }
    }

    #[test]
    fn a_completion_prints_one_candidate_a_line() {
        let answer = Completion {
            candidates: vec![Candidate::new("a", ""), Candidate::new("b", "two\twords")],
            names: Some(NameSource::Files),
        };
        assert_eq!(answer.to_string(), "a\nb\ttwo words\n\tfiles\n");
        let candidates = ["ab", "b", "a\nb"].map(|text| Candidate::new(text, ""));
        assert_eq!(Completion::of(candidates, "a").to_string(), "ab\n");
        assert_eq!(
            values("LEVEL", "--loglevel=", "--loglevel=in").to_string(),
            "--loglevel=info\tINFO\n"
        );
        assert_eq!(values("USER", "", "").to_string(), "\tusers\n");
        assert_eq!(values("N", "", ""), Completion::default());
    }
}
