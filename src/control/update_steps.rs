//! `supervisorctl update` as one call: the same steps in the same order, each with its own audit line.

use std::collections::BTreeSet;

use super::handle::ControlHandle;
use crate::api::{Caller, Fault, FaultCode, Reply, Request, RequestTarget, find_method};
use crate::domain::GroupName;

/// An update on behalf of a caller.
pub struct UpdateSteps<'a> {
    /// The engine.
    pub control: &'a ControlHandle,
    /// Who updates.
    pub caller: &'a Caller,
}

impl UpdateSteps<'_> {
    /// Rereads the configuration and applies the changes of `groups`, or of all groups if it is empty. Returns the
    /// same as `supervisor.reloadConfig`, limited to what was applied. `active`: the names of the active groups.
    ///
    /// # Errors
    /// BAD_NAME for an unknown group, before anything is changed. FAILED if processes of a group could not be
    /// stopped; the other groups are done by then. Any other fault of a step, which ends the update.
    pub async fn update_groups(
        &self,
        groups: &[String],
        active: &[GroupName],
    ) -> Result<Reply, Fault> {
        let reply = self.audited_step("supervisor.reloadConfig", Request::Reread);
        self.apply(reply.await?, groups, active).await
    }

    /// The same for all groups, if the plan of the update still has this identifier.
    ///
    /// # Errors
    /// FAILED if it has another one, before anything is changed; otherwise as [`UpdateSteps::update_groups`].
    pub async fn update_as_planned(&self, plan: String) -> Result<Reply, Fault> {
        let request = Request::RereadIfPlan(plan);
        let reply = self.audited_step("supervisord.reloadConfigIfPlan", request);
        self.apply(reply.await?, &[], &[]).await
    }

    /// Applies the changes of `groups` that were read.
    async fn apply(
        &self,
        read: Reply,
        groups: &[String],
        active: &[GroupName],
    ) -> Result<Reply, Fault> {
        let Reply::Diff {
            added,
            changed,
            removed,
        } = read
        else {
            return Err(FaultCode::Failed.bare());
        };
        let wanted: BTreeSet<&str> = groups.iter().map(String::as_str).collect();
        if !wanted.is_empty() {
            let mut known = active.iter().chain(&added).map(GroupName::as_str);
            let known: BTreeSet<&str> = known.by_ref().collect();
            if let Some(unknown) = wanted.difference(&known).next() {
                return Err(FaultCode::BadName.of(*unknown));
            }
        }
        let chosen = |names: Vec<GroupName>| -> Vec<GroupName> {
            let is_wanted = |name: &GroupName| wanted.is_empty() || wanted.contains(name.as_str());
            names.into_iter().filter(is_wanted).collect()
        };
        let [added, changed, removed] = [added, changed, removed].map(chosen);
        let mut stuck = Vec::new();
        let partial = self.update_in_part(&changed, &mut stuck).await?;
        let whole = changed.iter().filter(|name| !partial.contains(*name));
        for name in removed.iter().chain(whole) {
            if !self.stop_group(name).await? {
                stuck.push(name.to_string());
                continue;
            }
            let name = name.to_string();
            let remove = Request::RemoveGroup(name.clone());
            self.audited_step("supervisor.removeProcessGroup", remove)
                .await?;
            if changed.iter().any(|changed| changed.as_str() == name) {
                let add = Request::AddGroup(name);
                self.audited_step("supervisor.addProcessGroup", add).await?;
            }
        }
        for name in &added {
            let add = Request::AddGroup(name.to_string());
            self.audited_step("supervisor.addProcessGroup", add).await?;
        }
        if !stuck.is_empty() {
            let text = format!(
                "processes could not be stopped or updated, of {}",
                stuck.join(", ")
            );
            return Err(FaultCode::Failed.of(text));
        }
        Ok(Reply::Diff {
            added,
            changed,
            removed,
        })
    }

    /// Updates the groups of `changed` that can be updated without stopping all their processes. Returns them; `stuck`
    /// gets those with a process that failed.
    async fn update_in_part(
        &self,
        changed: &[GroupName],
        stuck: &mut Vec<String>,
    ) -> Result<BTreeSet<GroupName>, Fault> {
        let names = changed.iter().map(GroupName::to_string).collect();
        let request = Request::PartialUpdates(names);
        let mut partial = BTreeSet::new();
        let reply = self.audited_step("supervisord.getPartialUpdates", request);
        let Reply::Lines(lines) = reply.await? else {
            return Err(FaultCode::Failed.bare());
        };
        for line in &lines {
            let Some((text, how)) = line.split_once('\t') else {
                continue;
            };
            let Some(name) = changed.iter().find(|name| name.as_str() == text) else {
                continue;
            };
            let (method, request) = match how {
                "rolling" => (
                    "supervisord.updateProcessGroup",
                    Request::UpdateGroup(text.to_owned()),
                ),
                _ => (
                    "supervisord.resetNumprocs",
                    Request::ResetNumprocs(text.to_owned()),
                ),
            };
            if let Reply::Results(results) = self.audited_step(method, request).await?
                && results.iter().any(|result| result.fault.is_some())
            {
                stuck.push(text.to_owned());
            }
            partial.insert(name.clone());
        }
        Ok(partial)
    }

    /// Stops a group. Returns whether all its processes have stopped.
    async fn stop_group(&self, name: &GroupName) -> Result<bool, Fault> {
        let stop = Request::Stop {
            target: RequestTarget::Group(name.to_string()),
            wait: true,
        };
        match self
            .audited_step("supervisor.stopProcessGroup", stop)
            .await?
        {
            Reply::Results(results) => Ok(!results.iter().any(|result| {
                let fault = result.fault.as_ref();
                fault.is_some_and(|fault| fault.code == FaultCode::Failed)
            })),
            _ => Err(FaultCode::Failed.bare()),
        }
    }

    async fn audited_step(&self, name: &str, request: Request) -> Result<Reply, Fault> {
        let method = find_method(name).ok_or_else(|| FaultCode::UnknownMethod.bare())?;
        self.control.ask(self.caller, method, request).await
    }
}
