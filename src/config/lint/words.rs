//! The words of a command, with what the rules need to know about their quotes, and the program that it finally runs.

use super::super::path::basename;

/// A word of a command.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct CommandWord {
    /// The word without its quotes.
    pub(super) text: String,
    /// The parts of it that are outside quotes and not after a backslash.
    pub(super) bare: String,
    /// Whether any part of it is quoted.
    pub(super) is_quoted: bool,
}

/// Splits a command like [`super::super::shlex`], and marks what is quoted. Text after an unclosed quote is quoted.
pub(super) fn command_words(text: &str) -> Vec<CommandWord> {
    let mut words = Vec::new();
    let mut word: Option<CommandWord> = None;
    let mut quote: Option<char> = None;
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        let in_word = |word: &mut Option<CommandWord>, c: char| {
            let word = word.get_or_insert_default();
            word.text.push(c);
            word.is_quoted = true;
        };
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some('"'), '\\') => {
                let next = chars.next().unwrap_or('\\');
                if !matches!(next, '"' | '\\') {
                    in_word(&mut word, c);
                }
                in_word(&mut word, next);
            }
            (Some(_), c) => in_word(&mut word, c),
            (None, ' ' | '\t' | '\r' | '\n') => words.extend(word.take()),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default().is_quoted = true;
            }
            (None, '\\') => in_word(&mut word, chars.next().unwrap_or('\\')),
            (None, c) => {
                let word = word.get_or_insert_default();
                word.text.push(c);
                word.bare.push(c);
            }
        }
    }
    words.extend(word);
    words
}

/// Programs that run their arguments as a command, with the options of theirs that take a value.
const WRAPPERS: &[(&str, &[&str])] = &[
    ("env", &["-u", "-C", "-S"]),
    ("exec", &["-a"]),
    ("nice", &["-n"]),
    ("ionice", &["-c", "-n"]),
    ("chrt", &[]),
    ("stdbuf", &["-i", "-o", "-e"]),
    ("unbuffer", &[]),
    ("setsid", &[]),
    ("nohup", &[]),
    ("tini", &["-p", "-e"]),
    ("dumb-init", &["-r"]),
    ("catatonit", &[]),
    ("sudo", &["-u", "-g", "-C", "-h", "-p"]),
    ("setpriv", &[]),
    ("taskset", &["-c"]),
    ("timeout", &["-s", "-k"]),
];
/// Wrappers whose first argument that is no option is no command: a user, a duration, a mask.
const WITH_ARGUMENT: &[&str] = &[
    "gosu",
    "su-exec",
    "setuidgid",
    "chpst",
    "timeout",
    "taskset",
    "chrt",
];
/// Shells: what follows `-c` goes through them.
const SHELLS: &[&str] = &[
    "sh", "bash", "dash", "ash", "ksh", "mksh", "zsh", "fish", "busybox",
];

/// The command that finally runs: its words without wrappers such as `env` and `nice`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Executed<'w> {
    /// The program and its arguments, not empty.
    words: &'w [CommandWord],
}

impl<'w> Executed<'w> {
    /// Strips the wrappers. `None`: the command is empty, or a wrapper has no command.
    pub(super) fn of(mut words: &'w [CommandWord]) -> Option<Self> {
        loop {
            let name = basename(&words.first()?.text);
            let valued = WRAPPERS.iter().find(|(wrapper, _)| *wrapper == name);
            let takes_argument = WITH_ARGUMENT.contains(&name);
            if valued.is_none() && !takes_argument {
                return Some(Self { words });
            }
            let valued = valued.map_or(&[][..], |(_, options)| options);
            let is_env = name == "env";
            words = &words[1..];
            while let Some(word) = words.first() {
                let is_assignment = is_env && word.text.contains('=');
                if valued.contains(&word.text.as_str()) {
                    words = words.get(2..).unwrap_or_default();
                } else if word.text.starts_with('-') || is_assignment {
                    words = &words[1..];
                } else {
                    break;
                }
            }
            if takes_argument {
                words = words.get(1..).unwrap_or_default();
            }
        }
    }

    /// The name of the program without its directory.
    pub(super) fn name(&self) -> &'w str {
        basename(&self.words[0].text)
    }

    /// The arguments.
    pub(super) fn arguments(&self) -> &'w [CommandWord] {
        &self.words[1..]
    }

    /// The arguments, without quotes.
    pub(super) fn texts(&self) -> impl Iterator<Item = &'w str> {
        self.arguments().iter().map(|word| word.text.as_str())
    }
}

/// Whether the word is a shell.
pub(super) fn is_shell(word: &str) -> bool {
    SHELLS.contains(&basename(word))
}

/// The text that a shell of the command gets with `-c`. `None`: there is no such shell.
pub(super) fn shell_text(words: &[CommandWord]) -> Option<&str> {
    let shell = words.iter().position(|word| is_shell(&word.text))?;
    let mut rest = words[shell + 1..].iter();
    rest.find(|word| {
        let letters = word.text.strip_prefix('-');
        letters.is_some_and(|letters| !letters.starts_with('-') && letters.ends_with('c'))
    })?;
    rest.next().map(|word| word.text.as_str())
}

#[cfg(test)]
mod tests {
    use super::super::super::shlex::shlex_split;
    use super::*;

    #[test]
    fn words_are_those_of_the_command() {
        for text in [
            "",
            " a  b\tc\n",
            "'a b' \"c d\"",
            "a'b'\"c\"d",
            "'' \"\"",
            r#"'a\b' "a\b\"\\\$""#,
            r"a\ b \'",
            "a && b > c",
        ] {
            let words = command_words(text).into_iter();
            let words: Vec<String> = words.map(|word| word.text).collect();
            assert_eq!(Ok(words), shlex_split(text), "{text:?}");
        }
        let words = command_words(r#"a "&&" b'>'c \; >d"#);
        let bare: Vec<&str> = words.iter().map(|word| word.bare.as_str()).collect();
        assert_eq!(bare, ["a", "", "bc", "", ">d"]);
    }

    #[test]
    fn wrappers_are_stripped() {
        for (command, name, count) in [
            ("/usr/sbin/nginx -g x", "nginx", 2),
            ("env A=b -u C /usr/bin/python3 app.py", "python3", 1),
            ("nice -n 5 ionice -c 2 python -u x", "python", 2),
            ("gosu www-data php-fpm -F", "php-fpm", 1),
            ("timeout -k 5 30 sh -c 'x'", "sh", 2),
            ("stdbuf -oL prog", "prog", 0),
            ("sudo -u me -E prog", "prog", 0),
        ] {
            let words = command_words(command);
            let found = Executed::of(&words).expect(command);
            assert_eq!(
                (found.name(), found.arguments().len()),
                (name, count),
                "{command}"
            );
        }
        assert!(Executed::of(&command_words("env A=b")).is_none());
    }

    #[test]
    fn the_text_for_a_shell_is_found() {
        for (command, text) in [
            ("sh -c 'a && b'", Some("a && b")),
            ("env A=b /bin/bash -lc 'x'", Some("x")),
            ("/bin/sh script.sh", None),
            ("prog -c x", None),
        ] {
            assert_eq!(shell_text(&command_words(command)), text, "{command}");
        }
    }
}
