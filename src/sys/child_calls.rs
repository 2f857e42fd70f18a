//! Raw system calls of a cloned child. The rules of `child.rs` apply: no allocation, no lock, no panic.
#![expect(
    unsafe_code,
    reason = "raw system calls in a child that shares our memory"
)]

use std::ffi::{c_int, c_long};

use crate::domain::Errno;

/// Makes a system call and discards its result. The error is an errno.
///
/// # Safety
/// As for [`ask`].
pub(super) unsafe fn call(number: c_long, args: [usize; 4]) -> Result<(), Errno> {
    let [a, b, c, d] = args;
    // SAFETY: the caller upholds the contract of `ask`, which is this function's own.
    unsafe { ask(number, [a, b, c, d, 0]) }.map(drop)
}

/// Makes a system call and returns its result. The error is an errno.
///
/// # Safety
/// The requirements of the system call. It overwrites `errno` of the parent's thread, whose thread-local memory the
/// child shares. That is harmless, because the parent waits in its own clone call.
pub(super) unsafe fn ask(number: c_long, args: [usize; 5]) -> Result<usize, Errno> {
    let [a, b, c, d, e] = args;
    // SAFETY: the caller upholds the contract of the system call; the kernel ignores surplus arguments.
    let result = unsafe { libc::syscall(number, a, b, c, d, e) };
    if result == -1 {
        // SAFETY: always a valid pointer.
        Err(Errno(unsafe { *libc::__errno_location() }))
    } else {
        // No system call used here returns another negative number.
        Ok(usize::try_from(result).unwrap_or(usize::MAX))
    }
}

/// Converts a descriptor to a system call argument.
pub(super) fn fd(number: c_int) -> usize {
    number as usize
}
