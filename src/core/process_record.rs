//! The record of one process as data. `record` has its bytes.

use serde::{Deserialize, Serialize};

use super::process::RunState;

/// The state of one process. The serde names are the JSON that versions before 5.1 wrote.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessRecord {
    /// The slot of the process.
    pub slot: u32,
    /// The record applies only if the slot still has this generation.
    #[serde(rename = "tenure")]
    pub(super) slot_generation: u64,
    pub(super) run: RunState,
    /// Counters of the fleet when the record was made.
    #[serde(rename = "lives")]
    pub(super) last_incarnation: u64,
    pub(super) event_serial: u64,
}
