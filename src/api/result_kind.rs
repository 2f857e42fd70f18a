//! The kind of a method's result, from which its type on each wire derives.

use super::WireType;

/// The kind of a method's result.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResultKind {
    /// Always true.
    Done,
    /// True for one process; for a wildcard [`ResultKind::Results`].
    DoneOrResults,
    /// One result per process.
    Results,
    /// A text.
    Text,
    /// A number.
    Int,
    /// The state of the daemon.
    State,
    /// One process.
    Process,
    /// Processes.
    Processes,
    /// Processes with some of their members, as one text.
    Table,
    /// Configured processes.
    Configs,
    /// What processes depend on.
    Dependencies,
    /// Names of groups that were added, changed and removed.
    Diff,
    /// A plan, as JSON.
    Plan,
    /// An object, as JSON.
    Json,
    /// Texts.
    Texts,
    /// The end of a log.
    Tail,
    /// The number of re-executions.
    Generation,
    /// Names of processes that were added and removed.
    Scaled,
    /// The results of other calls.
    Calls,
}

impl ResultKind {
    /// Returns the XML-RPC type in signatures.
    #[must_use]
    pub const fn wire(self) -> WireType {
        match self {
            Self::Done | Self::DoneOrResults => WireType::Bool,
            Self::Text | Self::Table | Self::Plan | Self::Json => WireType::Text,
            Self::Int => WireType::Int,
            Self::State | Self::Process | Self::Generation | Self::Scaled => WireType::Struct,
            Self::Results
            | Self::Processes
            | Self::Configs
            | Self::Dependencies
            | Self::Diff
            | Self::Texts
            | Self::Tail
            | Self::Calls => WireType::Array,
        }
    }
}
