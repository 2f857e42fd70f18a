//! The keys of `[supervisord]`.

use super::row::{
    ConfigKey,
    Topic::{Limits, Logs, Privileges, Run, Systemd},
    key,
};
use super::value_kind::ValueKind::{
    Boolean, Bus, ByteSize, Directory, Environment, Integer, Level, List, Octal, Path, ReadyWhen,
    Text, User,
};

#[rustfmt::skip] // One row, one line.
pub(super) const DAEMON: &[ConfigKey] = &[
    key("logfile", Path, Some("supervisord.log"), "path of the activity log, or syslog or journal").flag('l', "logfile").topic(Logs).example("/var/log/supervisor/supervisord.log"),
    key("logfile_maxbytes", ByteSize, Some("50MB"), "size at which the activity log is rotated; 0 = never").flag('y', "logfile_maxbytes").topic(Logs),
    key("logfile_backups", Integer, Some("10"), "number of rotated activity logs to keep; 0 = truncate the log instead").flag('z', "logfile_backups").topic(Logs),
    key("loglevel", Level, Some("info"), "lowest level of lines in the activity log").flag('e', "loglevel").topic(Logs),
    key("pidfile", Path, Some("supervisord.pid"), "path of the pidfile").flag('j', "pidfile").topic(Run).example("/run/supervisord.pid"),
    key("nodaemon", Boolean, Some("false"), "run in the foreground").flag('n', "nodaemon").topic(Run),
    key("silent", Boolean, Some("false"), "in the foreground, do not copy the activity log to standard output").flag('s', "silent").topic(Logs),
    key("minfds", Integer, Some("1024"), "minimum number of file descriptors that the daemon needs; the start fails with fewer").flag('a', "minfds").topic(Limits),
    key("minprocs", Integer, Some("200"), "minimum number of processes that the daemon needs; the start fails with fewer").long("minprocs").topic(Limits),
    key("umask", Octal, Some("022"), "file mode creation mask of the daemon in the background").flag('m', "umask").topic(Run),
    key("user", User, None, "user that the daemon switches to at start").flag('u', "user").topic(Privileges).example("nobody"),
    key("identifier", Text, Some("supervisor"), "name of this instance, in events and in names of AUTO logs").flag('i', "identifier").topic(Run).example("supervisor-web"),
    key("directory", Directory, None, "working directory of the daemon in the background").flag('d', "directory").topic(Run).example("/tmp"),
    key("nocleanup", Boolean, Some("false"), "keep AUTO logs of earlier runs at start").flag('k', "nocleanup").topic(Logs),
    key("childlogdir", Directory, None, "directory of AUTO logs; not set: the directory for temporary files").flag('q', "childlogdir").topic(Logs).example("/tmp"),
    key("environment", Environment, Some(""), "environment variables for all programs").topic(Run).example("LANG=\"C.UTF-8\",TZ=\"UTC\""),
    key("strip_ansi", Boolean, Some("false"), "remove ANSI escape sequences from the logs of programs").flag('t', "strip_ansi").topic(Logs),
    key("ready_when", ReadyWhen, Some("started"), "when systemd is told that the daemon is ready: after all autostart programs were started, or when all are RUNNING or FATAL").ours().topic(Systemd),
    key("dbus", Bus, Some("auto"), "D-Bus to connect to, see org.supervisord.Supervisor1(5); auto: the system bus as root, else the session bus, or no bus if there is none").ours().topic(Systemd),
    key("profile_options", List, None, "ignored, accepted for compatibility").long("profile_options").topic(Run),
];
