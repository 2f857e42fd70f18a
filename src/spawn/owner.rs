//! The owner of a job, which decides what jobs wait behind a start that is held up.

use std::sync::Arc;

use crate::config::spec::{GroupSpec, ProcessSpec};
use crate::domain::{GroupName, ProcessName};
use crate::sys;

/// Maximum number of held-up starts for other users. One user can hold up one, so that many users would have to
/// cooperate.
pub(super) const FOREIGN_MAX: usize = 8;
/// Maximum number of held-up starts for the daemon's own user.
pub(super) const OWN_MAX: usize = 8;

/// The owner of a job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct JobOwner {
    /// The user that the process runs as. `None`: the daemon's user.
    uid: Option<u32>,
    group: GroupName,
    pub(super) name: ProcessName,
}

impl JobOwner {
    pub(super) fn of(spec: &ProcessSpec) -> Self {
        let uid = spec.user.as_ref().map(|user| user.uid);
        Self {
            uid: uid.filter(|&uid| uid != sys::effective_uid()),
            group: spec.group.clone(),
            name: spec.name.clone(),
        }
    }

    /// The owner of jobs for a whole group: that of its first process.
    pub(super) fn of_group(group: &Arc<GroupSpec>) -> Option<Self> {
        group.processes.first().map(|process| Self::of(process))
    }

    /// Whether the process runs as the daemon's user.
    pub(super) const fn is_own(&self) -> bool {
        self.uid.is_none()
    }

    /// Whether a job of this owner waits while one of `other` is held up. A user waits for its own jobs, so it can hold
    /// up only one spawner thread. Processes of the daemon's own user do not wait for each other: a dead mount under
    /// one of them is no attack on the others.
    pub(super) fn waits_behind(&self, other: &Self) -> bool {
        match (self.uid, other.uid) {
            (Some(uid), Some(other)) => uid == other,
            (None, None) => self.group == other.group && self.name == other.name,
            (Some(_), None) | (None, Some(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::program;

    fn owner(uid: Option<u32>, name: &str) -> JobOwner {
        JobOwner {
            uid,
            ..JobOwner::of(&program("team", name))
        }
    }

    #[test]
    fn spawns_of_a_user_wait_for_its_own_and_those_of_the_daemon_per_process() {
        let (a, b) = (owner(Some(1), "a"), owner(Some(1), "b"));
        assert!(a.waits_behind(&b) && b.waits_behind(&a));
        assert!(!a.waits_behind(&owner(Some(2), "a")));
        let (own, other) = (owner(None, "a"), owner(None, "b"));
        assert!(own.is_own() && own.waits_behind(&own));
        assert!(!own.waits_behind(&other) && !own.waits_behind(&a) && !a.waits_behind(&own));
    }
}
