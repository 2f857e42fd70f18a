//! Who asks, and what they may touch. Fronts take both from the transport, never from the request.

use serde::{Deserialize, Serialize};

use crate::domain::{Namespec, python_repr};

pub use crate::domain::Permission;

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
    /// D-Bus.
    Bus,
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
            Self::Bus => "dbus",
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
    /// On D-Bus the connection's unique name, which no other connection ever gets.
    pub bus_name: Option<String>,
    /// What the door lets them do at most; none: it has no rules.
    pub access: Option<Access>,
}

impl Caller {
    /// The daemon itself.
    pub const DAEMON: Self = Self {
        front: Front::Daemon,
        uid: None,
        gid: None,
        pid: None,
        login: None,
        bus_name: None,
        access: None,
    };

    /// Who it is, for audit lines.
    #[must_use]
    pub fn who(&self) -> String {
        let mut who = self.front.name().to_owned();
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
    pub fn source(&self) -> String {
        match self.uid {
            Some(uid) => format!("uid {uid}"),
            None => self.front.name().to_owned(),
        }
    }

    /// The processes that the caller may know of: those for which it has any permission. On D-Bus states are free to
    /// everybody, and with them all names.
    #[must_use]
    pub fn sees(&self) -> Scope {
        match &self.access {
            Some(access) if self.front != Front::Bus => access.any(),
            Some(_) | None => Scope::All,
        }
    }
}

/// Which processes a grant covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// All.
    All,
    /// These processes and groups only. Requests for others are refused; members of `all` or of a group that are not
    /// covered get their own fault.
    Only(Vec<Namespec>),
}

impl Scope {
    /// Whether this process is covered.
    #[must_use]
    pub fn covers(&self, group: &str, process: &str) -> bool {
        self.some(group, |covered| covered.is_none_or(|name| name == process))
    }

    /// Whether the group is covered as a whole.
    #[must_use]
    pub fn covers_group(&self, group: &str) -> bool {
        self.some(group, |covered| covered.is_none())
    }

    /// Whether anything of the group is covered.
    #[must_use]
    pub fn touches(&self, group: &str) -> bool {
        self.some(group, |_| true)
    }

    fn some(&self, group: &str, fits: impl Fn(Option<&str>) -> bool) -> bool {
        match self {
            Self::All => true,
            Self::Only(names) => names
                .iter()
                .any(|name| name.group == group && fits(name.process.as_deref())),
        }
    }
}

/// What a door lets one caller do at most, where it has rules about that: each permission with the processes it is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access(pub Vec<(Permission, Scope)>);

impl Access {
    /// Whether nothing is permitted at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// For which processes the caller has a permission; none: for none.
    #[must_use]
    pub fn scope(&self, permission: Permission) -> Option<Scope> {
        match union(self.0.iter().filter(|(known, _)| *known == permission)) {
            Scope::Only(names) if names.is_empty() => None,
            scope => Some(scope),
        }
    }

    /// For which processes the caller has any permission.
    fn any(&self) -> Scope {
        union(self.0.iter())
    }
}

fn union<'a>(granted: impl Iterator<Item = &'a (Permission, Scope)>) -> Scope {
    let mut names = Vec::new();
    for (_, scope) in granted {
        match scope {
            Scope::All => return Scope::All,
            Scope::Only(more) => names.extend(more.iter().cloned()),
        }
    }
    Scope::Only(names)
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
