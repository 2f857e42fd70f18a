//! What the system's user and group data base knows of a uid. May block for long: name services live elsewhere.

use std::ffi::CString;
use std::io;

use nix::unistd::{Gid, Uid, User, getgrouplist, getgroups};

/// A user and its groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// The number.
    pub uid: u32,
    /// Primary group.
    pub gid: u32,
    /// All groups, the primary one first, none twice.
    pub groups: Vec<u32>,
}

/// Looks a uid up; none if nobody has it. With `group`, that is its primary group, and the one that the data base has for
/// it is no group of it unless the user is listed there.
///
/// # Errors
/// The data base could not be asked.
///
/// # Source
/// getpwuid(3), getgrouplist(3).
pub fn account(uid: u32, group: Option<u32>) -> io::Result<Option<Account>> {
    let Some(user) = User::from_uid(Uid::from_raw(uid))? else {
        return Ok(None);
    };
    let name = CString::new(user.name)?;
    let gid = group.unwrap_or(user.gid.as_raw());
    let mut groups = vec![gid];
    for group in getgrouplist(&name, Gid::from_raw(gid))?
        .into_iter()
        .map(Gid::as_raw)
    {
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    Ok(Some(Account { uid, gid, groups }))
}

/// The groups that the daemon has besides its primary one (which may be among them).
///
/// # Errors
/// None that a correct caller can cause.
pub fn own_groups() -> io::Result<Vec<u32>> {
    Ok(getgroups()?.into_iter().map(Gid::as_raw).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_known_and_the_last_uid_is_not() {
        let root = account(0, None).expect("asked").expect("found");
        assert_eq!((root.uid, root.gid, root.groups[0]), (0, 0, 0));
        let root = account(0, Some(7)).expect("asked").expect("found");
        assert_eq!((root.uid, root.gid, root.groups[0]), (0, 7, 7));
        assert_eq!(account(u32::MAX - 1, None).expect("asked"), None);
    }
}
