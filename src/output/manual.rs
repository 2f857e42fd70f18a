//! The manual page supervisord-journal-fields(7), generated from the field tables and from LINES.

use super::entries::LINE_BYTES_MAX;
use super::fields::{OF_DAEMON, OF_PROGRAMS};
use crate::domain::LINES;
use crate::domain::roff::{Example, Page};

const DESCRIPTION: &str = "\
With `stdout_logfile=journal` or `stderr_logfile=journal` in its section, each line that a program writes is an entry of
systemd's journal; with `logfile=journal` in `[supervisord]`, each line of the activity log is one. In the foreground under
systemd the copy of that log on standard output is made of such entries too. See supervisord.conf(5).

Entries are sent by the daemon, so the fields that journald adds itself, `_PID` and `_SYSTEMD_UNIT` among them, are the
daemon's. Anybody can send entries with fields like those below; what only the daemon can have sent is told by `_UID` or
`_SYSTEMD_UNIT` besides.";

const LIMITS: &str = "\
What journald takes of one unit within a time is limited by `LogRateLimitIntervalSec=` and `LogRateLimitBurst=` of the unit;
the unit that comes with the daemon lifts that limit, for all programs share it. `stdout_journal_rate_limit` and
`stderr_journal_rate_limit` limit one program instead, and an entry says how many lines were left out. While journald is
slow or is started anew, what a program writes waits, and nothing that was read is lost.";

const EXAMPLES: &str = "
journalctl SUPERVISOR_PROCESS=web
journalctl -f SUPERVISOR_GROUP=jobs SUPERVISOR_STREAM=stderr
journalctl -p warning SUPERVISOR_PROCESS=web -o json
journalctl SYSLOG_IDENTIFIER=supervisord SUPERVISOR_STATE=FATAL
";

/// Returns the manual page supervisord-journal-fields(7) in roff.
#[must_use]
pub fn page() -> String {
    let mut page = Page::new(
        "supervisord-journal-fields",
        "the tables of fields and lines",
    );
    page.section("DESCRIPTION");
    page.prose(DESCRIPTION);
    page.section("ENTRIES OF PROGRAMS");
    page.prose(&format!(
        "A line of more than {} MiB is several entries.",
        LINE_BYTES_MAX >> 20
    ));
    for field in OF_PROGRAMS {
        page.entry(&format!("`{}`", field.name), field.doc);
    }
    page.section("ENTRIES OF THE DAEMON");
    page.prose("Fields without a value are left out.");
    for field in OF_DAEMON {
        page.entry(&format!("`{}`", field.name), field.doc);
    }
    page.part("Kinds of lines");
    page.prose(
        "The values of `SUPERVISOR_LINE`, with the level and the text of each line, as it is in log files too. What stands in \
         braces is a value.",
    );
    for line in LINES {
        page.entry(
            &format!("`{}`", line.variant),
            &format!(
                "{}: {}",
                line.level.letters(),
                line.template.replace('`', "'")
            ),
        );
    }
    page.section("LIMITS");
    page.prose(LIMITS);
    page.section("EXAMPLES");
    page.prose("All of a program; errors of a group as they come; what is worse than usual, for a script; who was given up:");
    page.example(Example::Machine, EXAMPLES);
    page.see_also(&[
        ("journalctl", 1),
        ("systemd.journal-fields", 7),
        ("journald.conf", 5),
    ])
}
