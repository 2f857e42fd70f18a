//! The changes of the fleet that are not written down yet.

use crate::domain::QualifiedName;

/// What changed since the engine last asked. The engine asks after each input, so the lists stay short.
#[derive(Debug)]
pub(super) struct FleetChanges {
    /// Slots of processes that changed.
    pub(super) slots: Vec<u32>,
    /// Processes that were removed.
    pub(super) removed: Vec<QualifiedName>,
    /// Groups were added or removed. Records do not contain that, so a snapshot is needed.
    pub(super) is_regrouped: bool,
}

impl FleetChanges {
    /// Creates the changes of a new fleet: no snapshot of it exists.
    pub(super) const fn new() -> Self {
        Self {
            slots: Vec::new(),
            removed: Vec::new(),
            is_regrouped: true,
        }
    }
}
