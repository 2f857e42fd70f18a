//! The command line of `supervisorctl`, which overrides its section of the configuration file.

use std::path::PathBuf;

use super::action::VERBOSE;
use super::screen::ColorWhen;
use crate::cli::getopt::{OptionSpec, ParsedOption, getopt};
use crate::cli::subcommand::CtlArgs;
use crate::config::ctl::CtlSpec;
use crate::domain::python_repr;

/// The effective options.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct CtlOptions {
    /// Whether to ask the user for confirmation and missing values.
    pub(super) interactive: bool,
    /// The server's URL.
    pub(super) url: String,
    /// The user name for the server.
    pub(super) username: Option<String>,
    /// The password for the server.
    pub(super) password: Option<String>,
    /// The beginning of the prompt.
    pub(super) prompt: String,
    /// The history file of the shell. `None`: no history is stored.
    pub(super) history: Option<PathBuf>,
    /// When to colour the output.
    pub(super) color: ColorWhen,
    /// The action and its arguments.
    pub(super) words: Vec<String>,
}

/// The parsed command line.
#[derive(Clone, PartialEq, Eq, Default)]
pub(super) struct CtlCommandLine {
    /// The configuration file to read. `None`: search for one.
    pub(super) file: Option<String>,
    /// Whether a configuration file without `[supervisorctl]` is an error. It is in Supervisor, but not in Go.
    pub(super) needs_section: bool,
    help: bool,
    interactive: bool,
    url: Option<String>,
    username: Option<String>,
    password: Option<String>,
    history: Option<PathBuf>,
    color: Option<ColorWhen>,
    version: bool,
    words: Vec<String>,
}

/// One option with its documentation.
pub(super) struct CtlOptionRow {
    /// How the option is written.
    pub(super) opt: OptionSpec,
    /// The placeholder of its argument. Empty: no argument.
    pub(super) value: &'static str,
    /// Its description.
    pub(super) doc: &'static str,
}

/// All options. The text of `-h`, below, is Supervisor's.
#[rustfmt::skip] // One row, one line.
pub(super) const ROWS: &[CtlOptionRow] = &[
    row('c', "configuration", "FILE", "the configuration file; only the section [supervisorctl] is read"),
    row('h', "help", "", "print a short help and exit (also -?)"),
    row('i', "interactive", "", "start the interactive shell, also after an action"),
    row('s', "serverurl", "URL", "address of the daemon: http://host:port, or unix:// and the path of a socket"),
    row('u', "username", "NAME", "user name for servers that require one"),
    row('p', "password", "PASSWORD", "password for servers that require one; other users can see it in the process list"),
    row('r', "history_file", "FILE", "history file of the shell"),
    own_row("color", "WHEN", "colour the output: auto (at a terminal, unless NO_COLOR is set), always or never"),
    own_row("version", "", "print the version of this program and exit"),
];

/// The long name of the option `--color`.
const COLOR: &str = "color";
/// The long name of the option `--version`.
const VERSION: &str = "version";

/// An option that Supervisor does not have.
const fn own_row(long: &'static str, value: &'static str, doc: &'static str) -> CtlOptionRow {
    CtlOptionRow {
        opt: OptionSpec {
            short: None,
            long: Some(long),
            argument: !value.is_empty(),
            ours: true,
        },
        value,
        doc,
    }
}

/// The alias `-?` of `-h`.
const QUESTION: OptionSpec = OptionSpec {
    short: Some('?'),
    long: None,
    argument: false,
    ours: false,
};

/// Another spelling of `--history_file`. Supervisor's help shows it, but its client refuses it.
const HISTORY: OptionSpec = OptionSpec {
    short: Some('r'),
    long: Some("history-file"),
    argument: true,
    ours: true,
};

const fn row(
    short: char,
    long: &'static str,
    value: &'static str,
    doc: &'static str,
) -> CtlOptionRow {
    CtlOptionRow {
        opt: OptionSpec {
            short: Some(short),
            long: Some(long),
            argument: !value.is_empty(),
            ours: false,
        },
        value,
        doc,
    }
}

/// The options that the parser accepts.
pub(super) fn table() -> Vec<OptionSpec> {
    let rows = ROWS.iter().map(|row| row.opt);
    rows.chain([QUESTION, HISTORY]).collect()
}

impl CtlCommandLine {
    /// Parses the arguments after the program's name.
    ///
    /// # Errors
    /// Supervisor's message for a usage error.
    pub(super) fn read(arguments: &[String]) -> Result<Self, String> {
        let table = table();
        let (given, words) = getopt(arguments, &table)?;
        let mut line = Self {
            words,
            needs_section: true,
            ..Self::default()
        };
        for option in &given {
            line.set(&table[option.index], option)?;
        }
        Ok(line)
    }

    /// The command line of `supervisord ctl`.
    pub(super) fn of_subcommand(args: CtlArgs) -> Self {
        let mut words = args.words;
        if args.is_verbose && words.first().is_some_and(|word| word == "status") {
            words.insert(1, VERBOSE.name.to_owned());
        }
        Self {
            file: args.configuration,
            url: args.url,
            username: args.user,
            password: args.password,
            words,
            ..Self::default()
        }
    }

    /// Checks the address of the server, as [`CtlCommandLine::read`] does.
    ///
    /// # Errors
    /// The message for a usage error.
    pub(super) fn check_url(&self) -> Result<(), String> {
        match self.url.as_deref().filter(|url| !is_url(url)) {
            None => Ok(()),
            Some(url) => Err(bad_url("-s", url)),
        }
    }

    fn set(&mut self, spec: &OptionSpec, option: &ParsedOption) -> Result<(), String> {
        fn once<T>(place: &mut Option<T>, value: T, option: &ParsedOption) -> Result<(), String> {
            match place.replace(value) {
                None => Ok(()),
                Some(_) => Err(format!(
                    "conflicting command line option '{}'",
                    option.spelled
                )),
            }
        }
        let value = option.value.clone().unwrap_or_default();
        match spec.short {
            None if spec.long == Some(COLOR) => {
                let when = ColorWhen::parse(&value).ok_or_else(|| {
                    format!(
                        "invalid value for --color {}: auto, always or never expected",
                        python_repr(&value)
                    )
                })?;
                once(&mut self.color, when, option)
            }
            None if spec.long == Some(VERSION) => {
                self.version = true;
                Ok(())
            }
            Some('c') => once(&mut self.file, value, option),
            Some('i') => {
                self.interactive = true;
                Ok(())
            }
            Some('s') => {
                if !is_url(&value) {
                    return Err(bad_url(&option.spelled, &value));
                }
                once(&mut self.url, value, option)
            }
            Some('u') => once(&mut self.username, value, option),
            Some('p') => once(&mut self.password, value, option),
            Some('r') => once(&mut self.history, PathBuf::from(value), option),
            _ => {
                self.help = true;
                Ok(())
            }
        }
    }

    /// Whether only the help text is requested.
    pub(super) const fn wants_help(&self) -> bool {
        self.help
    }

    /// Whether only the version is requested.
    pub(super) const fn wants_version(&self) -> bool {
        self.version
    }

    /// Combines the command line with the configuration file. Without an action the shell runs, which is interactive.
    pub(super) fn over(self, section: CtlSpec) -> CtlOptions {
        CtlOptions {
            interactive: self.interactive || self.words.is_empty(),
            url: self.url.unwrap_or(section.serverurl),
            username: self.username.or(section.username),
            password: self.password.or(section.password),
            prompt: section.prompt,
            history: self.history.or(section.history_file.map(PathBuf::from)),
            color: self.color.unwrap_or_default(),
            words: self.words,
        }
    }
}

fn bad_url(option: &str, value: &str) -> String {
    format!(
        "invalid value for {option} {value}: value {value} is not a URL",
        value = python_repr(value)
    )
}

/// Whether Supervisor accepts the text as a URL: a scheme, and something after the slashes.
fn is_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else {
        return false;
    };
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte));
    is_scheme && !rest.strip_prefix("//").unwrap_or(rest).is_empty()
}

/// The text of `-h`. `program`: the name under which this program was called.
pub(super) fn usage(program: &str) -> String {
    format!(
        "supervisorctl -- control applications run by supervisord from the cmd line.

Usage: {program} [options] [action [arguments]]

Options:
-c/--configuration FILENAME -- configuration file path (searches if not given)
-h/--help -- print usage message and exit
-i/--interactive -- start an interactive shell after executing commands
-s/--serverurl URL -- URL on which supervisord server is listening
     (default \"http://localhost:9001\").
-u/--username USERNAME -- username to use for authentication with server
-p/--password PASSWORD -- password to use for authentication with server
-r/--history-file -- keep a readline history (if readline is available)

action [arguments] -- see below

Actions are commands like \"tail\" or \"stop\".  If -i is specified or no action is
specified on the command line, a \"shell\" interpreting actions typed
interactively is started.  Use the action \"help\" to find out about available
actions.

"
    )
}

/// The options that Supervisor does not have, for `-h` at a terminal.
pub(super) fn own_usage() -> String {
    let mut text = "Options that Supervisor does not have:\n".to_owned();
    for row in ROWS.iter().filter(|row| row.opt.ours) {
        let value = match row.value {
            "" => String::new(),
            value => format!(" {value}"),
        };
        let name = row.opt.long.unwrap_or_default();
        text.push_str(&format!("--{name}{value} -- {}\n", row.doc));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(line: &str) -> Result<CtlOptions, String> {
        let words: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        CtlCommandLine::read(&words).map(|line| line.over(CtlSpec::default()))
    }

    #[test]
    fn help_names_every_option() {
        let text = usage("supervisorctl");
        for row in ROWS.iter().filter(|row| !row.opt.ours) {
            let short = row.opt.short.expect("each has a letter");
            // Supervisor's help spells this option with a dash but accepts it with an underscore.
            let long = row.opt.long.expect("each has a name").replace('_', "-");
            assert!(text.contains(&format!("-{short}/--{long}")), "{long}");
        }
    }

    #[test]
    fn ctl_01_option_errors_have_supervisors_messages() {
        let table = [
            (
                "-s foo",
                "invalid value for -s 'foo': value 'foo' is not a URL",
            ),
            (
                "-s http:",
                "invalid value for -s 'http:': value 'http:' is not a URL",
            ),
            (
                "-s http://",
                "invalid value for -s 'http://': value 'http://' is not a URL",
            ),
            (
                "--serverurl unix:",
                "invalid value for --serverurl 'unix:': value 'unix:' is not a URL",
            ),
            (
                "-s unix://",
                "invalid value for -s 'unix://': value 'unix://' is not a URL",
            ),
            ("-c x -c y", "conflicting command line option '-c'"),
            (
                "-c x --conf y",
                "conflicting command line option '--configuration'",
            ),
            ("--foo", "option --foo not recognized"),
            ("-x", "option -x not recognized"),
            ("-s", "option -s requires argument"),
        ];
        for (line, expected) in table {
            assert_eq!(read(line).err().as_deref(), Some(expected), "{line}");
        }
    }

    #[test]
    fn ctl_01_options_have_supervisors_defaults() -> Result<(), String> {
        let shell = read("")?;
        assert!(shell.interactive);
        assert_eq!(
            (shell.url.as_str(), shell.prompt.as_str()),
            ("http://localhost:9001", "supervisor")
        );
        let action = read("-s unix:foo -u me status -x")?;
        assert!(!action.interactive);
        assert_eq!(action.url, "unix:foo");
        assert_eq!(action.username.as_deref(), Some("me"));
        assert_eq!(action.words, ["status", "-x"]);
        assert!(read("-i status")?.interactive);
        for line in [
            "--history-file x",
            "--history-file=x",
            "--history_file x",
            "--hist x",
            "-rx",
        ] {
            assert_eq!(read(line)?.history, Some(PathBuf::from("x")), "{line}");
        }
        Ok(())
    }
}
