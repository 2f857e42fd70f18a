//! The active groups: adding them with their AUTO logs, starting and removing them, finding processes by name.

use std::collections::HashMap;
use std::sync::Arc;

use super::auto_log_names;
use super::dependency_start::StartedBy;
use super::process::Process;
use super::slots::Group;
use super::{Action, Actions, Fleet};
use crate::api::FaultCode;
use crate::config::spec::{GroupSpec, ProcessSpec};
use crate::domain::{
    Change, GroupName, Line, LogPaths, Now, ProcessName, QualifiedName, SupervisorState, Tick,
};
use crate::effects::OutputEffect;

impl Fleet {
    /// Adds the groups of the configuration and starts their autostart processes.
    pub(super) fn start_groups(&mut self, now: Now, out: &mut Actions) {
        if self.daemon.has_begun || self.daemon.state != SupervisorState::Running {
            return;
        }
        self.daemon.has_begun = true;
        self.daemon.began_at = now.mono;
        let config = Arc::clone(&self.configuration.last_read);
        for group in &config.groups {
            self.add_group(group, now, out);
        }
        self.index_dependencies();
        Self::publish(out, Change::SupervisorState(SupervisorState::Running));
        self.adopt_all(now, out);
        for group in &config.groups {
            self.autostart(&group.name, now, out);
        }
    }

    /// Publishes a change.
    pub(super) fn publish(out: &mut Actions, change: Change) {
        out.push(Action::Publish(Arc::new(change)));
    }

    /// Adds a group that is not active.
    pub(super) fn add_group(&mut self, spec: &Arc<GroupSpec>, now: Now, out: &mut Actions) {
        let files = self.configuration.make_logs(spec);
        if !files.is_empty() {
            out.push(Action::Output(OutputEffect::CreateLogs(files)));
        }
        let mut slots = Vec::with_capacity(spec.processes.len());
        for (place, process) in spec.processes.iter().enumerate() {
            let logs = self.configuration.log_paths(process, place);
            slots.push(self.insert_process(process, logs));
        }
        let by_name = self.by_name(&slots);
        self.serial += 1;
        let group = Group {
            spec: Arc::clone(spec),
            added: self.serial,
            slots,
            by_name,
            unstopped: 0,
        };
        self.groups.insert(spec.name.clone(), group);
        self.changes.is_regrouped = true;
        self.note_watches_of(&spec.name);
        self.events.add(spec, now, out);
        Self::publish(out, Change::GroupAdded(spec.name.clone()));
    }

    /// Returns the slots ordered by the names of their processes.
    pub(super) fn by_name(&self, slots: &[u32]) -> Vec<u32> {
        let mut by_name: Vec<u32> = slots.into();
        by_name.sort_by(|&a, &b| {
            let name = |slot| self.slots.get(slot).map(|process| &process.spec.name);
            name(a).cmp(&name(b))
        });
        by_name
    }

    /// Starts the autostart processes of a group.
    pub(super) fn autostart(&mut self, group: &GroupName, now: Now, out: &mut Actions) {
        let Some(group) = self.groups.get(group) else {
            return;
        };
        let autostarts = |slot: &u32| {
            let process = self.slots.get(*slot);
            process.is_some_and(|process| process.spec.starts_with_group())
        };
        let slots: Vec<u32> = group.slots.iter().copied().filter(autostarts).collect();
        for slot in slots {
            self.start_with_dependencies(slot, StartedBy::Group, now, out);
        }
    }

    /// Removes a group whose processes have all stopped.
    pub(super) fn remove_group(&mut self, name: &GroupName, now: Now, out: &mut Actions) {
        let Some(group) = self.groups.remove(name) else {
            return;
        };
        self.changes.is_regrouped = true;
        self.note_watches_of(name);
        for &slot in &group.slots {
            self.take_process(slot, out);
        }
        self.events.remove(name, now, out);
        self.unindex_group(&group.spec);
        Self::publish(out, Change::GroupRemoved(name.clone()));
    }

    /// Inserts a process into a free slot. Its group is being added, or [`Fleet::add_process`] adds it to an active
    /// group.
    fn insert_process(&mut self, spec: &Arc<ProcessSpec>, logs: LogPaths) -> u32 {
        self.serial += 1;
        self.changes.is_regrouped = true;
        let slot = self
            .slots
            .insert(Process::new(Arc::clone(spec), logs, self.serial));
        self.add_schedule(slot);
        slot
    }

    /// Takes a stopped process out of its slot and answers the clients that wait for it.
    fn take_process(&mut self, slot: u32, out: &mut Actions) -> Option<Process> {
        self.changes.is_regrouped = true;
        let mut process = self.slots.remove(slot)?;
        self.schedules.remove(slot);
        self.unindex_process(slot, &process);
        self.changes.removed.push(QualifiedName {
            group: process.spec.group.clone(),
            process: process.spec.name.clone(),
        });
        self.deadlines.replace(slot, process.armed, Tick::NEVER);
        if let Some(next) = process.run.next.take() {
            out.push(Action::Output(OutputEffect::Drain(next.instance)));
        }
        for waiter in std::mem::take(&mut process.run.waiters) {
            let (name, group) = (&process.spec.name, &process.spec.group);
            let fault = self.fault_of(waiter.ticket, FaultCode::BadName, group, name);
            self.settle_member(
                waiter.ticket,
                waiter.index,
                false,
                name,
                group,
                Some(fault),
                out,
            );
        }
        Some(process)
    }

    /// Adds processes to an active group and starts those with autostart. Their names must be new in the group, and its
    /// programs must already list them. No event reports the addition, as in the plug-in supervisor_twiddler; later
    /// events of the processes are the usual ones.
    // Differs: the plug-in also adds them to getAllConfigInfo and restores them when the group is removed and added
    // again. Here the configuration read last contains only what the files say, so that clients can compare the two.
    pub(super) fn add_process(
        &mut self,
        name: &GroupName,
        processes: &[Arc<ProcessSpec>],
        now: Now,
        out: &mut Actions,
    ) {
        if !self.groups.contains_key(name) {
            return;
        }
        for process in processes {
            out.push(Action::Log(Line::ProcessAdded {
                name: process.name.clone(),
                group: name.clone(),
            }));
        }
        let new = self.seat_processes(name, processes, out);
        for (process, slot) in processes.iter().zip(new) {
            if process.starts_with_group() {
                self.start_with_dependencies(slot, StartedBy::Group, now, out);
            }
        }
    }

    /// Inserts processes into an active group without starting them. Returns their slots.
    pub(super) fn seat_processes(
        &mut self,
        name: &GroupName,
        processes: &[Arc<ProcessSpec>],
        out: &mut Actions,
    ) -> Vec<u32> {
        let mut files = Vec::new();
        let mut seated = Vec::with_capacity(processes.len());
        for process in processes {
            let configuration = &mut self.configuration;
            let daemon = &configuration.last_read.daemon;
            let made = configuration.auto_log_names.make(process, daemon);
            files.extend([&made.stdout, &made.stderr].into_iter().flatten().cloned());
            let slot = self.insert_process(process, auto_log_names::paths(process, Some(&made)));
            seated.push((Arc::clone(process), slot));
        }
        if !files.is_empty() {
            out.push(Action::Output(OutputEffect::CreateLogs(files)));
        }
        let new: Vec<u32> = seated.iter().map(|&(_, slot)| slot).collect();
        self.note_watches_of(name);
        let Some(group) = self.groups.get_mut(name) else {
            return new;
        };
        let spec = Arc::make_mut(&mut group.spec);
        let old = std::mem::take(&mut spec.processes);
        let mut all: Vec<_> = old
            .into_iter()
            .zip(std::mem::take(&mut group.slots))
            .chain(seated)
            .collect();
        let places: HashMap<&ProcessName, usize> = (0..)
            .zip(&spec.programs)
            .flat_map(|(place, program)| program.members.iter().map(move |name| (name, place)))
            .collect();
        // Processes of equal priority keep the order of `programs=`. Within one program they are ordered by name.
        all.sort_by_cached_key(|(process, _)| {
            let place = places.get(&process.name).copied();
            (
                process.priority,
                place.unwrap_or(usize::MAX),
                process.name.clone(),
            )
        });
        (spec.processes, group.slots) = all.into_iter().unzip();
        let slots = group.slots.clone();
        let by_name = self.by_name(&slots);
        if let Some(group) = self.groups.get_mut(name) {
            group.by_name = by_name;
        }
        self.index_processes(name, Some(&new));
        new
    }

    /// Removes a stopped process from its active group.
    pub(super) fn remove_process(&mut self, slot: u32, out: &mut Actions) {
        if let Some((name, group)) = self.unseat_process(slot, out) {
            out.push(Action::Log(Line::ProcessRemoved { name, group }));
        }
    }

    /// Removes a stopped process from its active group, without a line in the log. Returns its names.
    pub(super) fn unseat_process(
        &mut self,
        slot: u32,
        out: &mut Actions,
    ) -> Option<(ProcessName, GroupName)> {
        let (name, group) = self.names_of(slot)?;
        let process = self.take_process(slot, out)?;
        self.note_watches_of(&group);
        debug_assert!(
            process.state().is_stopped(),
            "only stopped processes are removed"
        );
        if let Some(active) = self.groups.get_mut(&group) {
            let spec = Arc::make_mut(&mut active.spec);
            // Search from the end, where the processes are that a shrinking program removes.
            if let Some(place) = active.slots.iter().rposition(|&other| other == slot) {
                active.slots.remove(place);
                spec.processes.remove(place);
            }
            if let Some(place) = active.by_name.iter().rposition(|&other| other == slot) {
                active.by_name.remove(place);
            }
            for program in &mut spec.programs {
                if let Some(place) = program.members.iter().rposition(|member| *member == name) {
                    program.members.remove(place);
                }
            }
        }
        Some((name, group))
    }

    /// Returns the slot of a process. `None`: the group or the process does not exist.
    pub(super) fn find(&self, group: &str, process: &str) -> Option<u32> {
        let group = self.groups.get(group)?;
        let place = group
            .by_name
            .binary_search_by(|&slot| {
                self.slots
                    .get(slot)
                    .map_or("", |seated| seated.spec.name.as_str())
                    .cmp(process)
            })
            .ok()?;
        group.by_name.get(place).copied()
    }

    /// Returns the names of the process in a slot and of its group.
    pub(super) fn names_of(&self, slot: u32) -> Option<(ProcessName, GroupName)> {
        self.slots
            .get(slot)
            .map(|process| (process.spec.name.clone(), process.spec.group.clone()))
    }
}
