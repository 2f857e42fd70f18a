//! The command line of `supervisord init`.

use clap::{ArgMatches, Command};

pub(super) const NAME: &str = "init";

const OUTPUT: &str = "output";

const ABOUT: &str = "\
Writes a sample configuration with all sections and keys to a new file, as
echo_supervisord_conf prints it. A file that exists is not changed.";

/// The arguments of `init`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InitArgs {
    /// The file to write; `-` is standard output.
    pub output: String,
}

pub(super) fn command() -> Command {
    super::command(NAME, "write a sample configuration to a new file", ABOUT)
        .arg(super::help())
        .arg(
            super::option(OUTPUT, "FILE", "the new file, or - for standard output")
                .short('o')
                .required(true),
        )
}

pub(super) fn args(matches: &ArgMatches) -> InitArgs {
    InitArgs {
        output: matches
            .get_one::<String>(OUTPUT)
            .cloned()
            .unwrap_or_default(),
    }
}
