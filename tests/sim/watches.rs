//! Invariants of watches: each is set once and ended once, and a batch of changes restarts a process at most once.

use std::collections::BTreeMap;

use supervisord::core::{Action, Input};
use supervisord::domain::{GroupName, Line, ProcessName};
use supervisord::effects::{WatchEffect, WatchId, WatchOutcome};

/// The watches that the core has asked for.
#[derive(Debug, Default)]
pub(crate) struct Watches {
    groups: BTreeMap<WatchId, GroupName>,
    /// The number of changes in each group.
    changes: BTreeMap<GroupName, u64>,
    /// The number of changes in the group when a process was last restarted because of one.
    restarted: BTreeMap<ProcessName, BTreeMap<GroupName, u64>>,
}

impl Watches {
    /// Records an input.
    pub(crate) fn note_input(&mut self, input: &Input) {
        match input {
            // The thread has ended with the previous daemon.
            Input::Resumed(_) => self.groups.clear(),
            Input::Watch(WatchOutcome::Changed { id, .. }) => {
                if let Some(group) = self.groups.get(id) {
                    *self.changes.entry(group.clone()).or_default() += 1;
                }
            }
            _ => {}
        }
    }

    /// Checks an action. Returns the process that is restarted because of a change.
    pub(crate) fn note_action(&mut self, action: &Action) -> Option<ProcessName> {
        match action {
            Action::Watch(WatchEffect::Set { id, spec, .. }) => {
                let before = self.groups.insert(*id, spec.group.clone());
                assert_eq!(before, None, "a watch is set twice");
                None
            }
            Action::Watch(WatchEffect::Clear(id)) => {
                let before = self.groups.remove(id);
                assert!(before.is_some(), "a watch is ended that is not set");
                None
            }
            Action::Log(Line::FileChanged { name, action, .. }) if action == "restarting" => {
                Some(name.clone())
            }
            _ => None,
        }
    }

    /// Checks that a process is restarted because of a change that has not restarted it before.
    pub(crate) fn restarted(&mut self, group: &GroupName, name: &ProcessName) {
        let changes = self.changes.get(group).copied().unwrap_or_default();
        let last = self.restarted.entry(name.clone()).or_default();
        let before = last.insert(group.clone(), changes).unwrap_or_default();
        assert!(
            before < changes,
            "{group}:{name} is restarted twice for a change"
        );
    }
}
