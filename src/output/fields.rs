//! The fields of our entries in the journal: their names, and what they are.

/// A field, and what it holds.
#[derive(Debug)]
pub(super) struct Field {
    /// As the journal spells it.
    pub(super) name: &'static str,
    /// What stands in it.
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

/// What entries of programs have, each line one entry.
#[rustfmt::skip] // One row, one line.
pub(super) const OF_PROGRAMS: &[Field] = &[
    field(MESSAGE, "The line without its newline."),
    field(PRIORITY, "6 (informational) on both streams. If the line begins with `<0>` to `<7>` (sd-daemon(3)): this number, and the prefix is removed. 4 for entries that count suppressed lines."),
    field(IDENTIFIER, "Name of the process."),
    field(GROUP, "Name of its group."),
    field(PROCESS, "Name of the process, in a field that only supervisord uses."),
    field(STREAM, "`stdout` or `stderr`."),
    field(INCARNATION, "Number of the process instance. Each start of a process has a new, larger number, so that output before and after a restart can be distinguished."),
    field(PID, "PID of the process. journald adds fields about this process that begin with `OBJECT_`."),
    field(LINE_BREAK, "Set if the entry did not end with a newline: `line-max` if the line continues in the next entry, `eof` if the output ended."),
];

/// What the daemon's own entries have, each line of the activity log one entry.
#[rustfmt::skip] // One row, one line.
pub(super) const OF_DAEMON: &[Field] = &[
    field(MESSAGE, "The line without time and level."),
    field(PRIORITY, "2 for CRIT, 3 for ERRO, 4 for WARN, 6 for INFO, 7 for lower levels."),
    field(IDENTIFIER, "`supervisord`."),
    field(LINE, "Kind of the line, see below. One word that does not change between versions."),
    field(PROCESS, "The process that the line is about, if any."),
    field(GROUP, "The group that the line is about, if any."),
    field(STATE, "The new state of the process, if the line reports a state change."),
    field(EXIT, "The exit status of the process, if the line reports an exit."),
    field(PID, "PID of the process that the line is about."),
];
