//! Publishes events, in order and numbered.
//!
//! All subscribers get events here, through the hook that `control::EventFeed` installs, and diagnostics record them. A
//! subscriber must never block the engine.

use crate::domain::{Event, EventKind};

/// Receives every event, on the engine's thread. It must not block.
pub type Publish = Box<dyn Fn(&Event) + Send>;

/// The only place where events leave the engine.
pub(super) struct Bus {
    serial: u64,
    hook: Publish,
}

impl Bus {
    pub(super) fn new(hook: Publish) -> Self {
        Self { serial: 0, hook }
    }

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
            serial = self.serial,
            event = event.name(),
            supervisor_group = group,
            supervisor_process = process,
            object_pid = pid,
            from,
            tries,
            "published"
        );
        self.serial += 1;
        (self.hook)(event);
    }
}
