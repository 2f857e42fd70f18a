//! The counters of all log targets, for `status -v` and `/metrics`. A counter goes on when another instance of its process
//! writes to the same target, and begins at 0 in a new daemon.

use std::collections::BTreeMap;
use std::fmt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::config::spec::SyslogServer;
use crate::domain::{Channel, GroupName, ProcessName};

/// Maximum number of counters. Beyond it, counters without a running process are removed.
const COUNTERS_MAX: usize = 50_000;

/// The name of a target in log lines.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum TargetName {
    /// The path of a file.
    Path(Arc<Path>),
    /// A syslog server.
    Server(SyslogServer),
    /// Words such as "the journal".
    Words(&'static str),
}

impl fmt::Display for TargetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Path(path) => path.display().fmt(f),
            Self::Server(server) => server.fmt(f),
            Self::Words(words) => f.write_str(words),
        }
    }
}

/// The counters of one target of one stream.
#[derive(Debug, Default)]
pub(super) struct TargetCounters {
    written: AtomicU64,
    dropped: AtomicU64,
    is_failing: AtomicBool,
}

impl TargetCounters {
    pub(super) fn count_written(&self, bytes: usize) {
        self.written.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn count_dropped(&self, bytes: usize) {
        self.dropped.fetch_add(bytes as u64, Relaxed);
    }

    pub(super) fn set_failing(&self, is_failing: bool) {
        self.is_failing.store(is_failing, Relaxed);
    }

    pub(super) fn written(&self) -> u64 {
        self.written.load(Relaxed)
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }
}

/// What was counted for one target of one stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetStats {
    /// The group of the process.
    pub group: GroupName,
    /// The process.
    pub name: ProcessName,
    /// The stream.
    pub channel: Channel,
    /// The path of a file, or the name of another target.
    pub target: String,
    /// Bytes that the target took.
    pub written: u64,
    /// Bytes that were dropped because the target failed or was too slow.
    pub dropped: u64,
    /// Whether the last attempt to write failed.
    pub is_failing: bool,
}

type TargetKey = (GroupName, ProcessName, Channel, TargetName);

static COUNTERS: Mutex<BTreeMap<TargetKey, Arc<TargetCounters>>> = Mutex::new(BTreeMap::new());

fn counters() -> MutexGuard<'static, BTreeMap<TargetKey, Arc<TargetCounters>>> {
    COUNTERS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the counters of a target, which begin at 0 if the target is new.
pub(super) fn register(
    (group, name): (&GroupName, &ProcessName),
    channel: Channel,
    target: TargetName,
) -> Arc<TargetCounters> {
    let mut all = counters();
    if all.len() >= COUNTERS_MAX {
        all.retain(|_, counters| Arc::strong_count(counters) > 1);
    }
    let key = (group.clone(), name.clone(), channel, target);
    all.entry(key).or_default().clone()
}

fn stats((key, counters): (&TargetKey, &Arc<TargetCounters>)) -> TargetStats {
    let (group, name, channel, target) = key;
    TargetStats {
        group: group.clone(),
        name: name.clone(),
        channel: *channel,
        target: target.to_string(),
        written: counters.written(),
        dropped: counters.dropped(),
        is_failing: counters.is_failing.load(Relaxed),
    }
}

/// Returns what was counted for the targets of one process, in the order of streams.
#[must_use]
pub fn target_stats(group: &GroupName, name: &ProcessName) -> Vec<TargetStats> {
    let all = counters();
    let least = TargetName::Path(Path::new("").into());
    let from = (group.clone(), name.clone(), Channel::Stdout, least);
    all.range(from..)
        .take_while(|((of, process, ..), _)| of == group && process == name)
        .map(stats)
        .collect()
}

/// Returns what was counted for all targets, sorted by group, process and stream.
#[must_use]
pub fn all_target_stats() -> Vec<TargetStats> {
    counters().iter().map(stats).collect()
}
