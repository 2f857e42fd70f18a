//! The checks of one instance: what they found, and when the next one is due. `health` changes it.

use serde::{Deserialize, Serialize};

use crate::domain::{ProcessHealth, Tick};
use crate::effects::ScriptId;

/// What the health checks of an instance say about its start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HealthVerdict {
    /// The process is healthy, or has no health check.
    Passed,
    /// The process is unhealthy, or its checks contradict each other.
    Failed,
    /// Not known yet.
    Unknown,
}

/// The checks of one instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct HealthState {
    /// When the next check starts.
    pub(super) next_at: Tick,
    /// Whether the process is healthy. `None`: not known yet.
    pub(super) is_healthy: Option<bool>,
    /// Consecutive successes.
    #[serde(deserialize_with = "crate::domain::counter::small_counter")]
    pub(super) successes: u32,
    /// Consecutive failures.
    #[serde(deserialize_with = "crate::domain::counter::small_counter")]
    pub(super) failures: u32,
    /// How many results counted before the process was known to be healthy or not.
    #[serde(default, deserialize_with = "crate::domain::counter::small_counter")]
    pub(super) undecided: u32,
    /// Why the last check failed. Empty: it did not.
    pub(super) reason: String,
    /// The check that runs. The daemon that leaves kills it, so the next one starts it again.
    #[serde(default)]
    pub(super) running: Option<ScriptId>,
}

impl HealthState {
    /// Returns the state of a new instance, whose first check starts at `next_at`.
    pub(super) fn new(next_at: Tick) -> Box<Self> {
        Box::new(Self {
            next_at,
            is_healthy: None,
            successes: 0,
            failures: 0,
            undecided: 0,
            reason: String::new(),
            running: None,
        })
    }

    /// Lets the checks decide anew, so that an unhealthy process becomes unhealthy again.
    pub(super) fn forget_verdict(&mut self) {
        self.is_healthy = None;
        self.successes = 0;
        self.failures = 0;
        self.undecided = 0;
    }

    /// Forgets the check that ran in the previous daemon. It is due at once.
    pub(super) fn resume(&mut self) {
        self.running = None;
    }

    /// The health as clients see it.
    pub(super) fn health(&self) -> ProcessHealth {
        match self.is_healthy {
            Some(true) => ProcessHealth::Healthy,
            Some(false) => ProcessHealth::Unhealthy(self.reason.clone()),
            None => ProcessHealth::Starting,
        }
    }

    /// What clients see after the uptime. Empty: nothing is known.
    pub(super) fn text(&self) -> String {
        match self.is_healthy {
            Some(true) => "healthy".to_owned(),
            Some(false) => format!("unhealthy: {}", self.reason),
            None => String::new(),
        }
    }
}
