//! The command line of `supervisord import`.

use clap::{Arg, ArgAction, ArgMatches, Command};

pub(super) const NAME: &str = "import";

const UNITS: &str = "units";
const STDIN_NAME: &str = "name";

const ABOUT: &str = "\
Reads systemd service units and prints a section for each unit, with a comment
for each directive without an equivalent. A UNIT is a path, a name such as
nginx.service or nginx, which is searched in systemd's directories together
with its drop-ins, or - for standard input.";

/// The arguments of `import`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportArgs {
    /// Paths and names of units; `-` is standard input. At least one.
    pub units: Vec<String>,
    /// The name of the unit on standard input.
    pub stdin_name: String,
}

pub(super) fn command() -> Command {
    let units = Arg::new(UNITS).value_name("UNIT");
    super::command(NAME, "print systemd units as [program:x] sections", ABOUT)
        .arg(super::help())
        .arg(
            super::option(STDIN_NAME, "NAME", "the name of the unit on standard input")
                .default_value("stdin"),
        )
        .arg(
            units
                .required(true)
                .action(ArgAction::Append)
                .help("a path, a name, or - for standard input"),
        )
}

pub(super) fn args(matches: &ArgMatches) -> ImportArgs {
    ImportArgs {
        units: super::values_of(matches, UNITS),
        stdin_name: matches
            .get_one::<String>(STDIN_NAME)
            .cloned()
            .unwrap_or_default(),
    }
}
