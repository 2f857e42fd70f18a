//! All that is known of one process: what the engine tells, and what the process uses now and has used.

use std::sync::Arc;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value, json};

use super::cgroup_usage::{CgroupUsage, PRESSURES};
use super::process_list::usage_targets;
use super::process_members::{RenderScratch, write_details, write_process};
use super::process_usage::ProcessUsage;
use super::usage_history::PastUsage;
use super::usage_sources::UsageSources;
use crate::api::{
    AccessScope, Caller, Fault, FaultCode, MemberSink, Permission, ProcessDetails, ProcessView,
    Reply, Request, StateEntry, find_method,
};
use crate::config::spec::ProcessSpec;
use crate::control::{self, ControlHandle};
use crate::http_server::blocking_pool::run_blocking;
use crate::sys;

/// Maximum number of open descriptors that are counted.
const OPEN_FILES_MAX: usize = 100_000;

/// All that is known of one process.
pub(in crate::server) struct ProcessReport {
    pub(in crate::server) details: ProcessDetails,
    /// `None`: it does not run.
    pub(in crate::server) usage: Option<ProcessUsage>,
    /// `None`: it has no cgroup of its own.
    pub(in crate::server) cgroup: Option<CgroupUsage>,
    /// How many descriptors it has open. `None`: it does not run, or the kernel does not tell.
    pub(in crate::server) open_files: Option<usize>,
    /// CPU and memory of the last hour, the oldest first.
    pub(in crate::server) past: Vec<PastUsage>,
}

/// Where reports come from.
pub(in crate::server) struct ReportSource<'a> {
    pub(in crate::server) control: &'a ControlHandle,
    pub(in crate::server) usage: &'a Arc<UsageSources>,
    pub(in crate::server) stop: &'a tokio::sync::watch::Receiver<bool>,
}

impl ReportSource<'_> {
    /// Asks about a process on behalf of a caller. From now on it is sampled for an hour.
    ///
    /// # Errors
    /// A refusal, or BAD_NAME.
    pub(in crate::server) async fn report(
        &self,
        caller: &Caller,
        name: &str,
    ) -> Result<ProcessReport, Fault> {
        let request = Request::ProcessDetails(name.to_owned());
        let method = find_method("supervisord.getProcessDetails")
            .ok_or_else(|| FaultCode::UnknownMethod.bare())?;
        let Reply::Details(mut details) = self.control.ask(caller, method, request).await? else {
            return Err(FaultCode::Failed.bare());
        };
        let (group, process) = (details.view.group.as_str(), details.view.name.as_str());
        if !may(caller, Permission::ReadLogs, group, process) {
            details.ended.clear();
        }
        let full = format!("{group}:{process}");
        let views = std::slice::from_ref(&details.view);
        let past = self.usage.history.look(&full, self.control, self.stop);
        let pid = details.view.pid;
        let (usage, cgroup, open_files) = match pid {
            0 => (None, None, None),
            pid => {
                let usages = self.usage.history.sample_now(usage_targets(views)).await;
                let cgroups = self.usage.page_cgroups.sample(views).await;
                let open = run_blocking(move || open_files(pid)).await.flatten();
                (usages.get(&pid).copied(), cgroups.get(&pid).copied(), open)
            }
        };
        Ok(ProcessReport {
            details: *details,
            usage,
            cgroup,
            open_files,
            past,
        })
    }
}

/// Whether a caller has a permission for a process.
pub(in crate::server) fn may(
    caller: &Caller,
    permission: Permission,
    group: &str,
    process: &str,
) -> bool {
    control::grant_for(caller, permission).is_ok_and(|grant| grant.scope.covers(group, process))
}

/// Whether a caller has a permission for all processes.
pub(in crate::server) fn may_for_all(caller: &Caller, permission: Permission) -> bool {
    control::grant_for(caller, permission).is_ok_and(|grant| grant.scope == AccessScope::All)
}

fn open_files(pid: i32) -> Option<usize> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    Some(entries.take(OPEN_FILES_MAX).count())
}

/// The limits that are configured, by key.
pub(in crate::server) fn limits(spec: &ProcessSpec) -> Vec<(&'static str, String)> {
    let cgroup = spec.resources.settings().into_iter();
    let mut limits: Vec<(&'static str, String)> = cgroup
        .filter_map(|setting| Some((setting.key, setting.value?)))
        .collect();
    let confinement = &spec.confinement;
    let own = confinement.limits.iter();
    limits.extend(own.map(|(resource, limit)| (resource.key(), limit.to_string())));
    let numbers = [
        ("nice", confinement.nice.map(i64::from)),
        ("oom_score_adj", confinement.oom_score_adj.map(i64::from)),
    ];
    let set = numbers
        .into_iter()
        .filter_map(|(key, number)| Some((key, number?.to_string())));
    limits.extend(set);
    limits
}

/// Collects members as JSON.
#[derive(Default)]
struct JsonMembers(Map<String, Value>);

impl MemberSink for JsonMembers {
    fn text(&mut self, name: &'static str, value: &str) {
        self.0.insert(name.to_owned(), value.into());
    }

    fn int(&mut self, name: &'static str, value: i64) {
        self.0.insert(name.to_owned(), value.into());
    }

    fn bool(&mut self, name: &'static str, value: bool) {
        self.0.insert(name.to_owned(), value.into());
    }

    fn ints(&mut self, name: &'static str, values: impl Iterator<Item = i64>) {
        self.0.insert(name.to_owned(), values.collect());
    }
}

impl ProcessReport {
    /// All of it as JSON, without the configuration.
    pub(in crate::server) fn to_json(&self) -> Value {
        let details = &self.details;
        let mut members = JsonMembers::default();
        let mut scratch = RenderScratch::default();
        write_process(&details.view, &mut scratch, &mut members);
        write_details(&details.view, &scratch, &mut members);
        let mut object = members.0;
        let needs = details.dependencies.iter().flat_map(|view| &view.needs);
        let needs: Vec<Value> = needs
            .map(|need| {
                json!({
                    "target": need.target,
                    "condition": need.condition,
                    "met": need.is_met,
                    "processes": need.processes.iter().map(|name| self.neighbour(name)).collect::<Vec<_>>(),
                })
            })
            .collect();
        let dependents = details.dependents.iter().map(|name| self.neighbour(name));
        let zone = sys::time_zone();
        let ended = details.ended.iter().map(|ended| {
            json!({
                "pid": ended.pid,
                "exited": ended.exited,
                "local": local(ended.exited, &zone),
                "exit": ended.status.to_string(),
                "stderr": &*ended.stderr,
            })
        });
        let limits = limits(&details.spec).into_iter();
        let limits = limits.map(|(key, value)| (key.to_owned(), Value::from(value)));
        let next = details.view.next_run;
        let more = [
            ("next_run", json!(next)),
            ("hold", hold_json(&details.view, &zone)),
            (
                "exits",
                Value::Object(
                    details
                        .view
                        .exits
                        .each()
                        .map(|(reason, count)| (reason.to_owned(), count.into()))
                        .collect(),
                ),
            ),
            (
                "history",
                details
                    .history
                    .iter()
                    .map(|entry| state_json(entry, &zone))
                    .collect(),
            ),
            ("last_stderr", ended.collect()),
            ("depends_on", needs.into()),
            ("dependents", dependents.collect()),
            ("limits", Value::Object(limits.collect())),
            ("usage", self.usage_json()),
            ("last_hour", self.past_json()),
        ];
        object.extend(more.map(|(name, value)| (name.to_owned(), value)));
        Value::Object(object)
    }

    /// A neighbour with its state.
    fn neighbour(&self, name: &str) -> Value {
        json!({ "name": name, "statename": self.state_of(name).map(|state| state.name()) })
    }

    /// The state of a neighbour. `None`: there are too many to tell.
    pub(in crate::server) fn state_of(&self, name: &str) -> Option<crate::domain::ProcessState> {
        let mut known = self.details.neighbours.iter();
        known
            .find(|(known, _)| known == name)
            .map(|(_, state)| *state)
    }

    fn usage_json(&self) -> Value {
        let Some(usage) = &self.usage else {
            return Value::Null;
        };
        let cgroup = self.cgroup.unwrap_or_default();
        let pressures = PRESSURES.iter().zip(cgroup.pressures);
        let pressures: Map<String, Value> = pressures
            .filter_map(|((name, _), total)| Some(((*name).to_owned(), total?.into())))
            .collect();
        json!({
            "cpu_permille": usage.tree_permille,
            "memory_bytes": usage.tree_memory,
            "own_cpu_permille": usage.cpu_permille,
            "own_memory_bytes": usage.memory,
            "cgroup": self.cgroup.is_some(),
            "memory_peak_bytes": cgroup.memory_peak,
            "read_bytes": cgroup.read_bytes,
            "written_bytes": cgroup.written_bytes,
            "pids": cgroup.pids,
            "pressure_microseconds": pressures,
            "open_files": self.open_files,
        })
    }

    /// Samples as arrays of seconds ago, CPU and memory.
    fn past_json(&self) -> Value {
        let now = sys::now().mono;
        let past = self.past.iter().map(|sample| {
            let ago = now.nanos_since(sample.at) / 1_000_000_000;
            json!({ "seconds_ago": ago, "cpu_permille": sample.permille, "memory_kib": sample.kib })
        });
        past.collect()
    }
}

fn hold_json(view: &ProcessView, zone: &TimeZone) -> Value {
    let hold = view.hold.as_ref().map(|hold| {
        json!({
            "since": hold.since,
            "until": hold.until,
            "until_local": hold.until.map(|until| local(until, zone)),
            "by": hold.by,
            "reason": hold.reason,
        })
    });
    hold.into()
}

/// A time in the zone of the daemon. Empty: it is outside the calendar.
fn local(seconds: i64, zone: &TimeZone) -> String {
    let stamp = Timestamp::from_second(seconds).ok();
    let local = stamp.map(|stamp| stamp.to_zoned(zone.clone()));
    let text = local.map(|local| local.strftime("%Y-%m-%d %H:%M:%S").to_string());
    text.unwrap_or_default()
}

fn state_json(entry: &StateEntry, zone: &TimeZone) -> Value {
    let since = match entry.times {
        1 => entry.at,
        _ => entry.since,
    };
    let end = entry.end.as_deref();
    let status = end.and_then(|end| end.reason.status());
    json!({
        "at": entry.at,
        "local": local(entry.at, zone),
        "times": entry.times,
        "since": since,
        "since_local": local(since, zone),
        "statename": entry.state.name(),
        "pid": entry.pid,
        "lived_milliseconds": end.and_then(|end| end.lived),
        "exit": status.map(|status| status.to_string()),
        "reason": end.map(|end| end.reason.word()),
        "limits_hit": end.map(|end| {
            end.resource_events
                .each()
                .map(|(word, _)| word)
                .collect::<Vec<_>>()
        }),
    })
}
