//! The manual page supervisord(8).

use crate::cli::getopt::OptionSpec;
use crate::cli::options::{self, OptionRow};
use crate::cli::subcommand::{SUBCOMMANDS, Subcommand};
use crate::config::lint::{RULES, RuleScope};
use crate::config::search;
use crate::domain::roff::{Example, Page};
use crate::fd_holder;

const DESCRIPTION: &str = "\
`supervisord` starts the programs of its configuration, restarts them after an exit, writes their logs, and controls them on
request: from supervisorctl(1), XML-RPC (supervisord-xmlrpc(7)), D-Bus (org.supervisord.Supervisor1(5)) and a web page.
supervisord.conf(5) describes the configuration and the states of processes.

`supervisord` is a drop-in successor of Supervisor 4.3.0: configuration files, clients, log lines and commands of Supervisor
work unchanged. `DIFFERENCES FROM SUPERVISOR` lists the exceptions.

Without `-n`, the daemon opens its sockets and its log, prints errors about them on the terminal, and then continues in the
background. It starts all programs with `autostart`, low `priority` first. A program that stays up for `startsecs` seconds is
RUNNING. After an exit, `autorestart` decides whether the daemon starts the program again. A program that fails is retried with
growing delays, and is FATAL after `startretries` retries.";

const CHECK: &str = "\
`--check` reads the configuration and all included files, prints what is wrong with them, and exits. It does not affect a running
daemon. An error is what the daemon refuses; a warning is what the daemon accepts and probably is a mistake; info is a fact that may
be useful. Each problem has one line with file, line, column, severity, message and code, the line of the file with a mark below the
place, and a remedy. Problems are sorted by file and line. Values that can be secret are not shown. Colours appear on a terminal only,
and not if `NO_COLOR` is set.

The exit status is 0 without errors, and 2 with errors. With `--strict`, unknown keys and sections are errors, and warnings lead to 2
too. `--any-host` leaves out the problems that depend on this host, for a check on another one: its files, users and environment.

`--json` prints the report as one JSON object on standard output: `file` (the main file), `problems`, and the numbers `errors`,
`warnings` and `infos`. Each problem has `file`, `line` and `column` (from 1; 0: the file as a whole), `end_column` (the column behind
the place), `severity` (`error`, `warning` or `info`), `code`, `key` (empty: not about one key), `message` and `remedy`.";

const RULES_OF_CHECK: &str = "\
A code never changes its meaning. What the daemon refuses is an error, whatever the severity here. Rules marked with “host”
depend on the host.";

const SYSTEMD: &str = "\
The unit `supervisord.service` runs the daemon in the foreground with `Type=notify`. The unit is active when the sockets answer
and all programs with `autostart` were started; with `ready_when=running`, when all of them are RUNNING or FATAL. `systemctl
status` shows the number of running programs. `systemctl stop` stops the programs in their order and waits for the
`stopwaitsecs` of each. `systemctl reload` runs `supervisorctl update`. The main loop of the daemon sends the watchdog
keepalives.

With a unit `supervisord.socket`, the server that has the same address uses the socket of the unit. Then systemd sets the file,
mode and owner of the socket.

If systemd delegates cgroups, programs run in `supervisord-programs.scope` beside the service: `systemctl status
supervisord-programs.scope` shows them.";

const CONTAINERS: &str = "\
As PID 1, the daemon reaps orphan processes. SIGTERM, SIGINT and SIGQUIT stop all programs and then the daemon. Run the daemon
in the foreground. `logfile=/dev/stdout` and `logfile_maxbytes=0` write the activity log to the log of the container;
`stdout_logfile=/dev/fd/1` and `stdout_logfile_maxbytes=0` do the same for a program. Cgroup limits such as `memory_max` need a
writable cgroup. With `exit_when` in `[supervisord]`, the daemon exits when its programs have ended.";

const UPGRADE: &str = "\
Programs can keep running when the daemon exits:";

const SURVIVAL: &[(&str, &str)] = &[
    (
        "`supervisorctl upgrade`",
        "The daemon re-executes the installed binary with the same PID. Programs keep running as its children, with their pipes, \
         logs and states. The new version first checks that it can read the state; if it cannot, nothing changes.",
    ),
    (
        "`systemctl restart`, a crash, SIGKILL",
        "With the packaged unit, programs keep running and the next daemon adopts them. Their output waits in pipes until then; \
         regular log files lose no output and contain nothing twice. The exit status of a program that exits while no daemon \
         runs is known with Linux 6.15 or later.",
    ),
    (
        "`supervisorctl reload`, SIGHUP",
        "The daemon stops all programs, reads the configuration and starts the programs again. If the configuration has an \
         error, the daemon stops nothing.",
    ),
    (
        "`systemctl stop`, `supervisorctl shutdown`",
        "The daemon stops all programs in their order and exits.",
    ),
];

/// What each signal does. Rows without a name are those of the unit file.
const SIGNALS: &[(&str, &str)] = &[
    (
        "TERM, INT, QUIT",
        "Stop all programs in their order, then exit.",
    ),
    (
        "HUP",
        "Stop all programs, read the configuration, start the programs again. If the configuration has an error, stop nothing.",
    ),
    (
        "USR2",
        "Reopen the activity log and the logs of programs, for logrotate(8).",
    ),
    (
        "SIGRTMIN+1",
        "Detach: exit and leave the programs running for the next daemon to adopt. The packaged unit sets this signal as \
         `RestartKillSignal=`. If no daemon could adopt them, same as TERM.",
    ),
    ("CHLD", "Reap orphan processes."),
    (
        "USR1",
        "Kills the daemon at once, as in Supervisor. Do not send this signal.",
    ),
];

const STATUS: &[(&str, &str)] = &[
    (
        "0",
        "The daemon was asked to exit. With `--check`: the configuration has no errors, and with `--strict` no warnings.",
    ),
    (
        "status of a program",
        "A program has ended for which the daemon exits (`essential`, `on_fatal` and `exit_when` in supervisord.conf(5)); 128 and \
         the number of the signal after a signal.",
    ),
    (
        "1",
        "The activity log cannot be opened, or another system resource is not available.",
    ),
    (
        "2",
        "Wrong options, a missing or invalid configuration, a socket in use, a user or limit that cannot be set. With `--check`: errors, or with `--strict` warnings.",
    ),
];

const ENVIRONMENT: &[(&str, &str)] = &[
    (
        "`NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`",
        "Socket and interval for status messages and watchdog keepalives to systemd (sd_notify(3)).",
    ),
    (
        "`LISTEN_FDS`, `LISTEN_PID`, `LISTEN_FDNAMES`",
        "Sockets passed by systemd (sd_listen_fds(3)).",
    ),
    (
        "`JOURNAL_STREAM`",
        "Set if standard output is the journal. Then the copy of the log on standard output has journal fields, and is omitted \
         with `logfile=journal`.",
    ),
    (
        "`DBUS_SYSTEM_BUS_ADDRESS`, `DBUS_SESSION_BUS_ADDRESS`, `XDG_RUNTIME_DIR`",
        "Addresses of the D-Bus.",
    ),
    (
        "other variables",
        "The configuration can use each variable as `%(ENV_<NAME>)s`. Programs inherit all variables except those of systemd \
         above.",
    ),
    (
        "`NO_COLOR`",
        "The report of `--check` and the texts of commands have no colours.",
    ),
    (
        "`SUPERVISORD_DIAGNOSTICS`",
        "Overrides the key `diagnostics`. A wrong value is ignored, with a warning.",
    ),
];

const GIVEN: &[(&str, &str)] = &[
    ("`SUPERVISOR_ENABLED`", "Always 1."),
    ("`SUPERVISOR_PROCESS_NAME`", "Name of the process."),
    ("`SUPERVISOR_GROUP_NAME`", "Name of its group."),
    (
        "`SUPERVISOR_SERVER_URL`",
        "Address of the daemon; unset without a server. The key `serverurl` overrides it.",
    ),
    (
        "`NOTIFY_SOCKET`, `WATCHDOG_USEC`, `WATCHDOG_PID`",
        "With `notify=true`: the program's own notification socket and watchdog interval.",
    ),
];

const FILES: &[(&str, &str)] = &[
    (
        "`/run/supervisor/supervisor.sock`",
        "Control socket of the packaged configuration. Members of the group `supervisor` have access.",
    ),
    (
        "`/var/log/supervisor/`",
        "Logs of the packaged configuration.",
    ),
    (
        "`supervisord.log`, `supervisord.pid`",
        "Default activity log and pidfile, in the working directory.",
    ),
];

const DIAGNOSTICS: &str = "\
Errors at start go to standard error and the daemon exits: one line as Supervisor prints it, then each error of the
configuration with its file, line and column. After the start, all messages go to the activity log, at one of the levels CRIT,
ERRO, WARN, INFO, DEBG, TRAC and BLAT; `loglevel` sets the lowest level. supervisord-journal-fields(7) lists all lines.

Lines that begin with `audit:` record requests for changes: the caller, a verb, the names in the request, a colon, and
`accepted` or the fault and its reason, such as `BAD_NAME`. The format is the same for all servers and D-Bus. For each user
except root, the log has at most 20 lines about refused requests in 10 seconds; then one line counts the suppressed lines.

Text from outside, such as a name in a request, is limited to 200 characters, and control characters are escaped.

The log has at most one line per minute about wrong passwords from one address or user. After three wrong passwords, answers to
this client are delayed by up to 5 seconds. A correct password is never delayed.

The key `diagnostics` records events about the daemon itself, for example requests, starts of processes and upgrades. If
standard error is the journal, or the daemon runs in the background, they are entries of the journal with the identifier
`supervisord-diagnostics`, otherwise lines on standard error. If the reader is too slow, events are lost and counted. They are
for developers, and their texts can change with each version.

No error after the start ends the daemon. If a log cannot be written, the daemon logs one line and retries; if a program cannot
be started, `startretries` applies.

The daemon needs Linux 5.10 or later.";

const PROBLEMS: &[(&str, &str)] = &[
    (
        "`Error: Another program is already listening on a port that one of our HTTP servers is configured to use`",
        "Most likely another daemon with the same configuration.",
    ),
    (
        "`gave up: <name> entered FATAL state, too many start retries too quickly`",
        "The program fails at start. Read its output with `supervisorctl tail <name> stderr`, fix the cause, then run \
         `supervisorctl start <name>`.",
    ),
    (
        "`supervisorctl`: permission denied",
        "See `WHO MAY USE THE SOCKET` in supervisorctl(1).",
    ),
];

const DIFFERENCES: &str = "\
The file `man/guide/differences.md` of the package lists all deliberate differences. In
short: a reload with an error in the configuration stops nothing; a program is restarted at once after its exit instead of at
the next poll; the last output of a program is not lost; symbolic links of other users are not followed; browsers can change
something only with the buttons of the web page; unknown keys are warnings; Python plug-ins are not supported.";

const NAMES: &str = "\
The binary has two other names: `echo_supervisord_conf` prints a sample configuration (echo_supervisord_conf(1)), and
`pidproxy` runs a daemon that forks to the background (pidproxy(1)).";

/// Returns the manual page supervisord(8) in roff.
#[must_use]
pub fn page() -> String {
    let mut page = Page::new("supervisord", "the table of options and the code");
    page.synopsis(&[
        "`supervisord` [`-c` <file>] [`-n`] [<option> ...]",
        "`supervisord` `--check` [`--strict`] [`--json`] [`--any-host`] [`-c` <file>]",
        "`supervisord` <command> [<option> ...] <argument> ...",
    ]);
    page.section("DESCRIPTION");
    page.prose(DESCRIPTION);
    add_options(&mut page);
    page.section("COMMANDS");
    page.prose(
        "If the first argument is one of these commands, `supervisord` runs the command and exits.",
    );
    for subcommand in &SUBCOMMANDS {
        add_subcommand(&mut page, subcommand);
    }
    page.section("SIGNALS");
    add_entries(&mut page, SIGNALS);
    page.section("EXIT STATUS");
    add_entries(&mut page, STATUS);
    page.section("UNDER SYSTEMD");
    page.prose(SYSTEMD);
    page.section("IN CONTAINERS");
    page.prose(CONTAINERS);
    page.section("UPGRADE AND SURVIVAL");
    page.prose(UPGRADE);
    add_entries(&mut page, SURVIVAL);
    page.prose(&format!(
        "Under systemd, the daemon starts a small process of the same binary, the fd holder `{}`. It holds the pipes of the \
         programs, and output that was read but not yet written, for the next daemon. It exits after the last program; if it \
         exits earlier, the daemon starts another one.",
        fd_holder::NAME
    ));
    page.section("OTHER NAMES");
    page.prose(NAMES);
    page.section("ENVIRONMENT");
    add_entries(&mut page, ENVIRONMENT);
    page.part("Variables of programs");
    add_entries(&mut page, GIVEN);
    add_files(&mut page);
    page.section("DIAGNOSTICS");
    page.prose(DIAGNOSTICS);
    add_entries(&mut page, PROBLEMS);
    page.section("DIFFERENCES FROM SUPERVISOR");
    page.prose(DIFFERENCES);
    add_examples(&mut page);
    page.see_also(&[("systemctl", 1), ("systemd.service", 5), ("logrotate", 8)])
}

/// Adds an entry for each row.
fn add_entries(page: &mut Page, rows: &[(&str, &str)]) {
    for (tag, text) in rows {
        page.entry(tag, text);
    }
}

/// Adds the section OPTIONS.
fn add_options(page: &mut Page) {
    page.section("OPTIONS");
    page.prose(
        "Options override the keys of the same name in the configuration, also after a reload. Long options can be abbreviated to \
         a unique prefix, except `--check`, `--json`, `--any-host`, `--strict`, `--daemon` and `--env-file`.\n\n\
         The daemon reads the files of `--env-file` once, before the configuration, so that `%(ENV_<NAME>)s` sees their variables and \
         programs inherit them. A later file wins over an earlier one and over the environment of the daemon. In a file, a value is \
         the rest of its line without blanks at both ends; blank lines, lines that begin with `#`, the word `export` and empty values \
         are skipped. A missing file or a bad line is an error, and the daemon does not start. `reload` and `upgrade` keep the \
         variables and do not read the files again; a restart does.",
    );
    for row in options::rows() {
        let tag = spelled(&row.opt, row.value);
        page.entry(&tag, &option_sentence(&row));
    }
    page.part("Checking");
    page.prose(CHECK);
    page.part("Codes of --check");
    page.prose(RULES_OF_CHECK);
    for row in RULES {
        let host = match row.scope {
            RuleScope::Host => ", host",
            RuleScope::Files => "",
        };
        let tag = format!("`{}` ({}{host})", row.code, row.severity.word());
        page.entry(&tag, row.doc);
    }
}

/// Adds the section FILES.
fn add_files(page: &mut Page) {
    page.section("FILES");
    page.prose("Without `-c`, the daemon uses the first of these configuration files that exists, for a program in `/usr/bin`:");
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
    add_entries(page, FILES);
}

/// Adds the section EXAMPLES.
fn add_examples(page: &mut Page) {
    page.section("EXAMPLES");
    page.prose("Try a configuration in one directory, without root:");
    page.example(Example::Configuration, TRY);
    page.example(Example::Shell, TRY_IT);
    page.prose("Run the daemon as a service:");
    page.example(Example::Machine, SERVICE);
    page.prose(
        "Import a systemd unit as a program; install the daemon as a service without a package:",
    );
    page.example(Example::Machine, SUBCOMMANDS_TRIED);
    page.prose("Run the daemon as the entry point of a container:");
    page.example(Example::Configuration, CONTAINER);
    page.example(
        Example::Text,
        "ENTRYPOINT [\"/usr/bin/supervisord\", \"-n\", \"-c\", \"/etc/supervisord.conf\"]",
    );
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
fn add_subcommand(page: &mut Page, subcommand: &'static Subcommand) {
    let (name, arguments) = (subcommand.name, subcommand.arguments());
    page.entry(
        &format!("`{name}` [<option> ...] {arguments}"),
        &format!("{} {}", sentence(&subcommand.doc()), subcommand.about()),
    );
    for option in subcommand.options() {
        let tag = spelled(&option.opt, option.value);
        page.more(&format!("{tag}: {}", option_sentence(&option)));
    }
    for word in subcommand.words() {
        page.entry(&format!("`{name} {}`", word.name), &sentence(&word.doc));
    }
}

/// Returns what an option does, and its default.
fn option_sentence(row: &OptionRow) -> String {
    let default = row.default.map(|default| format!(" Default: `{default}`."));
    format!("{}{}", sentence(&row.doc), default.unwrap_or_default())
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

const SUBCOMMANDS_TRIED: &str = "
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
