//! What a process remembers about its automatic restarts. `restart_policy` changes it.

use serde::{Deserialize, Serialize};

use crate::domain::Tick;

/// What the policy of restarts needs to know of the past. Programs without its keys leave it at its default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(super) struct RestartProgress {
    /// Automatic restarts and failed starts in a row. They decide how much the delay has grown.
    #[serde(deserialize_with = "crate::domain::counter::small_counter")]
    pub(super) in_a_row: u32,
    /// When the process last became RUNNING, if `restart_reset_after` counts from there.
    pub(super) running_since: Tick,
}

impl RestartProgress {
    /// Whether nothing has to be written down.
    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}
