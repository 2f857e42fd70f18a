//! All groups and processes. The fleet passes each input to the process, group or request concerned and knows the next
//! deadline.

use std::sync::Arc;

use super::adopted_process::AdoptedProcess;
use super::audit_trail::AuditTrail;
use super::auto_log_names::AutoLogNames;
use super::daemon_run::{DaemonRun, Identity};
use super::deadlines::Deadlines;
use super::dependency_facts::DependencyFacts;
use super::dependency_index::DependencyIndex;
use super::event_queues::EventQueues;
use super::fleet_changes::FleetChanges;
use super::listener_pool::ListenerPool;
use super::notification_table::Notifications;
use super::process::{Ctx, Process};
use super::read_config::ReadConfig;
use super::requests::Requests;
use super::schedules::Schedules;
use super::shutdown_state::ShutdownState;
use super::slots::{Groups, SlotTable};
use super::transitions::Trigger;
use super::watch_table::WatchTable;
use super::{Action, Actions, Input};
use crate::api::{AccessScope, ProcessView};
use crate::config::spec::{Config, GroupSpec};
use crate::domain::{GroupName, InstanceId, Now, ProcessState, SupervisorState, Tick};
use crate::effects::{OutputEffect, SpawnerEffect};

/// Everything that the daemon supervises, and the requests in progress.
#[derive(Debug)]
pub struct Fleet {
    pub(super) daemon: DaemonRun,
    pub(super) configuration: ReadConfig,
    pub(super) groups: Groups,
    pub(super) slots: SlotTable,
    /// A counter for groups and processes in the order in which they were added.
    pub(super) serial: u64,
    /// The incarnation of the newest instance.
    pub(super) last_incarnation: u64,
    /// The number of processes that are not in a stopped state.
    pub(super) unstopped: u32,
    pub(super) deadlines: Deadlines,
    pub(super) dependencies: DependencyIndex,
    pub(super) requests: Requests,
    pub(super) events: EventQueues,
    pub(super) watches: WatchTable,
    pub(super) schedules: Schedules,
    pub(super) notifications: Notifications,
    /// The last changes that clients requested.
    pub(super) audit_trail: AuditTrail,
    /// `None`: the daemon is not stopping.
    pub(super) shutdown_state: Option<ShutdownState>,
    /// What changed since the engine last asked.
    pub(super) changes: FleetChanges,
    /// Running processes to adopt at the start. Empty afterwards.
    pub(super) found: Vec<AdoptedProcess>,
}

impl Fleet {
    /// Creates a fleet with the groups of `config`. [`Input::DaemonStarted`] adds them.
    #[must_use]
    pub fn new(identity: Identity, config: Arc<Config>) -> Self {
        Self {
            events: EventQueues::new(identity.event_serial, &config.daemon.identifier),
            configuration: ReadConfig::new(config.clone(), AutoLogNames::new(identity.seed)),
            daemon: DaemonRun::new(identity, config.daemon.exit_when.clone()),
            groups: Groups::new(),
            slots: SlotTable::default(),
            serial: 0,
            last_incarnation: 0,
            unstopped: 0,
            deadlines: Deadlines::default(),
            dependencies: DependencyIndex::default(),
            requests: Requests::default(),
            watches: WatchTable::default(),
            schedules: Schedules::default(),
            notifications: Notifications::new(&config.notifications),
            audit_trail: AuditTrail::default(),
            shutdown_state: None,
            changes: FleetChanges::new(),
            found: Vec::new(),
        }
    }

    /// Handles one input and appends the resulting actions to `out`, in order. It also does everything that is due, so
    /// no deadline is in the past afterwards.
    pub fn handle(&mut self, now: Now, input: Input, out: &mut Actions) {
        self.events.offered_up_to = out.len();
        self.notifications.observed_up_to = out.len();
        // Whether restored schedules are complete is known only with this input.
        if !matches!(input, Input::Resumed(_)) {
            self.begin_schedules(now);
        }
        match input {
            Input::DaemonStarted => self.start_groups(now, out),
            Input::Output(outcome) => self.output_outcome(outcome, now, out),
            Input::Spawner(outcome) => self.spawner_outcome(outcome, now, out),
            Input::Loader(outcome) => self.loader_outcome(outcome, now, out),
            Input::Script(outcome) => self.script_outcome(outcome, now, out),
            Input::Watch(outcome) => self.watch_outcome(outcome, now, out),
            Input::Exited { instance, status } => self.exited(instance, status, now, out),
            Input::Emptied {
                instance,
                resource_events,
            } => {
                self.update_instance(instance, Trigger::Emptied, now, out, |process, ctx| {
                    process.emptied(resource_events, ctx);
                });
            }
            Input::Signalled {
                instance,
                signal,
                result,
            } => self.signalled(instance, signal, result, now, out),
            Input::DeadlineReached => {}
            Input::ClockSet => self.clock_set(now),
            Input::Asked {
                ticket,
                caller,
                grant,
                request,
            } => self.asked(now, ticket, caller, grant, request, out),
            Input::Notified(instance, notice) => {
                self.update_instance(instance, Trigger::Notified, now, out, |process, ctx| {
                    process.notified(notice, ctx);
                });
            }
            Input::ForeignNotify {
                instance,
                sender,
                uid,
            } => {
                self.update_instance(instance, Trigger::Other, now, out, |process, ctx| {
                    process.foreign_notify(sender, uid, ctx);
                });
            }
            Input::NotifyPolled(instance) => {
                self.update_instance(instance, Trigger::Deadline, now, out, |process, ctx| {
                    process.notify_polled(instance.slot, ctx);
                });
            }
            Input::SuccessorExamined { ticket, result } => {
                self.successor_examined(ticket, result, out);
            }
            Input::Resumed(successor) => self.resumed(successor, now, out),
            Input::Received(signal) => self.received(signal, now, out),
        }
        self.update_watches(out);
        self.handle_due(now, out);
        self.update_watches(out);
    }

    /// Does everything that is due or has become possible.
    fn handle_due(&mut self, now: Now, out: &mut Actions) {
        for tick in self.events.ticks.take_due(now) {
            Self::publish(out, tick);
        }
        loop {
            self.run_due_deadlines(now, out);
            // Before a shutdown begins because of one of the changes.
            self.observe_changes(now, out);
            self.send_reports(now, out);
            self.exit_if_ended(now, out);
            let went_on = self.continue_dependants(now, out) | self.go_on(now, out);
            self.events.offer(out);
            self.dispatch(now, out);
            let has_run = self.run_schedules(now, out);
            let ends = self.exit_if_ended(now, out);
            if !self.continue_shutdown(now, out) && !went_on && !has_run && !ends {
                break;
            }
        }
    }

    /// Returns when [`Input::DeadlineReached`] is due at the latest. `None`: nothing is due. The value changes only in
    /// [`Fleet::handle`].
    #[must_use]
    pub fn next_deadline(&self) -> Option<Tick> {
        let shutdown = self.shutdown_state.as_ref().map(ShutdownState::due);
        [
            self.deadlines.due(),
            self.events.due(),
            self.next_interval(),
            self.notifications.due(),
        ]
        .into_iter()
        .chain(shutdown)
        .filter(|&tick| tick != Tick::NEVER)
        .min()
    }

    /// Returns all processes, ordered by group and process name.
    #[must_use]
    pub fn view(&self, now: Now) -> Vec<ProcessView> {
        self.view_of(&AccessScope::All, now)
    }

    /// Returns the processes that `scope` covers, ordered by group and process name.
    pub(super) fn view_of(&self, scope: &AccessScope, now: Now) -> Vec<ProcessView> {
        let most = self.groups.values().map(|group| group.by_name.len()).sum();
        let mut views = Vec::with_capacity(if *scope == AccessScope::All { most } else { 0 });
        views.extend(
            self.groups
                .values()
                .flat_map(|group| group.by_name.iter())
                .filter_map(|&slot| Some((slot, self.slots.get(slot)?)))
                .filter(|(_, process)| {
                    scope.covers(process.spec.group.as_str(), process.spec.name.as_str())
                })
                .map(|(slot, process)| self.view_process(slot, process, now)),
        );
        views
    }

    /// Returns one process as clients see it.
    pub(super) fn view_process(&self, slot: u32, process: &Process, now: Now) -> ProcessView {
        let view = process.view(now);
        ProcessView {
            next_run: self.next_run(process, slot, now),
            events_discarded: self.pool_of(process).map_or(0, |pool| pool.discarded),
            events_waiting: self.pool_of(process).map_or(0, ListenerPool::waiting),
            dependency_text: self
                .dependency_text(process)
                .unwrap_or(view.dependency_text),
            ..view
        }
    }

    /// Returns the active groups with the configuration from when they were added and later changes at run time.
    pub fn group_specs(&self) -> impl Iterator<Item = &GroupSpec> {
        self.groups.values().map(|group| &*group.spec)
    }

    /// Returns the configuration read last.
    #[must_use]
    pub const fn config(&self) -> &Arc<Config> {
        &self.configuration.last_read
    }

    /// Returns the state of the daemon.
    #[must_use]
    pub const fn state(&self) -> SupervisorState {
        self.daemon.state
    }

    /// Takes the configuration to restart with after [`super::DaemonOutcome::Restart`]. It was read before anything was
    /// stopped.
    #[must_use]
    pub fn take_next_config(&mut self) -> Option<Arc<Config>> {
        self.configuration.next.take()
    }

    /// Returns the serial number of the next event.
    #[must_use]
    pub const fn event_serial(&self) -> u64 {
        self.events.next_serial
    }

    // Changes of one process

    /// Changes a process with `act` because of `trigger`, and updates what depends on it: counts, its deadline, its socket, its early next
    /// attempt and the clients that wait for it.
    pub(super) fn update_process(
        &mut self,
        slot: u32,
        trigger: Trigger,
        now: Now,
        out: &mut Actions,
        act: impl FnOnce(&mut Process, &mut Ctx<'_>),
    ) {
        let Some(process) = self.slots.get_mut(slot) else {
            return;
        };
        let before = process.state();
        let stage = *process.run.stage;
        let instance = stage.instance();
        let mut ctx = Ctx {
            now,
            out,
            last_incarnation: &mut self.last_incarnation,
            seed: self.daemon.identity.seed,
            signals: &mut self.requests.signals,
            scripts: &mut self.requests.scripts,
            may_start: self.daemon.state == SupervisorState::Running,
            is_linked: self.dependencies.is_linked(slot),
            must_wait: self.dependencies.must_wait(slot),
            may_stop: self.dependencies.may_stop(slot),
            trigger,
        };
        process.run.stage.expect(trigger);
        act(process, &mut ctx);
        if before != ProcessState::Fatal
            && process.state() == ProcessState::Fatal
            && !process.is_on_hold()
        {
            process.run_fatal_script(slot, &mut ctx);
        }
        process.cancel_stale_check(&mut ctx);
        process.cancel_stale_hook(&mut ctx);
        if !process.run.stage.recovers_same_as(&stage) {
            self.changes.slots.push(slot);
        }
        let after = process.state();
        if let Some(instance) = instance
            && process.has_socket()
            && process.run.stage.instance() != Some(instance)
        {
            out.push(Action::Spawner(SpawnerEffect::Release(instance)));
        }
        if let Some(instance) = process.take_abandoned_attempt(now.mono) {
            out.push(Action::Output(OutputEffect::Drain(instance)));
        }
        if after != ProcessState::Stopping {
            process.run.report_at = Tick::NEVER;
        }
        let deadline = process.deadline();
        let armed = std::mem::replace(&mut process.armed, deadline);
        self.deadlines.replace(slot, armed, deadline);
        if before.is_stopped() != after.is_stopped() {
            let group = process.spec.group.clone();
            self.count_unstopped(slot, &group, !after.is_stopped());
        }
        if let Some(process) = self.slots.get(slot)
            && !self.dependencies.is_empty()
        {
            self.dependencies.update(slot, DependencyFacts::of(process));
        }
        self.note_run(slot, &stage, now, out);
        self.return_held_event(slot, out);
        self.answer_waiters(slot, out);
        self.note_end(slot, stage, out);
    }

    /// Counts a process that has left the stopped states (`is_up`) or entered one of them.
    fn count_unstopped(&mut self, slot: u32, group: &GroupName, is_up: bool) {
        let Some(group) = self.groups.get_mut(group) else {
            return;
        };
        let count = |n: u32| match is_up {
            true => n.saturating_add(1),
            false => n.saturating_sub(1),
        };
        group.unstopped = count(group.unstopped);
        self.unstopped = count(self.unstopped);
        if let Some(down) = &mut self.shutdown_state
            && down.level == Some(*down.raised.get(&slot).unwrap_or(&group.spec.priority))
        {
            down.level_unstopped = count(down.level_unstopped);
        }
    }

    /// Changes a process as [`Fleet::update_process`] if `instance` is its current one. Returns whether it is.
    pub(super) fn update_instance(
        &mut self,
        instance: InstanceId,
        trigger: Trigger,
        now: Now,
        out: &mut Actions,
        act: impl FnOnce(&mut Process, &mut Ctx<'_>),
    ) -> bool {
        let is_current = self.slots.process_of(instance).is_some();
        if is_current {
            self.update_process(instance.slot, trigger, now, out, act);
        }
        is_current
    }

    /// Handles all deadlines that have passed. The loop ends, because no deadline handler sets a deadline in the past.
    fn run_due_deadlines(&mut self, now: Now, out: &mut Actions) {
        while let Some(slot) = self.deadlines.pop(now.mono) {
            if let Some(process) = self.slots.get_mut(slot) {
                process.armed = Tick::NEVER;
            }
            self.release_if_over(slot, now, out);
            self.act_on_changes(slot, now, out);
            if self.slots.get(slot).is_some_and(Process::is_start_due) {
                self.update_process(slot, Trigger::Start, now, out, |process, ctx| {
                    process.start_after_change(slot, ctx);
                });
            }
            self.update_process(slot, Trigger::Deadline, now, out, |process, ctx| {
                process.deadline_reached(slot, ctx);
            });
        }
        self.report_waiting_to_die(now, out);
    }
}
