//! What the engine answers, as values on the wire: names, dates and descriptions as Supervisor's clients know them.

use std::borrow::Cow;
use std::cell::LazyCell;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::api::xmlrpc::Value;
use crate::api::{
    Columns, ConfigView, FaultCode, ListResponse, Members, PROCESS_MEMBERS, ProcessView, Reply,
    Table, TargetResult, WireType, push_int,
};
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
            let mut scratch = Scratch::default();
            let mut infos = views.iter().map(|view| {
                let mut members = Vec::with_capacity(PROCESS_MEMBERS.len());
                process(view, &mut scratch, &mut members);
                Value::Struct(members)
            });
            match returns {
                WireType::Struct => infos.next().unwrap_or(Value::Struct(Vec::new())),
                _ => Value::Array(infos.collect()),
            }
        }
        Reply::Configs(views) => Value::Array(views.iter().map(config_value).collect()),
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
        Reply::LogFile(file) => Value::text(path_or(file.as_ref(), "")),
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

fn path_or<'a>(path: Option<&'a Arc<Path>>, none: &'a str) -> Cow<'a, str> {
    path.map_or(Cow::Borrowed(none), |path| path.to_string_lossy())
}

/// Seconds since the epoch within what clients take for an integer.
fn timestamp(seconds: i64) -> i64 {
    seconds.clamp(i64::from(i32::MIN), i64::from(i32::MAX))
}

/// The time zone, which is looked up for the first process that has a date, and a text that is used again for each.
#[derive(Default)]
pub(super) struct Scratch {
    zone: Zone,
    text: String,
}

struct Zone(LazyCell<TimeZone>);

impl Default for Zone {
    fn default() -> Self {
        Self(LazyCell::new(crate::sys::time_zone))
    }
}

/// About how many bytes the struct of one process has on the wire, besides what differs in length.
const PROCESS_BYTES: usize = 1100;
/// About how many bytes the line of one process has in a table of few columns.
const ROW_BYTES: usize = 100;
/// The same of the struct of a configured process.
const CONFIG_BYTES: usize = 2300;

/// The [`PROCESS_MEMBERS`] of one process.
fn process(view: &ProcessView, scratch: &mut Scratch, to: &mut impl Members) {
    let stdout = path_or(view.stdout_logfile.as_ref(), "");
    to.text("name", view.name.as_str());
    to.text("group", view.group.as_str());
    to.int("start", timestamp(view.start));
    to.int("stop", timestamp(view.stop));
    to.int("now", timestamp(view.now));
    to.int("state", i64::from(view.state.code()));
    to.text("statename", view.state.name());
    to.text("spawnerr", &view.spawn_error);
    to.int("exitstatus", i64::from(view.exit_status));
    to.text("logfile", &stdout);
    to.text("stdout_logfile", &stdout);
    to.text("stderr_logfile", &path_or(view.stderr_logfile.as_ref(), ""));
    to.int("pid", i64::from(view.pid));
    scratch.text.clear();
    describe(view, || &*scratch.zone.0, &mut scratch.text);
    to.text("description", &scratch.text);
}

/// A list that is written straight into the response.
pub(super) enum List {
    /// All processes.
    Processes(Vec<ProcessView>),
    /// All configured processes.
    Configs(Vec<ConfigView>),
    /// Processes, as a table of text.
    Table(Vec<ProcessView>, Columns),
}

/// The response that a [`List`] is being written to, and what of it.
pub(super) enum ListWriter<'a> {
    Processes(&'a [ProcessView], ListResponse),
    Configs(&'a [ConfigView], ListResponse),
    Table(&'a [ProcessView], Table),
}

impl ListWriter<'_> {
    /// Writes the processes of a range.
    pub(super) fn write(&mut self, range: Range<usize>, scratch: &mut Scratch) {
        match self {
            Self::Processes(views, response) => {
                for view in &views[range] {
                    response.item(|members| process(view, scratch, members));
                }
            }
            Self::Configs(views, response) => {
                for view in &views[range] {
                    response.item(|members| config(view, members));
                }
            }
            Self::Table(views, table) => {
                for view in &views[range] {
                    table.row(|row| process(view, scratch, row));
                }
            }
        }
    }

    /// Ends the response.
    pub(super) fn finish(self) -> Vec<u8> {
        match self {
            Self::Processes(_, response) | Self::Configs(_, response) => response.finish(),
            Self::Table(_, table) => table.finish(),
        }
    }
}

impl List {
    /// Begins its response in `buffer`.
    pub(super) fn begin(&self, buffer: Vec<u8>) -> ListWriter<'_> {
        match self {
            Self::Processes(views) => ListWriter::Processes(views, ListResponse::new(buffer)),
            Self::Configs(views) => ListWriter::Configs(views, ListResponse::new(buffer)),
            Self::Table(views, columns) => {
                ListWriter::Table(views, Table::response(buffer, *columns))
            }
        }
    }

    /// How many processes it has.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Processes(views) | Self::Table(views, _) => views.len(),
            Self::Configs(views) => views.len(),
        }
    }

    /// About how many bytes the response has; rather more than less.
    pub(super) fn bytes(&self) -> usize {
        let path = |path: Option<&Arc<Path>>| path.map_or(0, |path| path.as_os_str().len());
        match self {
            Self::Processes(views) => views
                .iter()
                .map(|view| {
                    PROCESS_BYTES
                        + view.name.as_str().len()
                        + view.group.as_str().len()
                        + 2 * view.spawn_error.len()
                        + view.status_text.len()
                        + 2 * path(view.stdout_logfile.as_ref())
                        + path(view.stderr_logfile.as_ref())
                })
                .sum(),
            Self::Table(views, _) => views.len() * ROW_BYTES,
            Self::Configs(views) => views
                .iter()
                .map(|view| CONFIG_BYTES + view.process.command.len())
                .sum(),
        }
    }
}

/// Processes as a table that is a value.
pub(super) fn table(views: &[ProcessView], columns: Columns) -> Value {
    let mut scratch = Scratch::default();
    let mut table = Table::plain(columns);
    for view in views {
        table.row(|row| process(view, &mut scratch, row));
    }
    Value::Text(table.into_text())
}

/// What `getProcessInfo` calls the description of a process.
pub(super) fn description(view: &ProcessView, zone: &TimeZone) -> String {
    let mut text = String::new();
    describe(view, || zone, &mut text);
    text
}

/// Appends the description of a process. `zone` is asked for only if there is a date in it.
///
/// # Source
/// Supervisor manual, `getProcessInfo`, `description`.
fn describe<'z>(view: &ProcessView, zone: impl FnOnce() -> &'z TimeZone, out: &mut String) {
    match view.state {
        ProcessState::Running => {
            out.push_str("pid ");
            push_int(out, i64::from(view.pid));
            out.push_str(", uptime ");
            uptime(view.uptime, out);
            // Differs: in Supervisor only the log tells that a pool has lost events.
            match view.events_discarded {
                0 => {}
                1 => out.push_str(", 1 event discarded"),
                count => out.push_str(&format!(", {count} events discarded")),
            }
            if !view.status_text.is_empty() {
                out.push_str(", ");
                out.push_str(&view.status_text);
            }
        }
        ProcessState::Backoff | ProcessState::Fatal if view.spawn_error.is_empty() => {
            out.push_str("unknown error (try \"tail ");
            out.push_str(view.name.as_str());
            out.push_str("\")");
        }
        ProcessState::Backoff | ProcessState::Fatal => out.push_str(&view.spawn_error),
        ProcessState::Stopped | ProcessState::Exited => {
            if view.start == 0 {
                out.push_str("Not started");
                return;
            }
            match Timestamp::from_second(view.stop) {
                Ok(stop) => {
                    let stop = stop.to_zoned(zone().clone());
                    out.push_str(&stop.strftime("%b %d %I:%M %p").to_string());
                }
                // Beyond the years that a calendar has there is nothing better to say than the number.
                Err(_) => push_int(out, view.stop),
            }
            // Only a program with keys that Supervisor does not know has any.
            if !view.causes.is_none() {
                out.push_str(&format!(", {}", view.causes));
            }
        }
        // Empty, as in Supervisor, but for starts that are held up, and programs that tell of themselves.
        ProcessState::Starting | ProcessState::Stopping if !view.spawn_error.is_empty() => {
            out.push_str(&view.spawn_error);
        }
        ProcessState::Starting | ProcessState::Stopping | ProcessState::Unknown => {
            out.push_str(&view.status_text);
        }
    }
}

/// `H:MM:SS`, with days before it from one day on.
fn uptime(seconds: u64, out: &mut String) {
    let (days, rest) = (seconds / 86_400, seconds % 86_400);
    let number = |out: &mut String, number: u64| {
        push_int(out, i64::try_from(number).unwrap_or(i64::MAX));
    };
    let two_digits = |out: &mut String, digits: u64| {
        if digits < 10 {
            out.push('0');
        }
        number(out, digits);
    };
    match days {
        0 => {}
        1 => out.push_str("1 day, "),
        _ => {
            number(out, days);
            out.push_str(" days, ");
        }
    }
    number(out, rest / 3600);
    out.push(':');
    two_digits(out, rest / 60 % 60);
    out.push(':');
    two_digits(out, rest % 60);
}

fn config_value(view: &ConfigView) -> Value {
    let mut members = Vec::new();
    config(view, &mut members);
    Value::Struct(members)
}

/// One struct of getAllConfigInfo; the order of the members is Supervisor's.
fn config(view: &ConfigView, to: &mut impl Members) {
    let spec = &view.process;
    to.bool("autostart", spec.autostart);
    to.text("directory", &path_or(spec.directory.as_ref(), "none"));
    match &spec.user {
        Some(user) => to.int("uid", i64::from(user.uid)),
        None => to.text("uid", "none"),
    }
    to.text("command", &spec.command);
    to.ints(
        "exitcodes",
        spec.exitcodes.iter().map(|&code| i64::from(code)),
    );
    to.text("group", view.group.name.as_str());
    to.int("group_prio", view.group.priority);
    to.bool("inuse", view.in_use);
    to.bool("killasgroup", spec.killasgroup);
    to.text("name", spec.name.as_str());
    to.int("process_prio", spec.priority);
    to.bool("redirect_stderr", spec.redirect_stderr);
    to.int("startretries", spec.startretries);
    to.int("startsecs", spec.startsecs.0);
    to.int("stdout_capture_maxbytes", spec.stdout.capture_maxbytes.0);
    to.bool("stdout_events_enabled", spec.stdout.events);
    to.text(
        "stdout_logfile",
        &log_file(&spec.stdout, view.stdout_auto.as_ref()),
    );
    to.int("stdout_logfile_backups", spec.stdout.backups);
    to.int("stdout_logfile_maxbytes", spec.stdout.maxbytes.0);
    to.bool("stdout_syslog", spec.stdout.syslog);
    to.int("stopsignal", i64::from(spec.stopsignal.number()));
    to.int("stopwaitsecs", spec.stopwaitsecs.0);
    to.int("stderr_capture_maxbytes", spec.stderr.capture_maxbytes.0);
    to.bool("stderr_events_enabled", spec.stderr.events);
    to.text(
        "stderr_logfile",
        &log_file(&spec.stderr, view.stderr_auto.as_ref()),
    );
    to.int("stderr_logfile_backups", spec.stderr.backups);
    to.int("stderr_logfile_maxbytes", spec.stderr.maxbytes.0);
    to.bool("stderr_syslog", spec.stderr.syslog);
    to.text("serverurl", spec.server_url.as_deref().unwrap_or("none"));
}

/// What getAllConfigInfo calls the log file of a stream.
fn log_file<'a>(spec: &'a LogSpec, made_up: Option<&'a Arc<Path>>) -> Cow<'a, str> {
    match &spec.target {
        LogTarget::None | LogTarget::Empty if spec.journal.is_some() => Cow::Borrowed("journal"),
        LogTarget::None => Cow::Borrowed("none"),
        LogTarget::Empty => Cow::Borrowed(""),
        LogTarget::Auto => path_or(made_up, "auto"),
        LogTarget::File(path) => path.to_string_lossy(),
    }
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
            let mut text = String::new();
            uptime(seconds, &mut text);
            assert_eq!(text, expected);
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
                "Nov 20 05:08 PM, killed by the OOM killer",
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
        assert_eq!(names, PROCESS_MEMBERS);
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
        assert_eq!(config_value(&view), expected);
        let unmade = ConfigView {
            stderr_auto: None,
            ..view
        };
        assert_eq!(
            config_value(&unmade).member("stderr_logfile"),
            Some(&Value::text("auto"))
        );
    }
}
