//! Who may make a call: one question to polkit, or several where it concerns several processes. What comes of it is the
//! `Access` of a `Caller`, which `control::grant_for` and the core apply as they do a rule of `allow=`.

use std::collections::HashMap;

use super::bus::{BusConnection, BusKind, BusSender};
use super::error::BusError;
use super::interface::{BusMethod, CallBinding};
use super::polkit::{PolkitAnswer, action_for};
use crate::api::{
    Access, AccessScope, BoundCall, Caller, Fault, FaultCode, Grant, LogRef, Permission,
    ProcessView, Reply, Request, RequestTarget,
};
use crate::domain::Namespec;
use crate::server::xmlrpc::run_blocking;
use crate::sys;

/// Processes that polkit is asked about one by one for one call.
const MEMBERS_ASKED_MAX: usize = 64;

/// Whom a call concerns, as questions to polkit tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum CallSubject {
    /// The daemon as a whole.
    Whole,
    /// One group, which may not be active yet.
    Group(String),
    /// A program, `program` or `group:program`.
    Program(String),
    /// Processes, groups or everything.
    Targets(Vec<RequestTarget>),
}

impl CallSubject {
    /// Whom this call concerns.
    pub(super) fn of(bound: &BoundCall) -> Self {
        let one = |text: &String| {
            Self::Targets(vec![RequestTarget::One(
                Namespec::parse(text),
                text.clone(),
            )])
        };
        match bound {
            BoundCall::Engine(request) | BoundCall::Wildcard(request, _) => match request {
                Request::Start { target, .. }
                | Request::Stop { target, .. }
                | Request::Signal { target, .. }
                | Request::ClearLogs(target) => Self::Targets(vec![target.clone()]),
                Request::RollingRestart { targets, .. } => Self::Targets(targets.clone()),
                Request::ProcessInfo(name) | Request::WriteStdin { name, .. } => one(name),
                Request::LogFile(LogRef::Process(name, _)) => one(name),
                Request::AddGroup(group)
                | Request::RemoveGroup(group)
                | Request::AddProgram { group, .. }
                | Request::RemoveProcess { group, .. } => Self::Group(group.clone()),
                Request::SetNumprocs { program, .. } => Self::Program(program.clone()),
                Request::State
                | Request::Pid
                | Request::Identification
                | Request::AllProcessInfo
                | Request::SomeProcessInfo(_)
                | Request::AllConfigInfo
                | Request::Reread
                | Request::ConfigProblems
                | Request::Shutdown
                | Request::Restart
                | Request::Upgrade
                | Request::Generation
                | Request::LogFile(LogRef::Daemon)
                | Request::ClearDaemonLog
                | Request::RemoteEvent { .. }
                | Request::GroupNames
                | Request::WriteLog { .. } => Self::Whole,
            },
            BoundCall::ReadLog { of, .. } | BoundCall::TailLog { of, .. } => match of {
                LogRef::Daemon => Self::Whole,
                LogRef::Process(name, _) => one(name),
            },
            BoundCall::Constant(_)
            | BoundCall::ProcessTable(..)
            | BoundCall::ListMethods
            | BoundCall::MethodHelp(_)
            | BoundCall::MethodSignature(_)
            | BoundCall::Multicall(_) => Self::Whole,
        }
    }
}

/// What polkit is told besides the action.
#[derive(Debug, Clone, Default)]
struct PolkitDetails {
    group: Option<String>,
    program: Option<String>,
    user: Option<String>,
}

/// One call that is being authorised.
struct Authorization<'a> {
    bus: &'a BusConnection,
    sender: &'a BusSender,
    action: &'static str,
    verb: &'static str,
    dialog: bool,
}

impl BusConnection {
    /// The caller, with what it is granted for this call. `dialog`: it allows us to have a password asked for.
    ///
    /// # Errors
    /// It is refused, which has its audit line; or a process that is named is not there.
    pub(super) async fn authorise(
        &self,
        sender: &BusSender,
        call: &'static BusMethod,
        bound: &BoundCall,
        dialog: bool,
    ) -> Result<Caller, BusError> {
        if sender.is_trusted() {
            return Ok(sender.caller(None));
        }
        let method = call
            .method()
            .ok_or_else(|| BusError::unknown_method(call.name))?;
        let granted = match needed_action(call, method.permission) {
            _ if self.kind == BusKind::Session => Err(BusError::denied(
                "permission denied: this supervisord belongs to another user",
            )),
            None => Ok(AccessScope::All),
            Some(action) => {
                let question = Authorization {
                    bus: self,
                    sender,
                    action,
                    verb: call.verb,
                    dialog,
                };
                question.grant_scope(&CallSubject::of(bound)).await
            }
        };
        match granted {
            Ok(scope) => {
                let mut access = vec![(method.permission, scope.clone())];
                if call.binding == CallBinding::Update {
                    // What it stops is only what the files no longer have as it is.
                    access.push((Permission::Control, scope));
                }
                Ok(sender.caller(Some(Access(access))))
            }
            Err(refusal) => {
                self.audit_refusal(sender, bound, &refusal.to_fault());
                Err(refusal)
            }
        }
    }
}

impl BusConnection {
    /// Refuses names that cannot be any before polkit or the engine hears of them.
    ///
    /// # Errors
    /// BAD_NAME, BAD_SIGNAL, which have their audit line.
    pub(super) fn check_names(&self, sender: &BusSender, bound: &BoundCall) -> Result<(), Fault> {
        let request = bound.request();
        request
            .map_or(Ok(()), |request| request.check_names())
            .inspect_err(|fault| self.audit_refusal(sender, bound, fault))
    }

    /// Leaves the audit line of a call that was refused.
    pub(super) fn audit_refusal(&self, sender: &BusSender, bound: &BoundCall, fault: &Fault) {
        if let Some(request) = bound.request() {
            let caller = sender.caller(None);
            self.context.control.audit_refusal(&caller, &request, fault);
        }
    }
}

/// The action that a call needs. The configuration is more than a state: files that only root reads may hold it, so it is
/// not free as in XML-RPC, where somebody let the caller in.
fn needed_action(call: &BusMethod, permission: Permission) -> Option<&'static str> {
    if call.binding == CallBinding::Method("supervisor.getAllConfigInfo") {
        action_for(Permission::Configure)
    } else {
        action_for(permission)
    }
}

impl Authorization<'_> {
    /// For whom the caller is granted it.
    async fn grant_scope(&self, about: &CallSubject) -> Result<AccessScope, BusError> {
        let scope = match about {
            CallSubject::Whole => {
                self.require(PolkitDetails::default()).await?;
                AccessScope::All
            }
            CallSubject::Group(name) => {
                let details = PolkitDetails {
                    group: Some(name.clone()),
                    ..PolkitDetails::default()
                };
                self.require(details).await?;
                AccessScope::Only(vec![whole_group(name)])
            }
            CallSubject::Program(text) => {
                let group = text.split_once(':').map(|(group, _)| group.to_owned());
                let details = PolkitDetails {
                    group,
                    program: Some(text.clone()),
                    user: None,
                };
                self.require(details).await?;
                // The request names this program, and no other.
                AccessScope::All
            }
            CallSubject::Targets(targets) => self.grant_targets(targets).await?,
        };
        // Time went by. Whoever was asked about must be there still, and be the same; a name on the bus is never given to
        // anybody else, so this is about having gone.
        let now = self.bus.ask_sender(&self.sender.name).await?;
        if now != *self.sender {
            return Err(BusError::denied("the caller's identity has changed"));
        }
        Ok(scope)
    }

    async fn grant_targets(&self, targets: &[RequestTarget]) -> Result<AccessScope, BusError> {
        if targets.is_empty() {
            return Err(BusError::invalid("no process name given"));
        }
        if targets.len() > MEMBERS_ASKED_MAX {
            return Err(too_many());
        }
        let mut granted = Vec::new();
        let mut refusal = None;
        for target in targets {
            let asked = match target {
                RequestTarget::One(_, text) => {
                    self.grant_process(text).await.map(|name| vec![name])
                }
                RequestTarget::Group(name) => self.grant_members(Some(name)).await,
                RequestTarget::All => match self.grant_members(None).await {
                    Ok(names) if names.is_empty() => return Ok(AccessScope::All),
                    other => other,
                },
            };
            match asked {
                Ok(names) => granted.extend(names),
                // With several targets the core tells of each that is not granted.
                Err(why) => refusal = Some(why),
            }
        }
        match refusal {
            Some(refusal) if granted.is_empty() => Err(refusal),
            _ => Ok(AccessScope::Only(granted)),
        }
    }

    /// One process. Its name is what is granted, and the core looks it up again when it acts.
    async fn grant_process(&self, text: &str) -> Result<Namespec, BusError> {
        let view = self.find_process(text).await?;
        self.require(self.details(&view).await).await?;
        let again = self.find_process(text).await?;
        if again.uid != view.uid {
            return Err(BusError::denied(format!("the user of {text} has changed")));
        }
        Ok(exact_name(&view))
    }

    /// A group, or everything (which is answered as nothing in particular), or those processes of it that are granted one
    /// by one. Nobody is shown a dialog for each.
    async fn grant_members(&self, group: Option<&str>) -> Result<Vec<Namespec>, BusError> {
        let details = PolkitDetails {
            group: group.map(str::to_owned),
            ..PolkitDetails::default()
        };
        let refusal = match self.require(details).await {
            Ok(()) => return Ok(group.map(whole_group).into_iter().collect()),
            Err(refusal) => refusal,
        };
        let mut views = self.views().await?;
        views.retain(|view| group.is_none_or(|group| view.group.as_str() == group));
        if views.len() > MEMBERS_ASKED_MAX {
            return Err(too_many());
        }
        let mut granted = Vec::new();
        for view in &views {
            let details = self.details(view).await;
            if self.ask_once(&details, false).await? == PolkitAnswer::Yes {
                granted.push(exact_name(view));
            }
        }
        if granted.is_empty() {
            return Err(refusal);
        }
        Ok(granted)
    }

    /// Asks, and a second time with a dialog if polkit would need one and the caller allows it: a polkit that hangs is found
    /// out by the first question, which does not wait for anybody to type.
    ///
    /// # Errors
    /// Anything but yes.
    async fn require(&self, details: PolkitDetails) -> Result<(), BusError> {
        let denied = |why: &str| BusError::denied(format!("{why}: {}", self.action));
        match self.ask_once(&details, false).await? {
            PolkitAnswer::Yes => return Ok(()),
            PolkitAnswer::No => return Err(denied("polkit denied permission")),
            PolkitAnswer::Challenge if self.dialog => {}
            PolkitAnswer::Challenge => {
                return Err(BusError::needs_dialog(format!(
                    "polkit needs a password dialog, which the caller does not allow: {}",
                    self.action
                )));
            }
        }
        let _place = self.bus.limits.acquire_dialog(self.sender.uid)?;
        match self.ask_once(&details, true).await? {
            PolkitAnswer::Yes => Ok(()),
            PolkitAnswer::No => Err(denied("polkit denied permission")),
            PolkitAnswer::Challenge => Err(denied("no polkit agent could ask for a password")),
        }
    }

    async fn ask_once(
        &self,
        details: &PolkitDetails,
        dialog: bool,
    ) -> Result<PolkitAnswer, BusError> {
        let mut told = HashMap::from([("verb", self.verb.to_owned())]);
        for (name, value) in [
            ("group", &details.group),
            ("program", &details.program),
            ("user", &details.user),
        ] {
            if let Some(value) = value {
                // polkit would close our connection's call for a NUL; no name of ours has one.
                told.insert(name, value.replace('\0', "\u{fffd}"));
            }
        }
        self.bus
            .ask_polkit(self.sender, self.action, &told, dialog)
            .await
            .map_err(|why| BusError::denied(format!("permission denied: {why}")))
    }

    /// What is told of a process: `user` is whom it runs as.
    async fn details(&self, view: &ProcessView) -> PolkitDetails {
        let uid = view.uid.unwrap_or_else(sys::effective_uid);
        // A name service may stall.
        let name = run_blocking(move || {
            let user = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid));
            user.ok().flatten().map(|user| user.name)
        });
        PolkitDetails {
            group: Some(view.group.to_string()),
            program: Some(Namespec::print(view.group.as_str(), view.name.as_str())),
            user: Some(name.await.flatten().unwrap_or_else(|| uid.to_string())),
        }
    }

    async fn find_process(&self, text: &str) -> Result<ProcessView, BusError> {
        let mut views = self
            .query_views(Request::ProcessInfo(text.to_owned()))
            .await?;
        let view = views.pop();
        view.ok_or_else(|| FaultCode::BadName.of(text).into())
    }

    async fn views(&self) -> Result<Vec<ProcessView>, BusError> {
        Ok(self.query_views(Request::AllProcessInfo).await?)
    }

    /// Looks, which the caller may do too.
    async fn query_views(&self, request: Request) -> Result<Vec<ProcessView>, Fault> {
        let grant = Grant::all(Permission::Status);
        let control = &self.bus.context.control;
        match control.call(Caller::DAEMON, grant, request).await? {
            Reply::Processes(views) => Ok(views),
            _ => Err(FaultCode::Failed.bare()),
        }
    }
}

fn whole_group(group: &str) -> Namespec {
    Namespec {
        group: group.to_owned(),
        process: None,
    }
}

fn exact_name(view: &ProcessView) -> Namespec {
    Namespec {
        group: view.group.to_string(),
        process: Some(view.name.to_string()),
    }
}

fn too_many() -> BusError {
    BusError::denied(format!(
        "permission denied for the whole group, and polkit is asked about at most {MEMBERS_ASKED_MAX} processes one by one"
    ))
}
