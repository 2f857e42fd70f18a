//! Limits that change while processes run. It must not know what limits them.

use std::collections::HashMap;
use std::sync::Arc;

use super::stage::Stage;
use super::{Action, Actions, Fleet};
use crate::config::spec::{GroupSpec, ProcessSpec, ProgramSpec};
use crate::domain::{GroupName, Line, ProcessName};

impl Fleet {
    /// Gives the limits of the configuration read last to the active groups that are otherwise as it says. Those that are
    /// in `changed` wait for whoever applies the rest of the change: they start anew with it.
    ///
    /// It happens when the configuration is read, not when a client applies the difference: on the wire there is no call
    /// for a group in which nothing is to be stopped, and clients of Supervisor would make none.
    pub(super) fn take_over_resources(&mut self, changed: &[GroupName], out: &mut Actions) {
        let read = Arc::clone(&self.last_read);
        for group in &read.groups {
            if !changed.contains(&group.name) {
                self.take_over_of_group(group, out);
            }
        }
    }

    fn take_over_of_group(&mut self, read: &GroupSpec, out: &mut Actions) {
        let Some(group) = self.groups.get_mut(&read.name) else {
            return;
        };
        // Another order of `programs=` is no change, so the processes are matched by their names.
        let by_name: HashMap<&ProcessName, &Arc<ProcessSpec>> = read
            .processes
            .iter()
            .map(|process| (&process.name, process))
            .collect();
        // Nothing is changed by most readings, and nothing is to be copied for that.
        let differs = |active: &Arc<ProcessSpec>| {
            let read = by_name.get(&active.name);
            read.is_some_and(|read| active.resources != read.resources)
        };
        if !group.spec.processes.iter().any(differs) {
            return;
        }
        let spec = Arc::make_mut(&mut group.spec);
        // More processes of the same program get the same limits.
        for program in &mut spec.programs {
            let is_it = |other: &&ProgramSpec| other.template.section == program.template.section;
            if let Some(other) = read.programs.iter().find(is_it) {
                program.template = Arc::clone(&other.template);
            }
        }
        for (active, &slot) in spec.processes.iter_mut().zip(&group.slots) {
            let Some(read) = by_name
                .get(&active.name)
                .filter(|read| active.resources != read.resources)
            else {
                continue;
            };
            Arc::make_mut(active).resources = Arc::clone(&read.resources);
            let Some(process) = self.slots.get_mut(slot) else {
                continue;
            };
            process.spec = Arc::clone(active);
            match process.run.stage {
                Stage::Starting { instance, .. }
                | Stage::AwaitingReady { instance, .. }
                | Stage::Terminating { instance, .. }
                | Stage::Running { instance, .. }
                | Stage::Stopping { instance, .. }
                | Stage::Unknown {
                    alive: Some((instance, _)),
                } => {
                    out.push(Action::Limit(instance, Arc::clone(&read.resources)));
                    out.push(Action::Log(Line::LimitsChanged {
                        name: active.name.clone(),
                    }));
                }
                Stage::Spawning(_) | Stage::StopPending(_) => {
                    process.run.relimit = true;
                    self.changed.push(slot);
                }
                // Its next instance begins with them.
                Stage::Stopped
                | Stage::Exited { .. }
                | Stage::Fatal
                | Stage::Backoff { .. }
                | Stage::Resolving(_)
                | Stage::Preparing(_)
                | Stage::Reaped { .. }
                | Stage::Unknown { alive: None } => {}
            }
        }
    }
}
