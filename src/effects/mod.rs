//! What the core asks of the output, spawner, loader, script and watch threads (effects) and what they answer (outcomes).
//!
//! Each effect and each outcome is defined here once. The core puts the effect into an [`Action`], the engine sends it to
//! the thread unchanged, the thread answers with an outcome, and the engine passes the outcome to the core as an [`Input`].
//! Values that only the shell has, such as descriptors, travel beside an outcome and stay in the engine.
//!
//! To add an effect: add its variant and the variant of its outcome here, and perform it in the thread
//! (`output/reactor/commands.rs`, `spawn/worker.rs`, `engine/loader.rs`, `scripts/thread.rs` or `watch/thread.rs`).
//!
//! [`Action`]: crate::core::Action
//! [`Input`]: crate::core::Input

mod loader;
mod output;
mod script;
mod spawner;
mod watch;

pub use loader::{LoadError, LoadReason, LoaderEffect, LoaderOutcome, PlannedUpdate};
pub use output::{LineWatchKind, OutputEffect, OutputOutcome};
pub use script::{
    SCRIPT_OUTPUT_MAX, ScriptEffect, ScriptFailure, ScriptId, ScriptOutcome, ScriptRun,
};
pub use spawner::{SpawnerEffect, SpawnerOutcome};
pub use watch::{WatchEffect, WatchId, WatchKind, WatchOutcome};
