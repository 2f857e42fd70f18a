//! Changed files of a watch, until something is done about them. `watching` changes it. The first process of the watch
//! holds it, so that it is written down with this process.

use serde::{Deserialize, Serialize};

use crate::domain::Tick;
use crate::effects::{ScriptId, WatchKind};

/// The changes of one watch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct ChangeState {
    /// When the changes are acted on. [`Tick::NEVER`]: there are none.
    pub(super) due: Tick,
    /// When they are acted on even if more changes follow.
    pub(super) latest: Tick,
    /// The changed executable.
    pub(super) binary: Option<String>,
    /// A changed file of the directory.
    pub(super) directory: Option<String>,
    /// The script that runs because of earlier changes, and which ones. The daemon that leaves kills it, so the next one
    /// acts on these changes again.
    pub(super) running: Option<(ScriptId, WatchKind, String)>,
}

impl ChangeState {
    /// Returns the state without changes.
    pub(super) const fn new() -> Self {
        Self {
            due: Tick::NEVER,
            latest: Tick::NEVER,
            binary: None,
            directory: None,
            running: None,
        }
    }

    /// Returns whether there is nothing to remember.
    pub(super) fn is_empty(&self) -> bool {
        self.due == Tick::NEVER && self.running.is_none()
    }

    /// The changed file of a kind.
    pub(super) const fn path(&mut self, kind: WatchKind) -> &mut Option<String> {
        match kind {
            WatchKind::Binary => &mut self.binary,
            WatchKind::Directory => &mut self.directory,
        }
    }
}
