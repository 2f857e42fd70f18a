//! Effects of the `watch` thread, which reports changed files.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::config::spec::{ProcessSpec, WatchSpec};

/// One watch, named after the first process that it serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WatchId {
    /// The slot of the process.
    pub slot: u32,
    /// Distinguishes the processes that use one slot after another. Never reused.
    pub slot_generation: u64,
}

/// What has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum WatchKind {
    /// The executable.
    Binary,
    /// A file in the directory.
    Directory,
}

/// An effect of the `watch` thread.
#[derive(Debug, Clone, PartialEq)]
pub enum WatchEffect {
    /// Watch from now on, instead of what this watch watched before. Answered with any number of
    /// [`WatchOutcome::Changed`].
    Set {
        /// The watch.
        id: WatchId,
        /// What is watched.
        watch: Arc<WatchSpec>,
        /// The process whose environment decides where the executable is.
        spec: Arc<ProcessSpec>,
    },
    /// End the watch. An outcome may still come.
    Clear(WatchId),
}

/// What the `watch` thread reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WatchOutcome {
    /// Files have changed.
    Changed {
        /// The watch.
        id: WatchId,
        /// What has changed.
        kind: WatchKind,
        /// One of the changed files.
        path: String,
    },
}
