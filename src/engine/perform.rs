//! Performs the actions of the core. It makes no decisions.

use super::actor::{Engine, Workers};
use super::channels::AT_ONCE_MAX;
use crate::api::audit_line;
use crate::core::{Action, Input, SignalScope};
use crate::domain::{QualifiedName, ResourceEvents, StatusChange};
use crate::effects::{LoaderEffect, OutputEffect, ScriptEffect, SpawnerEffect};
use crate::output::{AdoptedStreams, OutputCommand};
use crate::spawn::SpawnJob;

impl Engine {
    pub(super) fn perform(&mut self, action: Action, workers: &Workers) {
        match action {
            Action::Output(effect) => self.perform_output(effect, workers),
            Action::Spawner(effect) => self.perform_spawner(effect, workers),
            Action::Loader(effect) => self.perform_loader(effect, workers),
            Action::Script(effect) => self.perform_script(effect, workers),
            Action::Spawn(instance, spec) => {
                if !self.upgrade.is_draining()
                    && let Some(job) = self.attempts.spawn(instance, spec.resources.clone())
                {
                    workers.spawn.send(job);
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
                self.cgroups.reopen(instance, &process);
                self.adopt(instance, workers, |streams, inherited| {
                    AdoptedStreams::new((instance, pid), spec, logs, streams, inherited)
                        .of_listener(listener)
                });
            }
            Action::Upgrade(ticket) => self.examine(ticket),
            Action::PollNotify(instance) => {
                let (children, poller) = (&mut self.children, &self.poller);
                let notified = children.read_notifications(instance, AT_ONCE_MAX, poller);
                self.follow_ups.extend(notified);
                self.follow_ups.push_back(Input::NotifyPolled(instance));
            }
            Action::Signal {
                instance,
                signal,
                scope,
            } => {
                let is_group = scope == SignalScope::Group;
                let result = self.children.send_signal(instance, signal, is_group);
                self.follow_ups.push_back(Input::Signalled {
                    instance,
                    signal,
                    result,
                });
            }
            Action::Empty { instance, kill } => {
                if !self.cgroups.empty(instance, kill, &workers.output) {
                    let resource_events = ResourceEvents::NONE;
                    self.follow_ups.push_back(Input::Emptied {
                        instance,
                        resource_events,
                    });
                }
            }
            Action::Limit(instance, limits) => {
                self.cgroups.limit(instance, limits, &workers.output);
            }
            Action::StoreRuns(process, runs) => self.store_runs(process, runs, workers),
            Action::Log(line) => workers.output.log(line),
            Action::Audit(audit) => {
                let line = audit_line(&audit.caller, audit.entry, audit.fault.as_ref());
                workers.output.log(line);
            }
            Action::Publish(change) => {
                if change.status() == Some(StatusChange::Groups) {
                    self.systemd.mark_urgent();
                }
                self.bus.publish(&change);
            }
            Action::Answer(ticket, result) => self.clients.answer(ticket, result),
            Action::Finish(outcome) => self.outcome = Some(outcome),
        }
    }

    /// Sends an effect to the output threads, and does the engine's part of it.
    fn perform_output(&mut self, effect: OutputEffect, workers: &Workers) {
        match &effect {
            // The next daemon starts these attempts again.
            OutputEffect::Prepare(..) | OutputEffect::PrepareNext(..)
                if self.upgrade.is_draining() =>
            {
                return;
            }
            OutputEffect::Drain(instance) => {
                self.attempts.drop_parts(*instance);
                self.close_channel(*instance, workers);
                self.cgroups.remove(*instance, &workers.output);
            }
            OutputEffect::ReopenLogs => (self.check_sockets)(),
            _ => {}
        }
        workers.output.send(OutputCommand::Effect(effect));
    }

    /// Sends an effect to the spawner threads.
    fn perform_spawner(&mut self, effect: SpawnerEffect, workers: &Workers) {
        // The next daemon starts these attempts again.
        if !(self.upgrade.is_draining() && matches!(effect, SpawnerEffect::Resolve(..))) {
            workers.spawn.send(SpawnJob::Effect(effect));
        }
    }

    /// Sends an effect to the script thread. A next daemon runs the scripts again that it needs.
    fn perform_script(&mut self, effect: ScriptEffect, workers: &Workers) {
        if !self.upgrade.is_draining() {
            let outcome = self.scripts.perform(effect, &workers.spawn);
            self.follow_ups.extend(outcome);
        }
    }

    /// Sends an effect to the loader.
    fn perform_loader(&mut self, effect: LoaderEffect, workers: &Workers) {
        if matches!(effect, LoaderEffect::Load(_)) {
            // Update at once: the reading may finish before this turn of the loop ends.
            self.systemd.mark_urgent();
            self.update_systemd(workers);
        }
        self.loader.perform(effect, &self.sender, &workers.output);
    }
}
