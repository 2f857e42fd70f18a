//! What a request may do, and to whom: every request is refused, answered, or taken on here. It must not know how
//! processes change.

use std::sync::Arc;

use super::group::in_start_order;
use super::ticket::{Batch, Member, Pending, TICKETS_MAX, Trail, Verb};
use super::{Action, Actions, AuditLine, Fleet, LoadReason};
use crate::api::{
    Caller, ConfigView, Fault, FaultCode, Grant, JournalOf, LogOf, Reply, Request, Scope, Target,
    Ticket,
};
use crate::config::spec::{GroupSpec, ProcessKind};
use crate::domain::{
    Channel, EventKind, Life, Line, Namespec, Now, Signal, SpawnError, SupervisorState,
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
        let deed = deed(&request);
        let remote_event = matches!(request, Request::RemoteEvent { .. });
        let outcome = if self.mood != SupervisorState::Running && !remote_event {
            Admission::Answered(Err(FaultCode::ShutdownState.bare()))
        } else if self.tickets.len() >= TICKETS_MAX {
            Admission::Answered(Err(
                FaultCode::Failed.of("too many requests wait for their answer")
            ))
        } else if self.tickets.contains_key(&ticket) {
            // Tickets are unique; were one not, the first request keeps it and the second cannot be answered.
            return;
        } else {
            self.admit(now, ticket, &grant, request, out)
        };
        match outcome {
            Admission::Answered(answer) => {
                audit(caller, deed, answer.as_ref().err().cloned(), out);
                out.push(Action::Answer(ticket, answer));
            }
            Admission::Batch(mut batch) => {
                batch.trail = deed.map(|(_, target)| Trail { caller, target });
                self.tickets.insert(ticket, Pending::Batch(batch));
                self.proceed(ticket, now, out);
            }
            Admission::Taken => audit(caller, deed, None, out),
            Admission::Shutdown => {
                audit(caller, deed, None, out);
                out.push(Action::Answer(ticket, Ok(Reply::Done)));
                self.wind_down(SupervisorState::Shutdown, now, out);
            }
        }
    }

    fn admit(
        &mut self,
        now: Now,
        ticket: Ticket,
        grant: &Grant,
        request: Request,
        out: &mut Actions,
    ) -> Admission {
        let scope = &grant.scope;
        let answer = match request {
            Request::State => Ok(Reply::State(self.mood)),
            Request::Pid => Ok(Reply::Pid(self.identity.pid)),
            Request::Identification => Ok(Reply::Text(self.last_read.daemon.identifier.clone())),
            Request::ProcessInfo(name) => self.one(&name, scope).map(|slot| {
                let view = self.seats.get(slot).map(|process| self.look(process, now));
                Reply::Processes(view.into_iter().collect())
            }),
            Request::AllProcessInfo => {
                let mut views = self.view(now);
                views.retain(|view| scope.covers(view.group.as_str(), view.name.as_str()));
                Ok(Reply::Processes(views))
            }
            Request::AllConfigInfo => Ok(Reply::Configs(self.config_views(scope))),
            Request::Start { target, wait } => {
                return self.batch(target, scope, Verb::Start { wait });
            }
            Request::Stop { target, wait } => {
                return self.batch(target, scope, Verb::Stop { wait });
            }
            Request::Signal { target, signal } => {
                let parsed = Signal::parse(&signal).ok();
                return self.batch(target, scope, Verb::Signal(parsed, signal));
            }
            Request::ClearLogs(Target::Group(name)) => {
                Err(FaultCode::BadName.of(format!("{name}:*")))
            }
            Request::ClearLogs(target @ (Target::One(..) | Target::All)) => {
                return self.batch(target, scope, Verb::Clear);
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
            Request::AddGroup(name) => match self.addable(&name, scope) {
                Err(fault) => Err(fault),
                Ok(group) if has_sockets(&group) => {
                    let pending = Pending::AddGroup(group.name.clone());
                    self.tickets.insert(ticket, pending);
                    out.push(Action::TrySockets(ticket, group));
                    return Admission::Taken;
                }
                Ok(group) => Ok(self.add_group(&group, now, out)),
            },
            Request::RemoveGroup(name) => self.remove_group(&name, scope, now, out),
            // It tells of all processes, and of whoever did what to them.
            Request::LogFile(LogOf::Daemon) => {
                whole(scope).map(|()| Reply::LogFile(self.identity.daemon_log.clone()))
            }
            Request::LogFile(LogOf::Process(name, channel)) => self.one(&name, scope).map(|slot| {
                let Some(process) = self.seats.get(slot) else {
                    return Reply::LogFile(None);
                };
                let (file, log) = match channel {
                    Channel::Stdout => (&process.logs.stdout, &process.spec.stdout),
                    Channel::Stderr => (&process.logs.stderr, &process.spec.stderr),
                };
                match file {
                    None if log.journal.is_some() => Reply::Journal(JournalOf {
                        group: process.spec.group.clone(),
                        process: process.spec.name.clone(),
                        channel,
                    }),
                    file => Reply::LogFile(file.clone()),
                }
            }),
            Request::ClearDaemonLog => match (whole(scope), &self.identity.daemon_log) {
                (Err(fault), _) => Err(fault),
                (Ok(()), None) => Err(FaultCode::NoFile.bare()),
                (Ok(()), Some(_)) => {
                    self.tickets.insert(ticket, Pending::ClearDaemonLog);
                    out.push(Action::ClearDaemonLog(ticket));
                    return Admission::Taken;
                }
            },
            Request::WriteStdin { name, data } => match self.stdin_of(&name, scope) {
                Err(fault) => Err(fault),
                Ok(life) => {
                    self.tickets.insert(ticket, Pending::Stdin(name));
                    out.push(Action::WriteStdin { ticket, life, data });
                    return Admission::Taken;
                }
            },
            Request::GroupNames => Ok(Reply::Names(self.group_names(scope))),
            Request::WriteLog { level, message } => whole(scope).map(|()| {
                out.push(Action::Log(Line::said(level, &message)));
                Reply::Done
            }),
            Request::AddProgram {
                group,
                program,
                options,
            } => match self.add_program(ticket, (&group, program, options), scope, out) {
                Err(fault) => Err(fault),
                Ok(()) => return Admission::Taken,
            },
            Request::RemoveProcess { group, process } => {
                self.remove_process(&group, &process, scope, out)
            }
            Request::SetNumprocs { program, numprocs } => {
                match self.set_numprocs(ticket, &program, numprocs, (scope, now), out) {
                    Err(fault) => Err(fault),
                    Ok(()) => return Admission::Taken,
                }
            }
            Request::RollingRestart { targets, at_once } => {
                match self.roll(ticket, targets, at_once, scope) {
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
    fn one(&self, text: &str, scope: &Scope) -> Result<u32, Fault> {
        let spec = Namespec::parse(text);
        let slot = spec
            .process
            .as_deref()
            .and_then(|process| self.find(&spec.group, process))
            .ok_or_else(|| FaultCode::BadName.of(text))?;
        let name = spec.process.as_deref().unwrap_or_default();
        permitted(scope.covers(&spec.group, name), text)?;
        Ok(slot)
    }

    fn stdin_of(&self, name: &str, scope: &Scope) -> Result<Life, Fault> {
        let slot = self.one(name, scope)?;
        self.seats
            .get(slot)
            .filter(|process| process.takes_stdin())
            .and_then(|process| process.run.stage.reachable())
            .map(|(life, _)| life)
            .ok_or_else(|| FaultCode::NotRunning.of(name))
    }

    fn batch(&self, target: Target, scope: &Scope, verb: Verb) -> Admission {
        let (slots, one) = match self.targets(target, scope) {
            Ok(found) => found,
            Err(fault) => return Admission::Answered(Err(fault)),
        };
        Admission::Batch(Box::new(Batch {
            verb,
            one,
            scope: scope.clone(),
            trail: None,
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
    pub(super) fn member(&self, slot: u32) -> Option<Member> {
        let process = self.seats.get(slot)?;
        Some(Member {
            slot,
            tenure: process.tenure,
            process: process.spec.name.clone(),
            group: process.spec.group.clone(),
        })
    }

    /// The slots a target names, in ascending order of priority; and the text, if it names one process.
    pub(super) fn targets(
        &self,
        target: Target,
        scope: &Scope,
    ) -> Result<(Vec<u32>, Option<String>), Fault> {
        match target {
            Target::One(
                Namespec {
                    group,
                    process: Some(process),
                },
                text,
            ) => {
                let slot = self.find(&group, &process);
                let slot = slot.ok_or_else(|| FaultCode::BadName.of(text.as_str()))?;
                permitted(scope.covers(&group, &process), &text)?;
                Ok((vec![slot], Some(text)))
            }
            Target::Group(group)
            | Target::One(
                Namespec {
                    group,
                    process: None,
                },
                _,
            ) => {
                let found = self.groups.get(group.as_str());
                let found = found.ok_or_else(|| FaultCode::BadName.of(group.as_str()))?;
                permitted(scope.touches(&group), &group)?;
                Ok((found.slots.to_vec(), None))
            }
            Target::All => Ok((
                in_start_order(&self.groups)
                    .into_iter()
                    .flat_map(|group| group.slots.iter().copied())
                    .collect(),
                None,
            )),
        }
    }

    fn config_views(&self, scope: &Scope) -> Vec<ConfigView> {
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
    fn addable(&self, name: &str, scope: &Scope) -> Result<Arc<GroupSpec>, Fault> {
        permitted(scope.covers_group(name), name)?;
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

    fn add_group(&mut self, group: &Arc<GroupSpec>, now: Now, out: &mut Actions) -> Reply {
        self.add(group, now, out);
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
            _ if self.mood != SupervisorState::Running => Err(FaultCode::ShutdownState.bare()),
            // Differs: the original answers HTTP 500.
            Err(error) => Err(FaultCode::Failed.of(error.to_string())),
            Ok(()) => self
                .addable(name.as_str(), &Scope::All)
                .map(|group| self.add_group(&group, now, out)),
        };
        out.push(Action::Answer(ticket, answer));
    }

    fn remove_group(
        &mut self,
        name: &str,
        scope: &Scope,
        now: Now,
        out: &mut Actions,
    ) -> Result<Reply, Fault> {
        let group = self.groups.get(name);
        let group = group.ok_or_else(|| FaultCode::BadName.of(name))?;
        permitted(scope.covers_group(name), name)?;
        if group.unstopped > 0 {
            return Err(FaultCode::StillRunning.of(name));
        }
        let name = group.spec.name.clone();
        self.remove(&name, now, out);
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

/// What a grant does not cover is a fault.
pub(super) fn permitted(covered: bool, what: &str) -> Result<(), Fault> {
    if covered {
        Ok(())
    } else {
        Err(not_permitted(what))
    }
}

/// The fault of whatever a grant does not cover.
pub(super) fn not_permitted(what: &str) -> Fault {
    FaultCode::Failed.of(format!("not permitted: {what}"))
}

/// What concerns the daemon itself needs a grant without bounds.
fn whole(scope: &Scope) -> Result<(), Fault> {
    match scope {
        Scope::All => Ok(()),
        Scope::Only(_) => Err(not_permitted("what concerns all processes")),
    }
}

/// Writes the audit line of a request that changes something.
fn audit(
    caller: Caller,
    deed: Option<(&'static str, String)>,
    fault: Option<Fault>,
    out: &mut Actions,
) {
    if let Some((verb, target)) = deed {
        out.push(Action::Audit(AuditLine {
            caller,
            verb,
            target,
            fault,
        }));
    }
}

/// The words of the audit line, for requests that change something.
fn deed(request: &Request) -> Option<(&'static str, String)> {
    let typed = |target: &Target| match target {
        Target::One(_, text) => text.clone(),
        Target::Group(name) => format!("{name}:*"),
        Target::All => "all".to_owned(),
    };
    match request {
        Request::State
        | Request::Pid
        | Request::Identification
        | Request::ProcessInfo(_)
        | Request::AllProcessInfo
        | Request::AllConfigInfo
        | Request::GroupNames
        | Request::Generation
        | Request::LogFile(_) => None,
        Request::Start { target, .. } => Some(("start", typed(target))),
        Request::Stop { target, .. } => Some(("stop", typed(target))),
        Request::Signal { target, .. } => Some(("signal", typed(target))),
        Request::Reread => Some(("reread", String::new())),
        Request::AddGroup(name) => Some(("add", name.clone())),
        Request::RemoveGroup(name) => Some(("remove", name.clone())),
        Request::Shutdown => Some(("shutdown", String::new())),
        Request::Restart => Some(("restart", String::new())),
        Request::Upgrade => Some(("upgrade", String::new())),
        Request::ClearDaemonLog => Some(("clear-log", String::new())),
        Request::ClearLogs(target) => Some(("clear-logs", typed(target))),
        Request::WriteStdin { name, .. } => Some(("write-stdin", name.clone())),
        Request::RemoteEvent { kind, .. } => Some(("event", kind.clone())),
        Request::WriteLog { .. } => Some(("write-log", String::new())),
        Request::AddProgram { group, program, .. } => {
            Some(("add-program", format!("{group}:{program}")))
        }
        Request::RemoveProcess { group, process } => {
            Some(("remove-process", format!("{group}:{process}")))
        }
        Request::SetNumprocs { program, numprocs } => {
            Some(("set-numprocs", format!("{program} {numprocs}")))
        }
        Request::RollingRestart { targets, .. } => {
            let names: Vec<String> = targets.iter().map(typed).collect();
            Some(("rolling-restart", names.join(" ")))
        }
    }
}
