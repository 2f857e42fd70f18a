//! ACTIONS: all actions with their help texts and completions.

use super::action::{
    ActionFlag, ArgKind, COUNT, CtlAction, DRY_RUN, FOLLOW, GREP, IF_PLAN, JSON, LINES,
    MAX_FAILURES, NO_DEPS, OUTPUT, ROLLING, SINCE, VERBOSE, WAIT, WATCH, WITH_DEPENDENTS, YES,
    action,
};
use super::error::CtlError;
use super::session::CtlSession;
use super::{
    daemon, dependencies, exit, group, inspection_actions, log, logs, plan, process, program,
    render, rolling, schedule, screen, status,
};

/// All actions, sorted by name.
pub(super) const ACTIONS: &[CtlAction] = &[
    action("EOF", exit).hidden(),
    action("add", group::add)
        .about("Activate groups of the last read configuration. Their processes with `autostart` start.")
        .exits(&[
            (exit::GENERIC, "unknown group"),
        ])
        .takes(ArgKind::Groups)
        .help("add <name> [...]\tActivates any updates in config for process/group"),
    action("avail", group::avail)
        .about("List the processes of the last read configuration, and whether they are in use.")
        .exits(&[
            (exit::GENERIC, "the daemon is stopping"),
        ])
        .flags(&[JSON]).help("avail\t\t\tDisplay all configured processes")
        .ours("avail --json\t\tThe same as one line of JSON"),
    action("clear", process::clear)
        .about("Clear the logs of processes.")
        .exits(&[
            (exit::GENERIC, "unknown process, or a log cannot be cleared"),
        ])
        .takes(ArgKind::Processes)
        .help(
            "clear <name>\t\tClear a process' log files.\n\
             clear <name> <name>\tClear multiple process' log files\n\
             clear all\t\tClear all process' log files",
        ),
    inspection_actions::CONFIG,
    action("critical-chain", dependencies::critical_chain)
        .about("Show what the last start of a process waited for: the times of the starts, and what is waited for now.")
        .exits(&[
            (exit::GENERIC, "unknown process"),
            (exit::UNIMPLEMENTED, "the daemon does not support the action"),
        ])
        .own()
        .takes(ArgKind::Processes)
        .help(
            "critical-chain\t\t\tShow the chain of dependencies that ended last\n\
             critical-chain <name> [...]\tShow the chains of these processes",
        ),
    inspection_actions::DIFF,
    action("exit", exit)
        .about("Leave the shell.")
        .help("exit\tExit the supervisor shell."),
    action("fg", log::fg)
        .about("Show the output of a process and send lines from the terminal to its standard input, until Ctrl-C.")
        .exits(&[
            (exit::GENERIC, "unknown process, or the process is not running"),
        ])
        .takes(ArgKind::Process)
        .help(
            "fg <process>\tConnect to a process in foreground mode\n\
             \t\tCtrl-C to exit",
        ),
    action("graph", dependencies::graph)
        .about("Show what processes depend on.")
        .exits(&[
            (exit::GENERIC, "unknown process"),
            (exit::INVALID_ARGUMENTS, "wrong arguments"),
            (exit::UNIMPLEMENTED, "the daemon does not support the action"),
        ])
        .own()
        .takes(ArgKind::Processes)
        .flags(&[ActionFlag {
            name: "-o",
            argument: true,
            doc: "print tree, dot or json",
        }])
        .help(
            "graph\t\t\tShow what all processes depend on, as a tree\n\
             graph <name> [...]\tShow what these processes depend on\n\
             graph -o dot\t\tThe same for Graphviz\n\
             graph -o json\t\tThe same as one line of JSON",
        ),
    action("help", help)
        .about("List all actions, or describe one action.")
        .takes(ArgKind::Topic)
        .hidden()
        .help(
            "help\t\tPrint a list of available actions\n\
             help <action>\tPrint help for <action>",
        ),
    inspection_actions::HISTORY,
    inspection_actions::HOLD,
    action("logs", logs::logs)
        .quoted()
        .about("Print the end of the logs of many processes, standard output and standard error together, each line with the name of its process. The history of several logs is in order of time if each line begins with a time (RFC 3339 with its zone, as `log_format=prefix` and `json` write it); otherwise one log follows another, in order of the names. With `-f`, new lines are shown in the order in which they arrive, until Ctrl-C; after an upgrade or a restart of the daemon it prints a warning and goes on where it stopped, and it ends if no daemon answers for five seconds. `--since` needs such times, or a log in the journal: for a log without times it says so and selects nothing. `--grep` takes a regular expression, whose search takes linear time; with it, `-n` counts the lines that match. A terminal that is too slow loses lines, and the output says how many; a pipe gets all. A log that is only in the journal is shown too. Supervisor 4.3.0 as the server can only follow from the last 1024 bytes of each log on.")
        .exits(&[
            (exit::GENERIC, "unknown process, no log, a log without times for `--since`, or the daemon has exited"),
            (exit::INVALID_ARGUMENTS, "wrong options, or no name"),
        ])
        .own()
        .takes(ArgKind::Processes)
        .flags(&[FOLLOW, LINES, SINCE, GREP, JSON])
        .help(
            "logs <name> [...]\t\tPrint the last 10 lines of stdout and stderr of processes\n\
             logs <gname>:*\t\t\tThe same for all processes in a group\n\
             logs all\t\t\tThe same for all processes\n\
             logs -f ...\t\t\tAlso print new lines as they arrive (Ctrl-C to exit)\n\
             logs -n <count> ...\t\tThe last <count> lines of each log\n\
             logs --since <time> ...\t\tThe lines of the last 90s, 10m, 2h or 1d, where the log has times\n\
             logs --grep <pattern> ...\tThe lines that match a regular expression",
        )
        .ours("logs --json ...\t\t\tOne line of JSON for each line"),
    action("maintail", log::maintail)
        .about("Print the end of the activity log of the daemon. `-f` follows the log until Ctrl-C; a number is a number of bytes.")
        .exits(&[
            (exit::GENERIC, "no log, or it cannot be read"),
        ])
        .flags(&[FOLLOW]).help(
        "maintail -f \tContinuous tail of supervisor main log file (Ctrl-C to exit)\n\
         maintail -100\tlast 100 *bytes* of supervisord main log file\n\
         maintail\tlast 1600 *bytes* of supervisor main log file\n",
    ),
    action("next", schedule::next)
        .about("Print when programs with `cron` run next, the earliest first, with the number of runs that were skipped or missed.")
        .exits(&[
            (exit::GENERIC, "a named process has no schedule"),
            (exit::UNIMPLEMENTED, "the daemon does not support the action"),
        ])
        .own()
        .takes(ArgKind::Processes)
        .flags(&[JSON])
        .help(
            "next\t\t\tPrint when programs with cron run next\n\
             next <name> [...]\tThe same for some processes or groups",
        )
        .ours("next --json [...]\tThe same as one line of JSON"),
    action("open", daemon::open)
        .about("Connect the shell to another daemon.")
        .exits(&[
            (exit::GENERIC, "invalid URL"),
        ])
        .help(
        "open <url>\tConnect to a remote supervisord process.\n\
         \t\t(for UNIX domain socket, use unix:///socket/path)",
    ),
    action("pid", status::pid)
        .about("Print the PID of the daemon or of processes.")
        .exits(&[
            (exit::GENERIC, "unknown process"),
            (exit::NOT_RUNNING, "a named process is not running"),
        ])
        .takes(ArgKind::Processes)
        .flags(&[JSON]).help(
            "pid\t\t\tGet the PID of supervisord.\n\
             pid <name>\t\tGet the PID of a single child process by name.\n\
             pid all\t\t\tGet the PID of every child process, one per line.",
        )
        .ours("pid --json [...]\tThe same as one line of JSON"),
    action("plan", plan::plan)
        .about("Read the configuration files and print what `update` would do: groups to add, remove and restart, and the changed keys with their old and new values and places. Values that may contain secrets are not shown. Nothing is changed.")
        .exits(&[
            (exit::GENERIC, "the configuration has an error, or unknown group"),
            (exit::PLAN_HAS_CHANGES, "`update` would change something"),
            (exit::UNIMPLEMENTED, "the daemon does not support the action"),
        ])
        .own()
        .takes(ArgKind::Groups)
        .flags(&[JSON, OUTPUT])
        .help(
            "plan\t\t\tShow what update would do, and the id of this plan\n\
             plan <gname> [...]\tThe same for specific groups\n\
             plan -o json [...]\tThe same as one line of JSON\n\
             Note: exits with 0 if there is nothing to do, with 2 if update would change something, with 1 after an error.",
        )
        .ours("plan --json [...]\tThe same as -o json"),
    action("program", program::program)
        .quoted()
        .about("Show and change programs where the configuration has them: in a local file, or in the item of a Nacos server. Only the lines of the program change; comments and all other bytes stay. The whole new configuration is checked before anything is written. A changed local file is applied at once, like `update` of the groups that change; an item is applied when the server reports the change. `add` reads one section with its header; it is written to the item, or without one to a new file where `[include]` finds it, or to the configuration file. `edit` runs the editor of `VISUAL` or `EDITOR` and needs a terminal; if somebody else has changed the text meanwhile, nothing is written and the own text is kept. `remove` at a terminal shows the plan and asks once. Values with blanks need quotes, and behind `--` no word is an option. The daemon requires the permission `configure`.")
        .exits(&[
            (exit::GENERIC, "wrong arguments, unknown program, an invalid text, a conflict, or a server that does not answer"),
            (exit::PLAN_HAS_CHANGES, "`--dry-run`: the change would change processes"),
            (exit::UNIMPLEMENTED, "the daemon does not support the action"),
        ])
        .own()
        .takes(ArgKind::ProgramVerb)
        .flags(&[DRY_RUN, YES, OUTPUT])
        .help(
            "program list\t\t\t\tList the programs of the configuration and their files\n\
             program show <name>\t\t\tPrint the section of a program as it is written\n\
             program add [<file>]\t\t\tAdd a program from a file, or from standard input (-)\n\
             program set <name> <key>=<value> [...]\tSet keys of a program\n\
             program unset <name> <key> [...]\tRemove keys of a program\n\
             program edit <name>\t\t\tChange the section of a program with an editor\n\
             program remove <name>\t\t\tStop and remove a program\n\
             program copy <name> [<new name>]\tAdd a copy of a program, as <name>-copy by default\n\
             program ... --dry-run\t\t\tShow the changed lines and the plan, and change nothing\n\
             program remove --yes <name>\t\tDo not ask for confirmation\n\
             program ... -o json\t\t\tPrint one line of JSON",
        ),
    action("quit", exit)
        .about("Leave the shell.")
        .help("quit\tExit the supervisor shell."),
    inspection_actions::RELEASE,
    action("reload", daemon::reload)
        .about("Without names: stop all processes, read the configuration and start the daemon again; if the configuration has an error, nothing is stopped. With names: reload these processes in place, by their `reload_command` or `reload_signal`.")
        .exits(&[
            (exit::GENERIC, "the configuration has an error, the daemon is stopping, or a process could not be reloaded"),
        ])
        .takes(ArgKind::Processes)
        .help("reload \t\tRestart the remote supervisord.")
        .ours("reload <name> [...]\tReload processes in place"),
    action("remove", group::remove)
        .about("Remove groups. All their processes must be stopped.")
        .exits(&[
            (exit::GENERIC, "unknown group, or a process of the group is running"),
        ])
        .takes(ArgKind::Groups)
        .help("remove <name> [...]\tRemoves process/group from active config"),
    action("reread", group::reread)
        .about("Read the configuration files and print which groups differ. Nothing is started or stopped; `update` applies the differences.")
        .exits(&[
            (exit::GENERIC, "the configuration has an error, or the daemon is stopping"),
        ])
        .flags(&[JSON]).help("reread \t\t\tReload the daemon's configuration files without add/remove")
        .ours("reread --json\t\tThe same as one line of JSON"),
    action("restart", rolling::restart)
        .about("Stop and start processes. With `--rolling`, a process is stopped only when the previous one is up again; after a failure, the remaining processes are left untouched.")
        .exits(&[
            (exit::GENERIC, "unknown process, or with `--rolling` a process that is not healthy"),
            (exit::INVALID_ARGUMENTS, "unknown group, or wrong options"),
            (exit::NOT_RUNNING, "a process could not be started"),
        ])
        .takes(ArgKind::Processes)
        .help(
            "restart <name>\t\tRestart a process\n\
             restart <gname>:*\tRestart all processes in a group\n\
             restart <name> <name>\tRestart multiple processes or groups\n\
             restart all\t\tRestart all processes\n\
             Note: restart does not reread config files. For that, see reread and update.",
        )
        .flags(&[ROLLING, COUNT, MAX_FAILURES, WAIT])
        .ours(
            "restart --rolling <name> [...]\tRestart processes one after another; patterns such as web_* are allowed\n\
             restart --rolling -n <count> ...\t<count> processes at a time\n\
             restart --rolling --max-failures <count> ...\tContinue until more than <count> processes have failed (default 0)\n\
             restart --rolling --wait healthy ...\tWait until the health check of each process succeeds, or fails; a process \
             without a health check need only be ready (default: --wait ready)\n\
             Note: options come before the names. Processes that are not reached after a failure stay as they are.",
        ),
    action("run", schedule::run)
        .about("Start programs with `cron` now. Their schedule does not change.")
        .exits(&[
            (exit::GENERIC, "unknown process, or a process without a schedule"),
            (exit::INVALID_ARGUMENTS, "no name"),
            (exit::UNIMPLEMENTED, "the daemon does not support the action"),
            (exit::NOT_RUNNING, "a process could not be started"),
            (0, "also if a process was already started"),
        ])
        .own()
        .takes(ArgKind::Processes)
        .help("run <name> [...]\tStart programs with cron now"),
    action("runs", schedule::runs)
        .about("Print the last runs of a program with `cron`, at most 50: start, end and result. With `state_directory`, they survive a restart of the host.")
        .exits(&[
            (exit::GENERIC, "unknown process"),
            (exit::INVALID_ARGUMENTS, "not exactly one name"),
            (exit::UNIMPLEMENTED, "the daemon does not support the action"),
        ])
        .own()
        .takes(ArgKind::Process)
        .flags(&[JSON])
        .help("runs <name>\t\tPrint the last runs of a program with cron")
        .ours("runs --json <name>\tThe same as one line of JSON"),
    action("scale", rolling::scale)
        .about("Set the number of processes of a program.")
        .exits(&[
            (exit::GENERIC, "unknown program, or the request failed"),
            (exit::INVALID_ARGUMENTS, "wrong arguments"),
            (exit::UNIMPLEMENTED, "the daemon does not support the action"),
        ])
        .own()
        .takes(ArgKind::Group)
        .help(
            "scale <program> <count>\t\tSet the number of processes of a program, until its group is updated\n\
             scale <gname>:<program> <count>\tThe same for a program that is in several groups\n\
             Note: surplus processes are stopped, the highest number first; the others are not touched.",
        ),
    inspection_actions::SECURITY,
    action("serialrestart", rolling::serialrestart)
        .about("Restart processes one after another, without stopping all of them at the same time.")
        .exits(&[
            (exit::GENERIC, "unknown process, or the request failed"),
            (exit::INVALID_ARGUMENTS, "wrong arguments"),
            (exit::UNIMPLEMENTED, "the daemon does not support the action"),
            (exit::NOT_RUNNING, "a process could not be started"),
        ])
        .own()
        .takes(ArgKind::Processes)
        .flags(&[COUNT, MAX_FAILURES, WAIT])
        .help(
            "serialrestart <name> [...]\tRestart processes one after another, waiting until each is RUNNING\n\
             serialrestart <gname>:*\t\tThe same for all running processes of a group\n\
             serialrestart <pattern>\t\tThe same for all names that match, such as web_*\n\
             serialrestart all\t\tThe same for all running processes\n\
             serialrestart -n <count> ...\t<count> processes at a time\n\
             serialrestart --max-failures <count> ...\tContinue until more than <count> processes have failed\n\
             serialrestart --wait healthy ...\tWait until each process is healthy, not only ready\n\
             Note: the restart stops at the first failure and leaves the remaining processes untouched; it continues if you disconnect.",
        ),
    action("shutdown", daemon::shutdown)
        .about("Stop all processes and the daemon.")
        .exits(&[
            (exit::GENERIC, "the daemon is already stopping"),
        ])
        .help("shutdown \tShut the remote supervisord down."),
    action("signal", process::signal)
        .about("Send a signal to processes.")
        .exits(&[
            (exit::GENERIC, "unknown process or signal"),
            (exit::NOT_RUNNING, "a process is not running"),
        ])
        .takes(ArgKind::Signal)
        .help(
            "signal <signal name> <name>\t\tSignal a process\n\
             signal <signal name> <gname>:*\t\tSignal all processes in a group\n\
             signal <signal name> <name> <name>\tSignal multiple processes or groups\n\
             signal <signal name> all\t\tSignal all processes",
        ),
    action("source", daemon::source)
        .about("Show where the configuration comes from besides local files (an item of a Nacos server, or a command), which text is applied, and the last error.")
        .exits(&[
            (exit::GENERIC, "the text cannot be read, or the newest one was refused"),
            (exit::UNIMPLEMENTED, "the daemon does not support the action"),
        ])
        .own()
        .flags(&[JSON])
        .help("source\t\t\tShow where the configuration comes from")
        .ours("source --json\t\tThe same as one line of JSON"),
    action("start", process::start)
        .about("Start processes and wait until they are RUNNING or the start has failed.")
        .exits(&[
            (exit::GENERIC, "unknown process, or the request failed"),
            (exit::INVALID_ARGUMENTS, "unknown group, or no name"),
            (exit::NOT_RUNNING, "a process could not be started"),
            (0, "also if a process was already started"),
        ])
        .takes(ArgKind::Processes)
        .help(
            "start <name>\t\tStart a process\n\
             start <gname>:*\t\tStart all processes in a group\n\
             start <name> <name>\tStart multiple processes or groups\n\
             start all\t\tStart all processes",
        )
        .flags(&[NO_DEPS])
        .ours("start --no-deps <name>\tStart a process without what it depends on"),
    action("status", status::status)
        .about("Print the state of processes: name, state, PID and uptime, or the reason why the process does not run. At a terminal, states have colours, and the description explains the state: how long a start or a stop can still take, which retry is next, how and when the process exited, and of a failed process the last line of standard error.")
        .exits(&[
            (exit::STATUS_NOT_RUNNING, "a process is not RUNNING"),
            (exit::STATUS_UNKNOWN, "unknown process, or the daemon does not answer"),
        ])
        .takes(ArgKind::Processes)
        .flags(&[JSON, VERBOSE, WATCH]).help(
            "status <name>\t\tGet status for a single process\n\
             status <gname>:*\tGet status for all processes in a group\n\
             status <name> <name>\tGet status for multiple named processes\n\
             status\t\t\tGet all process status info",
        )
        .ours(
            "status --json [...]\tThe same as one line of JSON\n\
             status -v [...]\t\tAlso restarts, the last exit, the last error, and the last lines of stderr of the last instance\n\
             status --watch [...]\tShow the states again every second, at a terminal, until Ctrl-C",
        ),
    action("stop", process::stop)
        .about("Stop processes and wait until they have exited.")
        .exits(&[
            (exit::GENERIC, "unknown process or group, or no name"),
            (0, "also if a process was not running"),
        ])
        .takes(ArgKind::Processes)
        .help(
            "stop <name>\t\tStop a process\n\
             stop <gname>:*\t\tStop all processes in a group\n\
             stop <name> <name>\tStop multiple processes or groups\n\
             stop all\t\tStop all processes",
        )
        .flags(&[WITH_DEPENDENTS])
        .ours("stop --with-dependents <name>\tStop a process after everything that depends on it"),
    action("tail", log::tail)
        .about("Print the end of the log of a process. `-f` follows the log until Ctrl-C; a number is a number of bytes.")
        .exits(&[
            (exit::GENERIC, "unknown process, no log, or it cannot be read"),
        ])
        .takes(ArgKind::Log)
        .flags(&[FOLLOW])
        .help(
            "tail [-f] <name> [stdout|stderr] (default stdout)\n\
             Ex:\n\
             tail -f <name>\t\tContinuous tail of named process stdout\n\
             \t\t\tCtrl-C to exit.\n\
             tail -100 <name>\tlast 100 *bytes* of process stdout\n\
             tail <name> stderr\tlast 1600 *bytes* of process stderr",
        ),
    inspection_actions::TOP,
    action("update", group::update)
        .about("Read the configuration files and apply the differences: stop and remove old groups, add new groups, restart changed groups.")
        .exits(&[
            (exit::GENERIC, "the configuration has an error, unknown group, not confirmed, or the plan has another id"),
            (exit::PLAN_HAS_CHANGES, "with `--dry-run`: `update` would change something"),
        ])
        .takes(ArgKind::Groups)
        .help(
            "update\t\t\tReload config and add/remove as necessary, and will restart affected programs\n\
             update all\t\tReload config and add/remove as necessary, and will restart affected programs\n\
             update <gname> [...]\tUpdate specific groups",
        )
        .flags(&[YES, DRY_RUN, IF_PLAN, JSON, OUTPUT])
        .ours(
            "update --yes [...]\tThe same without confirmation, even if no program is left\n\
             update --dry-run [...]\tShow what update would do, as plan does; with --json or -o json as one line of JSON\n\
             update --if-plan <id> [...]\tThe same only if the plan still has this id; otherwise nothing changes",
        ),
    action("upgrade", rolling::upgrade)
        .about("Re-execute the daemon with the installed version. Programs keep running.")
        .exits(&[
            (exit::GENERIC, "the daemon refused the upgrade, or the upgrade failed"),
            (exit::INVALID_ARGUMENTS, "wrong arguments"),
            (exit::UNIMPLEMENTED, "the daemon does not support the action"),
        ])
        .own().help(
        "upgrade\t\t\tRe-execute the daemon with the installed version; processes keep running\n\
         Note: if the installed version cannot adopt the processes, the command prints the reason and nothing changes.",
    ),
    action("version", daemon::version)
        .about("Print the version of the daemon.")
        .exits(&[
            (exit::GENERIC, "wrong arguments"),
        ])
        .flags(&[JSON]).help("version\t\t\tShow the version of the remote supervisord process")
        .ours("version --json\t\tThe same as one line of JSON"),
    inspection_actions::WHY,
];

/// Finds an action by name.
pub(super) fn find_action(name: &str) -> Option<&'static CtlAction> {
    ACTIONS.iter().find(|action| action.name == name)
}

/// The action `help [topic]`.
pub(super) fn help(session: &mut CtlSession, topic: &str) -> Result<(), CtlError> {
    const HEADINGS: [(&str, bool); 2] = [
        ("default commands (type help <topic>):", false),
        // Differs: Supervisor does not have these actions.
        ("supervisord commands (type help <topic>):", true),
    ];
    if topic.is_empty() && session.screen.is_for_people {
        let listed = ACTIONS.iter().filter(|action| action.listed);
        return list_actions(session, listed);
    }
    if topic.is_empty() {
        for (heading, are_ours) in HEADINGS {
            session.say("")?;
            session.say(heading)?;
            session.say(&"=".repeat(heading.len()))?;
            let names: Vec<&str> = ACTIONS
                .iter()
                .filter(|action| action.listed && action.is_ours == are_ours)
                .map(|action| action.name)
                .collect();
            for line in render::columns(&names) {
                session.say(&line)?;
            }
            session.say("")?;
        }
        return Ok(());
    }
    match find_action(topic).filter(|action| !action.help.is_empty()) {
        Some(action) => action.say_help(session),
        None => session.say(&format!("*** No help on {topic}")),
    }
}

/// Lists actions with what they do, for people at a terminal.
pub(super) fn list_actions<'a>(
    session: &mut CtlSession,
    actions: impl Iterator<Item = &'a CtlAction>,
) -> Result<(), CtlError> {
    const NAME_COLUMNS: usize = 16;
    session.say("Actions (help ACTION, or ACTION -h, describes one):")?;
    let columns = screen::size().map_or(80, |(columns, _)| columns);
    for action in actions {
        let line = format!("  {:NAME_COLUMNS$}{}", action.name, action.summary());
        session.say(&screen::cut(&line, columns))?;
    }
    session
        .say("Every action but fg accepts --json. Names can be patterns, such as web* or jobs:*.")
}

/// The actions `exit` and `quit`, and the end of input.
fn exit(session: &mut CtlSession, _: &str) -> Result<(), CtlError> {
    session.leaving = true;
    session.say("")
}

#[cfg(test)]
mod tests {
    use super::super::action::without_emphasis;
    use super::*;

    #[test]
    fn ctl_25_every_listed_action_has_help_and_the_list_is_sorted() {
        for action in ACTIONS.iter().filter(|action| action.listed) {
            assert!(action.help.starts_with(action.name), "{}", action.name);
        }
        assert!(ACTIONS.is_sorted_by_key(|action| action.name));
    }

    #[test]
    fn help_names_every_option_of_an_action() {
        for action in ACTIONS {
            let help = format!("{}\n{}", action.help, action.help_ours);
            let word = |flag: &ActionFlag| {
                help.split([' ', '\t', '[', ']', '\n'])
                    .any(|word| word == flag.name)
            };
            assert!(action.flags.iter().all(word), "{}", action.name);
            assert_eq!(
                action.flags.contains(&JSON),
                action.help_ours.contains("--json"),
                "{}",
                action.name
            );
            assert_eq!(
                action.flags.contains(&FOLLOW),
                word(&FOLLOW),
                "{}",
                action.name
            );
        }
    }

    #[test]
    fn d7_an_unknown_option_is_recognized() {
        for (line, expected) in [
            ("stop web --json", Some("--json")),
            ("stop -f web", Some("-f")),
            ("stop web - all g:*", None),
            ("signal -9 web", None),
            ("signal HUP web -9", Some("-9")),
            ("serialrestart -n 2 web", None),
            ("serialrestart -n2 web --all", Some("--all")),
            ("update --yes web", None),
            ("update --no web", Some("--no")),
            ("status -v --json", None),
            ("status --jsn", Some("--jsn")),
            ("scale web -1", None),
            ("tail -x web", None),
            ("add --web", Some("--web")),
        ] {
            let (name, arguments) = line.split_once(' ').expect("an action");
            let action = find_action(name).expect("there");
            assert_eq!(action.unknown_option(arguments), expected, "{line}");
        }
    }

    #[test]
    fn d7_help_drops_emphasis_and_keeps_patterns() {
        assert_eq!(
            without_emphasis("last 100 *bytes* of it"),
            "last 100 bytes of it"
        );
        assert_eq!(
            without_emphasis("The same for all names that match, such as web_*"),
            "The same for all names that match, such as web_*"
        );
    }

    #[test]
    fn help_is_split_into_usages() {
        let open = find_action("open").expect("there").usages();
        assert_eq!(
            open,
            [(
                "open <url>",
                "Connect to a remote supervisord process (for UNIX domain socket, use unix:///socket/path)".to_owned()
            )]
        );
        let brief = |name| find_action(name).expect("there").brief();
        assert_eq!(
            brief("tail"),
            "Continuous tail of named process stdout; Ctrl-C to exit."
        );
        assert_eq!(brief("status"), "Get status for a single process");
        let all: Vec<_> = ACTIONS
            .iter()
            .filter(|action| action.takes_all())
            .map(|action| action.name)
            .collect();
        assert_eq!(
            all,
            [
                "clear",
                "logs",
                "pid",
                "restart",
                "serialrestart",
                "signal",
                "start",
                "stop",
                "update"
            ]
        );
        assert!(
            find_action("restart")
                .expect("there")
                .notes()
                .next()
                .is_some_and(|note| note.starts_with("restart does not"))
        );
    }
}
