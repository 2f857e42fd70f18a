//! What must hold after each step, seen from outside: from inputs, actions and views alone.

use std::collections::{BTreeMap, BTreeSet};

use supervisord::api::{
    Fault, FaultCode, ProcessView, Reply, Request, Target, TargetResult, Ticket,
};
use supervisord::config::spec::{Composition, ProcessKind, ProcessSpec};
use supervisord::core::{Action, Fleet, Input, Outcome};
use supervisord::domain::{
    Event, EventKind, GroupName, Life, Line, Now, ProcessName, ProcessState, Signal,
};

use crate::listeners::Listeners;
use crate::speakers::Speakers;

const SECOND: u64 = 1_000_000_000;

type Name = (String, String);

/// One process as the events tell it.
#[derive(Debug)]
struct Told {
    state: ProcessState,
    /// BACKOFF since it last was RUNNING, FATAL or new.
    failures: u32,
    /// A stop was accepted, and no start asked for since.
    to_stay_down: bool,
}

/// A life as the actions tell it.
#[derive(Debug)]
struct Lived {
    name: Name,
    spec: std::sync::Arc<ProcessSpec>,
    /// Spawned, not yet ended.
    up: bool,
    /// The stop signal went out then.
    stop_sent: Option<u64>,
    killed: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Laws {
    told: BTreeMap<Name, Told>,
    lives: BTreeMap<Life, Lived>,
    /// Lives whose attempts were begun before the end of the life before was told.
    early: BTreeSet<Life>,
    /// Lives that were asked of the kernel and have not ended, by slot.
    at_kernel: BTreeMap<u32, Life>,
    /// Lives that have a socket and have not given it back, and whether their process is up.
    holding: BTreeMap<Life, bool>,
    /// Lives that have given theirs back.
    given_back: BTreeSet<Life>,
    used: BTreeSet<u64>,
    waiting: BTreeMap<Ticket, Request>,
    /// When each reaped process was reaped, until its end is told.
    reaped: BTreeMap<Life, u64>,
    /// Lives whose left-overs were to be killed, and since when.
    emptying: BTreeMap<Life, u64>,
    /// Lives that were looked at for what they met before their output was waited for.
    looked_into: BTreeSet<Life>,
    stopping_told: bool,
    running_told: bool,
    listeners: Listeners,
    speakers: Speakers,
    /// What has happened at least once; a simulation in which something never happens proves nothing about it.
    seen: BTreeSet<String>,
}

fn has_socket(spec: &ProcessSpec) -> bool {
    matches!(spec.kind, ProcessKind::Fcgi(_))
}

impl Laws {
    pub(crate) fn before(&mut self, input: &Input) {
        match input {
            Input::Asked {
                ticket, request, ..
            } => {
                self.waiting.insert(*ticket, request.clone());
            }
            Input::Exited { life, .. } | Input::SpawnFailed { life, .. } => {
                if self.at_kernel.get(&life.slot) == Some(life) {
                    self.at_kernel.remove(&life.slot);
                }
                if let Some(lived) = self.lives.get_mut(life) {
                    lived.up = false;
                }
                if let Some(up) = self.holding.get_mut(life) {
                    *up = false;
                }
            }
            Input::Emptied { life, .. } => {
                self.emptying.remove(life);
            }
            Input::Spawned { life, .. } => {
                if let Some(lived) = self.lives.get_mut(life) {
                    lived.up = true;
                }
                if let Some(up) = self.holding.get_mut(life) {
                    *up = true;
                }
            }
            _ => {}
        }
    }

    pub(crate) fn after(&mut self, now: Now, input: &Input, actions: &[Action], fleet: &Fleet) {
        self.listeners.hear(now.mono.0, input);
        self.speakers.hear(now.mono.0, input);
        for action in actions {
            self.note(action);
            self.listeners.note(now.mono.0, action);
            self.speakers.note(now.mono.0, action, input);
            match action {
                // It was begun early, its start was told since, and a successor begins it again.
                Action::Resolve(life, spec)
                    if matches!(input, Input::Resumed { .. }) && !self.lives.contains_key(life) =>
                {
                    self.attempt(*life, spec, input);
                }
                // The same attempt once more, for the predecessor could not finish it.
                Action::Resolve(..) if matches!(input, Input::Resumed { .. }) => {}
                Action::Resolve(life, spec) => {
                    self.begins(now, *life);
                    self.attempt(*life, spec, input);
                }
                Action::PrepareNext(life, spec, _) => {
                    self.begins(now, *life);
                    assert!(!has_socket(spec), "the life before has its socket still");
                    let name = (spec.group.to_string(), spec.name.to_string());
                    let told = self.told.get(&name).expect("known");
                    assert!(!told.to_stay_down, "an attempt after an accepted stop");
                    let other = self.early.iter().find(|other| other.slot == life.slot);
                    assert_eq!(other, None, "two attempts of one slot");
                    self.early.insert(*life);
                }
                Action::Drain(life) if self.early.remove(life) => {
                    self.seen.insert("PrepareNext was in vain".to_owned());
                }
                Action::Empty { life, kill } => {
                    self.looked_into.insert(*life);
                    if *kill {
                        // A successor asks once more, but the time counts from the first.
                        self.emptying.entry(*life).or_insert(now.mono.0);
                    }
                    self.seen.insert(format!("Empty {kill}"));
                }
                Action::Limit(life, _) => {
                    let lived = self.lives.get(life);
                    assert!(
                        lived.is_some_and(|lived| lived.up),
                        "{life:?} is limited, but not up"
                    );
                    self.seen.insert("Limit".to_owned());
                }
                Action::Spawn(life, spec) => {
                    if self.early.remove(life) {
                        self.attempt(*life, spec, input);
                        self.seen.insert("PrepareNext saved time".to_owned());
                    }
                    let before = self.at_kernel.insert(life.slot, *life);
                    assert_eq!(before, None, "two live incarnations of one slot");
                }
                Action::Release(life) => {
                    assert!(
                        self.given_back.insert(*life),
                        "a socket is given back twice"
                    );
                    // Of a process that was removed, UNKNOWN, nobody remembers whether it had one.
                    let up = self.holding.remove(life);
                    assert_ne!(up, Some(true), "a socket is taken from a live process");
                    self.seen.insert("Release".to_owned());
                }
                Action::Finish(_) => {
                    // One that is UNKNOWN may still be writing its last output out; nobody waits for that.
                    let unknown = |life: &Life| {
                        let lived = self.lives.get(life);
                        let told = lived.and_then(|lived| self.told.get(&lived.name));
                        told.is_none_or(|told| told.state == ProcessState::Unknown)
                    };
                    let left = self
                        .holding
                        .iter()
                        .find(|(life, up)| !**up && !unknown(life));
                    assert_eq!(left, None, "a socket is never given back");
                }
                Action::Signal { life, signal, .. } => self.signal(now, *life, *signal, actions),
                Action::Publish(event) => self.event(event),
                Action::Log(Line::ProcessAdded { name, group }) => {
                    // It begins anew.
                    self.told.remove(&(group.to_string(), name.to_string()));
                }
                Action::Log(Line::ProcessRemoved { name, group }) => {
                    let name = (group.to_string(), name.to_string());
                    if let Some(told) = self.told.remove(&name) {
                        assert!(
                            told.state.is_stopped(),
                            "{name:?} is removed while {:?}",
                            told.state
                        );
                    }
                    self.lives.retain(|_, lived| lived.name != name);
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
                    target: Target::One(spec, _),
                    ..
                },
            ..
        } = input
        {
            let refused = actions.iter().any(|action| {
                matches!(action, Action::Answer(t, Err(fault)) if t == ticket && fault.code != FaultCode::NotRunning)
            });
            let name = (spec.group.clone(), spec.process.clone().unwrap_or_default());
            if !refused && let Some(told) = self.told.get_mut(&name) {
                told.to_stay_down = true;
            }
        }
        if let Some(deadline) = fleet.next_deadline() {
            assert!(deadline > now.mono, "a deadline is in the past");
        }
        self.speakers.after(now.mono.0, input, actions);
        self.deadlines(now, input);
    }

    /// A successor takes over: whoever waited was dismissed, and what was asked of the kernel and not done was called off.
    pub(crate) fn handed_over(&mut self) {
        self.waiting.clear();
        // Nothing of them was told, and nothing of them is left.
        self.early.clear();
        let lives = &self.lives;
        self.at_kernel
            .retain(|_, life| lives.get(life).is_none_or(|lived| lived.up));
    }

    fn note(&mut self, action: &Action) {
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

    fn patience(&self, life: &Life) -> u64 {
        if self.looked_into.contains(life) {
            20 * SECOND
        } else {
            10 * SECOND
        }
    }

    fn begins(&mut self, now: Now, life: Life) {
        let busy = |(other, since): (&Life, &u64)| {
            other.slot == life.slot && now.mono.0 < since + 10 * SECOND
        };
        assert!(
            !self.emptying.iter().any(busy),
            "{life:?} begins while what another life left is being killed"
        );
        assert!(
            self.used.insert(life.incarnation),
            "an incarnation is used twice"
        );
    }

    fn attempt(&mut self, life: Life, spec: &std::sync::Arc<ProcessSpec>, input: &Input) {
        let name = (spec.group.to_string(), spec.name.to_string());
        let told = self.told.get_mut(&name).expect("known");
        assert_eq!(told.state, ProcessState::Starting);
        assert!(
            told.failures == 0 || i64::from(told.failures) <= spec.startretries,
            "attempt {} of {name:?} with startretries {}",
            told.failures + 1,
            spec.startretries
        );
        if told.to_stay_down {
            assert!(
                matches!(input, Input::Checked { .. }),
                "a start after an accepted stop, by {input:?}"
            );
            told.to_stay_down = false;
        }
        if has_socket(spec) {
            let before = self.holding.keys().find(|held| held.slot == life.slot);
            assert_eq!(before, None, "the life before still holds its socket");
            self.holding.insert(life, false);
        }
        let lived = Lived {
            name,
            spec: std::sync::Arc::clone(spec),
            up: false,
            stop_sent: None,
            killed: false,
        };
        self.lives.insert(life, lived);
    }

    fn signal(&mut self, now: Now, life: Life, signal: Signal, actions: &[Action]) {
        let Some(lived) = self.lives.get_mut(&life) else {
            assert_eq!(signal, Signal::KILL, "a stranger is killed or left alone");
            return;
        };
        assert!(
            lived.up,
            "a signal to a process that is not there: {life:?}"
        );
        let told = &self.told[&lived.name];
        // Signals of clients go to one that is not being stopped too; only the first after STOPPING is the stop.
        let entered = actions.iter().any(|action| matches!(action, Action::Publish(event) if matches!(&**event, Event { process: Some(process), group: Some(group), kind: EventKind::ProcessState { to: ProcessState::Stopping, .. } } if (group.as_str(), process.as_str()) == (lived.name.0.as_str(), lived.name.1.as_str()))));
        let stops = signal == lived.spec.stopsignal && lived.stop_sent.is_none();
        if stops && (entered || told.state == ProcessState::Stopping) {
            lived.stop_sent = Some(now.mono.0);
        } else if signal == Signal::KILL {
            lived.killed = true;
        }
    }

    fn event(&mut self, event: &Event) {
        match &event.kind {
            EventKind::ProcessState {
                from, to, tries, ..
            } => {
                let name = (
                    event.group.as_ref().expect("has one").to_string(),
                    event.process.as_ref().expect("has one").to_string(),
                );
                let told = self.told.entry(name).or_insert(Told {
                    state: ProcessState::Stopped,
                    failures: 0,
                    to_stay_down: false,
                });
                assert_eq!(told.state, *from, "events do not follow one another");
                assert!(legal(*from, *to), "{from} -> {to}");
                told.state = *to;
                if matches!(
                    to,
                    ProcessState::Stopped | ProcessState::Exited | ProcessState::Backoff
                ) {
                    // The end of its life is told.
                    let group = event.group.as_ref().map(GroupName::as_str);
                    let process = event.process.as_ref().map(ProcessName::as_str);
                    self.lives.retain(|_, lived| {
                        (Some(lived.name.0.as_str()), Some(lived.name.1.as_str()))
                            != (group, process)
                    });
                    let lives = &self.lives;
                    self.reaped.retain(|life, _| lives.contains_key(life));
                }
                match to {
                    ProcessState::Backoff => {
                        told.failures += 1;
                        assert_eq!(told.failures, *tries);
                    }
                    ProcessState::Running | ProcessState::Fatal => told.failures = 0,
                    ProcessState::Starting => {
                        assert!(!self.stopping_told, "a start while everything stops");
                        assert_eq!(told.failures, *tries);
                    }
                    _ => {}
                }
            }
            EventKind::GroupAdded => {
                // Every process of it begins anew.
                let group = event.group.as_ref().expect("has one").to_string();
                self.told.retain(|name, _| name.0 != group);
            }
            EventKind::GroupRemoved => {
                let group = event.group.as_ref().expect("has one").to_string();
                for (name, told) in &self.told {
                    assert!(
                        name.0 != group || told.state.is_stopped(),
                        "{name:?} is removed while {:?}",
                        told.state
                    );
                }
                self.told.retain(|name, _| name.0 != group);
                // Who was UNKNOWN lives on, and is nobody's any more.
                self.lives.retain(|_, lived| lived.name.0 != group);
            }
            EventKind::SupervisorState(state) => {
                if state.code() < 1 {
                    assert!(!self.stopping_told, "the stop is told twice");
                    self.stopping_told = true;
                } else {
                    assert!(!self.running_told, "the start is told twice");
                    self.running_told = true;
                }
            }
            EventKind::ProcessCommunication { .. }
            | EventKind::ProcessLog { .. }
            | EventKind::RemoteCommunication { .. } => {}
            EventKind::Tick { period, when } => assert_eq!(when % period, 0),
        }
    }

    fn answered(&self, request: &Request, answer: Result<&Reply, FaultCode>) {
        let state = |target: &Target| match target {
            Target::One(spec, _) => self
                .told
                .get(&(spec.group.clone(), spec.process.clone().unwrap_or_default()))
                .map_or(ProcessState::Stopped, |told| told.state),
            Target::Group(_) | Target::All => ProcessState::Stopped,
        };
        if let (Request::RollingRestart { at_once, .. }, Ok(Reply::Results(results))) =
            (request, answer)
        {
            self.rolled(*at_once, results);
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

    /// One after another: after a failure nothing more is restarted.
    fn rolled(&self, at_once: u32, results: &[TargetResult]) {
        let fault = |result: &TargetResult| result.fault.clone();
        let failed = results
            .iter()
            .position(|result| fault(result).is_some_and(|fault| !is_refused(&fault)));
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

    /// A change of a program leaves whoever stays as he is: `wanted` came of it.
    pub(crate) fn who_stays_is_not_touched(
        &self,
        wanted: &Composition,
        before: &[ProcessView],
        after: &[ProcessView],
        actions: &[Action],
    ) {
        let stays = |group: &GroupName, name: &ProcessName| {
            let of_it = wanted.processes.first();
            of_it.is_some_and(|of_it| of_it.group == *group) && wanted.members.contains(name)
        };
        // A deadline may have come at the same moment, and have changed somebody.
        let mut changed: BTreeSet<Name> = BTreeSet::new();
        for action in actions {
            if let Action::Publish(event) = action
                && let (Some(group), Some(process)) = (&event.group, &event.process)
                && let EventKind::ProcessState { to, .. } = &event.kind
            {
                assert!(
                    *to != ProcessState::Stopping || !stays(group, process),
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
            let now = after.get(&name).expect("who stays is there");
            assert!(
                changed.contains(&name)
                    || (view.pid, view.state, view.start) == (now.pid, now.state, now.start),
                "{name:?} was {view:?} and is {now:?}"
            );
        }
    }

    /// STOPPING ends: SIGKILL goes out in time, and an end is told at most ten seconds after the reaping, or after what was
    /// left behind is gone, for which it has as long.
    fn deadlines(&mut self, now: Now, input: &Input) {
        let at = now.mono.0;
        if let Input::Exited { life, .. } = input
            && self.lives.contains_key(life)
        {
            self.reaped.entry(*life).or_insert(at);
        }
        for (life, since) in &self.reaped {
            let state = self
                .lives
                .get(life)
                .and_then(|lived| self.told.get(&lived.name))
                .map(|told| told.state);
            assert!(
                at < *since + self.patience(life) || state.is_none(),
                "the end of {life:?} is not told in time"
            );
        }
        let mut reaped = std::mem::take(&mut self.reaped);
        reaped.retain(|life, since| at < *since + self.patience(life));
        self.reaped = reaped;
        if !matches!(input, Input::DeadlineReached) {
            return;
        }
        for (life, lived) in &self.lives {
            // Those who tell of themselves are asked first, and have laws of their own.
            let counts = lived.up && !lived.killed && !lived.spec.notify.tells_ready();
            let Some(sent) = lived.stop_sent.filter(|_| counts) else {
                continue;
            };
            let wait = u64::try_from(lived.spec.stopwaitsecs.0).unwrap_or(0) * SECOND;
            let told = self.told.get(&lived.name).map(|told| told.state);
            assert!(
                at < sent + wait
                    || told == Some(ProcessState::Unknown)
                    || told != Some(ProcessState::Stopping),
                "{life:?} is not killed in time: {at} {lived:?} {told:?}"
            );
        }
    }

    /// What clients see is what the events told.
    pub(crate) fn compare(&self, views: &[ProcessView]) {
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

    /// Answers what has happened at least once.
    pub(crate) fn at_the_end(self, outcome: Option<&Outcome>) -> BTreeSet<String> {
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

/// Not reached, since another one has failed.
fn is_left(fault: &Fault) -> bool {
    fault
        .extra
        .as_ref()
        .is_some_and(|text| text.starts_with("not restarted"))
}

/// Refused from the start.
fn is_refused(fault: &Fault) -> bool {
    let why = fault.extra.as_deref();
    why.is_some_and(|why| why.starts_with("permission denied"))
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
