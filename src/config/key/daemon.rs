//! The keys of `[supervisord]`.

use std::path::PathBuf;

use super::super::log_options;
use super::super::lookup::Lookup;
use super::super::spec::ExitWhen as Exit;
use super::super::value::{
    boolean, bus, byte_size, existing_directory, existing_dirpath, integer, log_level, log_path,
    octal, ready_when,
};
use super::row::{
    ConfigKey,
    Topic::{Limits, Logs, Privileges, Run, Systemd},
    key,
};
use super::value_kind::ValueKind::{
    Boolean, Bus, ByteSize, DateFormat, Diagnostics, Directory, Environment, ExitWhen, Integer,
    Level, List, LogKeep, LogRotation, LogZone, Octal, Path, ReadyWhen, Text, User,
};
use super::values::{set, text};
use crate::domain::DiagnosticsFilter;

/// The keys in the order in which they are read, which is Supervisor's. Further keys follow in the order of their rows.
pub(super) const ORDER: &[&str] = &[
    "minfds",
    "minprocs",
    "directory",
    "user",
    "umask",
    "logfile",
    "logfile_maxbytes",
    "logfile_backups",
    "loglevel",
    "pidfile",
    "identifier",
    "nodaemon",
    "silent",
    "childlogdir",
    "nocleanup",
    "strip_ansi",
];

#[rustfmt::skip] // One row, one line.
pub(super) const DAEMON: &[ConfigKey] = &[
    key("logfile", Path, Some("supervisord.log"), "path of the activity log, or syslog or journal").flag('l', "logfile").topic(Logs).example("/var/log/supervisor/supervisord.log").daemon(set!(lookup: logfile = log_path)),
    key("logfile_maxbytes", ByteSize, Some("50MB"), "size at which the activity log is rotated; 0 = never").flag('y', "logfile_maxbytes").topic(Logs).daemon(set!(spec.logfile_maxbytes = byte_size)),
    key("logfile_backups", Integer, Some("10"), "number of rotated activity logs to keep; 0 = truncate the log instead").flag('z', "logfile_backups").topic(Logs).daemon(set!(spec.logfile_backups = integer)),
    key("loglevel", Level, Some("info"), "lowest level of lines in the activity log").flag('e', "loglevel").topic(Logs).daemon(set!(spec.loglevel = log_level)),
    key("pidfile", Path, Some("supervisord.pid"), "path of the pidfile").flag('j', "pidfile").topic(Run).example("/run/supervisord.pid").daemon(set!(lookup: pidfile = existing_dirpath)),
    key("nodaemon", Boolean, Some("false"), "run in the foreground").flag('n', "nodaemon").topic(Run).daemon(set!(spec.nodaemon = boolean)),
    key("silent", Boolean, Some("false"), "in the foreground, do not copy the activity log to standard output").flag('s', "silent").topic(Logs).daemon(set!(spec.silent = boolean)),
    key("minfds", Integer, Some("1024"), "minimum number of file descriptors that the daemon needs; the start fails with fewer").flag('a', "minfds").topic(Limits).daemon(set!(spec.minfds = integer)),
    key("minprocs", Integer, Some("200"), "minimum number of processes that the daemon needs; the start fails with fewer").long("minprocs").topic(Limits).daemon(set!(spec.minprocs = integer)),
    key("umask", Octal, Some("022"), "file mode creation mask of the daemon in the background").flag('m', "umask").topic(Run).daemon(set!(spec.umask = octal)),
    key("user", User, None, "user that the daemon switches to at start").flag('u', "user").topic(Privileges).example("nobody").daemon(set!(user = Some(text))),
    key("identifier", Text, Some("supervisor"), "name of this instance, in events and in names of AUTO logs").flag('i', "identifier").topic(Run).example("supervisor-web").daemon(set!(spec.identifier = text)),
    key("directory", Directory, None, "working directory of the daemon in the background").flag('d', "directory").topic(Run).example("/tmp").daemon(set!(lookup: spec.directory = Some(directory))),
    key("nocleanup", Boolean, Some("false"), "keep AUTO logs of earlier runs at start").flag('k', "nocleanup").topic(Logs).daemon(set!(spec.nocleanup = boolean)),
    key("childlogdir", Directory, None, "directory of AUTO logs; not set: the directory for temporary files").flag('q', "childlogdir").topic(Logs).example("/tmp").daemon(set!(lookup: childlogdir = Some(existing_directory))),
    key("state_directory", Directory, None, "directory for what outlasts a restart of the host, such as the last runs of programs with cron; not set: STATE_DIRECTORY from systemd, else this is not stored").ours().topic(Run).example("/tmp").daemon(set!(lookup: spec.state_directory = Some(directory))),
    key("environment", Environment, Some(""), "environment variables for all programs").topic(Run).example("LANG=\"C.UTF-8\",TZ=\"UTC\"").secret(),
    key("strip_ansi", Boolean, Some("false"), "remove ANSI escape sequences from the logs of programs").flag('t', "strip_ansi").topic(Logs).daemon(set!(spec.strip_ansi = boolean)),
    key("ready_when", ReadyWhen, Some("started"), "when systemd is told that the daemon is ready: after all autostart programs were started, or when all are RUNNING or FATAL").ours().topic(Systemd).daemon(set!(spec.ready_when = ready_when)),
    key("dbus", Bus, Some("auto"), "D-Bus to connect to, see org.supervisord.Supervisor1(5); auto: the system bus as root, else the session bus, or no bus if there is none").ours().topic(Systemd).daemon(set!(spec.dbus = bus)),
    key("exit_when", ExitWhen, Some("never"), "when the daemon stops all programs and exits by itself: all-exited = no program runs or is due to restart, any-fatal = a process is FATAL, or the name of a program or group that has exited and is not restarted").ours().topic(Run).example("all-exited").daemon(set!(spec.exit_when = Exit::parse)),
    key("profile_options", List, None, "ignored, accepted for compatibility").long("profile_options").topic(Run).ignored(),
    key("logfile_timezone", LogZone, Some("local"), "time zone of the dates in names of activity logs and of the times in their lines").ours().topic(Logs).example("UTC").daemon(set!(spec.logfile_options.utc = log_options::is_utc)),
    key("logfile_rotate", LogRotation, Some("size"), "when a new activity log begins: at the size logfile_maxbytes, or hourly, daily, weekly or monthly; daily+size = both").ours().topic(Logs).example("daily").daemon(set!(spec.logfile_options.rotate = log_options::rotate)),
    key("logfile_datefmt", DateFormat, None, "date in the name of an activity log, in the form of strftime(3), in place of {date} in its path; not set: %%Y-%%m-%%d, with hourly %%Y-%%m-%%dT%%H").ours().topic(Logs).example("%%Y%%m%%d").daemon(set!(spec.logfile_options.date_format = Some(log_options::date_format))),
    key("logfile_keep", LogKeep, Some("0"), "closed activity logs with a date that stay: an age such as 14d, or a number; 0 = all").ours().topic(Logs).example("14d").daemon(set!(spec.logfile_options.keep = log_options::keep)),
    key("logfile_compress", Boolean, Some("false"), "compress closed activity logs with gzip, in the background").ours().topic(Logs).daemon(set!(spec.logfile_options.compress = boolean)),
    key("diagnostics", Diagnostics, Some("off"), "lowest level of events about the daemon itself, which go to the journal or standard error and never to the activity log; SUPERVISORD_DIAGNOSTICS in the environment overrides it").ours().topic(Logs).daemon(set!(spec.diagnostics = DiagnosticsFilter::parse)),
];

fn directory(text: &str, lookup: &dyn Lookup) -> Result<PathBuf, String> {
    existing_directory(text, lookup).map(PathBuf::from)
}
