//! How the fleet goes from one image of the daemon to the next: what must be over before, and what the successor has to
//! ask for again. It must not know how state and descriptors get there.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use super::group::Seat;
use super::listener::Hearing;
use super::stage::{Rite, Stage};
use super::ticket::Pending;
use super::{Action, Actions, Fleet, Successor};
use crate::api::{Fault, FaultCode, Reply, Ticket};
use crate::domain::{Life, Line, Now, Tick};

impl Fleet {
    /// Whether somebody may ask for an upgrade.
    pub(super) fn upgradable(&self) -> Result<(), Fault> {
        if self.is_upgrading {
            return Err(FaultCode::Failed.of("an upgrade is running"));
        }
        self.may_be_succeeded()
            .map_err(|what| FaultCode::Failed.of(format!("not while {what}")))
    }

    /// Whether the daemon may be replaced now, or what it is in the middle of that a successor could not go on with.
    ///
    /// # Errors
    /// What is under way, as it reads after "while".
    pub fn may_be_succeeded(&self) -> Result<(), &'static str> {
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
    pub fn identify(&mut self, pid: i32, daemon_log: Option<Arc<Path>>) {
        self.identity.pid = pid;
        self.identity.daemon_log = daemon_log;
    }

    /// Every life that the shell knows of.
    #[must_use]
    pub fn lives(&self) -> BTreeSet<Life> {
        let taken = |seat: &Seat| match seat {
            Seat::Taken(process) => process.run.stage.life(),
            Seat::Ghost(life) => Some(*life),
            Seat::Empty => None,
        };
        self.seats.seats.iter().filter_map(taken).collect()
    }

    /// Everything is being stopped.
    #[must_use]
    pub const fn is_stopping(&self) -> bool {
        self.winding_down.is_some()
    }

    /// Somebody waits for an answer.
    #[must_use]
    pub fn is_awaited(&self) -> bool {
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
    pub(super) fn resumed(&mut self, successor: Successor, now: Now, out: &mut Actions) {
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
            self.step(slot, now, out, |process, moment| {
                process.run.waiters.clear();
                process.run.report_at = Tick::NEVER;
                // Nothing is left of it but pipes, which are closed with those of other lives that nobody knows.
                process.run.next = None;
                let (life, spec) = match process.run.stage {
                    // There is no process yet: from the beginning.
                    Stage::Resolving(life) | Stage::Preparing(life) | Stage::Spawning(life) => {
                        process.run.stage = Stage::Resolving(life);
                        process.goes_on();
                        let spec = process.spec.clone();
                        moment.out.push(Action::Resolve(life, spec));
                        return;
                    }
                    // The same, and nobody wants it any more.
                    Stage::Aborting(life) => {
                        process.enter(Stage::Stopped, 0, false, moment);
                        moment.out.push(Action::Drain(life));
                        return;
                    }
                    Stage::Stopped
                    | Stage::Exited { .. }
                    | Stage::Fatal
                    | Stage::Backoff { .. } => return,
                    // Older daemons left a process so for good after its exit.
                    Stage::Unknown { alive: None } => {
                        process.enter(Stage::Stopped, 0, false, moment);
                        return;
                    }
                    Stage::Starting { life, .. }
                    | Stage::Waking { life, .. }
                    | Stage::Failing { life, .. }
                    | Stage::Running { life, .. }
                    | Stage::Stopping { life, .. }
                    | Stage::Dying { life, .. }
                    | Stage::Unknown {
                        alive: Some((life, _)),
                    } => (life, process.spec.clone()),
                };
                moment.out.push(Action::Adopt {
                    life,
                    pid: process.run.stage.pid(),
                    spec,
                    logs: process.logs.clone(),
                    listener: process.run.hearing.as_ref().map(Hearing::state),
                });
                match process.run.stage {
                    // That may be done by now, and is not done twice.
                    Stage::Dying {
                        rite: Rite::Emptying,
                        ..
                    } => process.empty(life, moment),
                    Stage::Dying {
                        rite: Rite::Draining,
                        ..
                    } => moment.out.push(Action::Drain(life)),
                    Stage::Stopping { sent: false, .. } => {
                        adopted += 1;
                        process.stop_again(life, moment);
                    }
                    _ => adopted += 1,
                }
            });
        }
        if successor == Successor::Image {
            self.generation = self.generation.saturating_add(1);
            out.push(Action::Log(Line::Upgraded {
                version: crate::domain::VERSION.to_owned(),
                count: adopted,
            }));
        }
    }
}
