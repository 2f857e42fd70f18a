//! Publishes changes, in order and numbered.
//!
//! All subscribers get changes here, through the hook that `control::EventFeed` installs, and diagnostics record them. A
//! subscriber must never block the engine.

use crate::domain::Change;

/// Receives every change, on the engine's thread. It must not block.
pub type Publish = Box<dyn Fn(&Change) + Send>;

/// The only place where changes leave the engine.
pub(super) struct Bus {
    serial: u64,
    hook: Publish,
}

impl Bus {
    pub(super) fn new(hook: Publish) -> Self {
        Self { serial: 0, hook }
    }

    pub(super) fn publish(&mut self, change: &Change) {
        let group = change.group().map_or("", |name| name.as_str());
        let process = change.process().map_or("", |name| name.as_str());
        let (pid, from, tries) = match change {
            Change::ProcessState {
                from, tries, pid, ..
            } => (*pid, from.name(), *tries),
            _ => (0, "", 0),
        };
        tracing::debug!(
            serial = self.serial,
            event = change.name(),
            supervisor_group = group,
            supervisor_process = process,
            object_pid = pid,
            from,
            tries,
            "published"
        );
        self.serial += 1;
        (self.hook)(change);
    }
}
