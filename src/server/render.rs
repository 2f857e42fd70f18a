//! Renders the engine's replies as XML-RPC values, with the member names, dates and descriptions that Supervisor's
//! clients expect.

use std::borrow::Cow;
use std::cell::LazyCell;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use crate::api::xmlrpc::RpcValue;
use crate::api::{
    ConfigView, FaultCode, ListResponse, MemberSink, PROCESS_MEMBERS, ProcessView, Reply,
    TableColumns, TableWriter, TargetResult, WireType, push_int,
};
use crate::config::spec::{LogSpec, LogTarget};
use crate::domain::{GroupName, Namespec, ProcessName, ProcessState};

/// Renders a reply. `returns` is the return type that METHODS declares for the method.
pub(super) fn render_reply(reply: Reply, returns: WireType) -> RpcValue {
    match reply {
        Reply::Done => RpcValue::Bool(true),
        Reply::State(state) => struct_value([
            ("statecode", RpcValue::Int(i64::from(state.code()))),
            ("statename", RpcValue::text(state.name())),
        ]),
        Reply::Pid(pid) => RpcValue::Int(i64::from(pid)),
        Reply::Text(text) => RpcValue::Text(text),
        Reply::Processes(views) => {
            let mut scratch = RenderScratch::default();
            let mut infos = views.iter().map(|view| {
                let mut members = Vec::with_capacity(PROCESS_MEMBERS.len());
                write_process(view, &mut scratch, &mut members);
                RpcValue::Struct(members)
            });
            match returns {
                WireType::Struct => infos.next().unwrap_or(RpcValue::Struct(Vec::new())),
                _ => RpcValue::Array(infos.collect()),
            }
        }
        Reply::Configs(views) => RpcValue::Array(views.iter().map(config_value).collect()),
        Reply::Results(results) => RpcValue::Array(results.iter().map(render_result).collect()),
        Reply::Diff {
            added,
            changed,
            removed,
        } => {
            let triple = [added, changed, removed].map(|names| names_value(&names));
            RpcValue::Array(vec![RpcValue::Array(triple.into())])
        }
        Reply::Journal(_) => RpcValue::text(""),
        Reply::LogFile(file) => RpcValue::text(path_or(file.as_ref(), "")),
        Reply::Names(names) => names_value(&names),
        Reply::Lines(lines) => RpcValue::Array(lines.into_iter().map(RpcValue::Text).collect()),
        Reply::Generation {
            generation,
            is_upgrading,
        } => struct_value([
            ("generation", RpcValue::Int(i64::from(generation))),
            ("upgrading", RpcValue::Bool(is_upgrading)),
        ]),
        Reply::Scaled {
            group,
            added,
            removed,
        } => {
            let list = |names: &[ProcessName]| {
                let name = |name: &ProcessName| {
                    RpcValue::Text(Namespec::print(group.as_str(), name.as_str()))
                };
                RpcValue::Array(names.iter().map(name).collect())
            };
            struct_value([("added", list(&added)), ("removed", list(&removed))])
        }
    }
}

fn struct_value<const N: usize>(fields: [(&str, RpcValue); N]) -> RpcValue {
    RpcValue::Struct(
        fields
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    )
}

fn names_value(names: &[GroupName]) -> RpcValue {
    RpcValue::Array(
        names
            .iter()
            .map(|name| RpcValue::text(name.as_str()))
            .collect(),
    )
}

fn path_or<'a>(path: Option<&'a Arc<Path>>, none: &'a str) -> Cow<'a, str> {
    path.map_or(Cow::Borrowed(none), |path| path.to_string_lossy())
}

/// Seconds since the epoch, clamped to the 32-bit integer that clients read.
fn timestamp(seconds: i64) -> i64 {
    seconds.clamp(i64::from(i32::MIN), i64::from(i32::MAX))
}

/// Values reused from process to process: the time zone, which is read for the first process with a date, and a text
/// buffer.
#[derive(Default)]
pub(super) struct RenderScratch {
    zone: LazyZone,
    text: String,
}

struct LazyZone(LazyCell<TimeZone>);

impl Default for LazyZone {
    fn default() -> Self {
        Self(LazyCell::new(crate::sys::time_zone))
    }
}

/// Approximate size of one process's struct on the wire, without its variable-length members.
const PROCESS_BYTES: usize = 1100;
/// Approximate size of one process's row in a table with few columns.
const ROW_BYTES: usize = 100;
/// Approximate size of one configured process's struct on the wire, without its variable-length members.
const CONFIG_BYTES: usize = 2300;

/// Writes the [`PROCESS_MEMBERS`] of one process.
fn write_process(view: &ProcessView, scratch: &mut RenderScratch, to: &mut impl MemberSink) {
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
    push_description(view, || &*scratch.zone.0, &mut scratch.text);
    to.text("description", &scratch.text);
}

/// A list that is written directly into the response, without a tree of values.
pub(super) enum ListReply {
    /// All processes.
    Processes(Vec<ProcessView>),
    /// All configured processes.
    Configs(Vec<ConfigView>),
    /// Processes, as a table of text.
    Table(Vec<ProcessView>, TableColumns),
}

/// A [`ListReply`] with the response that it is being written to.
pub(super) enum ListWriter<'a> {
    Processes(&'a [ProcessView], ListResponse),
    Configs(&'a [ConfigView], ListResponse),
    Table(&'a [ProcessView], TableWriter),
}

impl ListWriter<'_> {
    /// Writes the processes in `range`.
    pub(super) fn write(&mut self, range: Range<usize>, scratch: &mut RenderScratch) {
        match self {
            Self::Processes(views, response) => {
                for view in &views[range] {
                    response.push_struct(|members| write_process(view, scratch, members));
                }
            }
            Self::Configs(views, response) => {
                for view in &views[range] {
                    response.push_struct(|members| write_config(view, members));
                }
            }
            Self::Table(views, table) => {
                for view in &views[range] {
                    table.push_row(|row| write_process(view, scratch, row));
                }
            }
        }
    }

    /// Finishes the response.
    pub(super) fn finish(self) -> Vec<u8> {
        match self {
            Self::Processes(_, response) | Self::Configs(_, response) => response.finish(),
            Self::Table(_, table) => table.finish(),
        }
    }
}

impl ListReply {
    /// Starts the response in `buffer`.
    pub(super) fn start_response(&self, buffer: Vec<u8>) -> ListWriter<'_> {
        match self {
            Self::Processes(views) => ListWriter::Processes(views, ListResponse::new(buffer)),
            Self::Configs(views) => ListWriter::Configs(views, ListResponse::new(buffer)),
            Self::Table(views, columns) => {
                ListWriter::Table(views, TableWriter::response_table(buffer, *columns))
            }
        }
    }

    /// The number of processes in the list.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Processes(views) | Self::Table(views, _) => views.len(),
            Self::Configs(views) => views.len(),
        }
    }

    /// Approximate size of the response in bytes, estimated generously.
    pub(super) fn estimated_bytes(&self) -> usize {
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

/// Renders processes as a table that is one XML-RPC value.
pub(super) fn render_table(views: &[ProcessView], columns: TableColumns) -> RpcValue {
    let mut scratch = RenderScratch::default();
    let mut table = TableWriter::text_table(columns);
    for view in views {
        table.push_row(|row| write_process(view, &mut scratch, row));
    }
    RpcValue::Text(table.into_text())
}

/// The `description` of a process in `getProcessInfo`.
pub(super) fn description(view: &ProcessView, zone: &TimeZone) -> String {
    let mut text = String::new();
    push_description(view, || zone, &mut text);
    text
}

/// Appends the description of a process. `zone` is called only if the description contains a date.
///
/// # Source
/// Supervisor manual, `getProcessInfo`, `description`.
fn push_description<'z>(view: &ProcessView, zone: impl FnOnce() -> &'z TimeZone, out: &mut String) {
    match view.state {
        ProcessState::Running => {
            out.push_str("pid ");
            push_int(out, i64::from(view.pid));
            out.push_str(", uptime ");
            push_uptime(view.uptime, out);
            // Differs: Supervisor reports only in its log that an event listener pool has discarded events.
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
                // The time is outside the calendar's range of years, so write the plain number.
                Err(_) => push_int(out, view.stop),
            }
            // Only programs with keys that Supervisor does not know have resource events.
            if !view.resource_events.is_none() {
                out.push_str(&format!(", {}", view.resource_events));
            }
        }
        // Empty, as in Supervisor, except for delayed starts and for programs that report a status text.
        ProcessState::Starting | ProcessState::Stopping if !view.spawn_error.is_empty() => {
            out.push_str(&view.spawn_error);
        }
        ProcessState::Starting | ProcessState::Stopping | ProcessState::Unknown => {
            out.push_str(&view.status_text);
        }
    }
}

/// Appends `H:MM:SS`, preceded by the days if there are any.
fn push_uptime(seconds: u64, out: &mut String) {
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

fn config_value(view: &ConfigView) -> RpcValue {
    let mut members = Vec::new();
    write_config(view, &mut members);
    RpcValue::Struct(members)
}

/// Writes one struct of `getAllConfigInfo`. Its members are in Supervisor's order.
fn write_config(view: &ConfigView, to: &mut impl MemberSink) {
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
    to.bool("stdout_syslog", spec.stdout.named.syslog);
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
    to.bool("stderr_syslog", spec.stderr.named.syslog);
    to.text("serverurl", spec.server_url.as_deref().unwrap_or("none"));
}

/// The log file of a stream as `getAllConfigInfo` shows it.
fn log_file<'a>(spec: &'a LogSpec, made_up: Option<&'a Arc<Path>>) -> Cow<'a, str> {
    match &spec.target {
        LogTarget::None | LogTarget::Empty if spec.named.journal.is_some() => {
            Cow::Borrowed("journal")
        }
        LogTarget::None => Cow::Borrowed("none"),
        LogTarget::Empty => Cow::Borrowed(""),
        LogTarget::Auto => path_or(made_up, "auto"),
        LogTarget::File(path) => path.to_string_lossy(),
    }
}

fn render_result(result: &TargetResult) -> RpcValue {
    let (code, text) = match &result.fault {
        None => (FaultCode::Success.code(), "OK".to_owned()),
        Some(fault) => (fault.code.code(), fault.to_string()),
    };
    struct_value([
        ("name", RpcValue::text(result.process.as_str())),
        ("group", RpcValue::text(result.group.as_str())),
        ("status", RpcValue::Int(i64::from(code))),
        ("description", RpcValue::Text(text)),
    ])
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::config::spec::{ConfiguredUser, GroupKind, GroupSpec, ProcessSpec};
    use crate::config::testing::{log_spec, program};
    use crate::domain::{Bytes, ProcessName, ResourceEvents, SupervisorState};

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
            exit_reason: None,
            status_text: String::new(),
            resource_events: ResourceEvents::NONE,
            pid: 7,
            uid: None,
            stdout_logfile: None,
            stderr_logfile: Some(Path::new("/e").into()),
        }
    }

    #[test]
    fn rpc_23_uptime_has_pythons_format() {
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
            push_uptime(seconds, &mut text);
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn the_status_of_a_process_is_the_last_part() {
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
    fn rpc_23_each_state_has_supervisors_description() {
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
                    resource_events: ResourceEvents {
                        oom_kill: true,
                        ..ResourceEvents::NONE
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
    fn rpc_22_process_info_has_supervisors_fields() {
        let RpcValue::Struct(members) =
            render_reply(Reply::Processes(vec![cat()]), WireType::Struct)
        else {
            panic!("not a struct");
        };
        let names: Vec<_> = members.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, PROCESS_MEMBERS);
        let info = RpcValue::Struct(members);
        assert_eq!(info.member("logfile"), Some(&RpcValue::text("")));
        assert_eq!(info.member("stderr_logfile"), Some(&RpcValue::text("/e")));
        let far = ProcessView {
            start: i64::MAX,
            ..cat()
        };
        let RpcValue::Array(infos) = render_reply(Reply::Processes(vec![far]), WireType::Array)
        else {
            panic!("not an array");
        };
        assert_eq!(
            infos[0].member("start"),
            Some(&RpcValue::Int(2_147_483_647))
        );
    }

    #[test]
    fn rpc_15_and_rpc_32_small_answers_are_supervisors() {
        let group = |name| GroupName::parse(name).expect("valid");
        let diff = Reply::Diff {
            added: vec![group("a")],
            changed: vec![],
            removed: vec![group("b"), group("c")],
        };
        let texts =
            |names: &[&str]| RpcValue::Array(names.iter().map(|n| RpcValue::text(*n)).collect());
        assert_eq!(
            render_reply(diff, WireType::Array),
            RpcValue::Array(vec![RpcValue::Array(vec![
                texts(&["a"]),
                texts(&[]),
                texts(&["b", "c"])
            ])])
        );
        assert_eq!(
            render_reply(Reply::State(SupervisorState::Running), WireType::Struct),
            struct_value([
                ("statecode", RpcValue::Int(1)),
                ("statename", RpcValue::text("RUNNING"))
            ])
        );
        let failed = TargetResult {
            process: ProcessName::parse("p").expect("valid"),
            group: group("g"),
            fault: Some(FaultCode::BadSignal.of("x")),
        };
        assert_eq!(
            render_result(&failed),
            struct_value([
                ("name", RpcValue::text("p")),
                ("group", RpcValue::text("g")),
                ("status", RpcValue::Int(11)),
                ("description", RpcValue::text("BAD_SIGNAL: x")),
            ])
        );
    }

    #[test]
    fn rpc_25_config_info_has_supervisors_fields() {
        let log = |target| LogSpec {
            maxbytes: Bytes(52_428_800),
            backups: 10,
            ..log_spec(target)
        };
        let process = Arc::new(ProcessSpec {
            directory: Some(Path::new("/tmp").into()),
            exitcodes: [0, 2].into(),
            user: Some(ConfiguredUser {
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
        let int = RpcValue::Int;
        // Names, order and values as the reference Supervisor sends them for the same program.
        let expected = struct_value([
            ("autostart", RpcValue::Bool(true)),
            ("directory", RpcValue::text("/tmp")),
            ("uid", int(0)),
            ("command", RpcValue::text("/bin/cat")),
            ("exitcodes", RpcValue::Array(vec![int(0), int(2)])),
            ("group", RpcValue::text("b")),
            ("group_prio", int(999)),
            ("inuse", RpcValue::Bool(true)),
            ("killasgroup", RpcValue::Bool(false)),
            ("name", RpcValue::text("b")),
            ("process_prio", int(999)),
            ("redirect_stderr", RpcValue::Bool(false)),
            ("startretries", int(3)),
            ("startsecs", int(1)),
            ("stdout_capture_maxbytes", int(0)),
            ("stdout_events_enabled", RpcValue::Bool(false)),
            ("stdout_logfile", RpcValue::text("none")),
            ("stdout_logfile_backups", int(10)),
            ("stdout_logfile_maxbytes", int(52_428_800)),
            ("stdout_syslog", RpcValue::Bool(false)),
            ("stopsignal", int(15)),
            ("stopwaitsecs", int(10)),
            ("stderr_capture_maxbytes", int(0)),
            ("stderr_events_enabled", RpcValue::Bool(false)),
            (
                "stderr_logfile",
                RpcValue::text("/tmp/b-stderr---supervisor-x.log"),
            ),
            ("stderr_logfile_backups", int(10)),
            ("stderr_logfile_maxbytes", int(52_428_800)),
            ("stderr_syslog", RpcValue::Bool(false)),
            ("serverurl", RpcValue::text("none")),
        ]);
        assert_eq!(config_value(&view), expected);
        let unmade = ConfigView {
            stderr_auto: None,
            ..view
        };
        assert_eq!(
            config_value(&unmade).member("stderr_logfile"),
            Some(&RpcValue::text("auto"))
        );
    }
}
