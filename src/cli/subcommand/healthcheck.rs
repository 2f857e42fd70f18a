//! The command line of `supervisord healthcheck`.

use clap::{ArgMatches, Command};

pub(super) const NAME: &str = "healthcheck";

const CONFIGURATION: &str = "configuration";
const SERVER_URL: &str = "serverurl";

const ABOUT: &str = "\
Asks the running daemon at the address of supervisorctl whether all programs
with autostart are RUNNING and not unhealthy, or have exited as expected, and
prints the answer of /readyz. The exit status is 0 if they are, else 1. It
needs no password.";

/// The arguments of `healthcheck`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HealthcheckArgs {
    /// The configuration file with `[supervisorctl]`. `None`: the file that supervisorctl finds.
    pub configuration: Option<String>,
    /// The address of the daemon. `None`: that of the file.
    pub server_url: Option<String>,
}

pub(super) fn command() -> Command {
    super::command(NAME, "check that all programs are ready", ABOUT)
        .arg_required_else_help(false)
        .arg(
            super::option(
                CONFIGURATION,
                "FILE",
                "configuration file with [supervisorctl]",
            )
            .short('c'),
        )
        .arg(super::help())
        .arg(
            super::option(
                SERVER_URL,
                "URL",
                "address of the daemon: http://host:port or unix:///path",
            )
            .short('s'),
        )
}

pub(super) fn args(matches: &ArgMatches) -> HealthcheckArgs {
    HealthcheckArgs {
        configuration: matches.get_one::<String>(CONFIGURATION).cloned(),
        server_url: matches.get_one::<String>(SERVER_URL).cloned(),
    }
}
