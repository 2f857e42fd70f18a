//! Notifications: reports to people about processes that need attention.
//!
//! [`Fleet::observe_changes`] sees every published change.
//! [`NotificationState`](super::notification_state::NotificationState) decides what is worth a report and when, and a script
//! delivers it. Nothing but the exit of the daemon waits for a script, and that for at most [`EXIT_SECS_MAX`].

use std::sync::Arc;

use super::hooks::described;
use super::notification_state::{AfterFailure, ProcessKey, ProcessNews, TRIES_MAX};
use super::process::Process;
use super::report::{ReportItem, STDERR_LINES_MAX};
use super::{Action, Actions, Fleet};
use crate::config::script::{HttpBody, Script};
use crate::config::spec::{ReportCondition, ReportFormat};
use crate::domain::{Change, Line, Now, ProcessState, Seconds};
use crate::effects::{ScriptEffect, ScriptFailure, ScriptId, ScriptRun};

/// How long the exit of the daemon waits for reports, in seconds.
const EXIT_SECS_MAX: Seconds = Seconds(5);

impl Fleet {
    /// Passes the changes that were published since the last call to the notifications.
    pub(super) fn observe_changes(&mut self, now: Now, out: &mut Actions) {
        let from = std::mem::replace(&mut self.notifications.observed_up_to, out.len());
        // The exit of the daemon stops all processes, and what that does to them is no news.
        if self.notifications.list.is_empty() || self.shutdown_state.is_some() {
            return;
        }
        let is_new = |action: &Action| match action {
            Action::Publish(change) => Some(Arc::clone(change)),
            _ => None,
        };
        let changes: Vec<Arc<Change>> = out.iter().skip(from).filter_map(is_new).collect();
        for change in changes {
            if let Some((news, reason)) = news_of(&change)
                && let (Some(group), Some(process)) = (change.group(), change.process())
            {
                let key = (group.clone(), process.clone());
                if self.is_on_hold(&key) {
                    continue;
                }
                self.record_news(&key, news, &reason, now);
            }
        }
    }

    /// Reports that a process is FATAL.
    pub(super) fn report_fatal(&mut self, key: &ProcessKey, now: Now) {
        self.record_news(key, ProcessNews::Fatal, "", now);
    }

    fn record_news(&mut self, key: &ProcessKey, news: ProcessNews, reason: &str, now: Now) {
        let facts = self.facts_of(key, reason);
        for (spec, state) in &mut self.notifications.list {
            if spec.is_about(key.0.as_str(), key.1.as_str()) {
                state.record(spec, key, news, now, |condition| {
                    item(key, condition, now, &facts)
                });
            }
        }
    }

    fn is_on_hold(&self, (group, process): &ProcessKey) -> bool {
        let slot = self.find(group.as_str(), process.as_str());
        let process = slot.and_then(|slot| self.slots.get(slot));
        process.is_some_and(Process::is_on_hold)
    }

    fn facts_of(&self, (group, process): &ProcessKey, reason: &str) -> ProcessFacts {
        let slot = self.find(group.as_str(), process.as_str());
        let Some(process) = slot.and_then(|slot| self.slots.get(slot)) else {
            return ProcessFacts::default();
        };
        let exit = process.last_exit();
        let lines = process.last_stderr_lines().take(STDERR_LINES_MAX);
        let mut stderr: Vec<String> = lines.map(str::to_owned).collect();
        stderr.reverse();
        ProcessFacts {
            reason: match (reason, &process.run.last_error) {
                ("", Some(error)) => error.to_string(),
                (reason, _) => reason.to_owned(),
            },
            exit: exit.map_or_else(String::new, |exit| exit.to_string()),
            stderr,
        }
    }

    /// Sends the reports that are due.
    pub(super) fn send_reports(&mut self, now: Now, out: &mut Actions) {
        if self.notifications.due() > now.mono {
            return;
        }
        let zone = (self.schedules.zone_of)(None);
        let identifier = Arc::clone(&self.events.server);
        let mut notifications = std::mem::take(&mut self.notifications.list);
        for (spec, state) in &mut notifications {
            state.retain(|(group, process)| self.find(group.as_str(), process.as_str()).is_some());
            state.end_flapping(spec, now, |key, condition| {
                item(key, condition, now, &ProcessFacts::default())
            });
            let new_id = || self.requests.scripts.new_id();
            let Some((id, report)) = state.take_due(spec, new_id, now) else {
                continue;
            };
            let variable = |name: &str, value: String| (name.to_owned(), value);
            let variables = vec![
                variable("SUPERVISOR_NOTIFY", spec.name().to_owned()),
                variable("SUPERVISOR_NOTIFY_SUBJECT", report.subject()),
                variable("SUPERVISOR_NOTIFY_CONDITIONS", report.conditions()),
                variable("SUPERVISOR_NOTIFY_COUNT", report.len().to_string()),
            ];
            let input = report.render(spec.format, (spec.name(), &identifier), &zone);
            let run = Box::new(ScriptRun {
                id,
                script: with_input(&spec.script, spec.format, &input),
                spec: Arc::clone(&spec.process),
                variables,
                input,
                limit: spec.timeout,
            });
            out.push(Action::Script(ScriptEffect::Run(run)));
        }
        self.notifications.list = notifications;
    }

    /// Handles the end of a script. Returns whether it was that of a notification.
    pub(super) fn report_ended(
        &mut self,
        id: ScriptId,
        failure: Option<&ScriptFailure>,
        output: &str,
        out: &mut Actions,
    ) -> bool {
        let mut list = self.notifications.list.iter_mut();
        let Some((spec, state)) = list.find(|(_, state)| state.running == Some(id)) else {
            return false;
        };
        let notification = spec.name().to_owned();
        let count = state.sending_len();
        let Some(failure) = failure else {
            state.succeeded();
            out.push(Action::Log(Line::NotificationSent {
                notification,
                count,
            }));
            return true;
        };
        let reason = described(failure, output);
        out.push(Action::Log(match state.failed() {
            AfterFailure::Repeat => Line::NotificationFailed {
                notification,
                reason,
            },
            AfterFailure::Lost => Line::NotificationLost {
                notification,
                count,
                tries: TRIES_MAX,
                reason,
            },
        }));
        true
    }

    /// Returns whether the exit of the daemon waits for reports.
    pub(super) fn awaits_reports(&mut self, now: Now) -> bool {
        let mut list = self.notifications.list.iter();
        let Some(down) = &mut self.shutdown_state else {
            return false;
        };
        if !list.any(|(_, state)| state.running.is_some()) {
            return false;
        }
        let until = down.await_reports_until;
        now.mono
            < *down
                .await_reports_until
                .insert(until.unwrap_or(now.mono + EXIT_SECS_MAX))
    }

    /// Continues after the previous daemon has ended. A daemon that crashed may not have written what it had reported, so
    /// processes that are FATAL are reported again rather than never.
    pub(super) fn resume_notifications(&mut self, now: Now) {
        for (_, state) in &mut self.notifications.list {
            state.resume();
        }
        if self.notifications.list.is_empty() {
            return;
        }
        let slots = self.groups.values().flat_map(|group| &group.slots);
        let fatal: Vec<ProcessKey> = slots
            .filter_map(|&slot| self.slots.get(slot))
            .filter(|process| process.state() == ProcessState::Fatal && !process.is_on_hold())
            .map(|process| (process.spec.group.clone(), process.spec.name.clone()))
            .collect();
        for key in fatal {
            self.record_news(&key, ProcessNews::Fatal, "", now);
        }
    }
}

/// What a report says about a process besides its condition.
#[derive(Default)]
struct ProcessFacts {
    reason: String,
    exit: String,
    stderr: Vec<String>,
}

fn item(
    (group, process): &ProcessKey,
    condition: ReportCondition,
    now: Now,
    facts: &ProcessFacts,
) -> ReportItem {
    // A process that is well again has no error.
    let is_well = condition == ReportCondition::Recovered;
    let nothing = ProcessFacts::default();
    let facts = if is_well { &nothing } else { facts };
    ReportItem {
        condition,
        group: group.clone(),
        process: process.clone(),
        when: now.wall,
        count: 1,
        reason: facts.reason.clone(),
        exit: facts.exit.clone(),
        stderr: facts.stderr.clone(),
    }
}

/// What a change means for notifications, with the reason that it has. `None`: nothing.
fn news_of(change: &Change) -> Option<(ProcessNews, String)> {
    match change {
        Change::ProcessState { to, expected, .. } => {
            let news = match to {
                ProcessState::Fatal => ProcessNews::Fatal,
                ProcessState::Backoff => ProcessNews::Exited,
                ProcessState::Exited if !expected => ProcessNews::Exited,
                ProcessState::Running => ProcessNews::Running,
                ProcessState::Stopped => ProcessNews::Stopped,
                ProcessState::Exited
                | ProcessState::Starting
                | ProcessState::Stopping
                | ProcessState::Unknown => return None,
            };
            Some((news, String::new()))
        }
        Change::ProcessHealth {
            is_healthy, reason, ..
        } => Some(match is_healthy {
            true => (ProcessNews::Healthy, String::new()),
            false => (ProcessNews::Unhealthy, reason.clone()),
        }),
        _ => None,
    }
}

/// The script with the report as the body of its request.
fn with_input(script: &Script, format: ReportFormat, input: &str) -> Script {
    let mut script = script.clone();
    if let Script::Http(request) = &mut script {
        request.body = Some(HttpBody::Text(input.to_owned()));
        let mut headers = request.headers.iter();
        if !headers.any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
            let kind = match format {
                ReportFormat::Text => "text/plain; charset=utf-8",
                ReportFormat::Json => "application/json",
            };
            let header = ("Content-Type".to_owned(), kind.to_owned());
            request.headers.push(header);
        }
    }
    script
}
