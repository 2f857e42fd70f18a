//! Invariants that hold after each step. They use only inputs, actions and views, as an outside observer sees them.

use std::collections::{BTreeMap, BTreeSet};

use supervisord::api::{
    Fault, FaultCode, ProcessView, Reply, Request, RequestTarget, TargetResult, Ticket,
};
use supervisord::config::spec::{GroupChangeResult, ProcessKind, ProcessSpec};
use supervisord::core::{Action, DaemonOutcome, Fleet, Input};
use supervisord::domain::{
    Change, GroupName, InstanceId, Line, Now, ProcessName, ProcessState, Signal,
};
use supervisord::effects::{OutputEffect, SpawnerEffect, SpawnerOutcome};

use crate::configs::ROLLING_MAX;
use crate::dependencies::Dependents;
use crate::ends::Ends;
use crate::listeners::Listeners;
use crate::notifiers::Notifiers;
use crate::restarts::Restarts;
use crate::schedules::Schedules;
use crate::scripts::Scripts;
use crate::watches::Watches;

const SECOND: u64 = 1_000_000_000;

type Name = (String, String);

/// The state of one process according to the published events.
#[derive(Debug)]
struct Told {
    state: ProcessState,
    /// A stop was accepted, and no start was requested since.
    to_stay_down: bool,
}

/// The state of an instance according to the actions.
#[derive(Debug)]
struct SimInstance {
    name: Name,
    spec: std::sync::Arc<ProcessSpec>,
    /// Spawned and not yet exited.
    up: bool,
    /// When the last stop signal was sent. `None`: none was sent.
    stop_sent: Option<u64>,
    /// How many stop signals after the first one were sent.
    later_sent: usize,
    killed: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Invariants {
    told: BTreeMap<Name, Told>,
    instances: BTreeMap<InstanceId, SimInstance>,
    /// Instances of attempts that began before EXITED of the previous instance was published.
    early: BTreeSet<InstanceId>,
    /// Instances for which a spawn was requested and that have not exited, by slot.
    at_kernel: BTreeMap<u32, InstanceId>,
    /// Instances that hold a socket, and whether their process runs.
    holding: BTreeMap<InstanceId, bool>,
    /// Instances that have released their socket.
    given_back: BTreeSet<InstanceId>,
    used: BTreeSet<u64>,
    waiting: BTreeMap<Ticket, Request>,
    /// When each process was reaped, until its exit is published.
    reaped: BTreeMap<InstanceId, u64>,
    /// Instances whose remaining processes are being killed, and since when.
    emptying: BTreeMap<InstanceId, u64>,
    /// Instances whose cgroup was checked for resource events before their output was drained.
    looked_into: BTreeSet<InstanceId>,
    stopping_told: bool,
    running_told: bool,
    dependents: Dependents,
    listeners: Listeners,
    notifiers: Notifiers,
    schedules: Schedules,
    scripts: Scripts,
    watches: Watches,
    restarts: Restarts,
    ends: Ends,
    /// What has happened at least once. A simulation proves nothing about things that never happen in it.
    seen: BTreeSet<String>,
}

/// The longest time from a signal of a client to a process that is about to stop until the next signal of the daemon, in
/// seconds. Hooks before the stop signal may come first.
fn stop_seconds(spec: &ProcessSpec) -> u64 {
    let wait = u64::try_from(spec.stopwaitsecs.0).unwrap_or(0);
    let Some(hooks) = &spec.hooks else {
        return wait;
    };
    let hook = u64::try_from(hooks.timeout.0).unwrap_or(0) + 5;
    let before = hooks.pre_stop.as_ref().map_or(0, |_| hook);
    wait + before + hooks.stop_command.as_ref().map_or(0, |_| wait)
}

fn has_socket(spec: &ProcessSpec) -> bool {
    matches!(spec.kind, ProcessKind::Fcgi(_))
}

impl Invariants {
    pub(crate) fn before(&mut self, input: &Input) {
        match input {
            Input::Asked {
                ticket, request, ..
            } => {
                self.waiting.insert(*ticket, request.clone());
            }
            Input::Exited { instance, .. }
            | Input::Spawner(SpawnerOutcome::Failed { instance, .. }) => {
                if self.at_kernel.get(&instance.slot) == Some(instance) {
                    self.at_kernel.remove(&instance.slot);
                }
                if let Some(instance_state) = self.instances.get_mut(instance) {
                    instance_state.up = false;
                    self.dependents.note_up(&instance_state.name, false);
                }
                if let Some(up) = self.holding.get_mut(instance) {
                    *up = false;
                }
            }
            Input::Emptied { instance, .. } => {
                self.emptying.remove(instance);
            }
            Input::Spawner(SpawnerOutcome::Answered { ticket, .. }) => {
                self.dependents.note_checked(*ticket);
            }
            Input::Spawner(SpawnerOutcome::Spawned { instance, .. }) => {
                if let Some(instance_state) = self.instances.get_mut(instance) {
                    instance_state.up = true;
                    self.dependents.note_up(&instance_state.name, true);
                }
                if let Some(up) = self.holding.get_mut(instance) {
                    *up = true;
                }
            }
            _ => {}
        }
    }

    pub(crate) fn after(&mut self, now: Now, input: &Input, actions: &[Action], fleet: &Fleet) {
        self.listeners.note_input(now.mono.0, input);
        self.notifiers.note_input(now.mono.0, input);
        if let Input::Asked { request, .. } = input {
            self.dependents.note_request(request, fleet, now);
        }
        let starts = |action: &Action| {
            matches!(
                action,
                Action::Log(Line::WaitingFor { .. } | Line::StartedFor { .. })
            )
        };
        if actions.iter().any(starts) {
            // A start was accepted for these.
            for view in fleet.view(now) {
                let name = (view.group.to_string(), view.name.to_string());
                if view.dependency_text.starts_with("waiting for ")
                    && let Some(told) = self.told.get_mut(&name)
                {
                    told.to_stay_down = false;
                }
            }
        }
        self.scripts.note_input(input);
        self.watches.note_input(input);
        let mut changed = None;
        self.restarts.note_input(input);
        self.ends.note_input(input, self.stopping_told);
        for action in actions {
            self.note_action(action);
            self.listeners.note_action(now.mono.0, action);
            self.notifiers.note_action(now.mono.0, action, input);
            if let Some(name) = changed.take() {
                self.restarted_after_change(&name, action);
            }
            changed = self.watches.note_action(action);
            if let Some(seen) = self.scripts.note_action(action) {
                self.seen.insert(seen.to_owned());
            }
            self.ends.note_action(action);
            let happened = self.restarts.note_action(now.mono.0, action, input);
            self.seen.extend(happened.map(str::to_owned));
            match action {
                // The attempt began early, its start was published since, and the next daemon begins it again.
                Action::Spawner(SpawnerEffect::Resolve(instance, spec))
                    if matches!(input, Input::Resumed { .. })
                        && !self.instances.contains_key(instance) =>
                {
                    self.attempt(*instance, spec, input);
                }
                // The same attempt again, because the previous daemon could not finish it.
                Action::Spawner(SpawnerEffect::Resolve(..))
                    if matches!(input, Input::Resumed { .. }) => {}
                // The second effect of an early attempt.
                Action::Spawner(SpawnerEffect::Resolve(instance, _))
                    if self.early.contains(instance) => {}
                Action::Spawner(SpawnerEffect::Resolve(instance, spec)) => {
                    self.begins(now, *instance);
                    self.attempt(*instance, spec, input);
                }
                Action::Output(OutputEffect::PrepareNext(instance, spec, _)) => {
                    self.begins(now, *instance);
                    assert!(
                        !has_socket(spec),
                        "the previous instance still has its socket"
                    );
                    let name = (spec.group.to_string(), spec.name.to_string());
                    let told = self.told.get(&name).expect("known");
                    assert!(!told.to_stay_down, "an attempt after an accepted stop");
                    let other = self.early.iter().find(|other| other.slot == instance.slot);
                    assert_eq!(other, None, "two attempts of one slot");
                    self.early.insert(*instance);
                }
                Action::Output(OutputEffect::Drain(instance)) if self.early.remove(instance) => {
                    self.seen.insert("PrepareNext was in vain".to_owned());
                }
                Action::Empty { instance, kill } => {
                    self.looked_into.insert(*instance);
                    if *kill {
                        // The next daemon repeats the action, but the time counts from the first one.
                        self.emptying.entry(*instance).or_insert(now.mono.0);
                    }
                    self.seen.insert(format!("Empty {kill}"));
                }
                Action::Limit(instance, _) => {
                    let instance_state = self.instances.get(instance);
                    assert!(
                        instance_state.is_some_and(|instance_state| instance_state.up),
                        "{instance:?} is limited, but not up"
                    );
                    self.seen.insert("Limit".to_owned());
                }
                Action::Spawn(instance, spec) => {
                    if self.early.remove(instance) {
                        self.attempt(*instance, spec, input);
                        self.seen.insert("PrepareNext saved time".to_owned());
                    }
                    let before = self.at_kernel.insert(instance.slot, *instance);
                    assert_eq!(before, None, "two live incarnations of one slot");
                }
                Action::Spawner(SpawnerEffect::Release(instance)) => {
                    assert!(
                        self.given_back.insert(*instance),
                        "a socket is given back twice"
                    );
                    // For a process that was removed while UNKNOWN, no record says whether it held a socket.
                    let up = self.holding.remove(instance);
                    assert_ne!(up, Some(true), "a socket is taken from a live process");
                    self.seen.insert("Release".to_owned());
                }
                Action::Finish(_) => {
                    // The last output of an UNKNOWN process may still be in progress. The shutdown does not wait for
                    // it.
                    let unknown = |instance: &InstanceId| {
                        let instance_state = self.instances.get(instance);
                        let told = instance_state
                            .and_then(|instance_state| self.told.get(&instance_state.name));
                        told.is_none_or(|told| told.state == ProcessState::Unknown)
                    };
                    let left = self
                        .holding
                        .iter()
                        .find(|(instance, up)| !**up && !unknown(instance));
                    assert_eq!(left, None, "a socket is never given back");
                }
                Action::Signal {
                    instance, signal, ..
                } => self.signal(now, *instance, *signal, (input, actions)),
                Action::Publish(event) => {
                    self.dependents.event(event, fleet);
                    self.event(event, fleet);
                }
                Action::Log(Line::ProcessAdded { name, group }) => {
                    // The process is new.
                    self.told.remove(&(group.to_string(), name.to_string()));
                }
                Action::Log(
                    Line::ProcessRemoved { name, group } | Line::ProcessUpdated { name, group },
                ) => {
                    let name = (group.to_string(), name.to_string());
                    self.dependents.removed(&name);
                    if let Some(told) = self.told.remove(&name) {
                        assert!(
                            told.state.is_stopped(),
                            "{name:?} is removed while {:?}",
                            told.state
                        );
                    }
                    self.instances
                        .retain(|_, instance_state| instance_state.name != name);
                }
                Action::Answer(ticket, answer) => {
                    let request = self.waiting.remove(ticket);
                    let request = request.expect("a ticket is answered once");
                    self.answered(&request, answer.as_ref().map_err(|fault| fault.code));
                }
                _ => {}
            }
        }
        if let Input::Asked {
            ticket,
            request:
                Request::Stop {
                    target: RequestTarget::One(spec, _),
                    ..
                },
            ..
        } = input
        {
            let name = (spec.group.clone(), spec.process.clone().unwrap_or_default());
            let unknown = self
                .told
                .get(&name)
                .is_some_and(|told| told.state == ProcessState::Unknown);
            // A stop of a stopped process is refused with NOT_RUNNING, and the process stays down all the same. A process
            // that is UNKNOWN may exit later and be started again.
            let refused = actions.iter().any(|action| {
                matches!(action, Action::Answer(t, Err(fault)) if t == ticket && (unknown || fault.code != FaultCode::NotRunning))
            });
            if !refused && let Some(told) = self.told.get_mut(&name) {
                told.to_stay_down = true;
            }
        }
        if let Some(deadline) = fleet.next_deadline() {
            assert!(deadline > now.mono, "a deadline is in the past");
        }
        self.notifiers.after(now.mono.0, input, actions);
        let seen = self.schedules.after(now, actions);
        let clock_set = matches!(input, Input::ClockSet).then_some("clock set");
        self.seen
            .extend(seen.into_iter().chain(clock_set).map(str::to_owned));
        self.scripts.after(now, fleet);
        let happened = self.ends.after(self.stopping_told);
        self.seen.extend(happened.map(str::to_owned));
        self.deadlines(now, input);
    }

    /// A process is restarted because of a changed file: its stop follows at once, and it was up.
    fn restarted_after_change(&mut self, name: &ProcessName, action: &Action) {
        let Action::Publish(change) = action else {
            // It stops after its hooks, or its exit decides.
            return;
        };
        let Change::ProcessState {
            group,
            process,
            from,
            to,
            ..
        } = &**change
        else {
            return;
        };
        assert!(
            process == name && *to == ProcessState::Stopping,
            "{name} stays up: {change:?}"
        );
        assert!(matches!(
            from,
            ProcessState::Starting | ProcessState::Running
        ));
        self.watches.restarted(group, process);
        self.seen.insert("a restart after a change".to_owned());
    }

    /// The next daemon takes over: waiting clients were refused, and spawns that were requested and not done were
    /// called off.
    pub(crate) fn handed_over(&mut self) {
        self.waiting.clear();
        // No event was published about them, and nothing remains of them.
        self.early.clear();
        let instances = &self.instances;
        self.at_kernel.retain(|_, instance| {
            instances
                .get(instance)
                .is_none_or(|instance_state| instance_state.up)
        });
    }

    fn note_action(&mut self, action: &Action) {
        let text = match action {
            Action::Publish(event) => event.name().to_owned(),
            Action::Log(line) => line.variant().to_owned(),
            Action::Finish(outcome) => format!("{outcome:?}"),
            Action::Answer(_, Err(fault)) => fault.code.name().to_owned(),
            Action::Answer(_, Ok(Reply::Scaled { added, removed, .. })) => {
                match (added.is_empty(), removed.is_empty()) {
                    (false, _) => "scaled up".to_owned(),
                    (true, false) => "scaled down".to_owned(),
                    (true, true) => "scaled to what it was".to_owned(),
                }
            }
            Action::Answer(_, Ok(Reply::Results(results))) => {
                for fault in results.iter().filter_map(|result| result.fault.as_ref()) {
                    self.seen.insert(format!("result {}", fault.code.name()));
                    if is_left(fault) {
                        self.seen.insert("rolling restart ended early".to_owned());
                    }
                }
                return;
            }
            _ => return,
        };
        self.seen.insert(text);
    }

    fn patience(&self, instance: &InstanceId) -> u64 {
        if self.looked_into.contains(instance) {
            20 * SECOND
        } else {
            10 * SECOND
        }
    }

    fn begins(&mut self, now: Now, instance: InstanceId) {
        let busy = |(other, since): (&InstanceId, &u64)| {
            other.slot == instance.slot && now.mono.0 < since + 10 * SECOND
        };
        assert!(
            !self.emptying.iter().any(busy),
            "{instance:?} begins while what another life left is being killed"
        );
        assert!(
            self.used.insert(instance.incarnation),
            "an incarnation is used twice"
        );
    }

    fn attempt(&mut self, instance: InstanceId, spec: &std::sync::Arc<ProcessSpec>, input: &Input) {
        let name = (spec.group.to_string(), spec.name.to_string());
        let told = self.told.get_mut(&name).expect("known");
        assert_eq!(told.state, ProcessState::Starting);
        self.restarts.attempt(&name, spec);
        if told.to_stay_down {
            assert!(
                spec.schedule.is_some()
                    || matches!(input, Input::Spawner(SpawnerOutcome::Answered { .. })),
                "a start after an accepted stop, by {input:?}"
            );
            told.to_stay_down = false;
        }
        if has_socket(spec) {
            let before = self.holding.keys().find(|held| held.slot == instance.slot);
            assert_eq!(before, None, "the previous instance still holds its socket");
            self.holding.insert(instance, false);
        }
        let instance_state = SimInstance {
            name,
            spec: std::sync::Arc::clone(spec),
            up: false,
            stop_sent: None,
            later_sent: 0,
            killed: false,
        };
        self.instances.insert(instance, instance_state);
    }

    fn signal(
        &mut self,
        now: Now,
        instance: InstanceId,
        signal: Signal,
        (input, actions): (&Input, &[Action]),
    ) {
        let Some(instance_state) = self.instances.get_mut(&instance) else {
            assert_eq!(
                signal,
                Signal::KILL,
                "a process of no program is killed or left alone"
            );
            return;
        };
        assert!(
            instance_state.up,
            "a signal to a process that is not there: {instance:?}"
        );
        let told = &self.told[&instance_state.name];
        // Clients can signal processes that are not being stopped. Only the first signal after STOPPING is the stop
        // signal.
        let entered = actions.iter().any(|action| matches!(action, Action::Publish(event) if matches!(&**event, Change::ProcessState { process, group, to: ProcessState::Stopping, .. } if (group.as_str(), process.as_str()) == (instance_state.name.0.as_str(), instance_state.name.1.as_str()))));
        let stops = signal == instance_state.spec.stopsignal && instance_state.stop_sent.is_none();
        if stops && (entered || told.state == ProcessState::Stopping) {
            instance_state.stop_sent = Some(now.mono.0);
            return;
        }
        let is_of_client = matches!(input, Input::Asked { .. });
        let is_stopping =
            told.state == ProcessState::Stopping && instance_state.stop_sent.is_some();
        let spec = &instance_state.spec;
        let sent_before = instance_state.later_sent.checked_sub(1);
        let again = sent_before.map_or(spec.stopsignal, |index| spec.later_stopsignals[index]);
        if is_stopping && spec.later_stopsignals.contains(&signal) {
            if matches!(input, Input::Resumed(_)) && signal == again {
                return;
            }
            let next = spec.later_stopsignals.get(instance_state.later_sent);
            assert_eq!(next, Some(&signal), "a stop signal out of order");
            let wait = u64::try_from(spec.stopwaitsecs.0).unwrap_or(0) * SECOND;
            let sent = instance_state.stop_sent.expect("checked");
            assert!(
                now.mono.0 >= sent + wait,
                "{instance:?} gets the next stop signal too early"
            );
            instance_state.later_sent += 1;
            instance_state.stop_sent = Some(now.mono.0);
            self.seen.insert("later stop signal".to_owned());
        } else if signal == Signal::KILL {
            assert!(
                is_of_client
                    || !is_stopping
                    || instance_state.killed
                    || instance_state.later_sent == spec.later_stopsignals.len(),
                "SIGKILL before the last stop signal: {instance_state:?}"
            );
            instance_state.killed = true;
        }
    }

    fn event(&mut self, change: &Change, fleet: &Fleet) {
        match change {
            Change::ProcessState {
                group,
                process,
                from,
                to,
                ..
            } => {
                let name = (group.to_string(), process.to_string());
                let told = self.told.entry(name.clone()).or_insert(Told {
                    state: ProcessState::Stopped,
                    to_stay_down: false,
                });
                assert_eq!(told.state, *from, "events do not follow one another");
                let waits = *to == ProcessState::Stopped
                    && matches!(from, ProcessState::Exited | ProcessState::Fatal)
                    && has_dependencies(fleet, &name);
                assert!(waits || legal(*from, *to), "{name:?} {from} -> {to}");
                told.state = *to;
                if matches!(
                    to,
                    ProcessState::Stopped | ProcessState::Exited | ProcessState::Backoff
                ) {
                    // The exit of the instance is published.
                    self.instances.retain(|_, instance_state| {
                        let (of, name) = &instance_state.name;
                        (of.as_str(), name.as_str()) != (group.as_str(), process.as_str())
                    });
                    let instances = &self.instances;
                    self.reaped
                        .retain(|instance, _| instances.contains_key(instance));
                }
                assert!(
                    *to != ProcessState::Starting || !self.stopping_told,
                    "a start while everything stops"
                );
            }
            Change::GroupAdded(group) => {
                // Every process of the group is new.
                let group = group.to_string();
                self.told.retain(|name, _| name.0 != group);
            }
            Change::GroupRemoved(group) => {
                let group = group.to_string();
                for (name, told) in &self.told {
                    assert!(
                        name.0 != group || told.state.is_stopped(),
                        "{name:?} is removed while {:?}",
                        told.state
                    );
                }
                self.told.retain(|name, _| name.0 != group);
                // A process that was UNKNOWN keeps running and belongs to no group.
                self.instances
                    .retain(|_, instance_state| instance_state.name.0 != group);
            }
            Change::SupervisorState(state) => {
                if state.code() < 1 {
                    assert!(!self.stopping_told, "the stop is reported twice");
                    self.stopping_told = true;
                } else {
                    assert!(!self.running_told, "the start is reported twice");
                    self.running_told = true;
                }
            }
            Change::Tick { period, when } => assert_eq!(when % period.seconds(), 0),
            _ => {}
        }
    }

    fn answered(&self, request: &Request, answer: Result<&Reply, FaultCode>) {
        let state = |target: &RequestTarget| match target {
            RequestTarget::One(spec, _) => self
                .told
                .get(&(spec.group.clone(), spec.process.clone().unwrap_or_default()))
                .map_or(ProcessState::Stopped, |told| told.state),
            RequestTarget::Group(_) | RequestTarget::All => ProcessState::Stopped,
        };
        if let Ok(Reply::Results(results)) = answer {
            match request {
                Request::RollingRestart { limits, .. } => {
                    self.rolled(limits.at_once, limits.max_failures, results);
                }
                // Groups of the simulator have at most this `rolling`.
                Request::UpdateGroup(_) => self.rolled(ROLLING_MAX, 0, results),
                _ => {}
            }
        }
        if answer != Ok(&Reply::Done) {
            return;
        }
        match request {
            Request::Start { target, wait: true } => {
                assert_eq!(
                    state(target),
                    ProcessState::Running,
                    "started, but is not RUNNING"
                );
            }
            Request::Stop { target, wait: true } => {
                assert!(
                    state(target).is_stopped(),
                    "stopped, but is {}",
                    state(target)
                );
            }
            _ => {}
        }
    }

    /// A rolling restart restarts no further process after more failures than permitted.
    fn rolled(&self, at_once: u32, max_failures: u32, results: &[TargetResult]) {
        let fault = |result: &TargetResult| result.fault.clone();
        let failed = (0..results.len())
            .filter(|&place| fault(&results[place]).is_some_and(|fault| !is_refused(&fault)))
            .nth(max_failures as usize);
        let Some(failed) = failed else { return };
        let later = &results[failed + 1..];
        let more = later
            .iter()
            .filter(|result| !fault(result).is_some_and(|fault| is_left(&fault)))
            .count();
        assert!(
            more < at_once as usize,
            "{more} more after a failure, {at_once} at once: {results:?}"
        );
    }

    /// A change of a program does not touch processes that stay. `wanted` is the result of the change.
    pub(crate) fn who_stays_is_not_touched(
        &self,
        wanted: &GroupChangeResult,
        before: &[ProcessView],
        after: &[ProcessView],
        actions: &[Action],
    ) {
        let stays = |group: &GroupName, name: &ProcessName| {
            let of_it = wanted.processes.first();
            of_it.is_some_and(|of_it| of_it.group == *group) && wanted.members.contains(name)
        };
        // A deadline may have come at the same moment and have changed a process.
        let mut changed: BTreeSet<Name> = BTreeSet::new();
        for action in actions {
            if let Action::Publish(change) = action
                && let Change::ProcessState {
                    group, process, to, ..
                } = &**change
            {
                // A schedule may stop a process for its next run at the same moment.
                let has_schedule = before.iter().chain(after).any(|view| {
                    view.next_run.is_some() && view.group == *group && view.name == *process
                });
                assert!(
                    *to != ProcessState::Stopping || !stays(group, process) || has_schedule,
                    "{group}:{process} stays, and is stopped"
                );
                changed.insert((group.to_string(), process.to_string()));
            }
        }
        let key = |view: &ProcessView| (view.group.to_string(), view.name.to_string());
        let after: BTreeMap<Name, &ProcessView> =
            after.iter().map(|view| (key(view), view)).collect();
        for view in before.iter().filter(|view| stays(&view.group, &view.name)) {
            let name = key(view);
            let now = after.get(&name).expect("a remaining process is missing");
            assert!(
                changed.contains(&name)
                    || (view.pid, view.state, view.start) == (now.pid, now.state, now.start),
                "{name:?} was {view:?} and is {now:?}"
            );
        }
    }

    /// STOPPING ends: SIGKILL is sent in time, and the exit is published at most ten seconds after the process was
    /// reaped, or after its cgroup became empty, which may take another ten seconds.
    fn deadlines(&mut self, now: Now, input: &Input) {
        let at = now.mono.0;
        if let Input::Exited { instance, .. } = input
            && self.instances.contains_key(instance)
        {
            self.reaped.entry(*instance).or_insert(at);
        }
        for (instance, since) in &self.reaped {
            let state = self
                .instances
                .get(instance)
                .and_then(|instance_state| self.told.get(&instance_state.name))
                .map(|told| told.state);
            assert!(
                at < *since + self.patience(instance) || state.is_none(),
                "the end of {instance:?} is not told in time"
            );
        }
        let mut reaped = std::mem::take(&mut self.reaped);
        reaped.retain(|instance, since| at < *since + self.patience(instance));
        self.reaped = reaped;
        if !matches!(input, Input::DeadlineReached) {
            return;
        }
        for (instance, instance_state) in &self.instances {
            // Processes that send notifications are polled first, and have invariants of their own.
            let counts = instance_state.up
                && !instance_state.killed
                && !instance_state.spec.notify.tells_ready();
            let Some(sent) = instance_state.stop_sent.filter(|_| counts) else {
                continue;
            };
            let wait = stop_seconds(&instance_state.spec) * SECOND;
            let told = self.told.get(&instance_state.name).map(|told| told.state);
            assert!(
                at < sent + wait
                    || told == Some(ProcessState::Unknown)
                    || told != Some(ProcessState::Stopping),
                "{instance:?} is not killed in time: {at} {instance_state:?} {told:?}"
            );
        }
    }

    /// Asserts that every schedule goes on.
    pub(crate) fn schedules_go_on(&self, now: Now, fleet: &Fleet) {
        self.schedules.go_on(now, fleet);
    }

    /// Asserts that the views of clients equal the published events.
    pub(crate) fn compare(&self, fleet: &Fleet, views: &[ProcessView]) {
        self.dependents.compare(fleet, views, self.waiting.iter());
        let mut last = None;
        for view in views {
            let name = (view.group.to_string(), view.name.to_string());
            let told = self
                .told
                .get(&name)
                .map_or(ProcessState::Stopped, |told| told.state);
            assert_eq!(view.state, told, "{name:?}");
            assert!(last < Some(name.clone()), "views are not in order");
            last = Some(name);
        }
    }

    /// Checks the end of the run and returns what has happened at least once.
    pub(crate) fn at_the_end(self, outcome: Option<&DaemonOutcome>) -> BTreeSet<String> {
        assert!(outcome.is_some());
        assert!(self.early.is_empty(), "never undone: {:?}", self.early);
        assert!(
            self.waiting.is_empty(),
            "never answered: {:?}",
            self.waiting
        );
        for (name, told) in &self.told {
            assert!(
                told.state.is_stopped(),
                "{name:?} is {} at the end",
                told.state
            );
        }
        self.seen
    }
}

/// The restart was not tried, because another one has failed.
fn is_left(fault: &Fault) -> bool {
    let left = ["not restarted", "not updated", "not added", "not removed"];
    let text = fault.extra.as_deref().unwrap_or_default();
    left.iter().any(|words| text.starts_with(words))
}

/// The restart was refused before it began.
fn is_refused(fault: &Fault) -> bool {
    let why = fault.extra.as_deref();
    why.is_some_and(|why| why.starts_with("permission denied"))
}

fn has_dependencies(fleet: &Fleet, name: &Name) -> bool {
    let mut groups = fleet.group_specs();
    groups.any(|group| {
        let is_it = |spec: &&std::sync::Arc<ProcessSpec>| {
            (spec.group.as_str(), spec.name.as_str()) == (name.0.as_str(), name.1.as_str())
        };
        let process = group.processes.iter().find(is_it);
        process.is_some_and(|process| !process.dependencies.is_empty())
    })
}

fn legal(from: ProcessState, to: ProcessState) -> bool {
    use ProcessState::{Backoff, Exited, Fatal, Running, Starting, Stopped, Stopping, Unknown};
    match to {
        Starting => matches!(from, Stopped | Exited | Fatal | Backoff),
        Running => from == Starting,
        Backoff => matches!(from, Starting | Unknown),
        Stopping => matches!(from, Starting | Running),
        Stopped => matches!(from, Stopping | Backoff | Unknown),
        Exited => matches!(from, Running | Unknown),
        Fatal => from == Backoff,
        Unknown => matches!(from, Starting | Running | Stopping),
    }
}
