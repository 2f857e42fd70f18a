//! Sets the user and the groups of a cloned child. The rules of `child.rs` apply: no allocation, no lock, no panic, and
//! no libc wrapper that synchronises threads.
#![expect(
    unsafe_code,
    reason = "raw system calls in a child that shares our memory"
)]

use std::ffi::c_long;

use super::child_bounds::missing_right;
use super::child_calls::call;
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

/// Sets the groups and ids of the plan, and verifies that no others remain. The error is the parts of a message.
///
/// Raw calls change only the calling task. The parent has made the shared memory undumpable, so no process of the
/// user can trace this child while it can still read the daemon's secrets.
pub(super) fn set_ids<'a>(ids: &'a ChildIds, uid: &'a [u8]) -> Result<(), [&'a [u8]; 5]> {
    let refused = |reason: &'a [u8]| [&b"setuid to "[..], uid, b": ", reason, b""];
    const GROUPS: &[u8] = b"Could not set groups of effective user";
    const GROUP: &[u8] = b"Could not set group id of effective user";
    const USER: &[u8] = b"Could not set user id of effective user";
    let set_groups = |groups: &[u32]| {
        // SAFETY: a live array of the stated length.
        unsafe {
            call(
                numbers::SYS_setgroups,
                [groups.len(), groups.as_ptr() as usize, 0, 0],
            )
        }
    };
    let set_three = |number: c_long, id: u32| {
        // SAFETY: no memory involved.
        unsafe { call(number, [id as usize, id as usize, id as usize, 0]) }
    };
    let are_three = |number: c_long, id: u32| {
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
    };
    match ids {
        ChildIds::Keep => Ok(()),
        ChildIds::Refused { reason, .. } => Err(refused(reason.as_bytes())),
        ChildIds::Groups { gid, groups } => {
            match set_groups(groups) {
                Ok(()) => {}
                // CAP_SETGID is missing, or the user namespace does not map one of the groups.
                Err(Errno(libc::EPERM | libc::EINVAL)) => return Ok(()),
                Err(_) => return Err(refused(GROUPS)),
            }
            let _ = set_three(numbers::SYS_setresgid, *gid);
            if are_three(numbers::SYS_getresgid, *gid) {
                Ok(())
            } else {
                Err(refused(GROUP))
            }
        }
        ChildIds::Joined { gid, groups, text } => {
            const RIGHT: &str = ", needs CAP_SETGID";
            let joined = |errno: Errno| {
                [
                    &b"set "[..],
                    text.as_bytes(),
                    b": ",
                    errno.name().as_bytes(),
                    missing_right(errno, RIGHT),
                ]
            };
            if let Some(groups) = groups {
                set_groups(groups).map_err(joined)?;
            }
            if let Some(gid) = *gid {
                set_three(numbers::SYS_setresgid, gid).map_err(joined)?;
                if !are_three(numbers::SYS_getresgid, gid) {
                    return Err(joined(Errno(libc::EINVAL)));
                }
            }
            Ok(())
        }
        ChildIds::Become { uid, gid, groups } => {
            set_groups(groups).map_err(|_| refused(GROUPS))?;
            set_three(numbers::SYS_setresgid, *gid).map_err(|_| refused(GROUP))?;
            set_three(numbers::SYS_setresuid, *uid).map_err(|_| refused(USER))?;
            if !are_three(numbers::SYS_getresgid, *gid) {
                Err(refused(GROUP))
            } else if !are_three(numbers::SYS_getresuid, *uid) {
                Err(refused(USER))
            } else {
                Ok(())
            }
        }
    }
}
