//! Authorises D-Bus calls through polkit, with several questions if a call concerns several processes. The result is
//! the `Access` of a `Caller`, which `control::grant_for` and the core apply like a rule of `allow=`.

use std::collections::HashMap;

use super::bus::BusConnection;
use super::error::BusError;
use super::interface::{BusMethod, CallBinding};
use super::polkit::{PolkitAnswer, action_for};
use super::sender::{BusKind, BusSender};
use crate::api::{
    Access, AccessScope, BoundCall, Caller, Fault, FaultCode, Grant, Permission, ProcessView,
    Reply, Request, RequestSubject, RequestTarget,
};
use crate::domain::Namespec;
use crate::http_server::blocking_pool::run_blocking;
use crate::sys;

/// Maximum number of processes that polkit is asked about individually for one call.
const MEMBERS_ASKED_MAX: usize = 64;

/// The details sent to polkit besides the action.
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
    /// Returns the caller with the access granted for this call. `dialog`: the caller allows polkit to ask for a
    /// password.
    ///
    /// # Errors
    /// The call is refused, which is written to the audit log, or a named process does not exist.
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
                question.grant_scope(&bound.subject()).await
            }
        };
        match granted {
            Ok(scope) => {
                let mut access = vec![(method.permission, scope.clone())];
                if call.binding == CallBinding::Update {
                    // An update stops only processes whose configuration has changed or is gone.
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
    /// Refuses invalid names before polkit or the engine sees them.
    ///
    /// # Errors
    /// BAD_NAME or BAD_SIGNAL, which are written to the audit log.
    pub(super) fn check_names(&self, sender: &BusSender, bound: &BoundCall) -> Result<(), Fault> {
        let request = bound.request();
        request
            .map_or(Ok(()), |request| request.check_names())
            .inspect_err(|fault| self.audit_refusal(sender, bound, fault))
    }

    /// Writes the audit line of a refused call.
    pub(super) fn audit_refusal(&self, sender: &BusSender, bound: &BoundCall, fault: &Fault) {
        if let Some(request) = bound.request() {
            let caller = sender.caller(None);
            self.context.control.audit_refusal(&caller, &request, fault);
        }
    }
}

/// The polkit action that a call needs. `None`: everybody may make it. The configuration may come from files that
/// only root can read, so reading it needs an action here. Over XML-RPC the caller has already passed the server's
/// own access check.
fn needed_action(call: &BusMethod, permission: Permission) -> Option<&'static str> {
    if call.binding == CallBinding::Method("supervisor.getAllConfigInfo") {
        action_for(Permission::Configure)
    } else {
        action_for(permission)
    }
}

impl Authorization<'_> {
    /// Determines the processes for which the caller is granted the action.
    async fn grant_scope(&self, about: &RequestSubject) -> Result<AccessScope, BusError> {
        let scope = match about {
            RequestSubject::Daemon => {
                self.require(PolkitDetails::default()).await?;
                AccessScope::All
            }
            RequestSubject::Group(name) => {
                let details = PolkitDetails {
                    group: Some(name.clone()),
                    ..PolkitDetails::default()
                };
                self.require(details).await?;
                AccessScope::Only(vec![whole_group(name)])
            }
            RequestSubject::Program(text) => {
                let group = text.split_once(':').map(|(group, _)| group.to_owned());
                let details = PolkitDetails {
                    group,
                    program: Some(text.clone()),
                    user: None,
                };
                self.require(details).await?;
                // The request names this program only.
                AccessScope::All
            }
            RequestSubject::Targets(targets) => self.grant_targets(targets).await?,
        };
        // The questions took time, so check that the caller still exists and is the same. The bus never reuses a
        // unique name, so in practice this detects that the caller has gone.
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
                // With several targets the core reports each target that is not granted.
                Err(why) => refusal = Some(why),
            }
        }
        match refusal {
            Some(refusal) if granted.is_empty() => Err(refusal),
            _ => Ok(AccessScope::Only(granted)),
        }
    }

    /// Authorises one process. The grant is by name, and the core looks the name up again when it acts.
    async fn grant_process(&self, text: &str) -> Result<Namespec, BusError> {
        let view = self.find_process(text).await?;
        self.require(self.details(&view).await).await?;
        let again = self.find_process(text).await?;
        if again.uid != view.uid {
            return Err(BusError::denied(format!("the user of {text} has changed")));
        }
        Ok(exact_name(&view))
    }

    /// Authorises a group, or all processes (an empty list), or else each of the processes individually. The
    /// individual questions open no dialog.
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

    /// Asks polkit, and a second time with a dialog if polkit needs one and the caller allows it. The first question
    /// needs no user, so it soon detects a polkit that hangs.
    ///
    /// # Errors
    /// Any answer but yes.
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
                // polkit would reject a NUL; none of our names contains one.
                told.insert(name, value.replace('\0', "\u{fffd}"));
            }
        }
        self.bus
            .ask_polkit(self.sender, self.action, &told, dialog)
            .await
            .map_err(|why| BusError::denied(format!("permission denied: {why}")))
    }

    /// The details of a process. `user` is the user that the process runs as.
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

    /// Reads states, which the caller may do as well.
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
