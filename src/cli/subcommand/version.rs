//! The command line of `supervisord version`.

use clap::Command;

pub(super) const NAME: &str = "version";

const ABOUT: &str = "\
Prints the version in the first line and the commit that it was built from in
the second. The commit is \"unknown\" if the builder did not name it.";

pub(super) fn command() -> Command {
    super::command(NAME, "print the version and the commit", ABOUT)
        .arg_required_else_help(false)
        .arg(super::help())
}
