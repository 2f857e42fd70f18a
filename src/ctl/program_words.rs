//! The words of the action `program`.

use crate::config::shlex::shlex_split;

/// What `program` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProgramVerb {
    List,
    Show,
    Add,
    Set,
    Unset,
    Edit,
    Remove,
    Copy,
}

/// A row of [`VERBS`].
pub(super) struct VerbRow {
    pub(super) verb: ProgramVerb,
    pub(super) word: &'static str,
    /// The fewest and the most words behind it.
    counts: (usize, usize),
    pub(super) doc: &'static str,
}

const fn row(
    verb: ProgramVerb,
    word: &'static str,
    counts: (usize, usize),
    doc: &'static str,
) -> VerbRow {
    VerbRow {
        verb,
        word,
        counts,
        doc,
    }
}

/// All verbs.
#[rustfmt::skip] // One row, one line.
pub(super) const VERBS: [VerbRow; 8] = [
    row(ProgramVerb::List, "list", (0, 0), "list the programs and their files"),
    row(ProgramVerb::Show, "show", (1, 1), "print a section as it is written"),
    row(ProgramVerb::Add, "add", (0, 1), "add a program"),
    row(ProgramVerb::Set, "set", (2, usize::MAX), "set keys"),
    row(ProgramVerb::Unset, "unset", (2, usize::MAX), "remove keys"),
    row(ProgramVerb::Edit, "edit", (1, 1), "change a section with an editor"),
    row(ProgramVerb::Remove, "remove", (1, 1), "remove a program"),
    row(ProgramVerb::Copy, "copy", (1, 2), "add a copy of a program"),
];

impl ProgramVerb {
    /// What the output says of a change, before the name of the file.
    pub(super) const fn done(self) -> &'static str {
        match self {
            Self::Add | Self::Copy => "added to",
            Self::Remove => "removed from",
            Self::List | Self::Show | Self::Set | Self::Unset | Self::Edit => "changed in",
        }
    }
}

/// The words, sorted.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ProgramWords {
    /// What to do.
    pub(super) verb: ProgramVerb,
    /// The words behind it.
    pub(super) operands: Vec<String>,
    /// Keys with their new values. An empty value removes the key.
    pub(super) keys: Vec<(String, String)>,
    /// Whether to show what the change would do instead of making it.
    pub(super) is_dry: bool,
    /// Whether the user does not want to be asked.
    pub(super) is_sure: bool,
    /// Whether to print JSON.
    pub(super) json: bool,
}

impl ProgramWords {
    /// Sorts the words. Behind `--`, words are no options.
    ///
    /// # Errors
    /// What is wrong.
    pub(super) fn parse(arguments: &str) -> Result<Self, String> {
        let split = shlex_split(arguments).map_err(|error| error.to_string())?;
        let (mut is_dry, mut is_sure, mut json, mut is_plain) = (false, false, false, false);
        let mut operands: Vec<String> = Vec::new();
        let mut words = split.into_iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                _ if is_plain || word == "-" || !word.starts_with('-') => operands.push(word),
                "--" => is_plain = true,
                "--dry-run" => is_dry = true,
                "--yes" => is_sure = true,
                "--json" => json = true,
                "-o" | "-ojson" | "-o=json" => {
                    let format = match word.as_str() {
                        "-o" => words.next(),
                        _ => Some("json".to_owned()),
                    };
                    if format.as_deref() != Some("json") {
                        return Err("-o takes json".to_owned());
                    }
                    json = true;
                }
                _ => return Err(format!("no option {word} (nothing changed)")),
            }
        }
        if operands.is_empty() {
            return Err(format!("what to do is missing: {}", verb_list()));
        }
        let name = operands.remove(0);
        let Some(row) = VERBS.iter().find(|row| row.word == name) else {
            return Err(format!("cannot {name}, only {}", verb_list()));
        };
        let (verb, (fewest, most)) = (row.verb, row.counts);
        if operands.len() < fewest {
            return Err(format!("{name} needs more words"));
        }
        if operands.len() > most {
            return Err(format!("{name} takes fewer words"));
        }
        let mut keys = Vec::new();
        let is_set = verb == ProgramVerb::Set;
        if is_set || verb == ProgramVerb::Unset {
            for word in operands.drain(1..) {
                keys.push(key_of(word, is_set)?);
            }
        }
        Ok(Self {
            verb,
            operands,
            keys,
            is_dry,
            is_sure,
            json,
        })
    }

    /// The name of the program. Empty: the verb has none.
    pub(super) fn name(&self) -> &str {
        self.operands.first().map_or("", String::as_str)
    }
}

/// A key with its new value from a word. An empty value removes the key.
fn key_of(word: String, is_set: bool) -> Result<(String, String), String> {
    let parted = word.split_once('=');
    match (parted, is_set) {
        (Some((key, "")), true) => Err(format!("{key}= has no value (unset removes a key)")),
        (Some((key, value)), true) => Ok((key.trim().to_owned(), value.trim().to_owned())),
        (None, false) => Ok((word, String::new())),
        (None, true) => Err(format!("set takes KEY=VALUE, not {word}")),
        (Some(_), false) => Err(format!("unset takes names of keys, not {word}")),
    }
}

fn verb_list() -> String {
    VERBS.map(|row| row.word).join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_program_are_sorted() {
        let words =
            ProgramWords::parse("set web 'command=sh -c \"a b\"' -o json priority=1 --dry-run")
                .expect("valid");
        assert_eq!((words.verb, words.name()), (ProgramVerb::Set, "web"));
        let keys = [("command", "sh -c \"a b\""), ("priority", "1")];
        assert_eq!(
            words.keys,
            keys.map(|(key, value)| (key.to_owned(), value.to_owned()))
        );
        assert!(words.json && words.is_dry && !words.is_sure);
        let words = ProgramWords::parse("remove --yes -- -x").expect("valid");
        assert!(words.is_sure && words.name() == "-x");
        assert_eq!(ProgramWords::parse("add -").expect("valid").name(), "-");
    }

    #[test]
    fn wrong_words_of_program_are_refused() {
        for (line, part) in [
            ("", "list, show"),
            ("paint", "cannot paint"),
            ("show", "more words"),
            ("show a b", "fewer words"),
            ("set web", "more words"),
            ("set web priority", "KEY=VALUE"),
            ("set web priority=", "unset"),
            ("unset web priority=1", "names of keys"),
            ("list -o xml", "-o takes json"),
            ("list --all", "no option --all"),
            ("show 'a", "No closing quotation"),
        ] {
            let refused = ProgramWords::parse(line).expect_err(line);
            assert!(refused.contains(part), "{line}: {refused}");
        }
    }
}
