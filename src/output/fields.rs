//! The fields of our journal entries: their names and descriptions.

/// A field and its description.
#[derive(Debug)]
pub(super) struct Field {
    /// Its name in the journal.
    pub(super) name: &'static str,
    /// The description, for the manual.
    pub(super) doc: &'static str,
}

const fn field(name: &'static str, doc: &'static str) -> Field {
    Field { name, doc }
}

pub(super) const MESSAGE: &str = "MESSAGE";
pub(super) const PRIORITY: &str = "PRIORITY";
pub(super) const IDENTIFIER: &str = "SYSLOG_IDENTIFIER";
pub(super) const GROUP: &str = "SUPERVISOR_GROUP";
pub(super) const PROCESS: &str = "SUPERVISOR_PROCESS";
pub(super) const STREAM: &str = "SUPERVISOR_STREAM";
pub(super) const INCARNATION: &str = "SUPERVISOR_INCARNATION";
pub(super) const LINE_BREAK: &str = "SUPERVISOR_LINE_BREAK";
pub(super) const LINE: &str = "SUPERVISOR_LINE";
pub(super) const STATE: &str = "SUPERVISOR_STATE";
pub(super) const EXIT: &str = "SUPERVISOR_EXIT";
pub(super) const PID: &str = "OBJECT_PID";

/// The fields of entries from programs. Each line is one entry.
#[rustfmt::skip] // One row, one line.
pub(super) const OF_PROGRAMS: &[Field] = &[
    field(MESSAGE, "The line, without its newline."),
    field(PRIORITY, "6 (informational), on both streams, or what the line itself begins with: `<0>` to `<7>`, as sd-daemon(3) has it, which is not part of the message then. 4 where the daemon says how many lines it left out."),
    field(IDENTIFIER, "Name of the process."),
    field(GROUP, "Its group."),
    field(PROCESS, "Its name once more, which no other program's entry has by chance."),
    field(STREAM, "`stdout` or `stderr`."),
    field(INCARNATION, "A number that each life of a process has alone, larger for later ones. It tells output before a restart from output after it."),
    field(PID, "Its process number. journald adds what it knows of that process, in fields that begin with `OBJECT_`."),
    field(LINE_BREAK, "Where an entry does not end with a newline: `line-max` if the line is longer than an entry holds and goes on in the next, `eof` if the output ended there."),
];

/// The fields of the daemon's own entries. Each line of the activity log is one entry.
#[rustfmt::skip] // One row, one line.
pub(super) const OF_DAEMON: &[Field] = &[
    field(MESSAGE, "The line, without time and level."),
    field(PRIORITY, "2 for CRIT, 3 for ERRO, 4 for WARN, 6 for INFO, 7 for all below."),
    field(IDENTIFIER, "`supervisord`."),
    field(LINE, "What kind of line it is; one word, the same in each version."),
    field(PROCESS, "The process that it is about, if it is about one."),
    field(GROUP, "The group, if it is about one."),
    field(STATE, "The state that the process has entered, if that is what the line says."),
    field(EXIT, "How the process has ended, if that is what the line says."),
    field(PID, "Number of the process that it is about."),
];
