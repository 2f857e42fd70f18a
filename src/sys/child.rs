//! Runs the cloned child between clone and exec. The child shares the daemon's memory, and for a moment its
//! descriptors. It therefore makes only raw system calls on data that the parent prepared: no allocation, no lock, no
//! panic, no `Drop`, and no libc wrapper that does more than the call (setuid and its kin synchronise threads, which
//! would hang here).
#![expect(
    unsafe_code,
    reason = "raw system calls in a child that shares our memory"
)]

use std::ffi::{CStr, c_char, c_int, c_uint, c_void};

use super::capabilities;
use super::child_bounds::{apply_bounds, set_limit};
use super::child_calls::{ask, call, fd};
use super::child_fds::{close_all_except, dup_inheritable, set_up_stdio, unshare_fds};
use super::child_ids::set_ids;
use super::child_message::{ChildMessage, capability_message, errno_message};
use super::plan::{ChildIds, RawPlan};
use super::spawn::FdTableMode;
use crate::domain::{Errno, Limit, Resource};

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

/// Ends only this child, without running exit handlers.
fn exit_child(status: c_int) -> ! {
    loop {
        // SAFETY: the child is a thread group of its own, so the daemon's threads live on.
        let _ = unsafe { call(libc::SYS_exit_group, [fd(status), 0, 0, 0]) };
    }
}

/// Writes a message to `to` in one write, and ends the child.
fn fail_child(to: c_int, message: ChildMessage<'_>) -> ! {
    const LAST: &[u8] = b"\nsupervisor: child process was not spawned\n";
    let part = |bytes: &[u8]| libc::iovec {
        iov_base: bytes.as_ptr().cast_mut().cast::<c_void>(),
        iov_len: bytes.len(),
    };
    let [a, b, c, d, e] = message;
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
    if let Err(message) = leave_daemon(work) {
        // The table may still be the daemon's, so nothing in it may be changed. Writing changes nothing.
        fail_child(work.staging[2], message);
    }
    if let Err(message) = apply_plan(work) {
        fail_child(libc::STDERR_FILENO, message);
    }
    execute(work)
}

/// Separates the child from the daemon: its cgroup, process group, keyring, descriptor table and standard streams.
fn leave_daemon(work: &ChildPlan<'_>) -> Result<(), ChildMessage<'static>> {
    if let Some(procs) = work.procs {
        join_cgroup(procs).map_err(errno_message(b"join its cgroup"))?;
    }
    lead_process_group(work.plan.has_session);
    if work.plan.has_keyring {
        join_new_keyring();
    }
    unshare_fds(work.table, work.first).map_err(errno_message(b"close descriptors"))?;
    set_up_stdio(work.staging).map_err(errno_message(b"set up descriptors"))
}

/// Sets everything that the plan says about the process. In this order, each step still has the privileges that it
/// needs and does not prevent the next one.
fn apply_plan<'a>(work: &ChildPlan<'a>) -> Result<(), ChildMessage<'a>> {
    let plan = work.plan;
    if let Some((source, number)) = work.ready {
        dup_inheritable(source, number).map_err(errno_message(b"set up ready_fd"))?;
    }
    if work.table != FdTableMode::Inherited {
        let kept = work.ready.map(|(_, number)| number);
        close_all_except(kept).map_err(errno_message(b"close descriptors"))?;
    }
    restore_limits(&plan.limits)?;
    apply_bounds(&plan.bounds)?;
    change_user(plan, work.uid)?;
    if let Some(directory) = &plan.directory {
        change_directory(directory)?;
    }
    if let Some(umask) = plan.umask {
        set_umask(umask);
    }
    if plan.bounds.no_new_privileges {
        capabilities::no_new_privileges().map_err(errno_message(b"set no_new_privileges"))?;
    }
    if let Some(daemon) = plan.bounds.dies_with {
        die_with(daemon).map_err(errno_message(b"set kill_on_supervisor_exit"))?;
    }
    Ok(())
}

/// Resets the signals and executes the program.
fn execute(work: &ChildPlan<'_>) -> ! {
    default_dispositions(work.dispositions);
    set_signal_mask(0);
    // SAFETY: a live string and two live, null-terminated arrays of such.
    let result = unsafe {
        call(
            libc::SYS_execve,
            [
                work.plan.path.as_ptr() as usize,
                work.argv as usize,
                work.envp as usize,
                0,
            ],
        )
    };
    let errno = result.err().unwrap_or(Errno(libc::EINVAL));
    fail_child(
        libc::STDERR_FILENO,
        [b"exec ", work.word, b"", b": ", errno.name().as_bytes()],
    )
}

/// Moves the child to the cgroup that has this `cgroup.procs`.
fn join_cgroup(procs: c_int) -> Result<(), Errno> {
    // SAFETY: a live byte, which the kernel only reads; the table may be the daemon's still, and nothing in it changes.
    unsafe { call(libc::SYS_write, [fd(procs), b"0".as_ptr() as usize, 1, 0]) }
}

/// Makes the child the leader of a process group, with `has_session` also of a session.
fn lead_process_group(has_session: bool) {
    let leads = if has_session {
        libc::SYS_setsid
    } else {
        libc::SYS_setpgid
    };
    // SAFETY: no memory involved. Neither can fail for a process just made.
    let _ = unsafe { call(leads, [0; 4]) };
}

/// Sets the limits that the daemon raised for itself back to those for programs.
fn restore_limits(limits: &[(Resource, Limit)]) -> Result<(), ChildMessage<'static>> {
    for &(resource, limit) in limits {
        set_limit(resource, limit).map_err(|errno| {
            let name = resource.name().as_bytes();
            [&b"set "[..], name, b"", b": ", errno.name().as_bytes()]
        })?;
    }
    Ok(())
}

/// Sets the groups, the ids and the capabilities of the plan.
fn change_user<'a>(plan: &'a RawPlan, uid: &'a [u8]) -> Result<(), ChildMessage<'a>> {
    let (bounding, ambient) = (plan.bounds.bounding, plan.bounds.ambient);
    let has_changed_user = matches!(plan.ids, ChildIds::Become { .. });
    if has_changed_user && ambient.is_some() {
        capabilities::keep_permitted().map_err(errno_message(b"keep capabilities"))?;
    }
    set_ids(&plan.ids, uid)?;
    if bounding.is_some() || ambient.is_some() {
        capabilities::set_inheritable_and_ambient(bounding, ambient, has_changed_user).map_err(
            |refused| capability_message(b"grant ", b" (ambient_capabilities)", refused),
        )?;
    }
    Ok(())
}

/// Makes the kernel send SIGKILL to this process when its parent ends, which is the thread that made it. Spawn threads live
/// as long as the daemon.
///
/// A change of the user resets the setting, so it comes after that. The exec of a set-user-ID program resets it too.
///
/// # Source
/// PR_SET_PDEATHSIG(2const).
fn die_with(daemon: u32) -> Result<(), Errno> {
    let signal = libc::SIGKILL as usize;
    // SAFETY: no memory involved; the setting is the child's own.
    unsafe {
        call(
            libc::SYS_prctl,
            [libc::PR_SET_PDEATHSIG as usize, signal, 0, 0],
        )
    }?;
    // SAFETY: no memory involved.
    let parent = unsafe { ask(libc::SYS_getppid, [0; 5]) }?;
    // The daemon may have died before the setting was made.
    if parent == daemon as usize {
        Ok(())
    } else {
        Err(Errno(libc::ESRCH))
    }
}

/// Changes to the working directory of the program.
fn change_directory(directory: &CStr) -> Result<(), ChildMessage<'_>> {
    // SAFETY: a live NUL-terminated string; the working directory is the child's own (no CLONE_FS).
    unsafe { call(libc::SYS_chdir, [directory.as_ptr() as usize, 0, 0, 0]) }.map_err(|errno| {
        [
            &b"chdir to "[..],
            directory.to_bytes(),
            b"",
            b": ",
            errno.name().as_bytes(),
        ]
    })
}

/// Sets the file mode creation mask.
fn set_umask(umask: c_uint) {
    // SAFETY: no memory involved; the mask is the child's own (no CLONE_FS).
    let _ = unsafe { call(libc::SYS_umask, [umask as usize, 0, 0, 0]) };
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
