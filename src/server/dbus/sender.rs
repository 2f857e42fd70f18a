//! The kinds of buses, and the sender of a message as the bus knows it.

use crate::api::{Access, Caller, Transport};
use crate::sys;

/// The kind of bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum BusKind {
    /// The machine's bus. polkit authorises the calls.
    System,
    /// A user's bus. That user may do everything, others nothing.
    Session,
}

impl BusKind {
    /// The name in log lines.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Session => "session",
        }
    }
}

/// The sender of a message, as the bus knows it. The bus never gives its name to another connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BusSender {
    pub(super) name: String,
    pub(super) uid: u32,
    pub(super) pid: Option<i32>,
}

impl BusSender {
    #[cfg(test)]
    pub(super) fn of_user(name: &str, uid: u32) -> Self {
        Self {
            name: name.to_owned(),
            uid,
            pid: None,
        }
    }

    /// Whether the sender is root or the daemon's own user, who could do everything without us.
    pub(super) fn is_trusted(&self) -> bool {
        self.uid == 0 || self.uid == sys::effective_uid()
    }

    /// The sender as a caller of the Control API. `access`: what was granted; `None`: everything.
    pub(super) fn caller(&self, access: Option<Access>) -> Caller {
        Caller {
            transport: Transport::Bus,
            uid: Some(self.uid),
            gid: None,
            pid: self.pid,
            login: None,
            token: None,
            forwarded_user: None,
            bus_name: Some(self.name.clone()),
            access,
        }
    }
}
