//! SUBCOMMANDS: the subcommands of `supervisord`, which its first argument selects. Declared once: dispatch, `--help`,
//! completion and manual derive from this table.

use super::completion::{self, Candidate, Completion, NameSource, WordPosition};
use super::getopt::{OptionSpec, ParsedOption, getopt};

/// What a subcommand runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SubcommandRun {
    /// Converts systemd units to program sections.
    Import,
    /// Installs the daemon as a systemd service.
    Service,
}

/// An option of a subcommand.
#[derive(Debug, Clone, Copy)]
pub struct SubcommandOption {
    /// How it is written.
    pub opt: OptionSpec,
    /// The name of its argument. Empty: no argument.
    pub value: &'static str,
    /// What it does, in one line.
    pub doc: &'static str,
}

/// A word that a subcommand accepts as its argument.
#[derive(Debug, Clone, Copy)]
pub struct SubcommandArg {
    /// The word.
    pub name: &'static str,
    /// What it does, in one line.
    pub doc: &'static str,
}

/// One subcommand.
#[derive(Debug, Clone, Copy)]
pub struct Subcommand {
    /// The first argument of the command line.
    pub name: &'static str,
    /// Its arguments, for usage lines.
    pub arguments: &'static str,
    /// What it does, in one line.
    pub doc: &'static str,
    /// What it does, in full.
    pub about: &'static str,
    /// The words it accepts. Empty: any.
    pub words: &'static [SubcommandArg],
    /// Its options.
    pub options: &'static [SubcommandOption],
    /// What it runs.
    pub run: SubcommandRun,
}

const fn option(
    short: Option<char>,
    long: &'static str,
    value: &'static str,
    doc: &'static str,
) -> SubcommandOption {
    SubcommandOption {
        opt: OptionSpec {
            short,
            long: Some(long),
            argument: !value.is_empty(),
            ours: true,
        },
        value,
        doc,
    }
}

/// `--help` of every subcommand.
pub const HELP: &str = "help";
/// `--name` of both subcommands.
pub const NAME: &str = "name";
/// `--configuration` of `service`.
pub const CONFIGURATION: &str = "configuration";
/// `--env-file` of `service`.
pub const ENV_FILE: &str = "env-file";

const HELP_OPTION: SubcommandOption = option(Some('h'), HELP, "", "print this help and exit");

/// All subcommands, in the order of the help text.
pub const SUBCOMMANDS: &[Subcommand] = &[
    Subcommand {
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
        run: SubcommandRun::Import,
    },
    Subcommand {
        name: "service",
        arguments: "install|uninstall|start|stop|restart|status",
        doc: "install this binary as a systemd service, and control the service",
        about: "For a binary that was not installed from a package. All actions except status need root.",
        words: &[
            SubcommandArg {
                name: "install",
                doc: "check the configuration, write the unit, enable it",
            },
            SubcommandArg {
                name: "uninstall",
                doc: "stop and disable it, remove the unit that install wrote",
            },
            SubcommandArg {
                name: "start",
                doc: "start the service",
            },
            SubcommandArg {
                name: "stop",
                doc: "stop the service and its programs",
            },
            SubcommandArg {
                name: "restart",
                doc: "restart the daemon; programs keep running",
            },
            SubcommandArg {
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
        run: SubcommandRun::Service,
    },
];

/// The parsed command line of a subcommand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParsedArgs {
    options: Vec<(&'static str, String)>,
    /// The arguments that are not options.
    pub words: Vec<String>,
}

impl ParsedArgs {
    /// The argument of the option with this long name. Empty if it takes none. `None`: not given.
    #[must_use]
    pub fn option(&self, long: &str) -> Option<&str> {
        let mut given = self.options.iter();
        given
            .find(|(name, _)| *name == long)
            .map(|(_, value)| value.as_str())
    }
}

impl Subcommand {
    /// The subcommand with this name.
    #[must_use]
    pub fn find_subcommand(name: &str) -> Option<&'static Self> {
        SUBCOMMANDS
            .iter()
            .find(|subcommand| subcommand.name == name)
    }

    /// Parses the arguments after the subcommand. Options may be before, between and after words, up to `--`.
    ///
    /// # Errors
    /// getopt's messages; an option that is given twice.
    pub fn parse_args(&self, args: &[String]) -> Result<ParsedArgs, String> {
        let table: Vec<OptionSpec> = self.options.iter().map(|option| option.opt).collect();
        let end = args.iter().position(|word| word == "--");
        let (mut rest, words_only) = match end {
            Some(at) => (args[..at].to_vec(), &args[at + 1..]),
            None => (args.to_vec(), &[][..]),
        };
        let mut parsed = ParsedArgs {
            options: Vec::new(),
            words: Vec::new(),
        };
        loop {
            let (given, mut words) = getopt(&rest, &table)?;
            for ParsedOption {
                index,
                spelled,
                value,
            } in given
            {
                let name = table[index].long.unwrap_or_default();
                if parsed.option(name).is_some() {
                    return Err(format!("conflicting command line option '{spelled}'"));
                }
                parsed.options.push((name, value.unwrap_or_default()));
            }
            if words.is_empty() {
                break;
            }
            parsed.words.push(words.remove(0));
            rest = words;
        }
        parsed.words.extend(words_only.iter().cloned());
        Ok(parsed)
    }

    /// Completes `word` after the words `before`, which follow the subcommand.
    #[must_use]
    pub fn complete(&self, mut before: &[String], word: &str) -> Completion {
        let table: Vec<OptionSpec> = self.options.iter().map(|option| option.opt).collect();
        let mut words = 0;
        let place = loop {
            match completion::word_position(before, word, &table) {
                // Options may follow words.
                WordPosition::Word(at) if at < before.len() => {
                    before = &before[at + 1..];
                    words += 1;
                }
                place => break place,
            }
        };
        match place {
            WordPosition::Option => {
                let options = self.options.iter();
                completion::options(options.map(|option| (option.opt, option.doc)), word)
            }
            WordPosition::Value { index, joined } => {
                completion::values(self.options[index].value, &joined, word)
            }
            // Any word is accepted, such as a file name.
            WordPosition::Word(_) if self.words.is_empty() => Completion::names(NameSource::Files),
            WordPosition::Word(_) if words == 0 => {
                let words = self.words.iter();
                Completion::of(words.map(|word| Candidate::new(word.name, word.doc)), word)
            }
            WordPosition::Word(_) => Completion::default(),
        }
    }

    /// The text of its `-h`. `argv0`: the program's name as it was started.
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
            text.push_str(&row(&option_text(&option.opt, option.value), option.doc));
        }
        text
    }
}

/// Wraps a text at 79 columns.
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

/// The left column of an option in a help text: short form, long form, name of the argument.
pub(super) fn option_text(opt: &OptionSpec, value: &str) -> String {
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

/// One row of a help text.
pub(super) fn row(left: &str, doc: &str) -> String {
    format!("  {left:<31} {doc}\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(subcommand: &str, line: &str) -> Result<ParsedArgs, String> {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Subcommand::find_subcommand(subcommand)
            .expect("a verb")
            .parse_args(&args)
    }

    #[test]
    fn options_are_accepted_before_and_after_words() {
        for line in [
            "install -c /etc/x --name y",
            "-c /etc/x install --name=y",
            "--name y -c/etc/x -- install",
        ] {
            let parsed = read("service", line).expect(line);
            assert_eq!(parsed.words, ["install"], "{line}");
            assert_eq!(parsed.option(CONFIGURATION), Some("/etc/x"), "{line}");
            assert_eq!(parsed.option(NAME), Some("y"), "{line}");
            assert_eq!(parsed.option(HELP), None, "{line}");
        }
        let parsed = read("import", "a - -h -- -b").expect("read");
        assert_eq!(parsed.words, ["a", "-", "-b"]);
        assert_eq!(parsed.option(HELP), Some(""));
    }

    #[test]
    fn mistakes_have_getopts_messages() {
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
        for subcommand in SUBCOMMANDS {
            let text = subcommand.usage("supervisord");
            assert!(text.contains(&format!("Usage: supervisord {}", subcommand.name)));
            for word in subcommand.words {
                assert!(text.contains(word.doc), "{text}");
                assert!(subcommand.arguments.contains(word.name));
            }
            for option in subcommand.options {
                assert!(text.contains(option.doc), "{text}");
            }
        }
    }
}
