//! The manual page supervisord.conf(5), drawn from KEYS.

use super::key::{Key, Scope, SectionKind};
use crate::domain::VERSION;

/// Sections in the order of the page, with what each is.
const SECTIONS: &[(SectionKind, &str, &str)] = &[
    (
        SectionKind::Daemon,
        "supervisord",
        "The daemon itself. The section must exist.",
    ),
    (
        SectionKind::UnixServer,
        "unix_http_server",
        "A control server on a unix socket. There may be several, with a suffix: [unix_http_server:admin].",
    ),
    (
        SectionKind::InetServer,
        "inet_http_server",
        "A control server on a TCP port. There may be several, with a suffix. Without a password whoever reaches the port controls everything.",
    ),
    (
        SectionKind::RpcInterface,
        "rpcinterface:supervisor",
        "Makes the supervisor.* methods available to clients. Other factories are plug-ins of Python, which cannot be run: a warning says so, and with --strict an error.",
    ),
    (
        SectionKind::Client,
        "supervisorctl",
        "How the client reaches the daemon. It reads this section only, and follows no [include].",
    ),
    (
        SectionKind::Include,
        "include",
        "More files, read after this one; later settings win. Included files cannot include.",
    ),
    (
        SectionKind::Program,
        "program:NAME",
        "A program to run: one process, or several with numprocs.",
    ),
    (
        SectionKind::Group,
        "group:NAME",
        "Programs that are handled together. They then form no groups of their own.",
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

const HEAD: &str = "\
.SH NAME
supervisord.conf \\- configuration of supervisord
.SH DESCRIPTION
A file of sections in brackets, each with lines of the form
.IR key = value .
Keys are case-insensitive, names of sections are not. Lines that begin with
.B ;
or
.B #
are comments; either character also begins one behind a blank, within quotes
too. A line that is indented deeper than its key continues the value. A key
given twice counts as given last; sections of one name are merged. Keys of
.B [DEFAULT]
hold for every section.
.PP
Values may refer to names:
.B %(here)s
(the directory of the file),
.BI %(ENV_ NAME )s
(a variable of the environment),
.B %(host_node_name)s
and, in programs,
.BR %(program_name)s ,
.BR %(group_name)s ,
.BR %(process_num)02d ,
.BR %(numprocs)d .
A literal percent sign is written
.BR %% .
.PP
.B supervisord --check
reports every error with its place, and warns of keys that nobody knows.
";

const TAIL: &str = "\
.SH EXAMPLE
.nf
[supervisord]
logfile=/var/log/supervisord.log
pidfile=/run/supervisord.pid

[unix_http_server]
file=/run/supervisor.sock

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl=unix:///run/supervisor.sock

[program:cat]
command=/bin/cat
.fi
.SH SEE ALSO
.BR supervisord (8),
.BR supervisorctl (1)
";

/// Characters in a line of roff, at most.
const LINE_WIDTH: usize = 78;

/// The whole page, in roff.
#[must_use]
pub fn page() -> String {
    let mut page = format!(
        ".\\\" Drawn from the table of keys; do not edit.\n.TH SUPERVISORD.CONF 5 2026-11-20 \"supervisord {VERSION}\"\n{HEAD}.SH SECTIONS\n"
    );
    for &(kind, name, what) in SECTIONS {
        page.push_str(&format!(".SS [{name}]\n{}\n", escaped(what)));
        for key in kind.rows() {
            entry(&mut page, key);
        }
    }
    page.push_str(TAIL);
    page
}

fn entry(page: &mut String, key: &Key) {
    page.push_str(&format!(
        ".TP\n.B {}\n{}\n",
        escaped(key.name),
        escaped(key.doc)
    ));
    let mut facts = vec![format!("Takes {}.", key.kind.expected())];
    match key.default {
        None => {}
        Some("") => facts.push("Default: empty.".to_owned()),
        Some(default) => facts.push(format!("Default: {default}.")),
    }
    if key.scope == Scope::Process {
        facts.push("Evaluated for each process.".to_owned());
    }
    if let Some(flag) = key.flag {
        let short = flag
            .short
            .map(|letter| format!("-{letter}, "))
            .unwrap_or_default();
        facts.push(format!("Option: {short}--{}.", flag.long));
    }
    if key.ours {
        facts.push("Supervisor does not know this key.".to_owned());
    }
    page.push_str(&format!("{}\n", escaped(&facts.join(" "))));
}

/// A paragraph as roff takes it, for our other pages too: a backslash and a dash mean something there, a dot or quote at the start of a line too,
/// and lines are short.
pub fn escaped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text
        .replace('\\', "\\e")
        .replace('-', "\\-")
        .split_whitespace()
    {
        let line = lines.last().map_or(0, String::len);
        if line > 0 && line + word.len() >= LINE_WIDTH {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            } else if word.starts_with(['.', '\'']) {
                line.push_str("\\&");
            }
            line.push_str(word);
        }
    }
    lines.join("\n")
}
