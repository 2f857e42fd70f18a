//! Looks up users and groups. May block for long, because name services may be remote.

use std::ffi::CString;
use std::io;
use std::path::PathBuf;

use nix::unistd::{Gid, Uid, User, getgrouplist, getgroups};

/// A user and the user's groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// UID.
    pub uid: u32,
    /// Primary GID.
    pub gid: u32,
    /// All GIDs, the primary one first, without duplicates.
    pub groups: Vec<u32>,
}

/// Looks up a UID. `group` replaces the user's primary group; the original primary group is then included only if the
/// user is listed as its member. `None`: the UID is unknown.
///
/// # Errors
/// The user database cannot be read.
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

/// A user of the user database, as its programs know it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Login {
    /// The name.
    pub name: String,
    /// The home directory.
    pub home: PathBuf,
}

/// Looks up a UID. `None`: it is unknown.
///
/// # Errors
/// The user database cannot be read.
///
/// # Source
/// getpwuid(3).
pub fn login_of(uid: u32) -> io::Result<Option<Login>> {
    let found = User::from_uid(Uid::from_raw(uid))?;
    Ok(found.map(|user| Login {
        name: user.name,
        home: user.dir,
    }))
}

/// The daemon's supplementary groups, which may include its primary group.
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
    fn root_has_an_entry_and_the_last_uid_has_none() {
        let root = account(0, None).expect("asked").expect("found");
        assert_eq!((root.uid, root.gid, root.groups[0]), (0, 0, 0));
        let root = account(0, Some(7)).expect("asked").expect("found");
        assert_eq!((root.uid, root.gid, root.groups[0]), (0, 7, 7));
        assert_eq!(account(u32::MAX - 1, None).expect("asked"), None);
    }
}
