//! Performs the actions of the core. It makes no decisions.

use std::sync::Arc;

use super::actor::{Engine, Workers};
use super::channels::AT_ONCE_MAX;
use crate::api::audit_line;
use crate::cgroup;
use crate::core::{Action, AuditLine, Input, SignalScope};
use crate::domain::{QualifiedName, ResourceEvents, StatusChange};
use crate::output::{AdoptedStreams, OutputCommand};
use crate::spawn::SpawnJob;

impl Engine {
    pub(super) fn perform(&mut self, action: Action, workers: &Workers) {
        match action {
            // The next daemon starts these attempts again.
            Action::Resolve(..)
            | Action::Prepare(..)
            | Action::PrepareNext(..)
            | Action::Spawn(..)
                if self.is_draining() => {}
            Action::Resolve(instance, spec) => {
                workers.spawn.send(SpawnJob::Resolve(instance, spec))
            }
            Action::Prepare(instance, spec, logs) => workers
                .output
                .send(OutputCommand::Prepare(instance, spec, logs)),
            Action::PrepareNext(instance, spec, logs) => {
                // Prepare first, so that the output thread, which also drains, gets both commands together.
                let prepare = OutputCommand::PrepareNext(instance, Arc::clone(&spec), logs);
                workers.output.send(prepare);
                workers.spawn.send(SpawnJob::Resolve(instance, spec));
            }
            Action::Spawn(instance, spec) => {
                let plan = self.plans.remove(&instance);
                let ends = self.ends.remove(&instance);
                if let (Some(plan), Some(ends)) = (plan, ends) {
                    self.spawning.insert(instance);
                    let resources = Arc::clone(&spec.resources);
                    workers
                        .spawn
                        .send(SpawnJob::Spawn(instance, plan, ends, resources));
                }
            }
            Action::CallOff(instance) => workers.spawn.call_off(instance),
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
                    workers,
                );
            }
            Action::Upgrade(ticket) => self.examine(ticket),
            Action::Read(instance, pid) => workers.output.send(OutputCommand::Read(instance, pid)),
            Action::PollNotify(instance) => {
                let said = self.read_notifications(instance, AT_ONCE_MAX);
                self.follow_ups.extend(said);
                self.follow_ups.push_back(Input::NotifyPolled(instance));
            }
            Action::Signal {
                instance,
                signal,
                scope,
            } => {
                let result = self.send_signal(instance, signal, scope == SignalScope::Group);
                self.follow_ups.push_back(Input::Signalled {
                    instance,
                    signal,
                    result,
                });
            }
            Action::Drain(instance) => {
                self.plans.remove(&instance);
                self.ends.remove(&instance);
                self.close_channel(instance, workers);
                if let Some(process_cgroup) = self.process_cgroups.remove(&instance)
                    && !process_cgroup.is_reused()
                {
                    self.send_cgroup_job(cgroup::CgroupJob::Remove(process_cgroup), workers);
                }
                workers.output.send(OutputCommand::Drain(instance));
            }
            Action::Empty { instance, kill } => {
                let job = |process_cgroup| cgroup::CgroupJob::Empty {
                    instance,
                    process_cgroup,
                    kill,
                };
                let process_cgroup = self.process_cgroups.remove(&instance);
                if !process_cgroup.is_some_and(|process_cgroup| {
                    self.send_cgroup_job(job(process_cgroup), workers)
                }) {
                    let resource_events = ResourceEvents::NONE;
                    self.follow_ups.push_back(Input::Emptied {
                        instance,
                        resource_events,
                    });
                }
            }
            Action::Limit(instance, resources) => {
                if let Some(process_cgroup) = self.process_cgroups.get(&instance) {
                    let process_cgroup = Arc::clone(process_cgroup);
                    self.send_cgroup_job(
                        cgroup::CgroupJob::Limit(process_cgroup, resources),
                        workers,
                    );
                }
            }
            Action::Release(instance) => workers.spawn.send(SpawnJob::Release(instance)),
            Action::TrySockets(ticket, group) => {
                workers.spawn.send(SpawnJob::TrySockets(ticket, group))
            }
            Action::Check(ticket, spec) => workers.spawn.send(SpawnJob::Check(ticket, spec)),
            Action::CreateLogs(paths) => workers.output.send(OutputCommand::CreateLogs(paths)),
            Action::ClearLogs { ticket, slot, logs } => workers
                .output
                .send(OutputCommand::ClearLogs { ticket, slot, logs }),
            Action::ClearDaemonLog(ticket) => {
                workers.output.send(OutputCommand::ClearDaemonLog(ticket))
            }
            Action::ReopenLogs => {
                workers.output.send(OutputCommand::ReopenLogs);
                (self.check_sockets)();
            }
            Action::WriteStdin {
                ticket,
                instance,
                data,
            } => {
                workers.output.send(OutputCommand::WriteStdin {
                    ticket,
                    instance,
                    data,
                });
            }
            Action::Deliver(instance, envelope) => workers
                .output
                .send(OutputCommand::Deliver(instance, envelope)),
            Action::Report(events) => workers.output.send(OutputCommand::Report(events)),
            Action::Load(reason) => {
                // Update at once: the reading may finish before this turn of the loop ends.
                self.systemd.mark_urgent();
                self.update_systemd(workers);
                self.loader.load(reason, &self.sender, &workers.output);
            }
            Action::Compose(ticket, order) => {
                self.loader
                    .compose(ticket, order, &self.sender, &workers.output);
            }
            Action::Log(line) => workers.output.log(line),
            Action::Audit(audit) => {
                let AuditLine {
                    caller,
                    entry,
                    fault,
                } = audit;
                workers
                    .output
                    .log(audit_line(&caller, entry, fault.as_ref()));
            }
            Action::Publish(change) => {
                if change.status() == Some(StatusChange::Groups) {
                    self.systemd.mark_urgent();
                }
                self.bus.publish(&change);
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
    /// Removes the cgroups of processes that were removed.
    pub(super) fn remove_cgroups(&mut self, workers: &Workers) {
        for process in self.fleet.take_removed() {
            if let Some(process_cgroup) = self.cgroup_manager.take_reused(&process) {
                self.send_cgroup_job(cgroup::CgroupJob::Remove(Arc::new(process_cgroup)), workers);
            }
        }
    }

    /// Sends a job to the `cgroups` thread and starts the thread for the first job. Returns whether it runs.
    fn send_cgroup_job(&mut self, job: cgroup::CgroupJob, workers: &Workers) -> bool {
        if self.cgroups.is_none() {
            let (answers, log) = (self.sender.clone(), workers.output.clone());
            // Without the thread, cgroups stay as they are. The next job tries to start it again.
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
