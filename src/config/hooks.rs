//! Hooks of programs: what runs before and after their start and stop.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::script::Script;
use crate::domain::{Seconds, Signal};

/// The hooks of a program, and how it stops and reloads.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct Hooks {
    /// Runs before each attempt to start a process, when its command was found.
    pub pre_start: Option<Script>,
    /// Whether the attempt fails if `pre_start` fails.
    pub pre_start_required: bool,
    /// Runs when a process is RUNNING.
    pub post_start: Option<Script>,
    /// Runs when a process is to stop, before `stop_command` and the stop signal.
    pub pre_stop: Option<Script>,
    /// Runs after the exit of a process.
    pub post_stop: Option<Script>,
    /// Stops a process. The stop signal follows if it fails, or if the process has not exited within `stopwaitsecs`.
    pub stop_command: Option<Script>,
    /// Reloads a process in place.
    pub reload_command: Option<Script>,
    /// Reloads a process in place, if there is no `reload_command`.
    pub reload_signal: Option<Signal>,
    /// Maximum duration of one hook. `stop_command` has `stopwaitsecs` instead.
    pub timeout: Seconds,
}

impl Hooks {
    /// The hooks as a part of a process. `None`: there are none.
    pub(in crate::config) fn into_shared(self) -> Option<Arc<Self>> {
        let Self {
            pre_start,
            pre_start_required: _,
            post_start,
            pre_stop,
            post_stop,
            stop_command,
            reload_command,
            reload_signal,
            timeout: _,
        } = &self;
        let scripts = [
            pre_start,
            post_start,
            pre_stop,
            post_stop,
            stop_command,
            reload_command,
        ];
        let is_empty = scripts.iter().all(|script| script.is_none()) && reload_signal.is_none();
        (!is_empty).then(|| Arc::new(self))
    }
}
