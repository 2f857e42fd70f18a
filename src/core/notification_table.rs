//! The notifications with their states.

use super::notification_state::NotificationState;
use crate::config::spec::NotificationSpec;
use crate::domain::Tick;
use crate::effects::ScriptId;

/// The notifications of the configuration read last.
#[derive(Debug, Default)]
pub(super) struct Notifications {
    /// Each with its state, in file order.
    pub(super) list: Vec<(NotificationSpec, NotificationState)>,
    /// How many of the current actions were observed. Valid only within one call of `handle`.
    pub(super) observed_up_to: usize,
}

impl Notifications {
    pub(super) fn new(specs: &[NotificationSpec]) -> Self {
        let list = specs.iter();
        Self {
            list: list
                .map(|spec| (spec.clone(), NotificationState::default()))
                .collect(),
            observed_up_to: 0,
        }
    }

    /// Applies another configuration. Notifications of the same name keep their state. Returns the runs of those that are
    /// not in the configuration any more.
    pub(super) fn replace(&mut self, specs: &[NotificationSpec]) -> Vec<ScriptId> {
        let mut before = std::mem::take(&mut self.list);
        let mut state = |name: &str| {
            let known = before.iter_mut().find(|(spec, _)| spec.name() == name);
            known.map(|(_, state)| std::mem::take(state))
        };
        self.list = specs
            .iter()
            .map(|spec| (spec.clone(), state(spec.name()).unwrap_or_default()))
            .collect();
        // The states that were kept are empty now.
        let left = before.iter();
        left.filter_map(|(_, state)| state.running).collect()
    }

    /// The states by name, for the next daemon.
    pub(super) fn states(&self) -> Vec<(String, NotificationState)> {
        let list = self.list.iter();
        list.map(|(spec, state)| (spec.name().to_owned(), state.clone()))
            .collect()
    }

    /// Takes the states that the previous daemon left.
    pub(super) fn restore(&mut self, states: Vec<(String, NotificationState)>) {
        for (name, left) in states {
            if let Some((_, state)) = self.list.iter_mut().find(|(spec, _)| spec.name() == name) {
                *state = left;
            }
        }
    }

    /// Returns when something is due without an input. [`Tick::NEVER`]: nothing is due.
    pub(super) fn due(&self) -> Tick {
        let list = self.list.iter();
        let first = list.map(|(spec, state)| state.due(spec)).min();
        first.unwrap_or(Tick::NEVER)
    }
}
