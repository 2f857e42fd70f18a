//! How the fleet goes from one image of the daemon to the next: what must be over before, and what the successor has to
//! ask for again. It must not know how state and descriptors get there.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::listener::ListenerStage;
use super::slots::SlotEntry;
use super::stage::{ReapStep, Stage};
use super::ticket::Pending;
use super::{Action, Actions, Fleet, ResumeKind};
use crate::api::{Fault, FaultCode, Reply, Ticket};
use crate::domain::{InstanceId, Line, Now, Tick};

impl Fleet {
    /// Whether somebody may ask for an upgrade.
    pub(super) fn upgradable(&self) -> Result<(), Fault> {
        if self.is_upgrading {
            return Err(FaultCode::Failed.of("an upgrade is running"));
        }
        self.can_hand_off()
            .map_err(|what| FaultCode::Failed.of(format!("not while {what}")))
    }

    /// Whether the daemon may be replaced now, or what it is in the middle of that a successor could not go on with.
    ///
    /// # Errors
    /// What is under way, as it reads after "while".
    pub fn can_hand_off(&self) -> Result<(), &'static str> {
        if self.winding_down.is_some() {
            return Err("the daemon is stopping");
        }
        let busy = |pending: &Pending| match pending {
            // Whoever waits for these is told to look again; what they have begun goes on.
            Pending::Batch(_) | Pending::ClearDaemonLog | Pending::Stdin(_) => None,
            Pending::Reread => Some("the configuration is being read"),
            Pending::Restart => Some("the daemon is about to restart"),
            Pending::AddGroup(_) | Pending::Adding(_) => Some("a group is being added"),
            Pending::Scaling(_) => Some("a program is being scaled"),
            Pending::Rolling(_) => Some("a rolling restart is running"),
        };
        match self.tickets.values().find_map(busy) {
            Some(what) => Err(what),
            None => Ok(()),
        }
    }

    /// This is another process than the one that was written down.
    pub fn set_identity(&mut self, pid: i32, daemon_log: Option<Arc<Path>>) {
        self.identity.pid = pid;
        self.identity.daemon_log = daemon_log;
    }

    /// Every instance that the shell knows of.
    #[must_use]
    pub fn instances(&self) -> BTreeSet<InstanceId> {
        let taken = |seat: &SlotEntry| match seat {
            SlotEntry::Taken(process) => process.run.stage.instance(),
            SlotEntry::ReleasedOrphan(instance) => Some(*instance),
            SlotEntry::Empty => None,
        };
        self.slots.entries.iter().filter_map(taken).collect()
    }

    /// Everything is being stopped.
    #[must_use]
    pub const fn is_stopping(&self) -> bool {
        self.winding_down.is_some()
    }

    /// Somebody waits for an answer.
    #[must_use]
    pub fn has_waiting_clients(&self) -> bool {
        !self.tickets.is_empty()
    }

    /// The next image has looked at what it would take over, and can; or there will be no other image for now.
    pub(super) fn successor_examined(
        &mut self,
        ticket: Option<Ticket>,
        result: Result<(), String>,
        out: &mut Actions,
    ) {
        self.is_upgrading = result.is_ok();
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

    /// A predecessor has ended, and this goes on. Whoever waited for an answer has
    /// been told; processes are asked for again where they stood in the middle of something.
    pub(super) fn resumed(&mut self, successor: ResumeKind, now: Now, out: &mut Actions) {
        self.is_upgrading = false;
        self.tickets.clear();
        self.roused.clear();
        self.signals.clear();
        out.push(Action::Report(self.output_events));
        let mut adopted: u32 = 0;
        let slots: Vec<u32> = self
            .groups
            .values()
            .flat_map(|group| group.slots.iter().copied())
            .collect();
        for slot in slots {
            self.update_process(slot, now, out, |process, ctx| {
                process.run.waiters.clear();
                process.run.report_at = Tick::NEVER;
                // Nothing is left of it but pipes, which are closed with those of other instances that nobody knows.
                process.run.next = None;
                let (instance, spec) = match process.run.stage {
                    // There is no process yet: from the beginning.
                    Stage::Resolving(instance)
                    | Stage::Preparing(instance)
                    | Stage::Spawning(instance) => {
                        process.run.stage = Stage::Resolving(instance);
                        process.end_hold_up();
                        let spec = process.spec.clone();
                        ctx.out.push(Action::Resolve(instance, spec));
                        return;
                    }
                    // The same, and nobody wants it any more.
                    Stage::StopPending(instance) => {
                        process.enter_stage(Stage::Stopped, 0, false, ctx);
                        ctx.out.push(Action::Drain(instance));
                        return;
                    }
                    Stage::Stopped
                    | Stage::Exited { .. }
                    | Stage::Fatal
                    | Stage::Backoff { .. } => return,
                    // Older daemons left a process so for good after its exit.
                    Stage::Unknown { alive: None } => {
                        process.enter_stage(Stage::Stopped, 0, false, ctx);
                        return;
                    }
                    Stage::Starting { instance, .. }
                    | Stage::AwaitingReady { instance, .. }
                    | Stage::Terminating { instance, .. }
                    | Stage::Running { instance, .. }
                    | Stage::Stopping { instance, .. }
                    | Stage::Reaped { instance, .. }
                    | Stage::Unknown {
                        alive: Some((instance, _)),
                    } => (instance, process.spec.clone()),
                };
                ctx.out.push(Action::Adopt {
                    instance,
                    pid: process.run.stage.pid(),
                    spec,
                    logs: process.logs.clone(),
                    listener: process.run.listener.as_ref().map(ListenerStage::state),
                });
                match process.run.stage {
                    // That may be done by now, and is not done twice.
                    Stage::Reaped {
                        reap_step: ReapStep::Emptying,
                        ..
                    } => process.empty(instance, ctx),
                    Stage::Reaped {
                        reap_step: ReapStep::Draining,
                        ..
                    } => ctx.out.push(Action::Drain(instance)),
                    Stage::Stopping { sent: false, .. } => {
                        adopted += 1;
                        process.stop_again(instance, ctx);
                    }
                    _ => adopted += 1,
                }
            });
        }
        if successor == ResumeKind::NewImage {
            self.generation = self.generation.saturating_add(1);
            out.push(Action::Log(Line::Upgraded {
                version: crate::domain::VERSION.to_owned(),
                count: adopted,
            }));
        }
    }
}
