//! What a request may do, and to whom: every request is refused, answered, or taken on here. It must not know how
//! processes change.

use std::sync::Arc;

use super::slots::in_start_order;
use super::ticket::{AuditContext, Batch, BatchAction, BatchMember, Pending, TICKETS_MAX};
use super::{Action, Actions, AuditLine, Fleet, LoadReason};
use crate::api::{
    AccessScope, AuditEntry, Caller, ConfigView, Fault, FaultCode, Grant, JournalMatch, LogRef,
    Reply, Request, RequestTarget, Ticket,
};
use crate::config::spec::{GroupSpec, ProcessKind};
use crate::domain::{
    Channel, EventKind, GroupName, InstanceId, Line, Namespec, Now, ProcessName, Signal,
    SpawnError, SupervisorState,
};

impl Fleet {
    /// A client asks. The answer comes now or later, once.
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
        // What the fronts look at by themselves stays current until the end: a page shows what still stops.
        let own_look = caller == Caller::DAEMON && matches!(request, Request::AllProcessInfo);
        let is_late = self.daemon_state != SupervisorState::Running;
        let outcome = if is_late && !remote_event && !own_look {
            Admission::Answered(Err(FaultCode::ShutdownState.bare()))
        } else if self.tickets.len() >= TICKETS_MAX {
            Admission::Answered(Err(
                FaultCode::Failed.of("too many requests are pending (try again later)")
            ))
        } else if self.tickets.contains_key(&ticket) {
            // Tickets are unique; were one not, the first request keeps it and the second cannot be answered.
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
                    out.push(Action::Load(LoadReason::Reread(ticket)));
                    return Admission::Taken;
                }
            },
            Request::Restart => match whole(scope) {
                Err(fault) => Err(fault),
                Ok(()) => {
                    // Differs: the original stops everything first and dies of an error in the file.
                    self.tickets.insert(ticket, Pending::Restart);
                    out.push(Action::Load(LoadReason::Restart(ticket)));
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
                    out.push(Action::TrySockets(ticket, group));
                    return Admission::Taken;
                }
                Ok(group) => Ok(self.handle_add_group(&group, now, out)),
            },
            Request::RemoveGroup(name) => self.handle_remove_group(&name, rights, now, out),
            // It tells of all processes, and of whoever did what to them.
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
                        None if log.journal.is_some() => Reply::Journal(JournalMatch {
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
                    out.push(Action::ClearDaemonLog(ticket));
                    return Admission::Taken;
                }
            },
            Request::WriteStdin { name, data } => match self.stdin_of(&name, rights) {
                Err(fault) => Err(fault),
                Ok(instance) => {
                    self.tickets.insert(ticket, Pending::Stdin(name));
                    out.push(Action::WriteStdin {
                        ticket,
                        instance,
                        data,
                    });
                    return Admission::Taken;
                }
            },
            Request::GroupNames => Ok(Reply::Names(self.group_names(scope))),
            // They name files, programs and users.
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
                match self.set_numprocs(ticket, &program, numprocs, (rights, now), out) {
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
                Self::publish(out, None, EventKind::RemoteCommunication { kind, data });
                Reply::Done
            }),
        };
        Admission::Answered(answer)
    }

    /// The slot of the one process that `text` names.
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

    /// The slots of the processes that `names` mean and `scope` covers, each once, by (group, process). A word that names no
    /// process means the group of that name.
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

    fn stdin_of(&self, name: &str, rights: Rights<'_>) -> Result<InstanceId, Fault> {
        let slot = self.one(name, rights)?;
        self.slots
            .get(slot)
            .filter(|process| process.takes_stdin())
            .and_then(|process| process.run.stage.reachable())
            .map(|(instance, _)| instance)
            .ok_or_else(|| FaultCode::NotRunning.of(name))
    }

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

    /// Whoever sits in a slot now.
    pub(super) fn member(&self, slot: u32) -> Option<BatchMember> {
        let process = self.slots.get(slot)?;
        Some(BatchMember {
            slot,
            slot_generation: process.slot_generation,
            process: process.spec.name.clone(),
            group: process.spec.group.clone(),
        })
    }

    /// The slots a target names, of those that the caller may know of, in ascending order of priority; and the text, if it
    /// names one process.
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

    /// Those of some slots whose processes the caller may know of.
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

    /// The group of this name in the configuration read last, if it may be added.
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

    fn handle_add_group(&mut self, group: &Arc<GroupSpec>, now: Now, out: &mut Actions) -> Reply {
        self.add_group(group, now, out);
        self.autostart(&group.name, now, out);
        Reply::Done
    }

    /// The shell has tried the sockets of a group that is to be added.
    pub(super) fn sockets_tried(
        &mut self,
        ticket: Ticket,
        result: Result<(), SpawnError>,
        now: Now,
        out: &mut Actions,
    ) {
        // None: answered already, when everything had come to its end.
        let Some(name) = self.take_pending(ticket, |pending| match pending {
            Pending::AddGroup(name) => Ok(name),
            other => Err(other),
        }) else {
            return;
        };
        // Much may have happened since it was asked for.
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

/// A process of it listens on a socket that the daemon makes.
fn has_sockets(group: &GroupSpec) -> bool {
    let mut kinds = group.processes.iter().map(|process| &process.kind);
    kinds.any(|kind| matches!(kind, ProcessKind::Fcgi(_)))
}

/// What admission decides.
enum Admission {
    /// The answer is known.
    Answered(Result<Reply, Fault>),
    /// Processes are to be touched.
    Batch(Box<Batch>),
    /// The answer comes later; the ticket is kept.
    Taken,
    /// Everything is to stop, after the answer.
    Shutdown,
}

/// What the caller of one request may do it to, and what it may know of.
#[derive(Clone, Copy)]
pub(super) struct Rights<'a> {
    /// What the grant covers.
    pub(super) scope: &'a AccessScope,
    /// The processes that the caller may know of. Any other one is to the caller as if it were not there.
    pub(super) sees: &'a AccessScope,
}

impl Rights<'_> {
    /// Of the daemon itself.
    pub(super) const ALL: Self = Self {
        scope: &AccessScope::All,
        sees: &AccessScope::All,
    };

    /// Whether a process may be touched that the caller named with `text`.
    ///
    /// # Errors
    /// BAD_NAME if the caller may not know of it, else FAILED.
    fn process(self, group: &str, process: &str, text: &str) -> Result<(), Fault> {
        if !self.sees.covers(group, process) {
            return Err(FaultCode::BadName.of(text));
        }
        permitted(self.scope.covers(group, process), text)
    }

    /// Whether the caller may know of a program of a group that has these processes.
    pub(super) fn know_of(self, group: &GroupName, members: &[ProcessName]) -> bool {
        let mut members = members.iter();
        self.sees.covers_group(group.as_str())
            || members.any(|name| self.sees.covers(group.as_str(), name.as_str()))
    }

    /// Whether something of a group may be touched.
    ///
    /// # Errors
    /// As [`Rights::process`].
    fn some_of_group(self, group: &str) -> Result<(), Fault> {
        if !self.sees.touches(group) {
            return Err(FaultCode::BadName.of(group));
        }
        permitted(self.scope.touches(group), group)
    }

    /// Whether a group may be touched as a whole.
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

/// What a grant does not cover is a fault.
fn permitted(covered: bool, what: &str) -> Result<(), Fault> {
    if covered {
        Ok(())
    } else {
        Err(not_permitted(what))
    }
}

/// The fault of whatever a grant does not cover.
pub(super) fn not_permitted(what: &str) -> Fault {
    FaultCode::Failed.of(format!("permission denied: {what}"))
}

/// What concerns the daemon itself needs a grant without bounds.
fn whole(scope: &AccessScope) -> Result<(), Fault> {
    match scope {
        AccessScope::All => Ok(()),
        AccessScope::Only(_) => Err(not_permitted("this request affects all processes")),
    }
}

/// Writes the audit line of a request that changes something.
fn audit(caller: Caller, entry: Option<AuditEntry>, fault: Option<Fault>, out: &mut Actions) {
    if let Some(entry) = entry {
        out.push(Action::Audit(AuditLine {
            caller,
            entry,
            fault,
        }));
    }
}
