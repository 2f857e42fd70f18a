//! Callers and what they may act on. Servers derive both from the transport, never from the request.

use serde::{Deserialize, Serialize};

use crate::domain::{Namespec, python_repr};

pub use crate::domain::Permission;

/// Identifies a request that waits for its answer. Never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Ticket(pub u64);

/// The transport of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Transport {
    /// XML-RPC or HTTP over a unix socket.
    Unix,
    /// XML-RPC or HTTP over TCP.
    Inet,
    /// D-Bus.
    Bus,
    /// The daemon itself, because of a signal.
    Daemon,
}

impl Transport {
    /// Returns the name in audit lines.
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

/// The sender of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Caller {
    /// The transport.
    pub transport: Transport,
    /// The UID of the peer, if the transport reports it.
    pub uid: Option<u32>,
    /// The GID of the peer, if the transport reports it.
    pub gid: Option<u32>,
    /// The PID of the peer, only for the audit line. PIDs are reused, so no decision depends on it.
    pub pid: Option<i32>,
    /// The user name of basic authentication.
    pub login: Option<String>,
    /// The name of the token with which the request was authenticated.
    #[serde(default)]
    pub token: Option<String>,
    /// For whom a caller with the permission `forward-user` makes the request, as it says: for audit lines alone.
    #[serde(default)]
    pub forwarded_user: Option<String>,
    /// The unique connection name on D-Bus, which is never reused.
    pub bus_name: Option<String>,
    /// The maximum that the rules of the server permit. `None`: the server has no rules.
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
        token: None,
        forwarded_user: None,
        bus_name: None,
        access: None,
    };

    /// Returns the caller's identity for audit lines.
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
        if let Some(token) = &self.token {
            who.push_str(&format!(" token={}", python_repr(token)));
        }
        if let Some(user) = &self.forwarded_user {
            who.push_str(&format!(" for={}", python_repr(user)));
        }
        if let Some(name) = &self.bus_name {
            who.push_str(&format!(" name={name}"));
        }
        who
    }
}

impl Caller {
    /// Returns the key for limits on the number of log lines: the UID if the transport reports it, else the transport.
    #[must_use]
    pub fn rate_limit_key(&self) -> String {
        match self.uid {
            Some(uid) => format!("uid {uid}"),
            None => self.transport.name().to_owned(),
        }
    }

    /// Returns the processes that the caller may see: those for which it has any permission. On D-Bus every user may
    /// see all states, and so all names.
    #[must_use]
    pub fn visible_scope(&self) -> AccessScope {
        match &self.access {
            Some(access) if self.transport != Transport::Bus => access.any_scope(),
            Some(_) | None => AccessScope::All,
        }
    }
}

/// The processes that a grant covers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AccessScope {
    /// All processes.
    All,
    /// Only these processes and groups. Requests for others are refused. Members of a group or of `all` that are not
    /// covered get their own fault.
    Only(Vec<Namespec>),
}

impl AccessScope {
    /// Returns whether this process is covered.
    #[must_use]
    pub fn covers(&self, group: &str, process: &str) -> bool {
        self.covers_some(group, |covered| covered.is_none_or(|name| name == process))
    }

    /// Returns whether the group is covered as a whole.
    #[must_use]
    pub fn covers_group(&self, group: &str) -> bool {
        self.covers_some(group, |covered| covered.is_none())
    }

    /// Returns whether anything of the group is covered.
    #[must_use]
    pub fn touches(&self, group: &str) -> bool {
        self.covers_some(group, |_| true)
    }

    /// Returns the processes that both cover.
    fn intersection(&self, other: &Self) -> Self {
        let (names, others) = match (self, other) {
            (Self::All, scope) | (scope, Self::All) => return scope.clone(),
            (Self::Only(names), Self::Only(others)) => (names, others),
        };
        let pairs = names
            .iter()
            .flat_map(|name| others.iter().map(move |other| (name, other)));
        let common = pairs.filter_map(|(name, other)| match (&name.process, &other.process) {
            _ if name.group != other.group => None,
            (None, _) => Some(other.clone()),
            (_, None) => Some(name.clone()),
            (Some(process), Some(same)) => (process == same).then(|| name.clone()),
        });
        Self::Only(common.collect())
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

/// The maximum that the rules of a server permit one caller: permissions with the processes they cover.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Access(pub Vec<(Permission, AccessScope)>);

impl Access {
    /// Returns whether nothing is permitted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the processes for which the caller has a permission. `None`: none.
    #[must_use]
    pub fn scope(&self, permission: Permission) -> Option<AccessScope> {
        match union(self.0.iter().filter(|(known, _)| *known == permission)) {
            AccessScope::Only(names) if names.is_empty() => None,
            scope => Some(scope),
        }
    }

    /// Returns what both permit.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let both = Permission::ALL.iter().filter_map(|(permission, _)| {
            let scope = self
                .scope(*permission)?
                .intersection(&other.scope(*permission)?);
            let is_empty = matches!(&scope, AccessScope::Only(names) if names.is_empty());
            (!is_empty).then_some((*permission, scope))
        });
        Self(both.collect())
    }

    /// Returns the processes for which the caller has any permission.
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

/// What a caller was granted for one request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Grant {
    /// The granted permission.
    pub permission: Permission,
    /// The processes it covers.
    pub scope: AccessScope,
}

impl Grant {
    /// Returns a grant of `permission` for all processes.
    #[must_use]
    pub const fn all(permission: Permission) -> Self {
        Self {
            permission,
            scope: AccessScope::All,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_intersection_permits_what_both_permit() {
        use Permission::{Control, ReadLogs, Shutdown, Status};
        let only = |names: &[&str]| {
            AccessScope::Only(names.iter().map(|name| Namespec::parse(name)).collect())
        };
        let socket = Access(vec![
            (Status, AccessScope::All),
            (Control, only(&["web:*", "g:a", "g:b", "x"])),
            (ReadLogs, only(&["web:*"])),
        ]);
        let token = Access(vec![
            (Status, only(&["web:*"])),
            (Control, only(&["web:1", "g:*", "y"])),
            (ReadLogs, only(&["x"])),
            (Shutdown, AccessScope::All),
        ]);
        let expected = [
            (Status, only(&["web:*"])),
            (Control, only(&["web:1", "g:a", "g:b"])),
        ];
        for both in [socket.intersection(&token), token.intersection(&socket)] {
            assert_eq!(both.0, expected);
        }
        assert!(socket.intersection(&Access(Vec::new())).is_empty());
    }
}
