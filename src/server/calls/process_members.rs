//! The members that describe a process and a configured process, for any sink. Names, dates and descriptions are those
//! that Supervisor's clients expect.

use std::borrow::Cow;
use std::cell::LazyCell;
use std::path::Path;
use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::last_exit::last_exit;
use crate::api::{ConfigView, MemberSink, ProcessView, TableWriter, push_int};
use crate::config::spec::{LogSpec, LogTarget};
use crate::domain::ProcessState;
use crate::output::{self, TargetStats};

pub(in crate::server) fn path_or<'a>(path: Option<&'a Arc<Path>>, none: &'a str) -> Cow<'a, str> {
    path.map_or(Cow::Borrowed(none), |path| path.to_string_lossy())
}

/// Seconds since the epoch, clamped to the 32-bit integer that clients read.
fn timestamp(seconds: i64) -> i64 {
    seconds.clamp(i64::from(i32::MIN), i64::from(i32::MAX))
}

/// Values reused from process to process: the time zone, which is read for the first process with a date, and a text
/// buffer.
#[derive(Default)]
pub(in crate::server) struct RenderScratch {
    zone: LazyZone,
    text: String,
}

struct LazyZone(LazyCell<TimeZone>);

impl Default for LazyZone {
    fn default() -> Self {
        Self(LazyCell::new(crate::sys::time_zone))
    }
}

/// Writes the [`PROCESS_MEMBERS`](crate::api::PROCESS_MEMBERS) of one process.
pub(in crate::server) fn write_process(
    view: &ProcessView,
    scratch: &mut RenderScratch,
    to: &mut impl MemberSink,
) {
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

/// Writes the [`DETAIL_MEMBERS`](crate::api::DETAIL_MEMBERS) of one process.
pub(in crate::server) fn write_details(
    view: &ProcessView,
    scratch: &RenderScratch,
    to: &mut impl MemberSink,
) {
    to.int("restarts", i64::try_from(view.restarts).unwrap_or(i64::MAX));
    to.text("lastexit", &last_exit(view, &scratch.zone.0));
    to.int("nextattempt", timestamp(view.next_attempt.unwrap_or(0)));
    to.text("health", view.health.name());
    to.text("logtargets", &log_targets(view));
    to.text("progress", &view.progress.to_string());
}

/// The log targets of a process: a line for each, with tabs.
fn log_targets(view: &ProcessView) -> String {
    let targets = output::target_stats(&view.group, &view.name);
    let lines = targets.into_iter().map(|of| {
        let (stream, fails) = (of.channel.name(), u8::from(of.is_failing));
        let TargetStats {
            target,
            written,
            dropped,
            ..
        } = of;
        format!("{stream}\t{target}\t{written}\t{dropped}\t{fails}")
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// Writes one line of a table.
pub(in crate::server) fn write_row(
    table: &mut TableWriter,
    view: &ProcessView,
    scratch: &mut RenderScratch,
) {
    let has_details = table.has_details();
    table.push_row(|row| {
        write_process(view, scratch, row);
        if has_details {
            write_details(view, scratch, row);
        }
    });
}

/// The `description` of a process in `getProcessInfo`.
#[cfg(test)]
fn description(view: &ProcessView, zone: &TimeZone) -> String {
    let mut text = String::new();
    push_description(view, || zone, &mut text);
    text
}

/// Appends the description of a process. `zone` is called only if the description contains a date.
///
/// # Source
/// Supervisor manual, `getProcessInfo`, `description`.
fn push_description<'z>(view: &ProcessView, zone: impl Fn() -> &'z TimeZone, out: &mut String) {
    push_state(view, &zone, out);
    push_hold(view, &zone, out);
    // Only programs with a schedule, which Supervisor does not know.
    let shows_next = matches!(
        view.state,
        ProcessState::Running | ProcessState::Stopped | ProcessState::Exited | ProcessState::Fatal
    );
    if let Some(next) = view.next_run.filter(|_| shows_next)
        && let Ok(next) = Timestamp::from_second(next)
    {
        let next = next.to_zoned(zone().clone());
        out.push_str(", next run ");
        out.push_str(&next.strftime("%Y-%m-%d %H:%M:%S").to_string());
    }
}

/// Appends that the process is on hold, until when, and why. Supervisor has no holds.
fn push_hold<'z>(view: &ProcessView, zone: &impl Fn() -> &'z TimeZone, out: &mut String) {
    let Some(hold) = &view.hold else {
        return;
    };
    if !out.is_empty() {
        out.push_str(", ");
    }
    out.push_str("on hold");
    let until = hold
        .until
        .and_then(|until| Timestamp::from_second(until).ok());
    if let Some(until) = until {
        let until = until.to_zoned(zone().clone());
        out.push_str(" until ");
        out.push_str(&until.strftime("%Y-%m-%d %H:%M:%S").to_string());
    }
    if !hold.reason.is_empty() {
        out.push_str(" (");
        out.push_str(&hold.reason);
        out.push(')');
    }
}

/// Appends the description without the next run.
fn push_state<'z>(view: &ProcessView, zone: &impl Fn() -> &'z TimeZone, out: &mut String) {
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
        ProcessState::Backoff | ProcessState::Fatal => {
            out.push_str(&view.spawn_error);
            push_next_attempt(view, out);
        }
        // Only programs with keys that Supervisor does not know depend on others.
        ProcessState::Stopped if !view.dependency_text.is_empty() => {
            out.push_str(&view.dependency_text);
        }
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
            push_next_attempt(view, out);
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

/// Appends when the next automatic start is due, for programs with a key of ours that decides about it.
fn push_next_attempt(view: &ProcessView, out: &mut String) {
    if let Some(at) = view.next_attempt {
        out.push_str(", next attempt in ");
        push_int(out, at.saturating_sub(view.now).max(0));
        out.push_str(" s");
    }
}

/// Appends `H:MM:SS`, preceded by the days if there are any.
pub(in crate::server) fn push_uptime(seconds: u64, out: &mut String) {
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

/// Writes one struct of `getAllConfigInfo`. Its members are in Supervisor's order.
pub(in crate::server) fn write_config(view: &ConfigView, to: &mut impl MemberSink) {
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
        LogTarget::Memory => Cow::Borrowed("memory"),
        LogTarget::Auto => path_or(made_up, "auto"),
        LogTarget::File(path) => path.to_string_lossy(),
    }
}

#[cfg(test)]
pub(in crate::server) mod tests {
    use super::*;
    use crate::api::ProcessProgress;
    use crate::config::spec::{GroupKind, GroupSpec, ProcessSpec};
    use crate::domain::{ExitCounts, GroupName, ProcessHealth, ProcessName, ResourceEvents};

    /// A running process.
    pub(in crate::server) fn cat() -> ProcessView {
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
            dependency_text: String::new(),
            health: ProcessHealth::None,
            exit_status: 0,
            restarts: 0,
            next_attempt: None,
            progress: ProcessProgress::None,
            events_discarded: 0,
            events_waiting: 0,
            exits: ExitCounts::default(),
            hold: None,
            has_cgroup: false,
            next_run: None,
            ready: Some(true),
            exit_reason: None,
            unexpected_exit: false,
            status_text: String::new(),
            resource_events: ResourceEvents::NONE,
            pid: 7,
            uid: None,
            stdout_logfile: None,
            stderr_logfile: Some(Path::new("/e").into()),
        }
    }

    /// A process in a group of its own, from the last configuration that was read.
    pub(in crate::server) fn config_of(process: ProcessSpec) -> ConfigView {
        let process = Arc::new(process);
        let group = Arc::new(GroupSpec {
            name: process.group.clone(),
            priority: 999,
            kind: GroupKind::Programs,
            processes: vec![process.clone()],
            programs: Vec::new(),
            rolling: 0,
        });
        ConfigView {
            group,
            process,
            in_use: true,
            stdout_auto: None,
            stderr_auto: None,
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
            (
                ProcessView {
                    next_attempt: Some(1_795_203_940),
                    ..view(Exited, 1, 1_795_194_480, "")
                },
                "Nov 20 05:08 PM, next attempt in 12 s",
            ),
            (
                ProcessView {
                    next_attempt: Some(1),
                    ..view(Backoff, 1, 0, "why")
                },
                "why, next attempt in 0 s",
            ),
            (view(Starting, 1, 0, ""), ""),
            (view(Stopping, 1, 0, ""), ""),
            (view(Unknown, 1, 0, ""), ""),
        ];
        for (view, expected) in table {
            assert_eq!(description(&view, &zone), expected, "{:?}", view.state);
        }
    }
}
