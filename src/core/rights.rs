//! What the caller of a request may act on.

use crate::api::{AccessScope, Fault, FaultCode, PERMISSION_DENIED};
use crate::domain::{GroupName, ProcessName};

/// What the caller of one request may act on and may see.
#[derive(Clone, Copy)]
pub(super) struct Rights<'a> {
    /// The processes that the grant covers.
    pub(super) scope: &'a AccessScope,
    /// The processes that the caller may see. All others are reported as if they did not exist.
    pub(super) sees: &'a AccessScope,
}

impl Rights<'_> {
    /// The rights of the daemon itself.
    pub(super) const ALL: Self = Self {
        scope: &AccessScope::All,
        sees: &AccessScope::All,
    };

    /// Checks that the caller may act on a process that it named with `text`.
    ///
    /// # Errors
    /// BAD_NAME if the caller may not see the process, else FAILED.
    pub(super) fn process(self, group: &str, process: &str, text: &str) -> Result<(), Fault> {
        if !self.sees.covers(group, process) {
            return Err(FaultCode::BadName.of(text));
        }
        permitted(self.scope.covers(group, process), text)
    }

    /// Returns whether the caller may see a program of a group. `members` are the processes of the program.
    pub(super) fn know_of(self, group: &GroupName, members: &[ProcessName]) -> bool {
        let mut members = members.iter();
        self.sees.covers_group(group.as_str())
            || members.any(|name| self.sees.covers(group.as_str(), name.as_str()))
    }

    /// Checks that the caller may act on some process of a group.
    ///
    /// # Errors
    /// As [`Rights::process`].
    pub(super) fn some_of_group(self, group: &str) -> Result<(), Fault> {
        if !self.sees.touches(group) {
            return Err(FaultCode::BadName.of(group));
        }
        permitted(self.scope.touches(group), group)
    }

    /// Checks that the caller may act on a group as a whole.
    ///
    /// # Errors
    /// As [`Rights::process`].
    pub(super) fn group(self, group: &str) -> Result<(), Fault> {
        if !self.sees.touches(group) {
            return Err(FaultCode::BadName.of(group));
        }
        permitted(self.scope.covers_group(group), group)
    }
}

/// Returns the fault if the grant does not cover `what`.
fn permitted(covered: bool, what: &str) -> Result<(), Fault> {
    if covered {
        Ok(())
    } else {
        Err(not_permitted(what))
    }
}

/// The fault for a request that the grant does not cover.
pub(super) fn not_permitted(what: &str) -> Fault {
    FaultCode::Failed.of(format!("{PERMISSION_DENIED}{what}"))
}

/// Checks that the grant covers everything. Requests about the daemon itself need this.
pub(super) fn whole(scope: &AccessScope) -> Result<(), Fault> {
    match scope {
        AccessScope::All => Ok(()),
        AccessScope::Only(_) => Err(not_permitted("this request affects all processes")),
    }
}
