//! Which groups are there: added with their AUTO logs made, started, removed, and found by name. It must not know what
//! their processes do.

use std::path::Path;
use std::sync::Arc;

use super::auto;
use super::group::Group;
use super::process::Process;
use super::{Action, Actions, Fleet};
use crate::api::FaultCode;
use crate::config::spec::GroupSpec;
use crate::domain::{Event, EventKind, GroupName, LogPaths, Now, ProcessName, SupervisorState};

impl Fleet {
    /// Adds the groups of the configuration and starts what is to start.
    pub(super) fn begin(&mut self, now: Now, out: &mut Actions) {
        if self.began || self.mood != SupervisorState::Running {
            return;
        }
        self.began = true;
        let config = Arc::clone(&self.last_read);
        for group in &config.groups {
            self.add(group, now, out);
        }
        Self::publish(
            out,
            None,
            EventKind::SupervisorState(SupervisorState::Running),
        );
        for group in &config.groups {
            self.autostart(&group.name, now, out);
        }
    }

    /// Tells subscribers of what concerns no process.
    pub(super) fn publish(out: &mut Actions, group: Option<GroupName>, kind: EventKind) {
        out.push(Action::Publish(Arc::new(Event {
            group,
            process: None,
            kind,
        })));
    }

    /// Adds a group that is not active.
    pub(super) fn add(&mut self, spec: &Arc<GroupSpec>, now: Now, out: &mut Actions) {
        self.make_logs(spec, out);
        let made = self.made.get(&spec.name);
        let mut slots = Vec::with_capacity(spec.processes.len());
        for (place, process) in spec.processes.iter().enumerate() {
            let logs = auto::paths(process, made.and_then(|made| made.get(place)));
            self.serial += 1;
            let process = Process::new(Arc::clone(process), logs, self.serial);
            slots.push(self.seats.seat(process));
        }
        let by_name = self.by_name(&slots);
        self.serial += 1;
        let group = Group {
            spec: Arc::clone(spec),
            added: self.serial,
            slots: slots.into(),
            by_name,
            unstopped: 0,
        };
        self.groups.insert(spec.name.clone(), group);
        self.add_pool(spec, now, out);
        Self::publish(out, Some(spec.name.clone()), EventKind::GroupAdded);
    }

    /// The slots by the names of their processes.
    pub(super) fn by_name(&self, slots: &[u32]) -> Box<[u32]> {
        let mut by_name: Box<[u32]> = slots.into();
        by_name.sort_by(|&a, &b| {
            let name = |slot| self.seats.get(slot).map(|process| &process.spec.name);
            name(a).cmp(&name(b))
        });
        by_name
    }

    /// Makes up the names of AUTO logs, once for each reading of the configuration, and has the files created.
    fn make_logs(&mut self, spec: &GroupSpec, out: &mut Actions) {
        if self.made.contains_key(&spec.name) {
            return;
        }
        let daemon = &self.last_read.daemon;
        let made: Vec<LogPaths> = spec
            .processes
            .iter()
            .map(|process| self.names.make(process, daemon))
            .collect();
        let files: Vec<Arc<Path>> = made
            .iter()
            .flat_map(|paths| [&paths.stdout, &paths.stderr])
            .flatten()
            .cloned()
            .collect();
        if !files.is_empty() {
            self.made.insert(spec.name.clone(), made);
            out.push(Action::CreateLogs(files));
        }
    }

    /// Starts what is to start with its group.
    pub(super) fn autostart(&mut self, group: &GroupName, now: Now, out: &mut Actions) {
        let Some(group) = self.groups.get(group) else {
            return;
        };
        let autostarts = |slot: &u32| {
            let process = self.seats.get(*slot);
            process.is_some_and(|process| process.spec.autostart)
        };
        let slots: Vec<u32> = group.slots.iter().copied().filter(autostarts).collect();
        for slot in slots {
            self.step(slot, now, out, |process, moment| {
                process.start(slot, moment);
            });
        }
    }

    /// Removes a group whose processes are all stopped.
    pub(super) fn remove(&mut self, name: &GroupName, now: Now, out: &mut Actions) {
        let Some(group) = self.groups.remove(name) else {
            return;
        };
        for &slot in &group.slots {
            let Some(process) = self.seats.vacate(slot) else {
                continue;
            };
            self.timers.remove(&(process.armed, slot));
            for waiter in process.run.waiters {
                let (name, group) = (&process.spec.name, &process.spec.group);
                let fault = self.fault_of(waiter.ticket, FaultCode::BadName, group, name);
                self.settle(
                    waiter.ticket,
                    waiter.index,
                    false,
                    name,
                    group,
                    Some(fault),
                    out,
                );
            }
        }
        self.remove_pool(name, now);
        Self::publish(out, Some(name.clone()), EventKind::GroupRemoved);
    }

    /// The slot of a process.
    pub(super) fn find(&self, group: &str, process: &str) -> Option<u32> {
        let group = self.groups.get(group)?;
        let place = group
            .by_name
            .binary_search_by(|&slot| {
                self.seats
                    .get(slot)
                    .map_or("", |seated| seated.spec.name.as_str())
                    .cmp(process)
            })
            .ok()?;
        group.by_name.get(place).copied()
    }

    /// The names of a slot's process.
    pub(super) fn names_of(&self, slot: u32) -> Option<(ProcessName, GroupName)> {
        self.seats
            .get(slot)
            .map(|process| (process.spec.name.clone(), process.spec.group.clone()))
    }
}
