//! Rolling updates: an active group with `rolling` gets its configuration read last, some processes at a time. They are
//! rolling restarts (`rolling`) whose processes are replaced after they have stopped.
//!
//! A process has its configuration for itself, so a group whose update was halted is as valid as any other: some of its
//! processes have the new configuration and the others the old one, and both are written down. The next update compares
//! them again. It starts with processes that have the new configuration already and failed, so a wrong configuration
//! never gets further by itself.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use super::group_change::no_group;
use super::pending::Pending;
use super::rights::Rights;
use super::rolling_restart::{
    GroupUpdate, Replaced, RollingRestart, RollingTurn, UpdateStep, name_of,
};
use super::ticket::BatchMember;
use super::{Action, Actions, Fleet};
use crate::api::{AccessScope, Fault, FaultCode, Reply, RollingLimits, TargetResult, Ticket};
use crate::config::diff::{PartialUpdate, is_rollable, is_same_process, partial_update};
use crate::config::spec::{GroupSpec, ProcessSpec, ProgramSpec};
use crate::domain::{GroupName, Line, Now, ProcessName, ProcessState};
use crate::effects::SpawnerEffect;

impl Fleet {
    /// Returns which of these groups an update can change without stopping all of them: lines `NAME\tHOW`.
    pub(super) fn partial_updates(&self, names: &[String], scope: &AccessScope) -> Reply {
        let read: BTreeMap<&GroupName, &Arc<GroupSpec>> = self
            .configuration
            .last_read
            .groups
            .iter()
            .map(|group| (&group.name, group))
            .collect();
        let visible = names.iter().filter(|name| scope.touches(name));
        let lines = visible
            .filter_map(|name| {
                let active = self.groups.get(name.as_str())?;
                let read = read.get(&active.spec.name)?;
                let how = match partial_update(&active.spec, read)? {
                    PartialUpdate::Rolling => "rolling",
                    PartialUpdate::Rescale => "rescale",
                };
                Some(format!("{name}\t{how}"))
            })
            .collect();
        Reply::Lines(lines)
    }

    /// Starts to give an active group the configuration read last.
    pub(super) fn start_update(
        &mut self,
        ticket: Ticket,
        text: &str,
        rights: Rights<'_>,
    ) -> Result<(), Fault> {
        let known = self.groups.get(text).filter(|_| rights.sees.touches(text));
        let active = known.ok_or_else(|| no_group(text))?;
        rights.group(text)?;
        let mut read = self.configuration.last_read.groups.iter();
        let read = read.find(|group| group.name == active.spec.name);
        let read = Arc::clone(read.ok_or_else(|| no_group(text))?);
        if !is_rollable(&active.spec, &read) {
            return Err(FaultCode::IncorrectParameters.of(format!(
                "{text} has no rolling=, or changes as a whole (stop, remove and add it)"
            )));
        }
        if self.is_being_changed(&read.name) {
            let text = format!("{text}: another request is changing it");
            return Err(FaultCode::Failed.of(text));
        }
        self.check_new_group(&read)?;
        let added = active.added;
        let steps = self.update_steps(&read);
        let names: Vec<ProcessName> = steps
            .iter()
            .filter_map(|step| match step {
                UpdateStep::Add(name) => Some(name.clone()),
                UpdateStep::Replace(_) | UpdateStep::Remove(_) => None,
            })
            .collect();
        self.may_join(&read.name, &names)?;
        let limits = RollingLimits {
            at_once: read.rolling,
            max_failures: 0,
            healthy: true,
        };
        let rolling = RollingRestart {
            update: Some(Box::new(GroupUpdate { added, steps, read })),
            ..RollingRestart::new(limits)
        };
        self.requests
            .pending
            .insert(ticket, Pending::Rolling(Box::new(rolling)));
        self.requests.runnable.push(ticket);
        Ok(())
    }

    /// Returns whether a request is scaling, restarting or updating processes of this group.
    pub(super) fn is_being_changed(&self, name: &GroupName) -> bool {
        let rolled = self.rolled();
        let slots = self.groups.get(name).map(|group| &group.slots);
        let mut members = slots.into_iter().flatten();
        let mut pending = self.requests.pending.values();
        members.any(|&slot| {
            let process = self.slots.get(slot);
            process.is_some_and(|process| rolled.contains(&process.slot_generation))
        }) || pending.any(|pending| match pending {
            Pending::Scaling(scaling) => scaling.group == *name,
            Pending::Rolling(rolling) => rolling.is_update_of(name),
            _ => false,
        })
    }

    /// Returns what an update of the group has to do, in order: first processes that failed with the new configuration,
    /// then the others that differ, new ones, and at last those that are no more.
    fn update_steps(&self, read: &GroupSpec) -> VecDeque<UpdateStep> {
        let Some(active) = self.groups.get(&read.name) else {
            return VecDeque::new();
        };
        let wanted: BTreeMap<&ProcessName, &Arc<ProcessSpec>> = read
            .processes
            .iter()
            .map(|process| (&process.name, process))
            .collect();
        let there: BTreeSet<&ProcessName> = active.spec.processes.iter().map(|p| &p.name).collect();
        let (mut failed, mut changed, mut leaving) = (Vec::new(), Vec::new(), Vec::new());
        for &slot in &active.slots {
            let (Some(process), Some(member)) = (self.slots.get(slot), self.member(slot)) else {
                continue;
            };
            let has_failed = matches!(process.state(), ProcessState::Fatal | ProcessState::Backoff);
            match wanted.get(&process.spec.name) {
                None => leaving.push(UpdateStep::Remove(member)),
                Some(wanted) if !is_same_process(&process.spec, wanted) => {
                    changed.push(UpdateStep::Replace(member));
                }
                Some(_) if has_failed => failed.push(UpdateStep::Replace(member)),
                Some(_) => {}
            }
        }
        let new = read.processes.iter().map(|process| &process.name);
        let new: Vec<UpdateStep> = new
            .filter(|name| !there.contains(name))
            .map(|name| UpdateStep::Add(name.clone()))
            .collect();
        if changed.is_empty() && new.is_empty() {
            failed.clear();
        }
        failed
            .into_iter()
            .chain(changed)
            .chain(new)
            .chain(leaving.into_iter().rev())
            .collect()
    }

    /// Begins a step of an update.
    pub(super) fn begin_update_step(
        &mut self,
        ticket: Ticket,
        step: UpdateStep,
        now: Now,
        out: &mut Actions,
    ) {
        let Some(read) = self.updated_group(ticket) else {
            let fault = FaultCode::BadName.of(self.name_of_update(ticket));
            self.end_update_step(ticket, &step, Some(fault));
            return;
        };
        let wanted = |name: &ProcessName| {
            let mut processes = read.processes.iter();
            processes.find(|process| process.name == *name).cloned()
        };
        match step {
            UpdateStep::Add(name) => {
                let Some(spec) = wanted(&name) else { return };
                if self.find(read.name.as_str(), name.as_str()).is_some() {
                    let fault = FaultCode::BadName.of(name.as_str());
                    self.end_update_step(ticket, &UpdateStep::Add(name), Some(fault));
                    return;
                }
                out.push(Action::Log(Line::ProcessAdded {
                    name: name.clone(),
                    group: read.name.clone(),
                }));
                self.list_process(&read, &name);
                let slots = self.seat_processes(&read.name, &[Arc::clone(&spec)], out);
                let member = slots.first().and_then(|&slot| self.member(slot));
                match member {
                    Some(member) if spec.starts_with_group() => {
                        if let Some(rolling) = self.rolling(ticket) {
                            let index = rolling.next_turn_index();
                            self.start_turn(ticket, index, member, true, now, out);
                        }
                    }
                    Some(_) | None => self.end_update_step(ticket, &UpdateStep::Add(name), None),
                }
            }
            UpdateStep::Replace(member) | UpdateStep::Remove(member) => {
                if !self.is_here(&member) {
                    // The process was removed after the request.
                    return;
                }
                let spec = wanted(&member.process);
                let is_active = self.is_active(&member);
                let turn = match (&spec, is_active) {
                    (Some(_), true) => RollingTurn::Checking,
                    (Some(_), false) | (None, _) => RollingTurn::Checked(Ok(())),
                };
                if let (Some(spec), RollingTurn::Checking) = (spec, &turn) {
                    out.push(Action::Spawner(SpawnerEffect::Check(ticket, spec)));
                }
                if let Some(rolling) = self.rolling(ticket) {
                    let index = rolling.next_turn_index();
                    rolling.under_way.insert(index, (member, true, turn));
                }
            }
        }
    }

    /// Replaces or removes a process that has stopped for an update, or did not run. `was_active`: it ran before.
    pub(super) fn replace_for_update(
        &mut self,
        ticket: Ticket,
        member: &BatchMember,
        was_active: bool,
        out: &mut Actions,
    ) -> Replaced {
        let is_down = self
            .slots
            .get(member.slot)
            .is_some_and(|process| process.state().is_stopped() && process.run.stage.pid() == 0);
        let Some(read) = self.updated_group(ticket).filter(|_| is_down) else {
            return Replaced::Done(Some(FaultCode::BadName.of(name_of(member))));
        };
        let mut wanted = read.processes.iter();
        let wanted = wanted.find(|process| process.name == member.process);
        let Some(spec) = wanted else {
            self.remove_process(member.slot, out);
            return Replaced::Done(None);
        };
        let has_failed = self
            .slots
            .get(member.slot)
            .is_some_and(|process| process.state() == ProcessState::Fatal);
        let programs = self
            .groups
            .get(&read.name)
            .map(|group| group.spec.programs.clone());
        if self.unseat_process(member.slot, out).is_none() {
            return Replaced::Done(Some(FaultCode::BadName.of(name_of(member))));
        }
        if let (Some(group), Some(programs)) = (self.groups.get_mut(&read.name), programs) {
            Arc::make_mut(&mut group.spec).programs = programs;
        }
        let slots = self.seat_processes(&read.name, &[Arc::clone(spec)], out);
        out.push(Action::Log(Line::ProcessUpdated {
            name: member.process.clone(),
            group: read.name.clone(),
        }));
        let starts = was_active || has_failed || spec.starts_with_group();
        match slots.first().and_then(|&slot| self.member(slot)) {
            Some(member) if starts => Replaced::By(member),
            Some(_) => Replaced::Done(None),
            None => Replaced::Done(Some(FaultCode::BadName.of(name_of(member)))),
        }
    }

    /// Finishes an update: the group takes over what is not about single processes. If the update was halted, the group
    /// keeps its sections, so that plans show what is still to be done.
    pub(super) fn end_update(
        &mut self,
        update: GroupUpdate,
        results: &mut Vec<TargetResult>,
        failures: &[String],
        out: &mut Actions,
    ) {
        let GroupUpdate { added, steps, read } = update;
        if failures.is_empty() {
            let is_here = |group: &&mut super::slots::Group| group.added == added;
            let Some(group) = self.groups.get_mut(&read.name).filter(is_here) else {
                return;
            };
            let before = Arc::clone(&group.spec);
            let spec = Arc::make_mut(&mut group.spec);
            spec.programs.clone_from(&read.programs);
            spec.priority = read.priority;
            spec.rolling = read.rolling;
            self.changes.is_regrouped = true;
            self.take_over_of_group(&read, out);
            self.add_members(&read.name);
            self.unindex_group(&before);
            return;
        }
        let reason = results.iter().find_map(|result| {
            let fault = result.fault.as_ref()?;
            Some(fault.extra.clone().unwrap_or_else(|| fault.to_string()))
        });
        let failed = failures.join(", ");
        let count = steps.len();
        for step in steps {
            let done = match step {
                UpdateStep::Replace(_) => "updated",
                UpdateStep::Add(_) => "added",
                UpdateStep::Remove(_) => "removed",
            };
            let text = format!("not {done}: {failed} failed before it");
            results.push(step.result(&read.name, Some(FaultCode::Failed.of(text))));
        }
        out.push(Action::Log(Line::UpdateHalted {
            group: read.name.clone(),
            failed,
            reason: reason.unwrap_or_default(),
            count,
        }));
    }

    /// Returns the group that an update makes, if its group is still the active one.
    fn updated_group(&mut self, ticket: Ticket) -> Option<Arc<GroupSpec>> {
        let update = self.rolling(ticket)?.update.as_ref()?;
        let (added, read) = (update.added, Arc::clone(&update.read));
        let group = self.groups.get(&read.name)?;
        (group.added == added).then_some(read)
    }

    fn name_of_update(&mut self, ticket: Ticket) -> String {
        let update = self
            .rolling(ticket)
            .and_then(|rolling| rolling.update.as_ref());
        update.map_or_else(String::new, |update| update.read.name.to_string())
    }

    /// Records the result of a step that waits for nothing.
    fn end_update_step(&mut self, ticket: Ticket, step: &UpdateStep, fault: Option<Fault>) {
        if let Some(rolling) = self.rolling(ticket)
            && let Some(update) = &rolling.update
        {
            let result = step.result(&update.read.name, fault);
            rolling.end_turn(result);
        }
    }

    /// Adds a new process to the sections of its group, from which more processes can be made.
    fn list_process(&mut self, read: &GroupSpec, name: &ProcessName) {
        let mut programs = read.programs.iter();
        let Some(made_of) = programs.find(|program| program.members.contains(name)) else {
            return;
        };
        let Some(group) = self.groups.get_mut(&read.name) else {
            return;
        };
        let programs = &mut Arc::make_mut(&mut group.spec).programs;
        let section = &made_of.template.section;
        match programs
            .iter_mut()
            .find(|program| program.template.section == *section)
        {
            Some(program) => program.members.push(name.clone()),
            None => programs.push(ProgramSpec {
                template: Arc::clone(&made_of.template),
                members: vec![name.clone()],
                scaled: false,
            }),
        }
    }
}
