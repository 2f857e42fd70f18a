//! What a client would say of programs that depend on others, from events and views alone.
//!
//! The invariants have names, which a failure prints:
//!
//! * *nothing starts before what it needs*: at each STARTING, the conditions of all dependencies are met;
//! * *no deadlock*: a waiting process lacks something, nothing that it lacks has failed, and a client waits for it only
//!   while something that it lacks makes progress;
//! * *nobody starves*: a process whose dependencies are all met does not wait;
//! * *stop is the exact reverse*: no process gets its stop signal while one that depends on it is being stopped, and
//!   during a shutdown while one that depends on it is there at all.

use std::collections::{BTreeMap, BTreeSet};

use supervisord::api::{ProcessView, Request, RequestTarget, Ticket};
use supervisord::config::spec::{DependencyCondition, DependencyTarget, ProcessSpec};
use supervisord::core::Fleet;
use supervisord::domain::{Change, Now, ProcessState};

type Name = (String, String);

/// A process as its events tell.
#[derive(Debug, Clone, Copy)]
struct Seen {
    state: ProcessState,
    exited_ok: bool,
}

#[derive(Debug, Default)]
pub(crate) struct Dependents {
    seen: BTreeMap<Name, Seen>,
    /// Processes that exist, by the inputs and actions.
    up: BTreeSet<Name>,
    /// Processes that have existed since their last start.
    started: BTreeSet<Name>,
    /// Processes that a request started without their dependencies.
    alone: BTreeSet<Name>,
    /// Requests whose command the shell has looked up, so that the start was tried.
    checked: BTreeSet<Ticket>,
    is_stopping: bool,
    /// Processes whose stop may have been asked for before the shutdown, and waits for one that depends on them. It does
    /// not wait for processes that were started since.
    held: BTreeSet<Name>,
}

impl Dependents {
    pub(crate) fn note_up(&mut self, name: &Name, is_up: bool) {
        if is_up {
            self.started.insert(name.clone());
            self.up.insert(name.clone());
        } else {
            self.up.remove(name);
        }
    }

    pub(crate) fn note_checked(&mut self, ticket: Ticket) {
        self.checked.insert(ticket);
    }

    /// A request to start without dependencies: its processes may break the first rule.
    pub(crate) fn note_request(&mut self, request: &Request, fleet: &Fleet, now: Now) {
        let Request::StartAlone { target, .. } = request else {
            return;
        };
        for view in fleet.view(now) {
            let name = (view.group.to_string(), view.name.to_string());
            let is_meant = match target {
                RequestTarget::All => true,
                RequestTarget::Group(group) => *group == name.0,
                RequestTarget::One(spec, _) => {
                    spec.group == name.0 && spec.process.as_deref() == Some(&name.1)
                }
            };
            if is_meant {
                self.alone.insert(name);
            }
        }
    }

    pub(crate) fn event(&mut self, change: &Change, fleet: &Fleet) {
        match change {
            Change::ProcessState {
                group,
                process,
                to,
                expected,
                ..
            } => {
                let name = (group.to_string(), process.to_string());
                if *to == ProcessState::Starting {
                    self.started.remove(&name);
                    self.starts(&name, fleet);
                }
                if *to == ProcessState::Stopping {
                    self.stops(&name, fleet);
                }
                if to.is_stopped() || *to == ProcessState::Backoff {
                    self.up.remove(&name);
                }
                let seen = Seen {
                    state: *to,
                    exited_ok: *to == ProcessState::Exited && *expected,
                };
                self.seen.insert(name, seen);
            }
            Change::GroupAdded(group) | Change::GroupRemoved(group) => {
                let group = group.to_string();
                self.seen.retain(|name, _| name.0 != group);
                self.up.retain(|name| name.0 != group);
            }
            Change::SupervisorState(state) if state.code() < 1 && !self.is_stopping => {
                self.is_stopping = true;
                self.held = self.waited_for(fleet);
            }
            _ => {}
        }
    }

    pub(crate) fn removed(&mut self, name: &Name) {
        self.seen.remove(name);
        self.up.remove(name);
    }

    fn state(&self, name: &Name) -> Seen {
        self.seen.get(name).copied().unwrap_or(Seen {
            state: ProcessState::Stopped,
            exited_ok: false,
        })
    }

    fn is_met(&self, name: &Name, condition: DependencyCondition) -> bool {
        let Seen { state, exited_ok } = self.state(name);
        let is_running = state == ProcessState::Running;
        match condition {
            DependencyCondition::Up => is_running || exited_ok,
            DependencyCondition::Ready | DependencyCondition::Healthy => is_running,
            DependencyCondition::Started => {
                let is_starting = state == ProcessState::Starting && self.started.contains(name);
                is_starting || is_running || state == ProcessState::Exited
            }
            DependencyCondition::ExitedOk => exited_ok,
            DependencyCondition::States(states) => states.contains(state),
        }
    }

    fn starts(&mut self, name: &Name, fleet: &Fleet) {
        if self.alone.contains(name) {
            // A retry of the same start waits again, so the rule is checked no more for it.
            return;
        }
        let Some((spec, members)) = described(fleet, name) else {
            return;
        };
        for dependency in spec.dependencies.all() {
            let meant = members(&dependency.target);
            // The parser refuses a program that depends on itself; a random one may.
            if meant.contains(name) {
                continue;
            }
            let unmet = meant
                .iter()
                .find(|other| !self.is_met(other, dependency.condition));
            assert!(
                unmet.is_none(),
                "nothing starts before what it needs: {name:?} starts before {unmet:?} meets {dependency:?}"
            );
        }
    }

    fn stops(&self, name: &Name, fleet: &Fleet) {
        if !self.up.contains(name) {
            return;
        }
        for (dependant, spec) in active(fleet) {
            let is_named = |target: &DependencyTarget| means(fleet, target, name);
            if spec.dependencies.is_empty()
                || !spec.dependencies.all().any(|other| is_named(&other.target))
            {
                continue;
            }
            let state = self.state(&dependant).state;
            assert!(
                state != ProcessState::Stopping || !self.up.contains(&dependant),
                "stop is the exact reverse: {name:?} stops while {dependant:?} stops"
            );
            assert!(
                !self.is_stopping
                    || self.held.contains(name)
                    || !self.up.contains(&dependant)
                    || matches!(state, ProcessState::Unknown | ProcessState::Stopped),
                "stop is the exact reverse: {name:?} stops before {dependant:?}, which is {state}"
            );
        }
    }

    /// The processes that something depends on which is being stopped now.
    fn waited_for(&self, fleet: &Fleet) -> BTreeSet<Name> {
        let stopping: Vec<_> = active(fleet)
            .filter(|(name, _)| self.state(name).state == ProcessState::Stopping)
            .collect();
        let is_waited_for = |name: &&Name| {
            stopping.iter().any(|(_, spec)| {
                let mut needs = spec.dependencies.all();
                needs.any(|need| means(fleet, &need.target, name))
            })
        };
        self.up.iter().filter(is_waited_for).cloned().collect()
    }

    /// Checks the processes that wait now. `starts`: the pending requests to start one process and wait for it.
    pub(crate) fn compare<'a>(
        &self,
        fleet: &Fleet,
        views: &[ProcessView],
        requests: impl Iterator<Item = (&'a Ticket, &'a Request)>,
    ) {
        if self.is_stopping {
            return;
        }
        let is_waiting = |view: &ProcessView| view.dependency_text.starts_with("waiting for ");
        let waiting: BTreeSet<Name> = views
            .iter()
            .filter(|view| is_waiting(view))
            .map(|view| (view.group.to_string(), view.name.to_string()))
            .collect();
        if waiting.is_empty() {
            return;
        }
        let restarts: BTreeSet<Name> = views
            .iter()
            .filter(|view| view.state == ProcessState::Exited)
            .map(|view| (view.group.to_string(), view.name.to_string()))
            .collect();
        let is_progressing = |name: &Name| {
            waiting.contains(name)
                || restarts.contains(name)
                || !matches!(
                    self.state(name).state,
                    ProcessState::Stopped | ProcessState::Fatal | ProcessState::Unknown
                )
        };
        let mut lacking: BTreeMap<&Name, Vec<Name>> = BTreeMap::new();
        for name in &waiting {
            let Some((spec, members)) = described(fleet, name) else {
                continue;
            };
            let mut unmet = Vec::new();
            let mut is_absent = false;
            for dependency in spec.dependencies.all() {
                let meant = members(&dependency.target);
                is_absent |= meant.is_empty();
                let lacks = |other: &&Name| !self.is_met(other, dependency.condition);
                for other in meant.iter().filter(lacks) {
                    let state = self.state(other).state;
                    assert!(
                        state != ProcessState::Fatal,
                        "no deadlock: {name:?} waits for {other:?}, which is FATAL"
                    );
                    unmet.push(other.clone());
                }
                // The daemon may be terminating a process that is RUNNING for clients, or handling its exit.
                // One that waits itself is STOPPED for clients, but not for those who wait for that state.
                let is_leaving = |other: &&Name| {
                    self.state(other).state == ProcessState::Running || waiting.contains(*other)
                };
                unmet.extend(meant.iter().filter(is_leaving).cloned());
            }
            assert!(
                is_absent || !unmet.is_empty(),
                "nobody starves: {name:?} waits although its dependencies are met: {:?}",
                spec.dependencies
            );
            lacking.insert(name, unmet);
        }
        for (ticket, request) in requests {
            let Request::Start {
                target: RequestTarget::One(spec, _),
                wait: true,
            } = request
            else {
                continue;
            };
            if !self.checked.contains(ticket) {
                continue;
            }
            let name = (spec.group.clone(), spec.process.clone().unwrap_or_default());
            if let Some(unmet) = lacking.get(&name) {
                assert!(
                    unmet.iter().any(is_progressing),
                    "no deadlock: a client waits for {name:?}, which waits for {unmet:?}"
                );
            }
        }
    }
}

/// All active processes.
fn active(fleet: &Fleet) -> impl Iterator<Item = (Name, &ProcessSpec)> {
    fleet.group_specs().flat_map(|group| {
        group.processes.iter().map(|process| {
            let name = (process.group.to_string(), process.name.to_string());
            (name, &**process)
        })
    })
}

/// Whether a target means a process.
fn means(fleet: &Fleet, target: &DependencyTarget, name: &Name) -> bool {
    match target {
        DependencyTarget::Group(group) => **group == *name.0,
        DependencyTarget::Process(group, process) => {
            (&**group, &**process) == (name.0.as_str(), name.1.as_str())
        }
        DependencyTarget::Name(text) => {
            **text == *name.0
                || fleet.group_specs().any(|group| {
                    group.name.as_str() == name.0
                        && group.programs.iter().any(|program| {
                            program.template.program() == &**text
                                && program
                                    .members
                                    .iter()
                                    .any(|member| member.as_str() == name.1)
                        })
                })
        }
    }
}

/// The configuration of a process, and a function that finds the processes that a target means. `None`: nothing depends
/// on it.
fn described<'f>(
    fleet: &'f Fleet,
    name: &Name,
) -> Option<(
    &'f ProcessSpec,
    impl Fn(&DependencyTarget) -> Vec<Name> + 'f,
)> {
    let group = fleet
        .group_specs()
        .find(|group| group.name.as_str() == name.0)?;
    let mut processes = group.processes.iter();
    let spec = processes.find(|process| process.name.as_str() == name.1)?;
    if spec.dependencies.is_empty() {
        return None;
    }
    let members = move |target: &DependencyTarget| {
        let all = active(fleet).map(|(name, _)| name);
        all.filter(|name| means(fleet, target, name)).collect()
    };
    Some((&**spec, members))
}
