//! One process with its past, its dependencies and its configuration, as its page shows it.

use std::sync::Arc;

use super::Fleet;
use super::dead_instances::INSTANCES_MAX;
use super::rights::Rights;
use crate::api::{EndedInstance, ProcessDetails, Reply};
use crate::config::spec::{ProgramSpec, ProgramTemplate};
use crate::domain::{GroupName, Now, ProcessState};

/// Maximum number of neighbours whose states are told. A target of `depends_on` may be a group of any size.
const NEIGHBOURS_MAX: usize = 100;

impl Fleet {
    /// Returns the details of a process. `None`: the slot is empty.
    pub(super) fn details_of(&self, slot: u32, rights: Rights<'_>, now: Now) -> Option<Reply> {
        let process = self.slots.get(slot)?;
        let dependencies = self
            .dependencies
            .is_linked(slot)
            .then(|| self.dependency_view_of(slot, rights))
            .flatten();
        let dependents = self.dependents_of(slot, rights);
        let mut neighbours = dependents.clone();
        neighbours.extend(self.needed_by(slot, rights));
        neighbours.sort_unstable();
        neighbours.dedup();
        neighbours.truncate(NEIGHBOURS_MAX);
        let state = |slot: u32| self.slots.get(slot).map(|process| process.state());
        let group = self.groups.get(&process.spec.group);
        let programs = group.map_or(&[][..], |group| &group.spec.programs);
        let program = programs
            .iter()
            .find(|program| program.members.contains(&process.spec.name));
        Some(Reply::Details(Box::new(ProcessDetails {
            view: self.view_process(slot, process, now),
            history: process.history.entries().cloned().collect(),
            ended: process
                .dead
                .newest(INSTANCES_MAX)
                .map(|dead| EndedInstance {
                    pid: dead.pid,
                    exited: dead.exited,
                    status: dead.status,
                    stderr: dead.stderr.clone(),
                })
                .collect(),
            dependencies,
            dependents: dependents
                .iter()
                .take(NEIGHBOURS_MAX)
                .map(|&slot| self.shown(slot))
                .collect(),
            neighbours: neighbours
                .into_iter()
                .map(|slot| {
                    let state = state(slot).unwrap_or(ProcessState::Unknown);
                    (self.shown(slot), state)
                })
                .collect(),
            spec: process.spec.clone(),
            template: program.map(|program| self.newest_template(&process.spec.group, program)),
            numprocs: program.map_or(1, |program| program.members.len()),
        })))
    }

    /// The template of a program as it was read last, if only the places of its keys have changed since.
    fn newest_template(&self, group: &GroupName, program: &ProgramSpec) -> Arc<ProgramTemplate> {
        let mut groups = self.configuration.last_read.groups.iter();
        let read = groups.find(|read| read.name == *group);
        let programs = read.map_or(&[][..], |read| &read.programs);
        let mut templates = programs.iter().map(|program| &program.template);
        let same = templates.find(|template| **template == program.template);
        same.unwrap_or(&program.template).clone()
    }
}
