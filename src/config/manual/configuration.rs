//! The manual page supervisord.conf(5), generated from KEYS.

use super::super::key::{ConfigKey, ExpandScope, SectionKind};
use super::super::search;
use crate::domain::roff::{Example, Page};

/// The sections in the order of the page, with their descriptions.
const SECTIONS: &[(SectionKind, &str, &str)] = &[
    (
        SectionKind::Daemon,
        "supervisord",
        "The daemon itself. The section must exist: a file without it, such as an emptied or cut one, changes nothing in a daemon that runs. Only a file with neither this section nor any `[rpcinterface:x]`, but with a `[program:x]` or `[program-default]`, is taken as if it had both, with a warning; never by a daemon that was started with the section.",
    ),
    (
        SectionKind::UnixServer,
        "unix_http_server",
        "A control server on a unix socket. There may be several, with a suffix: `[unix_http_server:admin]`.",
    ),
    (
        SectionKind::InetServer,
        "inet_http_server",
        "A control server on a TCP port. There may be several, with a suffix. Without a password whoever reaches the port controls everything.",
    ),
    (
        SectionKind::RpcInterface,
        "rpcinterface:supervisor",
        "Makes the methods `supervisor.*` and `supervisord.*` available to clients. `[rpcinterface:twiddler]`, with the factory `supervisor_twiddler.rpcinterface:make_twiddler_rpcinterface`, makes `twiddler.*` available; a key `whitelist` there names those that may be called, without their prefix and with commas between them. Other factories are plug-ins of Python, which cannot be run: a warning says so, and with `--strict` an error.",
    ),
    (
        SectionKind::Client,
        "supervisorctl",
        "How the client reaches the daemon. It reads this section only, and follows no `[include]`.",
    ),
    (
        SectionKind::CtlPlugin,
        "ctlplugin:NAME",
        "A plug-in of Python for the client, which cannot be run: a warning says so. The action of supervisor-serialrestart is there without it.",
    ),
    (
        SectionKind::Include,
        "include",
        "More files, read after this one; later settings win. Included files cannot include. Patterns are separated by blanks or line ends; a comma is part of a name. Whoever can add a file to a directory that a pattern names can run programs as the daemon's user, whether or not a file matches now: if that is anybody but root, a root daemon warns at its start and in `--check`, and `supervisord service install` refuses. A sticky directory such as `/tmp` lets everybody add files.",
    ),
    (
        SectionKind::Program,
        "program:NAME",
        "A program to run: one process, or several with `numprocs`.",
    ),
    (
        SectionKind::Group,
        "group:NAME",
        "Programs that are handled together. They then form no groups of their own. They start by `priority`, and those of equal priority in the order of `programs`.",
    ),
    (
        SectionKind::Listener,
        "eventlistener:NAME",
        "A program that hears of events on its standard input and answers on its standard output; has the keys of programs besides these. Its processes are a pool: each event goes to one of them that is free.",
    ),
    (
        SectionKind::Fcgi,
        "fcgi-program:NAME",
        "A FastCGI program, which may be a member of a group; has the keys of programs besides these. Its processes accept connections from one listening socket, which each has as descriptor 0 in place of standard input. The daemon makes the socket when the first of them starts and closes it when the last has ended; the file of a unix socket stays.",
    ),
];

const DESCRIPTION: &str = "\
A file of sections in brackets, each with lines of the form `<key> = <value>`. Keys are case-insensitive, names of sections
are not. Lines that begin with `;` or `#` are comments; either character also begins one behind a blank, within quotes too.
A line that is indented deeper than its key continues the value. A key given twice counts as given last; sections of one
name are merged. Keys of `[DEFAULT]` hold for every section.

Values may refer to names: `%(here)s` (the directory of the file), `%(ENV_<NAME>)s` (a variable of the environment),
`%(host_node_name)s` and, in programs, `%(program_name)s`, `%(group_name)s`, `%(process_num)02d`, `%(numprocs)d`. A literal
percent sign is written `%%`. `%(ENV_<NAME>:-<text>)s` is the text if the variable is not set or is empty.

`supervisord --check` reports every error and every warning with its place, by file and line. It warns of keys and sections
that nothing reads, with what was probably meant, once for each kind of section; `--strict` takes such a warning for an error.
Keys that other tools read (`dependent_startup` and its like) are left alone. At a start the log names the first eight. `echo_supervisord_conf` prints a file with every key in it, most of them commented out.";

const FILES: &str = "\
Packages for Debian and its relatives read `/etc/supervisor/supervisord.conf`, which includes
`/etc/supervisor/conf.d/*.conf`; those for Fedora, RHEL and SUSE `/etc/supervisord.conf`, which includes
`/etc/supervisord.d/*.ini`. A program is a file of its own there, which `supervisorctl update` takes over.

As root, the daemon refuses a file that it has found by search if others than root can change that file, a directory above
it, or what it includes. One that is named with `-c` is taken with a warning.

If neither the unit nor the command line names a file, both programs take the first of these that is there, for a program in
`/usr/bin`:";

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
            false => "In the working directory; not to be relied on.",
        };
        page.entry(&format!("`{place}`"), what);
    }
    page.section("SECTIONS");
    for &(kind, name, what) in SECTIONS {
        page.part(&format!("[{name}]"));
        page.prose(what);
        for key in kind.rows() {
            entry(&mut page, key);
        }
    }
    page.section("EXAMPLES");
    page.prose("A daemon whose programs stand in files of their own:");
    page.example(Example::Configuration, WHOLE);
    page.prose("One of those files. The variable is the daemon's own.");
    page.example(Example::Sections, WEB);
    page.prose(
        "Four processes of one program and one of another, which are started and stopped together: \
         `supervisorctl restart jobs:*`.",
    );
    page.example(Example::Sections, POOL);
    page.see_also(&[("systemd.exec", 5), ("cgroups", 7), ("capabilities", 7)])
}

fn entry(page: &mut Page, key: &ConfigKey) {
    let mut facts = vec![sentence(key.doc), format!("Takes {}.", key.kind.expected())];
    match key.default {
        None => {}
        Some("") => facts.push("Default: empty.".to_owned()),
        Some(default) => facts.push(format!("Default: `{default}`.")),
    }
    if key.scope == ExpandScope::Process {
        facts.push("Evaluated for each process.".to_owned());
    }
    if let Some(flag) = key.flag {
        let short = flag
            .short
            .map(|letter| format!("`-{letter}`, "))
            .unwrap_or_default();
        facts.push(format!("Option: {short}`--{}`.", flag.long));
    }
    if key.ours {
        facts.push("Supervisor does not know this key.".to_owned());
    }
    page.entry(&format!("`{}`", key.name), &facts.join(" "));
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
