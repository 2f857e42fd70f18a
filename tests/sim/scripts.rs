//! Invariants of checks: one at a time for each process, only while the process is up, and none is forgotten.

use std::collections::{BTreeMap, BTreeSet};

use supervisord::core::{Action, Fleet, Input};
use supervisord::domain::{Change, Now, ProcessState, Tick};
use supervisord::effects::{ScriptEffect, ScriptId, ScriptOutcome};

/// Group and name of a process.
type Name = (String, String);

/// The scripts that run, as far as the core knows.
#[derive(Debug, Default)]
pub(crate) struct Scripts {
    checks: BTreeMap<ScriptId, Name>,
    hooks: BTreeSet<ScriptId>,
    /// Runs of notifications, with their names.
    reports: BTreeMap<ScriptId, String>,
    /// Whether a process that is up was healthy at its last change.
    health: BTreeMap<Name, bool>,
    last: Option<ScriptId>,
}

impl Scripts {
    /// Records an input before the core handles it.
    pub(crate) fn note_input(&mut self, input: &Input) {
        match input {
            Input::Script(ScriptOutcome::Ended { id, .. }) => {
                self.checks.remove(id);
                self.hooks.remove(id);
                self.reports.remove(id);
            }
            // The daemon that leaves kills them.
            Input::Resumed(_) => *self = Self::default(),
            _ => {}
        }
    }

    /// Checks an action of the core. Returns a word for what was seen.
    pub(crate) fn note_action(&mut self, action: &Action) -> Option<&'static str> {
        match action {
            Action::Script(ScriptEffect::Run(run)) => {
                assert!(
                    self.last < Some(run.id),
                    "the number of a script is used again"
                );
                self.last = Some(run.id);
                // Checks have no variables.
                match run.variables.first().map(|(name, _)| name.as_str()) {
                    Some("SUPERVISOR_HEALTH") => return Some("a reaction"),
                    Some("SUPERVISOR_NOTIFY") => {
                        let name = run.spec.name.to_string();
                        let is_there = self.reports.values().any(|other| *other == name);
                        assert!(!is_there, "two reports of {name} at a time");
                        assert!(!run.input.is_empty(), "an empty report");
                        self.reports.insert(run.id, name);
                        return Some("a report");
                    }
                    Some(_) => {
                        self.hooks.insert(run.id);
                        return Some("a hook");
                    }
                    None => {}
                }
                let name = (run.spec.group.to_string(), run.spec.name.to_string());
                let is_there = self.checks.values().any(|other| *other == name);
                assert!(!is_there, "two checks of {name:?} at a time");
                self.checks.insert(run.id, name);
                Some("a check")
            }
            Action::Script(ScriptEffect::Cancel(id)) => {
                if self.hooks.remove(id) {
                    return Some("a cancelled hook");
                }
                if self.reports.remove(id).is_some() {
                    return Some("a cancelled report");
                }
                let known = self.checks.remove(id);
                assert!(known.is_some(), "a cancelled script does not run: {id:?}");
                Some("a cancelled check")
            }
            Action::Publish(change) => self.note_change(change),
            _ => None,
        }
    }

    /// Checks that a process whose event says that it is healthy was not healthy before, and the reverse.
    fn note_change(&mut self, change: &Change) -> Option<&'static str> {
        let name = (change.group()?.to_string(), change.process()?.to_string());
        match change {
            Change::ProcessHealth { is_healthy, .. } => {
                let before = self.health.insert(name.clone(), *is_healthy);
                assert_ne!(before, Some(*is_healthy), "{name:?} has no new health");
                Some(match is_healthy {
                    true => "a healthy process",
                    false => "an unhealthy process",
                })
            }
            Change::ProcessState { .. } => {
                self.health.remove(&name);
                None
            }
            _ => None,
        }
    }

    /// Checks the state after an input: only processes that are up are checked.
    pub(crate) fn after(&self, now: Now, fleet: &Fleet) {
        if self.checks.is_empty() {
            return;
        }
        let views = fleet.view(now);
        for name in self.checks.values() {
            let is_it = |view: &&supervisord::api::ProcessView| {
                (view.group.as_str(), view.name.as_str()) == (name.0.as_str(), name.1.as_str())
            };
            let state = views.iter().find(is_it).map(|view| view.state);
            let is_up = matches!(state, Some(ProcessState::Starting | ProcessState::Running));
            assert!(is_up, "{name:?} is checked in the state {state:?}");
        }
        assert_ne!(fleet.next_deadline(), Some(Tick::NEVER));
    }
}
