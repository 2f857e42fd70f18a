//! The manual page pidproxy(1).

use super::run::{SIGNALS, WATCH};
use crate::domain::roff::{Example, Page};

const DESCRIPTION: &str = "\
`pidproxy` runs <command>, which starts a daemon that forks to the background and writes its PID to <pidfile>. `pidproxy`
forwards its signals to the process with the PID that the file contains at that moment. So supervisord(8) can stop and signal a
program that is not its child.

<command> is a path; it is not searched in PATH and no shell interprets it.

`pidproxy` is a link to `supervisord`.";

const SAFETY: &str = "\
A pidfile cannot be used to gain privileges: `pidproxy` never signals PIDs below 2, itself or its parent. As root, it signals
only processes of the owner of the file, unless the owner is root, and sends no signal if everybody can write the file. It
signals the process by a pidfd, not by its number.";

const SECTION: &str = "
[program:daemon]
command=/usr/bin/pidproxy -exit-daemon-stop /run/daemon.pid /usr/sbin/daemon --config /etc/daemon.conf
stopsignal=TERM
";

/// The manual page pidproxy(1), in roff.
#[must_use]
pub fn page() -> String {
    let mut page = Page::new("pidproxy", "the code");
    page.synopsis(&[&format!(
        "`pidproxy` [`-{WATCH}`] <pidfile> <command> [<argument> ...]"
    )]);
    page.section("DESCRIPTION");
    page.prose(DESCRIPTION);
    let names = |ends: bool| {
        let names = SIGNALS.iter().filter(|&&(_, it)| it == ends);
        let names: Vec<String> = names.map(|(name, _)| format!("`{name}`")).collect();
        names.join(", ")
    };
    page.section("SIGNALS");
    page.entry(&names(true), "Forwarded; then `pidproxy` exits.");
    page.entry(&names(false), "Forwarded; `pidproxy` keeps running.");
    page.section("OPTIONS");
    page.entry(
        &format!("`-{WATCH}`"),
        "Keep running after the exit of the command, and exit with status 1 when the process in the pidfile exits. Without this \
         option, `pidproxy` exits with the command, as in Supervisor. Two dashes are accepted too.",
    );
    page.section("EXIT STATUS");
    page.entry(
        "0",
        "A signal stopped `pidproxy`, or the command has exited.",
    );
    page.entry(
        "1",
        "Wrong arguments, the command cannot be run, the pidfile does not exist, or the process in the pidfile has exited.",
    );
    page.section("SECURITY");
    page.prose(SAFETY);
    page.section("EXAMPLES");
    page.prose("Supervise a program that forks to the background:");
    page.example(Example::Sections, SECTION);
    page.prose("Run it by hand:");
    page.example(
        Example::Shell,
        "pidproxy sleep.pid /bin/sh -c 'echo $$ > sleep.pid; exec sleep 0.1'",
    );
    page.see_also(&[])
}
