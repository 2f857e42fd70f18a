//! Admission of requests: the core refuses, answers or starts each request here. How processes change is not part of
//! this module.

use std::sync::Arc;

use super::hold_state::HoldOrder;
use super::pending::Pending;
use super::rights::{Rights, whole};
use super::ticket::{AuditContext, Batch, BatchAction};
use super::{Action, Actions, Fleet};
use crate::api::{
    AccessScope, Caller, Fault, FaultCode, Grant, LogRef, RejectedText, Reply, Request,
    RequestTarget, Ticket,
};
use crate::config::spec::{GroupSpec, ProcessKind};
use crate::domain::{Change, Line, Now, Signal, SpawnError, SupervisorState};
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
        let is_late = self.daemon.state != SupervisorState::Running;
        // Only methods of ours ask for some processes: a client that waits for the end of the daemon says what stops.
        let own_method = matches!(request, Request::SomeProcessInfo(_));
        let outcome = if is_late && !remote_event && !own_look && !own_method {
            Err(FaultCode::ShutdownState.bare())
        } else if self.requests.is_full() {
            Err(FaultCode::Failed.of("too many requests are pending (try again later)"))
        } else if self.requests.pending.contains_key(&ticket) {
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
            Err(fault) => {
                self.audit(caller, entry, Some(fault.clone()), now, out);
                out.push(Action::Answer(ticket, Err(fault)));
            }
            Ok(Admission::Answered(reply)) => {
                self.audit(caller, entry, None, now, out);
                out.push(Action::Answer(ticket, Ok(reply)));
            }
            Ok(Admission::Batch(mut batch)) => {
                batch.audit = entry.map(|entry| AuditContext {
                    caller,
                    target: entry.target,
                });
                self.requests.pending.insert(ticket, Pending::Batch(batch));
                self.advance_batch(ticket, now, out);
            }
            Ok(Admission::Taken) => self.audit(caller, entry, None, now, out),
            Ok(Admission::Shutdown) => {
                self.audit(caller, entry, None, now, out);
                out.push(Action::Answer(ticket, Ok(Reply::Done)));
                self.begin_shutdown(SupervisorState::Shutdown, now, out);
            }
        }
    }

    /// Refuses, answers or starts a request. The caller sends the answer and writes the audit line.
    ///
    /// # Errors
    /// The request is refused.
    fn admit(
        &mut self,
        now: Now,
        ticket: Ticket,
        rights: Rights<'_>,
        request: Request,
        out: &mut Actions,
    ) -> Result<Admission, Fault> {
        let scope = rights.scope;
        match request {
            Request::State => answered(Reply::State(self.daemon.state)),
            Request::Pid => answered(Reply::Pid(self.daemon.identity.pid)),
            Request::Identification => {
                let identifier = &self.configuration.last_read.daemon.identifier;
                answered(Reply::Text(identifier.clone()))
            }
            Request::Generation => answered(self.daemon.generation()),
            Request::ProcessInfo(name) => answered(self.views(&[self.one(&name, rights)?], now)),
            Request::ProcessDetails(name) => self.admit_details(&name, rights, now),
            Request::AllProcessInfo => answered(Reply::Processes(self.view_of(scope, now))),
            Request::SomeProcessInfo(names) => answered(self.named_views(&names, scope, now)),
            Request::Schedules(names) => answered(self.schedule_lines(&names, scope, now)),
            Request::LastStderr { names, most } => answered(self.last_stderr(&names, most, scope)?),
            call @ (Request::AuditTrail { .. } | Request::Audited(_)) => self.on_audit(call, scope),
            Request::Runs(name) => answered(self.run_lines(self.one(&name, rights)?)),
            Request::Dependencies(names) => answered(self.dependency_views(&names, rights)),
            Request::AllConfigInfo => answered(Reply::Configs(self.config_views(scope))),
            Request::GroupNames => answered(Reply::Names(self.group_names(scope))),
            Request::ConfigProblems => self.admit_config_problems(scope),
            Request::ConfFile(name) => self.admit_conf_file(&name, rights),
            Request::LogFile(log) => self.admit_log_file(log, rights),
            Request::Start { target, wait } => self.start_batch(target, rights, wait),
            Request::StartAlone { target, wait } => self.alone_batch(target, rights, wait),
            Request::Stop { target, wait } => self.stop_batch(target, rights, wait),
            Request::StopWithDependants { target, wait } => {
                self.dependants_batch(target, rights, wait)
            }
            Request::Reload(target) => self.batch(target, rights, BatchAction::Reload),
            hold @ (Request::Hold { .. } | Request::Release(_)) => self.admit_hold(hold, rights),
            Request::Signal { target, signal } => self.signal_batch(target, rights, signal),
            Request::ClearLogs(target) => self.admit_clear_logs(target, rights),
            Request::AddGroup(name) => self.admit_add_group(ticket, &name, rights, now, out),
            Request::RemoveGroup(name) => {
                answered(self.handle_remove_group(&name, rights, now, out)?)
            }
            Request::RemoveProcess { group, process } => {
                answered(self.handle_remove_process(&group, &process, rights, out)?)
            }
            Request::AddProgram {
                group,
                program,
                options,
            } => taken(self.add_program(ticket, (&group, program, options), rights, out)),
            Request::SetNumprocs { program, numprocs } => {
                taken(self.set_numprocs(ticket, &program, numprocs, rights, out))
            }
            Request::ResetNumprocs(group) => {
                taken(self.reset_numprocs(ticket, &group, (rights, now), out))
            }
            Request::RollingRestart { targets, limits } => {
                taken(self.start_rolling(ticket, targets, limits, rights))
            }
            Request::PartialUpdates(names) => answered(self.partial_updates(&names, scope)),
            Request::UpdateGroup(name) => taken(self.start_update(ticket, &name, rights)),
            Request::WriteStdin { name, data } => self.admit_stdin(ticket, name, data, rights, out),
            Request::Reread => self.admit_load(ticket, Pending::Reread, scope, out),
            Request::PlanUpdate => self.admit_plan(ticket, None, scope, out),
            Request::RereadIfPlan(id) => self.admit_plan(ticket, Some(id), scope, out),
            Request::Restart => self.admit_load(ticket, Pending::Restart, scope, out),
            Request::Upgrade => self.admit_upgrade(ticket, scope, out),
            Request::Shutdown => whole(scope).map(|()| Admission::Shutdown),
            Request::ClearDaemonLog => self.admit_clear_daemon_log(ticket, scope, out),
            Request::WriteLog { level, message } => {
                emit(Action::Log(Line::said(level, &message)), scope, out)
            }
            Request::IsTextApplied(md5) => self.admit_text_question(&md5),
            Request::TextRejected(text) => publish(rejected(text), scope, out),
            Request::RemoteEvent { kind, data } => publish(remote(kind, data), scope, out),
        }
    }

    /// Succeeds if this text of the source is applied.
    fn admit_text_question(&self, md5: &str) -> Result<Admission, Fault> {
        match self.is_text_applied(md5) {
            true => answered(Reply::Done),
            false => Err(FaultCode::Failed.bare()),
        }
    }

    /// Handles a request about the last changes.
    fn on_audit(&mut self, request: Request, scope: &AccessScope) -> Result<Admission, Fault> {
        match request {
            Request::AuditTrail { names, most } => answered(self.audit_json(&names, most, scope)?),
            // A change that the core did not make.
            Request::Audited(record) => {
                whole(scope)?;
                self.audit_trail.push(record);
                answered(Reply::Done)
            }
            _ => Err(FaultCode::Failed.bare()),
        }
    }

    /// Creates the batch that puts processes on hold or releases them.
    fn admit_hold(&self, request: Request, rights: Rights<'_>) -> Result<Admission, Fault> {
        match request {
            Request::Hold {
                target,
                seconds,
                reason,
            } => {
                let order = HoldOrder::new(seconds, &reason);
                self.batch(target, rights, BatchAction::Hold(order))
            }
            Request::Release(target) => self.batch(target, rights, BatchAction::Release),
            _ => Err(FaultCode::Failed.bare()),
        }
    }

    /// Tells all that is known of a process.
    fn admit_details(&self, name: &str, rights: Rights<'_>, now: Now) -> Result<Admission, Fault> {
        let details = self.details_of(self.one(name, rights)?, rights, now);
        answered(details.ok_or_else(|| FaultCode::BadName.of(name))?)
    }

    /// Returns the problems of the configuration. They name files, programs and users, so access to a single program is
    /// not enough.
    fn admit_config_problems(&self, scope: &AccessScope) -> Result<Admission, Fault> {
        whole(scope)?;
        answered(Reply::Lines(self.configuration.problems.clone()))
    }

    /// Returns where the configuration file of a program is.
    fn admit_conf_file(&self, name: &str, rights: Rights<'_>) -> Result<Admission, Fault> {
        let slot = self.one(name, rights)?;
        let process = self.slots.get(slot);
        match process.and_then(|process| process.spec.conf_file.as_deref()) {
            Some(path) => answered(Reply::Text(path.to_string_lossy().into_owned())),
            None => Err(FaultCode::NoFile.of("the program has no conf_file")),
        }
    }

    /// Returns where a log is.
    fn admit_log_file(&self, log: LogRef, rights: Rights<'_>) -> Result<Admission, Fault> {
        match log {
            LogRef::Process(name, channel) => {
                answered(self.log_file(self.one(&name, rights)?, channel))
            }
            // The log names all processes and all clients, so access to a single program is not enough.
            LogRef::Daemon => {
                whole(rights.scope)?;
                answered(Reply::LogFile(self.daemon.identity.daemon_log.clone()))
            }
        }
    }

    fn admit_clear_logs(
        &self,
        target: RequestTarget,
        rights: Rights<'_>,
    ) -> Result<Admission, Fault> {
        match target {
            RequestTarget::Group(name) => Err(FaultCode::BadName.of(format!("{name}:*"))),
            RequestTarget::One(..) | RequestTarget::All => {
                self.batch(target, rights, BatchAction::Clear)
            }
        }
    }

    /// Starts to read the configuration, for a reread or a restart.
    // Differs: for a restart, the original stops everything first, and exits if the file has an error.
    fn admit_load(
        &mut self,
        ticket: Ticket,
        pending: Pending,
        scope: &AccessScope,
        out: &mut Actions,
    ) -> Result<Admission, Fault> {
        whole(scope)?;
        let reason = match pending {
            Pending::Restart => LoadReason::Restart(ticket),
            _ => LoadReason::Reread(ticket),
        };
        self.requests.pending.insert(ticket, pending);
        out.push(Action::Loader(LoaderEffect::Load(reason)));
        Ok(Admission::Taken)
    }

    /// Starts to plan an update. `id`: the plan with which the configuration is accepted.
    fn admit_plan(
        &mut self,
        ticket: Ticket,
        id: Option<String>,
        scope: &AccessScope,
        out: &mut Actions,
    ) -> Result<Admission, Fault> {
        whole(scope)?;
        self.requests.pending.insert(ticket, Pending::Plan(id));
        let active = self.active_groups();
        out.push(Action::Loader(LoaderEffect::Plan(ticket, active)));
        Ok(Admission::Taken)
    }

    fn admit_upgrade(
        &mut self,
        ticket: Ticket,
        scope: &AccessScope,
        out: &mut Actions,
    ) -> Result<Admission, Fault> {
        whole(scope)?;
        self.upgradable()?;
        self.daemon.is_upgrading = true;
        out.push(Action::Upgrade(ticket));
        Ok(Admission::Taken)
    }

    fn admit_clear_daemon_log(
        &mut self,
        ticket: Ticket,
        scope: &AccessScope,
        out: &mut Actions,
    ) -> Result<Admission, Fault> {
        whole(scope)?;
        if self.daemon.identity.daemon_log.is_none() {
            return Err(FaultCode::NoFile.bare());
        }
        self.requests
            .pending
            .insert(ticket, Pending::ClearDaemonLog);
        out.push(Action::Output(OutputEffect::ClearDaemonLog(ticket)));
        Ok(Admission::Taken)
    }

    /// Adds a group at once, or after the shell has tried its sockets.
    fn admit_add_group(
        &mut self,
        ticket: Ticket,
        name: &str,
        rights: Rights<'_>,
        now: Now,
        out: &mut Actions,
    ) -> Result<Admission, Fault> {
        let group = self.addable(name, rights)?;
        if !has_sockets(&group) {
            return answered(self.handle_add_group(&group, now, out));
        }
        let pending = Pending::AddGroup(group.name.clone());
        self.requests.pending.insert(ticket, pending);
        out.push(Action::Spawner(SpawnerEffect::TrySockets(ticket, group)));
        Ok(Admission::Taken)
    }

    /// Starts to write to the standard input of a process.
    fn admit_stdin(
        &mut self,
        ticket: Ticket,
        name: String,
        data: Vec<u8>,
        rights: Rights<'_>,
        out: &mut Actions,
    ) -> Result<Admission, Fault> {
        let instance = self.stdin_of(&name, rights)?;
        self.requests.pending.insert(ticket, Pending::Stdin(name));
        out.push(Action::Output(OutputEffect::WriteStdin {
            ticket,
            instance,
            data,
        }));
        Ok(Admission::Taken)
    }

    /// Creates the batch that starts processes, first what others depend on.
    fn start_batch(
        &self,
        target: RequestTarget,
        rights: Rights<'_>,
        wait: bool,
    ) -> Result<Admission, Fault> {
        let alone = false;
        let action = BatchAction::Start { wait, alone };
        self.batch_in_order(target, rights, action, |slots| {
            self.dependencies_first(slots)
        })
    }

    /// Creates the batch that starts processes without what they depend on.
    fn alone_batch(
        &self,
        target: RequestTarget,
        rights: Rights<'_>,
        wait: bool,
    ) -> Result<Admission, Fault> {
        let alone = true;
        self.batch(target, rights, BatchAction::Start { wait, alone })
    }

    /// Creates the batch that stops processes, first what depends on others.
    fn stop_batch(
        &self,
        target: RequestTarget,
        rights: Rights<'_>,
        wait: bool,
    ) -> Result<Admission, Fault> {
        let action = BatchAction::Stop { wait };
        self.batch_in_order(target, rights, action, |slots| self.dependants_first(slots))
    }

    /// Creates the batch that stops processes and all that depend on them. It has a result for each.
    fn dependants_batch(
        &self,
        target: RequestTarget,
        rights: Rights<'_>,
        wait: bool,
    ) -> Result<Admission, Fault> {
        let (slots, _) = self.targets(target, rights)?;
        let slots = self.with_dependants(&slots);
        Ok(self.batch_of(slots, None, rights, BatchAction::Stop { wait }))
    }

    /// Creates the batch that sends a signal, which may be no signal.
    fn signal_batch(
        &self,
        target: RequestTarget,
        rights: Rights<'_>,
        signal: String,
    ) -> Result<Admission, Fault> {
        let parsed = Signal::parse(&signal).ok();
        self.batch(target, rights, BatchAction::Signal(parsed, signal))
    }

    /// Creates the batch of a request that acts on processes in the order of their priorities.
    fn batch(
        &self,
        target: RequestTarget,
        rights: Rights<'_>,
        action: BatchAction,
    ) -> Result<Admission, Fault> {
        self.batch_in_order(target, rights, action, |slots| slots)
    }

    /// Creates the batch of a request that acts on processes in the order that `order` gives them.
    fn batch_in_order(
        &self,
        target: RequestTarget,
        rights: Rights<'_>,
        action: BatchAction,
        order: impl FnOnce(Vec<u32>) -> Vec<u32>,
    ) -> Result<Admission, Fault> {
        let (slots, one) = self.targets(target, rights)?;
        Ok(self.batch_of(order(slots), one, rights, action))
    }

    fn batch_of(
        &self,
        slots: Vec<u32>,
        one: Option<String>,
        rights: Rights<'_>,
        action: BatchAction,
    ) -> Admission {
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

    /// Returns the group of this name in the configuration read last if it may be added.
    fn addable(&self, name: &str, rights: Rights<'_>) -> Result<Arc<GroupSpec>, Fault> {
        rights.group(name)?;
        let group = self.configuration.last_read.groups.iter();
        let group = group
            .filter(|group| group.name.as_str() == name)
            .map(Arc::clone)
            .next()
            .ok_or_else(|| FaultCode::BadName.of(name))?;
        if self.groups.contains_key(name) {
            return Err(FaultCode::AlreadyAdded.of(name));
        }
        self.check_new_group(&group)?;
        Ok(group)
    }

    /// Adds a group of the configuration and starts its autostart processes.
    fn handle_add_group(&mut self, group: &Arc<GroupSpec>, now: Now, out: &mut Actions) -> Reply {
        self.add_group(group, now, out);
        self.index_processes(&group.name, None);
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
        let Some(name) = self.requests.take(ticket, |pending| match pending {
            Pending::AddGroup(name) => Ok(name),
            other => Err(other),
        }) else {
            return;
        };
        // The state may have changed since the request, so check again.
        let answer = match result {
            _ if self.daemon.state != SupervisorState::Running => {
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

/// Emits the only action of a request that concerns the whole daemon.
fn emit(action: Action, scope: &AccessScope, out: &mut Actions) -> Result<Admission, Fault> {
    whole(scope)?;
    out.push(action);
    answered(Reply::Done)
}

fn publish(change: Change, scope: &AccessScope, out: &mut Actions) -> Result<Admission, Fault> {
    emit(Action::Publish(Arc::new(change)), scope, out)
}

const fn remote(kind: String, data: String) -> Change {
    Change::RemoteCommunication { kind, data }
}

fn rejected(text: RejectedText) -> Change {
    let RejectedText { item, md5, error } = text;
    Change::ConfigRejected { item, md5, error }
}

/// The result of admission.
enum Admission {
    /// The answer is known now.
    Answered(Reply),
    /// The request acts on these processes.
    Batch(Box<Batch>),
    /// The answer comes later. The ticket stays open.
    Taken,
    /// Send the answer, then stop everything.
    Shutdown,
}

/// The answer is this reply.
#[expect(
    clippy::unnecessary_wraps,
    reason = "the result of each arm in Fleet::admit"
)]
const fn answered(reply: Reply) -> Result<Admission, Fault> {
    Ok(Admission::Answered(reply))
}

/// The answer comes later if the request was begun.
fn taken(begun: Result<(), Fault>) -> Result<Admission, Fault> {
    begun.map(|()| Admission::Taken)
}
