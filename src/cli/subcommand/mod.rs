//! SUBCOMMANDS: the subcommands of `supervisord`, which its first argument selects. Each is a clap command, and all that is
//! known about it derives from that: parsing, help, completion and manual.

mod ctl;
mod healthcheck;
mod import;
mod init;
mod service;
mod token;
mod version;

use std::sync::OnceLock;

use clap::builder::StyledStr;
use clap::error::ErrorKind;
use clap::{Arg, ArgAction, ArgMatches, Command};

use super::completion::{self, Candidate, Completion, NameSource, WordPosition};
use super::getopt::OptionSpec;
use super::options::OptionRow;
pub use ctl::CtlArgs;
pub use healthcheck::HealthcheckArgs;
pub use import::ImportArgs;
pub use init::InitArgs;
pub use service::{ServiceAction, ServiceArgs};
pub use token::TokenArgs;

/// All subcommands, in the order of the help text.
pub static SUBCOMMANDS: [Subcommand; 7] = [
    Subcommand::new(ctl::NAME, ctl::command, |matches| {
        SubcommandRequest::Ctl(ctl::args(matches))
    }),
    Subcommand::new(import::NAME, import::command, |matches| {
        SubcommandRequest::Import(import::args(matches))
    }),
    Subcommand::new(service::NAME, service::command, |matches| {
        SubcommandRequest::Service(service::args(matches))
    }),
    Subcommand::new(init::NAME, init::command, |matches| {
        SubcommandRequest::Init(init::args(matches))
    }),
    Subcommand::new(healthcheck::NAME, healthcheck::command, |matches| {
        SubcommandRequest::Healthcheck(healthcheck::args(matches))
    }),
    Subcommand::new(token::NAME, token::command, |matches| {
        SubcommandRequest::Token(token::args(matches))
    }),
    Subcommand::new(version::NAME, version::command, |_| {
        SubcommandRequest::Version
    }),
];

/// The values of an argument that can be given several times.
fn values_of(matches: &ArgMatches, name: &str) -> Vec<String> {
    let values = matches.get_many::<String>(name);
    values.into_iter().flatten().cloned().collect()
}

/// One subcommand.
pub struct Subcommand {
    /// The first argument of the command line.
    pub name: &'static str,
    build: fn() -> Command,
    request: fn(&ArgMatches) -> SubcommandRequest,
    /// Built when it is needed: a daemon that only starts needs none.
    command: OnceLock<Command>,
}

/// What a valid command line asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubcommandRequest {
    /// Control a running daemon.
    Ctl(CtlArgs),
    /// Convert systemd units to program sections.
    Import(ImportArgs),
    /// Install the daemon as a systemd service, or control the service.
    Service(ServiceArgs),
    /// Write a sample configuration.
    Init(InitArgs),
    /// Ask the running daemon whether its programs are ready.
    Healthcheck(HealthcheckArgs),
    /// Make a token.
    Token(TokenArgs),
    /// Print the version.
    Version,
}

/// What to print instead of running the subcommand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubcommandText {
    /// The help text, for standard output. The exit status is 0.
    Help(StyledText),
    /// What is wrong with the arguments, for standard error. The exit status is 2.
    Mistake(StyledText),
}

/// A text of whole lines that a terminal can show in colours.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StyledText(StyledStr);

impl StyledText {
    /// Returns the text, with escape sequences for colours if `is_coloured`.
    #[must_use]
    pub fn render(&self, is_coloured: bool) -> String {
        match is_coloured {
            true => self.0.ansi().to_string(),
            false => self.0.to_string(),
        }
    }
}

/// A word that a subcommand accepts as its argument.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubcommandWord {
    /// The word.
    pub name: String,
    /// What it does, in one line.
    pub doc: String,
}

impl Subcommand {
    const fn new(
        name: &'static str,
        build: fn() -> Command,
        request: fn(&ArgMatches) -> SubcommandRequest,
    ) -> Self {
        Self {
            name,
            build,
            request,
            command: OnceLock::new(),
        }
    }

    /// The subcommand with this name.
    #[must_use]
    pub fn find_subcommand(name: &str) -> Option<&'static Self> {
        SUBCOMMANDS
            .iter()
            .find(|subcommand| subcommand.name == name)
    }

    /// The subcommand that a command line (without argv\[0\]) selects, with its arguments. `-c FILE` may precede `ctl`, as in
    /// Go. `None`: the command line is that of the daemon.
    #[must_use]
    pub fn of_command_line(args: &[String]) -> Option<(&'static Self, Vec<String>)> {
        let (first, rest) = args.split_first()?;
        if let Some(subcommand) = Self::find_subcommand(first) {
            return Some((subcommand, rest.to_vec()));
        }
        let is_separate = first == "-c" || first == "--configuration";
        let is_joined = first.starts_with("--configuration=")
            || first.len() > 2 && first.starts_with("-c") && !first.starts_with("--");
        let at = match (is_separate, is_joined) {
            (true, _) => 2,
            (false, true) => 1,
            (false, false) => return None,
        };
        let behind = args.get(at..)?;
        (behind.first()? == ctl::NAME).then(|| {
            let arguments = args[..at].iter().chain(&behind[1..]);
            Self::find_subcommand(ctl::NAME).map(|it| (it, arguments.cloned().collect()))
        })?
    }

    /// Whether it is `ctl`, whose words the room `ctl` completes.
    #[must_use]
    pub fn is_client(&self) -> bool {
        self.name == ctl::NAME
    }

    fn command(&self) -> &Command {
        self.command.get_or_init(self.build)
    }

    /// Parses the arguments after the subcommand. `argv0`: the program's name as it was started, for the texts. Options
    /// may be before, between and after words, up to `--`.
    ///
    /// # Errors
    /// The text of `-h`, or what is wrong.
    pub fn parse_args(
        &self,
        argv0: &str,
        args: &[String],
    ) -> Result<SubcommandRequest, SubcommandText> {
        let command = self.command().clone();
        let moved = self.is_client().then(|| ctl::options_first(args));
        let args = moved.as_deref().unwrap_or(args);
        let matches = command
            .bin_name(format!("{argv0} {}", self.name))
            .no_binary_name(true)
            .try_get_matches_from(args)
            .map_err(|error| {
                let text = StyledText(error.render());
                match error.kind() {
                    ErrorKind::DisplayHelp => SubcommandText::Help(text),
                    _ => SubcommandText::Mistake(text),
                }
            })?;
        Ok((self.request)(&matches))
    }

    /// What it does, in one line.
    #[must_use]
    pub fn doc(&self) -> String {
        self.command()
            .get_about()
            .map(ToString::to_string)
            .unwrap_or_default()
    }

    /// What it does, in full.
    #[must_use]
    pub fn about(&self) -> String {
        self.command()
            .get_long_about()
            .map(ToString::to_string)
            .unwrap_or_default()
    }

    /// Its arguments without options, for usage lines.
    #[must_use]
    pub fn arguments(&self) -> String {
        let words: Vec<String> = self.words().into_iter().map(|word| word.name).collect();
        if !words.is_empty() {
            return words.join("|");
        }
        let names = self.command().get_positionals().map(value_name);
        names
            .map(|name| format!("{name}..."))
            .collect::<Vec<_>>()
            .join(" ")
    }

    /// The words it accepts as its argument. Empty: any.
    #[must_use]
    pub fn words(&self) -> Vec<SubcommandWord> {
        let values = self
            .command()
            .get_positionals()
            .flat_map(Arg::get_possible_values);
        values
            .map(|value| SubcommandWord {
                name: value.get_name().to_owned(),
                doc: value
                    .get_help()
                    .map(ToString::to_string)
                    .unwrap_or_default(),
            })
            .collect()
    }

    /// Its options, in the order of the help text.
    pub fn options(&'static self) -> impl Iterator<Item = OptionRow> {
        let options = self.command().get_arguments();
        options.filter(|arg| !arg.is_positional()).map(|arg| {
            let value = match arg.get_action().takes_values() {
                true => value_name(arg),
                false => "",
            };
            OptionRow {
                opt: OptionSpec {
                    short: arg.get_short(),
                    long: arg.get_long(),
                    argument: !value.is_empty(),
                    ours: true,
                },
                value,
                default: arg
                    .get_default_values()
                    .first()
                    .and_then(|text| text.to_str()),
                doc: arg
                    .get_help()
                    .map(ToString::to_string)
                    .unwrap_or_default()
                    .into(),
            }
        })
    }

    /// Completes `word` after the words `before`, which follow the subcommand.
    #[must_use]
    pub fn complete(&'static self, mut before: &[String], word: &str) -> Completion {
        let options: Vec<OptionRow> = self.options().collect();
        let table: Vec<OptionSpec> = options.iter().map(|option| option.opt).collect();
        let mut given = 0;
        let place = loop {
            match completion::word_position(before, word, &table) {
                // Options may follow words.
                WordPosition::Word(at) if at < before.len() => {
                    before = &before[at + 1..];
                    given += 1;
                }
                place => break place,
            }
        };
        let words = self.words();
        match place {
            WordPosition::Option => {
                let options = options.iter();
                completion::options(options.map(|option| (option.opt, &*option.doc)), word)
            }
            WordPosition::Value { index, joined } => {
                completion::values(options[index].value, &joined, word)
            }
            // Any word is accepted, such as a file name.
            WordPosition::Word(_) if words.is_empty() => Completion::names(NameSource::Files),
            WordPosition::Word(_) if given == 0 => {
                let words = words.into_iter();
                Completion::of(words.map(|word| Candidate::new(word.name, word.doc)), word)
            }
            WordPosition::Word(_) => Completion::default(),
        }
    }
}

/// The name of the argument's value in help texts, such as FILE.
fn value_name(arg: &Arg) -> &str {
    let names = arg.get_value_names().unwrap_or_default();
    names.first().map_or("", |name| name.as_str())
}

/// A command with what all subcommands have in common. `doc`: one line. `about`: in full, in lines of at most 79 columns,
/// because clap does not wrap.
fn command(name: &'static str, doc: &'static str, about: &'static str) -> Command {
    Command::new(name)
        .about(doc)
        .long_about(about)
        .disable_help_flag(true)
        // A user who types only the subcommand wants to know what it takes.
        .arg_required_else_help(true)
}

/// An option with an argument that may be given once.
fn option(long: &'static str, value: &'static str, doc: &'static str) -> Arg {
    Arg::new(long).long(long).value_name(value).help(doc)
}

/// `--help`, which clap adds by itself, but in another place and with another text.
fn help() -> Arg {
    let action = ArgAction::HelpLong;
    let doc = "print this help and exit";
    Arg::new("help")
        .short('h')
        .long("help")
        .action(action)
        .help(doc)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(subcommand: &str, line: &str) -> Result<SubcommandRequest, SubcommandText> {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        Subcommand::find_subcommand(subcommand)
            .expect("a subcommand")
            .parse_args("bin/supervisord", &args)
    }

    #[test]
    fn commands_are_sound() {
        for subcommand in &SUBCOMMANDS {
            subcommand.command().clone().debug_assert();
            assert_eq!(subcommand.command().get_name(), subcommand.name);
        }
    }

    #[test]
    fn options_are_accepted_before_and_after_words() {
        for line in [
            "install -c /etc/x --name y",
            "-c /etc/x install --name=y",
            "--name y -c/etc/x -- install",
        ] {
            let expected = ServiceArgs {
                action: ServiceAction::Install,
                name: "y".to_owned(),
                configuration: Some("/etc/x".to_owned()),
                env_file: None,
            };
            assert_eq!(
                read("service", line),
                Ok(SubcommandRequest::Service(expected)),
                "{line}"
            );
        }
        let expected = ImportArgs {
            units: ["a", "-", "-b"].map(str::to_owned).into(),
            stdin_name: "stdin".to_owned(),
        };
        assert_eq!(
            read("import", "a - -- -b"),
            Ok(SubcommandRequest::Import(expected))
        );
    }

    #[test]
    fn every_word_of_service_is_an_action() {
        let service = Subcommand::find_subcommand("service").expect("there");
        for word in service.words() {
            let request = read("service", &word.name).expect("accepted");
            let SubcommandRequest::Service(args) = request else {
                panic!("{request:?}");
            };
            assert_eq!(args.action.name(), word.name);
            assert_eq!(args.name, "supervisord");
        }
    }

    #[test]
    fn g09_options_of_ctl_are_accepted_everywhere() {
        let expected = CtlArgs {
            url: Some("unix:///s".to_owned()),
            user: Some("u".to_owned()),
            password: Some("p".to_owned()),
            configuration: Some("f".to_owned()),
            is_verbose: true,
            words: ["status", "a", "--json"].map(str::to_owned).into(),
        };
        for line in [
            "ctl -c f -s unix:///s -u u -P p -v status a --json",
            "ctl status -v a -sunix:///s --json --user u -Pp -cf",
            "-c f ctl --serverurl=unix:///s status a --json --user=u --password p --verbose",
            "--configuration=f ctl -vsunix:///s -uu -Pp status a --json",
            "-cf ctl -s unix:///s -u u -P p -v -- status a --json",
        ] {
            let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            let (subcommand, args) = Subcommand::of_command_line(&args).expect("ctl");
            let read = subcommand.parse_args("supervisord", &args);
            assert_eq!(read, Ok(SubcommandRequest::Ctl(expected.clone())), "{line}");
        }
        let read = read("ctl", "tail -f a -- -s");
        let Ok(SubcommandRequest::Ctl(args)) = read else {
            panic!("{read:?}");
        };
        assert_eq!(args.words, ["tail", "-f", "a", "-s"]);
        for line in ["-c f status", "-c", "-c f", "-n ctl", "-c f import"] {
            let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
            assert!(Subcommand::of_command_line(&args).is_none(), "{line}");
        }
    }

    #[test]
    fn mistakes_name_what_is_wrong_and_the_usage() {
        for (line, told) in [
            ("service install -x", "unexpected argument '-x'"),
            (
                "service install -c",
                "a value is required for '--configuration <FILE>'",
            ),
            ("service --nam y", "'--name'"),
            ("service instal", "'install'"),
            ("service restart now", "unexpected argument 'now'"),
            (
                "service -c a --configuration b install",
                "cannot be used multiple times",
            ),
            ("service --name a", "required arguments were not provided"),
            ("service", "uninstall"),
            ("import", "<UNIT>..."),
            ("ctl -x status", "unexpected argument '-x'"),
            ("ctl -s", "a value is required for '--serverurl <URL>'"),
            ("ctl -v", "required arguments were not provided"),
        ] {
            let (subcommand, line) = line.split_once(' ').unwrap_or((line, ""));
            let Err(SubcommandText::Mistake(text)) = read(subcommand, line) else {
                panic!("{line}: accepted");
            };
            assert!(text.render(true).contains('\u{1b}'));
            let text = text.render(false);
            assert!(!text.contains('\u{1b}'));
            // Without any argument, the text is the help.
            let is_told = text.starts_with("error: ") || line.is_empty();
            assert!(is_told && text.contains(told), "{line}: {text}");
            let usage = format!("Usage: bin/supervisord {subcommand} ");
            let mut usages = text.lines().filter(|line| line.starts_with("Usage:"));
            assert!(usages.all(|line| line.starts_with(&usage)), "{text}");
        }
    }

    #[test]
    fn help_shows_every_word_and_option_in_80_columns() {
        for subcommand in &SUBCOMMANDS {
            for flag in ["-h", "--help"] {
                let Err(SubcommandText::Help(text)) = read(subcommand.name, flag) else {
                    panic!("{flag}: no help");
                };
                let text = text.render(false);
                assert!(text.contains(&format!("Usage: bin/supervisord {}", subcommand.name)));
                for word in subcommand.words() {
                    assert!(text.contains(&word.doc), "{text}");
                }
                for option in subcommand.options() {
                    assert!(text.contains(&*option.doc), "{text}");
                }
                assert!(text.lines().all(|line| line.len() < 80), "{text}");
            }
        }
    }
}
