//! Admission of requests: the core refuses, answers or starts each request here. How processes change is not part of
//! this module.

use std::sync::Arc;

use super::slots::in_start_order;
use super::ticket::{AuditContext, Batch, BatchAction, BatchMember, Pending, TICKETS_MAX};
use super::{Action, Actions, AuditLine, Fleet};
use crate::api::{
    AccessScope, AuditEntry, Caller, ConfigView, Fault, FaultCode, Grant, JournalMatch, LogRef,
    Reply, Request, RequestTarget, Ticket,
};
use crate::config::spec::{GroupSpec, ProcessKind};
use crate::domain::{
    Change, Channel, GroupName, InstanceId, Line, Namespec, Now, ProcessName, Signal, SpawnError,
    SupervisorState,
};
use crate::effects::{LoadReason, LoaderEffect, OutputEffect, SpawnerEffect};

impl Fleet {
    /// Handles a request of a client. The answer is sent exactly once, now or later.
    pub(super) fn asked(
        &mut self,
        now: Now,
        ticket: Ticket,
        caller: Caller,
        grant: Grant,
        request: Request,
        out: &mut Actions,
    ) {
        let entry = request.audit_entry();
        let remote_event = matches!(request, Request::RemoteEvent { .. });
        // The server itself may read until the daemon exits: the web page shows which processes still stop.
        let own_look = caller == Caller::DAEMON && matches!(request, Request::AllProcessInfo);
        let is_late = self.daemon_state != SupervisorState::Running;
        let outcome = if is_late && !remote_event && !own_look {
            Admission::Answered(Err(FaultCode::ShutdownState.bare()))
        } else if self.tickets.len() >= TICKETS_MAX {
            Admission::Answered(Err(
                FaultCode::Failed.of("too many requests are pending (try again later)")
            ))
        } else if self.tickets.contains_key(&ticket) {
            // Tickets are unique. If one were not, the first request keeps it and the second gets no answer.
            return;
        } else {
            let sees = caller.visible_scope();
            let rights = Rights {
                scope: &grant.scope,
                sees: &sees,
            };
            self.admit(now, ticket, rights, request, out)
        };
        match outcome {
            Admission::Answered(answer) => {
                audit(caller, entry, answer.as_ref().err().cloned(), out);
                out.push(Action::Answer(ticket, answer));
            }
            Admission::Batch(mut batch) => {
                batch.audit = entry.map(|entry| AuditContext {
                    caller,
                    target: entry.target,
                });
                self.tickets.insert(ticket, Pending::Batch(batch));
                self.advance_batch(ticket, now, out);
            }
            Admission::Taken => audit(caller, entry, None, out),
            Admission::Shutdown => {
                audit(caller, entry, None, out);
                out.push(Action::Answer(ticket, Ok(Reply::Done)));
                self.begin_shutdown(SupervisorState::Shutdown, now, out);
            }
        }
    }

    /// Refuses, answers or starts a request. The caller sends the answer and writes the audit line.
    fn admit(
        &mut self,
        now: Now,
        ticket: Ticket,
        rights: Rights<'_>,
        request: Request,
        out: &mut Actions,
    ) -> Admission {
        let scope = rights.scope;
        let answer = match request {
            Request::State => Ok(Reply::State(self.daemon_state)),
            Request::Pid => Ok(Reply::Pid(self.identity.pid)),
            Request::Identification => Ok(Reply::Text(self.last_read.daemon.identifier.clone())),
            Request::ProcessInfo(name) => self.one(&name, rights).map(|slot| {
                let view = self
                    .slots
                    .get(slot)
                    .map(|process| self.view_process(process, now));
                Reply::Processes(view.into_iter().collect())
            }),
            Request::AllProcessInfo => Ok(Reply::Processes(self.view_of(scope, now))),
            Request::SomeProcessInfo(names) => {
                let slots = self.slots_named(&names, scope);
                let processes = slots.iter().filter_map(|&slot| self.slots.get(slot));
                let views = processes
                    .map(|process| self.view_process(process, now))
                    .collect();
                Ok(Reply::Processes(views))
            }
            Request::AllConfigInfo => Ok(Reply::Configs(self.config_views(scope))),
            Request::Start { target, wait } => {
                return self.batch(target, rights, BatchAction::Start { wait });
            }
            Request::Stop { target, wait } => {
                return self.batch(target, rights, BatchAction::Stop { wait });
            }
            Request::Signal { target, signal } => {
                let parsed = Signal::parse(&signal).ok();
                return self.batch(target, rights, BatchAction::Signal(parsed, signal));
            }
            Request::ClearLogs(RequestTarget::Group(name)) => {
                Err(FaultCode::BadName.of(format!("{name}:*")))
            }
            Request::ClearLogs(target @ (RequestTarget::One(..) | RequestTarget::All)) => {
                return self.batch(target, rights, BatchAction::Clear);
            }
            Request::Reread => match whole(scope) {
                Err(fault) => Err(fault),
                Ok(()) => {
                    self.tickets.insert(ticket, Pending::Reread);
                    out.push(Action::Loader(LoaderEffect::Load(LoadReason::Reread(
                        ticket,
                    ))));
                    return Admission::Taken;
                }
            },
            Request::Restart => match whole(scope) {
                Err(fault) => Err(fault),
                Ok(()) => {
                    // Differs: the original stops everything first, and exits if the file has an error.
                    self.tickets.insert(ticket, Pending::Restart);
                    out.push(Action::Loader(LoaderEffect::Load(LoadReason::Restart(
                        ticket,
                    ))));
                    return Admission::Taken;
                }
            },
            Request::Upgrade => match whole(scope).and_then(|()| self.upgradable()) {
                Err(fault) => Err(fault),
                Ok(()) => {
                    self.is_upgrading = true;
                    out.push(Action::Upgrade(ticket));
                    return Admission::Taken;
                }
            },
            Request::Generation => Ok(Reply::Generation {
                generation: self.generation,
                is_upgrading: self.is_upgrading,
            }),
            Request::Shutdown => match whole(scope) {
                Err(fault) => Err(fault),
                Ok(()) => return Admission::Shutdown,
            },
            Request::AddGroup(name) => match self.addable(&name, rights) {
                Err(fault) => Err(fault),
                Ok(group) if has_sockets(&group) => {
                    let pending = Pending::AddGroup(group.name.clone());
                    self.tickets.insert(ticket, pending);
                    out.push(Action::Spawner(SpawnerEffect::TrySockets(ticket, group)));
                    return Admission::Taken;
                }
                Ok(group) => Ok(self.handle_add_group(&group, now, out)),
            },
            Request::RemoveGroup(name) => self.handle_remove_group(&name, rights, now, out),
            // The log names all processes and all clients, so access to a single program is not enough.
            Request::LogFile(LogRef::Daemon) => {
                whole(scope).map(|()| Reply::LogFile(self.identity.daemon_log.clone()))
            }
            Request::LogFile(LogRef::Process(name, channel)) => {
                self.one(&name, rights).map(|slot| {
                    let Some(process) = self.slots.get(slot) else {
                        return Reply::LogFile(None);
                    };
                    let (file, log) = match channel {
                        Channel::Stdout => (&process.logs.stdout, &process.spec.stdout),
                        Channel::Stderr => (&process.logs.stderr, &process.spec.stderr),
                    };
                    match file {
                        None if log.named.journal.is_some() => Reply::Journal(JournalMatch {
                            group: process.spec.group.clone(),
                            process: process.spec.name.clone(),
                            channel,
                        }),
                        file => Reply::LogFile(file.clone()),
                    }
                })
            }
            Request::ClearDaemonLog => match (whole(scope), &self.identity.daemon_log) {
                (Err(fault), _) => Err(fault),
                (Ok(()), None) => Err(FaultCode::NoFile.bare()),
                (Ok(()), Some(_)) => {
                    self.tickets.insert(ticket, Pending::ClearDaemonLog);
                    out.push(Action::Output(OutputEffect::ClearDaemonLog(ticket)));
                    return Admission::Taken;
                }
            },
            Request::WriteStdin { name, data } => match self.stdin_of(&name, rights) {
                Err(fault) => Err(fault),
                Ok(instance) => {
                    self.tickets.insert(ticket, Pending::Stdin(name));
                    out.push(Action::Output(OutputEffect::WriteStdin {
                        ticket,
                        instance,
                        data,
                    }));
                    return Admission::Taken;
                }
            },
            Request::GroupNames => Ok(Reply::Names(self.group_names(scope))),
            // Problems name files, programs and users.
            Request::ConfigProblems => {
                whole(scope).map(|()| Reply::Lines(self.config_problems.clone()))
            }
            Request::WriteLog { level, message } => whole(scope).map(|()| {
                out.push(Action::Log(Line::said(level, &message)));
                Reply::Done
            }),
            Request::AddProgram {
                group,
                program,
                options,
            } => match self.add_program(ticket, (&group, program, options), rights, out) {
                Err(fault) => Err(fault),
                Ok(()) => return Admission::Taken,
            },
            Request::RemoveProcess { group, process } => {
                self.handle_remove_process(&group, &process, rights, out)
            }
            Request::SetNumprocs { program, numprocs } => {
                match self.set_numprocs(ticket, &program, numprocs, rights, out) {
                    Err(fault) => Err(fault),
                    Ok(()) => return Admission::Taken,
                }
            }
            Request::ResetNumprocs(group) => {
                match self.reset_numprocs(ticket, &group, (rights, now), out) {
                    Err(fault) => Err(fault),
                    Ok(()) => return Admission::Taken,
                }
            }
            Request::RollingRestart { targets, at_once } => {
                match self.start_rolling(ticket, targets, at_once, rights) {
                    Err(fault) => Err(fault),
                    Ok(()) => return Admission::Taken,
                }
            }
            Request::RemoteEvent { kind, data } => whole(scope).map(|()| {
                Self::publish(out, Change::RemoteCommunication { kind, data });
                Reply::Done
            }),
        };
        Admission::Answered(answer)
    }

    /// Returns the slot of the process that `text` names.
    fn one(&self, text: &str, rights: Rights<'_>) -> Result<u32, Fault> {
        let spec = Namespec::parse(text);
        let slot = spec
            .process
            .as_deref()
            .and_then(|process| self.find(&spec.group, process))
            .ok_or_else(|| FaultCode::BadName.of(text))?;
        let name = spec.process.as_deref().unwrap_or_default();
        rights.process(&spec.group, name, text)?;
        Ok(slot)
    }

    /// Returns the slots of the processes that `names` mean and `scope` covers, each once, ordered by group and process
    /// name. A name without a process means the whole group.
    fn slots_named(&self, names: &[String], scope: &AccessScope) -> Vec<u32> {
        let mut found: Vec<u32> = Vec::new();
        for name in names {
            let spec = Namespec::parse(name);
            if let Some(process) = spec.process.as_deref() {
                let slot = self
                    .find(&spec.group, process)
                    .filter(|_| scope.covers(&spec.group, process));
                if let Some(slot) = slot {
                    found.push(slot);
                    continue;
                }
            }
            if (spec.process.is_none() || !name.contains(':'))
                && let Some(group) = self.groups.get(spec.group.as_str())
            {
                let covered = |slot: &&u32| {
                    let process = self.slots.get(**slot);
                    process.is_some_and(|process| {
                        scope.covers(&spec.group, process.spec.name.as_str())
                    })
                };
                found.extend(group.by_name.iter().filter(covered));
            }
        }
        found.sort_by_cached_key(|&slot| {
            self.names_of(slot).map(|(process, group)| (group, process))
        });
        found.dedup();
        found
    }

    /// Returns the instance that accepts standard input for the process `name`.
    fn stdin_of(&self, name: &str, rights: Rights<'_>) -> Result<InstanceId, Fault> {
        let slot = self.one(name, rights)?;
        self.slots
            .get(slot)
            .filter(|process| process.takes_stdin())
            .and_then(|process| process.run.stage.reachable())
            .map(|(instance, _)| instance)
            .ok_or_else(|| FaultCode::NotRunning.of(name))
    }

    /// Creates the batch of a request that acts on processes.
    fn batch(&self, target: RequestTarget, rights: Rights<'_>, action: BatchAction) -> Admission {
        let (slots, one) = match self.targets(target, rights) {
            Ok(found) => found,
            Err(fault) => return Admission::Answered(Err(fault)),
        };
        Admission::Batch(Box::new(Batch {
            action,
            one,
            scope: rights.scope.clone(),
            audit: None,
            queue: slots
                .into_iter()
                .filter_map(|slot| self.member(slot))
                .collect(),
            asked: None,
            reached: 0,
            open: 0,
            passed: false,
            first: Vec::new(),
            later: Vec::new(),
        }))
    }

    /// Returns the process that occupies `slot` now as a member of a batch.
    pub(super) fn member(&self, slot: u32) -> Option<BatchMember> {
        let process = self.slots.get(slot)?;
        Some(BatchMember {
            slot,
            slot_generation: process.slot_generation,
            process: process.spec.name.clone(),
            group: process.spec.group.clone(),
        })
    }

    /// Returns the slots of the target that the caller may see, in ascending order of priority, and the text of the
    /// target if it names a single process.
    pub(super) fn targets(
        &self,
        target: RequestTarget,
        rights: Rights<'_>,
    ) -> Result<(Vec<u32>, Option<String>), Fault> {
        match target {
            RequestTarget::One(
                Namespec {
                    group,
                    process: Some(process),
                },
                text,
            ) => {
                let slot = self.find(&group, &process);
                let slot = slot.ok_or_else(|| FaultCode::BadName.of(text.as_str()))?;
                rights.process(&group, &process, &text)?;
                Ok((vec![slot], Some(text)))
            }
            RequestTarget::Group(group)
            | RequestTarget::One(
                Namespec {
                    group,
                    process: None,
                },
                _,
            ) => {
                let found = self.groups.get(group.as_str());
                let found = found.ok_or_else(|| FaultCode::BadName.of(group.as_str()))?;
                rights.some_of_group(&group)?;
                Ok((self.visible_slots(&found.slots, rights), None))
            }
            RequestTarget::All => Ok((
                in_start_order(&self.groups)
                    .into_iter()
                    .flat_map(|group| self.visible_slots(&group.slots, rights))
                    .collect(),
                None,
            )),
        }
    }

    /// Returns those of `slots` whose processes the caller may see.
    fn visible_slots(&self, slots: &[u32], rights: Rights<'_>) -> Vec<u32> {
        let is_seen = |slot: &u32| {
            self.names_of(*slot)
                .is_some_and(|(name, group)| rights.sees.covers(group.as_str(), name.as_str()))
        };
        match rights.sees {
            AccessScope::All => slots.to_vec(),
            AccessScope::Only(_) => slots.iter().copied().filter(is_seen).collect(),
        }
    }

    /// Returns the configured processes that `scope` covers, of the configuration read last.
    fn config_views(&self, scope: &AccessScope) -> Vec<ConfigView> {
        let mut views = Vec::new();
        for group in &self.last_read.groups {
            let in_use = self.groups.contains_key(&group.name);
            let made = self.made.get(&group.name);
            for (place, process) in group.processes.iter().enumerate() {
                if !scope.covers(group.name.as_str(), process.name.as_str()) {
                    continue;
                }
                let made = made.and_then(|made| made.get(place));
                views.push(ConfigView {
                    group: group.clone(),
                    process: process.clone(),
                    in_use,
                    stdout_auto: made.and_then(|made| made.stdout.clone()),
                    stderr_auto: made.and_then(|made| made.stderr.clone()),
                });
            }
        }
        views.sort_by(|a, b| a.process.name.cmp(&b.process.name));
        views
    }

    /// Returns the group of this name in the configuration read last if it may be added.
    fn addable(&self, name: &str, rights: Rights<'_>) -> Result<Arc<GroupSpec>, Fault> {
        rights.group(name)?;
        let group = self.last_read.groups.iter();
        let group = group
            .filter(|group| group.name.as_str() == name)
            .map(Arc::clone)
            .next()
            .ok_or_else(|| FaultCode::BadName.of(name))?;
        if self.groups.contains_key(name) {
            return Err(FaultCode::AlreadyAdded.of(name));
        }
        Ok(group)
    }

    /// Adds a group of the configuration and starts its autostart processes.
    fn handle_add_group(&mut self, group: &Arc<GroupSpec>, now: Now, out: &mut Actions) -> Reply {
        self.add_group(group, now, out);
        self.autostart(&group.name, now, out);
        Reply::Done
    }

    /// Continues adding a group after the shell has tried its sockets.
    pub(super) fn sockets_tried(
        &mut self,
        ticket: Ticket,
        result: Result<(), SpawnError>,
        now: Now,
        out: &mut Actions,
    ) {
        // `None`: the request was answered when the daemon stopped.
        let Some(name) = self.take_pending(ticket, |pending| match pending {
            Pending::AddGroup(name) => Ok(name),
            other => Err(other),
        }) else {
            return;
        };
        // The state may have changed since the request, so check again.
        let answer = match result {
            _ if self.daemon_state != SupervisorState::Running => {
                Err(FaultCode::ShutdownState.bare())
            }
            // Differs: the original answers HTTP 500.
            Err(error) => Err(FaultCode::Failed.of(error.to_string())),
            Ok(()) => self
                .addable(name.as_str(), Rights::ALL)
                .map(|group| self.handle_add_group(&group, now, out)),
        };
        out.push(Action::Answer(ticket, answer));
    }

    /// Removes a group if all its processes have stopped.
    fn handle_remove_group(
        &mut self,
        name: &str,
        rights: Rights<'_>,
        now: Now,
        out: &mut Actions,
    ) -> Result<Reply, Fault> {
        let group = self.groups.get(name);
        let group = group.ok_or_else(|| FaultCode::BadName.of(name))?;
        rights.group(name)?;
        if group.unstopped > 0 {
            return Err(FaultCode::StillRunning.of(name));
        }
        let name = group.spec.name.clone();
        self.remove_group(&name, now, out);
        Ok(Reply::Done)
    }
}

/// Returns whether a process of the group listens on a socket that the daemon makes.
fn has_sockets(group: &GroupSpec) -> bool {
    let mut kinds = group.processes.iter().map(|process| &process.kind);
    kinds.any(|kind| matches!(kind, ProcessKind::Fcgi(_)))
}

/// The result of admission.
enum Admission {
    /// The answer is known now.
    Answered(Result<Reply, Fault>),
    /// The request acts on these processes.
    Batch(Box<Batch>),
    /// The answer comes later. The ticket stays open.
    Taken,
    /// Send the answer, then stop everything.
    Shutdown,
}

/// What the caller of one request may act on and may see.
#[derive(Clone, Copy)]
pub(super) struct Rights<'a> {
    /// The processes that the grant covers.
    pub(super) scope: &'a AccessScope,
    /// The processes that the caller may see. All others are reported as if they did not exist.
    pub(super) sees: &'a AccessScope,
}

impl Rights<'_> {
    /// The rights of the daemon itself.
    pub(super) const ALL: Self = Self {
        scope: &AccessScope::All,
        sees: &AccessScope::All,
    };

    /// Checks that the caller may act on a process that it named with `text`.
    ///
    /// # Errors
    /// BAD_NAME if the caller may not see the process, else FAILED.
    fn process(self, group: &str, process: &str, text: &str) -> Result<(), Fault> {
        if !self.sees.covers(group, process) {
            return Err(FaultCode::BadName.of(text));
        }
        permitted(self.scope.covers(group, process), text)
    }

    /// Returns whether the caller may see a program of a group. `members` are the processes of the program.
    pub(super) fn know_of(self, group: &GroupName, members: &[ProcessName]) -> bool {
        let mut members = members.iter();
        self.sees.covers_group(group.as_str())
            || members.any(|name| self.sees.covers(group.as_str(), name.as_str()))
    }

    /// Checks that the caller may act on some process of a group.
    ///
    /// # Errors
    /// As [`Rights::process`].
    fn some_of_group(self, group: &str) -> Result<(), Fault> {
        if !self.sees.touches(group) {
            return Err(FaultCode::BadName.of(group));
        }
        permitted(self.scope.touches(group), group)
    }

    /// Checks that the caller may act on a group as a whole.
    ///
    /// # Errors
    /// As [`Rights::process`].
    pub(super) fn group(self, group: &str) -> Result<(), Fault> {
        if !self.sees.touches(group) {
            return Err(FaultCode::BadName.of(group));
        }
        permitted(self.scope.covers_group(group), group)
    }
}

/// Returns the fault if the grant does not cover `what`.
fn permitted(covered: bool, what: &str) -> Result<(), Fault> {
    if covered {
        Ok(())
    } else {
        Err(not_permitted(what))
    }
}

/// The fault for a request that the grant does not cover.
pub(super) fn not_permitted(what: &str) -> Fault {
    FaultCode::Failed.of(format!("permission denied: {what}"))
}

/// Checks that the grant covers everything. Requests about the daemon itself need this.
fn whole(scope: &AccessScope) -> Result<(), Fault> {
    match scope {
        AccessScope::All => Ok(()),
        AccessScope::Only(_) => Err(not_permitted("this request affects all processes")),
    }
}

/// Writes the audit line of a request. Requests that change nothing have no entry.
fn audit(caller: Caller, entry: Option<AuditEntry>, fault: Option<Fault>, out: &mut Actions) {
    if let Some(entry) = entry {
        out.push(Action::Audit(AuditLine {
            caller,
            entry,
            fault,
        }));
    }
}
