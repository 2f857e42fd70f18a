//! The manual page supervisord-journal-fields(7), generated from the field tables and from LINES.

use super::fields::{OF_DAEMON, OF_PROGRAMS};
use super::sinks::LINE_BYTES_MAX;
use crate::domain::LINES;
use crate::domain::roff::{Example, Page};

const DESCRIPTION: &str = "\
With `stdout_logfile=journal` or `stderr_logfile=journal`, each output line of a program is an entry of the systemd journal.
With `logfile=journal` in `[supervisord]`, each line of the activity log is an entry. In the foreground under systemd, the copy
of the activity log on standard output consists of such entries too. See supervisord.conf(5).

The daemon sends the entries, so fields that journald adds, such as `_PID` and `_SYSTEMD_UNIT`, describe the daemon. Every user
can send entries with the fields below; to select only entries of the daemon, also match `_UID` or `_SYSTEMD_UNIT`.";

const LIMITS: &str = "\
`LogRateLimitIntervalSec=` and `LogRateLimitBurst=` of a unit limit the entries that journald accepts from the unit. The
packaged unit removes this limit, because all programs share it. `stdout_journal_rate_limit` and `stderr_journal_rate_limit`
limit one program; an entry counts the suppressed lines. While journald is slow or restarts, the output of programs waits and
is not lost.";

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
        "A line longer than {} MiB is split into several entries.",
        LINE_BYTES_MAX >> 20
    ));
    for field in OF_PROGRAMS {
        page.entry(&format!("`{}`", field.name), field.doc);
    }
    page.section("ENTRIES OF THE DAEMON");
    page.prose("Fields without a value are omitted.");
    for field in OF_DAEMON {
        page.entry(&format!("`{}`", field.name), field.doc);
    }
    page.part("Kinds of lines");
    page.prose(
        "The values of `SUPERVISOR_LINE`, with the level and the text of each line, as in log files. Names in braces are \
         values.",
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
    page.prose("All entries of a program; standard error of a group, followed; warnings and errors in JSON; programs that became FATAL:");
    page.example(Example::Machine, EXAMPLES);
    page.see_also(&[
        ("journalctl", 1),
        ("systemd.journal-fields", 7),
        ("journald.conf", 5),
    ])
}
