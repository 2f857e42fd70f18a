//! Action → effect. No decisions.

use std::sync::Arc;

use super::actor::{Engine, Hands};
use super::channels::AT_ONCE_MAX;
use crate::api::audit_line;
use crate::cgroup;
use crate::core::{Action, AuditLine, Input, SignalScope};
use crate::domain::{EventKind, QualifiedName, ResourceEvents};
use crate::output::{AdoptedStreams, OutputCommand};
use crate::spawn::SpawnJob;

impl Engine {
    pub(super) fn perform(&mut self, action: Action, hands: &Hands) {
        match action {
            // The next image begins these attempts anew.
            Action::Resolve(..)
            | Action::Prepare(..)
            | Action::PrepareNext(..)
            | Action::Spawn(..)
                if self.is_quieting() => {}
            Action::Resolve(instance, spec) => hands.spawn.send(SpawnJob::Resolve(instance, spec)),
            Action::Prepare(instance, spec, logs) => hands
                .output
                .send(OutputCommand::Prepare(instance, spec, logs)),
            Action::PrepareNext(instance, spec, logs) => {
                // First that, so that the thread which is about to drain finds both.
                let prepare = OutputCommand::PrepareNext(instance, Arc::clone(&spec), logs);
                hands.output.send(prepare);
                hands.spawn.send(SpawnJob::Resolve(instance, spec));
            }
            Action::Spawn(instance, spec) => {
                let plan = self.plans.remove(&instance);
                let ends = self.ends.remove(&instance);
                if let (Some(plan), Some(ends)) = (plan, ends) {
                    self.spawning.insert(instance);
                    let resources = Arc::clone(&spec.resources);
                    hands
                        .spawn
                        .send(SpawnJob::Spawn(instance, plan, ends, resources));
                }
            }
            Action::CallOff(instance) => hands.spawn.call_off(instance),
            Action::Adopt {
                instance,
                pid,
                spec,
                logs,
                listener,
            } => {
                let process = QualifiedName {
                    group: spec.group.clone(),
                    process: spec.name.clone(),
                };
                if let Some(process_cgroup) = self.cgroup_manager.reopen(&process) {
                    self.process_cgroups
                        .insert(instance, Arc::new(process_cgroup));
                }
                self.adopt(
                    |instance_state, inherited| {
                        let adoption = AdoptedStreams::new(
                            (instance, pid),
                            spec,
                            logs,
                            instance_state,
                            inherited,
                        );
                        adoption.of_listener(listener)
                    },
                    instance,
                    hands,
                );
            }
            Action::Upgrade(ticket) => self.examine(ticket),
            Action::Read(instance, pid) => hands.output.send(OutputCommand::Read(instance, pid)),
            Action::PollNotify(instance) => {
                let said = self.said(instance, AT_ONCE_MAX);
                self.caused.extend(said);
                self.caused.push_back(Input::NotifyPolled(instance));
            }
            Action::Signal {
                instance,
                signal,
                scope,
            } => {
                let result = self.send_signal(instance, signal, scope == SignalScope::Group);
                self.caused.push_back(Input::Signalled {
                    instance,
                    signal,
                    result,
                });
            }
            Action::Drain(instance) => {
                self.plans.remove(&instance);
                self.ends.remove(&instance);
                self.close_channel(instance, hands);
                if let Some(process_cgroup) = self.process_cgroups.remove(&instance)
                    && !process_cgroup.is_reused()
                {
                    self.attend_cgroup(cgroup::CgroupJob::Remove(process_cgroup), hands);
                }
                hands.output.send(OutputCommand::Drain(instance));
            }
            Action::Empty { instance, kill } => {
                let job = |process_cgroup| cgroup::CgroupJob::Empty {
                    instance,
                    process_cgroup,
                    kill,
                };
                let process_cgroup = self.process_cgroups.remove(&instance);
                if !process_cgroup
                    .is_some_and(|process_cgroup| self.attend_cgroup(job(process_cgroup), hands))
                {
                    let resource_events = ResourceEvents::NONE;
                    self.caused.push_back(Input::Emptied {
                        instance,
                        resource_events,
                    });
                }
            }
            Action::Limit(instance, resources) => {
                if let Some(process_cgroup) = self.process_cgroups.get(&instance) {
                    let process_cgroup = Arc::clone(process_cgroup);
                    self.attend_cgroup(cgroup::CgroupJob::Limit(process_cgroup, resources), hands);
                }
            }
            Action::Release(instance) => hands.spawn.send(SpawnJob::Release(instance)),
            Action::TrySockets(ticket, group) => {
                hands.spawn.send(SpawnJob::TrySockets(ticket, group))
            }
            Action::Check(ticket, spec) => hands.spawn.send(SpawnJob::Check(ticket, spec)),
            Action::CreateLogs(paths) => hands.output.send(OutputCommand::CreateLogs(paths)),
            Action::ClearLogs { ticket, slot, logs } => hands
                .output
                .send(OutputCommand::ClearLogs { ticket, slot, logs }),
            Action::ClearDaemonLog(ticket) => {
                hands.output.send(OutputCommand::ClearDaemonLog(ticket))
            }
            Action::ReopenLogs => {
                hands.output.send(OutputCommand::ReopenLogs);
                (self.check_sockets)();
            }
            Action::WriteStdin {
                ticket,
                instance,
                data,
            } => {
                hands.output.send(OutputCommand::WriteStdin {
                    ticket,
                    instance,
                    data,
                });
            }
            Action::Deliver(instance, envelope) => hands
                .output
                .send(OutputCommand::Deliver(instance, envelope)),
            Action::Report(events) => hands.output.send(OutputCommand::Report(events)),
            Action::Load(reason) => {
                // At once: a reading may be over before this turn of the loop is.
                self.systemd.hurry();
                self.attend_systemd(hands);
                self.loader.ask(reason, &self.sender, &hands.output);
            }
            Action::Compose(ticket, order) => {
                self.loader
                    .compose(ticket, order, &self.sender, &hands.output);
            }
            Action::Log(line) => hands.output.log(line),
            Action::Audit(audit) => {
                let AuditLine {
                    caller,
                    entry,
                    fault,
                } = audit;
                hands.output.log(audit_line(&caller, entry, fault.as_ref()));
            }
            Action::Publish(event) => {
                if matches!(event.kind, EventKind::GroupAdded | EventKind::GroupRemoved) {
                    self.systemd.hurry();
                }
                self.bus.publish(&event);
            }
            Action::Answer(ticket, result) => {
                if let Some(answer) = self.tickets.remove(&ticket) {
                    answer(result);
                }
            }
            Action::Finish(outcome) => self.outcome = Some(outcome),
        }
    }
}

impl Engine {
    /// Removes the cgroups of processes that are supervised no more.
    pub(super) fn leave_removed(&mut self, hands: &Hands) {
        for process in self.fleet.take_removed() {
            if let Some(process_cgroup) = self.cgroup_manager.take_reused(&process) {
                self.attend_cgroup(cgroup::CgroupJob::Remove(Arc::new(process_cgroup)), hands);
            }
        }
    }

    /// Gives a job to the thread of cgroups, which is started for the first one; answers whether it could be had.
    fn attend_cgroup(&mut self, job: cgroup::CgroupJob, hands: &Hands) -> bool {
        if self.cgroups.is_none() {
            let (answers, log) = (self.sender.clone(), hands.output.clone());
            // Without it cgroups stay as they are; the next job tries again.
            self.cgroups = cgroup::start(
                self.heartbeats.clone(),
                move |done| answers.emptied(done.instance, done.resource_events),
                move |line| log.log(line),
            )
            .ok();
        }
        match &self.cgroups {
            Some(cgroups) => {
                cgroups.send(job);
                true
            }
            None => false,
        }
    }
}
