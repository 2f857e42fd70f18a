//! GO_ACTIONS: the actions of `supervisord ctl` that supervisorctl lacks, or that mean something else there. All others
//! are those of supervisorctl.

use super::action::{ArgKind, CtlAction, STREAM, action};
use super::actions::{self, ACTIONS};
use super::error::CtlError;
use super::session::CtlSession;
use super::{daemon, exit, group, log, process, render};

/// The actions, sorted by name.
pub(super) const GO_ACTIONS: &[CtlAction] = &[
    action("help", help)
        .takes(ArgKind::Topic)
        .hidden()
        .help(
            "help\t\tPrint a list of available actions\n\
             help <action>\tPrint help for <action>",
        ),
    action("logtail", log::logtail)
        .about("Print the last 10240 bytes of the log of a process.")
        .exits(&[
            (exit::GENERIC, "unknown process, no log, or it cannot be read"),
            (exit::INVALID_ARGUMENTS, "wrong arguments"),
        ])
        .takes(ArgKind::Process)
        .flags(&[STREAM])
        .help(
            "logtail <name>\t\t\tPrint the last 10240 bytes of the process' stdout\n\
             logtail -t stderr <name>\tThe same for stderr",
        ),
    action("reload", reload)
        .about("Without names: read the configuration and apply the differences, as `update` does, and print the groups that were added, changed and removed. With names: reload these processes in place.")
        .exits(&[
            (exit::GENERIC, "the configuration has an error, the daemon is stopping, or a process could not be reloaded"),
        ])
        .takes(ArgKind::Processes)
        .help(
            "reload\t\t\tReload config and add/remove as necessary, and will restart affected programs\n\
             reload <name> [...]\tReload processes in place",
        ),
    action("start-group", start_group)
        .about("Start all processes of groups.")
        .exits(&[
            (exit::INVALID_ARGUMENTS, "unknown group, or no name"),
            (exit::NOT_RUNNING, "a process could not be started"),
        ])
        .takes(ArgKind::Groups)
        .help("start-group <gname> [...]\tStart all processes in groups"),
    action("stop-group", stop_group)
        .about("Stop all processes of groups.")
        .exits(&[
            (exit::GENERIC, "unknown group, or no name"),
        ])
        .takes(ArgKind::Groups)
        .help("stop-group <gname> [...]\tStop all processes in groups"),
];

/// Which actions a command line can name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum ActionSet {
    /// Those of supervisorctl.
    #[default]
    Supervisorctl,
    /// Those of `supervisord ctl`.
    Go,
}

impl ActionSet {
    /// Finds an action by name.
    pub(super) fn find_action(self, name: &str) -> Option<&'static CtlAction> {
        let own = GO_ACTIONS.iter().find(|action| action.name == name);
        own.filter(|_| self == Self::Go)
            .or_else(|| actions::find_action(name).filter(|action| self.has(action)))
    }

    /// Whether an action of supervisorctl is in the set. Those of the shell make no sense without a shell.
    fn has(self, action: &CtlAction) -> bool {
        self == Self::Supervisorctl || !matches!(action.name, "EOF" | "exit" | "open" | "quit")
    }

    /// All actions, sorted by name.
    pub(super) fn actions(self) -> Vec<&'static CtlAction> {
        let own: &[CtlAction] = match self {
            Self::Supervisorctl => &[],
            Self::Go => GO_ACTIONS,
        };
        let is_replaced = |action: &CtlAction| own.iter().any(|other| other.name == action.name);
        let mut all: Vec<&CtlAction> = ACTIONS
            .iter()
            .filter(|action| self.has(action) && !is_replaced(action))
            .chain(own)
            .collect();
        all.sort_by_key(|action| action.name);
        all
    }
}

/// The action `help [topic]`.
fn help(session: &mut CtlSession, topic: &str) -> Result<(), CtlError> {
    if topic.is_empty() {
        let all = ActionSet::Go.actions();
        let listed = all.iter().copied().filter(|action| action.listed);
        if session.screen.is_for_people {
            return actions::list_actions(session, listed);
        }
        let names: Vec<&str> = listed.map(|action| action.name).collect();
        session.say("actions (type help <action>):")?;
        for line in render::columns(&names) {
            session.say(&line)?;
        }
        return Ok(());
    }
    let found = ActionSet::Go.find_action(topic);
    match found.filter(|action| !action.help.is_empty()) {
        Some(action) => action.say_help(session),
        None => session.refuse(&format!("*** No help on {topic}")),
    }
}

/// The action `reload [name…]`.
fn reload(session: &mut CtlSession, arguments: &str) -> Result<(), CtlError> {
    match arguments.is_empty() {
        true => group::apply_changes(session),
        false => daemon::reload(session, arguments),
    }
}

fn start_group(session: &mut CtlSession, arguments: &str) -> Result<(), CtlError> {
    on_groups(session, arguments, exit::INVALID_ARGUMENTS, process::start)
}

fn stop_group(session: &mut CtlSession, arguments: &str) -> Result<(), CtlError> {
    on_groups(session, arguments, exit::GENERIC, process::stop)
}

/// Runs an action on all processes of the groups. A word that is not the name of a group selects nothing else.
fn on_groups(
    session: &mut CtlSession,
    arguments: &str,
    no_names: u8,
    run: fn(&mut CtlSession, &str) -> Result<(), CtlError>,
) -> Result<(), CtlError> {
    let mut members = Vec::new();
    for name in arguments.split_whitespace() {
        if name.contains(':') {
            session.refuse(&format!("{name}: ERROR (no such group)"))?;
            continue;
        }
        members.push(format!("{name}:*"));
    }
    if arguments.is_empty() {
        let text = format!("Error: {} requires a group name", session.running.name);
        return session.usage(&text, no_names);
    }
    match members.is_empty() {
        true => Ok(()),
        false => run(session, &members.join(" ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_has_help_and_the_list_is_sorted() {
        for action in GO_ACTIONS {
            assert!(action.help.starts_with(action.name), "{}", action.name);
            let words = |word: &str| {
                action
                    .help
                    .split([' ', '\t', '\n'])
                    .any(|other| other == word)
            };
            assert!(
                action.flags.iter().all(|flag| words(flag.name)),
                "{}",
                action.name
            );
        }
        assert!(GO_ACTIONS.is_sorted_by_key(|action| action.name));
        assert!(
            ActionSet::Go
                .actions()
                .is_sorted_by_key(|action| action.name)
        );
    }

    #[test]
    fn g08_each_set_has_its_own_actions() {
        for name in ["start-group", "stop-group", "logtail"] {
            assert!(
                ActionSet::Supervisorctl.find_action(name).is_none(),
                "{name}"
            );
            assert!(ActionSet::Go.find_action(name).is_some(), "{name}");
        }
        for name in [
            "status", "start", "stop", "restart", "signal", "pid", "fg", "shutdown",
        ] {
            let of = |set: ActionSet| set.find_action(name).map(|action| action.help);
            assert_eq!(of(ActionSet::Go), of(ActionSet::Supervisorctl), "{name}");
        }
        let reload = |set: ActionSet| set.find_action("reload").expect("there").brief();
        assert_ne!(reload(ActionSet::Go), reload(ActionSet::Supervisorctl));
        assert!(ActionSet::Go.find_action("open").is_none());
    }
}
