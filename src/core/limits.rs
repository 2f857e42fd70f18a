//! Changes of limits and of the restart policy while processes run.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use super::stage::{AttemptStep, Stage};
use super::{Action, Actions, Fleet};
use crate::config::diff::{has_live_changes, take_live_changes};
use crate::config::spec::{GroupSpec, ProcessSpec, ProgramSpec};
use crate::domain::{GroupName, Line, ProcessName};

impl Fleet {
    /// Copies the values that need no restart, such as limits, of the configuration read last to the active groups in
    /// `live`, which do not differ from it otherwise. Other groups get them with the rest of their changes, when a client
    /// applies them by restarting
    /// the group.
    ///
    /// This happens when the configuration is read. A client's update cannot do it: the protocol has no call that
    /// changes a group without stopping it, and Supervisor's clients would not make one.
    pub(super) fn take_over_live_changes(&mut self, live: &[GroupName], out: &mut Actions) {
        let live: HashSet<&GroupName> = live.iter().collect();
        let read = Arc::clone(&self.configuration.last_read);
        for group in &read.groups {
            if live.contains(&group.name) {
                self.take_over_of_group(group, out);
            }
        }
    }

    pub(super) fn take_over_of_group(&mut self, read: &GroupSpec, out: &mut Actions) {
        let Some(group) = self.groups.get_mut(&read.name) else {
            return;
        };
        // A different order of `programs=` is not a change, so processes are matched by name.
        let by_name: HashMap<&ProcessName, &Arc<ProcessSpec>> = read
            .processes
            .iter()
            .map(|process| (&process.name, process))
            .collect();
        let spec = Arc::make_mut(&mut group.spec);
        // Processes that are added to the program later get the same values.
        for program in &mut spec.programs {
            let is_it = |other: &&ProgramSpec| other.template.section == program.template.section;
            if let Some(other) = read.programs.iter().find(is_it) {
                program.template = Arc::clone(&other.template);
            }
        }
        for (active, &slot) in spec.processes.iter_mut().zip(&group.slots) {
            let Some(read) = by_name
                .get(&active.name)
                .filter(|read| has_live_changes(active, read))
            else {
                continue;
            };
            let has_new_limits = active.resources != read.resources;
            take_live_changes(Arc::make_mut(active), read);
            let Some(process) = self.slots.get_mut(slot) else {
                continue;
            };
            process.spec = Arc::clone(active);
            if !has_new_limits {
                continue;
            }
            match *process.run.stage {
                Stage::Alive { instance, .. } => {
                    out.push(Action::Limit(instance, Arc::clone(&read.resources)));
                    out.push(Action::Log(Line::LimitsChanged {
                        name: active.name.clone(),
                    }));
                }
                // The next instance starts with the new limits.
                Stage::Idle(_)
                | Stage::Attempt {
                    step: AttemptStep::Resolving | AttemptStep::Preparing,
                    ..
                }
                | Stage::Reaped { .. } => {}
                Stage::Attempt { .. } => {
                    process.run.relimit = true;
                    self.changes.slots.push(slot);
                }
            }
        }
    }
}
