//! The descriptor table of a cloned child. The rules of `child.rs` apply: no allocation, no lock, no panic.
#![expect(
    unsafe_code,
    reason = "raw system calls in a child that shares our memory"
)]

use std::ffi::{c_int, c_uint};

use super::child_calls::{call, fd};
use super::spawn::FdTableMode;
use crate::domain::Errno;

/// Closes all descriptors from `first` on. With the unshare flag, they stay open in the parent's table.
fn close_from(first: c_uint, flags: c_uint) -> Result<(), Errno> {
    close_between(first, c_uint::MAX, flags)
}

/// Closes the descriptors from `first` to `last`, inclusive.
fn close_between(first: c_uint, last: c_uint, flags: c_uint) -> Result<(), Errno> {
    // SAFETY: the closed descriptors are the child's own: its table is a copy, or becomes one by this call.
    unsafe {
        call(
            libc::SYS_close_range,
            [first as usize, last as usize, flags as usize, 0],
        )
    }
}

/// Closes all descriptors except 0, 1, 2 and `kept`.
pub(super) fn close_all_except(kept: Option<c_int>) -> Result<(), Errno> {
    match kept {
        None => close_from(3, 0),
        Some(kept) => {
            let kept = kept.unsigned_abs();
            if kept > 3 {
                close_between(3, kept - 1, 0)?;
            }
            close_from(kept + 1, 0)
        }
    }
}

/// Duplicates `source` to `number` without close-on-exec. The descriptor that had this number is no longer needed.
pub(super) fn dup_inheritable(source: c_int, number: c_int) -> Result<(), Errno> {
    let (call_number, args) = if source == number {
        // dup3 refuses equal numbers. Only close-on-exec has to be cleared.
        (libc::SYS_fcntl, [fd(source), libc::F_SETFD as usize, 0, 0])
    } else {
        (libc::SYS_dup3, [fd(source), fd(number), 0, 0])
    };
    // SAFETY: no memory involved; the table is the child's own by now.
    unsafe { call(call_number, args) }
}

/// Gives the child a descriptor table of its own, with all descriptors from `first` on closed.
pub(super) fn unshare_fds(table: FdTableMode, first: c_uint) -> Result<(), Errno> {
    match table {
        FdTableMode::Shared => close_from(first, libc::CLOSE_RANGE_UNSHARE),
        FdTableMode::Copied => close_from(first, 0),
        FdTableMode::Inherited => Ok(()),
    }
}

/// Duplicates the staging descriptors to 0, 1 and 2.
pub(super) fn set_up_stdio(staging: [c_int; 3]) -> Result<(), Errno> {
    for (number, &source) in staging.iter().enumerate() {
        // SAFETY: the table is the child's own by now. The staging numbers are above 2, so none is overwritten before
        // its turn.
        unsafe { call(libc::SYS_dup3, [fd(source), number, 0, 0]) }?;
    }
    Ok(())
}
