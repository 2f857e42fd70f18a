//! The health of a process, as clients see it.

/// The health of a process.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum ProcessHealth {
    /// The process has no health check, or is not up.
    #[default]
    None,
    /// Not known yet: no check has ended, or the process is not RUNNING yet.
    Starting,
    /// The check succeeds.
    Healthy,
    /// The check fails, for this reason.
    Unhealthy(String),
}

impl ProcessHealth {
    /// Returns the word that clients see.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Starting => "starting",
            Self::Healthy => "healthy",
            Self::Unhealthy(_) => "unhealthy",
        }
    }

    /// Returns why the process is unhealthy. Empty: it is not.
    #[must_use]
    pub fn reason(&self) -> &str {
        match self {
            Self::Unhealthy(reason) => reason,
            Self::None | Self::Starting | Self::Healthy => "",
        }
    }
}
