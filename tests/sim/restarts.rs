//! Invariants of automatic restarts: none comes before its delay, and failed starts are counted right.

use std::collections::BTreeMap;

use supervisord::config::spec::{ProcessSpec, RestartPolicy, UNLIMITED_RETRIES};
use supervisord::core::{Action, Input};
use supervisord::domain::{Change, Line, ProcessState};
use supervisord::effects::{
    LoadReason, LoaderOutcome, OutputEffect, SpawnerEffect, SpawnerOutcome,
};

const SECOND: u64 = 1_000_000_000;

type Name = (String, String);

/// One process, as an outside observer sees it.
#[derive(Debug, Default)]
struct Restart {
    /// The configuration of its last attempt. `None`: unknown, because the file was read since.
    spec: Option<(RestartPolicy, i64)>,
    /// The other fields are right.
    is_known: bool,
    /// Failed starts in a row.
    failures: u32,
    /// Failed starts and automatic restarts in a row.
    in_a_row: u32,
    running_since: u64,
    /// The earliest time of an automatic restart.
    not_before: u64,
}

impl Restart {
    fn fresh() -> Self {
        Self {
            is_known: true,
            ..Self::default()
        }
    }

    /// Notes that the process is down since `at`. `usual`: Supervisor's delay in seconds.
    fn down(&mut self, at: u64, usual: u64) {
        let Some((policy, _)) = self.spec else {
            self.not_before = 0;
            return;
        };
        let nanos = |seconds: i64| u64::try_from(seconds).expect("not negative") * SECOND;
        let mut delay = usual * SECOND;
        if policy.delay.0 > 0 {
            delay = nanos(policy.delay.0);
            for _ in 1..self.in_a_row.min(20) {
                delay *= if policy.delay_max.0 > 0 { 2 } else { 1 };
            }
        }
        if !self.is_known {
            delay = 0;
        } else if policy.delay_max.0 > 0 {
            delay = delay.min(nanos(policy.delay_max.0));
        }
        self.not_before = at + delay.max(nanos(policy.pause.0));
    }

    fn begin_again(&mut self) {
        self.failures = 0;
        self.in_a_row = 0;
    }

    /// Notes a new state. Returns what happened that a test must have seen.
    fn enter(
        &mut self,
        at: u64,
        (from, to): (ProcessState, ProcessState),
        input: &Input,
        tries: u32,
    ) -> Option<&'static str> {
        let Some((policy, _)) = self.spec else {
            // The first start comes before the configuration is seen.
            let is_first = to == ProcessState::Starting
                && matches!(from, ProcessState::Stopped | ProcessState::Fatal)
                && self.failures == 0;
            if is_first {
                self.in_a_row = 0;
            }
            self.is_known &=
                is_first || matches!(to, ProcessState::Stopping | ProcessState::Stopped);
            return None;
        };
        let reset_after = u64::try_from(policy.reset_after.0).expect("not negative") * SECOND;
        if to == ProcessState::Stopped && from != ProcessState::Stopping {
            // It may wait for a dependency, and then the next start is no start by hand.
            self.is_known = false;
        }
        match to {
            ProcessState::Starting => {
                let is_by_hand = matches!(from, ProcessState::Stopped | ProcessState::Fatal);
                let may_be_by_hand =
                    matches!(input, Input::Spawner(SpawnerOutcome::Answered { .. }));
                if is_by_hand || (may_be_by_hand && at < self.not_before) {
                    self.in_a_row = 0;
                    // A retry that waited for a dependency is STOPPED meanwhile, and its tries go on.
                    let has_waited = from == ProcessState::Stopped && tries == self.failures;
                    if reset_after > 0 && !has_waited {
                        self.failures = 0;
                    }
                } else if may_be_by_hand {
                    self.is_known = false;
                } else {
                    assert!(
                        at >= self.not_before,
                        "restarted too early: {at} {input:?} from {from:?} {self:?}"
                    );
                }
                if self.is_known {
                    assert_eq!(self.failures, tries, "{self:?}");
                }
                (policy.delay.0 > 0 && self.in_a_row > 1).then_some("delay that has grown")
            }
            ProcessState::Running => {
                self.running_since = at;
                if reset_after == 0 {
                    self.begin_again();
                    self.is_known = true;
                }
                None
            }
            ProcessState::Exited => {
                let is_long = at >= self.running_since + reset_after;
                if reset_after == 0 || is_long {
                    self.begin_again();
                }
                self.in_a_row += 1;
                self.down(at, 0);
                (reset_after > 0 && is_long).then_some("reset after a long run")
            }
            ProcessState::Backoff => {
                self.failures += 1;
                self.in_a_row += 1;
                self.down(at, u64::from(self.failures));
                if self.is_known {
                    assert_eq!(self.failures, tries, "{self:?}");
                }
                None
            }
            ProcessState::Fatal => {
                self.begin_again();
                self.is_known = true;
                None
            }
            ProcessState::Stopped | ProcessState::Stopping | ProcessState::Unknown => None,
        }
    }
}

/// All processes.
#[derive(Debug, Default)]
pub(crate) struct Restarts {
    processes: BTreeMap<Name, Restart>,
}

impl Restarts {
    /// Asserts that an attempt is not one too many.
    pub(crate) fn attempt(&self, name: &Name, spec: &ProcessSpec) {
        let failures = self.processes.get(name).filter(|process| process.is_known);
        let failures = failures.map_or(0, |process| process.failures);
        assert!(
            failures == 0
                || i64::from(failures) <= spec.startretries
                || spec.startretries == UNLIMITED_RETRIES,
            "attempt {} of {name:?} with startretries {}",
            failures + 1,
            spec.startretries
        );
    }

    /// Notes an input before the actions it caused.
    pub(crate) fn note_input(&mut self, input: &Input) {
        if let Input::Loader(
            LoaderOutcome::Loaded {
                reason: LoadReason::Reread(_),
                result: Ok(_),
            }
            // A plan that is accepted is a reread.
            | LoaderOutcome::Planned { result: Ok(_), .. },
        ) = input
        {
            // Policies may have changed while processes run.
            for process in self.processes.values_mut() {
                process.spec = None;
            }
        }
    }

    /// Notes an action. Returns what happened that a test must have seen.
    pub(crate) fn note_action(
        &mut self,
        at: u64,
        action: &Action,
        input: &Input,
    ) -> Option<&'static str> {
        match action {
            Action::Spawner(SpawnerEffect::Resolve(_, spec))
            | Action::Output(OutputEffect::PrepareNext(_, spec, _))
            | Action::Spawn(_, spec) => {
                let name = (spec.group.to_string(), spec.name.to_string());
                let process = self.processes.entry(name).or_insert_with(Restart::fresh);
                // A schedule starts its program at any time.
                let restarts = (spec.restart, spec.startretries);
                process.spec = spec.schedule.is_none().then_some(restarts);
                process.is_known &= spec.schedule.is_none();
            }
            Action::Publish(change) => match &**change {
                Change::ProcessState {
                    group,
                    process,
                    from,
                    to,
                    tries,
                    ..
                } => {
                    let name = (group.to_string(), process.to_string());
                    let process = self.processes.entry(name).or_insert_with(Restart::fresh);
                    return process.enter(at, (*from, *to), input, *tries);
                }
                Change::GroupAdded(group) | Change::GroupRemoved(group) => {
                    let group = group.to_string();
                    self.processes.retain(|name, _| name.0 != group);
                }
                _ => {}
            },
            Action::Log(
                Line::ProcessAdded { name, group }
                | Line::ProcessUpdated { name, group }
                | Line::ProcessRemoved { name, group },
            ) => {
                self.processes
                    .remove(&(group.to_string(), name.to_string()));
            }
            _ => {}
        }
        None
    }
}
