//! The handoff of the fleet from one daemon to the next: what must be finished before it, and which actions the
//! successor must repeat.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::listener_stage::ListenerStage;
use super::pending::Pending;
use super::process::{Ctx, Process};
use super::slots::SlotEntry;
use super::stage::{AlivePhase, AttemptStep, Idle, ReapStep, Stage};
use super::transitions::Trigger;
use super::{Action, Actions, Fleet, ResumeKind};
use crate::api::{Fault, FaultCode, Reply, Ticket};
use crate::domain::{InstanceId, Line, Namespec, Now, Seconds, Tick};
use crate::effects::{OutputEffect, SpawnerEffect};

/// The least time that a process with `ready_log` has after a handoff until it must be ready.
const READY_GRACE: Seconds = Seconds(2);

impl Fleet {
    /// Checks that an upgrade may be requested now.
    pub(super) fn upgradable(&self) -> Result<(), Fault> {
        if self.daemon.is_upgrading {
            return Err(FaultCode::Failed.of("an upgrade is running"));
        }
        if let Some(name) = self.tied_to_daemon() {
            return Err(FaultCode::Failed.of(format!(
                "{name} has kill_on_supervisor_exit=true and would be killed (stop it first)"
            )));
        }
        self.can_hand_off()
            .map_err(|what| FaultCode::Failed.of(format!("not while {what}")))
    }

    /// Returns a process that the kernel kills when the threads of this daemon end. `None`: there is none.
    fn tied_to_daemon(&self) -> Option<String> {
        let tied = |process: &Process| {
            process.spec.confinement.kill_on_supervisor_exit
                && process.run.stage.instance().is_some()
        };
        let slots = self.groups.values().flat_map(|group| &group.by_name);
        let mut processes = slots.filter_map(|&slot| self.slots.get(slot));
        let process = processes.find(|process| tied(process))?;
        let (group, name) = (process.spec.group.as_str(), process.spec.name.as_str());
        Some(Namespec::print(group, name))
    }

    /// Checks that the daemon may be replaced now. Some operations cannot be continued by a successor.
    ///
    /// # Errors
    /// The operation in progress, worded to follow "while".
    pub fn can_hand_off(&self) -> Result<(), &'static str> {
        if self.shutdown_state.is_some() {
            return Err("the daemon is stopping");
        }
        let busy = |pending: &Pending| match pending {
            // The client gets a fault that tells it to check again. What the request started continues.
            Pending::Batch(_) | Pending::ClearDaemonLog | Pending::Stdin(_) => None,
            Pending::Reread | Pending::Plan(_) => Some("the configuration is being read"),
            Pending::Restart => Some("the daemon is about to restart"),
            Pending::AddGroup(_) | Pending::Adding(_) => Some("a group is being added"),
            Pending::Scaling(_) => Some("a program is being scaled"),
            Pending::Rolling(_) => Some("a rolling restart is running"),
        };
        match self.requests.pending.values().find_map(busy) {
            Some(what) => Err(what),
            None => Ok(()),
        }
    }

    /// Sets the PID and the log of the new daemon.
    pub fn set_identity(&mut self, pid: i32, daemon_log: Option<Arc<Path>>) {
        self.daemon.identity.pid = pid;
        self.daemon.identity.daemon_log = daemon_log;
    }

    /// Returns all instances that the shell holds resources for.
    #[must_use]
    pub fn instances(&self) -> BTreeSet<InstanceId> {
        let taken = |seat: &SlotEntry| match seat {
            SlotEntry::Taken(process) => process.run.stage.instance(),
            SlotEntry::ReleasedOrphan(instance) => Some(*instance),
            SlotEntry::Empty => None,
        };
        self.slots.entries.iter().filter_map(taken).collect()
    }

    /// Returns whether the daemon is stopping everything.
    #[must_use]
    pub const fn is_stopping(&self) -> bool {
        self.shutdown_state.is_some()
    }

    /// Returns whether a client waits for an answer.
    #[must_use]
    pub fn has_waiting_clients(&self) -> bool {
        !self.requests.pending.is_empty()
    }

    /// Handles the result of examining the successor, or of an upgrade that failed after the examination.
    pub(super) fn successor_examined(
        &mut self,
        ticket: Option<Ticket>,
        result: Result<(), String>,
        out: &mut Actions,
    ) {
        self.daemon.is_upgrading = result.is_ok();
        let answer = match result {
            Ok(()) => Ok(Reply::Done),
            Err(reason) => {
                let fault = FaultCode::Failed.of(reason.as_str());
                out.push(Action::Log(Line::UpgradeRefused { reason }));
                Err(fault)
            }
        };
        if let Some(ticket) = ticket {
            out.push(Action::Answer(ticket, answer));
        }
    }

    /// Continues after the previous daemon has ended. The waiting clients were answered before. Actions that were in
    /// progress are requested again.
    pub(super) fn resumed(&mut self, successor: ResumeKind, now: Now, out: &mut Actions) {
        self.daemon.is_upgrading = false;
        self.requests.clear();
        self.dependencies.resume();
        self.schedules.is_stale = successor == ResumeKind::NewDaemon;
        out.push(Action::Output(OutputEffect::Report(
            self.events.output_events,
        )));
        self.resume_notifications(now);
        self.set_watches_again(out);
        let mut adopted: u32 = 0;
        let slots: Vec<u32> = self
            .groups
            .values()
            .flat_map(|group| group.slots.iter().copied())
            .collect();
        for slot in slots {
            self.update_process(slot, Trigger::Resumed, now, out, |process, ctx| {
                process.await_line_longer(ctx);
                adopted += u32::from(process.resumed(slot, ctx));
            });
        }
        if successor == ResumeKind::NewImage {
            self.daemon.generation = self.daemon.generation.saturating_add(1);
            out.push(Action::Log(Line::Upgraded {
                version: crate::domain::VERSION.to_owned(),
                count: adopted,
            }));
        }
    }
}

impl Process {
    /// Gives a process with `ready_log` some time: its line may be in the pipe since before the deadline.
    fn await_line_longer(&mut self, ctx: &Ctx<'_>) {
        let is_awaited = matches!(
            *self.run.stage,
            Stage::Alive {
                phase: AlivePhase::AwaitingReady { .. },
                ..
            }
        );
        if self.spec.notify.log
            && is_awaited
            && let Some(to) = self.run.stage.extended(ctx.now.mono + READY_GRACE)
        {
            self.change_stage(to, ctx);
        }
    }

    /// Continues after the previous daemon has ended. Returns whether the process runs.
    fn resumed(&mut self, slot: u32, ctx: &mut Ctx<'_>) -> bool {
        self.run.waiters.clear();
        self.run.report_at = Tick::NEVER;
        // Only its pipes are left. They are closed together with those of other unknown instances.
        self.run.next = None;
        self.run.hook = None;
        self.resume_changes(ctx);
        self.resume_fatal_script(slot, ctx);
        if let Some(state) = &mut self.run.health {
            state.resume();
        }
        let (instance, spec) = match *self.run.stage {
            // No process exists, and a stop was requested.
            Stage::Attempt {
                instance,
                step: AttemptStep::StopPending,
            } => {
                self.enter_stage(Stage::STOPPED, 0, false, ctx);
                ctx.out.push(Action::Output(OutputEffect::Drain(instance)));
                return false;
            }
            // No process exists yet, so the attempt starts again.
            Stage::Attempt { instance, .. } => {
                self.change_stage(Stage::attempt(instance, AttemptStep::Resolving), ctx);
                self.end_hold_up();
                let spec = self.spec.clone();
                ctx.out
                    .push(Action::Spawner(SpawnerEffect::Resolve(instance, spec)));
                return false;
            }
            // Older daemons left a process in this stage for ever after its exit.
            Stage::Idle(Idle::UnknownGone) => {
                self.enter_stage(Stage::STOPPED, 0, false, ctx);
                return false;
            }
            Stage::Idle(_) => return false,
            Stage::Alive { instance, .. } | Stage::Reaped { instance, .. } => {
                (instance, self.spec.clone())
            }
        };
        ctx.out.push(Action::Adopt {
            instance,
            pid: self.run.stage.pid(),
            spec,
            logs: self.logs.clone(),
            listener: self.run.listener.as_ref().map(ListenerStage::state),
        });
        match *self.run.stage {
            // The step may be finished already. Repeating it does no harm.
            Stage::Reaped {
                reap_step: ReapStep::Emptying,
                ..
            } => {
                self.empty(instance, ctx);
                false
            }
            Stage::Reaped {
                reap_step: ReapStep::Draining,
                ..
            } => {
                ctx.out.push(Action::Output(OutputEffect::Drain(instance)));
                false
            }
            Stage::Alive {
                phase: AlivePhase::PreStop { step, .. },
                ..
            } => {
                self.repeat_stop_step(step, instance.slot, ctx);
                true
            }
            Stage::Alive {
                phase:
                    AlivePhase::Stopping {
                        sent: false,
                        signal_index,
                        ..
                    },
                ..
            } => {
                self.stop_again(instance, signal_index, ctx);
                true
            }
            _ => true,
        }
    }
}
