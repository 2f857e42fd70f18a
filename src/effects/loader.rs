//! Effects of the loader thread, which reads the configuration and makes processes from a section.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::api::Ticket;
use crate::config::spec::{Config, GroupChange, GroupChangeResult, GroupSpec};

/// Why the configuration was read.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LoadReason {
    /// `reloadConfig`.
    Reread(Ticket),
    /// `restart`. Answered before anything stops.
    Restart(Ticket),
    /// SIGHUP.
    Hangup,
}

/// The errors of a configuration that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadError {
    /// The original's message for the first error. Faults contain it.
    pub sentence: String,
    /// All errors with file:line:column. The log contains them.
    pub all: Vec<String>,
    /// All errors and warnings, one per line, each marked as error or warning. Clients get them.
    pub lines: Vec<String>,
}

impl LoadError {
    /// Creates an error that belongs to no file.
    #[must_use]
    pub fn of(sentence: String) -> Self {
        Self {
            all: vec![sentence.clone()],
            lines: vec![format!("error: {sentence}")],
            sentence,
        }
    }
}

/// A configuration that was read to plan an update.
#[derive(Debug, Clone, PartialEq)]
pub struct PlannedUpdate {
    /// The configuration.
    pub config: Arc<Config>,
    /// The active groups with which it was compared.
    pub active: Vec<Arc<GroupSpec>>,
    /// The identifier of the plan.
    pub id: String,
    /// The plan as JSON.
    pub json: String,
}

/// An effect of the loader thread.
#[derive(Debug, Clone, PartialEq)]
pub enum LoaderEffect {
    /// Read the configuration. Answered with [`LoaderOutcome::Loaded`].
    Load(LoadReason),
    /// Read the configuration and plan an update of these active groups. Answered with [`LoaderOutcome::Planned`].
    Plan(Ticket, Vec<Arc<GroupSpec>>),
    /// Make processes from a section. Looking up users may block. Answered with [`LoaderOutcome::Composed`].
    Compose(Ticket, GroupChange),
}

/// What the loader thread answers.
#[derive(Debug, Clone, PartialEq)]
pub enum LoaderOutcome {
    /// The configuration was read.
    Loaded {
        /// Why it was read.
        reason: LoadReason,
        /// The configuration, or its errors.
        result: Result<Arc<Config>, LoadError>,
    },
    /// The result of [`LoaderEffect::Plan`].
    Planned {
        /// The request.
        ticket: Ticket,
        /// The plan, or the errors of the configuration.
        result: Result<Box<PlannedUpdate>, LoadError>,
    },
    /// The result of [`LoaderEffect::Compose`].
    Composed {
        /// The request.
        ticket: Ticket,
        /// The processes, or the message about the error in their section.
        result: Result<Box<GroupChangeResult>, String>,
    },
}
