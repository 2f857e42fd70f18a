//! The command line of `supervisord token`.

use clap::{Arg, ArgAction, ArgMatches, Command};

pub(super) const NAME: &str = "token";

const WORDS: &str = "words";

const ABOUT: &str = "\
Makes a token for the file of tokens_file=. Standard output gets the line for
the file, and standard error the token, which is stored nowhere:

  supervisord token grafana status logs >> /etc/supervisor/tokens

The words are the name of the token and what its bearer may do, as in a rule
of allow=: VERB... [on PROCESS...].";

/// The arguments of `token`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenArgs {
    /// The name, the verbs and the processes. At least one.
    pub words: Vec<String>,
}

pub(super) fn command() -> Command {
    super::command(NAME, "make a token for a tokens file", ABOUT)
        .arg(super::help())
        .arg(
            Arg::new(WORDS)
                .value_name("WORD")
                .required(true)
                .action(ArgAction::Append)
                .help("the name of the token, then VERB... [on PROCESS...]"),
        )
}

pub(super) fn args(matches: &ArgMatches) -> TokenArgs {
    TokenArgs {
        words: super::values_of(matches, WORDS),
    }
}
