//! Control of the daemon itself: its signals, its configuration, its log.

use std::sync::Arc;

use super::pending::Pending;
use super::slots::in_added_order;
use super::{Action, Actions, DaemonSignal, Fleet};
use crate::api::{FaultCode, Reply, Ticket};
use crate::config::diff::{ConfigDiff, diff};
use crate::config::spec::{Config, GroupSpec};
use crate::config::{WARNING, warning_lines};
use crate::domain::{Errno, Line, Now, SupervisorState};
use crate::effects::{
    LoadError, LoadReason, LoaderEffect, OutputEffect, PlannedUpdate, ScriptEffect,
};

impl Fleet {
    /// Handles a signal to the daemon.
    pub(super) fn received(&mut self, signal: DaemonSignal, now: Now, out: &mut Actions) {
        match signal {
            DaemonSignal::Exit(signal) => {
                out.push(Action::Log(Line::ReceivedExitSignal { signal }));
                self.begin_shutdown(SupervisorState::Shutdown, now, out);
            }
            DaemonSignal::Restart => match self.daemon.state {
                SupervisorState::Shutdown => out.push(Action::Log(Line::IgnoredHangup {})),
                SupervisorState::Restarting => out.push(Action::Log(Line::ReceivedHangup {})),
                SupervisorState::Running | SupervisorState::Fatal => {
                    out.push(Action::Log(Line::ReceivedHangup {}));
                    out.push(Action::Loader(LoaderEffect::Load(LoadReason::Hangup)));
                }
            },
            DaemonSignal::ReopenLogs => {
                out.push(Action::Log(Line::ReceivedReopen {}));
                out.push(Action::Log(Line::LogsReopened {}));
                out.push(Action::Output(OutputEffect::ReopenLogs));
            }
        }
    }

    /// Handles the result of reading the configuration.
    pub(super) fn loaded(
        &mut self,
        reason: LoadReason,
        result: Result<Arc<Config>, LoadError>,
        now: Now,
        out: &mut Actions,
    ) {
        let (ticket, to_restart) = match reason {
            LoadReason::Reread(ticket) => (Some(ticket), false),
            LoadReason::Restart(ticket) => (Some(ticket), true),
            LoadReason::Hangup => (None, true),
        };
        if let Some(ticket) = ticket
            && !matches!(
                self.requests.pending.remove(&ticket),
                Some(Pending::Reread | Pending::Restart)
            )
        {
            // The request was answered when the daemon stopped.
            return;
        }
        let mut answer = |result| {
            if let Some(ticket) = ticket {
                out.push(Action::Answer(ticket, result));
            }
        };
        let restarting = to_restart && self.daemon.state == SupervisorState::Restarting;
        if self.daemon.state != SupervisorState::Running && !restarting {
            answer(Err(FaultCode::ShutdownState.bare()));
            return;
        }
        let problems = match &result {
            Ok(config) => warning_lines(&config.warnings).collect(),
            Err(error) => error.lines.clone(),
        };
        let before = std::mem::replace(&mut self.configuration.problems, problems);
        match result {
            Err(error) => {
                answer(Err(FaultCode::CantReread.of(error.sentence.clone())));
                if to_restart {
                    out.push(Action::Log(Line::RestartRefused {
                        error: error.sentence,
                    }));
                }
                for error in error.all {
                    out.push(Action::Log(Line::ConfigError { error }));
                }
            }
            Ok(config) if to_restart => {
                answer(Ok(Reply::Done));
                self.configuration.next = Some(config);
                self.begin_shutdown(SupervisorState::Restarting, now, out);
            }
            Ok(config) => self.reread(ticket, config, &before, out),
        }
    }

    /// Replaces the configuration, answers with its differences from the active groups, and applies the changes that
    /// need no restart. `before`: the problems of the previous reading.
    fn reread(
        &mut self,
        ticket: Option<Ticket>,
        config: Arc<Config>,
        before: &[String],
        out: &mut Actions,
    ) {
        for run in self.notifications.replace(&config.notifications) {
            out.push(Action::Script(ScriptEffect::Cancel(run)));
        }
        self.configuration.replace(config);
        self.dependencies.recheck_absent();
        self.changes.is_regrouped = true;
        let ConfigDiff {
            added,
            changed,
            removed,
            live,
        } = diff(&self.active_groups(), &self.configuration.last_read.groups);
        let removed = self.groups_in_stop_order(removed);
        if let Some(ticket) = ticket {
            let reply = Reply::Diff {
                added,
                changed,
                removed,
            };
            out.push(Action::Answer(ticket, Ok(reply)));
        }
        // Log only warnings that the previous reading did not have.
        for warning in &self.configuration.last_read.warnings {
            let text = warning.to_string();
            if !before.contains(&warning.line(WARNING)) {
                out.push(Action::Log(Line::OurConfigWarning { text }));
            }
        }
        self.take_over_live_changes(&live, out);
    }

    /// Whether the configuration read last has the text of the source with this MD5, and all groups are as in it.
    pub(super) fn is_text_applied(&self, md5: &str) -> bool {
        let read = &self.configuration.last_read;
        let is_read = read.remote.as_ref().is_some_and(|text| text.md5 == md5);
        is_read && {
            let ConfigDiff {
                added,
                changed,
                removed,
                ..
            } = diff(&self.active_groups(), &read.groups);
            added.is_empty() && changed.is_empty() && removed.is_empty()
        }
    }

    /// The active groups, in the order in which they were added.
    pub(super) fn active_groups(&self) -> Vec<Arc<GroupSpec>> {
        let groups = in_added_order(&self.groups).into_iter();
        groups.map(|group| Arc::clone(&group.spec)).collect()
    }

    /// Handles the plan of an update: answers with it, or accepts the configuration if this is the expected plan.
    pub(super) fn planned(
        &mut self,
        ticket: Ticket,
        result: Result<Box<PlannedUpdate>, LoadError>,
        out: &mut Actions,
    ) {
        // `None`: the request was answered when the daemon stopped.
        let Some(expected) = self.requests.take(ticket, |pending| match pending {
            Pending::Plan(expected) => Ok(expected),
            other => Err(other),
        }) else {
            return;
        };
        if self.daemon.state != SupervisorState::Running {
            out.push(Action::Answer(ticket, Err(FaultCode::ShutdownState.bare())));
            return;
        }
        let planned = match result {
            Ok(planned) => *planned,
            Err(error) => {
                self.configuration.problems = error.lines;
                let fault = FaultCode::CantReread.of(error.sentence);
                out.push(Action::Answer(ticket, Err(fault)));
                return;
            }
        };
        let Some(expected) = expected else {
            out.push(Action::Answer(ticket, Ok(Reply::Text(planned.json))));
            return;
        };
        // Groups may have been added or removed while the loader worked. Equal pointers are compared first.
        if planned.id != expected || planned.active != self.active_groups() {
            let fault = FaultCode::Failed.of(
                "the configuration or the groups changed since this plan was made, and nothing was changed (make a new plan)",
            );
            out.push(Action::Answer(ticket, Err(fault)));
            return;
        }
        let problems = warning_lines(&planned.config.warnings).collect();
        let before = std::mem::replace(&mut self.configuration.problems, problems);
        self.reread(Some(ticket), planned.config, &before, out);
    }

    /// Handles the result of clearing the daemon's log.
    pub(super) fn daemon_log_cleared(
        &mut self,
        ticket: Ticket,
        result: Result<(), Errno>,
        out: &mut Actions,
    ) {
        if !matches!(
            self.requests.pending.get(&ticket),
            Some(Pending::ClearDaemonLog)
        ) {
            return;
        }
        self.requests.pending.remove(&ticket);
        let answer = match result {
            // The output thread writes the log line about it, because it must be the last line of the removed file.
            Ok(()) => Ok(Reply::Done),
            Err(Errno::NOENT) => Err(FaultCode::NoFile.bare()),
            // Differs: in the original the fault has no text.
            Err(error) => Err(FaultCode::Failed.of(format!("cannot clear the log: {error}"))),
        };
        out.push(Action::Answer(ticket, answer));
    }

    /// Handles the result of writing to a process's standard input.
    pub(super) fn stdin_taken(
        &mut self,
        ticket: Ticket,
        result: Result<(), Errno>,
        out: &mut Actions,
    ) {
        let Some(name) = self.requests.take(ticket, |pending| match pending {
            Pending::Stdin(name) => Ok(name),
            other => Err(other),
        }) else {
            return;
        };
        let answer =
            match result {
                Ok(()) => Ok(Reply::Done),
                Err(Errno::PIPE) => Err(FaultCode::NoFile.of(name)),
                // Differs: the original answers HTTP 500 if the pipe is full, and queues the bytes nevertheless.
                Err(Errno::AGAIN) => Err(FaultCode::Failed
                    .of(format!("{name}: standard input is full (try again later)"))),
                Err(error) => Err(FaultCode::Failed.of(format!("{name}: {error}"))),
            };
        out.push(Action::Answer(ticket, answer));
    }
}
