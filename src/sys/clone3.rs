//! clone3 into a cgroup and without signal handlers, which the C library's clone does not support. Starting the child
//! on a stack of its own needs a few machine instructions. On architectures without them here, children do both steps
//! themselves.
#![expect(
    unsafe_code,
    reason = "clone3 begins the child where the call was made, on another stack: no function can return there"
)]

use std::ffi::{c_int, c_void};
use std::io;
use std::os::fd::RawFd;

/// The function that the child runs, and its argument. The function never returns.
pub(super) type CloneEntry = (extern "C" fn(*mut c_void) -> c_int, *mut c_void);

#[cfg(target_arch = "x86_64")]
pub(super) use here::clone_without_handlers;

/// Whether [`clone_without_handlers`] is implemented for this architecture.
pub(super) const IS_HERE: bool = cfg!(target_arch = "x86_64");

#[cfg(target_arch = "x86_64")]
mod here {
    use super::{CloneEntry, RawFd, c_int, c_void, io};

    /// The exit signal in clone's flags. clone3 has a field of its own for it.
    const SIGNAL_BITS: c_int = 0xff;

    /// CLONE_CLEAR_SIGHAND, since Linux 5.5: handled signals get their default disposition in the child, ignored ones
    /// stay ignored. It needs 64-bit flags, like CLONE_INTO_CGROUP.
    const CLEAR_SIGHAND: u64 = 0x1_0000_0000;
    /// CLONE_INTO_CGROUP, since Linux 5.7.
    const INTO_CGROUP: u64 = 0x2_0000_0000;

    /// Clones a child without our signal handlers, in `cgroup` if given. The child runs `entry` on `stack` (its
    /// lowest address and its size in bytes). Stores the child's pidfd and returns its PID.
    ///
    /// # Errors
    /// Those of clone3(2); ENOSYS: the kernel does not have it.
    ///
    /// # Safety
    /// As for clone(2) with `flags`, which must contain CLONE_VM and CLONE_VFORK. Nothing else may use the stack
    /// until the child has called exec or ended. The entry must accept its argument and not return.
    pub(in super::super) unsafe fn clone_without_handlers(
        cgroup: Option<RawFd>,
        stack: (*mut c_void, usize),
        flags: c_int,
        entry: CloneEntry,
        pidfd: *mut RawFd,
    ) -> io::Result<i32> {
        let number = |address: *mut c_void| address.expose_provenance() as u64;
        // SAFETY: all fields are integers.
        let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
        args.flags = u64::from((flags & !SIGNAL_BITS).unsigned_abs()) | CLEAR_SIGHAND;
        args.exit_signal = u64::from((flags & SIGNAL_BITS).unsigned_abs());
        args.pidfd = number(pidfd.cast());
        args.stack = number(stack.0);
        args.stack_size = stack.1 as u64;
        if let Some(cgroup) = cgroup {
            args.flags |= INTO_CGROUP;
            args.cgroup = u64::from(cgroup.unsigned_abs());
        }
        let result: libc::c_long;
        // SAFETY: the call reads `args` and writes the pidfd, both live. In the parent only the registers named here
        // change. In the child, which has 0 in rax, all registers are the parent's except the stack pointer. That
        // points to the end of a fresh stack, aligned to 16 as a call demands, and from there nothing of the parent's
        // frame is touched except what the argument points to. The entry does not return; if it did, the process
        // would end there.
        unsafe {
            std::arch::asm!(
                "syscall",
                "test rax, rax",
                "jnz 2f",
                "xor ebp, ebp",
                "mov rdi, r13",
                "call r12",
                "ud2",
                "2:",
                inlateout("rax") libc::SYS_clone3 => result,
                in("rdi") &raw const args,
                in("rsi") size_of::<libc::clone_args>(),
                in("r12") entry.0,
                in("r13") entry.1,
                lateout("rcx") _,
                lateout("r11") _,
            );
        }
        if result < 0 {
            let errno = i32::try_from(-result).unwrap_or(libc::EINVAL);
            return Err(io::Error::from_raw_os_error(errno));
        }
        i32::try_from(result).map_err(io::Error::other)
    }
}

/// A stub for architectures without an implementation.
///
/// # Errors
/// ENOSYS, always.
///
/// # Safety
/// It does nothing.
#[cfg(not(target_arch = "x86_64"))]
pub(super) unsafe fn clone_without_handlers(
    _: Option<RawFd>,
    _: (*mut c_void, usize),
    _: c_int,
    _: CloneEntry,
    _: *mut RawFd,
) -> io::Result<i32> {
    Err(io::Error::from_raw_os_error(libc::ENOSYS))
}
