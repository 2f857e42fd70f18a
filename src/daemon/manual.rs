//! The manual page supervisord(8).

use crate::config::getopt::OptionSpec;
use crate::config::subcommand::{SUBCOMMANDS, Subcommand};
use crate::config::{options, search};
use crate::domain::roff::{Example, Page};
use crate::fd_holder;

const DESCRIPTION: &str = "\
`supervisord` starts the programs that its configuration names, keeps them running, writes their logs, and lets them be
controlled: with supervisorctl(1), over XML-RPC (supervisord-xmlrpc(7)), on D-Bus (org.supervisord.Supervisor1(5)) and on a
web page. supervisord.conf(5) describes the configuration.

It is a successor of Supervisor 4.3.0, whose configuration files, clients, log lines and commands it takes as they are; see
`DIFFERENCES FROM SUPERVISOR`.

Without `-n` it puts itself into the background once its sockets and its log are open, so that what is wrong with those is
said on the terminal. Then it starts every program with `autostart`, those of low `priority` first. A program that stays up for
`startsecs` is RUNNING; one that ends is started again as its `autorestart` says, with growing pauses while it fails, and is
FATAL after `startretries` attempts in vain.";

const CHECK: &str = "\
`--check` reads the configuration, and every file that it includes, tells all that is wrong with it at once, each with file,
line and column, and ends; a daemon that runs is not touched. It warns of keys and sections that nobody knows, of plug-ins of
Python, which cannot be run, of what a daemon that is not root could not give to a program, of limits that cannot act on this
host, of sections that stand in several places, of what an included file changes in `[supervisord]`, and of files and
directories that others than root can change.";

const SYSTEMD: &str = "\
The unit `supervisord.service` runs the daemon with `Type=notify` and in the foreground. It is active once the sockets answer and
each program with `autostart` was started; with `ready_when=running`, once they all run or are given up. `systemctl status`
shows how many do. `systemctl stop` stops programs in their order and takes as long as their `stopwaitsecs` allow. `systemctl
reload` does what `supervisorctl update` does. The watchdog is fed by the loop that decides.

Sockets of a unit `supervisord.socket` are used by the server with the same address, whose file, mode and owner are systemd's
then.

Where systemd gives it cgroups, programs are in `supervisord-programs.scope` beside the service: `systemctl status
supervisord-programs.scope` shows them.";

const CONTAINERS: &str = "\
As PID 1 the daemon reaps processes that others have left behind, and TERM, INT and QUIT stop all programs and then it. Run it in
the foreground; with `logfile=/dev/stdout` and `logfile_maxbytes=0` its own log is the container's, and programs have
`stdout_logfile=/dev/fd/1` and `stdout_logfile_maxbytes=0`. Limits of whole programs (`memory_max` and its like) need a
cgroup that is writable.";

const UPGRADE: &str = "\
Programs do not end because the daemon does:";

const SURVIVAL: &[(&str, &str)] = &[
    (
        "`supervisorctl upgrade`",
        "The daemon replaces itself, in place, by the program that now stands where it was started from. Programs go on as its \
         children, with their pipes, logs and states. The new version is asked first whether it can take over; if it cannot, \
         nothing changes.",
    ),
    (
        "`systemctl restart`, a crash, SIGKILL",
        "With the unit that comes with it, programs run on, and the next daemon takes them over. What they write meanwhile \
         waits in their pipes, and plain log files miss nothing of it and have nothing twice. How a program ended while no daemon \
         was there is known from Linux 6.15 on.",
    ),
    (
        "`supervisorctl reload`, SIGHUP",
        "All programs are stopped, the configuration is read, and they are started again. With an error in the configuration \
         nothing is stopped.",
    ),
    (
        "`systemctl stop`, `supervisorctl shutdown`",
        "Programs are stopped in their order.",
    ),
];

/// What each signal does. Rows without a name are those of the unit file.
const SIGNALS: &[(&str, &str)] = &[
    (
        "TERM, INT, QUIT",
        "Stop all programs in their order, then end.",
    ),
    (
        "HUP",
        "Stop all programs, read the configuration, start anew. Nothing is stopped if the configuration has an error.",
    ),
    (
        "USR2",
        "Close and open again the activity log and the logs of programs, for logrotate(8).",
    ),
    (
        "SIGRTMIN+1",
        "Let go of the programs and end, for the next daemon to take them over; the unit has it as `RestartKillSignal=`. Where \
         nobody could take them over it means what TERM means.",
    ),
    (
        "CHLD",
        "A process has ended that may be one left behind: it is reaped.",
    ),
    (
        "USR1",
        "Ends the daemon at once, as it ends Supervisor. Do not send it.",
    ),
];

const STATUS: &[(&str, &str)] = &[
    (
        "0",
        "It was told to end; with `--check`, the configuration is right.",
    ),
    (
        "1",
        "The activity log, or something else that it needs of the machine, cannot be had.",
    ),
    (
        "2",
        "Wrong options, a configuration that is not there or has errors, a socket that is in use, a user or limits that cannot be had.",
    ),
];

const ENVIRONMENT: &[(&str, &str)] = &[
    (
        "`NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`",
        "Where the service manager is told how the daemon stands, and how often (sd_notify(3)).",
    ),
    (
        "`LISTEN_FDS`, `LISTEN_PID`, `LISTEN_FDNAMES`",
        "Sockets that the service manager passes (sd_listen_fds(3)).",
    ),
    (
        "`JOURNAL_STREAM`",
        "Tells whether standard output is the journal: then the copy of the log has fields, and is left out if the log goes \
         there anyway.",
    ),
    (
        "`DBUS_SYSTEM_BUS_ADDRESS`, `DBUS_SESSION_BUS_ADDRESS`, `XDG_RUNTIME_DIR`",
        "Where the bus is.",
    ),
    (
        "any",
        "Values of the configuration may use each variable as `%(ENV_<NAME>)s`, and programs inherit all but those of the \
         service manager.",
    ),
    ("`NO_COLOR`", "`--check` uses no colours on a terminal."),
];

const GIVEN: &[(&str, &str)] = &[
    ("`SUPERVISOR_ENABLED`", "Always 1."),
    ("`SUPERVISOR_PROCESS_NAME`", "Name of the process."),
    ("`SUPERVISOR_GROUP_NAME`", "Name of its group."),
    (
        "`SUPERVISOR_SERVER_URL`",
        "Where the daemon answers; not set without a server. The key `serverurl` decides otherwise.",
    ),
    (
        "`NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`",
        "With `notify=true` only: a socket of the program's own.",
    ),
];

const FILES: &[(&str, &str)] = &[
    (
        "`/run/supervisor/supervisor.sock`",
        "The control socket that packages configure. Members of the group `supervisor` may use it.",
    ),
    (
        "`/var/log/supervisor/`",
        "Logs, as packages configure them.",
    ),
    (
        "`supervisord.log`, `supervisord.pid`",
        "The activity log and the pidfile in the working directory, if the configuration says nothing.",
    ),
];

const DIAGNOSTICS: &str = "\
What is wrong before the daemon runs is said on standard error and ends it: one line that Supervisor would have written too,
then each error of the configuration with its place. From then on everything is said in the activity log, a line for each
change of state, at one of the levels CRIT, ERRO, WARN, INFO, DEBG, TRAC and BLAT, of which `loglevel` chooses. Lines that
begin with `audit:` tell who asked for which change: the caller, a verb, the names that the caller wrote, a colon, and
`accepted`, which is said as it begins, or the name of the fault that refused it, such as `BAD_NAME`, with its reason. The form
is the same on every server and on D-Bus. A user other than root has at most 20 lines about refused calls in 10 seconds; then
one line gives the number of the others. supervisord-journal-fields(7) lists all lines.

Text that somebody else chose, such as a name in a call, is shown with its control characters escaped, and no more than 200
characters of it.

A wrong user name or password is said once a minute for each address or user that sends one. After three of them each further
answer takes longer, up to 5 seconds. The right password is never delayed.

Nothing that goes wrong later ends the daemon: a log that cannot be written is said once and tried again; a program that
cannot be started is tried again as `startretries` says.

It needs Linux 5.10 or later, and says so at its start.";

const PROBLEMS: &[(&str, &str)] = &[
    (
        "`Error: Another program is already listening on a port that one of our HTTP servers is configured to use`",
        "Another daemon, most likely, with the same configuration.",
    ),
    (
        "`gave up: <name> entered FATAL state, too many start retries too quickly`",
        "Look at what the program wrote: `supervisorctl tail <name> stderr`. Then `supervisorctl start <name>`.",
    ),
    (
        "`supervisorctl`: permission denied",
        "See `WHO MAY USE THE SOCKET` in supervisorctl(1).",
    ),
];

const DIFFERENCES: &str = "\
The file `man/guide/differences.md` that comes with the package lists all deliberate differences. In
short: a reload with an error in the configuration stops nothing; a program that ends is started again at once instead of at
the next look; nothing of its last output is lost; links of other users are not followed; browsers need the page's own
buttons to change something; keys that nobody knows are warned of; plug-ins of Python are not run.";

const NAMES: &str = "\
The same program does something else when it is called by another name: `echo_supervisord_conf` prints a sample
configuration (echo_supervisord_conf(1)), and `pidproxy` stands for a daemon that puts itself into the background
(pidproxy(1)).";

/// Returns the manual page supervisord(8) in roff.
#[must_use]
pub fn page() -> String {
    let list = |page: &mut Page, rows: &[(&str, &str)]| {
        for (tag, text) in rows {
            page.entry(tag, text);
        }
    };
    let mut page = Page::new("supervisord", "the table of options and the code");
    page.synopsis(&[
        "`supervisord` [`-c` <file>] [`-n`] [<option> ...]",
        "`supervisord` `--check` [`--strict`] [`-c` <file>]",
        "`supervisord` <verb> [<option> ...] <word> ...",
    ]);
    page.section("DESCRIPTION");
    page.prose(DESCRIPTION);
    page.section("OPTIONS");
    page.prose(
        "Options win over the keys of the same name in the configuration, and go on to do so after a reload. Long options may be \
         shortened as long as only one is meant; `--check`, `--strict` and `--daemon` may not.",
    );
    for row in options::rows() {
        let tag = spelled(&row.opt, row.value);
        let default = row.default.map(|default| format!(" Default: `{default}`."));
        let doc = format!("{}{}", sentence(row.doc), default.unwrap_or_default());
        page.entry(&tag, &doc);
    }
    page.part("Checking");
    page.prose(CHECK);
    page.section("VERBS");
    page.prose("With one of these as its first word it does something else than being the daemon, and ends.");
    for subcommand in SUBCOMMANDS {
        told(&mut page, subcommand);
    }
    page.section("SIGNALS");
    list(&mut page, SIGNALS);
    page.section("EXIT STATUS");
    list(&mut page, STATUS);
    page.section("UNDER SYSTEMD");
    page.prose(SYSTEMD);
    page.section("IN CONTAINERS");
    page.prose(CONTAINERS);
    page.section("UPGRADE AND SURVIVAL");
    page.prose(UPGRADE);
    list(&mut page, SURVIVAL);
    page.prose(&format!(
        "A small process of the same program, `{}`, is started beside the programs under systemd. It holds their pipes, and what \
         was read of them and not yet written, for the next daemon. It needs no care: it ends with the last of them, and a \
         daemon that finds it gone starts another.",
        fd_holder::NAME
    ));
    page.section("OTHER NAMES");
    page.prose(NAMES);
    page.section("ENVIRONMENT");
    list(&mut page, ENVIRONMENT);
    page.part("What programs are given");
    list(&mut page, GIVEN);
    page.section("FILES");
    page.prose("Without `-c`, the configuration is the first of these that is there, for a program in `/usr/bin`:");
    for place in search::search_paths("/usr/bin/supervisord") {
        page.entry(
            &format!("`{place}`"),
            if place.starts_with('/') {
                ""
            } else {
                "In the working directory."
            },
        );
    }
    list(&mut page, FILES);
    page.section("DIAGNOSTICS");
    page.prose(DIAGNOSTICS);
    list(&mut page, PROBLEMS);
    page.section("DIFFERENCES FROM SUPERVISOR");
    page.prose(DIFFERENCES);
    page.section("EXAMPLES");
    page.prose("Try a configuration, without root and in one directory:");
    page.example(Example::Configuration, TRY);
    page.example(Example::Shell, TRY_IT);
    page.prose("As a service:");
    page.example(Example::Machine, SERVICE);
    page.prose("Programs that are units of systemd today; and the daemon itself as a unit, where no package has brought one:");
    page.example(Example::Machine, VERBS_TRIED);
    page.prose("As the only program of a container's image:");
    page.example(Example::Configuration, CONTAINER);
    page.example(
        Example::Text,
        "ENTRYPOINT [\"/usr/bin/supervisord\", \"-n\", \"-c\", \"/etc/supervisord.conf\"]",
    );
    page.see_also(&[("systemctl", 1), ("systemd.service", 5), ("logrotate", 8)])
}

/// Returns an option as the user types it.
fn spelled(opt: &OptionSpec, value: &str) -> String {
    let short = opt.short.map(|letter| format!("`-{letter}`, "));
    let value = match value {
        "" => String::new(),
        value => format!(" <{}>", value.to_lowercase()),
    };
    format!(
        "{}`--{}`{value}",
        short.unwrap_or_default(),
        opt.long.unwrap_or_default()
    )
}

/// Returns the text of a table row as a sentence.
fn sentence(doc: &str) -> String {
    let mut letters = doc.chars();
    let first = letters.next().map(|c| c.to_ascii_uppercase());
    first
        .into_iter()
        .chain(letters)
        .chain(std::iter::once('.'))
        .collect()
}

/// Adds a subcommand with its arguments and options to the page.
fn told(page: &mut Page, subcommand: &Subcommand) {
    page.entry(
        &format!(
            "`{}` [<option> ...] {}",
            subcommand.name, subcommand.arguments
        ),
        &format!("{} {}", sentence(subcommand.doc), subcommand.about),
    );
    for option in subcommand.options {
        page.more(&format!(
            "{}: {}",
            spelled(&option.opt, option.value),
            sentence(option.doc)
        ));
    }
    for word in subcommand.words {
        page.entry(
            &format!("`{} {}`", subcommand.name, word.name),
            &sentence(word.doc),
        );
    }
}

const TRY: &str = "
[supervisord]
logfile=%(here)s/supervisord.log
pidfile=%(here)s/supervisord.pid
childlogdir=%(here)s

[unix_http_server]
file=%(here)s/supervisor.sock

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix://%(here)s/supervisor.sock

[program:clock]
command=/bin/sh -c 'while date; do sleep 1; done'
";

const TRY_IT: &str = "
supervisord --check --strict -c supervisord.conf
supervisord -c supervisord.conf
supervisorctl -c supervisord.conf status
supervisorctl -c supervisord.conf shutdown
";

const SERVICE: &str = "
systemctl enable --now supervisord
systemctl status supervisord
systemctl reload supervisord
journalctl -u supervisord
";

const VERBS_TRIED: &str = "
supervisord import nginx.service > /etc/supervisor/conf.d/nginx.conf
supervisord service install -c /etc/supervisord.conf
supervisord service status
";

const CONTAINER: &str = "
[supervisord]
nodaemon=true
logfile=/dev/stdout
logfile_maxbytes=0
pidfile=/run/supervisord.pid

[program:server]
command=/usr/bin/sleep 1000
stdout_logfile=/dev/fd/1
stdout_logfile_maxbytes=0
redirect_stderr=true
";
