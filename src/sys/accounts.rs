//! What the system's user and group data base knows of a uid. May block for long: name services live elsewhere.

use std::ffi::CString;
use std::io;

use nix::unistd::{Gid, Uid, User, getgrouplist};

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

/// Looks a uid up; none if nobody has it.
///
/// # Errors
/// The data base could not be asked.
///
/// # Source
/// getpwuid(3), getgrouplist(3).
pub fn account(uid: u32) -> io::Result<Option<Account>> {
    let Some(user) = User::from_uid(Uid::from_raw(uid))? else {
        return Ok(None);
    };
    let name = CString::new(user.name)?;
    let gid = user.gid.as_raw();
    let mut groups = vec![gid];
    for group in getgrouplist(&name, user.gid)?.into_iter().map(Gid::as_raw) {
        if !groups.contains(&group) {
            groups.push(group);
        }
    }
    Ok(Some(Account { uid, gid, groups }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_is_known_and_the_last_uid_is_not() {
        let root = account(0).expect("asked").expect("found");
        assert_eq!((root.uid, root.gid, root.groups[0]), (0, 0, 0));
        assert_eq!(account(u32::MAX - 1).expect("asked"), None);
    }
}
