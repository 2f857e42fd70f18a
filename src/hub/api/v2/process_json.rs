//! A process and a node as Cesi's JSON. The members of each struct are sorted, because Cesi sorts them.

use jiff::Timestamp;
use serde::Serialize;

use crate::hub::api::perform::visible;
use crate::hub::node::{NodeState, NodeView, ProcessView, uptime_text, wall_now};
use crate::hub::users::AccessLimits;
use crate::sys;

/// A process: the members of `getProcessInfo`, and Cesi's own.
#[derive(Serialize)]
pub(super) struct CesiProcess<'n> {
    description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    environment: Option<&'n str>,
    exitstatus: i32,
    group: &'n str,
    logfile: &'n str,
    name: &'n str,
    #[serde(skip_serializing_if = "Option::is_none")]
    node: Option<&'n str>,
    now: i64,
    now_hr: String,
    pid: i32,
    spawnerr: &'n str,
    start: i64,
    start_hr: String,
    state: u16,
    statename: &'static str,
    stderr_logfile: &'n str,
    stdout_logfile: &'n str,
    stop: i64,
    stop_hr: String,
    uptime: Uptime,
}

/// The time since the start, or 0 for a process that does not run.
#[derive(Serialize)]
#[serde(untagged)]
enum Uptime {
    Running(String),
    Stopped(u8),
}

/// A node.
#[derive(Serialize)]
pub(super) struct CesiNode<'n> {
    general: CesiGeneral<'n>,
    processes: Vec<CesiProcess<'n>>,
}

/// What is known of a node. Of a node that is not connected, ours says why.
#[derive(Serialize)]
struct CesiGeneral<'n> {
    connected: bool,
    environment: &'n str,
    name: &'n str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'n str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
}

/// The time of day of a second since the epoch, in the time zone of this host.
fn time_of_day(seconds: i64) -> String {
    let time = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
    time.to_zoned(sys::time_zone())
        .strftime("%H:%M:%S")
        .to_string()
}

impl<'n> CesiProcess<'n> {
    /// `is_placed`: with the names of its node and environment.
    pub(super) fn new(node: &'n NodeView, process: &'n ProcessView, is_placed: bool) -> Self {
        let now = node.now(wall_now());
        Self {
            description: process.description(now),
            environment: is_placed.then_some(&node.environment),
            exitstatus: process.exit_status,
            group: &process.group,
            logfile: &process.stdout_logfile,
            name: &process.name,
            node: is_placed.then_some(&node.name),
            now,
            now_hr: time_of_day(now),
            pid: process.pid,
            spawnerr: &process.spawn_error,
            start: process.start,
            start_hr: time_of_day(process.start),
            state: process.state.code(),
            statename: process.state.name(),
            stderr_logfile: &process.stderr_logfile,
            stdout_logfile: &process.stdout_logfile,
            stop: process.stop,
            stop_hr: time_of_day(process.stop),
            uptime: match process.uptime(now) {
                Some(uptime) => Uptime::Running(uptime_text(uptime)),
                None => Uptime::Stopped(0),
            },
        }
    }
}

impl<'n> CesiNode<'n> {
    pub(super) fn new(node: &'n NodeView, limits: &'n AccessLimits) -> Self {
        let is_connected = node.state == NodeState::Connected;
        Self {
            general: CesiGeneral {
                connected: is_connected,
                environment: &node.environment,
                name: &node.name,
                reason: (!is_connected).then_some(&node.reason),
                state: (!is_connected).then(|| node.state.words()),
            },
            processes: processes_of(node, limits),
        }
    }
}

/// The processes of a node within limits. Empty: it is not connected.
pub(super) fn processes_of<'n>(
    node: &'n NodeView,
    limits: &'n AccessLimits,
) -> Vec<CesiProcess<'n>> {
    if node.state != NodeState::Connected {
        return Vec::new();
    }
    let processes = visible(node, limits);
    processes
        .map(|process| CesiProcess::new(node, process, false))
        .collect()
}
