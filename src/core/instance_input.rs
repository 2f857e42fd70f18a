//! The inputs about one instance that concern the fleet too: answers for an attempt that may have been cancelled or may
//! have begun early, output, and the results of signals.

use std::sync::Arc;

use super::process::Process;
use super::stage::{AttemptStep, Stage};
use super::ticket::SignalPurpose;
use super::transitions::Trigger;
use super::{Action, Actions, Fleet, SignalScope};
use crate::api::FaultCode;
use crate::domain::{
    Change, Channel, Errno, ExitStatus, InstanceId, Line, Now, Signal, SpawnError,
};
use crate::effects::{OutputEffect, SpawnerEffect};

impl Fleet {
    /// Handles a command that was found, for the current attempt or for an early next one.
    pub(super) fn resolved(&mut self, instance: InstanceId, now: Now, out: &mut Actions) {
        if let Some((stage, next)) = self.slots.next_attempt(instance)
            && stage != Stage::attempt(instance, AttemptStep::Resolving)
        {
            next.is_resolved = true;
        } else if !self.update_instance(instance, Trigger::Resolved, now, out, Process::resolved) {
            // The attempt was cancelled. The holder of its plan must drop it.
            out.push(Action::Output(OutputEffect::Drain(instance)));
        }
    }

    /// Handles pipes and logs that are ready, for the current attempt or for an early next one.
    pub(super) fn prepared(&mut self, instance: InstanceId, now: Now, out: &mut Actions) {
        if let Some((stage, next)) = self.slots.next_attempt(instance)
            && stage != Stage::attempt(instance, AttemptStep::Preparing)
        {
            next.is_prepared = true;
        } else if !self.update_instance(instance, Trigger::Prepared, now, out, Process::prepared) {
            // The attempt was cancelled. The holder of its pipes must close them.
            out.push(Action::Output(OutputEffect::Drain(instance)));
        }
    }

    /// Handles a step that takes long, of the current attempt or of an early next one.
    pub(super) fn spawn_held(
        &mut self,
        instance: InstanceId,
        why: String,
        now: Now,
        out: &mut Actions,
    ) {
        if let Some((stage, next)) = self.slots.next_attempt(instance)
            && stage.instance() != Some(instance)
        {
            next.held_up = Some(why);
        } else {
            self.update_instance(instance, Trigger::Other, now, out, |process, ctx| {
                process.spawn_held(why, ctx);
            });
        }
    }

    /// Handles a created process. A process that is no longer wanted is killed.
    pub(super) fn spawned(&mut self, instance: InstanceId, pid: i32, now: Now, out: &mut Actions) {
        if !self.update_instance(instance, Trigger::Spawned, now, out, |process, ctx| {
            process.spawned(pid, ctx);
        }) {
            let signal = Signal::KILL;
            self.signals
                .push_back((instance, signal, SignalPurpose::Stray));
            out.push(Action::Signal {
                instance,
                signal,
                scope: SignalScope::Process,
            });
        }
    }

    /// Handles a failed step. If an early next attempt failed, it is dropped and repeated in order later.
    pub(super) fn spawn_failed(
        &mut self,
        instance: InstanceId,
        error: SpawnError,
        now: Now,
        out: &mut Actions,
    ) {
        if let Some((stage, _)) = self.slots.next_attempt(instance)
            && stage.instance() != Some(instance)
        {
            if let Some(process) = self.slots.get_mut(instance.slot) {
                process.run.next = None;
            }
            out.push(Action::Output(OutputEffect::Drain(instance)));
        } else {
            self.update_instance(instance, Trigger::SpawnFailed, now, out, |process, ctx| {
                process.spawn_failed(error, ctx);
            });
        }
    }

    /// Handles the exit of a process, which is reaped.
    pub(super) fn exited(
        &mut self,
        instance: InstanceId,
        status: ExitStatus,
        now: Now,
        out: &mut Actions,
    ) {
        if !self.update_instance(instance, Trigger::Exited, now, out, |process, ctx| {
            process.exited(status, ctx);
        }) {
            // No client or process waits for this exit, but the pipes must be closed.
            out.push(Action::Output(OutputEffect::Drain(instance)));
        }
    }

    /// Handles output that is written out.
    pub(super) fn drained(&mut self, instance: InstanceId, now: Now, out: &mut Actions) {
        let living = self.slots.process_of(instance);
        // The processes left in the cgroup may still write, so a drain was not requested yet.
        if living.is_some_and(|process| !process.run.stage.is_emptying()) {
            self.update_process(instance.slot, Trigger::Drained, now, out, Process::drained);
        }
        if self.slots.release_orphan(instance) {
            // The process was removed, so whether it had a socket is unknown. A release without a socket does nothing.
            out.push(Action::Spawner(SpawnerEffect::Release(instance)));
        }
    }

    /// Publishes an event with output of a process.
    pub(super) fn wrote(
        &mut self,
        instance: InstanceId,
        channel: Channel,
        data: Arc<[u8]>,
        captured: bool,
        out: &mut Actions,
    ) {
        let Some(process) = self.slots.process_of(instance) else {
            return;
        };
        let pid = process.run.stage.pid();
        let (group, process) = (process.spec.group.clone(), process.spec.name.clone());
        let change = if captured {
            Change::ProcessCommunication {
                group,
                process,
                channel,
                pid,
                data,
            }
        } else {
            Change::ProcessLog {
                group,
                process,
                channel,
                pid,
                data,
            }
        };
        Self::publish(out, change);
    }

    /// Handles the result of sending a signal.
    pub(super) fn signalled(
        &mut self,
        instance: InstanceId,
        signal: Signal,
        result: Result<(), Errno>,
        now: Now,
        out: &mut Actions,
    ) {
        let place = self
            .signals
            .iter()
            .position(|(whose, which, _)| *whose == instance && *which == signal);
        let Some((_, _, purpose)) = place.and_then(|place| self.signals.remove(place)) else {
            return;
        };
        let problem = match result {
            Ok(()) => None,
            Err(error) => self.signal_failed(instance, &purpose, error, now, out),
        };
        match purpose {
            SignalPurpose::Stop => {
                if problem.is_none() && self.slots.process_of(instance).is_some() {
                    self.update_process(
                        instance.slot,
                        Trigger::SignalSent,
                        now,
                        out,
                        Process::stop_sent,
                    );
                }
            }
            SignalPurpose::Client {
                ticket,
                index,
                process,
                group,
            } => {
                let fault = problem.map(|text| FaultCode::Failed.of(text));
                self.settle_member(ticket, index, true, &process, &group, fault, out);
            }
            SignalPurpose::Stray => {}
        }
    }

    /// Logs that a signal did not arrive. Returns the text for clients if the kernel refused it, and then makes the
    /// process UNKNOWN. `None`: the process is gone already.
    fn signal_failed(
        &mut self,
        instance: InstanceId,
        purpose: &SignalPurpose,
        error: Errno,
        now: Now,
        out: &mut Actions,
    ) -> Option<String> {
        let process = self.slots.process_of(instance)?;
        let name = process.spec.name.clone();
        let pid = process.run.stage.pid();
        let to_stop = matches!(purpose, SignalPurpose::Stop);
        if error == Errno::SRCH {
            // The exit will be reaped as usual.
            out.push(Action::Log(if to_stop {
                Line::SignalMissed { name, pid, error }
            } else {
                Line::SendMissed { name, pid, error }
            }));
            return None;
        }
        let error = error.to_string();
        let line = if to_stop {
            Line::KillProblem { name, pid, error }
        } else {
            Line::SendProblem { name, pid, error }
        };
        let text = line.to_string();
        out.push(Action::Log(line));
        self.update_process(
            instance.slot,
            Trigger::SignalRefused,
            now,
            out,
            Process::signal_refused,
        );
        self.fail_stops(instance.slot, &text, out);
        Some(text)
    }
}
