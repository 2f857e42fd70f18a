//! Who asks, and what they may touch. Fronts take both from the transport, never from the request.

use serde::{Deserialize, Serialize};

/// A promise to answer: unique per request, for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ticket(pub u64);

/// The door a request came through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Front {
    /// XML-RPC or HTTP over a unix socket.
    Unix,
    /// XML-RPC or HTTP over TCP.
    Inet,
    /// The daemon itself: a signal to it.
    Daemon,
}

impl Front {
    /// The word in audit lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unix => "unix",
            Self::Inet => "inet",
            Self::Daemon => "daemon",
        }
    }
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// The door.
    pub front: Front,
    /// Peer credentials, where the transport gives them.
    pub uid: Option<u32>,
    /// Peer credentials, where the transport gives them.
    pub gid: Option<u32>,
    /// The peer's process, for the audit line only: numbers are reused, so nothing is decided by it.
    pub pid: Option<i32>,
    /// The user name of basic authentication.
    pub login: Option<String>,
}

impl Caller {
    /// The daemon itself.
    pub const DAEMON: Self = Self {
        front: Front::Daemon,
        uid: None,
        gid: None,
        pid: None,
        login: None,
    };
}

/// What a method needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Permission {
    /// See states and configuration.
    Status,
    /// Read logs.
    ReadLogs,
    /// Start, stop, restart, clear logs, write to stdin.
    Control,
    /// Send signals.
    Signal,
    /// Reread the files, add and remove the groups that stand in them.
    Update,
    /// Add or change programs at run time: what stands in no file. Never granted by a socket's mode alone.
    Configure,
    /// Shut down or restart the daemon.
    Shutdown,
}

/// Which processes a grant covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// All.
    All,
    /// These groups only, by name. Requests for others are refused; members of `all` that are not covered get their own fault.
    Groups(Vec<String>),
}

impl Scope {
    /// Whether `group` is covered.
    #[must_use]
    pub fn covers(&self, group: &str) -> bool {
        match self {
            Self::All => true,
            Self::Groups(names) => names.iter().any(|name| name == group),
        }
    }
}

/// What was granted to a caller for one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// What they may do.
    pub permission: Permission,
    /// To whom.
    pub scope: Scope,
}

impl Grant {
    /// Everything in `permission`.
    #[must_use]
    pub const fn all(permission: Permission) -> Self {
        Self {
            permission,
            scope: Scope::All,
        }
    }
}
