//! Publishes events, in order and numbered.
//!
//! Subscribers hear of changes here and nowhere else. Today that is whoever listens to `tracing` (target
//! `supervisord::event`); a subscriber must never hold the engine.

use crate::domain::{Event, EventKind};

/// The one place where events leave the engine.
#[derive(Debug, Default)]
pub(super) struct Bus {
    serial: u64,
}

impl Bus {
    pub(super) fn publish(&mut self, event: &Event) {
        let group = event.group.as_ref().map_or("", |name| name.as_str());
        let process = event.process.as_ref().map_or("", |name| name.as_str());
        let (pid, from, tries) = match &event.kind {
            EventKind::ProcessState {
                from, tries, pid, ..
            } => (*pid, from.name(), *tries),
            _ => (0, "", 0),
        };
        tracing::debug!(
            target: "supervisord::event",
            serial = self.serial,
            event = event.name(),
            group,
            process,
            pid,
            from,
            tries,
        );
        self.serial += 1;
    }
}
