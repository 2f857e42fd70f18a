//! The manual page supervisord.conf(5), generated from KEYS.

use crate::config::key::{self, ConfigKey, ExpandScope, SectionKind, Topic, ValueKind};
use crate::config::search;
use crate::core;
use crate::domain::roff::{Example, Page};

/// The sections in the order of the page, with their descriptions.
const SECTIONS: &[(SectionKind, &str, &str)] = &[
    (
        SectionKind::Daemon,
        "supervisord",
        "The daemon. This section is required: if a reload reads a file without it, such as an empty or truncated file, nothing changes. Only at the first start, a file that has neither this section nor any `[rpcinterface:x]`, but has a `[program:x]` or `[program-default]`, is accepted with a warning.",
    ),
    (
        SectionKind::UnixServer,
        "unix_http_server",
        "A control server on a unix socket. Several servers have suffixes: `[unix_http_server:admin]`.",
    ),
    (
        SectionKind::InetServer,
        "inet_http_server",
        "A control server on a TCP port. Several servers have suffixes. Without a password, everybody who can reach the port controls all programs.",
    ),
    (
        SectionKind::RpcInterface,
        "rpcinterface:supervisor",
        "Enables the XML-RPC methods `supervisor.*` and `supervisord.*`. `[rpcinterface:twiddler]`, with the factory `supervisor_twiddler.rpcinterface:make_twiddler_rpcinterface`, enables `twiddler.*`; its key `whitelist` names the methods that clients may call, without prefix, separated by commas. Other factories are Python plug-ins, which are not supported: supervisord prints a warning, and an error with `--strict`.",
    ),
    (
        SectionKind::Client,
        "supervisorctl",
        "How supervisorctl(1) connects to the daemon. The client reads only this section and does not follow `[include]`.",
    ),
    (
        SectionKind::CtlPlugin,
        "ctlplugin:NAME",
        "A Python plug-in for supervisorctl(1). Python plug-ins are not supported: the client prints a warning. The action of supervisor-serialrestart is built in.",
    ),
    (
        SectionKind::Include,
        "include",
        "More configuration files, read after this file; later values win. An included file cannot include other files. Blanks or newlines separate patterns; a comma is part of a name. Every user who can add a file to a directory of a pattern can run programs as the user of the daemon. If users other than root can do that, a daemon of root prints a warning at start and with `--check`, and `supervisord service install` fails. In a sticky directory such as `/tmp`, everybody can add files.",
    ),
    (
        SectionKind::Program,
        "program:NAME",
        "A program to run: one process, or several with `numprocs`.",
    ),
    (
        SectionKind::ProgramDefault,
        "program-default",
        "Defaults for all programs. It has the keys of `[program:NAME]`; each applies to every `[program:NAME]` and `[fcgi-program:NAME]` that does not have the key itself, and not to event listeners. A key is replaced as a whole: a program with its own `environment` gets no variable from this section. Keys of this section win over those of `[DEFAULT]`. (new)",
    ),
    (
        SectionKind::Group,
        "group:NAME",
        "A group of programs. Without a group, each program is a group of its own. Programs of a group start by `priority`, and programs of equal priority start in the order of `programs`.",
    ),
    (
        SectionKind::Listener,
        "eventlistener:NAME",
        "A program that reads events from its standard input and writes results to its standard output, see supervisord-events(7). All keys of programs are valid here too. The processes of the section are a pool: each event goes to one process that is ready.",
    ),
    (
        SectionKind::Fcgi,
        "fcgi-program:NAME",
        "A FastCGI program. All keys of programs are valid here too, and a group can contain it. All its processes accept connections from one listening socket, which is their file descriptor 0. The daemon creates the socket when the first process starts and closes it after the exit of the last process; the file of a unix socket is not removed.",
    ),
    (
        SectionKind::Notify,
        "notify:NAME",
        "Reports to people what needs attention. The command gets the report on standard input, and these variables: `SUPERVISOR_NOTIFY` (NAME), `SUPERVISOR_NOTIFY_SUBJECT` (one line, such as `web:web_0 is FATAL`), `SUPERVISOR_NOTIFY_CONDITIONS` and `SUPERVISOR_NOTIFY_COUNT` (the number of items). The first item is reported at once; what happens within `interval` seconds after it is in one later report, in which equal items are counted. A condition that continues is reported once. Items beyond 100 in one report are counted only. If the command fails three times, the log says so and the report is lost. A change of the section takes effect with `reread` or `update`. The process that is FATAL for `on_fatal=shutdown` can be reported only if the command ends before the daemon exits. (new)",
    ),
    (
        SectionKind::Nacos,
        "nacos",
        "The server that the configuration comes from, besides the local files. Each key KEY is also the option `--nacos-KEY` of supervisord(8), with `-` for `_`, and the variable `NACOS_KEY` in capital letters. The command line wins over the environment, that over the settings that the web page saves in `supervisord.nacos.conf` beside the configuration file, and those over this section. The text of the item replaces keys of the local files one by one. A changed text is applied like `supervisorctl update`; a text with an error changes nothing. Changed keys take effect at the next start. (new)",
    ),
    (
        SectionKind::Source,
        "source",
        "A command that prints the configuration, besides the local files: of etcd, Consul, git or any other store. Each key KEY is also the option `--source-KEY` of supervisord(8), with `-` for `_`, which wins over this section. The command runs without a shell and without privileges: as `nobody` if the daemon is root, and as root only with `user=root`. Its working directory is `/`. The text that it prints replaces keys of the local files one by one. A changed text is applied like `supervisorctl update`. If the command fails (an exit status other than 0, no output, more than `maxbytes`, longer than `timeout`) or the text has an error, nothing changes. A configuration has one source: this section or `[nacos]`. Changed keys take effect at the next start. (new)",
    ),
];

/// The introduction of a topic.
const fn about(topic: Topic) -> Option<&'static str> {
    match topic {
        Topic::Health => Some(
            "A health check runs while a process is RUNNING. `status` shows `healthy` or `unhealthy` with the reason. A program has one check: `liveness_check_script` with its keys, or one of `health_http`, `health_tcp`, `health_command` and `health_log`. Commands run as the user of the program, with its environment, directory and cgroup. `https://` checks are made by supervisord-agent(8), which runs as `nobody`: `--ca-file FILE` names the authorities instead of those of the system.",
        ),
        Topic::Hooks => Some(
            "A hook is a command, `tcp://HOST:PORT` or `http://HOST:PORT/PATH` or `https://HOST/PATH` with curl-like options `-H` and `-d`, and `--ca-file` for `https://`. Commands run as the user of the program, with its environment, directory and cgroup, and with `SUPERVISOR_HOOK` (the name of the key), `SUPERVISOR_PID` if the process exists, and `SUPERVISOR_LAST_HOOK` (`success`, or why the hook before failed). No other program waits for a hook. Requests over `https://` are made by supervisord-agent(8), which runs as `nobody`.",
        ),
        Topic::Watch => Some(
            "The daemon watches files and reacts to their changes. The reaction is the script if there is one, else the signals, else a stop and a start as by `supervisorctl restart`, whatever `autorestart` says. Processes that are stopped, FATAL or in BACKOFF stay as they are. Processes of one program share a watch: the script runs once, with the environment of one of them, `SUPERVISOR_CHANGED_FILE` (the path), `SUPERVISOR_HOOK` (the name of the key) and `SUPERVISOR_PID`. Scripts are written as those of hooks. The daemon does not follow symlinks below the directory. If the kernel cannot report changes (network file systems, or a directory with more than 8192 directories below it), the daemon compares the files every 10 seconds. A directory that does not exist is looked for every 2 seconds, and counts as changed when it is there.",
        ),
        Topic::Limits => Some(
            "Limits of one process. A `limit_` key takes one number for both limits, or the soft and the hard limit. Without the key, the process has the limits of the daemon.",
        ),
        Topic::Cgroup => Some(
            "Limits of the process and all its children. These keys need a writable cgroup v2; without one, the log has a warning and the keys have no effect. All limits can be changed while the process runs: `supervisorctl update` applies them without a restart.",
        ),
        Topic::Privileges => Some(
            "If the kernel refuses a setting, the program does not start; its log of standard error names the key and the missing privilege.",
        ),
        Topic::Schedule => Some(
            "A program with `cron` starts at these times, not with the daemon. `supervisorctl next` prints when, `runs` its last runs, and `run` starts it now. A `stop` ends the present run only. See `SCHEDULES`.",
        ),
        Topic::Run | Topic::Start | Topic::Order | Topic::Ready | Topic::Logs | Topic::Systemd => {
            None
        }
    }
}

const DESCRIPTION: &str = "\
The configuration is a text file of sections. A section begins with its name in brackets and has lines of the form
`<key> = <value>`. Keys are case-insensitive, section names are case-sensitive. A line that begins with `;` or `#` is a
comment; within a line, a blank before one of these characters begins a comment, even within quotes. A line that is
indented deeper than its key continues the value. If a key occurs twice, the last value wins; sections with the same name
are merged. Keys of `[DEFAULT]` apply to all sections.

Values can contain `%(here)s` (the directory of the file), `%(ENV_<NAME>)s` (an environment variable),
`%(host_node_name)s` and, in programs, `%(program_name)s`, `%(group_name)s`, `%(process_num)02d` and `%(numprocs)d`.
`%(ENV_<NAME>:-<text>)s` expands to the text if the variable is unset or empty. `%%` is a literal percent sign.

`supervisord --check` prints all errors and warnings with file, line, column and a remedy; supervisord(8) lists what it finds.
Unknown keys and sections are warnings, with `--strict` errors. Keys of other tools that share the file are ignored. At start, the log shows at most eight
unknown keys. `echo_supervisord_conf` prints a sample file with all keys.";

const KEYS: &str = "\
Each key has its type, its default and, if the form is not obvious, an example. “(new)” marks keys that Supervisor 4.3.0 does
not have. “Per process” marks keys whose value is expanded for each process of a section, so that it can contain
`%(process_num)d`. “Option” is the command line option that overrides the key. `VALUE TYPES` describes the types.";

const SCHEDULES: &str = "\
`cron` has five fields (minute, hour, day of the month, month, day of the week) or six (second first). A field is `*` or `?`,
a number, a range `<a>-<b>`, a step `*/<n>`, `<a>-<b>/<n>` or `<a>/<n>` (from `<a>` on), or a list of these with commas. Months and
days have names (`JAN`, `SUN`); Sunday is 0 or 7. If both day fields are restricted, either is enough. `L` is the last day, `1#2`
the second Monday, `15W` the working day next to the 15th, `5L` the last Friday. `@yearly`, `@monthly`, `@weekly`, `@daily`,
`@midnight` and `@hourly` are words for whole expressions. `@every 1h30m` is an interval, from the start of the schedule on, on a
clock that nobody can set. `CRON_TZ=<zone>` or `TZ=<zone>` before the fields names a time zone; otherwise times are those of the
host, whose zone is read with the configuration. A date that never comes is a configuration error.

A time that summer time skips counts as the moment after the gap. A time that comes twice counts once, unless the hour is a
wildcard. A run that is due is late after one minute: the daemon did not run, the machine slept, or the clock was set forward; then
`cron_missed` decides. If the clock is set back by at most three hours, the times that come again have no second run; if it is set
back further, the schedule starts again.

A run that is due while the program is starting, running or stopping follows `cron_overlap`. With `queue`, at most one run waits,
and a `stop` by hand drops it. Everything else is as for other programs: `startsecs`, `startretries`, `stopwaitsecs` and the
environment apply to each run.

The last 50 runs of each program are in `state_directory`, in the directory `runs`. Without a state directory they survive an
upgrade of the daemon only, and runs that were due while no daemon ran are not noticed.";

const ENV_FILES: &str = "\
`envFiles` and `environment_file` name files of `<KEY>=<value>` lines. The daemon reads them with its own rights at each start of the
program, so a changed file counts at the next start. A variable of a later file wins over that of an earlier file; `environment`
wins over all files, and all files win over `environment` of `[supervisord]` and the environment of the daemon. A relative path
begins at the working directory of the daemon; `~` and `~<user>` are replaced.

Blank lines and lines that begin with `#` are skipped. Blanks around the name and the value are removed, and so is the word
`export` before the name. A blank before a `#` begins a comment; a `#` within a value belongs to it. Nothing in a value is
expanded: `$` and `%` stay. A quoted value can continue over several lines. Within double quotes, `\\n`, `\\r`, `\\t`,
`\\\"`, `\\\\` and `\\u` with four hexadecimal digits are escapes; within single quotes there are none.

A line that is not of this form, a file over 1 MiB and anything but a regular file are a spawn error of the program, which names
the file and the line; other programs start. `supervisord --check` reads the files too. Values are never logged.

`--env-file` of supervisord(8) has a simpler form: a value is the rest of its line.";

const FILES: &str = "\
Packages for Debian and its derivatives use `/etc/supervisor/supervisord.conf`, which includes
`/etc/supervisor/conf.d/*.conf`. Packages for Fedora, RHEL and SUSE use `/etc/supervisord.conf`, which includes
`/etc/supervisord.d/*.ini`. Put each program into a file of its own there and run `supervisorctl update`.

As root, the daemon refuses a configuration file that it found by search if users other than root can change the file, a
directory above the file, or an included file. With `-c`, the daemon uses the file and prints a warning.

Without `-c`, the daemon and the client use the first of these files that exists, for a program in `/usr/bin`:";

const WHOLE: &str = "
[unix_http_server]
file=/run/supervisor/supervisor.sock
chmod=0770
chown=root:supervisor

[supervisord]
logfile=/var/log/supervisor/supervisord.log
pidfile=/run/supervisor/supervisord.pid
childlogdir=/var/log/supervisor

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix:///run/supervisor/supervisor.sock

[include]
files=/etc/supervisor/conf.d/*.conf
";

const WEB: &str = "
; /etc/supervisor/conf.d/web.conf
[program:web]
command=/usr/bin/python3 -m http.server %(ENV_WEB_PORT)s
directory=/srv/www
environment=PYTHONUNBUFFERED=\"1\"
user=www-data
stdout_logfile=/var/log/supervisor/web.log
redirect_stderr=true
stopasgroup=true
memory_max=512MB
";

const POOL: &str = "
[program:worker]
command=/usr/bin/sleep %(process_num)d000
process_name=%(program_name)s_%(process_num)02d
numprocs=4
stdout_logfile=journal
stderr_logfile=journal
stopwaitsecs=60

[program:mailer]
command=/usr/bin/sleep 1000
autorestart=unexpected
exitcodes=0

[group:jobs]
programs=worker,mailer
priority=20
";

/// Returns the manual page supervisord.conf(5) in roff.
#[must_use]
pub fn configuration() -> String {
    let mut page = Page::new("supervisord.conf", "the table of keys");
    page.section("DESCRIPTION");
    page.prose(DESCRIPTION);
    page.section("FILES");
    page.prose(FILES);
    for place in search::search_paths("/usr/bin/supervisord") {
        let what = match place.starts_with('/') {
            true => "",
            false => "In the working directory; do not rely on it.",
        };
        page.entry(&format!("`{place}`"), what);
    }
    page.section("SECTIONS AND KEYS");
    page.prose(KEYS);
    for &(kind, name, what) in SECTIONS {
        page.part(&format!("[{name}]"));
        page.prose(what);
        for key in kind.rows().iter().filter(|key| key.topic.is_none()) {
            entry(&mut page, key);
        }
        for (topic, title) in Topic::ALL {
            let mut keys = kind
                .rows()
                .iter()
                .filter(|key| key.topic == Some(topic))
                .peekable();
            if keys.peek().is_none() {
                continue;
            }
            page.part(&format!("[{name}]: {title}"));
            if let Some(text) = about(topic).filter(|_| kind == SectionKind::Program) {
                page.prose(text);
            }
            for key in keys {
                entry(&mut page, key);
            }
        }
    }
    page.section("VALUE TYPES");
    for kind in types() {
        page.entry(kind.name(), &sentence(kind.expected()));
    }
    page.section("SCHEDULES");
    page.prose(SCHEDULES);
    page.section("ENVIRONMENT FILES");
    page.prose(ENV_FILES);
    core::manual::states(&mut page);
    page.section("EXAMPLES");
    page.prose("A daemon whose programs have files of their own:");
    page.example(Example::Configuration, WHOLE);
    page.prose("One of those files. `WEB_PORT` is a variable in the environment of the daemon.");
    page.example(Example::Sections, WEB);
    page.prose(
        "A group of two programs, one with four processes. `supervisorctl restart jobs:*` restarts all five processes.",
    );
    page.example(Example::Sections, POOL);
    page.see_also(&[("systemd.exec", 5), ("cgroups", 7), ("capabilities", 7)])
}

/// The kinds of values whose name needs an explanation, in the order in which keys use them.
fn types() -> Vec<ValueKind> {
    let mut types = Vec::new();
    for (_, key) in key::all() {
        let is_plain = key.kind == ValueKind::Text || key.kind.name() == key.kind.expected();
        if !is_plain && !types.contains(&key.kind) {
            types.push(key.kind);
        }
    }
    types
}

fn entry(page: &mut Page, key: &ConfigKey) {
    let new = if key.ours { " (new)" } else { "" };
    page.entry(&format!("`{}`{new}", key.name), &sentence(key.doc));
    let mut facts = vec![format!("Type: {}.", key.kind.name())];
    match key.default {
        None => facts.push("Default: none.".to_owned()),
        Some("") => facts.push("Default: empty.".to_owned()),
        Some(default) => facts.push(format!("Default: `{default}`.")),
    }
    if key.scope == ExpandScope::Process {
        facts.push("Per process.".to_owned());
    }
    if let Some(flag) = key.flag {
        let short = flag
            .short
            .map(|letter| format!("`-{letter}`, "))
            .unwrap_or_default();
        facts.push(format!("Option: {short}`--{}`.", flag.long));
    }
    if let Some(example) = key.example {
        facts.push(format!("Example: `{}={example}`", key.name));
    }
    page.more(&facts.join(" "));
}

/// Turns a key's doc into a sentence. In the sample it is a fragment.
fn sentence(doc: &str) -> String {
    let mut letters = doc.chars();
    let first = letters.next().map(|c| c.to_ascii_uppercase());
    let stop = if doc.ends_with(['.', '!', '?']) {
        ""
    } else {
        "."
    };
    first
        .into_iter()
        .chain(letters)
        .chain(stop.chars())
        .collect()
}
