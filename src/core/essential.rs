//! The end of a program that ends the daemon: essential programs, `on_fatal` and `exit_when`.
//!
//! A program has ended when it exited and is not restarted, or is FATAL. A stop on request is no end: it is wanted.

use super::process::Process;
use super::stage::{Idle, Stage};
use super::{Action, Actions, Fleet};
use crate::config::spec::{ExitWhen, OnFatal, ProcessKind};
use crate::domain::{
    ExitReason, ExitStatus, Line, Now, ProcessHealth, ProcessState, SupervisorState, Tick,
};

/// The exit status of the daemon for a program whose own is 0 although it failed, or is unknown.
const FAILURE: u8 = 1;

impl Fleet {
    /// Notes that a process has changed from the stage `before`. If that was the end of the program and the daemon is to
    /// exit for it, [`Fleet::exit_if_ended`] begins the shutdown.
    pub(super) fn note_end(&mut self, slot: u32, before: Stage, out: &mut Actions) {
        if self.daemon.state != SupervisorState::Running || self.daemon.exit_status.is_some() {
            return;
        }
        let Some(process) = self
            .slots
            .get(slot)
            .filter(|process| process.run.stage.has_ended() && before.may_end())
            .filter(|process| !process.is_on_hold())
        else {
            return;
        };
        let spec = &process.spec;
        let is_fatal = process.state() == ProcessState::Fatal;
        let exit_when = &self.daemon.exit_when;
        let key = if spec.essential {
            "essential"
        } else if is_fatal && spec.on_fatal == OnFatal::Shutdown {
            "on_fatal"
        } else if (is_fatal && *exit_when == ExitWhen::AnyFatal)
            || exit_when.names(spec.group.as_str(), spec.name.as_str())
        {
            "exit_when"
        } else {
            return self.note_all_ended(out);
        };
        let status = process.status_for_daemon();
        out.push(Action::Log(Line::ProgramEnded {
            name: spec.name.clone(),
            key: key.to_owned(),
            status,
        }));
        self.daemon.exit_status = Some(status);
    }

    /// Checks for `exit_when=all-exited`. Event listeners serve the other programs, so they are not waited for.
    fn note_all_ended(&mut self, out: &mut Actions) {
        if self.daemon.exit_when != ExitWhen::AllExited || !self.daemon.has_begun {
            return;
        }
        let programs = || {
            let slots = self.groups.values().flat_map(|group| &group.slots);
            slots
                .filter_map(|&slot| self.slots.get(slot))
                .filter(|process| process.spec.kind != ProcessKind::Listener)
        };
        if !programs().all(|process| process.run.stage.is_down()) {
            return;
        }
        let failed =
            programs().any(|process| process.run.stage.has_ended() && !process.ended_as_expected());
        let status = if failed { FAILURE } else { 0 };
        out.push(Action::Log(Line::AllEnded { status }));
        self.daemon.exit_status = Some(status);
    }

    /// Begins the shutdown if a program has ended for which the daemon exits. Returns whether it did.
    pub(super) fn exit_if_ended(&mut self, now: Now, out: &mut Actions) -> bool {
        let ends =
            self.daemon.exit_status.is_some() && self.daemon.state == SupervisorState::Running;
        if ends {
            self.begin_shutdown(SupervisorState::Shutdown, now, out);
        }
        ends
    }
}

impl Stage {
    /// Whether the program has ended: it exited by itself or is FATAL, and is not restarted.
    fn has_ended(&self) -> bool {
        matches!(*self, Self::Idle(Idle::Fatal))
            || matches!(*self, Self::Idle(Idle::Exited { restart_at }) if restart_at == Tick::NEVER)
    }

    /// Whether the program may end from this stage by itself. A restart that is due ends only on request.
    const fn may_end(&self) -> bool {
        match self {
            Self::Idle(idle) => matches!(idle, Idle::Backoff { .. }),
            Self::Attempt { .. } | Self::Alive { .. } | Self::Reaped { .. } => true,
        }
    }

    /// Whether no process exists and none is due.
    fn is_down(&self) -> bool {
        self.has_ended() || matches!(*self, Self::Idle(Idle::Stopped | Idle::UnknownGone))
    }
}

impl Process {
    /// Returns whether the process is up and not unhealthy, or has done its work.
    pub(super) fn is_ready(&self) -> bool {
        match self.state() {
            ProcessState::Running => {
                matches!(self.health(), ProcessHealth::None | ProcessHealth::Healthy)
            }
            _ => self.run.stage.has_ended() && self.ended_as_expected(),
        }
    }

    /// Returns whether the program, which has ended, exited with an expected code.
    fn ended_as_expected(&self) -> bool {
        self.state() == ProcessState::Exited
            && matches!(&self.run.exit_reason, Some(ExitReason::ByItself(status)) if self.expects(*status))
    }

    /// Returns the exit status that the daemon gets from the program, which has ended.
    fn status_for_daemon(&self) -> u8 {
        match self.last_exit() {
            // A program that is FATAL has failed, whatever it says.
            Some(ExitStatus::Exited(0)) if self.state() == ProcessState::Fatal => FAILURE,
            Some(ExitStatus::Exited(code)) => code,
            // As shells do.
            Some(ExitStatus::Signalled { signal, .. }) => {
                u8::try_from(signal.number().saturating_add(128)).unwrap_or(FAILURE)
            }
            Some(ExitStatus::Unknown(_)) | None => FAILURE,
        }
    }
}
