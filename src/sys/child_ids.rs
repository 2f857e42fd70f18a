//! Sets the user and the groups of a cloned child. The rules of `child.rs` apply: no allocation, no lock, no panic, and
//! no libc wrapper that synchronises threads.
#![expect(
    unsafe_code,
    reason = "raw system calls in a child that shares our memory"
)]

use std::ffi::c_long;

use super::child_calls::call;
use super::child_message::{ChildMessage, missing_right};
use super::plan::ChildIds;
use crate::domain::Errno;

#[cfg(not(any(target_arch = "x86", target_arch = "arm")))]
mod numbers {
    pub(super) use libc::{
        SYS_getresgid, SYS_getresuid, SYS_setgroups, SYS_setresgid, SYS_setresuid,
    };
}
/// On these architectures the calls without the suffix 32 take 16-bit ids.
#[cfg(any(target_arch = "x86", target_arch = "arm"))]
mod numbers {
    pub(super) use libc::{
        SYS_getresgid32 as SYS_getresgid, SYS_getresuid32 as SYS_getresuid,
        SYS_setgroups32 as SYS_setgroups, SYS_setresgid32 as SYS_setresgid,
        SYS_setresuid32 as SYS_setresuid,
    };
}

/// Why the groups or ids of a user cannot be set: the end of the message "couldn't setuid to UID: ".
type Reason<'a> = &'a [u8];

const CANNOT_SET_GROUPS: Reason<'static> = b"Could not set groups of effective user";
const CANNOT_SET_GID: Reason<'static> = b"Could not set group id of effective user";
const CANNOT_SET_UID: Reason<'static> = b"Could not set user id of effective user";

/// Sets the groups and ids of the plan, and verifies that no others remain.
///
/// Raw calls change only the calling task. The parent has made the shared memory undumpable, so no process of the
/// user can trace this child while it can still read the daemon's secrets.
pub(super) fn set_ids<'a>(ids: &'a ChildIds, uid: &'a [u8]) -> Result<(), ChildMessage<'a>> {
    let refused = |reason: Reason<'a>| [&b"setuid to "[..], uid, b": ", reason, b""];
    match ids {
        ChildIds::Keep => Ok(()),
        ChildIds::Refused { reason, .. } => Err(refused(reason.as_bytes())),
        ChildIds::Groups { gid, groups } => take_groups_if_allowed(*gid, groups).map_err(refused),
        ChildIds::Joined { gid, groups, text } => {
            join_groups(*gid, groups.as_deref()).map_err(|errno| {
                [
                    &b"set "[..],
                    text.as_bytes(),
                    b": ",
                    errno.name().as_bytes(),
                    missing_right(errno, ", needs CAP_SETGID"),
                ]
            })
        }
        ChildIds::Become { uid, gid, groups } => become_user(*uid, *gid, groups).map_err(refused),
    }
}

/// Takes the groups of a user, or keeps the daemon's groups if the kernel refuses.
fn take_groups_if_allowed(gid: u32, groups: &[u32]) -> Result<(), Reason<'static>> {
    match set_groups(groups) {
        Ok(()) => {}
        // CAP_SETGID is missing, or the user namespace does not map one of the groups.
        Err(Errno(libc::EPERM | libc::EINVAL)) => return Ok(()),
        Err(_) => return Err(CANNOT_SET_GROUPS),
    }
    let _ = set_three(numbers::SYS_setresgid, gid);
    if are_three(numbers::SYS_getresgid, gid) {
        Ok(())
    } else {
        Err(CANNOT_SET_GID)
    }
}

/// Joins the groups that the configuration names.
fn join_groups(gid: Option<u32>, groups: Option<&[u32]>) -> Result<(), Errno> {
    if let Some(groups) = groups {
        set_groups(groups)?;
    }
    if let Some(gid) = gid {
        set_three(numbers::SYS_setresgid, gid)?;
        if !are_three(numbers::SYS_getresgid, gid) {
            return Err(Errno(libc::EINVAL));
        }
    }
    Ok(())
}

/// Becomes another user. The user changes last, because the new one may not change the groups.
fn become_user(uid: u32, gid: u32, groups: &[u32]) -> Result<(), Reason<'static>> {
    set_groups(groups).map_err(|_| CANNOT_SET_GROUPS)?;
    set_three(numbers::SYS_setresgid, gid).map_err(|_| CANNOT_SET_GID)?;
    set_three(numbers::SYS_setresuid, uid).map_err(|_| CANNOT_SET_UID)?;
    if !are_three(numbers::SYS_getresgid, gid) {
        Err(CANNOT_SET_GID)
    } else if !are_three(numbers::SYS_getresuid, uid) {
        Err(CANNOT_SET_UID)
    } else {
        Ok(())
    }
}

/// Sets the supplementary groups.
fn set_groups(groups: &[u32]) -> Result<(), Errno> {
    // SAFETY: a live array of the stated length.
    unsafe {
        call(
            numbers::SYS_setgroups,
            [groups.len(), groups.as_ptr() as usize, 0, 0],
        )
    }
}

/// Sets the real, the effective and the saved id to `id`, with one of the calls `setres*id`.
fn set_three(number: c_long, id: u32) -> Result<(), Errno> {
    // SAFETY: no memory involved.
    unsafe { call(number, [id as usize, id as usize, id as usize, 0]) }
}

/// Returns whether the real, the effective and the saved id are `id`, with one of the calls `getres*id`.
fn are_three(number: c_long, id: u32) -> bool {
    let mut found = [0u32; 3];
    let [real, effective, saved] = &mut found;
    // SAFETY: three live, writable integers.
    let result = unsafe {
        call(
            number,
            [
                std::ptr::from_mut(real) as usize,
                std::ptr::from_mut(effective) as usize,
                std::ptr::from_mut(saved) as usize,
                0,
            ],
        )
    };
    // All ones would have meant "leave unchanged".
    result.is_ok() && found == [id; 3] && id != u32::MAX
}
