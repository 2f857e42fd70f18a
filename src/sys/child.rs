//! Runs the cloned child between clone and exec. The child shares the daemon's memory, and for a moment its
//! descriptors. It therefore makes only raw system calls on data that the parent prepared: no allocation, no lock, no
//! panic, no `Drop`, and no libc wrapper that does more than the call (setuid and its kin synchronise threads, which
//! would hang here).
#![expect(
    unsafe_code,
    reason = "raw system calls in a child that shares our memory"
)]

use std::ffi::{c_char, c_int, c_long, c_uint, c_void};

use super::plan::{ChildBounds, ChildIds, ConfiguredValue, RawPlan};
use super::spawn::FdTableMode;
use super::{capabilities, limits};
use crate::domain::{Capabilities, Errno, Limit, Resource};

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

/// Everything that the child reads. It lives in the parent's stack frame, and the parent waits until the child has
/// called exec or ended.
pub(super) struct ChildPlan<'a> {
    pub(super) table: FdTableMode,
    /// The child first closes all descriptors from this number on.
    pub(super) first: c_uint,
    /// The descriptors that become 0, 1 and 2.
    pub(super) staging: [c_int; 3],
    /// A descriptor for readiness, and the number that it gets in the program.
    pub(super) ready: Option<(c_int, c_int)>,
    /// Signals whose disposition may not be the default. Bit 0 is signal 1.
    pub(super) dispositions: u64,
    pub(super) plan: &'a RawPlan,
    pub(super) argv: *const *const c_char,
    pub(super) envp: *const *const c_char,
    /// The user's UID in decimal, for messages.
    pub(super) uid: &'a [u8],
    /// The first element of argv, for messages.
    pub(super) word: &'a [u8],
    /// `cgroup.procs` of the child's cgroup. `None`: the clone puts the child there, or it has no cgroup.
    pub(super) procs: Option<c_int>,
}

/// Exit status of a child that failed before exec.
const NOT_SPAWNED: c_int = 127;
/// The kernel's size of a signal set, in bytes.
const SIGSET_BYTES: usize = 8;
/// The highest signal number.
const SIGNAL_MAX: usize = 64;

/// Makes a system call and discards its result. The error is an errno.
///
/// # Safety
/// As for [`ask`].
unsafe fn call(number: c_long, args: [usize; 4]) -> Result<(), Errno> {
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
fn fd(number: c_int) -> usize {
    number as usize
}

/// Ends only this child, without running exit handlers.
fn exit_child(status: c_int) -> ! {
    loop {
        // SAFETY: the child is a thread group of its own, so the daemon's threads live on.
        let _ = unsafe { call(libc::SYS_exit_group, [fd(status), 0, 0, 0]) };
    }
}

/// Writes a message to `to` in one write, and ends the child.
fn fail_child(to: c_int, parts: [&[u8]; 5]) -> ! {
    const LAST: &[u8] = b"\nsupervisor: child process was not spawned\n";
    let part = |bytes: &[u8]| libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast::<c_void>(),
        iov_len: bytes.len(),
    };
    let [a, b, c, d, e] = parts;
    let pieces = [
        part(b"supervisor: couldn't "),
        part(a),
        part(b),
        part(c),
        part(d),
        part(e),
        part(LAST),
    ];
    // If nobody reads the message, SIGPIPE must not replace the exit status.
    set_signal_mask(u64::MAX);
    // SAFETY: the vectors point to live memory that writev only reads.
    let _ = unsafe {
        call(
            libc::SYS_writev,
            [fd(to), pieces.as_ptr() as usize, pieces.len(), 0],
        )
    };
    exit_child(NOT_SPAWNED)
}

/// Sets the signal mask.
fn set_signal_mask(set: u64) {
    // SAFETY: the set is live and as long as stated; no old set is requested. The call cannot fail then.
    let _ = unsafe {
        call(
            libc::SYS_rt_sigprocmask,
            [
                libc::SIG_SETMASK as usize,
                (&raw const set) as usize,
                0,
                SIGSET_BYTES,
            ],
        )
    };
}

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
fn close_all_except(kept: Option<c_int>) -> Result<(), Errno> {
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
fn dup_inheritable(source: c_int, number: c_int) -> Result<(), Errno> {
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
fn unshare_fds(table: FdTableMode, first: c_uint) -> Result<(), Errno> {
    match table {
        FdTableMode::Shared => close_from(first, libc::CLOSE_RANGE_UNSHARE),
        FdTableMode::Copied => close_from(first, 0),
        FdTableMode::Inherited => Ok(()),
    }
}

/// Exits with 0 if this kind of table works here, else with 1. Never returns.
pub(super) extern "C" fn probe(work: *mut c_void) -> c_int {
    // SAFETY: the parent passes a pair that lives until this child has ended.
    let (table, first) = unsafe { *work.cast::<(FdTableMode, c_uint)>() };
    exit_child(c_int::from(unshare_fds(table, first).is_err()))
}

/// Sets up the process as the plan says and executes the program. Never returns.
pub(super) extern "C" fn run(work: *mut c_void) -> c_int {
    // SAFETY: the parent passes a `ChildPlan` that lives until this child has called exec or ended.
    let work = unsafe { &*work.cast::<ChildPlan<'_>>() };
    let plan = work.plan;

    if let Some(procs) = work.procs
        // SAFETY: a live byte, which the kernel only reads; the table may be the daemon's still, and nothing in it changes.
        && let Err(errno) = unsafe { call(libc::SYS_write, [fd(procs), b"0".as_ptr() as usize, 1, 0]) }
    {
        fail_child(
            work.staging[2],
            [b"join its cgroup", b"", b"", b": ", errno.name().as_bytes()],
        );
    }

    // Both make the child the leader of a process group.
    let leads = if plan.has_session {
        libc::SYS_setsid
    } else {
        libc::SYS_setpgid
    };
    // SAFETY: no memory involved. Neither can fail for a process just made.
    let _ = unsafe { call(leads, [0; 4]) };
    if plan.has_keyring {
        join_new_keyring();
    }

    if let Err(errno) = unshare_fds(work.table, work.first) {
        // The table may still be the daemon's, so nothing in it may be changed. Writing changes nothing.
        fail_child(
            work.staging[2],
            [
                b"close descriptors",
                b"",
                b"",
                b": ",
                errno.name().as_bytes(),
            ],
        );
    }
    for (number, &source) in work.staging.iter().enumerate() {
        // SAFETY: the table is the child's own by now. The staging numbers are above 2, so none is overwritten before
        // its turn.
        if let Err(errno) = unsafe { call(libc::SYS_dup3, [fd(source), number, 0, 0]) } {
            fail_child(
                work.staging[2],
                [
                    b"set up descriptors",
                    b"",
                    b"",
                    b": ",
                    errno.name().as_bytes(),
                ],
            );
        }
    }
    if let Some((source, number)) = work.ready
        && let Err(errno) = dup_inheritable(source, number)
    {
        fail_child(
            2,
            [b"set up ready_fd", b"", b"", b": ", errno.name().as_bytes()],
        );
    }
    if work.table != FdTableMode::Inherited
        && let Err(errno) = close_all_except(work.ready.map(|(_, number)| number))
    {
        fail_child(
            2,
            [
                b"close descriptors",
                b"",
                b"",
                b": ",
                errno.name().as_bytes(),
            ],
        );
    }

    for &(resource, limit) in &plan.limits {
        if let Err(errno) = set_limit(resource, limit) {
            fail_child(
                2,
                [
                    b"set ",
                    resource.name().as_bytes(),
                    b"",
                    b": ",
                    errno.name().as_bytes(),
                ],
            );
        }
    }

    // In this order, each step still has the privileges that it needs and does not prevent the next one.
    if let Err(parts) = apply_bounds(&plan.bounds) {
        fail_child(2, parts);
    }
    let has_changed_user = matches!(plan.ids, ChildIds::Become { .. });
    if has_changed_user
        && plan.bounds.ambient.is_some()
        && let Err(errno) = capabilities::keep_permitted()
    {
        fail_child(
            2,
            [
                b"keep capabilities",
                b": ",
                errno.name().as_bytes(),
                b"",
                b"",
            ],
        );
    }
    if let Err(parts) = set_ids(&plan.ids, work.uid) {
        fail_child(2, parts);
    }
    let (bounding, ambient) = (plan.bounds.bounding, plan.bounds.ambient);
    if (bounding.is_some() || ambient.is_some())
        && let Err(refused) =
            capabilities::set_inheritable_and_ambient(bounding, ambient, has_changed_user)
    {
        fail_child(
            2,
            capability_message(b"grant ", b" (ambient_capabilities)", refused),
        );
    }

    if let Some(directory) = &plan.directory {
        // SAFETY: a live NUL-terminated string; the working directory is the child's own (no CLONE_FS).
        if let Err(errno) = unsafe { call(libc::SYS_chdir, [directory.as_ptr() as usize, 0, 0, 0]) }
        {
            fail_child(
                2,
                [
                    b"chdir to ",
                    directory.to_bytes(),
                    b"",
                    b": ",
                    errno.name().as_bytes(),
                ],
            );
        }
    }
    if let Some(umask) = plan.umask {
        // SAFETY: no memory involved; the mask is the child's own (no CLONE_FS).
        let _ = unsafe { call(libc::SYS_umask, [umask as usize, 0, 0, 0]) };
    }

    if plan.bounds.no_new_privileges
        && let Err(errno) = capabilities::no_new_privileges()
    {
        fail_child(
            2,
            [
                b"set no_new_privileges",
                b": ",
                errno.name().as_bytes(),
                b"",
                b"",
            ],
        );
    }

    default_dispositions(work.dispositions);
    set_signal_mask(0);
    // SAFETY: a live string and two live, null-terminated arrays of such.
    let result = unsafe {
        call(
            libc::SYS_execve,
            [
                plan.path.as_ptr() as usize,
                work.argv as usize,
                work.envp as usize,
                0,
            ],
        )
    };
    let errno = result.err().unwrap_or(Errno(libc::EINVAL));
    fail_child(
        2,
        [b"exec ", work.word, b"", b": ", errno.name().as_bytes()],
    )
}

/// Joins an empty session keyring instead of the daemon's, because every process with the daemon's keyring can use
/// its keys.
///
/// This runs while the child still has the daemon's user. A user whose key quota is exhausted (which a program can
/// cause) would otherwise keep the daemon's keyring. A kernel without keys (ENOSYS) has none to protect. Where a
/// filter refuses the call (EPERM, in containers), the daemon cannot have stored keys either.
///
/// # Source
/// keyctl(2), `KEYCTL_JOIN_SESSION_KEYRING`.
fn join_new_keyring() {
    // SAFETY: the name is null, so no memory is involved; a process's credentials are its own.
    let _ = unsafe {
        call(
            libc::SYS_keyctl,
            [libc::KEYCTL_JOIN_SESSION_KEYRING as usize, 0, 0, 0],
        )
    };
}

/// Sets one resource limit of the child.
fn set_limit(resource: Resource, limit: Limit) -> Result<(), Errno> {
    let value = limits::to_rlimit(limit);
    // SAFETY: the value is live; pid 0 is the child itself, whose limits are its own.
    unsafe {
        call(
            libc::SYS_prlimit64,
            [
                0,
                limits::resource_number(resource),
                (&raw const value) as usize,
                0,
            ],
        )
    }
}

/// The suffix of a message that names the missing privilege. Empty if the errno has another cause.
fn missing_right(errno: Errno, right: &'static str) -> &'static [u8] {
    match errno {
        Errno(libc::EPERM | libc::EACCES) => right.as_bytes(),
        _ => b"",
    }
}

/// The parts of a message about one capability.
fn capability_message(
    verb: &'static [u8],
    key: &'static [u8],
    (number, errno): capabilities::CapabilityError,
) -> [&'static [u8]; 5] {
    let name = Capabilities::name_of(number).as_bytes();
    [verb, name, key, b": ", errno.name().as_bytes()]
}

/// Sets everything that does not depend on the user, while the child has the daemon's privileges. The error is the
/// parts of a message.
fn apply_bounds(bounds: &ChildBounds) -> Result<(), [&[u8]; 5]> {
    // Before the limits, because a limit on open files could leave no room for this descriptor.
    if let Some(ConfiguredValue { value, text }) = &bounds.oom_score_adj
        && let Err((errno, right)) = write_oom_score_adj(value.as_bytes())
    {
        let right = missing_right(errno, right);
        return Err([
            b"set ",
            text.as_bytes(),
            b": ",
            errno.name().as_bytes(),
            right,
        ]);
    }
    for ConfiguredValue { value, text } in &bounds.limits {
        let &(resource, limit) = value;
        if let Err(errno) = set_limit(resource, limit) {
            let right = match resource {
                Resource::Files => ", needs CAP_SYS_RESOURCE, and at most fs.nr_open",
                _ => ", needs CAP_SYS_RESOURCE",
            };
            let right = missing_right(errno, right);
            return Err([
                b"set ",
                text.as_bytes(),
                b": ",
                errno.name().as_bytes(),
                right,
            ]);
        }
    }
    if let Some(ConfiguredValue { value, text }) = &bounds.nice {
        // Sign-extended; the kernel reads the low half.
        let value = c_int::from(*value) as usize;
        // SAFETY: no memory involved; id 0 is the child itself.
        let result = unsafe {
            call(
                libc::SYS_setpriority,
                [libc::PRIO_PROCESS as usize, 0, value, 0],
            )
        };
        if let Err(errno) = result {
            let right = missing_right(errno, ", needs CAP_SYS_NICE or a higher limit_nice");
            return Err([
                b"set ",
                text.as_bytes(),
                b": ",
                errno.name().as_bytes(),
                right,
            ]);
        }
    }
    if let Some(allowed) = bounds.bounding {
        capabilities::drop_bounding(allowed)
            .map_err(|refused| capability_message(b"drop ", b" (capabilities)", refused))?;
    }
    Ok(())
}

/// Writes the child's OOM score adjustment. The kernel applies it to this child alone although it shares the daemon's
/// memory, because it makes an exception for CLONE_VFORK children. An error comes with the missing privilege, if that
/// is the cause.
fn write_oom_score_adj(text: &[u8]) -> Result<(), (Errno, &'static str)> {
    const FILE: &[u8] = b"/proc/self/oom_score_adj\0";
    // The /proc files of an undumpable process, such as one that changed its user, belong to root.
    const NOT_OURS: &str = ", its file belongs to root because supervisord dropped root";
    // SAFETY: a NUL-terminated string; then a live buffer of the stated length. The descriptor table is the child's own,
    // and exec closes the new descriptor at the latest.
    unsafe {
        let opened = ask(
            libc::SYS_openat,
            [
                fd(libc::AT_FDCWD),
                FILE.as_ptr() as usize,
                (libc::O_WRONLY | libc::O_CLOEXEC) as usize,
                0,
                0,
            ],
        )
        .map_err(|errno| (errno, NOT_OURS))?;
        let written = call(
            libc::SYS_write,
            [opened, text.as_ptr() as usize, text.len(), 0],
        );
        let _ = call(libc::SYS_close, [opened, 0, 0, 0]);
        written.map_err(|errno| (errno, ", needs CAP_SYS_RESOURCE"))
    }
}

/// Resets signal dispositions before the mask is opened, because none of the daemon's handlers may run in the shared
/// memory. 64 calls cost 9 µs. If the clone has already removed the handlers, only ignored signals are left to reset.
// Differs: SIGPIPE and SIGXFSZ, which the daemon ignores, are reset in programs. A filter whose reader has gone
// should die from SIGPIPE, as it does elsewhere.
fn default_dispositions(signals: u64) {
    /// Longer than the kernel's struct on every architecture. All zeroes mean SIG_DFL, no flags, no mask.
    const ZEROES: [u64; 8] = [0; 8];
    for signal in (1..=SIGNAL_MAX).filter(|signal| signals >> (signal - 1) & 1 == 1) {
        // SAFETY: the struct is live and long enough; dispositions are the child's own (no CLONE_SIGHAND). The kernel
        // refuses KILL and STOP, which is right.
        let _ = unsafe {
            call(
                libc::SYS_rt_sigaction,
                [signal, ZEROES.as_ptr() as usize, 0, SIGSET_BYTES],
            )
        };
    }
}

/// Sets the groups and ids of the plan, and verifies that no others remain. The error is the parts of a message.
///
/// Raw calls change only the calling task. The parent has made the shared memory undumpable, so no process of the
/// user can trace this child while it can still read the daemon's secrets.
fn set_ids<'a>(ids: &'a ChildIds, uid: &'a [u8]) -> Result<(), [&'a [u8]; 5]> {
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
