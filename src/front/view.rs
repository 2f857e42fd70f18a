//! What the engine answers, as values on the wire: names, dates and descriptions as Supervisor's clients know them.

use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::api::xmlrpc::Value;
use crate::api::{ConfigView, FaultCode, ProcessView, Reply, TargetResult, WireType};
use crate::config::spec::{LogSpec, LogTarget};
use crate::domain::{GroupName, Namespec, ProcessName, ProcessState};

/// Renders an answer; `returns` is what METHODS says of the method.
pub(super) fn reply(reply: Reply, returns: WireType) -> Value {
    match reply {
        Reply::Done => Value::Bool(true),
        Reply::State(state) => fields([
            ("statecode", Value::Int(i64::from(state.code()))),
            ("statename", Value::text(state.name())),
        ]),
        Reply::Pid(pid) => Value::Int(i64::from(pid)),
        Reply::Text(text) => Value::Text(text),
        Reply::Processes(views) => {
            let zone = crate::sys::time_zone();
            let mut infos = views.iter().map(|view| process(view, &zone));
            match returns {
                WireType::Struct => infos.next().unwrap_or(Value::Struct(Vec::new())),
                _ => Value::Array(infos.collect()),
            }
        }
        Reply::Configs(views) => Value::Array(views.iter().map(config).collect()),
        Reply::Results(results) => Value::Array(results.iter().map(result).collect()),
        Reply::Diff {
            added,
            changed,
            removed,
        } => {
            let triple = [added, changed, removed].map(|names| names_of(&names));
            Value::Array(vec![Value::Array(triple.into())])
        }
        Reply::Journal(_) => Value::text(""),
        Reply::LogFile(file) => Value::Text(path_or(file.as_ref(), "")),
        Reply::Names(names) => names_of(&names),
        Reply::Lines(lines) => Value::Array(lines.into_iter().map(Value::Text).collect()),
        Reply::Generation {
            generation,
            is_upgrading,
        } => fields([
            ("generation", Value::Int(i64::from(generation))),
            ("upgrading", Value::Bool(is_upgrading)),
        ]),
        Reply::Scaled {
            group,
            added,
            removed,
        } => {
            let list = |names: &[ProcessName]| {
                let name = |name: &ProcessName| {
                    Value::Text(Namespec::print(group.as_str(), name.as_str()))
                };
                Value::Array(names.iter().map(name).collect())
            };
            fields([("added", list(&added)), ("removed", list(&removed))])
        }
    }
}

fn fields<const N: usize>(fields: [(&str, Value); N]) -> Value {
    Value::Struct(
        fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
}

fn names_of(names: &[GroupName]) -> Value {
    Value::Array(
        names
            .iter()
            .map(|name| Value::text(name.as_str()))
            .collect(),
    )
}

fn path_or(path: Option<&Arc<Path>>, none: &str) -> String {
    path.map_or_else(
        || none.to_owned(),
        |path| path.to_string_lossy().into_owned(),
    )
}

/// Seconds since the epoch within what clients take for an integer.
fn timestamp(seconds: i64) -> Value {
    Value::Int(seconds.clamp(i64::from(i32::MIN), i64::from(i32::MAX)))
}

fn process(view: &ProcessView, zone: &TimeZone) -> Value {
    let stdout = path_or(view.stdout_logfile.as_ref(), "");
    fields([
        ("name", Value::text(view.name.as_str())),
        ("group", Value::text(view.group.as_str())),
        ("start", timestamp(view.start)),
        ("stop", timestamp(view.stop)),
        ("now", timestamp(view.now)),
        ("state", Value::Int(i64::from(view.state.code()))),
        ("statename", Value::text(view.state.name())),
        ("spawnerr", Value::text(view.spawn_error.as_str())),
        ("exitstatus", Value::Int(i64::from(view.exit_status))),
        ("logfile", Value::text(stdout.as_str())),
        ("stdout_logfile", Value::Text(stdout)),
        (
            "stderr_logfile",
            Value::Text(path_or(view.stderr_logfile.as_ref(), "")),
        ),
        ("pid", Value::Int(i64::from(view.pid))),
        ("description", Value::Text(description(view, zone))),
    ])
}

/// # Source
/// Supervisor manual, `getProcessInfo`, `description`.
pub(super) fn description(view: &ProcessView, zone: &TimeZone) -> String {
    match view.state {
        ProcessState::Running => {
            let up = format!("pid {}, uptime {}", view.pid, uptime(view.uptime));
            // Differs: in Supervisor only the log tells that a pool has lost events.
            let up = match view.events_discarded {
                0 => up,
                1 => format!("{up}, 1 event discarded"),
                count => format!("{up}, {count} events discarded"),
            };
            if view.status_text.is_empty() {
                up
            } else {
                format!("{up}, {}", view.status_text)
            }
        }
        ProcessState::Backoff | ProcessState::Fatal => {
            if view.spawn_error.is_empty() {
                format!("unknown error (try \"tail {}\")", view.name)
            } else {
                view.spawn_error.clone()
            }
        }
        ProcessState::Stopped | ProcessState::Exited => {
            if view.start == 0 {
                return "Not started".to_owned();
            }
            // Beyond the years that a calendar has there is nothing better to say than the number.
            let stop = Timestamp::from_second(view.stop).map_or_else(
                |_| view.stop.to_string(),
                |stop| {
                    stop.to_zoned(zone.clone())
                        .strftime("%b %d %I:%M %p")
                        .to_string()
                },
            );
            // Only a program with keys that Supervisor does not know has any.
            if view.causes.is_none() {
                stop
            } else {
                format!("{stop}, {}", view.causes)
            }
        }
        // Empty, as in Supervisor, but for starts that are held up, and programs that tell of themselves.
        ProcessState::Starting | ProcessState::Stopping if !view.spawn_error.is_empty() => {
            view.spawn_error.clone()
        }
        ProcessState::Starting | ProcessState::Stopping | ProcessState::Unknown => {
            view.status_text.clone()
        }
    }
}

/// `H:MM:SS`, with days before it from one day on.
fn uptime(seconds: u64) -> String {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let clock = format!("{}:{:02}:{:02}", rest / 3600, rest / 60 % 60, rest % 60);
    match days {
        0 => clock,
        1 => format!("1 day, {clock}"),
        _ => format!("{days} days, {clock}"),
    }
}

/// One struct of getAllConfigInfo; the order of the fields is Supervisor's.
fn config(view: &ConfigView) -> Value {
    let spec = &view.process;
    let none = || Value::text("none");
    let [
        stdout_capture,
        stdout_events,
        stdout_file,
        stdout_backups,
        stdout_max,
        stdout_syslog,
    ] = log(&spec.stdout, view.stdout_auto.as_ref());
    let [
        stderr_capture,
        stderr_events,
        stderr_file,
        stderr_backups,
        stderr_max,
        stderr_syslog,
    ] = log(&spec.stderr, view.stderr_auto.as_ref());
    fields([
        ("autostart", Value::Bool(spec.autostart)),
        (
            "directory",
            Value::Text(path_or(spec.directory.as_ref(), "none")),
        ),
        (
            "uid",
            spec.user
                .as_ref()
                .map_or_else(none, |user| Value::Int(i64::from(user.uid))),
        ),
        ("command", Value::text(&*spec.command)),
        (
            "exitcodes",
            Value::Array(
                spec.exitcodes
                    .iter()
                    .map(|&code| Value::Int(i64::from(code)))
                    .collect(),
            ),
        ),
        ("group", Value::text(view.group.name.as_str())),
        ("group_prio", Value::Int(view.group.priority)),
        ("inuse", Value::Bool(view.in_use)),
        ("killasgroup", Value::Bool(spec.killasgroup)),
        ("name", Value::text(spec.name.as_str())),
        ("process_prio", Value::Int(spec.priority)),
        ("redirect_stderr", Value::Bool(spec.redirect_stderr)),
        ("startretries", Value::Int(spec.startretries)),
        ("startsecs", Value::Int(spec.startsecs.0)),
        ("stdout_capture_maxbytes", stdout_capture),
        ("stdout_events_enabled", stdout_events),
        ("stdout_logfile", stdout_file),
        ("stdout_logfile_backups", stdout_backups),
        ("stdout_logfile_maxbytes", stdout_max),
        ("stdout_syslog", stdout_syslog),
        (
            "stopsignal",
            Value::Int(i64::from(spec.stopsignal.number())),
        ),
        ("stopwaitsecs", Value::Int(spec.stopwaitsecs.0)),
        ("stderr_capture_maxbytes", stderr_capture),
        ("stderr_events_enabled", stderr_events),
        ("stderr_logfile", stderr_file),
        ("stderr_logfile_backups", stderr_backups),
        ("stderr_logfile_maxbytes", stderr_max),
        ("stderr_syslog", stderr_syslog),
        (
            "serverurl",
            spec.server_url.as_deref().map_or_else(none, Value::text),
        ),
    ])
}

/// The six fields of a stream: capture_maxbytes, events_enabled, logfile, backups, maxbytes, syslog.
fn log(spec: &LogSpec, made_up: Option<&Arc<Path>>) -> [Value; 6] {
    let file = match &spec.target {
        LogTarget::None | LogTarget::Empty if spec.journal.is_some() => "journal".to_owned(),
        LogTarget::None => "none".to_owned(),
        LogTarget::Empty => String::new(),
        LogTarget::Auto => path_or(made_up, "auto"),
        LogTarget::File(path) => path.to_string_lossy().into_owned(),
    };
    [
        Value::Int(spec.capture_maxbytes.0),
        Value::Bool(spec.events),
        Value::Text(file),
        Value::Int(spec.backups),
        Value::Int(spec.maxbytes.0),
        Value::Bool(spec.syslog),
    ]
}

fn result(result: &TargetResult) -> Value {
    let (code, text) = match &result.fault {
        None => (FaultCode::Success.code(), "OK".to_owned()),
        Some(fault) => (fault.code.code(), fault.to_string()),
    };
    fields([
        ("name", Value::text(result.process.as_str())),
        ("group", Value::text(result.group.as_str())),
        ("status", Value::Int(i64::from(code))),
        ("description", Value::Text(text)),
    ])
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::config::spec::{GroupKind, GroupSpec, ProcessSpec, UserRef};
    use crate::config::testing::{log_spec, program};
    use crate::domain::{Bytes, Causes, ProcessName, SupervisorState};

    /// A running process.
    pub(in super::super) fn cat() -> ProcessView {
        let name = ProcessName::parse("cat").expect("valid");
        ProcessView {
            group: GroupName::from(&name),
            name,
            state: ProcessState::Running,
            start: 1_795_203_927,
            stop: 0,
            now: 1_795_203_928,
            uptime: 1,
            spawn_error: String::new(),
            exit_status: 0,
            restarts: 0,
            events_discarded: 0,
            ending: None,
            status_text: String::new(),
            causes: Causes::NONE,
            pid: 7,
            uid: None,
            stdout_logfile: None,
            stderr_logfile: Some(Path::new("/e").into()),
        }
    }

    #[test]
    fn rpc_23_uptime() {
        let table = [
            (0, "0:00:00"),
            (59, "0:00:59"),
            (3_661, "1:01:01"),
            (86_399, "23:59:59"),
            (86_400, "1 day, 0:00:00"),
            (200_000, "2 days, 7:33:20"),
        ];
        for (seconds, expected) in table {
            assert_eq!(uptime(seconds), expected);
        }
    }

    #[test]
    fn what_a_process_tells_of_itself_stands_behind_everything_else() {
        let zone = TimeZone::UTC;
        let view = |state, text: &str, events_discarded| ProcessView {
            state,
            status_text: text.to_owned(),
            events_discarded,
            ..cat()
        };
        for (given, expected) in [
            (view(ProcessState::Running, "", 0), "pid 7, uptime 0:00:01"),
            (
                view(ProcessState::Running, "up, well", 0),
                "pid 7, uptime 0:00:01, up, well",
            ),
            (
                view(ProcessState::Running, "up", 1),
                "pid 7, uptime 0:00:01, 1 event discarded, up",
            ),
            (view(ProcessState::Starting, "loading", 0), "loading"),
            (view(ProcessState::Stopping, "flushing", 0), "flushing"),
            (view(ProcessState::Starting, "", 0), ""),
        ] {
            assert_eq!(description(&given, &zone), expected);
        }
    }

    #[test]
    fn rpc_23_description_per_state() {
        use ProcessState::*;
        let zone = TimeZone::UTC;
        let view = |state, start, stop, error: &str| ProcessView {
            state,
            start,
            stop,
            spawn_error: error.to_owned(),
            ..cat()
        };
        let table = [
            (view(Running, 1, 0, ""), "pid 7, uptime 0:00:01"),
            (view(Backoff, 1, 0, "why"), "why"),
            (view(Fatal, 1, 0, ""), "unknown error (try \"tail cat\")"),
            (view(Stopped, 0, 0, ""), "Not started"),
            (view(Exited, 1, 1_795_194_480, ""), "Nov 20 05:08 PM"),
            (view(Stopped, 1, 1_772_323_200, ""), "Mar 01 12:00 AM"),
            (view(Stopped, 1, 0, ""), "Jan 01 12:00 AM"),
            (view(Stopped, 1, i64::MAX, ""), "9223372036854775807"),
            (
                ProcessView {
                    causes: Causes {
                        oom_kill: true,
                        ..Causes::NONE
                    },
                    ..view(Exited, 1, 1_795_194_480, "")
                },
                "Nov 20 05:08 PM, killed for want of memory",
            ),
            (view(Starting, 1, 0, ""), ""),
            (view(Stopping, 1, 0, ""), ""),
            (view(Unknown, 1, 0, ""), ""),
        ];
        for (view, expected) in table {
            assert_eq!(description(&view, &zone), expected, "{:?}", view.state);
        }
    }

    #[test]
    fn rpc_22_fields_of_process_info() {
        let Value::Struct(members) = reply(Reply::Processes(vec![cat()]), WireType::Struct) else {
            panic!("not a struct");
        };
        let names: Vec<_> = members.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "name",
                "group",
                "start",
                "stop",
                "now",
                "state",
                "statename",
                "spawnerr",
                "exitstatus",
                "logfile",
                "stdout_logfile",
                "stderr_logfile",
                "pid",
                "description"
            ]
        );
        let info = Value::Struct(members);
        assert_eq!(info.member("logfile"), Some(&Value::text("")));
        assert_eq!(info.member("stderr_logfile"), Some(&Value::text("/e")));
        let far = ProcessView {
            start: i64::MAX,
            ..cat()
        };
        let Value::Array(infos) = reply(Reply::Processes(vec![far]), WireType::Array) else {
            panic!("not an array");
        };
        assert_eq!(infos[0].member("start"), Some(&Value::Int(2_147_483_647)));
    }

    #[test]
    fn rpc_15_and_rpc_32_small_answers() {
        let group = |name| GroupName::parse(name).expect("valid");
        let diff = Reply::Diff {
            added: vec![group("a")],
            changed: vec![],
            removed: vec![group("b"), group("c")],
        };
        let texts = |names: &[&str]| Value::Array(names.iter().map(|n| Value::text(*n)).collect());
        assert_eq!(
            reply(diff, WireType::Array),
            Value::Array(vec![Value::Array(vec![
                texts(&["a"]),
                texts(&[]),
                texts(&["b", "c"])
            ])])
        );
        assert_eq!(
            reply(Reply::State(SupervisorState::Running), WireType::Struct),
            fields([
                ("statecode", Value::Int(1)),
                ("statename", Value::text("RUNNING"))
            ])
        );
        let failed = TargetResult {
            process: ProcessName::parse("p").expect("valid"),
            group: group("g"),
            fault: Some(FaultCode::BadSignal.of("x")),
        };
        assert_eq!(
            result(&failed),
            fields([
                ("name", Value::text("p")),
                ("group", Value::text("g")),
                ("status", Value::Int(11)),
                ("description", Value::text("BAD_SIGNAL: x")),
            ])
        );
    }

    #[test]
    fn rpc_25_fields_of_config_info() {
        let log = |target| LogSpec {
            maxbytes: Bytes(52_428_800),
            backups: 10,
            ..log_spec(target)
        };
        let process = Arc::new(ProcessSpec {
            directory: Some(Path::new("/tmp").into()),
            exitcodes: [0, 2].into(),
            user: Some(UserRef {
                name: "root".to_owned(),
                uid: 0,
                gid: None,
            }),
            stdout: log(LogTarget::None),
            stderr: log(LogTarget::Auto),
            ..program("b", "b")
        });
        let group = Arc::new(GroupSpec {
            name: process.group.clone(),
            priority: 999,
            kind: GroupKind::Programs,
            processes: vec![process.clone()],
            programs: Vec::new(),
        });
        let view = ConfigView {
            group,
            process,
            in_use: true,
            stdout_auto: None,
            stderr_auto: Some(Path::new("/tmp/b-stderr---supervisor-x.log").into()),
        };
        let int = Value::Int;
        // Names, order and values of a genuine Supervisor for the same program.
        let expected = fields([
            ("autostart", Value::Bool(true)),
            ("directory", Value::text("/tmp")),
            ("uid", int(0)),
            ("command", Value::text("/bin/cat")),
            ("exitcodes", Value::Array(vec![int(0), int(2)])),
            ("group", Value::text("b")),
            ("group_prio", int(999)),
            ("inuse", Value::Bool(true)),
            ("killasgroup", Value::Bool(false)),
            ("name", Value::text("b")),
            ("process_prio", int(999)),
            ("redirect_stderr", Value::Bool(false)),
            ("startretries", int(3)),
            ("startsecs", int(1)),
            ("stdout_capture_maxbytes", int(0)),
            ("stdout_events_enabled", Value::Bool(false)),
            ("stdout_logfile", Value::text("none")),
            ("stdout_logfile_backups", int(10)),
            ("stdout_logfile_maxbytes", int(52_428_800)),
            ("stdout_syslog", Value::Bool(false)),
            ("stopsignal", int(15)),
            ("stopwaitsecs", int(10)),
            ("stderr_capture_maxbytes", int(0)),
            ("stderr_events_enabled", Value::Bool(false)),
            (
                "stderr_logfile",
                Value::text("/tmp/b-stderr---supervisor-x.log"),
            ),
            ("stderr_logfile_backups", int(10)),
            ("stderr_logfile_maxbytes", int(52_428_800)),
            ("stderr_syslog", Value::Bool(false)),
            ("serverurl", Value::text("none")),
        ]);
        assert_eq!(config(&view), expected);
        let unmade = ConfigView {
            stderr_auto: None,
            ..view
        };
        assert_eq!(
            config(&unmade).member("stderr_logfile"),
            Some(&Value::text("auto"))
        );
    }
}
