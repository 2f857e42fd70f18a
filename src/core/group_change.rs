//! Changes of active groups at run time: adds programs and removes processes. The loader makes the processes from their
//! section.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::pending::Pending;
use super::rights::Rights;
use super::slots::{Group, in_added_order};
use super::{Action, Actions, Fleet};
use crate::api::{AccessScope, Fault, FaultCode, Reply, Ticket};
use crate::config::spec::{GroupChange, GroupChangeResult, GroupKind, NUMPROCS_MAX, ProgramSpec};
use crate::domain::{GroupName, Now, ProcessName, SupervisorState};
use crate::effects::LoaderEffect;

impl Fleet {
    /// Returns the names of the active groups that `scope` touches, in the order in which they were added.
    pub(super) fn group_names(&self, scope: &AccessScope) -> Vec<GroupName> {
        in_added_order(&self.groups)
            .into_iter()
            .map(|group| group.spec.name.clone())
            .filter(|name| scope.touches(name.as_str()))
            .collect()
    }

    /// Starts to add a program to a group: asks the loader to make its processes.
    pub(super) fn add_program(
        &mut self,
        ticket: Ticket,
        (group, name, options): (&str, String, Vec<(String, String)>),
        rights: Rights<'_>,
        out: &mut Actions,
    ) -> Result<(), Fault> {
        let found = self.group_of(group, rights)?;
        if found.spec.kind != GroupKind::Programs {
            // Differs: the plug-in adds an ordinary process, which the pool or the socket's group does not know.
            return Err(FaultCode::IncorrectParameters.of(format!(
                "{group} is a [{}:x] section (processes can be added only to groups of [program:x])",
                match found.spec.kind {
                    GroupKind::Programs => "group",
                    GroupKind::Listeners { .. } => "eventlistener",
                    GroupKind::Fcgi(_) => "fcgi-program",
                }
            )));
        }
        let group = found.spec.name.clone();
        self.requests
            .pending
            .insert(ticket, Pending::Adding(group.clone()));
        out.push(Action::Loader(LoaderEffect::Compose(
            ticket,
            GroupChange::Program {
                group,
                name,
                options,
                environment: self.configuration.last_read.daemon.environment.clone(),
            },
        )));
        Ok(())
    }

    /// Returns an active group that the caller may act on as a whole.
    fn group_of(&self, name: &str, rights: Rights<'_>) -> Result<&Group, Fault> {
        let found = self.groups.get(name).filter(|_| rights.sees.touches(name));
        let found = found.ok_or_else(|| no_group(name))?;
        rights.group(name)?;
        Ok(found)
    }

    /// Removes a stopped process from its group.
    pub(super) fn handle_remove_process(
        &mut self,
        group: &str,
        process: &str,
        rights: Rights<'_>,
        out: &mut Actions,
    ) -> Result<Reply, Fault> {
        self.group_of(group, rights)?;
        let slot = self.find(group, process);
        let slot = slot.ok_or_else(|| FaultCode::BadName.of(process))?;
        let seated = self.slots.get(slot);
        if seated.is_some_and(|seated| !seated.state().is_stopped() || seated.run.stage.pid() != 0)
        {
            return Err(FaultCode::StillRunning.of(process));
        }
        self.remove_process(slot, out);
        Ok(Reply::Done)
    }

    /// Handles the processes that the loader made. The group may have changed since the request.
    pub(super) fn composed(
        &mut self,
        ticket: Ticket,
        result: Result<Box<GroupChangeResult>, String>,
        now: Now,
        out: &mut Actions,
    ) {
        let group = match self.requests.pending.get_mut(&ticket) {
            Some(Pending::Adding(group)) => group.clone(),
            Some(Pending::Scaling(scaling)) => {
                match result {
                    Ok(composition) => {
                        scaling.wanted = Some(composition);
                        self.begin_scaling(ticket, now, out);
                    }
                    Err(sentence) => {
                        self.answer(
                            ticket,
                            Err(FaultCode::IncorrectParameters.of(sentence)),
                            out,
                        );
                    }
                }
                return;
            }
            // The request was answered when the daemon stopped.
            Some(_) | None => return,
        };
        let answer = match result {
            Ok(composition) => self.admit_program(&group, &composition, now, out),
            Err(sentence) => Err(FaultCode::IncorrectParameters.of(sentence)),
        };
        self.answer(ticket, answer, out);
    }

    /// Adds a program with its processes to an active group.
    fn admit_program(
        &mut self,
        name: &GroupName,
        made: &GroupChangeResult,
        now: Now,
        out: &mut Actions,
    ) -> Result<Reply, Fault> {
        if self.daemon.state != SupervisorState::Running {
            return Err(FaultCode::ShutdownState.bare());
        }
        if !self.groups.contains_key(name) {
            return Err(no_group(name.as_str()));
        }
        self.may_join(name, &made.members)?;
        self.check_new_program(name, made)?;
        self.set_program(name, made);
        self.add_process(name, &made.processes, now, out);
        Ok(Reply::Done)
    }

    /// Checks that processes with these names can be added to an active group.
    pub(super) fn may_join(&self, group: &GroupName, names: &[ProcessName]) -> Result<(), Fault> {
        let mut new = BTreeSet::new();
        for name in names {
            if self.find(group.as_str(), name.as_str()).is_some() || !new.insert(name) {
                return Err(FaultCode::BadName.of(name.as_str()));
            }
        }
        let there = self.groups.get(group).map_or(0, |group| group.slots.len());
        let all = i64::try_from(there.saturating_add(names.len())).unwrap_or(i64::MAX);
        if all > NUMPROCS_MAX {
            return Err(FaultCode::Failed.of(format!(
                "{group} would have {all} processes (a group has at most {NUMPROCS_MAX})"
            )));
        }
        Ok(())
    }

    /// Updates the template and the processes of a program of a group.
    pub(super) fn set_program(&mut self, name: &GroupName, made: &GroupChangeResult) {
        let Some(group) = self.groups.get_mut(name) else {
            return;
        };
        let programs = &mut Arc::make_mut(&mut group.spec).programs;
        let members = made.members.clone();
        match programs
            .iter_mut()
            .find(|program| program.template == made.template)
        {
            Some(program) => program.members = members,
            None => programs.push(ProgramSpec {
                template: Arc::clone(&made.template),
                members,
                scaled: false,
            }),
        }
        self.add_members(name);
    }

    /// Answers a request and closes its ticket.
    pub(super) fn answer(
        &mut self,
        ticket: Ticket,
        answer: Result<Reply, Fault>,
        out: &mut Actions,
    ) {
        self.requests.pending.remove(&ticket);
        out.push(Action::Answer(ticket, answer));
    }
}

/// The fault for a group that is not active. Its text is the plug-in's.
pub(super) fn no_group(name: &str) -> Fault {
    FaultCode::BadName.of(format!("group: {name}"))
}
