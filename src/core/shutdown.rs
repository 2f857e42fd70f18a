//! The shutdown of all processes: one priority after another, from the highest, with log lines about the processes that
//! are waited for.

use super::process::Process;
use super::shutdown_state::ShutdownState;
use super::slots::{in_added_order, in_start_order};
use super::transitions::Trigger;
use super::{Action, Actions, DaemonOutcome, Fleet};
use crate::api::FaultCode;
use crate::domain::{Change, Line, Now, ProcessState, Seconds, SupervisorState, Tick};

/// Seconds between two "waiting for … to die" lines.
const DIE_REPORT_SECS: Seconds = Seconds(3);
/// Seconds that listeners have to handle the events of the shutdown before they are stopped themselves.
const EVENTS_SECS_MAX: Seconds = Seconds(1);

impl Fleet {
    /// Sets `daemon_state` (SHUTDOWN or RESTARTING) and starts the shutdown if it has not started yet.
    pub(super) fn begin_shutdown(
        &mut self,
        daemon_state: SupervisorState,
        now: Now,
        out: &mut Actions,
    ) {
        // A shutdown replaces a restart, but not the other way round.
        if self.daemon.state != SupervisorState::Shutdown {
            self.daemon.state = daemon_state;
        }
        if self.shutdown_state.is_some() {
            return;
        }
        Self::publish(out, Change::SupervisorState(daemon_state));
        let mut levels: Vec<i64> = self.groups.values().map(|g| g.spec.priority).collect();
        levels.sort_unstable();
        levels.dedup();
        self.shutdown_state = Some(ShutdownState {
            levels,
            raised: self.raised_levels(),
            level: None,
            level_unstopped: 0,
            report_at: now.mono,
            hold_until: Tick::NEVER,
            await_reports_until: None,
        });
    }

    /// Starts to stop the next priority when the current one has stopped, and finishes after the last. Returns whether
    /// it started one.
    pub(super) fn continue_shutdown(&mut self, now: Now, out: &mut Actions) -> bool {
        let Some(down) = &mut self.shutdown_state else {
            return false;
        };
        if self.daemon.is_finished || down.level_unstopped > 0 {
            return false;
        }
        let Some(&level) = down.levels.last() else {
            if !self.awaits_reports(now) {
                self.finish(out);
            }
            return false;
        };
        if self.events_are_out(level) && self.hold_for_listeners(now) {
            return false;
        }
        let Some(down) = &mut self.shutdown_state else {
            return false;
        };
        down.hold_until = Tick::NEVER;
        down.levels.pop();
        down.level = Some(level);
        let raised = down.raised.clone();
        let mut slots = Vec::new();
        // Differs: groups of equal priority stop at the same time. In the original they stop one after another, and
        // fifty programs that need five seconds each take four minutes (Supervisor#326, #1155).
        for group in in_start_order(&self.groups) {
            let level_of = |slot: &u32| raised.get(slot).copied().unwrap_or(group.spec.priority);
            slots.extend(
                group
                    .slots
                    .iter()
                    .copied()
                    .filter(|slot| level_of(slot) == level),
            );
        }
        let is_unstopped = |slot: &&u32| {
            let process = self.slots.get(**slot);
            process.is_some_and(|process| !process.state().is_stopped())
        };
        let unstopped = slots.iter().filter(is_unstopped).count();
        if let Some(down) = &mut self.shutdown_state {
            down.level_unstopped = u32::try_from(unstopped).unwrap_or(u32::MAX);
        }
        slots.reverse();
        for slot in self.dependants_first(slots) {
            let Some(process) = self.slots.get(slot) else {
                continue;
            };
            match process.state() {
                ProcessState::Starting | ProcessState::Running => {
                    self.stop_in_order(slot, Trigger::Shutdown, now, out);
                }
                ProcessState::Stopped if self.is_waiting(slot) => {
                    self.update_process(slot, Trigger::Shutdown, now, out, Process::stop);
                }
                ProcessState::Backoff => {
                    self.update_process(slot, Trigger::Shutdown, now, out, Process::give_up)
                }
                ProcessState::Stopped
                | ProcessState::Stopping
                | ProcessState::Exited
                | ProcessState::Fatal
                | ProcessState::Unknown => {}
            }
        }
        self.report_waiting_to_die(now, out);
        true
    }

    /// Returns whether to delay the next priority for its listeners. Listeners stop last so that they can report the
    /// exits of all other processes. The other processes stop so fast that the listeners would be stopped before they
    /// read those events.
    // Differs: Supervisor polls pipes and processes in turn, which gives listeners some time by chance.
    fn hold_for_listeners(&mut self, now: Now) -> bool {
        let Some(down) = &mut self.shutdown_state else {
            return false;
        };
        if down.hold_until == Tick::NEVER {
            down.hold_until = now.mono + EVENTS_SECS_MAX;
        }
        now.mono < down.hold_until
    }

    /// Logs which processes are waited for, at once and then every three seconds.
    pub(super) fn report_waiting_to_die(&mut self, now: Now, out: &mut Actions) {
        let Some(down) = &mut self.shutdown_state else {
            return;
        };
        if down.report_at > now.mono || down.level.is_none() {
            return;
        }
        if self.unstopped == 0 {
            down.report_at = Tick::NEVER;
            return;
        }
        down.report_at = now.mono + DIE_REPORT_SECS;
        let waited_for: Vec<_> = in_added_order(&self.groups)
            .into_iter()
            .flat_map(|group| group.slots.iter())
            .filter_map(|&slot| self.slots.get(slot))
            .filter(|process| !process.state().is_stopped())
            .collect();
        let names: Vec<&str> = waited_for
            .iter()
            .map(|process| process.spec.name.as_str())
            .collect();
        out.push(Action::Log(Line::WaitingToDie {
            names: names.join(", "),
        }));
        out.extend(waited_for.iter().map(|process| {
            Action::Log(Line::WaitingState {
                name: process.spec.name.clone(),
                state: process.state().name().to_owned(),
            })
        }));
    }

    /// Finishes the shutdown: answers all waiting clients and tells the engine to exit or restart.
    fn finish(&mut self, out: &mut Actions) {
        self.daemon.is_finished = true;
        if let Some(down) = &mut self.shutdown_state {
            down.report_at = Tick::NEVER;
            down.await_reports_until = None;
        }
        for ticket in std::mem::take(&mut self.requests.pending).into_keys() {
            out.push(Action::Answer(ticket, Err(FaultCode::ShutdownState.bare())));
        }
        let outcome = match self.daemon.state {
            SupervisorState::Restarting => DaemonOutcome::Restart,
            SupervisorState::Shutdown | SupervisorState::Running | SupervisorState::Fatal => {
                self.configuration.next = None;
                match self.daemon.exit_status {
                    None | Some(0) => DaemonOutcome::Shutdown,
                    Some(status) => DaemonOutcome::ShutdownWith(status),
                }
            }
        };
        out.push(Action::Finish(outcome));
    }
}
