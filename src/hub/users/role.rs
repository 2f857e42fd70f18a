//! What a user may do.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The role of a user. A greater one may do all that a lesser one may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Sees everything within its limits and changes nothing. Cesi's user type 2.
    Viewer,
    /// Controls processes. Cesi's normal user, type 1.
    Operator,
    /// Manages users too. Cesi's user type 0.
    Admin,
}

impl Role {
    /// Every role, the least first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// Returns the word for it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// The role with this word. `None`: there is none.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.word() == word)
    }

    /// Cesi's number of this role.
    #[must_use]
    pub const fn user_type(self) -> u8 {
        match self {
            Self::Admin => 0,
            Self::Operator => 1,
            Self::Viewer => 2,
        }
    }

    /// The role with Cesi's number. `None`: there is none.
    #[must_use]
    pub fn of_user_type(number: u64) -> Option<Self> {
        let has_number = |role: &Self| u64::from(role.user_type()) == number;
        Self::ALL.into_iter().find(has_number)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}
