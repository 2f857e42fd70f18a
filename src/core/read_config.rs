//! The configuration read last, with the names of AUTO logs that were generated for it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use super::auto_log_names::{self, AutoLogNames};
use crate::config::spec::{Config, GroupSpec, ProcessSpec};
use crate::config::warning_lines;
use crate::domain::{GroupName, LogPaths};

/// The configuration read last. Groups are added from it.
#[derive(Debug)]
pub(super) struct ReadConfig {
    pub(super) last_read: Arc<Config>,
    /// Errors and warnings of the last reading, one per line, whether or not the configuration was accepted.
    pub(super) problems: Vec<String>,
    /// The configuration to restart with. `None`: no restart is planned.
    pub(super) next: Option<Arc<Config>>,
    pub(super) auto_log_names: AutoLogNames,
    /// Paths of AUTO logs generated for groups of `last_read`, in the order of their processes.
    pub(super) made: BTreeMap<GroupName, Vec<LogPaths>>,
}

impl ReadConfig {
    pub(super) fn new(config: Arc<Config>, auto_log_names: AutoLogNames) -> Self {
        Self {
            problems: warning_lines(&config.warnings).collect(),
            last_read: config,
            next: None,
            auto_log_names,
            made: BTreeMap::new(),
        }
    }

    /// Sets the configuration after another reading.
    pub(super) fn replace(&mut self, config: Arc<Config>) {
        self.last_read = config;
        self.made.clear();
    }

    /// Generates the names of AUTO logs of a group, once per reading. Returns the files to create.
    pub(super) fn make_logs(&mut self, spec: &GroupSpec) -> Vec<Arc<Path>> {
        if self.made.contains_key(&spec.name) {
            return Vec::new();
        }
        let daemon = &self.last_read.daemon;
        let made: Vec<LogPaths> = spec
            .processes
            .iter()
            .map(|process| self.auto_log_names.make(process, daemon))
            .collect();
        let files: Vec<Arc<Path>> = made
            .iter()
            .flat_map(|paths| [&paths.stdout, &paths.stderr])
            .flatten()
            .cloned()
            .collect();
        if !files.is_empty() {
            self.made.insert(spec.name.clone(), made);
        }
        files
    }

    /// Returns the log paths of the process at `place` in its group.
    pub(super) fn log_paths(&self, spec: &ProcessSpec, place: usize) -> LogPaths {
        let made = self.made.get(&spec.group);
        auto_log_names::paths(spec, made.and_then(|made| made.get(place)))
    }
}
