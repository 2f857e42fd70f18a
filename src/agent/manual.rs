//! The manual page supervisord-agent(8).

use super::command_line;
use crate::domain::roff::Page;

const DESCRIPTION: &str = "\
`supervisord-agent` connects to foreign servers for supervisord(8): it reads a configuration from Nacos servers, reports its
changes, and writes it when somebody edits a program on the web page. `supervisord` starts it when its configuration comes from
such a server, with a socket as standard input, ends it when it is not needed any more, and starts it again if it dies. It is not
for use by hand.

`supervisord` looks for the program in the directory of its own executable, then at /usr/libexec/supervisord-agent and
/usr/lib/supervisord/supervisord-agent.";

const SECURITY: &str = "\
The program reads what foreign servers answer, and `supervisord` does not. So it has no privileges: if `supervisord` is root, it
runs as user `nobody` without supplementary groups; else as the user of `supervisord`. In both cases its capability sets are empty,
no_new_privs is set, and it has no file descriptor but its socket, /dev/null and its connections. It refuses to run as root or
with a capability. Other processes of its user cannot trace it.

A hostile server can withhold a configuration, or give one that `supervisord` checks like every other.

A file with the certificates of authorities must be readable by this user.";

/// The variables that the program uses, and for what.
const ENVIRONMENT: [(&str, &str); 2] = [
    (
        "`SSL_CERT_FILE`, `SSL_CERT_DIR`",
        "The certificates of authorities, instead of those of the system.",
    ),
    (
        "`TZ`, `LANG`, `PATH`",
        "Passed on by `supervisord`, as the two above. It gets no others.",
    ),
];

/// The exit statuses, and when the program has them.
const STATUSES: [(&str, &str); 3] = [
    ("0", "`supervisord` closed the socket."),
    (
        "1",
        "The socket failed, or something else than an order came.",
    ),
    (
        "2",
        "Wrong arguments, a privilege that the program must not have, or a standard input that is no stream socket.",
    ),
];

/// Returns the manual page supervisord-agent(8) in roff.
#[must_use]
pub fn page() -> String {
    let mut page = Page::new("supervisord-agent", "the code");
    page.synopsis(&["`supervisord-agent` [`--help`|`--version`]"]);
    page.section("DESCRIPTION");
    page.prose(DESCRIPTION);
    page.section("OPTIONS");
    for (option, doc) in command_line::options() {
        page.entry(&option, &format!("{doc}."));
    }
    page.section("ENVIRONMENT");
    for (variable, doc) in ENVIRONMENT {
        page.entry(variable, doc);
    }
    page.section("EXIT STATUS");
    for (status, doc) in STATUSES {
        page.entry(status, doc);
    }
    page.section("SECURITY");
    page.prose(SECURITY);
    page.see_also(&[])
}
