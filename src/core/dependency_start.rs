//! The start of processes that depend on others: what they wait for is started too, and changes of other processes let
//! them go on or fail.

use super::dependency_index::{Due, TargetId};
use super::process::Process;
use super::stage::{Idle, Stage};
use super::ticket::WaitUntil;
use super::transitions::Trigger;
use super::{Action, Actions, Fleet};
use crate::api::{AccessScope, FaultCode};
use crate::domain::{Line, Now, ProcessState, SupervisorState};

/// Who starts a process.
#[derive(Debug, Clone, Copy)]
pub(super) enum StartedBy<'a> {
    /// The daemon, with the group of the process or again. What it depends on is started if it was never started. What a
    /// request has stopped stays so.
    Group,
    /// A client who may act on these processes. What it depends on is started if it does not run.
    Client(&'a AccessScope),
    /// A client who wants the process to start without what it depends on.
    Alone,
}

impl Fleet {
    /// Starts a process, after everything that it depends on and that has to be started.
    pub(super) fn start_with_dependencies(
        &mut self,
        slot: u32,
        by: StartedBy<'_>,
        now: Now,
        out: &mut Actions,
    ) {
        let start = |fleet: &mut Self, slot: u32, out: &mut Actions| {
            fleet.update_process(slot, Trigger::Start, now, out, |process, ctx| {
                if matches!(by, StartedBy::Alone) {
                    ctx.must_wait = false;
                }
                process.start(slot, ctx);
            });
        };
        if matches!(by, StartedBy::Alone) || !self.dependencies.must_wait(slot) {
            start(self, slot, out);
            return;
        }
        if matches!(by, StartedBy::Group) && self.is_waiting(slot) {
            // Another process that depends on it has started it, and what it waits for.
            return;
        }
        let demanded = self.demanded(slot, &|fleet, slot| fleet.is_startable(slot, by));
        let dependant = self.shown(slot);
        for other in demanded {
            if !self.is_waiting(other) {
                let name = self.names_of(other).map(|(name, _)| name);
                out.extend(name.map(|name| {
                    let dependant = dependant.clone();
                    Action::Log(Line::StartedFor { name, dependant })
                }));
            }
            self.start_waiting(other, start, out);
        }
        self.start_waiting(slot, start, out);
    }

    /// Starts a process, and logs what it waits for.
    fn start_waiting(
        &mut self,
        slot: u32,
        start: impl Fn(&mut Self, u32, &mut Actions),
        out: &mut Actions,
    ) {
        let was_waiting = self.is_waiting(slot);
        start(self, slot, out);
        if self.is_waiting(slot) && !was_waiting {
            let name = self.names_of(slot).map(|(name, _)| name);
            let what = self.waited_for(slot);
            out.extend(name.map(|name| Action::Log(Line::WaitingFor { name, what })));
        }
    }

    /// Returns whether a process waits for what it depends on.
    pub(super) fn is_waiting(&self, slot: u32) -> bool {
        let process = self.slots.get(slot);
        process.is_some_and(|process| *process.run.stage == Stage::Idle(Idle::Waiting))
    }

    /// Returns whether a process that another one depends on is started for it, or whether what it waits for is.
    fn is_startable(&self, slot: u32, by: StartedBy<'_>) -> bool {
        let Some(process) = self.slots.get(slot) else {
            return false;
        };
        let Stage::Idle(idle) = *process.run.stage else {
            return false;
        };
        match by {
            StartedBy::Group => idle == Idle::Stopped && process.run.start == 0,
            StartedBy::Alone => false,
            StartedBy::Client(scope) => {
                let (group, name) = (process.spec.group.as_str(), process.spec.name.as_str());
                scope.covers(group, name)
                    && match process.state() {
                        ProcessState::Stopped | ProcessState::Fatal => true,
                        ProcessState::Exited => process.deadline() == crate::domain::Tick::NEVER,
                        _ => false,
                    }
            }
        }
    }

    /// Draws the consequences of changes for processes that depend on others. Returns whether there was one.
    pub(super) fn continue_dependants(&mut self, now: Now, out: &mut Actions) -> bool {
        let mut went_on = false;
        while let Some(due) = self.dependencies.take_due() {
            went_on = true;
            match due {
                Due::Met(slot) => self.dependencies_met(slot, now, out),
                Due::Failed(slot, target) => self.dependency_failed(slot, target, now, out),
                Due::Blocked(slot) => self.blocked(slot, out),
                Due::Stop(slot) => self.stop_held(slot, now, out),
                Due::StartAgain(slot) => self.start_again(slot, now, out),
                Due::RestartWith(slot, dependency) => {
                    self.restart_with(slot, dependency, now, out);
                }
            }
        }
        went_on
    }

    pub(super) fn dependencies_met(&mut self, slot: u32, now: Now, out: &mut Actions) {
        let may_start = self.daemon.state == SupervisorState::Running;
        if may_start && self.is_waiting(slot) && !self.dependencies.must_wait(slot) {
            let trigger = Trigger::DependenciesMet;
            self.update_process(slot, trigger, now, out, |process, ctx| {
                process.start(slot, ctx);
            });
        }
    }

    fn dependency_failed(&mut self, slot: u32, id: TargetId, now: Now, out: &mut Actions) {
        if !self.is_waiting(slot) {
            return;
        }
        let Some(target) = self.dependencies.target(id) else {
            return;
        };
        match self.failure_of(target) {
            Some(why) => {
                let trigger = Trigger::DependencyFailed;
                self.update_process(slot, trigger, now, out, |process, ctx| {
                    process.dependency_failed(why, ctx);
                });
            }
            // It has been started again, or its group is going to be added again.
            None => self.blocked(slot, out),
        }
    }

    /// Answers the clients that wait for the start of a process if nobody starts what it waits for. The process goes on
    /// waiting.
    pub(super) fn blocked(&mut self, slot: u32, out: &mut Actions) {
        let mut slots = vec![slot];
        let mut known = std::collections::BTreeSet::new();
        while let Some(slot) = slots.pop() {
            if !self.is_waiting(slot) || !known.insert(slot) {
                continue;
            }
            let Some(text) = self.blocked_by(slot) else {
                continue;
            };
            self.fail_waiters(
                slot,
                |until| matches!(until, WaitUntil::Running | WaitUntil::Spawned),
                FaultCode::AbnormalTermination,
                &text,
                out,
            );
            let targets = self.dependencies.member_of(slot).iter();
            let targets = targets.filter_map(|id| self.dependencies.target(*id));
            slots.extend(targets.flat_map(|target| &target.dependants));
        }
    }

    /// Returns what a waiting process waits for in vain. `None`: everything that it waits for makes progress.
    fn blocked_by(&self, slot: u32) -> Option<String> {
        for target in self.dependencies.unmet(slot) {
            if target.is_absent {
                return Some(format!("dependency {} is not active", target.name));
            }
            for (&member, facts) in self.unmet_members(target) {
                let name = || self.shown(member);
                if facts.is_inert() {
                    return Some(format!("dependency {} is {}", name(), facts.state));
                }
                if facts.is_waiting && self.waits_in_vain(member) {
                    return Some(format!("dependency {} is waiting in vain", name()));
                }
            }
        }
        None
    }

    /// Returns whether something that a process waits for does nothing. It looks one level deep: deeper ones are told one
    /// after another.
    fn waits_in_vain(&self, slot: u32) -> bool {
        let mut unmet = self.dependencies.unmet(slot);
        unmet.any(|target| {
            target.is_absent
                || self
                    .unmet_members(target)
                    .any(|(_, facts)| facts.is_inert())
        })
    }

    /// Restarts a process whose dependency was restarted.
    fn restart_with(&mut self, slot: u32, dependency: u32, now: Now, out: &mut Actions) {
        let spawned_at = |process: &Process| process.run.spawned_at;
        let (Some(process), Some(other)) = (self.slots.get(slot), self.slots.get(dependency))
        else {
            return;
        };
        let is_up = matches!(*process.run.stage, Stage::Alive { .. })
            && matches!(
                process.state(),
                ProcessState::Starting | ProcessState::Running
            );
        let may_start = self.daemon.state == SupervisorState::Running;
        let is_older = spawned_at(process) < spawned_at(other);
        // Where a process that depends on this one is being stopped, a stop in order is under way.
        let may_stop = self.dependencies.may_stop(slot) && !process.run.stop_held;
        if process.is_on_hold() || !is_up || !may_start || !is_older || !may_stop {
            return;
        }
        let name = process.spec.name.clone();
        let dependency = self.shown(dependency);
        out.push(Action::Log(Line::RestartedWith { name, dependency }));
        self.update_process(slot, Trigger::Stop, now, out, Process::stop_to_restart);
    }

    fn start_again(&mut self, slot: u32, now: Now, out: &mut Actions) {
        let wants = |process: &Process| process.run.starts_again;
        if self.daemon.state == SupervisorState::Running && self.slots.get(slot).is_some_and(wants)
        {
            self.start_with_dependencies(slot, StartedBy::Group, now, out);
        }
    }
}
