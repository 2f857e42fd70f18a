//! Changes of the number of processes of a program in an active group. The loader makes the processes from their section.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::group_change::no_group;
use super::pending::Pending;
use super::process::Process;
use super::rights::Rights;
use super::scaling::Scaling;
use super::slots::in_added_order;
use super::ticket::{BatchMember, WaitUntil, Waiter};
use super::transitions::Trigger;
use super::{Action, Actions, Fleet};
use crate::api::{Fault, FaultCode, Reply, Ticket};
use crate::config::diff::{is_resized, is_same_process};
use crate::config::spec::{GroupChange, GroupChangeResult, NUMPROCS_MAX, ProcessSpec};
use crate::domain::{GroupName, Namespec, Now, ProcessName, SupervisorState};
use crate::effects::LoaderEffect;

impl Fleet {
    /// Continues requests that can make progress. Returns whether there were any.
    pub(super) fn go_on(&mut self, now: Now, out: &mut Actions) -> bool {
        let mut went_on = false;
        while let Some(ticket) = self.requests.runnable.pop() {
            went_on = true;
            match self.requests.pending.get(&ticket) {
                Some(Pending::Scaling(_)) => self.continue_scaling(ticket, now, out),
                Some(Pending::Rolling(_)) => self.continue_rolling(ticket, now, out),
                // The request was answered meanwhile. Requests of other kinds are never in the list.
                Some(_) | None => {}
            }
        }
        went_on
    }

    /// Returns the group and the name of the single program of an active group that `text` names.
    fn program(&self, text: &str, rights: Rights<'_>) -> Result<(GroupName, String), Fault> {
        let (wanted, program) = match text.split_once(':') {
            Some((group, program)) => (Some(group), program),
            None => (None, text),
        };
        let found: Vec<&GroupName> = in_added_order(&self.groups)
            .into_iter()
            .filter(|group| wanted.is_none_or(|wanted| group.spec.name.as_str() == wanted))
            .flat_map(|group| {
                let programs = group.spec.programs.iter();
                programs
                    .filter(|known| known.template.program() == program)
                    .filter(|known| rights.know_of(&group.spec.name, &known.members))
                    .map(|_| &group.spec.name)
            })
            .collect();
        match found.as_slice() {
            [] => Err(FaultCode::BadName.of(text)),
            [group] => {
                rights.group(group.as_str())?;
                Ok(((*group).clone(), program.to_owned()))
            }
            [first, rest @ ..] if rest.iter().all(|group| group == first) => {
                Err(FaultCode::Failed.of(format!("{first} has several programs named {program}")))
            }
            several => {
                let names: Vec<String> = several
                    .iter()
                    .map(|group| format!("{group}:{program}"))
                    .collect();
                Err(FaultCode::Failed.of(format!(
                    "{text} is in several groups (name one: {})",
                    names.join(" or ")
                )))
            }
        }
    }

    /// Starts to change the number of processes: asks the loader to make the wanted processes.
    pub(super) fn set_numprocs(
        &mut self,
        ticket: Ticket,
        text: &str,
        numprocs: i64,
        rights: Rights<'_>,
        out: &mut Actions,
    ) -> Result<(), Fault> {
        let (name, program) = self.program(text, rights)?;
        if !(0..=NUMPROCS_MAX).contains(&numprocs) {
            return Err(FaultCode::IncorrectParameters.of(format!(
                "{numprocs} is out of range (a program has 0 to {NUMPROCS_MAX} processes)"
            )));
        }
        let under_way = self.requests.pending.values().any(|pending| match pending {
            Pending::Scaling(other) => other.group == name && other.program == program,
            Pending::Rolling(rolling) => rolling.is_update_of(&name),
            _ => false,
        });
        if under_way {
            let text = format!("{text}: another request is scaling it");
            return Err(FaultCode::Failed.of(text));
        }
        let Some((group, template)) = self.groups.get(&name).and_then(|group| {
            let mut programs = group.spec.programs.iter();
            let known = programs.find(|known| known.template.program() == program)?;
            Some((group, Arc::clone(&known.template)))
        }) else {
            return Err(FaultCode::BadName.of(text));
        };
        let scaling = Scaling {
            group: name.clone(),
            added: group.added,
            program,
            wanted: None,
            stopping: BTreeMap::new(),
            stopped: Vec::new(),
            removed: BTreeMap::new(),
            problems: Vec::new(),
            whole: Vec::new(),
        };
        self.requests
            .pending
            .insert(ticket, Pending::Scaling(Box::new(scaling)));
        out.push(Action::Loader(LoaderEffect::Compose(
            ticket,
            GroupChange::Rescale {
                group: name,
                template,
                numprocs,
            },
        )));
        Ok(())
    }

    /// Starts to give a scaled group the configuration read last. Processes that are equal in both keep running.
    pub(super) fn reset_numprocs(
        &mut self,
        ticket: Ticket,
        text: &str,
        (rights, now): (Rights<'_>, Now),
        out: &mut Actions,
    ) -> Result<(), Fault> {
        let known = self.groups.get(text).filter(|_| rights.sees.touches(text));
        let active = known.ok_or_else(|| no_group(text))?;
        let name = active.spec.name.clone();
        rights.group(text)?;
        let mut read = self.configuration.last_read.groups.iter();
        let read = read.find(|group| group.name == name);
        let read = Arc::clone(read.ok_or_else(|| no_group(text))?);
        let [first, ..] = read.programs.as_slice() else {
            return Err(no_group(text));
        };
        let is_scaled = active.spec.programs.iter().any(|program| program.scaled)
            && active.spec.kind == read.kind
            && active.spec.priority == read.priority;
        if !is_scaled && !is_resized(&active.spec, &read) {
            return Err(FaultCode::IncorrectParameters.of(format!("{text} was not scaled")));
        }
        let under_way = self.requests.pending.values().any(|pending| match pending {
            Pending::Scaling(other) => other.group == name,
            Pending::Rolling(rolling) => rolling.is_update_of(&name),
            _ => false,
        });
        if under_way {
            let text = format!("{text}: another request is scaling it");
            return Err(FaultCode::Failed.of(text));
        }
        let wanted = GroupChangeResult {
            template: Arc::clone(&first.template),
            members: read
                .processes
                .iter()
                .map(|process| process.name.clone())
                .collect(),
            processes: read.processes.clone(),
        };
        let scaling = Scaling {
            group: name,
            added: active.added,
            program: "*".to_owned(),
            wanted: Some(Box::new(wanted)),
            stopping: BTreeMap::new(),
            stopped: Vec::new(),
            removed: BTreeMap::new(),
            problems: Vec::new(),
            whole: read.programs.clone(),
        };
        self.requests
            .pending
            .insert(ticket, Pending::Scaling(Box::new(scaling)));
        self.begin_scaling(ticket, now, out);
        Ok(())
    }

    /// Returns the names of wanted processes that exist already and need no change.
    fn unchanged_processes(
        &self,
        scaling: &Scaling,
        wanted: &GroupChangeResult,
    ) -> BTreeSet<ProcessName> {
        if scaling.whole.is_empty() {
            return wanted.members.iter().cloned().collect();
        }
        let is_there = |process: &&Arc<ProcessSpec>| {
            let slot = self.find(scaling.group.as_str(), process.name.as_str());
            let seated = slot.and_then(|slot| self.slots.get(slot));
            seated.is_some_and(|seated| is_same_process(&seated.spec, process))
        };
        let same = wanted.processes.iter().filter(is_there);
        same.map(|process| process.name.clone()).collect()
    }

    /// Takes a scaling out of the table to continue it. If its group is gone, it answers the request and returns
    /// `None`.
    fn take_scaling(&mut self, ticket: Ticket, out: &mut Actions) -> Option<Box<Scaling>> {
        let scaling = self.requests.take(ticket, |pending| match pending {
            Pending::Scaling(scaling) => Ok(scaling),
            other => Err(other),
        })?;
        let group = self.groups.get(&scaling.group);
        if group.is_none_or(|group| group.added != scaling.added) {
            let named = Namespec::print(scaling.group.as_str(), &scaling.program);
            self.answer(ticket, Err(FaultCode::BadName.of(named)), out);
            return None;
        }
        if self.daemon.state != SupervisorState::Running {
            self.answer(ticket, Err(FaultCode::ShutdownState.bare()), out);
            return None;
        }
        Some(scaling)
    }

    /// Returns the current processes of the program, ordered by `process_num`.
    fn members_of(&self, scaling: &Scaling, wanted: &GroupChangeResult) -> Vec<ProcessName> {
        if !scaling.whole.is_empty() {
            let group = self.groups.get(&scaling.group);
            let processes = group.into_iter().flat_map(|group| &group.spec.processes);
            return processes.map(|process| process.name.clone()).collect();
        }
        let programs = self
            .groups
            .get(&scaling.group)
            .map(|group| &group.spec.programs);
        programs
            .into_iter()
            .flatten()
            .find(|program| program.template == wanted.template)
            .map(|program| program.members.clone())
            .unwrap_or_default()
    }

    /// Stops the processes to be removed, after the loader has made the wanted ones.
    pub(super) fn begin_scaling(&mut self, ticket: Ticket, now: Now, out: &mut Actions) {
        let Some(mut scaling) = self.take_scaling(ticket, out) else {
            return;
        };
        let Some(wanted) = scaling.wanted.take() else {
            return;
        };
        let (there, stay) = (
            self.members_of(&scaling, &wanted),
            self.unchanged_processes(&scaling, &wanted),
        );
        let known: BTreeSet<&ProcessName> = there.iter().collect();
        let new: Vec<ProcessName> = wanted
            .members
            .iter()
            .filter(|name| !known.contains(name))
            .cloned()
            .collect();
        // Check the new names before any process is stopped.
        if let Err(fault) = self.may_join(&scaling.group, &new) {
            self.answer(ticket, Err(fault), out);
            return;
        }
        let leaving: Vec<BatchMember> = there
            .iter()
            .rev()
            .filter(|name| !stay.contains(*name))
            .filter_map(|name| self.member(self.find(scaling.group.as_str(), name.as_str())?))
            .collect();
        scaling.stopping = (0..).zip(leaving.iter().cloned()).collect();
        scaling.wanted = Some(wanted);
        self.requests
            .pending
            .insert(ticket, Pending::Scaling(scaling));
        self.requests.runnable.push(ticket);
        for (index, member) in (0..).zip(leaving) {
            self.call_off_restarts(member.slot, out);
            self.stop_in_order(member.slot, Trigger::Stop, now, out);
            let Some(process) = self.slots.get_mut(member.slot) else {
                continue;
            };
            let waiter = Waiter {
                ticket,
                index,
                until: WaitUntil::Stopped,
            };
            if process.state().is_stopped() {
                // The process is in a stopped state or UNKNOWN, so there is nothing to wait for.
                self.settle_member(
                    ticket,
                    index,
                    true,
                    &member.process,
                    &member.group,
                    None,
                    out,
                );
            } else {
                process.run.waiters.push(waiter);
                self.update_process(member.slot, Trigger::Other, now, out, Process::report_stop);
            }
        }
    }

    /// Removes the processes that have stopped. After the last one it adds the new processes and answers.
    fn continue_scaling(&mut self, ticket: Ticket, now: Now, out: &mut Actions) {
        let Some(mut scaling) = self.take_scaling(ticket, out) else {
            return;
        };
        let Some(wanted) = scaling.wanted.take() else {
            // The loader is still making the processes.
            self.requests
                .pending
                .insert(ticket, Pending::Scaling(scaling));
            return;
        };
        for (index, member, fault) in std::mem::take(&mut scaling.stopped) {
            if !self.is_here(&member) {
                continue;
            }
            let seated = self.slots.get(member.slot);
            let is_up = seated
                .is_some_and(|seated| !seated.state().is_stopped() || seated.run.stage.pid() != 0);
            if is_up {
                let named = Namespec::print(member.group.as_str(), member.process.as_str());
                let why = fault.and_then(|fault| fault.extra);
                let why = why.unwrap_or_else(|| "its process could not be stopped".to_owned());
                scaling
                    .problems
                    .push(format!("{named} was not removed: {why}"));
            } else {
                self.remove_process(member.slot, out);
                scaling.removed.insert(index, member.process);
            }
        }
        if !scaling.stopping.is_empty() {
            scaling.wanted = Some(wanted);
            self.requests
                .pending
                .insert(ticket, Pending::Scaling(scaling));
            return;
        }
        let answer = self.finish_scaling(scaling, &wanted, now, out);
        self.answer(ticket, answer, out);
    }

    /// Adds the new processes after all others have been removed. Returns the answer.
    fn finish_scaling(
        &mut self,
        scaling: Box<Scaling>,
        wanted: &GroupChangeResult,
        now: Now,
        out: &mut Actions,
    ) -> Result<Reply, Fault> {
        if !scaling.problems.is_empty() {
            return Err(FaultCode::Failed.of(scaling.problems.join("; ")));
        }
        let there: BTreeSet<ProcessName> = self.members_of(&scaling, wanted).into_iter().collect();
        let new: Vec<_> = wanted
            .processes
            .iter()
            .filter(|process| !there.contains(&process.name))
            .cloned()
            .collect();
        let added: Vec<ProcessName> = wanted
            .members
            .iter()
            .filter(|name| !there.contains(*name))
            .cloned()
            .collect();
        // Another request may have used one of the names while processes were stopping.
        self.may_join(&scaling.group, &added)?;
        self.add_process(&scaling.group, &new, now, out);
        if scaling.whole.is_empty() {
            self.set_program(&scaling.group, wanted);
        }
        if let Some(group) = self.groups.get_mut(&scaling.group) {
            let before = Arc::clone(&group.spec);
            let programs = &mut Arc::make_mut(&mut group.spec).programs;
            if !scaling.whole.is_empty() {
                *programs = scaling.whole;
                let programs = programs.clone();
                self.add_members(&scaling.group);
                self.unindex_group(&before);
                // Processes that stayed may differ in what applies to them at once.
                let read = Arc::clone(&self.configuration.last_read);
                let mut read = read.groups.iter();
                if let Some(read) = read.find(|group| group.name == scaling.group)
                    && read.programs == programs
                {
                    self.take_over_of_group(read, out);
                }
            } else if let Some(program) = programs
                .iter_mut()
                .find(|program| program.template == wanted.template)
            {
                program.scaled = true;
            }
        }
        Ok(Reply::Scaled {
            group: scaling.group,
            added,
            removed: scaling.removed.into_values().collect(),
        })
    }
}
