//! Control of the daemon itself: its signals, its configuration, its log.

use std::sync::Arc;

use super::pending::Pending;
use super::slots::in_added_order;
use super::{Action, Actions, DaemonSignal, Fleet};
use crate::api::{FaultCode, Reply, Ticket};
use crate::config::diff::{ConfigDiff, diff};
use crate::config::spec::Config;
use crate::config::{WARNING, warning_lines};
use crate::domain::{Errno, GroupName, Line, Now, SupervisorState};
use crate::effects::{LoadError, LoadReason, LoaderEffect, OutputEffect};

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
            Ok(config) => {
                let (reply, changed) = self.reread(config);
                answer(Ok(reply));
                // Log only warnings that the previous reading did not have.
                for warning in &self.configuration.last_read.warnings {
                    let text = warning.to_string();
                    if !before.contains(&warning.line(WARNING)) {
                        out.push(Action::Log(Line::OurConfigWarning { text }));
                    }
                }
                self.take_over_resources(&changed, out);
            }
        }
    }

    /// Replaces the configuration. Returns its differences from the active groups, and the groups that changed.
    fn reread(&mut self, config: Arc<Config>) -> (Reply, Vec<GroupName>) {
        self.configuration.replace(config);
        self.dependencies.recheck_absent();
        self.changes.is_regrouped = true;
        let active: Vec<_> = in_added_order(&self.groups)
            .into_iter()
            .map(|group| Arc::clone(&group.spec))
            .collect();
        let ConfigDiff {
            added,
            changed,
            removed,
        } = diff(&active, &self.configuration.last_read.groups);
        let removed = self.groups_in_stop_order(removed);
        let reply = Reply::Diff {
            added,
            changed: changed.clone(),
            removed,
        };
        (reply, changed)
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
