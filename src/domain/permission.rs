//! The permissions of callers.

use serde::{Deserialize, Serialize};

/// The permission that a method needs.
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
    /// Reread the configuration, and add and remove its groups.
    Update,
    /// Add or change programs at run time that the configuration does not contain. File mode alone never grants it.
    Configure,
    /// Shut down or restart the daemon.
    Shutdown,
    /// Name the user for whom a request is made, in audit lines only.
    ForwardUser,
}

impl Permission {
    /// All permissions with their names in `allow=` rules and refusals.
    pub const ALL: [(Self, &'static str); 8] = [
        (Self::Status, "status"),
        (Self::ReadLogs, "logs"),
        (Self::Control, "control"),
        (Self::Signal, "signal"),
        (Self::Update, "update"),
        (Self::Configure, "configure"),
        (Self::Shutdown, "shutdown"),
        (Self::ForwardUser, "forward-user"),
    ];

    /// Returns the permission with this name.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|(_, known)| *known == word)
            .map(|(found, _)| found)
    }

    /// Returns the name of the permission.
    #[must_use]
    pub fn word(self) -> &'static str {
        let mut all = Self::ALL.into_iter();
        all.find(|(known, _)| *known == self)
            .map_or("", |(_, word)| word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permission_keywords_read_back() {
        for (permission, word) in Permission::ALL {
            assert_eq!(Permission::from_word(word), Some(permission));
            assert_eq!(permission.word(), word);
        }
        assert_eq!(Permission::from_word("all"), None);
    }
}
