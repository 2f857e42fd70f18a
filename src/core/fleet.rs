//! The whole of what is supervised: it takes what happened, hands it to the process, group or request concerned, and
//! knows what is due next. It must not know how anything is done.

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
use super::stage::Stage;
use super::tick::Ticks;
use super::ticket::{Pending, SignalPurpose};
use super::{Action, Actions, Input, SignalScope};
use crate::api::{AccessScope, FaultCode, ProcessView, Ticket};
use crate::config::spec::Config;
use crate::config::warning_lines;
use crate::domain::{
    Channel, Errno, Event, EventKind, GroupName, InstanceId, Line, LogPaths, Now, OutputEvents,
    ProcessState, QualifiedName, Signal, SpawnError, SupervisorState, Tick,
};

/// What the fleet must know of the daemon it is in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Identity {
    /// The daemon's process number.
    pub pid: i32,
    /// The daemon's activity log; none: it is no file.
    pub daemon_log: Option<Arc<Path>>,
    /// Where made-up log names begin; should differ from start to start.
    pub seed: u64,
    /// The number of the next event. It goes on where the run before the last reload ended.
    pub event_serial: u64,
}

/// Everything that is supervised.
#[derive(Debug)]
pub struct Fleet {
    pub(super) identity: Identity,
    /// The configuration read last; what is added comes from here.
    pub(super) last_read: Arc<Config>,
    /// Errors and warnings of the configuration when it was read last, one a line, whether it was taken or not.
    pub(super) config_problems: Vec<String>,
    /// The configuration to start again with.
    pub(super) next_config: Option<Arc<Config>>,
    pub(super) daemon_state: SupervisorState,
    pub(super) began: bool,
    /// What runs already when it begins; empty after that.
    pub(super) found: Vec<AdoptedProcess>,
    /// Nothing is left to do.
    pub(super) finished: bool,
    /// Images of the daemon before this one that it was handed over from, one to the next.
    pub(super) generation: u32,
    /// Slots of processes that have changed, for [`Fleet::take_changed`]; bounded by who takes them after each input.
    pub(super) changed: Vec<u32>,
    /// Processes that were removed, for [`Fleet::take_removed`]; bounded like those.
    pub(super) removed: Vec<QualifiedName>,
    pub(super) regrouped: bool,
    /// A successor was found good and will take over.
    pub(super) is_upgrading: bool,
    pub(super) names: AutoLogNames,
    /// AUTO logs made for groups of `last_read`, by place of the process.
    pub(super) made: BTreeMap<GroupName, Vec<LogPaths>>,
    pub(super) groups: Groups,
    pub(super) slots: SlotTable,
    /// Counts groups and processes as they are added.
    pub(super) serial: u64,
    /// The number of the instance made last.
    pub(super) last_incarnation: u64,
    /// What is due when, one entry for each process that has a deadline.
    pub(super) timers: BTreeSet<(Tick, u32)>,
    pub(super) tickets: BTreeMap<Ticket, Pending>,
    /// Requests that have more to do since something they waited for has come; empty between two inputs.
    pub(super) roused: Vec<Ticket>,
    /// Signals on their way. The shell answers at once and in order, so this is short.
    pub(super) signals: VecDeque<(InstanceId, Signal, SignalPurpose)>,
    /// Processes in no stopped state.
    pub(super) unstopped: u32,
    pub(super) winding_down: Option<ShutdownState>,
    /// Pools of listeners, as they were added.
    pub(super) pools: Vec<ListenerPool>,
    pub(super) ticks: Ticks,
    /// Which events about output are asked for.
    pub(super) output_events: OutputEvents,
    /// The number of the next event that a pool takes.
    pub(super) event_serial: u64,
    /// The name of this daemon, for events.
    pub(super) server: Arc<str>,
    /// How many of the actions at hand the pools have looked at. Means something within one call of `handle` only.
    pub(super) dispatched_up_to: usize,
}

impl Fleet {
    /// A fleet of the groups of `config`, which are added at [`Input::Began`].
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
            roused: Vec::new(),
            signals: VecDeque::new(),
            unstopped: 0,
            winding_down: None,
        }
    }

    /// Takes what happened; `out` gets what is to be done, in order. What is due by then is done too, so no deadline is
    /// in the past afterwards.
    pub fn handle(&mut self, now: Now, input: Input, out: &mut Actions) {
        self.dispatched_up_to = out.len();
        match input {
            Input::DaemonStarted => self.start_groups(now, out),
            Input::Resolved(instance) => self.resolved(instance, now, out),
            Input::Prepared(instance) => self.prepared(instance, now, out),
            Input::Spawned { instance, pid } => self.spawned(instance, pid, now, out),
            Input::SpawnHeld { instance, why } => {
                if let Some((stage, next)) = self.slots.next_attempt(instance)
                    && stage.instance() != Some(instance)
                {
                    next.held_up = Some(why);
                } else if self.slots.process_of(instance).is_some() {
                    self.update_process(instance.slot, now, out, |process, ctx| {
                        process.spawn_held(why, ctx);
                    });
                }
            }
            Input::SpawnFailed { instance, error } => self.spawn_failed(instance, error, now, out),
            Input::Exited { instance, status } => {
                if self.slots.process_of(instance).is_some() {
                    self.update_process(instance.slot, now, out, |process, ctx| {
                        process.exited(status, ctx);
                    });
                } else {
                    // Nobody waits for its end, but its pipes must not stay.
                    out.push(Action::Drain(instance));
                }
            }
            Input::Emptied {
                instance,
                resource_events,
            } => {
                if self.slots.process_of(instance).is_some() {
                    self.update_process(instance.slot, now, out, |process, ctx| {
                        process.emptied(resource_events, ctx);
                    });
                }
            }
            Input::Drained(instance) => {
                let living = self.slots.process_of(instance);
                // What it left behind may write on until it is gone; nobody was asked to drain yet.
                if living.is_some_and(|process| !process.run.stage.is_emptying()) {
                    self.update_process(instance.slot, now, out, Process::drained);
                }
                if self.slots.release_orphan(instance) {
                    // Nobody remembers what it was. Who has no socket has none to give back.
                    out.push(Action::Release(instance));
                }
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
            Input::Checked { ticket, result } => self.checked(ticket, result, now, out),
            Input::SocketsTried { ticket, result } => self.sockets_tried(ticket, result, now, out),
            Input::Loaded { reason, result } => self.loaded(reason, result, now, out),
            Input::Composed { ticket, result } => self.composed(ticket, result, now, out),
            Input::Cleared { ticket, result, .. } => self.cleared(ticket, result, now, out),
            Input::DaemonLogCleared { ticket, result } => {
                self.daemon_log_cleared(ticket, result, out);
            }
            Input::StdinTaken { ticket, result } => self.stdin_taken(ticket, result, out),
            Input::Wrote {
                instance,
                channel,
                data,
                captured,
            } => self.wrote(instance, channel, data, captured, out),
            Input::Notified(instance, notice) => {
                if self.slots.process_of(instance).is_some() {
                    self.update_process(instance.slot, now, out, |process, ctx| {
                        process.notified(notice, ctx);
                    });
                }
            }
            Input::ForeignNotify {
                instance,
                sender,
                uid,
            } => {
                if self.slots.process_of(instance).is_some() {
                    self.update_process(instance.slot, now, out, |process, ctx| {
                        process.foreign_notify(sender, uid, ctx);
                    });
                }
            }
            Input::NotifyPolled(instance) => {
                if self.slots.process_of(instance).is_some() {
                    self.update_process(instance.slot, now, out, |process, ctx| {
                        process.notify_polled(instance.slot, ctx);
                    });
                }
            }
            Input::ListenerOutput(instance, said) => self.listener_output(instance, said, now, out),
            Input::NotDelivered(instance, error) => self.not_delivered(instance, error, out),
            Input::SuccessorExamined { ticket, result } => {
                self.successor_examined(ticket, result, out);
            }
            Input::Resumed(successor) => self.resumed(successor, now, out),
            Input::Received(signal) => self.received(signal, now, out),
        }
        for tick in self.ticks.take_due(now) {
            Self::publish(out, None, tick);
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

    /// When [`Input::DeadlineReached`] is due at the latest. Changes only in [`Fleet::handle`].
    #[must_use]
    pub fn next_deadline(&self) -> Option<Tick> {
        let process = self.timers.first().map(|&(tick, _)| tick);
        process
            .into_iter()
            .chain(self.winding_down.as_ref().map(ShutdownState::due))
            .chain([self.ticks.due()])
            .chain(self.pools.iter().map(ListenerPool::due))
            .filter(|&tick| tick != Tick::NEVER)
            .min()
    }

    /// Every process, by (group, process).
    #[must_use]
    pub fn view(&self, now: Now) -> Vec<ProcessView> {
        self.view_of(&AccessScope::All, now)
    }

    /// Every process that `scope` covers, by (group, process).
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

    /// One process, as clients see it.
    pub(super) fn view_process(&self, process: &Process, now: Now) -> ProcessView {
        ProcessView {
            events_discarded: self.events_discarded(process),
            ..process.view(now)
        }
    }

    /// The configuration read last.
    #[must_use]
    pub const fn config(&self) -> &Arc<Config> {
        &self.last_read
    }

    /// The daemon's state.
    #[must_use]
    pub const fn state(&self) -> SupervisorState {
        self.daemon_state
    }

    /// After [`super::Outcome::Restart`]: the configuration to start again with, read before anything was stopped.
    #[must_use]
    pub fn take_next_config(&mut self) -> Option<Arc<Config>> {
        self.next_config.take()
    }

    /// The number of the next event.
    #[must_use]
    pub const fn event_serial(&self) -> u64 {
        self.event_serial
    }

    // Changes of one process

    /// Lets `act` change a process, and sees to all that hangs on it: counts, its deadline, and who waits for it.
    pub(super) fn update_process(
        &mut self,
        slot: u32,
        now: Now,
        out: &mut Actions,
        act: impl FnOnce(&mut Process, &mut Ctx<'_>),
    ) {
        let Some(process) = self.slots.get_mut(slot) else {
            return;
        };
        let before = process.state();
        let stage = process.run.stage;
        let instance = stage.instance();
        let mut ctx = Ctx {
            now,
            out,
            last_incarnation: &mut self.last_incarnation,
            signals: &mut self.signals,
            may_start: self.daemon_state == SupervisorState::Running,
        };
        act(process, &mut ctx);
        if !process.run.stage.recovers_same_as(&stage) {
            self.changed.push(slot);
        }
        let after = process.state();
        if let Some(instance) = instance
            && process.has_socket()
            && process.run.stage.instance() != Some(instance)
        {
            out.push(Action::Release(instance));
        }
        if let Some(instance) = process.take_abandoned_attempt(now.mono) {
            out.push(Action::Drain(instance));
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
            if let Some(down) = &mut self.winding_down
                && down.level == Some(group.spec.priority)
            {
                down.level_unstopped = count(down.level_unstopped);
            }
        }
        self.return_held_event(slot, out);
        self.answer_waiters(slot, out);
    }

    /// Does what is due. Ends, for nothing that is done here is due again at the same moment.
    fn run_due_deadlines(&mut self, now: Now, out: &mut Actions) {
        while let Some(&(tick, slot)) = self.timers.first() {
            if tick > now.mono {
                break;
            }
            self.timers.pop_first();
            if let Some(process) = self.slots.get_mut(slot) {
                process.armed = Tick::NEVER;
            }
            self.update_process(slot, now, out, |process, ctx| {
                process.deadline_reached(slot, ctx);
            });
        }
        self.report_waiting_to_die(now, out);
    }

    fn resolved(&mut self, instance: InstanceId, now: Now, out: &mut Actions) {
        if let Some((stage, next)) = self.slots.next_attempt(instance)
            && stage != Stage::Resolving(instance)
        {
            next.is_resolved = true;
        } else if self.slots.process_of(instance).is_some() {
            self.update_process(instance.slot, now, out, Process::resolved);
        } else {
            // The attempt was called off; whoever holds its plan must detach.
            out.push(Action::Drain(instance));
        }
    }

    fn prepared(&mut self, instance: InstanceId, now: Now, out: &mut Actions) {
        if let Some((stage, next)) = self.slots.next_attempt(instance)
            && stage != Stage::Preparing(instance)
        {
            next.is_prepared = true;
        } else if self.slots.process_of(instance).is_some() {
            self.update_process(instance.slot, now, out, Process::prepared);
        } else {
            // The attempt was called off; whoever holds the ends of its pipes must detach.
            out.push(Action::Drain(instance));
        }
    }

    fn spawned(&mut self, instance: InstanceId, pid: i32, now: Now, out: &mut Actions) {
        if self.slots.process_of(instance).is_some() {
            self.update_process(instance.slot, now, out, |process, ctx| {
                process.spawned(pid, ctx);
            });
        } else {
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

    fn spawn_failed(
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
            out.push(Action::Drain(instance));
        } else if self.slots.process_of(instance).is_some() {
            self.update_process(instance.slot, now, out, |process, ctx| {
                process.spawn_failed(error, ctx);
            });
        }
    }

    fn wrote(
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
        let kind = if captured {
            EventKind::ProcessCommunication { channel, pid, data }
        } else {
            EventKind::ProcessLog { channel, pid, data }
        };
        out.push(Action::Publish(Arc::new(Event {
            group: Some(process.spec.group.clone()),
            process: Some(process.spec.name.clone()),
            kind,
        })));
    }

    fn signalled(
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
                    self.update_process(instance.slot, now, out, |process, _| process.stop_sent());
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

    /// Says that a signal did not arrive. Anything but "it is gone" makes its process UNKNOWN; then answers the text
    /// for those who asked.
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
            // Its end will be reaped as ever.
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
        self.update_process(instance.slot, now, out, Process::signal_refused);
        self.fail_stops(instance.slot, &text, out);
        Some(text)
    }
}
