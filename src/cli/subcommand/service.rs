//! The command line of `supervisord service`.

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Arg, ArgMatches, Command};

pub(super) const NAME: &str = "service";

const ACTION: &str = "action";
const UNIT_NAME: &str = "name";
const CONFIGURATION: &str = "configuration";
const ENV_FILE: &str = "env-file";

const ABOUT: &str = "\
For a binary that was not installed from a package. All actions except status
need root.";

/// The arguments of `service`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceArgs {
    /// What to do.
    pub action: ServiceAction,
    /// The name of the unit, without its suffix; not checked.
    pub name: String,
    /// `install`: the configuration file, as given. `None`: the file that the daemon finds.
    pub configuration: Option<String>,
    /// `install`: a file with environment variables, as given.
    pub env_file: Option<String>,
}

/// What `service` does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServiceAction {
    /// Checks the configuration, writes the unit and enables it.
    Install,
    /// Stops and disables the service, and removes the unit.
    Uninstall,
    /// Starts the service.
    Start,
    /// Stops the service and its programs.
    Stop,
    /// Restarts the daemon.
    Restart,
    /// Prints systemd's status.
    Status,
}

const ACTIONS: [(ServiceAction, &str, &str); 6] = [
    (
        ServiceAction::Install,
        "install",
        "check the configuration, write the unit, enable it",
    ),
    (
        ServiceAction::Uninstall,
        "uninstall",
        "stop and disable it, remove the unit that install wrote",
    ),
    (ServiceAction::Start, "start", "start the service"),
    (
        ServiceAction::Stop,
        "stop",
        "stop the service and its programs",
    ),
    (
        ServiceAction::Restart,
        "restart",
        "restart the daemon; programs keep running",
    ),
    (
        ServiceAction::Status,
        "status",
        "print systemd's status of the service",
    ),
];

impl ServiceAction {
    /// The word on the command line, which is systemctl's too if systemctl has such a command.
    #[must_use]
    pub fn name(self) -> &'static str {
        let mut actions = ACTIONS.iter();
        actions
            .find(|(action, ..)| *action == self)
            .map_or("", |&(_, name, _)| name)
    }

    /// The action with this name.
    fn find_action(name: &str) -> Option<Self> {
        let mut actions = ACTIONS.iter();
        actions
            .find(|(_, known, _)| *known == name)
            .map(|&(action, ..)| action)
    }
}

pub(super) fn command() -> Command {
    let actions = ACTIONS.map(|(_, name, doc)| PossibleValue::new(name).help(doc));
    let action = Arg::new(ACTION).value_name("ACTION").required(true);
    let doc = "install this binary as a systemd service, and control the service";
    super::command(NAME, doc, ABOUT)
        .arg(
            super::option(
                CONFIGURATION,
                "FILE",
                "configuration file of the service (install)",
            )
            .short('c'),
        )
        .arg(super::help())
        .arg(super::option(UNIT_NAME, "NAME", "name of the unit").default_value("supervisord"))
        .arg(super::option(
            ENV_FILE,
            "FILE",
            "file with environment variables for the daemon (install)",
        ))
        .arg(
            action
                .value_parser(PossibleValuesParser::new(actions))
                .help("what to do"),
        )
}

pub(super) fn args(matches: &ArgMatches) -> ServiceArgs {
    let text = |id| matches.get_one::<String>(id).cloned();
    let action = text(ACTION).and_then(|name| ServiceAction::find_action(&name));
    ServiceArgs {
        // clap refuses a command line without an action, or with an unknown one.
        action: action.unwrap_or(ServiceAction::Status),
        name: text(UNIT_NAME).unwrap_or_default(),
        configuration: text(CONFIGURATION),
        env_file: text(ENV_FILE),
    }
}
