//! One notification: which processes need attention, what is not reported yet, and when to report it.

use std::collections::{BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use super::report::{Report, ReportItem};
use crate::config::spec::{NotificationSpec, ReportCondition};
use crate::domain::{GroupName, Now, ProcessName, Seconds, Tick};
use crate::effects::ScriptId;

/// How often a run is tried before its report is lost.
pub(super) const TRIES_MAX: u32 = 3;

/// A process by its names.
pub(super) type ProcessKey = (GroupName, ProcessName);

/// What changed for a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProcessNews {
    /// It is FATAL.
    Fatal,
    /// It exited unexpectedly, or could not be spawned.
    Exited,
    /// It failed its health check.
    Unhealthy,
    /// It passes its health check again.
    Healthy,
    /// It is RUNNING.
    Running,
    /// It was stopped on request, or removed.
    Stopped,
}

/// The conditions of one process.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
struct ProcessConditions {
    /// The conditions that are not over, reported or not.
    conditions: BTreeSet<ReportCondition>,
    /// Whether one of them was reported since the process was well.
    is_reported: bool,
    /// When it exited unexpectedly, as often as flapping needs.
    exits: VecDeque<Tick>,
    is_running: bool,
}

/// The state of one notification.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct NotificationState {
    processes: Vec<(ProcessKey, ProcessConditions)>,
    /// What is not reported yet.
    waiting: Report,
    /// What the run that is in progress reports, or one that failed.
    sending: Report,
    /// The run that is in progress.
    #[serde(default)]
    pub(super) running: Option<ScriptId>,
    /// How often that report failed.
    #[serde(deserialize_with = "crate::domain::counter::small_counter")]
    failures: u32,
    /// When the next run may begin.
    not_before: Tick,
}

/// What becomes of a report whose run failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AfterFailure {
    /// It is tried again.
    Repeat,
    /// It is lost.
    Lost,
}

impl NotificationState {
    /// Records news about a process. `describe` makes the item of a condition.
    pub(super) fn record(
        &mut self,
        spec: &NotificationSpec,
        key: &ProcessKey,
        news: ProcessNews,
        now: Now,
        describe: impl Fn(ReportCondition) -> ReportItem,
    ) {
        let position = self.position(key);
        if position.is_none()
            && matches!(
                news,
                ProcessNews::Running | ProcessNews::Stopped | ProcessNews::Healthy
            )
        {
            return;
        }
        let at = position.unwrap_or_else(|| {
            let place = self.processes.partition_point(|(known, _)| known < key);
            self.processes
                .insert(place, (key.clone(), ProcessConditions::default()));
            place
        });
        let known = &mut self.processes[at].1;
        let mut new = Vec::new();
        match news {
            ProcessNews::Fatal => {
                known.is_running = false;
                new.extend(known.enter(ReportCondition::Fatal));
            }
            ProcessNews::Exited => {
                known.is_running = false;
                known.enter(ReportCondition::Exited);
                new.push(ReportCondition::Exited);
                if known.is_flapping(spec, now.mono) {
                    new.extend(known.enter(ReportCondition::Flapping));
                }
            }
            ProcessNews::Unhealthy => new.extend(known.enter(ReportCondition::Unhealthy)),
            ProcessNews::Healthy => {
                known.conditions.remove(&ReportCondition::Unhealthy);
            }
            ProcessNews::Running => {
                known.is_running = true;
                known.conditions.remove(&ReportCondition::Fatal);
                known.conditions.remove(&ReportCondition::Exited);
            }
            ProcessNews::Stopped => {
                self.processes.remove(at);
                return;
            }
        }
        for condition in new {
            if spec.on.contains(&condition) {
                known.is_reported = true;
                self.waiting.add(describe(condition));
            }
        }
        if matches!(news, ProcessNews::Healthy | ProcessNews::Running) {
            self.recover(spec, at, now, describe);
        }
    }

    /// Ends the flapping of processes that are stable. `describe` makes the item of a condition.
    pub(super) fn end_flapping(
        &mut self,
        spec: &NotificationSpec,
        now: Now,
        describe: impl Fn(&ProcessKey, ReportCondition) -> ReportItem,
    ) {
        for at in (0..self.processes.len()).rev() {
            if self.processes[at].1.stable_at(spec) <= now.mono {
                let key = self.processes[at].0.clone();
                self.recover(spec, at, now, |condition| describe(&key, condition));
            }
        }
    }

    /// Reports that nothing is wrong any more with the process at `at`, and forgets it when it is stable.
    fn recover(
        &mut self,
        spec: &NotificationSpec,
        at: usize,
        now: Now,
        describe: impl Fn(ReportCondition) -> ReportItem,
    ) {
        let known = &mut self.processes[at].1;
        if !known.is_running {
            return;
        }
        if known.is_stable(spec, now.mono) {
            known.conditions.remove(&ReportCondition::Flapping);
            known.exits.clear();
        }
        if !known.conditions.is_empty() {
            return;
        }
        let condition = ReportCondition::Recovered;
        if std::mem::take(&mut known.is_reported) && spec.on.contains(&condition) {
            self.waiting.add(describe(condition));
        }
        if known.exits.is_empty() {
            self.processes.remove(at);
        }
    }

    /// Forgets processes that do not exist any more.
    pub(super) fn retain(&mut self, exists: impl Fn(&ProcessKey) -> bool) {
        self.processes.retain(|(key, _)| exists(key));
    }

    fn position(&self, key: &ProcessKey) -> Option<usize> {
        self.processes
            .binary_search_by(|(known, _)| known.cmp(key))
            .ok()
    }

    /// Returns when [`NotificationState::take_due`] or [`NotificationState::end_flapping`] has something to do.
    /// [`Tick::NEVER`]: nothing is due.
    pub(super) fn due(&self, spec: &NotificationSpec) -> Tick {
        let has_report = !self.waiting.is_empty() || !self.sending.is_empty();
        let report = match self.running {
            None if has_report => self.not_before,
            _ => Tick::NEVER,
        };
        let stable = self.processes.iter();
        stable.fold(report, |due, (_, known)| due.min(known.stable_at(spec)))
    }

    /// Begins to send a report: returns its run and its items. `None`: there is none, or it is too early.
    pub(super) fn take_due(
        &mut self,
        spec: &NotificationSpec,
        new_id: impl FnOnce() -> ScriptId,
        now: Now,
    ) -> Option<(ScriptId, &Report)> {
        let is_empty = self.waiting.is_empty() && self.sending.is_empty();
        if self.running.is_some() || is_empty || self.not_before > now.mono {
            return None;
        }
        let id = new_id();
        self.sending.append(std::mem::take(&mut self.waiting));
        self.running = Some(id);
        self.not_before = now.mono + spec.interval;
        Some((id, &self.sending))
    }

    /// Records that the run succeeded.
    pub(super) fn succeeded(&mut self) {
        self.running = None;
        self.failures = 0;
        self.sending = Report::default();
    }

    /// Records that the run failed.
    pub(super) fn failed(&mut self) -> AfterFailure {
        self.running = None;
        self.failures += 1;
        if self.failures < TRIES_MAX {
            return AfterFailure::Repeat;
        }
        self.failures = 0;
        self.sending = Report::default();
        AfterFailure::Lost
    }

    /// The number of items that the present run reports.
    pub(super) fn sending_len(&self) -> u64 {
        self.sending.len()
    }

    /// Begins a run again that the previous daemon has killed.
    pub(super) fn resume(&mut self) {
        if self.running.take().is_some() {
            self.not_before = Tick(0);
        }
    }
}

impl ProcessConditions {
    /// Adds a condition. `None`: it was there.
    fn enter(&mut self, condition: ReportCondition) -> Option<ReportCondition> {
        self.conditions.insert(condition).then_some(condition)
    }

    /// Records an exit. Returns whether the process is flapping.
    fn is_flapping(&mut self, spec: &NotificationSpec, now: Tick) -> bool {
        let limit = spec.flapping;
        self.exits.push_back(now);
        let needed = usize::try_from(limit.exits).unwrap_or(usize::MAX);
        while self.exits.len() > needed {
            self.exits.pop_front();
        }
        let since = now
            .0
            .saturating_sub(u64::from(limit.seconds) * 1_000_000_000);
        self.exits.len() == needed && self.exits.front().is_some_and(|first| first.0 >= since)
    }

    /// Whether the last unexpected exit is long ago.
    fn is_stable(&self, spec: &NotificationSpec, now: Tick) -> bool {
        let is_old = |last: &Tick| *last + Seconds(i64::from(spec.flapping.seconds)) <= now;
        self.exits.back().is_none_or(is_old)
    }

    /// When the process counts as stable if it does not exit before. [`Tick::NEVER`]: it does not run, or is stable.
    fn stable_at(&self, spec: &NotificationSpec) -> Tick {
        match self.exits.back() {
            Some(last) if self.is_running => *last + Seconds(i64::from(spec.flapping.seconds)),
            _ => Tick::NEVER,
        }
    }
}
