//! Nodes and processes as JSON.

use jiff::Timestamp;
use serde::Serialize;

use crate::hub::api::perform::visible;
use crate::hub::api::process_counts::ProcessCounts;
use crate::hub::node::{NodeView, ProcessView, WallMillis, wall_now};
use crate::hub::users::AccessLimits;

/// A node without its processes.
#[derive(Serialize)]
pub(super) struct NodeJson<'n> {
    name: &'n str,
    environment: &'n str,
    tags: &'n [String],
    address: &'n str,
    /// `connected`, or why it is not.
    state: &'static str,
    /// More about the state. Empty: it is connected.
    reason: &'n str,
    since: Option<String>,
    last_success: Option<String>,
    /// Seconds since an answer of the node last arrived.
    age: Option<i64>,
    /// The processes are the last known ones.
    stale: bool,
    kind: Option<&'static str>,
    version: &'n str,
    clock_offset: i64,
    hidden: usize,
    processes: ProcessCounts,
}

/// A process.
#[derive(Serialize)]
pub(super) struct ProcessJson<'n> {
    node: &'n str,
    environment: &'n str,
    group: &'n str,
    name: &'n str,
    state: &'static str,
    /// The processes of the node are the last known ones.
    stale: bool,
    pid: i32,
    description: String,
    /// Seconds.
    uptime: Option<u64>,
    /// Seconds since the epoch, by the node's clock.
    start: i64,
    stop: i64,
    exit_status: i32,
    spawn_error: &'n str,
    #[serde(skip_serializing_if = "str::is_empty")]
    health: &'n str,
    #[serde(skip_serializing_if = "Option::is_none")]
    restarts: Option<u64>,
}

fn time(millis: WallMillis) -> Option<String> {
    let time = Timestamp::from_millisecond(millis).ok()?;
    Some(time.to_string())
}

impl<'n> NodeJson<'n> {
    pub(super) fn new(node: &'n NodeView, limits: &AccessLimits) -> Self {
        let counts = ProcessCounts::of(visible(node, limits));
        let age = |at: WallMillis| (wall_now() - at).max(0) / 1000;
        Self {
            name: &node.name,
            environment: &node.environment,
            tags: &node.tags,
            address: &node.address,
            state: node.state.words(),
            reason: &node.reason,
            since: time(node.since),
            last_success: node.last_success.and_then(time),
            age: node.last_success.map(age),
            stale: node.is_stale(),
            kind: node.kind.map(crate::hub::node::NodeKind::name),
            version: &node.version,
            clock_offset: node.clock_offset,
            hidden: node.hidden,
            processes: counts,
        }
    }
}

impl<'n> ProcessJson<'n> {
    pub(super) fn new(node: &'n NodeView, process: &'n ProcessView) -> Self {
        let now = node.now(wall_now());
        Self {
            node: &node.name,
            environment: &node.environment,
            group: &process.group,
            name: &process.name,
            state: process.state.name(),
            stale: node.is_stale(),
            pid: process.pid,
            description: process.description(now),
            uptime: process.uptime(now),
            start: process.start,
            stop: process.stop,
            exit_status: process.exit_status,
            spawn_error: &process.spawn_error,
            health: &process.health,
            restarts: process.restarts,
        }
    }
}
