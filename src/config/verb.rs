//! VERBS: what `supervisord` does besides being the daemon, when the first word of its command line says so. Declared once:
//! dispatch, `--help` and whatever else is drawn from the command line derive from it. Pure data; the doing stands elsewhere.

use super::completion::{self, Completion, Names, Offer, Place};
use super::getopt::{Given, Opt, getopt};

/// What a verb sets in motion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Errand {
    /// Units of systemd become sections of programs.
    Import,
    /// The daemon becomes a service of systemd.
    Service,
}

/// An option of a verb.
#[derive(Debug, Clone, Copy)]
pub struct VerbOption {
    /// How it is written.
    pub opt: Opt,
    /// What its argument is called; empty: it has none.
    pub value: &'static str,
    /// What it does, one line.
    pub doc: &'static str,
}

/// A word that a verb takes, where it takes certain ones only.
#[derive(Debug, Clone, Copy)]
pub struct Word {
    /// The word.
    pub name: &'static str,
    /// What it does, one line.
    pub doc: &'static str,
}

/// One verb.
#[derive(Debug, Clone, Copy)]
pub struct Verb {
    /// The first word of the command line.
    pub name: &'static str,
    /// What follows it, as usage lines show it.
    pub arguments: &'static str,
    /// What it does, one line.
    pub doc: &'static str,
    /// What it does, in as many sentences as it takes.
    pub about: &'static str,
    /// The words it takes; empty: any.
    pub words: &'static [Word],
    /// Its options.
    pub options: &'static [VerbOption],
    /// What it sets in motion.
    pub errand: Errand,
}

const fn option(
    short: Option<char>,
    long: &'static str,
    value: &'static str,
    doc: &'static str,
) -> VerbOption {
    VerbOption {
        opt: Opt {
            short,
            long: Some(long),
            argument: !value.is_empty(),
            ours: true,
        },
        value,
        doc,
    }
}

/// `--help` of every verb.
pub const HELP: &str = "help";
/// `--name` of both verbs.
pub const NAME: &str = "name";
/// `--configuration` of `service`.
pub const CONFIGURATION: &str = "configuration";
/// `--env-file` of `service`.
pub const ENV_FILE: &str = "env-file";

const HELP_OPTION: VerbOption = option(Some('h'), HELP, "", "print this help and exit");

/// All of them, as help shows them.
pub const VERBS: &[Verb] = &[
    Verb {
        name: "import",
        arguments: "UNIT...",
        doc: "print systemd units as [program:x] sections",
        about: "Reads systemd service units and prints a section for each unit, with a comment for each directive without \
                an equivalent. A UNIT is a path, a name such as nginx.service or nginx, which is searched in systemd's \
                directories together with its drop-ins, or - for standard input.",
        words: &[],
        options: &[
            HELP_OPTION,
            option(
                None,
                NAME,
                "NAME",
                "the name of the unit on standard input (default stdin)",
            ),
        ],
        errand: Errand::Import,
    },
    Verb {
        name: "service",
        arguments: "install|uninstall|start|stop|restart|status",
        doc: "install this binary as a systemd service, and control the service",
        about: "For a binary that was not installed from a package. All actions except status need root.",
        words: &[
            Word {
                name: "install",
                doc: "check the configuration, write the unit, enable it",
            },
            Word {
                name: "uninstall",
                doc: "stop and disable it, remove the unit that install wrote",
            },
            Word {
                name: "start",
                doc: "start the service",
            },
            Word {
                name: "stop",
                doc: "stop the service and its programs",
            },
            Word {
                name: "restart",
                doc: "restart the daemon; programs keep running",
            },
            Word {
                name: "status",
                doc: "print systemd's status of the service",
            },
        ],
        options: &[
            option(
                Some('c'),
                CONFIGURATION,
                "FILE",
                "configuration file of the service (install)",
            ),
            HELP_OPTION,
            option(None, NAME, "NAME", "name of the unit (default supervisord)"),
            option(
                None,
                ENV_FILE,
                "FILE",
                "file with environment variables for the daemon (install)",
            ),
        ],
        errand: Errand::Service,
    },
];

/// A verb's command line, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spoken {
    given: Vec<(&'static str, String)>,
    /// The words that are no options.
    pub words: Vec<String>,
}

impl Spoken {
    /// The argument of the option with this long name; empty for one that takes none.
    #[must_use]
    pub fn option(&self, long: &str) -> Option<&str> {
        let mut given = self.given.iter();
        given
            .find(|(name, _)| *name == long)
            .map(|(_, value)| value.as_str())
    }
}

impl Verb {
    /// The verb of this name.
    #[must_use]
    pub fn find(name: &str) -> Option<&'static Self> {
        VERBS.iter().find(|verb| verb.name == name)
    }

    /// Reads what follows the verb. Options may stand before, between and after words, up to `--`.
    ///
    /// # Errors
    /// getopt's sentences; an option that is given twice.
    pub fn read(&self, args: &[String]) -> Result<Spoken, String> {
        let table: Vec<Opt> = self.options.iter().map(|option| option.opt).collect();
        let end = args.iter().position(|word| word == "--");
        let (mut rest, words_only) = match end {
            Some(at) => (args[..at].to_vec(), &args[at + 1..]),
            None => (args.to_vec(), &[][..]),
        };
        let mut spoken = Spoken {
            given: Vec::new(),
            words: Vec::new(),
        };
        loop {
            let (given, mut words) = getopt(&rest, &table)?;
            for Given {
                index,
                spelled,
                value,
            } in given
            {
                let name = table[index].long.unwrap_or_default();
                if spoken.option(name).is_some() {
                    return Err(format!("conflicting command line option '{spelled}'"));
                }
                spoken.given.push((name, value.unwrap_or_default()));
            }
            if words.is_empty() {
                break;
            }
            spoken.words.push(words.remove(0));
            rest = words;
        }
        spoken.words.extend(words_only.iter().cloned());
        Ok(spoken)
    }

    /// What `word`, behind the words `before` that follow the verb, can become.
    #[must_use]
    pub fn complete(&self, mut before: &[String], word: &str) -> Completion {
        let table: Vec<Opt> = self.options.iter().map(|option| option.opt).collect();
        let mut words = 0;
        let place = loop {
            match completion::place(before, word, &table) {
                // Options stand behind words too.
                Place::Word(at) if at < before.len() => {
                    before = &before[at + 1..];
                    words += 1;
                }
                place => break place,
            }
        };
        match place {
            Place::Option => {
                let options = self.options.iter();
                completion::options(options.map(|option| (option.opt, option.doc)), word)
            }
            Place::Value { index, joined } => {
                completion::values(self.options[index].value, &joined, word)
            }
            // Any word will do: a file's name is one.
            Place::Word(_) if self.words.is_empty() => Completion::names(Names::Files),
            Place::Word(_) if words == 0 => {
                let words = self.words.iter();
                Completion::of(words.map(|word| Offer::new(word.name, word.doc)), word)
            }
            Place::Word(_) => Completion::default(),
        }
    }

    /// The text of its `-h`; `argv0` is the program's name as it was started.
    #[must_use]
    pub fn usage(&self, argv0: &str) -> String {
        let mut text = format!(
            "{}\n\nUsage: {argv0} {} [options] {}\n",
            wrapped(self.about),
            self.name,
            self.arguments
        );
        if !self.words.is_empty() {
            text.push('\n');
            for word in self.words {
                text.push_str(&row(word.name, word.doc));
            }
        }
        text.push_str("\nOptions:\n");
        for option in self.options {
            text.push_str(&row(&spelled(&option.opt, option.value), option.doc));
        }
        text
    }
}

/// Lines of a width that terminals have.
fn wrapped(text: &str) -> String {
    const COLUMNS: usize = 79;
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if line.len() + word.len() < COLUMNS => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

/// The left side of an option's row: its short form, its long one, what its argument is called.
pub(super) fn spelled(opt: &Opt, value: &str) -> String {
    let short = opt
        .short
        .map_or_else(|| "   ".to_owned(), |letter| format!("-{letter},"));
    let long = opt.long.unwrap_or_default();
    if value.is_empty() {
        format!("{short} --{long}")
    } else {
        format!("{short} --{long} {value}")
    }
}

/// A row of a help text.
pub(super) fn row(left: &str, doc: &str) -> String {
    format!("  {left:<31} {doc}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(verb: &str, line: &str) -> Result<Spoken, String> {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Verb::find(verb).expect("a verb").read(&args)
    }

    #[test]
    fn options_stand_before_and_after_the_words() {
        for line in [
            "install -c /etc/x --name y",
            "-c /etc/x install --name=y",
            "--name y -c/etc/x -- install",
        ] {
            let spoken = read("service", line).expect(line);
            assert_eq!(spoken.words, ["install"], "{line}");
            assert_eq!(spoken.option(CONFIGURATION), Some("/etc/x"), "{line}");
            assert_eq!(spoken.option(NAME), Some("y"), "{line}");
            assert_eq!(spoken.option(HELP), None, "{line}");
        }
        let spoken = read("import", "a - -h -- -b").expect("read");
        assert_eq!(spoken.words, ["a", "-", "-b"]);
        assert_eq!(spoken.option(HELP), Some(""));
    }

    #[test]
    fn mistakes_have_getopts_sentences() {
        for (line, expected) in [
            ("install -x", "option -x not recognized"),
            ("install -c", "option -c requires argument"),
            ("--nam y", "option --nam not recognized"),
            (
                "-c a --configuration b",
                "conflicting command line option '--configuration'",
            ),
        ] {
            assert_eq!(read("service", line), Err(expected.to_owned()), "{line}");
        }
    }

    #[test]
    fn help_shows_every_word_and_option() {
        for verb in VERBS {
            let text = verb.usage("supervisord");
            assert!(text.contains(&format!("Usage: supervisord {}", verb.name)));
            for word in verb.words {
                assert!(text.contains(word.doc), "{text}");
                assert!(verb.arguments.contains(word.name));
            }
            for option in verb.options {
                assert!(text.contains(option.doc), "{text}");
            }
        }
    }
}
