//! The hooks of a program, named after their keys.

use serde::{Deserialize, Serialize};

use super::stage::PreStopStep;
use crate::config::spec::{Hooks, Script};

/// A hook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Hook {
    PreStart,
    PostStart,
    PreStop,
    PostStop,
    StopCommand,
    ReloadCommand,
}

impl Hook {
    /// Returns its key.
    pub(super) const fn key(self) -> &'static str {
        match self {
            Self::PreStart => "pre_start_hook",
            Self::PostStart => "post_start_hook",
            Self::PreStop => "pre_stop_hook",
            Self::PostStop => "post_stop_hook",
            Self::StopCommand => "stop_command",
            Self::ReloadCommand => "reload_command",
        }
    }

    /// Returns the hook of a step before the stop signal.
    pub(super) const fn of_step(step: PreStopStep) -> Self {
        match step {
            PreStopStep::Hook => Self::PreStop,
            PreStopStep::Command => Self::StopCommand,
        }
    }

    /// Returns its script. `None`: the program does not have it.
    pub(super) const fn of(self, hooks: &Hooks) -> Option<&Script> {
        match self {
            Self::PreStart => hooks.pre_start.as_ref(),
            Self::PostStart => hooks.post_start.as_ref(),
            Self::PreStop => hooks.pre_stop.as_ref(),
            Self::PostStop => hooks.post_stop.as_ref(),
            Self::StopCommand => hooks.stop_command.as_ref(),
            Self::ReloadCommand => hooks.reload_command.as_ref(),
        }
    }
}
