//! The rows of the actions that tell what is configured, what happened and what processes use, and of holds. [`ACTIONS`]
//! has them in its order.
//!
//! [`ACTIONS`]: super::actions::ACTIONS

use super::action::{
    ALL_KEYS, ArgKind, CtlAction, DELAY, ENTRIES, FOR, JSON, ONCE, OUTPUT, REASON, action,
};
use super::{config, diff, exit, history, hold, security, top, why};

/// The values with which processes run.
pub(super) const CONFIG: CtlAction = action("config", config::config)
    .about("Print the values with which processes run, and the file and line of each. Values that look like secrets are masked, and without the permission `configure` all values of variables.")
    .exits(&[
        (exit::GENERIC, "unknown process"),
        (exit::INVALID_ARGUMENTS, "no name"),
        (exit::UNIMPLEMENTED, "the daemon does not support the action"),
    ])
    .own()
    .takes(ArgKind::Processes)
    .flags(&[ALL_KEYS, JSON])
    .help("config <name> [...]\t\tPrint the keys that are set, with their values and places")
    .ours(
        "config --all <name> [...]\tAlso the keys that have their defaults\n\
         config --json [...]\t\tThe same as one line of JSON",
    );

/// The files against what runs.
pub(super) const DIFF: CtlAction = action("diff", diff::diff)
    .about("Compare the configuration files with what runs, key by key: `-` is the value that runs, `+` the one in the files, with its place. Secrets are masked. `plan` tells what `update` would do about the differences.")
    .exits(&[
        (exit::GENERIC, "the configuration has an error, or unknown group"),
        (exit::PLAN_HAS_CHANGES, "there are differences"),
        (exit::UNIMPLEMENTED, "the daemon does not support the action"),
    ])
    .own()
    .takes(ArgKind::Groups)
    .flags(&[JSON, OUTPUT])
    .help(
        "diff\t\t\tCompare the configuration files with what runs\n\
         diff <gname> [...]\tThe same for some groups",
    )
    .ours("diff --json [...]\tThe same as one line of JSON, also with -o json");

/// Who requested which changes.
pub(super) const HISTORY: CtlAction = action("history", history::history)
    .about("Print who requested which changes: time, action, target, who, and why a request was refused. The daemon keeps the last 500 requests, also across an upgrade; the activity log has all. It needs the permission `logs`.")
    .exits(&[
        (exit::GENERIC, "the request failed"),
        (exit::INVALID_ARGUMENTS, "wrong options"),
        (exit::UNIMPLEMENTED, "the daemon does not support the action"),
    ])
    .own()
    .takes(ArgKind::Processes)
    .flags(&[ENTRIES, JSON])
    .help(
        "history\t\t\tPrint who requested which changes\n\
         history <name> [...]\tThe same for some processes, their groups and the whole daemon",
    )
    .ours(
        "history -n <count> [...]\tOnly the newest requests\n\
         history --json [...]\tThe same as one line of JSON",
    );

/// Leave processes alone.
pub(super) const HOLD: CtlAction = action("hold", hold::hold)
    .about("Leave processes alone while you work on them: no automatic restart, no action because of their health, their watchdog or a changed file, no notification, no script of `on_fatal`. Requests such as `stop` work as usual. `status`, the page and REST show the hold; an upgrade keeps it. When it ends, an overdue restart happens.")
    .exits(&[
        (exit::GENERIC, "unknown process, or the request failed"),
        (exit::INVALID_ARGUMENTS, "wrong options, or no name"),
        (exit::UNIMPLEMENTED, "the daemon does not support the action"),
    ])
    .own()
    .takes(ArgKind::Processes)
    .quoted()
    .flags(&[FOR, REASON, JSON])
    .help(
        "hold <name> [...]\t\tLeave processes alone until they are released\n\
         hold <gname>:*\t\t\tThe same for all processes of a group\n\
         hold --for <time> <name> [...]\tThe same for a time such as 30m, 2h or 1d\n\
         hold --reason <text> <name> [...]\tAlso show why",
    )
    .ours("hold --json [...]\t\tPrint the results as one line of JSON");

/// End holds.
pub(super) const RELEASE: CtlAction = action("release", hold::release)
    .about("End the hold of processes.")
    .exits(&[
        (exit::GENERIC, "unknown process, or the request failed"),
        (exit::INVALID_ARGUMENTS, "no name"),
        (
            exit::UNIMPLEMENTED,
            "the daemon does not support the action",
        ),
    ])
    .own()
    .takes(ArgKind::Processes)
    .flags(&[JSON])
    .help(
        "release <name> [...]\tEnd the hold of processes\n\
         release <gname>:*\tThe same for all processes of a group",
    )
    .ours("release --json [...]\tPrint the results as one line of JSON");

/// How well programs are confined.
pub(super) const SECURITY: CtlAction = action("security", security::security)
    .about("Tell how well programs are confined, from 0 to 100, and which key to set next. With names: each check, whether it is met, and what the key prevents. The score is about the configuration that was read last: user, capabilities, gaining of privileges, and limits of memory and processes.")
    .exits(&[
        (exit::GENERIC, "unknown process"),
        (exit::UNIMPLEMENTED, "the daemon does not support the action"),
    ])
    .own()
    .takes(ArgKind::Processes)
    .flags(&[JSON])
    .help(
        "security\t\tScore all programs, the least confined first\n\
         security <name> [...]\tShow each check of some programs",
    )
    .ours("security --json [...]\tThe same as one line of JSON");

/// What processes do and use.
pub(super) const TOP: CtlAction = action("top", top::top)
    .about("Show what processes do and use on the whole screen: states, CPU, memory and pressure, as a tree by group. `?` lists the keys: filter, order, log, and start, stop, restart, hold and release after a question. Without a terminal it prints one table, as with `--once`. Pressure is the share of time in which some thread of the cgroup waited for CPU, memory or I/O. `NO_COLOR` switches colours off. `supervisord ctl` always prints one table.")
    .exits(&[
        (exit::GENERIC, "the daemon does not answer"),
        (exit::INVALID_ARGUMENTS, "wrong options"),
        (exit::UNIMPLEMENTED, "the daemon does not support the action"),
    ])
    .own()
    .takes(ArgKind::Processes)
    .flags(&[DELAY, ONCE, JSON])
    .help(
        "top\t\t\tShow what all processes do and use\n\
         top <name> [...]\tThe same for some processes and groups\n\
         top -d <seconds> [...]\tAsk the daemon every <seconds> (default 2)\n\
         top --once [...]\tPrint one table",
    )
    .ours("top --json [...]\tPrint one line of JSON");

/// What happened to processes.
pub(super) const WHY: CtlAction = action("why", why::why)
    .about("Tell what happened to processes, in order of time: who requested a change, the last states, how each instance ended (exit status, signal, core dump, memory limit, watchdog, health check), and what the last one wrote to standard error. Ends that are the same in succession are counted. Requests are shown with the permission `logs` only.")
    .exits(&[
        (exit::GENERIC, "unknown process"),
        (exit::INVALID_ARGUMENTS, "no name"),
        (exit::UNIMPLEMENTED, "the daemon does not support the action"),
    ])
    .own()
    .takes(ArgKind::Processes)
    .flags(&[JSON])
    .help("why <name> [...]\tTell what happened to processes")
    .ours("why --json [...]\tThe same as one line of JSON");
