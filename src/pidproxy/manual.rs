//! The manual page pidproxy(1).

use super::run::{SIGNALS, WATCH};
use crate::domain::roff::{Example, Page};

const DESCRIPTION: &str = "\
It runs <command>, which is to start a daemon that puts itself into the background and writes its process number to
<pidfile>. Signals that it gets it sends on to the process whose number stands in the file at that moment. So supervisord(8)
can stop and signal a program that does not stay its child.

<command> is a path; it is not looked for in PATH, and no shell reads it.

It is a link to `supervisord`, which does this when it is called by that name.";

const SAFETY: &str = "\
A pidfile is believed only as far as nobody gains rights by it: numbers below 2, this process and its parent are never
signalled; as root, only processes of the file's owner are, unless that is root, and nothing if everybody can write the file.
The process is signalled by a descriptor of it, not by its number.";

const SECTION: &str = "
[program:daemon]
command=/usr/bin/pidproxy -exit-daemon-stop /run/daemon.pid /usr/sbin/daemon --config /etc/daemon.conf
stopsignal=TERM
";

/// Returns the manual page pidproxy(1) in roff.
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
    page.entry(&names(true), "Sent on; then it ends.");
    page.entry(&names(false), "Sent on; it stays.");
    page.section("OPTIONS");
    page.entry(
        &format!("`-{WATCH}`"),
        "Stay when the command has ended, and end with status 1 when the process of the pidfile does. Without it, it ends with \
         the command, as Supervisor's does. Two dashes mean the same.",
    );
    page.section("EXIT STATUS");
    page.entry("0", "It was told to end, or its command has ended.");
    page.entry(
        "1",
        "Wrong arguments, a command that cannot be run, no pidfile, or the process of the pidfile has ended.",
    );
    page.section("SECURITY");
    page.prose(SAFETY);
    page.section("EXAMPLES");
    page.prose("A program that goes into the background, under supervision:");
    page.example(Example::Sections, SECTION);
    page.prose("By hand:");
    page.example(
        Example::Shell,
        "pidproxy sleep.pid /bin/sh -c 'echo $$ > sleep.pid; exec sleep 0.1'",
    );
    page.see_also(&[])
}
