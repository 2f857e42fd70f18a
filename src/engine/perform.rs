//! Action → effect. No decisions.

use std::sync::Arc;

use super::actor::{Engine, Hands};
use super::channels::AT_ONCE_MAX;
use crate::api::audit_line;
use crate::cgroup;
use crate::core::{Action, AuditLine, Input, SignalScope};
use crate::domain::{EventKind, QualifiedName, ResourceEvents};
use crate::output::{Adoption, Command};
use crate::spawn::Job;

impl Engine {
    pub(super) fn perform(&mut self, action: Action, hands: &Hands) {
        match action {
            // The next image begins these attempts anew.
            Action::Resolve(..)
            | Action::Prepare(..)
            | Action::PrepareNext(..)
            | Action::Spawn(..)
                if self.is_quieting() => {}
            Action::Resolve(instance, spec) => hands.spawn.send(Job::Resolve(instance, spec)),
            Action::Prepare(instance, spec, logs) => {
                hands.output.send(Command::Prepare(instance, spec, logs))
            }
            Action::PrepareNext(instance, spec, logs) => {
                // First that, so that the thread which is about to drain finds both.
                let prepare = Command::PrepareNext(instance, Arc::clone(&spec), logs);
                hands.output.send(prepare);
                hands.spawn.send(Job::Resolve(instance, spec));
            }
            Action::Spawn(instance, spec) => {
                let plan = self.plans.remove(&instance);
                let ends = self.ends.remove(&instance);
                if let (Some(plan), Some(ends)) = (plan, ends) {
                    self.spawning.insert(instance);
                    let resources = Arc::clone(&spec.resources);
                    hands
                        .spawn
                        .send(Job::Spawn(instance, plan, ends, resources));
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
                if let Some(seat) = self.lodging.reseat(&process) {
                    self.seats.insert(instance, Arc::new(seat));
                }
                self.adopt(
                    |remains, inherited| {
                        let adoption =
                            Adoption::new((instance, pid), spec, logs, remains, inherited);
                        adoption.of_listener(listener)
                    },
                    instance,
                    hands,
                );
            }
            Action::Upgrade(ticket) => self.examine(ticket),
            Action::Read(instance, pid) => hands.output.send(Command::Read(instance, pid)),
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
                if let Some(seat) = self.seats.remove(&instance)
                    && !seat.is_kept()
                {
                    self.attend_cgroup(cgroup::Job::Leave(seat), hands);
                }
                hands.output.send(Command::Drain(instance));
            }
            Action::Empty { instance, kill } => {
                let job = |seat| cgroup::Job::Empty {
                    instance,
                    seat,
                    kill,
                };
                let seat = self.seats.remove(&instance);
                if !seat.is_some_and(|seat| self.attend_cgroup(job(seat), hands)) {
                    let resource_events = ResourceEvents::NONE;
                    self.caused.push_back(Input::Emptied {
                        instance,
                        resource_events,
                    });
                }
            }
            Action::Limit(instance, resources) => {
                if let Some(seat) = self.seats.get(&instance) {
                    let seat = Arc::clone(seat);
                    self.attend_cgroup(cgroup::Job::Limit(seat, resources), hands);
                }
            }
            Action::Release(instance) => hands.spawn.send(Job::Release(instance)),
            Action::TrySockets(ticket, group) => hands.spawn.send(Job::TrySockets(ticket, group)),
            Action::Check(ticket, spec) => hands.spawn.send(Job::Check(ticket, spec)),
            Action::CreateLogs(paths) => hands.output.send(Command::CreateLogs(paths)),
            Action::ClearLogs { ticket, slot, logs } => {
                hands.output.send(Command::ClearLogs { ticket, slot, logs })
            }
            Action::ClearDaemonLog(ticket) => hands.output.send(Command::ClearDaemonLog(ticket)),
            Action::ReopenLogs => {
                hands.output.send(Command::ReopenLogs);
                (self.check_sockets)();
            }
            Action::WriteStdin {
                ticket,
                instance,
                data,
            } => {
                hands.output.send(Command::WriteStdin {
                    ticket,
                    instance,
                    data,
                });
            }
            Action::Deliver(instance, envelope) => {
                hands.output.send(Command::Deliver(instance, envelope))
            }
            Action::Report(events) => hands.output.send(Command::Report(events)),
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
            if let Some(seat) = self.lodging.take_kept(&process) {
                self.attend_cgroup(cgroup::Job::Leave(Arc::new(seat)), hands);
            }
        }
    }

    /// Gives a job to the thread of cgroups, which is started for the first one; answers whether it could be had.
    fn attend_cgroup(&mut self, job: cgroup::Job, hands: &Hands) -> bool {
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
