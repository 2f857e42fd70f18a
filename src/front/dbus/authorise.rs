//! Who may make a call: one question to polkit, or several where it concerns several processes. What comes of it is the
//! `Access` of a `Caller`, which `control::grant` and the core apply as they do a rule of `allow=`.

use std::collections::HashMap;

use super::bus::{Bus, Sender, Whose};
use super::calls::{Call, Means};
use super::polkit::{Answer, action};
use super::refusal::Refusal;
use crate::api::{
    Access, Bound, Caller, Fault, FaultCode, Grant, LogOf, Permission, ProcessView, Reply, Request,
    Scope, Target,
};
use crate::domain::Namespec;
use crate::front::xmlrpc::apart;
use crate::sys;

/// Processes that polkit is asked about one by one for one call.
const MEMBERS_ASKED_MAX: usize = 64;

/// Whom a call concerns, as questions to polkit tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum About {
    /// The daemon as a whole.
    Whole,
    /// One group, which may not be active yet.
    Group(String),
    /// A program, `program` or `group:program`.
    Program(String),
    /// Processes, groups or everything.
    Targets(Vec<Target>),
}

impl About {
    /// Whom this call concerns.
    pub(super) fn of(bound: &Bound) -> Self {
        let one =
            |text: &String| Self::Targets(vec![Target::One(Namespec::parse(text), text.clone())]);
        match bound {
            Bound::Engine(request) | Bound::Wildcard(request, _) => match request {
                Request::Start { target, .. }
                | Request::Stop { target, .. }
                | Request::Signal { target, .. }
                | Request::ClearLogs(target) => Self::Targets(vec![target.clone()]),
                Request::RollingRestart { targets, .. } => Self::Targets(targets.clone()),
                Request::ProcessInfo(name) | Request::WriteStdin { name, .. } => one(name),
                Request::LogFile(LogOf::Process(name, _)) => one(name),
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
                | Request::LogFile(LogOf::Daemon)
                | Request::ClearDaemonLog
                | Request::RemoteEvent { .. }
                | Request::GroupNames
                | Request::WriteLog { .. } => Self::Whole,
            },
            Bound::ReadLog { of, .. } | Bound::TailLog { of, .. } => match of {
                LogOf::Daemon => Self::Whole,
                LogOf::Process(name, _) => one(name),
            },
            Bound::Constant(_)
            | Bound::ProcessTable(..)
            | Bound::ListMethods
            | Bound::MethodHelp(_)
            | Bound::MethodSignature(_)
            | Bound::Multicall(_) => Self::Whole,
        }
    }
}

/// What polkit is told besides the action.
#[derive(Debug, Clone, Default)]
struct Details {
    group: Option<String>,
    program: Option<String>,
    user: Option<String>,
}

/// One call that is being authorised.
struct Question<'a> {
    bus: &'a Bus,
    sender: &'a Sender,
    action: &'static str,
    verb: &'static str,
    dialog: bool,
}

impl Bus {
    /// The caller, with what it is granted for this call. `dialog`: it allows us to have a password asked for.
    ///
    /// # Errors
    /// It is refused, which has its audit line; or a process that is named is not there.
    pub(super) async fn authorise(
        &self,
        sender: &Sender,
        call: &'static Call,
        bound: &Bound,
        dialog: bool,
    ) -> Result<Caller, Refusal> {
        if sender.is_trusted() {
            return Ok(sender.caller(None));
        }
        let method = call
            .method()
            .ok_or_else(|| Refusal::unknown_method(call.name))?;
        let granted = match needed(call, method.permission) {
            _ if self.whose == Whose::Session => Err(Refusal::denied(
                "permission denied: this supervisord belongs to another user",
            )),
            None => Ok(Scope::All),
            Some(action) => {
                let question = Question {
                    bus: self,
                    sender,
                    action,
                    verb: call.verb,
                    dialog,
                };
                question.scope(&About::of(bound)).await
            }
        };
        match granted {
            Ok(scope) => {
                let mut access = vec![(method.permission, scope.clone())];
                if call.means == Means::Update {
                    // What it stops is only what the files no longer have as it is.
                    access.push((Permission::Control, scope));
                }
                Ok(sender.caller(Some(Access(access))))
            }
            Err(refusal) => {
                self.refused(sender, bound, &refusal.fault());
                Err(refusal)
            }
        }
    }
}

impl Bus {
    /// Refuses names that cannot be any before polkit or the engine hears of them.
    ///
    /// # Errors
    /// BAD_NAME, BAD_SIGNAL, which have their audit line.
    pub(super) fn check_names(&self, sender: &Sender, bound: &Bound) -> Result<(), Fault> {
        let request = bound.request();
        request
            .map_or(Ok(()), |request| request.check_names())
            .inspect_err(|fault| self.refused(sender, bound, fault))
    }

    /// Leaves the audit line of a call that was refused.
    pub(super) fn refused(&self, sender: &Sender, bound: &Bound, fault: &Fault) {
        if let Some(request) = bound.request() {
            let caller = sender.caller(None);
            self.door.control.refused(&caller, &request, fault);
        }
    }
}

/// The action that a call needs. The configuration is more than a state: files that only root reads may hold it, so it is
/// not free as in XML-RPC, where somebody let the caller in.
fn needed(call: &Call, permission: Permission) -> Option<&'static str> {
    if call.means == Means::Method("supervisor.getAllConfigInfo") {
        action(Permission::Configure)
    } else {
        action(permission)
    }
}

impl Question<'_> {
    /// For whom the caller is granted it.
    async fn scope(&self, about: &About) -> Result<Scope, Refusal> {
        let scope = match about {
            About::Whole => {
                self.must(Details::default()).await?;
                Scope::All
            }
            About::Group(name) => {
                let details = Details {
                    group: Some(name.clone()),
                    ..Details::default()
                };
                self.must(details).await?;
                Scope::Only(vec![whole(name)])
            }
            About::Program(text) => {
                let group = text.split_once(':').map(|(group, _)| group.to_owned());
                let details = Details {
                    group,
                    program: Some(text.clone()),
                    user: None,
                };
                self.must(details).await?;
                // The request names this program, and no other.
                Scope::All
            }
            About::Targets(targets) => self.targets(targets).await?,
        };
        // Time went by. Whoever was asked about must be there still, and be the same; a name on the bus is never given to
        // anybody else, so this is about having gone.
        let now = self.bus.ask_sender(&self.sender.name).await?;
        if now != *self.sender {
            return Err(Refusal::denied("the caller's identity has changed"));
        }
        Ok(scope)
    }

    async fn targets(&self, targets: &[Target]) -> Result<Scope, Refusal> {
        if targets.is_empty() {
            return Err(Refusal::invalid("no process name given"));
        }
        if targets.len() > MEMBERS_ASKED_MAX {
            return Err(too_many());
        }
        let mut granted = Vec::new();
        let mut refusal = None;
        for target in targets {
            let asked = match target {
                Target::One(_, text) => self.process(text).await.map(|name| vec![name]),
                Target::Group(name) => self.members(Some(name)).await,
                Target::All => match self.members(None).await {
                    Ok(names) if names.is_empty() => return Ok(Scope::All),
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
            _ => Ok(Scope::Only(granted)),
        }
    }

    /// One process. Its name is what is granted, and the core looks it up again when it acts.
    async fn process(&self, text: &str) -> Result<Namespec, Refusal> {
        let view = self.look(text).await?;
        self.must(self.details(&view).await).await?;
        let again = self.look(text).await?;
        if again.uid != view.uid {
            return Err(Refusal::denied(format!("the user of {text} has changed")));
        }
        Ok(exactly(&view))
    }

    /// A group, or everything (which is answered as nothing in particular), or those processes of it that are granted one
    /// by one. Nobody is shown a dialog for each.
    async fn members(&self, group: Option<&str>) -> Result<Vec<Namespec>, Refusal> {
        let details = Details {
            group: group.map(str::to_owned),
            ..Details::default()
        };
        let refusal = match self.must(details).await {
            Ok(()) => return Ok(group.map(whole).into_iter().collect()),
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
            if self.ask(&details, false).await? == Answer::Yes {
                granted.push(exactly(view));
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
    async fn must(&self, details: Details) -> Result<(), Refusal> {
        let denied = |why: &str| Refusal::denied(format!("{why}: {}", self.action));
        match self.ask(&details, false).await? {
            Answer::Yes => return Ok(()),
            Answer::No => return Err(denied("polkit denied permission")),
            Answer::Challenge if self.dialog => {}
            Answer::Challenge => {
                return Err(Refusal::needs_dialog(format!(
                    "polkit needs a password dialog, which the caller does not allow: {}",
                    self.action
                )));
            }
        }
        let _place = self.bus.limits.dialog(self.sender.uid)?;
        match self.ask(&details, true).await? {
            Answer::Yes => Ok(()),
            Answer::No => Err(denied("polkit denied permission")),
            Answer::Challenge => Err(denied("no polkit agent could ask for a password")),
        }
    }

    async fn ask(&self, details: &Details, dialog: bool) -> Result<Answer, Refusal> {
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
            .map_err(|why| Refusal::denied(format!("permission denied: {why}")))
    }

    /// What is told of a process: `user` is whom it runs as.
    async fn details(&self, view: &ProcessView) -> Details {
        let uid = view.uid.unwrap_or_else(sys::effective_uid);
        // A name service may stall.
        let name = apart(move || {
            let user = nix::unistd::User::from_uid(nix::unistd::Uid::from_raw(uid));
            user.ok().flatten().map(|user| user.name)
        });
        Details {
            group: Some(view.group.to_string()),
            program: Some(Namespec::print(view.group.as_str(), view.name.as_str())),
            user: Some(name.await.flatten().unwrap_or_else(|| uid.to_string())),
        }
    }

    async fn look(&self, text: &str) -> Result<ProcessView, Refusal> {
        let mut views = self.asked(Request::ProcessInfo(text.to_owned())).await?;
        let view = views.pop();
        view.ok_or_else(|| FaultCode::BadName.of(text).into())
    }

    async fn views(&self) -> Result<Vec<ProcessView>, Refusal> {
        Ok(self.asked(Request::AllProcessInfo).await?)
    }

    /// Looks, which the caller may do too.
    async fn asked(&self, request: Request) -> Result<Vec<ProcessView>, Fault> {
        let grant = Grant::all(Permission::Status);
        let control = &self.bus.door.control;
        match control.call(Caller::DAEMON, grant, request).await? {
            Reply::Processes(views) => Ok(views),
            _ => Err(FaultCode::Failed.bare()),
        }
    }
}

fn whole(group: &str) -> Namespec {
    Namespec {
        group: group.to_owned(),
        process: None,
    }
}

fn exactly(view: &ProcessView) -> Namespec {
    Namespec {
        group: view.group.to_string(),
        process: Some(view.name.to_string()),
    }
}

fn too_many() -> Refusal {
    Refusal::denied(format!(
        "permission denied for the whole group, and polkit is asked about at most {MEMBERS_ASKED_MAX} processes one by one"
    ))
}
