//! Who asks, and what they may touch. Fronts take both from the transport, never from the request.

use serde::{Deserialize, Serialize};

use crate::domain::{Namespec, python_repr};

pub use crate::domain::Permission;

/// A promise to answer: unique per request, for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ticket(pub u64);

/// The transport that a request came over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transport {
    /// XML-RPC or HTTP over a unix socket.
    Unix,
    /// XML-RPC or HTTP over TCP.
    Inet,
    /// D-Bus.
    Bus,
    /// The daemon itself: a signal to it.
    Daemon,
}

impl Transport {
    /// The word in audit lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unix => "unix",
            Self::Inet => "inet",
            Self::Bus => "dbus",
            Self::Daemon => "daemon",
        }
    }
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// The transport.
    pub transport: Transport,
    /// Peer credentials, where the transport gives them.
    pub uid: Option<u32>,
    /// Peer credentials, where the transport gives them.
    pub gid: Option<u32>,
    /// The peer's process, for the audit line only: numbers are reused, so nothing is decided by it.
    pub pid: Option<i32>,
    /// The user name of basic authentication.
    pub login: Option<String>,
    /// On D-Bus the connection's unique name, which no other connection ever gets.
    pub bus_name: Option<String>,
    /// What the rules of the server permit at most. `None`: the server has no rules.
    pub access: Option<Access>,
}

impl Caller {
    /// The daemon itself.
    pub const DAEMON: Self = Self {
        transport: Transport::Daemon,
        uid: None,
        gid: None,
        pid: None,
        login: None,
        bus_name: None,
        access: None,
    };

    /// Who it is, for audit lines.
    #[must_use]
    pub fn identity(&self) -> String {
        let mut who = self.transport.name().to_owned();
        if let Some(uid) = self.uid {
            who.push_str(&format!(" uid={uid}"));
        }
        if let Some(pid) = self.pid {
            who.push_str(&format!(" pid={pid}"));
        }
        if let Some(login) = &self.login {
            who.push_str(&format!(" login={}", python_repr(login)));
        }
        if let Some(name) = &self.bus_name {
            who.push_str(&format!(" name={name}"));
        }
        who
    }
}

impl Caller {
    /// Whose lines are counted together where their number is bounded: the user, where the transport tells it.
    #[must_use]
    pub fn rate_limit_key(&self) -> String {
        match self.uid {
            Some(uid) => format!("uid {uid}"),
            None => self.transport.name().to_owned(),
        }
    }

    /// The processes that the caller may know of: those for which it has any permission. On D-Bus states are free to
    /// everybody, and with them all names.
    #[must_use]
    pub fn visible_scope(&self) -> AccessScope {
        match &self.access {
            Some(access) if self.transport != Transport::Bus => access.any_scope(),
            Some(_) | None => AccessScope::All,
        }
    }
}

/// Which processes a grant covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccessScope {
    /// All.
    All,
    /// These processes and groups only. Requests for others are refused; members of `all` or of a group that are not
    /// covered get their own fault.
    Only(Vec<Namespec>),
}

impl AccessScope {
    /// Whether this process is covered.
    #[must_use]
    pub fn covers(&self, group: &str, process: &str) -> bool {
        self.covers_some(group, |covered| covered.is_none_or(|name| name == process))
    }

    /// Whether the group is covered as a whole.
    #[must_use]
    pub fn covers_group(&self, group: &str) -> bool {
        self.covers_some(group, |covered| covered.is_none())
    }

    /// Whether anything of the group is covered.
    #[must_use]
    pub fn touches(&self, group: &str) -> bool {
        self.covers_some(group, |_| true)
    }

    fn covers_some(&self, group: &str, fits: impl Fn(Option<&str>) -> bool) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names
                .iter()
                .any(|name| name.group == group && fits(name.process.as_deref())),
        }
    }
}

/// What a server permits one caller at most, where it has rules about that: each permission with the processes it is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access(pub Vec<(Permission, AccessScope)>);

impl Access {
    /// Whether nothing is permitted at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// For which processes the caller has a permission; none: for none.
    #[must_use]
    pub fn scope(&self, permission: Permission) -> Option<AccessScope> {
        match union(self.0.iter().filter(|(known, _)| *known == permission)) {
            AccessScope::Only(names) if names.is_empty() => None,
            scope => Some(scope),
        }
    }

    /// For which processes the caller has any permission.
    fn any_scope(&self) -> AccessScope {
        union(self.0.iter())
    }
}

fn union<'a>(granted: impl Iterator<Item = &'a (Permission, AccessScope)>) -> AccessScope {
    let mut names = Vec::new();
    for (_, scope) in granted {
        match scope {
            AccessScope::All => return AccessScope::All,
            AccessScope::Only(more) => names.extend(more.iter().cloned()),
        }
    }
    AccessScope::Only(names)
}

/// What was granted to a caller for one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// What they may do.
    pub permission: Permission,
    /// To whom.
    pub scope: AccessScope,
}

impl Grant {
    /// Everything in `permission`.
    #[must_use]
    pub const fn all(permission: Permission) -> Self {
        Self {
            permission,
            scope: AccessScope::All,
        }
    }
}
