//! The command line of `supervisord ctl`. The actions themselves are declared in the room `ctl`.

use clap::{Arg, ArgAction, ArgMatches, Command};

pub(super) const NAME: &str = "ctl";

const URL: &str = "serverurl";
const USER: &str = "user";
const PASSWORD: &str = "password";
const CONFIGURATION: &str = "configuration";
const VERBOSE: &str = "verbose";
const WORDS: &str = "action";

const ABOUT: &str = "\
Controls a running daemon with the actions of supervisorctl, and with those of
the Go project: start-group, stop-group, logtail, and reload, which applies
changes of the configuration. `ctl help` lists all actions, and `ctl help
ACTION` describes one. Output and exit statuses are those of supervisorctl.
The options may also follow the action; -c may also come before `ctl`.";

/// The arguments of `ctl`. They contain a password, so `Debug` does not show them.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct CtlArgs {
    /// The address of the daemon. `None`: that of the configuration, or the default.
    pub url: Option<String>,
    /// The user name. `None`: that of the configuration.
    pub user: Option<String>,
    /// The password. `None`: that of the configuration.
    pub password: Option<String>,
    /// The configuration file. `None`: search for one.
    pub configuration: Option<String>,
    /// Whether `status` shows details.
    pub is_verbose: bool,
    /// The action and its arguments. At least one word.
    pub words: Vec<String>,
}

impl std::fmt::Debug for CtlArgs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CtlArgs")
            .field("url", &self.url)
            .field("words", &self.words)
            .finish_non_exhaustive()
    }
}

pub(super) fn command() -> Command {
    let option = |long, short, value, doc| super::option(long, value, doc).short(short);
    let mut command = super::command(
        NAME,
        "control a running daemon, as supervisorctl does",
        ABOUT,
    )
    .arg(super::help())
    .arg(option(
        URL,
        's',
        "URL",
        "address of the daemon: http://host:port or unix:///path",
    ))
    .arg(option(
        USER,
        'u',
        "NAME",
        "user name for servers that require one",
    ))
    .arg(option(
        PASSWORD,
        'P',
        "PASSWORD",
        "password for servers that require one (visible to other users)",
    ));
    command = command
        .arg(option(
            CONFIGURATION,
            'c',
            "FILE",
            "the configuration file; only the section [supervisorctl] is read",
        ))
        .arg(
            Arg::new(VERBOSE)
                .long(VERBOSE)
                .short('v')
                .action(ArgAction::SetTrue)
                .help("let status show details"),
        );
    command.arg(
        Arg::new(WORDS)
            .value_name("ACTION")
            .required(true)
            .action(ArgAction::Append)
            .num_args(1..)
            .trailing_var_arg(true)
            .help("an action and its arguments"),
    )
}

pub(super) fn args(matches: &ArgMatches) -> CtlArgs {
    let text = |name| matches.get_one::<String>(name).cloned();
    CtlArgs {
        url: text(URL),
        user: text(USER),
        password: text(PASSWORD),
        configuration: text(CONFIGURATION),
        is_verbose: matches.get_flag(VERBOSE),
        words: super::values_of(matches, WORDS),
    }
}

/// Moves the options of `ctl` that follow the action before it, up to `--`, as Go's parser accepts them everywhere. No
/// action has options with these letters, except `-v`, which means the same.
pub(super) fn options_first(arguments: &[String]) -> Vec<String> {
    let command = command();
    let is_named = |word: &str| {
        let found = command.get_arguments().find(|arg| {
            let long = arg.get_long().is_some_and(|long| {
                let name = word.strip_prefix("--").unwrap_or_default();
                name.split('=').next() == Some(long)
            });
            let short = arg.get_short().is_some_and(|short| {
                !word.starts_with("--")
                    && word
                        .strip_prefix('-')
                        .is_some_and(|rest| rest.starts_with(short))
            });
            (long || short) && arg.get_id() != "help"
        })?;
        let takes_value = found.get_action().takes_values();
        let is_joined = match word.starts_with("--") {
            true => word.contains('='),
            false => word.chars().count() > 2,
        };
        // `-vx` is no option of ours.
        (takes_value || !is_joined).then_some(takes_value && !is_joined)
    };
    let mut options = Vec::new();
    let mut words = Vec::new();
    let mut rest = arguments.iter();
    while let Some(word) = rest.next() {
        if word == "--" {
            words.extend(rest.cloned());
            break;
        }
        match is_named(word) {
            None => words.push(word.clone()),
            Some(takes_next) => {
                options.push(word.clone());
                if takes_next {
                    options.extend(rest.next().cloned());
                }
            }
        }
    }
    options.extend(words);
    options
}
