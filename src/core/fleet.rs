//! All groups and processes. The fleet passes each input to the process, group or request concerned and knows the next
//! deadline.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::adopt::AdoptedProcess;
use super::auto_log_names::AutoLogNames;
use super::listener_pool::ListenerPool;
use super::process::{Ctx, Process};
use super::shutdown::ShutdownState;
use super::slots::{Groups, SlotTable};
use super::tick::Ticks;
use super::ticket::{Pending, SignalPurpose};
use super::transitions::Trigger;
use super::{Action, Actions, Input};
use crate::api::{AccessScope, ProcessView, Ticket};
use crate::config::spec::Config;
use crate::config::warning_lines;
use crate::domain::{
    GroupName, InstanceId, LogPaths, Now, OutputEvents, ProcessState, QualifiedName, Signal,
    SupervisorState, Tick,
};
use crate::effects::{OutputEffect, SpawnerEffect};

/// What the fleet knows of the daemon that it runs in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The PID of the daemon.
    pub pid: i32,
    /// The path of the daemon's activity log. `None`: it is not a file.
    pub daemon_log: Option<Arc<Path>>,
    /// The seed for generated log names. It should differ at each start.
    pub seed: u64,
    /// The serial number of the next event. It continues after a reload.
    pub event_serial: u64,
}

/// Everything that the daemon supervises, and the requests in progress.
#[derive(Debug)]
pub struct Fleet {
    pub(super) identity: Identity,
    /// The configuration read last. Groups are added from it.
    pub(super) last_read: Arc<Config>,
    /// Errors and warnings of the last reading of the configuration, one per line, whether or not the configuration was
    /// accepted.
    pub(super) config_problems: Vec<String>,
    /// The configuration to restart with. `None`: no restart is planned.
    pub(super) next_config: Option<Arc<Config>>,
    pub(super) daemon_state: SupervisorState,
    pub(super) began: bool,
    /// Running processes to adopt at the start. Empty afterwards.
    pub(super) found: Vec<AdoptedProcess>,
    /// Everything has stopped and the engine was told to finish.
    pub(super) finished: bool,
    /// How many times the state was handed over from one image of the daemon to the next.
    pub(super) generation: u32,
    /// Slots of processes that changed, for [`Fleet::take_changed`]. The engine takes them after each input, so the
    /// list stays short.
    pub(super) changed: Vec<u32>,
    /// Processes that were removed, for [`Fleet::take_removed`]. The engine takes them after each input.
    pub(super) removed: Vec<QualifiedName>,
    pub(super) regrouped: bool,
    /// A successor was examined and will take over.
    pub(super) is_upgrading: bool,
    pub(super) names: AutoLogNames,
    /// Paths of AUTO logs generated for groups of `last_read`, in the order of their processes.
    pub(super) made: BTreeMap<GroupName, Vec<LogPaths>>,
    pub(super) groups: Groups,
    pub(super) slots: SlotTable,
    /// A counter for groups and processes in the order in which they were added.
    pub(super) serial: u64,
    /// The incarnation of the newest instance.
    pub(super) last_incarnation: u64,
    /// Deadlines with the slots of their processes. A process has at most one entry.
    pub(super) timers: BTreeSet<(Tick, u32)>,
    pub(super) tickets: BTreeMap<Ticket, Pending>,
    /// Requests that can continue because something they waited for has happened. Empty between two inputs.
    pub(super) runnable: Vec<Ticket>,
    /// Signals that were sent and not answered yet. The shell answers at once and in order, so the list is short.
    pub(super) signals: VecDeque<(InstanceId, Signal, SignalPurpose)>,
    /// The number of processes that are not in a stopped state.
    pub(super) unstopped: u32,
    pub(super) shutdown_state: Option<ShutdownState>,
    /// Pools of event listeners, in the order in which they were added.
    pub(super) pools: Vec<ListenerPool>,
    pub(super) ticks: Ticks,
    /// Which events about process output the pools subscribe to.
    pub(super) output_events: OutputEvents,
    /// The serial number of the next event that a pool accepts.
    pub(super) event_serial: u64,
    /// The identifier of this daemon, for events.
    pub(super) server: Arc<str>,
    /// How many of the current actions were offered to the pools. Valid only within one call of `handle`.
    pub(super) dispatched_up_to: usize,
}

impl Fleet {
    /// Creates a fleet with the groups of `config`. [`Input::DaemonStarted`] adds them.
    #[must_use]
    pub fn new(identity: Identity, config: Arc<Config>) -> Self {
        Self {
            names: AutoLogNames::new(identity.seed),
            pools: Vec::new(),
            ticks: Ticks::NONE,
            output_events: OutputEvents::default(),
            event_serial: identity.event_serial,
            server: Arc::from(config.daemon.identifier.as_str()),
            dispatched_up_to: 0,
            identity,
            config_problems: warning_lines(&config.warnings).collect(),
            last_read: config,
            next_config: None,
            daemon_state: SupervisorState::Running,
            began: false,
            found: Vec::new(),
            finished: false,
            generation: 0,
            is_upgrading: false,
            changed: Vec::new(),
            removed: Vec::new(),
            regrouped: true,
            made: BTreeMap::new(),
            groups: Groups::new(),
            slots: SlotTable::default(),
            serial: 0,
            last_incarnation: 0,
            timers: BTreeSet::new(),
            tickets: BTreeMap::new(),
            runnable: Vec::new(),
            signals: VecDeque::new(),
            unstopped: 0,
            shutdown_state: None,
        }
    }

    /// Handles one input and appends the resulting actions to `out`, in order. It also does everything that is due, so
    /// no deadline is in the past afterwards.
    pub fn handle(&mut self, now: Now, input: Input, out: &mut Actions) {
        self.dispatched_up_to = out.len();
        match input {
            Input::DaemonStarted => self.start_groups(now, out),
            Input::Output(outcome) => self.output_outcome(outcome, now, out),
            Input::Spawner(outcome) => self.spawner_outcome(outcome, now, out),
            Input::Loader(outcome) => self.loader_outcome(outcome, now, out),
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
        self.handle_due(now, out);
    }

    /// Does everything that is due or has become possible.
    fn handle_due(&mut self, now: Now, out: &mut Actions) {
        for tick in self.ticks.take_due(now) {
            Self::publish(out, tick);
        }
        loop {
            self.run_due_deadlines(now, out);
            let went_on = self.go_on(now, out);
            self.offer_events(out);
            self.dispatch(now, out);
            if !self.continue_shutdown(now, out) && !went_on {
                break;
            }
        }
    }

    /// Returns when [`Input::DeadlineReached`] is due at the latest. `None`: nothing is due. The value changes only in
    /// [`Fleet::handle`].
    #[must_use]
    pub fn next_deadline(&self) -> Option<Tick> {
        let process = self.timers.first().map(|&(tick, _)| tick);
        process
            .into_iter()
            .chain(self.shutdown_state.as_ref().map(ShutdownState::due))
            .chain([self.ticks.due()])
            .chain(self.pools.iter().map(ListenerPool::due))
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
                .filter_map(|&slot| self.slots.get(slot))
                .filter(|process| {
                    scope.covers(process.spec.group.as_str(), process.spec.name.as_str())
                })
                .map(|process| self.view_process(process, now)),
        );
        views
    }

    /// Returns one process as clients see it.
    pub(super) fn view_process(&self, process: &Process, now: Now) -> ProcessView {
        ProcessView {
            events_discarded: self.events_discarded(process),
            ..process.view(now)
        }
    }

    /// Returns the configuration read last.
    #[must_use]
    pub const fn config(&self) -> &Arc<Config> {
        &self.last_read
    }

    /// Returns the state of the daemon.
    #[must_use]
    pub const fn state(&self) -> SupervisorState {
        self.daemon_state
    }

    /// Takes the configuration to restart with after [`super::DaemonOutcome::Restart`]. It was read before anything was
    /// stopped.
    #[must_use]
    pub fn take_next_config(&mut self) -> Option<Arc<Config>> {
        self.next_config.take()
    }

    /// Returns the serial number of the next event.
    #[must_use]
    pub const fn event_serial(&self) -> u64 {
        self.event_serial
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
            signals: &mut self.signals,
            may_start: self.daemon_state == SupervisorState::Running,
            trigger,
        };
        process.run.stage.expect(trigger);
        act(process, &mut ctx);
        if !process.run.stage.recovers_same_as(&stage) {
            self.changed.push(slot);
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
        let (armed, deadline) = (process.armed, process.deadline());
        if armed != deadline {
            process.armed = deadline;
            self.timers.remove(&(armed, slot));
            if deadline != Tick::NEVER {
                self.timers.insert((deadline, slot));
            }
        }
        if before.is_stopped() != after.is_stopped()
            && let Some(group) = self.groups.get_mut(&process.spec.group)
        {
            let count = |n: u32| {
                if after.is_stopped() {
                    n.saturating_sub(1)
                } else {
                    n.saturating_add(1)
                }
            };
            group.unstopped = count(group.unstopped);
            self.unstopped = count(self.unstopped);
            if let Some(down) = &mut self.shutdown_state
                && down.level == Some(group.spec.priority)
            {
                down.level_unstopped = count(down.level_unstopped);
            }
        }
        self.return_held_event(slot, out);
        self.answer_waiters(slot, out);
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
        while let Some(&(tick, slot)) = self.timers.first() {
            if tick > now.mono {
                break;
            }
            self.timers.pop_first();
            if let Some(process) = self.slots.get_mut(slot) {
                process.armed = Tick::NEVER;
            }
            self.update_process(slot, Trigger::Deadline, now, out, |process, ctx| {
                process.deadline_reached(slot, ctx);
            });
        }
        self.report_waiting_to_die(now, out);
    }
}
