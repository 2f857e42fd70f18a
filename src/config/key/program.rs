//! The keys of `[program:x]`, which `[eventlistener:x]` and `[fcgi-program:x]` have too.

use std::path::Path;
use std::sync::Arc;

use super::super::log_list::log_targets;
use super::super::log_target;
use super::super::lookup::Lookup;
use super::super::path::{absolute, expand_user};
use super::super::python::strip;
use super::super::resources::LimitAmount;
use super::super::restart_policy::{jitter, start_retries};
use super::super::script::Script as ParsedScript;
use super::super::spec::OnFatal as OnFatalAction;
use super::super::value::{
    auto_restart, boolean, byte_size, configured_user, duration, env_files, exit_codes, integer,
    octal, process_count, rate_limit, ready_fd, rolling, seconds, signal, stop_signals, user,
};
use super::super::{confinement, dependency, health, log_options, resources, schedule, watch};
use super::row::{
    ConfigKey,
    Topic::{
        Cgroup, Health, Hooks, Limits, Logs, Order, Privileges, Ready, Run, Schedule, Start,
        Systemd, Watch,
    },
    key,
};
use super::value_kind::ValueKind::{
    AutoRestart, Boolean, ByteLimit, ByteSize, Capabilities, CapabilityNames, CpuMax, Cron,
    CronMissed, CronOverlap, DateFormat, Dependencies, DependencyTargets, Environment, ExitCodes,
    Group, Groups, HealthAction, Integer, Jitter, KillMode, Limit, List, LogFormat, LogKeep,
    LogOwner, LogRotation, LogZone, Logfile, Memory, Name, Nice, NiceLimit, Octal, OnFatal,
    OomScore, Pattern, Patterns, PidsMax, ProcessCount, RateLimit, ReadyFd, Retries, Rolling,
    Script, Seconds, Signals, SyslogFacility, SyslogFormat, SyslogFraming, SyslogPriority, Text,
    User, WaitFor, Weight,
};
use super::values::{ProgramValues, set};
use crate::domain::{LinePattern, Resource};

/// The keys in the order in which they are read: first the keys of the section, then those of each process. Supervisor's
/// keys come first, in its order, so that the first error is the one at which it would have stopped. Further keys
/// follow in the order of their rows.
pub(super) const ORDER: &[&str] = &[
    "priority",
    "autostart",
    "autorestart",
    "startsecs",
    "startretries",
    "stopsignal",
    "stopwaitsecs",
    "stopasgroup",
    "killasgroup",
    "exitcodes",
    "redirect_stderr",
    "numprocs",
    "numprocs_start",
    "stdout_capture_maxbytes",
    "stdout_events_enabled",
    "stderr_capture_maxbytes",
    "stderr_events_enabled",
    "serverurl",
    "user",
    "umask",
    "restart_floor",
    "stdout_journal_rate_limit",
    "stderr_journal_rate_limit",
    "environment",
    "directory",
    "stdout_logfile",
    "stdout_logfile_backups",
    "stdout_logfile_maxbytes",
    "stdout_syslog",
    "stderr_logfile",
    "stderr_logfile_backups",
    "stderr_logfile_maxbytes",
    "stderr_syslog",
    "command",
    "process_name",
];

/// The setter of a resource limit.
macro_rules! limit {
    ($resource:ident) => {
        |values, text, _| {
            let limit = confinement::limit(Resource::$resource, text)?;
            values.confinement.limits.push((Resource::$resource, limit));
            Ok(())
        }
    };
}

// Differs: Supervisor ignores the new keys like all unknown keys, so a file that has one by accident (a `group` without
// effect) changes its meaning.
#[rustfmt::skip] // One row, one line.
pub(super) const PROGRAM: &[ConfigKey] = &[
    key("command", Text, None, "command line of the program; no shell interprets it").process().topic(Run).example("/usr/bin/python3 -m http.server 8000"),
    key("process_name", Name, Some("%(program_name)s"), "name of each process; needs %(process_num) if numprocs is greater than 1").process().topic(Run).example("%(program_name)s_%(process_num)02d"),
    key("numprocs", ProcessCount, Some("1"), "number of processes of this program; cpus: the number of CPUs that the daemon may use").topic(Run).example("4").program(set!(lookup: numprocs = process_count)),
    key("numprocs_start", Integer, Some("0"), "number of the first process").topic(Run).program(set!(numprocs_start = integer)),
    key("rolling", Rolling, Some("off"), "number of processes of this program that an update restarts at a time, each time waiting until they are ready, and healthy if they have a health check; off = all at once; in a [group:x] the key of the group counts").ours().live().topic(Start).example("1").program(set!(rolling = rolling)),
    key("directory", Text, None, "working directory").process().topic(Run).example("/srv/web").program(set!(spec.directory = Some(shared_path))),
    key("umask", Octal, None, "file mode creation mask").topic(Run).example("022").program(set!(spec.umask = Some(octal))),
    key("priority", Integer, Some("999"), "start order: low numbers start first and stop last").topic(Start).example("10").program(set!(spec.priority = integer)),
    key("autostart", Boolean, Some("true"), "start with the daemon").topic(Start).program(set!(spec.autostart = boolean)),
    key("startsecs", Seconds, Some("1"), "seconds that a process must stay up to become RUNNING").topic(Start).program(set!(spec.startsecs = seconds)),
    key("startretries", Retries, Some("3"), "failed starts that are retried before the process is FATAL; unlimited = never FATAL").topic(Start).program(set!(spec.startretries = start_retries)),
    key("autorestart", AutoRestart, Some("unexpected"), "restart after an exit: true, false, or unexpected for a signal or an exit code that is not in exitcodes").topic(Start).program(set!(spec.autorestart = auto_restart)),
    key("exitcodes", ExitCodes, Some("0"), "expected exit codes, for autorestart=unexpected").topic(Start).example("0,2").program(set!(spec.exitcodes = shared_codes)),
    key("stopsignal", Signals, Some("TERM"), "signal that stops the process; of several, each is sent stopwaitsecs after the one before").topic(Start).example("QUIT").program(stop_signals_of),
    key("stopwaitsecs", Seconds, Some("10"), "seconds between the stop signal and SIGKILL").topic(Start).program(set!(spec.stopwaitsecs = seconds)),
    key("stopasgroup", Boolean, Some("false"), "send the stop signal to the whole process group").topic(Start).program(set!(spec.stopasgroup = boolean)),
    key("killasgroup", Boolean, None, "send SIGKILL to the whole process group; not set: as stopasgroup").topic(Start).example("true").program(set!(killasgroup = Some(boolean))),
    key("restart_floor", Seconds, Some("1"), "minimum seconds between two starts of an automatic restart; 0 = none").ours().topic(Start).example("10").program(set!(spec.restart_floor = duration)),
    key("depends_on", Dependencies, Some(""), "programs, groups (GROUP:*) or processes (GROUP:PROCESS) that must be up before this program starts, and that stop after it; each may end in :started, :ready, :healthy or :exited-ok").ours().topic(Order).example("web:ready").program(set!(dependencies.depends_on = dependency::depends_on)),
    key("restart_with", DependencyTargets, Some(""), "dependencies whose restart restarts this program too").ours().topic(Order).example("web").program(set!(dependencies.restart_with = dependency::restart_with)),
    key("dependent_startup", Boolean, Some("false"), "as in the plug-in supervisord-dependent-startup: start with the daemon although autostart is false, when dependent_startup_wait_for is met").ours().topic(Order).example("true").program(set!(dependencies.starts_with_plugin = boolean)),
    key("dependent_startup_wait_for", WaitFor, Some(""), "with dependent_startup: programs and the states that they must have, separated by blanks").ours().topic(Order).example("web:running").program(set!(dependencies.wait_for = dependency::wait_for)),
    key("restartpause", Seconds, Some("0"), "minimum seconds between an exit, or a failed start, and the automatic restart; 0 = none").ours().live().topic(Start).example("5").program(set!(spec.restart.pause = duration)),
    key("restart_delay", Seconds, Some("0"), "seconds before the first automatic restart or retry; 0 = at once after an exit, and one more second after each failed start").ours().live().topic(Start).example("2").program(set!(spec.restart.delay = duration)),
    key("restart_delay_max", Seconds, Some("0"), "largest delay, up to which restart_delay doubles each time; 0 = restart_delay stays the same").ours().live().topic(Start).example("60").program(set!(spec.restart.delay_max = duration)),
    key("restart_jitter", Jitter, Some("0"), "largest random addition to the delay, as a part of it").ours().live().topic(Start).example("20%").program(set!(spec.restart.jitter_permille = jitter)),
    key("restart_reset_after", Seconds, Some("0"), "seconds of RUNNING after which delays and startretries begin again; 0 = as soon as the process is RUNNING").ours().live().topic(Start).example("60").program(set!(spec.restart.reset_after = duration)),
    key("essential", Boolean, Some("false"), "the daemon stops all programs and exits, with the exit status of the program, when it is FATAL or has exited and is not restarted").ours().live().topic(Start).example("true").program(set!(spec.essential = boolean)),
    key("on_fatal", OnFatal, Some("none"), "when the process is FATAL: none, shutdown = the daemon stops all programs and exits with its status, or exec: and a script that runs once, at most hook_timeout seconds").ours().live().process().privileged().topic(Start).example("shutdown").program(set!(spec.on_fatal = OnFatalAction::parse)),
    key("cron", Cron, None, "when the program runs; then autostart=false, autorestart=false and startsecs=0 are the defaults").ours().topic(Schedule).example("30 3 * * *").program(set!(lookup: cron = Some(schedule::cron))),
    key("cron_overlap", CronOverlap, Some("skip"), "if the program still runs: skip = no new run, queue = a new run afterwards, kill = stop the program and start it again").ours().topic(Schedule).example("queue").program(set!(cron_overlap = schedule::overlap)),
    key("cron_missed", CronMissed, Some("skip"), "runs that were due while the daemon did not run, the machine slept or the clock was set forward: skip = not at all, once = one run for all of them").ours().topic(Schedule).example("once").program(set!(cron_missed = schedule::missed)),
    key("cron_jitter", Seconds, Some("0"), "maximum random delay of each run, so that many hosts do not start at the same moment; never longer than the time to the run after").ours().topic(Schedule).example("300").program(set!(cron_jitter = duration)),
    key("notify", Boolean, Some("false"), "give the program a NOTIFY_SOCKET; the process is RUNNING when it sends READY=1 (sd_notify(3)), not after startsecs").ours().topic(Ready).example("true").program(set!(spec.notify.socket = boolean)),
    key("ready_fd", ReadyFd, None, "file descriptor, 3 to 1023, passed to the program; the process is RUNNING when it writes a newline to it").ours().topic(Ready).example("3").program(set!(spec.notify.ready_fd = Some(ready_fd))),
    key("ready_timeout", Seconds, None, "readiness timeout with notify, ready_fd, ready_check or ready_log: seconds until the start has failed; 0 = none; not set: startsecs if set, else 90").ours().topic(Ready).example("90").program(set!(ready_timeout = Some(duration))),
    key("ready_check", Script, None, "check after which the process is RUNNING, repeated every second until it succeeds: a command, tcp://HOST:PORT or http://HOST:PORT/PATH").ours().process().topic(Ready).example("tcp://localhost:8080").program(set!(spec.ready_check = Some(shared_script))),
    key("ready_log", Pattern, None, "text that a line of standard output or standard error contains when the process is RUNNING; * stands for any text").ours().process().topic(Ready).example("listening on *:8080").program(set!(spec.ready_log = Some(LinePattern::parse))),
    key("watchdogsecs", Seconds, Some("0"), "watchdog timeout with notify: seconds without WATCHDOG=1 until SIGABRT, then autorestart applies; 0 = off").ours().topic(Ready).example("30").program(set!(spec.notify.watchdog = duration)),
    key("liveness_check_script", Script, None, "health check: a command, tcp://HOST:PORT or http://HOST:PORT/PATH with curl-like options -H and -d").ours().process().topic(Health).example("http://localhost:8080/health -H 'Host: web'").program(set!(health.liveness.script = Some(ParsedScript::parse))),
    key("liveness_check_initial_delay", Seconds, Some("60"), "seconds from the spawn to the first check").ours().topic(Health).program(set!(health.liveness.initial_delay = duration)),
    key("liveness_check_period", Seconds, Some("60"), "seconds between two checks").ours().topic(Health).program(set!(health.liveness.period = health::period)),
    key("liveness_check_timeout", Seconds, Some("30"), "maximum seconds of one check; a command that takes longer is killed and has failed").ours().topic(Health).program(set!(health.liveness.timeout = health::period)),
    key("liveness_check_success_threshold", Integer, Some("1"), "consecutive successes after which a process is healthy").ours().topic(Health).program(set!(health.liveness.success_threshold = health::threshold)),
    key("liveness_check_failure_threshold", Integer, Some("3"), "consecutive failures after which a process is unhealthy").ours().topic(Health).program(set!(health.liveness.failure_threshold = health::threshold)),
    key("liveness_check_success_action", Script, None, "script to run when a process becomes healthy, with SUPERVISOR_HEALTH=healthy").ours().process().topic(Health).example("/usr/local/bin/notify up").program(set!(health.liveness.success_action = Some(ParsedScript::parse))),
    key("liveness_check_failure_action", HealthAction, Some("restart"), "what follows when a process becomes unhealthy: restart, stop, or a script, which runs with SUPERVISOR_HEALTH=failed").ours().process().topic(Health).program(set!(health.liveness.failure_action = Some(health::failure_action))),
    key("health_http", Script, None, "health check by an HTTP request: HOST:PORT/PATH with curl-like options -H and -d; healthy with a status of 200 to 399").ours().process().topic(Health).example("localhost:8080/health").program(set!(health.http = Some(health::http))),
    key("health_tcp", Script, None, "health check by a TCP connection: HOST:PORT").ours().process().topic(Health).example("localhost:5432").program(set!(health.tcp = Some(health::tcp))),
    key("health_command", Script, None, "health check by a command, which runs as the user of the program; healthy with exit status 0").ours().process().topic(Health).example("/usr/local/bin/check").program(set!(health.command = Some(health::command))),
    key("health_log", Pattern, None, "health check by the output: a line that contains this text makes the process unhealthy at once, and it is healthy again when no line has matched for health_interval seconds; * stands for any text").ours().process().topic(Health).example("FATAL: * connection lost").program(set!(health.log = Some(LinePattern::parse))),
    key("health_interval", Seconds, Some("30"), "seconds between two checks; every second until it is known whether the process is healthy").ours().topic(Health).program(set!(health.interval = health::period)),
    key("health_timeout", Seconds, Some("10"), "maximum seconds of one check; a command that takes longer is killed and has failed").ours().topic(Health).program(set!(health.timeout = health::period)),
    key("health_retries", Integer, Some("3"), "consecutive failures after which a process is unhealthy").ours().topic(Health).program(set!(health.retries = health::threshold)),
    key("health_start_period", Seconds, Some("0"), "seconds from the spawn during which failures do not count, unless the process was healthy before").ours().topic(Health).program(set!(health.start_period = duration)),
    key("on_unhealthy", HealthAction, Some("restart"), "what follows when a process becomes unhealthy: restart, stop, none or signal:NAME").ours().topic(Health).example("signal:HUP").program(set!(health.on_unhealthy = Some(health::on_unhealthy))),
    key("pre_start_hook", Script, None, "script before each attempt to start a process; its failure is logged").ours().process().topic(Hooks).example("/usr/local/bin/prepare").program(set!(hooks.pre_start = Some(ParsedScript::parse))),
    key("pre_start_hook_required", Boolean, Some("false"), "if pre_start_hook fails, the attempt has failed").ours().topic(Hooks).program(set!(hooks.pre_start_required = boolean)),
    key("post_start_hook", Script, None, "script when a process is RUNNING").ours().process().topic(Hooks).example("/usr/local/bin/announce").program(set!(hooks.post_start = Some(ParsedScript::parse))),
    key("pre_stop_hook", Script, None, "script when a process is STOPPING, before stop_command and the stop signal").ours().process().topic(Hooks).example("http://localhost:8080/drain -d now").program(set!(hooks.pre_stop = Some(ParsedScript::parse))),
    key("post_stop_hook", Script, None, "script after the exit of a process, with SUPERVISOR_EXIT_STATUS and SUPERVISOR_EXIT_REASON").ours().process().topic(Hooks).example("/usr/local/bin/clean").program(set!(hooks.post_stop = Some(ParsedScript::parse))),
    key("stop_command", Script, None, "command that stops a process whose PID is SUPERVISOR_PID; the stop signal follows if it fails, or after stopwaitsecs").ours().process().topic(Hooks).example("/usr/sbin/nginx -s quit").program(set!(hooks.stop_command = Some(ParsedScript::parse))),
    key("reload_command", Script, None, "command for supervisorctl reload NAME; the PID of the process is SUPERVISOR_PID").ours().process().topic(Hooks).example("/usr/sbin/nginx -s reload").program(set!(hooks.reload_command = Some(ParsedScript::parse))),
    key("reload_signal", Signals, None, "signal for supervisorctl reload NAME, if there is no reload_command").ours().topic(Hooks).example("HUP").program(set!(hooks.reload_signal = Some(signal))),
    key("hook_timeout", Seconds, Some("60"), "maximum seconds of one hook; a command that takes longer is killed and has failed").ours().topic(Hooks).program(set!(hooks.timeout = health::period)),
    key("restart_when_binary_changed", Boolean, Some("false"), "watch the executable, found as for a start, and the symlinks that lead to it; a change restarts the processes that are STARTING or RUNNING").ours().topic(Watch).example("true").program(set!(watch.binary = boolean)),
    key("restart_cmd_when_binary_changed", Script, Some(""), "script that runs instead of the restart; 60 seconds at most").ours().process().topic(Watch).example("/usr/local/bin/changed").program(set!(watch.binary_script = watch::script)),
    key("restart_signal_when_binary_changed", Signals, Some(""), "signals that are sent to the process groups instead of the restart").ours().topic(Watch).example("HUP").program(set!(watch.binary_signals = watch::signals)),
    key("restart_directory_monitor", Text, Some(""), "watch this directory and all directories below it; changed files restart the processes that are STARTING or RUNNING").ours().process().topic(Watch).example("/srv/web").program(set!(lookup: watch.directory = watch::directory)),
    key("restart_file_pattern", Patterns, Some("*"), "names of the files that count, as shell patterns separated by blanks or commas; only a leading dot matches a leading dot").ours().process().topic(Watch).example("*.py *.html").program(set!(watch.patterns = watch::patterns)),
    key("restart_cmd_when_file_changed", Script, Some(""), "script that runs instead of the restart; 60 seconds at most").ours().process().topic(Watch).example("/usr/local/bin/changed").program(set!(watch.file_script = watch::script)),
    key("restart_signal_when_file_changed", Signals, Some(""), "signals that are sent to the process groups instead of the restart").ours().topic(Watch).example("HUP").program(set!(watch.file_signals = watch::signals)),
    key("restart_change_delay", Seconds, Some("1"), "seconds without a further change after which changes count, all together once; a stream of changes counts after ten times as long").ours().topic(Watch).example("5").program(set!(watch.delay = duration)),
    key("user", User, None, "user that the program runs as, or USER:GROUP; UID:GID as two numbers needs no entry in the databases").topic(Privileges).example("www-data").program(set!(lookup: spec.user = Some(configured_user))),
    key("redirect_stderr", Boolean, Some("false"), "write standard error to the log of standard output").topic(Logs).program(set!(spec.redirect_stderr = boolean)),
    key("stdout_logfile", Logfile, Some("AUTO"), "log of standard output: a path, NONE, AUTO, journal, memory, or a list of these with syslog and syslog servers").process().privileged().topic(Logs).example("/var/log/web.log").twice().program(set!(lookup: stdout.targets = log_targets)),
    key("stdout_logfile_maxbytes", ByteSize, Some("50MB"), "size at which the log is rotated; 0 = never").process().topic(Logs).program(set!(spec.stdout.maxbytes = byte_size)),
    key("stdout_logfile_backups", Integer, Some("10"), "number of rotated logs to keep; 0 = truncate the log instead").process().topic(Logs).program(set!(spec.stdout.backups = integer)),
    key("stdout_capture_maxbytes", ByteSize, Some("0"), "maximum bytes captured between the tokens of a PROCESS_COMMUNICATION event; 0 = no capture").topic(Logs).example("1MB").program(set!(spec.stdout.capture_maxbytes = byte_size)),
    key("stdout_events_enabled", Boolean, Some("false"), "send a PROCESS_LOG_STDOUT event for each write").topic(Logs).program(set!(spec.stdout.events = boolean)),
    key("stdout_syslog", Boolean, Some("false"), "send standard output to syslog too").process().topic(Logs).program(set!(stdout.syslog = boolean)),
    key("stdout_journal_rate_limit", RateLimit, Some("0"), "maximum rate of lines sent to the journal; 0 = unlimited").ours().topic(Systemd).example("1000/30s").program(set!(stdout.journal_limit = rate_limit)),
    key("stderr_logfile", Logfile, Some("AUTO"), "log of standard error: a path, NONE, AUTO, journal, memory, or a list of these with syslog and syslog servers").process().privileged().topic(Logs).example("/var/log/web.err").twice().program(set!(lookup: stderr.targets = log_targets)),
    key("stderr_logfile_maxbytes", ByteSize, Some("50MB"), "size at which the log is rotated; 0 = never").process().topic(Logs).program(set!(spec.stderr.maxbytes = byte_size)),
    key("stderr_logfile_backups", Integer, Some("10"), "number of rotated logs to keep; 0 = truncate the log instead").process().topic(Logs).program(set!(spec.stderr.backups = integer)),
    key("stderr_capture_maxbytes", ByteSize, Some("0"), "maximum bytes captured between the tokens of a PROCESS_COMMUNICATION event; 0 = no capture").topic(Logs).example("1MB").program(set!(spec.stderr.capture_maxbytes = byte_size)),
    key("stderr_events_enabled", Boolean, Some("false"), "send a PROCESS_LOG_STDERR event for each write").topic(Logs).program(set!(spec.stderr.events = boolean)),
    key("stderr_syslog", Boolean, Some("false"), "send standard error to syslog too").process().topic(Logs).program(set!(stderr.syslog = boolean)),
    key("stderr_journal_rate_limit", RateLimit, Some("0"), "maximum rate of lines sent to the journal; 0 = unlimited").ours().topic(Systemd).example("1000/30s").program(set!(stderr.journal_limit = rate_limit)),
    key("syslog_facility", SyslogFacility, None, "facility of the messages for syslog; not set: USER for syslog, LOCAL0 for a server").ours().topic(Logs).example("daemon").program(set!(syslog_form.facility = Some(log_target::facility))),
    key("syslog_tag", Text, None, "tag of the messages for syslog; not set: the name of the process").ours().process().topic(Logs).example("web").program(set!(syslog_form.tag = Some(log_target::tag))),
    key("syslog_stdout_priority", SyslogPriority, None, "priority of the lines of standard output for syslog; not set: INFO for syslog, NOTICE for a server").ours().topic(Logs).example("info").program(set!(stdout.syslog_priority = Some(log_target::severity))),
    key("syslog_stderr_priority", SyslogPriority, None, "priority of the lines of standard error for syslog; not set: INFO for syslog, NOTICE for a server").ours().topic(Logs).example("err").program(set!(stderr.syslog_priority = Some(log_target::severity))),
    key("syslog_format", SyslogFormat, Some("rfc3164"), "form of the messages for syslog servers").ours().topic(Logs).example("rfc5424").program(set!(syslog_form.format = log_target::syslog_format)),
    key("syslog_framing", SyslogFraming, Some("newline"), "where a message for a syslog server ends in a TCP connection (RFC 6587)").ours().topic(Logs).example("octet-counting").program(set!(syslog_form.framing = log_target::syslog_framing)),
    key("log_format", LogFormat, Some("plain"), "form of the lines in log files, /dev/stdout and /dev/stderr: plain = as the program writes them (also raw), prefix = with time, name, stream and PID before each line, json = one JSON object per line").ours().topic(Logs).example("json").program(set!(logs.form = log_options::form)),
    key("log_prefix", Text, Some(""), "with log_format=prefix: the text before each line in place of time, name, stream and PID").ours().process().topic(Logs).example("%(program_name)s").program(set!(logs.prefix = log_options::prefix)),
    key("json_merge", Boolean, Some("false"), "with log_format=json: a line of the program that is a JSON object keeps its fields, and gets the others with the prefix supervisor.").ours().topic(Logs).program(set!(logs.json_merge = boolean)),
    key("json_time_key", Text, Some("ts"), "with log_format=json: name of the field with the time").ours().topic(Logs).example("@timestamp").program(set!(logs.json_time_key = log_options::json_key)),
    key("logfile_timezone", LogZone, Some("local"), "time zone of the dates in names of log files and of the times in their lines").ours().topic(Logs).example("UTC").program(set!(logs.utc = log_options::is_utc)),
    key("stdout_log_format", LogFormat, None, "form of the lines of standard output; not set: as log_format").ours().topic(Logs).example("json").program(set!(stdout.form = Some(log_options::form))),
    key("stdout_logfile_mode", Octal, None, "mode of the log files that the daemon creates; not set: 0666 less the umask, or 0600 for AUTO").ours().topic(Logs).example("0640").program(set!(stdout.options.mode = Some(log_options::mode))),
    key("stdout_logfile_owner", LogOwner, None, "user that owns the log files that the daemon creates; not set: the user of the daemon").ours().topic(Logs).example("root").program(set!(lookup: stdout.options.owner = Some(user))),
    key("stdout_logfile_group", Group, None, "group of the log files that the daemon creates; not set: as the kernel gives it").ours().topic(Logs).example("root").program(set!(lookup: stdout.options.group = Some(log_options::group))),
    key("stdout_logfile_rotate", LogRotation, Some("size"), "when a new log file begins: at the size stdout_logfile_maxbytes, or hourly, daily, weekly or monthly; daily+size = both").ours().topic(Logs).example("daily").program(set!(stdout.options.rotate = log_options::rotate)),
    key("stdout_logfile_datefmt", DateFormat, None, "date in the name of a log file, in the form of strftime(3), in place of {date} in its path; not set: %%Y-%%m-%%d, with hourly %%Y-%%m-%%dT%%H").ours().topic(Logs).example("%%Y%%m%%d").program(set!(stdout.options.date_format = Some(log_options::date_format))),
    key("stdout_logfile_keep", LogKeep, Some("0"), "closed log files with a date that stay: an age such as 14d, or a number; 0 = all").ours().topic(Logs).example("14d").program(set!(stdout.options.keep = log_options::keep)),
    key("stdout_logfile_compress", Boolean, Some("false"), "compress closed log files with gzip, in the background").ours().topic(Logs).program(set!(stdout.options.compress = boolean)),
    key("stderr_log_format", LogFormat, None, "form of the lines of standard error; not set: as log_format").ours().topic(Logs).example("json").program(set!(stderr.form = Some(log_options::form))),
    key("stderr_logfile_mode", Octal, None, "mode of the log files that the daemon creates; not set: 0666 less the umask, or 0600 for AUTO").ours().topic(Logs).example("0640").program(set!(stderr.options.mode = Some(log_options::mode))),
    key("stderr_logfile_owner", LogOwner, None, "user that owns the log files that the daemon creates; not set: the user of the daemon").ours().topic(Logs).example("root").program(set!(lookup: stderr.options.owner = Some(user))),
    key("stderr_logfile_group", Group, None, "group of the log files that the daemon creates; not set: as the kernel gives it").ours().topic(Logs).example("root").program(set!(lookup: stderr.options.group = Some(log_options::group))),
    key("stderr_logfile_rotate", LogRotation, Some("size"), "when a new log file begins: at the size stderr_logfile_maxbytes, or hourly, daily, weekly or monthly; daily+size = both").ours().topic(Logs).example("daily").program(set!(stderr.options.rotate = log_options::rotate)),
    key("stderr_logfile_datefmt", DateFormat, None, "date in the name of a log file, in the form of strftime(3), in place of {date} in its path; not set: %%Y-%%m-%%d, with hourly %%Y-%%m-%%dT%%H").ours().topic(Logs).example("%%Y%%m%%d").program(set!(stderr.options.date_format = Some(log_options::date_format))),
    key("stderr_logfile_keep", LogKeep, Some("0"), "closed log files with a date that stay: an age such as 14d, or a number; 0 = all").ours().topic(Logs).example("14d").program(set!(stderr.options.keep = log_options::keep)),
    key("stderr_logfile_compress", Boolean, Some("false"), "compress closed log files with gzip, in the background").ours().topic(Logs).program(set!(stderr.options.compress = boolean)),
    key("environment", Environment, Some(""), "environment variables of the program").process().topic(Run).example("PORT=\"8000\",LANG=\"C.UTF-8\"").secret(),
    key("envFiles", List, Some(""), "files with KEY=VALUE lines, read at each start, a later file wins over an earlier one and environment over both; the start continues without a missing file").ours().process().privileged().topic(Run).example("/etc/web/common.env,/etc/web/local.env").program(set!(lookup: env_files = env_files)),
    key("environment_file", List, Some(""), "files like those of envFiles, which win over them; a missing file is a spawn error unless its name begins with -").ours().process().topic(Run).example("/etc/web/secrets.env").program(set!(lookup: environment_files = env_files)),
    key("conf_file", Text, None, "configuration file of the program itself, which clients with the permission update can read at /conf/PROGRAM; supervisord does not use it").ours().live().privileged().topic(Run).example("/etc/web/web.conf").program(set!(lookup: spec.conf_file = Some(own_file))),
    key("serverurl", Text, None, "value of SUPERVISOR_SERVER_URL; AUTO or not set: the address of the daemon").topic(Run).example("AUTO").secret().program(set!(spec.server_url = child_server_url)),
    key("limit_nofile", Limit, None, "maximum open files (RLIMIT_NOFILE)").ours().topic(Limits).example("1024:65536").program(limit!(Files)),
    key("limit_nproc", Limit, None, "maximum processes of the user (RLIMIT_NPROC)").ours().topic(Limits).example("512").program(limit!(Processes)),
    key("limit_core", ByteLimit, None, "maximum size of a core dump (RLIMIT_CORE)").ours().topic(Limits).example("infinity").program(limit!(Core)),
    key("limit_as", ByteLimit, None, "maximum size of the address space (RLIMIT_AS)").ours().topic(Limits).example("4GB").program(limit!(AddressSpace)),
    key("limit_memlock", ByteLimit, None, "maximum memory locked into RAM (RLIMIT_MEMLOCK)").ours().topic(Limits).example("64MB").program(limit!(LockedMemory)),
    key("limit_stack", ByteLimit, None, "maximum size of the stack (RLIMIT_STACK)").ours().topic(Limits).example("8MB").program(limit!(Stack)),
    key("limit_cpu", Limit, None, "maximum seconds of CPU time: SIGXCPU at the soft limit, SIGKILL at the hard limit (RLIMIT_CPU)").ours().topic(Limits).example("3600").program(limit!(Processor)),
    key("limit_fsize", ByteLimit, None, "maximum size of a file that the program writes (RLIMIT_FSIZE)").ours().topic(Limits).example("1GB").program(limit!(FileSize)),
    key("limit_data", ByteLimit, None, "maximum size of the data segment (RLIMIT_DATA)").ours().topic(Limits).example("1GB").program(limit!(Data)),
    key("limit_rss", ByteLimit, None, "no effect: Linux does not limit resident memory this way (RLIMIT_RSS)").ours().topic(Limits).program(limit!(Resident)),
    key("limit_rtprio", Limit, None, "maximum real-time priority (RLIMIT_RTPRIO)").ours().topic(Limits).example("50").program(limit!(RealTimePriority)),
    key("limit_rttime", Limit, None, "maximum microseconds of CPU time without a blocking call under real-time scheduling (RLIMIT_RTTIME)").ours().topic(Limits).example("200000").program(limit!(RealTimeTime)),
    key("limit_nice", NiceLimit, None, "lowest nice value that the program may set (RLIMIT_NICE)").ours().topic(Limits).example("-5").program(limit!(Nice)),
    key("limit_sigpending", Limit, None, "maximum queued signals of the user (RLIMIT_SIGPENDING)").ours().topic(Limits).example("1024").program(limit!(PendingSignals)),
    key("limit_msgqueue", ByteLimit, None, "maximum bytes in message queues of the user (RLIMIT_MSGQUEUE)").ours().topic(Limits).example("1MB").program(limit!(MessageQueues)),
    key("limit_locks", Limit, None, "no effect: Linux does not limit file locks (RLIMIT_LOCKS)").ours().topic(Limits).program(limit!(Locks)),
    key("nice", Nice, None, "nice value: low numbers get more CPU time; not set: as the daemon").ours().topic(Limits).example("5").program(set!(confinement.nice = Some(confinement::nice))),
    key("oom_score_adj", OomScore, None, "preference of the OOM killer: -1000 = never, 1000 = first; not available if the daemon switches its user").ours().topic(Limits).example("100").program(set!(confinement.oom_score_adj = Some(confinement::oom_score_adj))),
    key("group", Group, None, "primary group; not set: the group of the user, or of the daemon").ours().privileged().topic(Privileges).example("www-data").program(set!(lookup: confinement.group = Some(confinement::group))),
    key("extra_groups", Groups, Some(""), "supplementary groups, added to those of the user or of the daemon").ours().privileged().topic(Privileges).program(set!(lookup: confinement.extra_groups = confinement::groups)),
    key("capabilities", Capabilities, None, "capabilities that the program and its children can have (the bounding set); root has these and no others").ours().privileged().topic(Privileges).example("cap_net_bind_service").program(set!(confinement.capabilities = Some(confinement::capabilities))),
    key("ambient_capabilities", CapabilityNames, None, "capabilities that the program has and passes on although its user is not root").ours().privileged().topic(Privileges).example("cap_net_bind_service").program(set!(confinement.ambient_capabilities = Some(confinement::ambient_capabilities))),
    key("no_new_privileges", Boolean, Some("false"), "the program and its children cannot gain privileges, by setuid or otherwise").ours().topic(Privileges).example("true").program(set!(confinement.no_new_privileges = boolean)),
    key("memory_max", Memory, None, "memory limit; above it the kernel kills processes of the program").ours().live().topic(Cgroup).example("512MB").program(set!(resources.memory_max = Some(memory_max))),
    key("memory_high", Memory, None, "memory throttling limit; above it the kernel slows the program down and reclaims memory").ours().live().topic(Cgroup).example("400MB").program(set!(resources.memory_high = Some(memory_high))),
    key("cpu_max", CpuMax, None, "CPU time limit, such as 50% or 200% of one CPU").ours().live().topic(Cgroup).example("50%").program(set!(resources.cpu_max = Some(resources::cpu_max))),
    key("cpu_weight", Weight, None, "share of CPU time relative to other programs, which have 100").ours().live().topic(Cgroup).example("200").program(set!(resources.cpu_weight = Some(resources::weight))),
    key("io_weight", Weight, None, "share of disk bandwidth relative to other programs, which have 100").ours().live().topic(Cgroup).example("50").program(set!(resources.io_weight = Some(resources::weight))),
    key("pids_max", PidsMax, None, "maximum number of processes and threads").ours().live().topic(Cgroup).example("100").program(set!(resources.pids_max = Some(resources::pids_max))),
    key("kill_mode", KillMode, Some("process"), "orphan processes after an exit: process = they keep running, control-group = they are killed").ours().live().topic(Cgroup).example("control-group").program(set!(resources.kill_mode = resources::kill_mode)),
    key("kill_on_supervisor_exit", Boolean, Some("false"), "the kernel sends the process SIGKILL when the daemon dies; such a process survives no daemon, and supervisorctl upgrade is refused while it runs").ours().topic(Privileges).example("true").program(set!(confinement.kill_on_supervisor_exit = boolean)),
];

fn stop_signals_of(values: &mut ProgramValues, text: &str, _: &dyn Lookup) -> Result<(), String> {
    let (first, later) = stop_signals(text)?;
    values.spec.stopsignal = first;
    values.spec.later_stopsignals = Arc::from(later);
    Ok(())
}

pub(super) fn shared_path(text: &str) -> Result<Arc<Path>, String> {
    Ok(Arc::from(Path::new(text)))
}

fn own_file(text: &str, lookup: &dyn Lookup) -> Result<Arc<Path>, String> {
    if text.trim().is_empty() {
        return Err("conf_file has no path".to_owned());
    }
    let path = absolute(&expand_user(text.trim(), lookup), lookup);
    Ok(Arc::from(Path::new(&path)))
}

fn shared_script(text: &str) -> Result<Arc<ParsedScript>, String> {
    ParsedScript::parse(text).map(Arc::new)
}

fn shared_codes(text: &str) -> Result<Arc<[u8]>, String> {
    exit_codes(text).map(Arc::from)
}

/// `None`: the address of the daemon.
fn child_server_url(text: &str) -> Result<Option<String>, String> {
    let is_auto = strip(text).to_uppercase() == "AUTO";
    Ok((!is_auto).then(|| text.to_owned()))
}

fn memory_max(text: &str) -> Result<LimitAmount, String> {
    resources::memory("memory_max")(text)
}

fn memory_high(text: &str) -> Result<LimitAmount, String> {
    resources::memory("memory_high")(text)
}
