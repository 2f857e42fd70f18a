//! Creates processes: the parent's side of the clone. The child's side is in `child.rs`.
//!
//! The child shares our memory, so that nothing is copied whatever our size. It also shares our descriptor table, so
//! that thousands of descriptors are not copied only to be closed at exec. Its first call is `close_range(first, ∞,
//! UNSHARE)`, which copies only the descriptors below `first`. The descriptors that the child needs must therefore be
//! below it: its standard streams are put into *staging* descriptors. These are reserved before any other file is
//! opened ([`StagingFds`]), so their numbers are low, and they refer to /dev/null between spawns.
#![expect(
    unsafe_code,
    reason = "clone with a stack of its own; mmap of that stack"
)]

use std::ffi::{c_int, c_uint, c_void};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::NonNull;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::pending::PendingChild;
use super::plan::{ChildIds, RawPlan};
use super::stdio::ChildStdio;
use super::{Cgroup, child, clone3, pidfd, signals};
use crate::domain::ExitStatus;

/// How a child gets its descriptor table. In order of preference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FdTableMode {
    /// Shared until the child's first call, which copies the low end only. The cost does not depend on the number of
    /// our descriptors.
    Shared,
    /// Copied by the clone, closed by the child. For seccomp filters that refuse CLOSE_RANGE_UNSHARE.
    Copied,
    /// Copied by the clone, closed by exec. For seccomp filters that refuse close_range altogether. Descriptors that
    /// we inherited are marked close-on-exec when the spawner is created.
    Inherited,
}

/// Whether an error means that clone3 is not available, because of the kernel or a seccomp filter. The result is
/// remembered. Filters that cannot inspect clone3 return EPERM, which clone itself never returns for these flags.
fn is_no_clone3(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM))
}

/// The descriptors through which a child gets its standard streams. Between spawns all refer to /dev/null.
///
/// A child copies the descriptor table up to the highest of them and closes what it copied: 5 to 11 µs with sixteen.
/// So reserve them before any other file is opened.
#[derive(Debug)]
pub struct StagingFds {
    /// The descriptors that become 0, 1 and 2.
    ends: [OwnedFd; 3],
    /// For [`ChildStdio::ready`]. Above the others, because most children do not need it.
    ready: OwnedFd,
    /// /dev/null, for a child without a stream.
    null: OwnedFd,
}

impl StagingFds {
    /// Reserves the lowest numbers above the standard descriptors.
    ///
    /// # Errors
    /// EMFILE. ENOENT, EACCES: /dev/null cannot be opened.
    pub fn reserve() -> io::Result<Self> {
        let opened = File::options().read(true).write(true).open("/dev/null")?;
        let opened = OwnedFd::from(opened);
        // `try_clone` duplicates to 3 or above, close-on-exec.
        let first = match opened.as_raw_fd() {
            0..=2 => opened.try_clone()?,
            _ => opened,
        };
        let (second, third) = (first.try_clone()?, first.try_clone()?);
        Ok(Self {
            ready: first.try_clone()?,
            null: first.try_clone()?,
            ends: [first, second, third],
        })
    }
}

/// Whether no seccomp filter applies to this process, so that a system call does what the kernel supports.
///
/// # Source
/// PR_GET_SECCOMP(2const).
fn is_unfiltered() -> bool {
    // SAFETY: no memory involved.
    (unsafe { libc::prctl(libc::PR_GET_SECCOMP) }) == 0
}

/// Whether the kernel has close_range(2) and with it CLOSE_RANGE_UNSHARE (both Linux 5.9).
fn has_close_range() -> bool {
    // SAFETY: no descriptor has this number, so nothing is closed.
    (unsafe { libc::syscall(libc::SYS_close_range, c_uint::MAX, c_uint::MAX, 0) }) == 0
}

/// Creates processes, one at a time. Belongs to one thread, because the system calls of two spawns must not
/// interleave.
#[derive(Debug)]
pub struct Spawner {
    stack: ChildStack,
    staging: StagingFds,
    table: FdTableMode,
    /// Whether clone3 can create children in a cgroup and without our signal handlers. Otherwise the children do both
    /// themselves.
    has_clone3: bool,
    /// The child that is being spawned, for other threads.
    pending: PendingChild,
}

impl Spawner {
    /// Like [`Spawner::staged_in`], with descriptors that are reserved now.
    ///
    /// # Errors
    /// EMFILE, ENOMEM, EAGAIN: no more descriptors, memory or processes.
    pub fn new() -> io::Result<Self> {
        Self::staged_in(StagingFds::reserve()?)
    }

    /// Creates a spawner with the best [`FdTableMode`] that the kernel and its filters allow. It tries them in a
    /// child, unless no filter applies.
    ///
    /// Create it before any code waits for children of unknown PID, because the trial creates a child and waits for
    /// it.
    ///
    /// # Errors
    /// ENOMEM, EAGAIN: no more memory or processes.
    pub fn staged_in(staging: StagingFds) -> io::Result<Self> {
        let mut spawner = Self::with(FdTableMode::Shared, staging)?;
        // The trial takes a tenth of the time that the daemon needs to start its first program.
        if is_unfiltered() && has_close_range() {
            return Ok(spawner);
        }
        for table in [FdTableMode::Shared, FdTableMode::Copied] {
            if spawner.probe_table(table)? {
                spawner.table = table;
                return Ok(spawner);
            }
        }
        Self::with(FdTableMode::Inherited, spawner.staging)
    }

    /// Creates a spawner with this kind of table, without a trial, with descriptors that are reserved now.
    ///
    /// # Errors
    /// As [`Spawner::new`].
    pub fn with_table(table: FdTableMode) -> io::Result<Self> {
        Self::with(table, StagingFds::reserve()?)
    }

    /// Creates a spawner with this kind of table, without a trial.
    ///
    /// # Errors
    /// ENOMEM.
    pub fn with(table: FdTableMode, staging: StagingFds) -> io::Result<Self> {
        if table == FdTableMode::Inherited {
            close_all_on_exec()?;
        }
        signals::note_ignored();
        Ok(Self {
            stack: ChildStack::new()?,
            staging,
            table,
            has_clone3: clone3::IS_HERE,
            pending: PendingChild::default(),
        })
    }

    /// A handle to the child that is being spawned, for other threads.
    #[must_use]
    pub fn pending_child(&self) -> PendingChild {
        self.pending.clone()
    }

    /// The kind of table in use.
    #[must_use]
    pub const fn table(&self) -> FdTableMode {
        self.table
    }

    /// Spawns a process of `plan` with the descriptors `ends` and no others, as leader of a process group or a new
    /// session, with default signal dispositions and no signal blocked. Returns its PID and pidfd.
    ///
    /// Returns when the process has called exec, or has exited with status 127 because an earlier step failed. In the
    /// latter case it has written a message to its descriptor 2, and must be reaped like any other. Blocks while the
    /// kernel blocks the child in `chdir` or `execve` (a dead mount), or while a process of the plan's user keeps it
    /// stopped.
    ///
    /// # Errors
    /// EAGAIN: too many processes. EMFILE: no descriptor for the pidfd. ENOMEM. No process exists then.
    ///
    /// # Source
    /// clone(2), close_range(2), execve(2), credentials(7), PR_SET_DUMPABLE(2const).
    pub fn spawn(&mut self, plan: &RawPlan, ends: ChildStdio) -> io::Result<(i32, OwnedFd)> {
        self.spawn_in(plan, &ends, None)
    }

    /// Like [`Spawner::spawn`], in `cgroup` from the start, if given. Borrows `ends`, so that the caller can try
    /// again.
    ///
    /// If the kernel cannot create a process in a cgroup (no clone3: ENOSYS), the child first moves itself there,
    /// which takes a lock on all processes of the machine.
    ///
    /// # Errors
    /// Those of [`Spawner::spawn`]. ENOENT, ENODEV: the cgroup does not exist any more. EACCES: we may not add
    /// processes to it. EBUSY, EOPNOTSUPP: its state does not allow processes. EAGAIN: its limit of processes is
    /// reached.
    ///
    /// # Source
    /// clone(2), CLONE_INTO_CGROUP.
    pub fn spawn_in(
        &mut self,
        plan: &RawPlan,
        ends: &ChildStdio,
        cgroup: Option<&Cgroup>,
    ) -> io::Result<(i32, OwnedFd)> {
        if self.has_clone3 {
            match self.spawn_with(plan, ends, cgroup, None) {
                Err(error) if is_no_clone3(&error) => self.has_clone3 = false,
                result => return result,
            }
        }
        let procs = cgroup.map(Cgroup::open_procs).transpose()?;
        self.spawn_with(plan, ends, None, procs.as_ref())
    }

    fn spawn_with(
        &mut self,
        plan: &RawPlan,
        ends: &ChildStdio,
        cgroup: Option<&Cgroup>,
        procs: Option<&File>,
    ) -> io::Result<(i32, OwnedFd)> {
        let uid = match plan.ids {
            ChildIds::Become { uid, .. } | ChildIds::Refused { uid, .. } => uid,
            // Our own UID: then only setting the groups can fail.
            ChildIds::Groups { .. } | ChildIds::Joined { .. } | ChildIds::Keep => {
                nix::unistd::getuid().as_raw()
            }
        }
        .to_string();
        let (argv, envp) = (plan.argv.pointers(), plan.envp.pointers());
        let staging = &self.staging;
        let work = child::ChildPlan {
            table: self.table,
            first: self.first_closed_fd(ends.ready.is_some()),
            staging: staging.ends.each_ref().map(AsRawFd::as_raw_fd),
            ready: ends
                .ready
                .as_ref()
                .map(|&(_, number)| (staging.ready.as_raw_fd(), c_int::from(number))),
            dispositions: match self.has_clone3 {
                true => signals::ignored_signals(),
                false => u64::MAX,
            },
            plan,
            argv: argv.as_ptr(),
            envp: envp.as_ptr(),
            uid: uid.as_bytes(),
            word: plan.argv.iter().next().unwrap_or_default(),
            procs: procs.map(AsRawFd::as_raw_fd),
        };
        // From here to the end of the function the staging descriptors hold the child's streams. If one stayed there,
        // its pipe would never report that all writers have closed it.
        let _staged = StagedStdio::new(staging, ends)?;
        // Capabilities do not matter here: with the daemon's UID, the child drops none before its exec that would let
        // a process trace it that may not trace the daemon.
        let _undumpable = matches!(
            plan.ids,
            ChildIds::Become { .. } | ChildIds::Groups { .. } | ChildIds::Joined { .. }
        )
        .then(UndumpableGuard::new);
        let _blocked = SignalsBlockedGuard::new();
        let how = match self.has_clone3 {
            true => CloneMethod::Clone3(cgroup),
            false => CloneMethod::Clone,
        };
        // SAFETY: `run` reads a `ChildPlan`, which outlives the call, and does nothing but system calls on it.
        unsafe { self.clone_child(self.table, &how, child::run, (&raw const work).cast()) }
    }

    /// The descriptor number from which on a child closes everything.
    fn first_closed_fd(&self, has_ready: bool) -> c_uint {
        let StagingFds { ends, ready, .. } = &self.staging;
        let ready = has_ready.then_some(ready);
        let highest = ends.iter().chain(ready).map(AsRawFd::as_raw_fd).max();
        highest.map_or(3, |number| number.unsigned_abs() + 1)
    }

    /// Tries a kind of table in a child, because a filter may also kill a process for a call that it forbids.
    fn probe_table(&self, table: FdTableMode) -> io::Result<bool> {
        let work = (table, self.first_closed_fd(false));
        let _blocked = SignalsBlockedGuard::new();
        let work = (&raw const work).cast();
        // SAFETY: `probe` reads this pair, which outlives the call, and only makes system calls.
        match unsafe { self.clone_child(table, &CloneMethod::Clone, child::probe, work) } {
            Ok((_, pidfd)) => Ok(pidfd::wait(&pidfd)? == ExitStatus::Exited(0)),
            // Lack of resources says nothing about filters.
            Err(error) => match error.raw_os_error() {
                Some(libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE) => Err(error),
                _ => Ok(false),
            },
        }
    }

    /// Runs `entry(work)` in a child and waits until it has called exec or exited.
    ///
    /// # Safety
    /// `entry` must accept `work`, must follow the rules for a child that shares our memory (see `child.rs`), and
    /// must not return.
    unsafe fn clone_child(
        &self,
        table: FdTableMode,
        how: &CloneMethod<'_>,
        entry: extern "C" fn(*mut c_void) -> c_int,
        work: *const c_void,
    ) -> io::Result<(i32, OwnedFd)> {
        // The kernel writes it before the child runs, so that other threads find it while this one is blocked.
        let pidfd = self.pending.slot();
        // With SIGCHLD as exit signal, waitid and the code that reaps orphans treat it like any other child.
        let mut flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
        if table == FdTableMode::Shared {
            flags |= libc::CLONE_FILES;
        }
        if let CloneMethod::Clone3(cgroup) = how {
            // SAFETY: as below; this call differs from a plain clone only in the child's initial cgroup and its
            // signal handlers.
            let result = unsafe {
                clone3::clone_without_handlers(
                    cgroup.map(|cgroup| cgroup.as_fd().as_raw_fd()),
                    (self.stack.base.as_ptr(), ChildStack::BYTES),
                    flags,
                    (entry, work.cast_mut()),
                    pidfd.as_ptr(),
                )
            };
            let pidfd = pidfd.swap(PendingChild::NONE, Ordering::SeqCst);
            // SAFETY: as below.
            return result.map(|pid| (pid, unsafe { OwnedFd::from_raw_fd(pidfd) }));
        }
        // SAFETY: only we use the stack, and it is unused: the last child that ran on it had left it when clone
        // returned (CLONE_VFORK), and `&mut self` keeps other threads off it. `pidfd` is where CLONE_PIDFD stores.
        let pid = unsafe {
            libc::clone(
                entry,
                self.stack.top(),
                flags,
                work.cast_mut(),
                pidfd.as_ptr(),
            )
        };
        let error = io::Error::last_os_error();
        let pidfd = pidfd.swap(PendingChild::NONE, Ordering::SeqCst);
        if pid == -1 {
            return Err(error);
        }
        // SAFETY: clone succeeded, so this is a new descriptor, close-on-exec, that no other code knows.
        Ok((pid, unsafe { OwnedFd::from_raw_fd(pidfd) }))
    }
}

/// The system call that creates a child.
enum CloneMethod<'a> {
    /// clone3: without our signal handlers, and in this cgroup. `None`: in our own.
    Clone3(Option<&'a Cgroup>),
    /// clone: with our signal handlers.
    Clone,
}

/// Marks every descriptor that is open now, except 0, 1 and 2, as close-on-exec.
fn close_all_on_exec() -> io::Result<()> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir("/proc/self/fd")? {
        let number = entry?
            .file_name()
            .to_str()
            .and_then(|name| name.parse::<RawFd>().ok());
        numbers.extend(number.filter(|&number| number > 2));
    }
    for number in numbers {
        // SAFETY: F_SETFD uses no memory. The number may be closed or reused by now (EBADF is fine): everything that
        // we open ourselves is close-on-exec anyway.
        unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    Ok(())
}

/// The staging descriptors while they hold a child's streams. Dropping it points them back to /dev/null.
struct StagedStdio<'a> {
    staging: &'a StagingFds,
    has_ready: bool,
}

impl<'a> StagedStdio<'a> {
    fn new(staging: &'a StagingFds, ends: &ChildStdio) -> io::Result<Self> {
        let staged = Self {
            staging,
            has_ready: ends.ready.is_some(),
        };
        let stdin = ends.stdin.as_ref().unwrap_or(&staging.null);
        let stderr = ends.stderr.as_ref().unwrap_or(&ends.stdout);
        for (place, end) in staging.ends.iter().zip([stdin, &ends.stdout, stderr]) {
            point(place, end)?;
        }
        if let Some((end, _)) = &ends.ready {
            point(&staging.ready, end)?;
        }
        Ok(staged)
    }
}

impl Drop for StagedStdio<'_> {
    fn drop(&mut self) {
        let ready = self.has_ready.then_some(&self.staging.ready);
        for place in self.staging.ends.iter().chain(ready) {
            // Cannot fail: both are open, and no new descriptor is needed.
            let _ = point(place, &self.staging.null);
        }
    }
}

/// Makes `place` a duplicate of `target`, close-on-exec.
fn point(place: &OwnedFd, target: &OwnedFd) -> io::Result<()> {
    // SAFETY: both are open and ours; the number of `place` stays open, only the file that it refers to changes.
    let result = unsafe { libc::dup3(target.as_raw_fd(), place.as_raw_fd(), libc::O_CLOEXEC) };
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Makes our memory undumpable, so that no process may trace or dump us while a child that already runs as another
/// user shares our memory.
///
/// The kernel itself makes shared memory undumpable when the child changes its ids, if `fs.suid_dumpable` is 0, and
/// leaves it so. So it must be restored in any case. The last guard to be dropped does that: all spawners share the
/// memory, and one's child may be blocked while another's starts and execs.
struct UndumpableGuard;

/// The number of guards, and whether the memory was dumpable before the first.
static UNDUMPABLE: Mutex<(usize, bool)> = Mutex::new((0, false));

impl UndumpableGuard {
    fn new() -> Self {
        let mut state = Self::state();
        if state.0 == 0 {
            state.1 = matches!(nix::sys::prctl::get_dumpable(), Ok(true));
            if state.1 {
                let _ = nix::sys::prctl::set_dumpable(false);
            }
        }
        state.0 += 1;
        Self
    }

    fn state() -> MutexGuard<'static, (usize, bool)> {
        // No code panics while it holds the lock.
        UNDUMPABLE.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for UndumpableGuard {
    fn drop(&mut self) {
        let mut state = Self::state();
        state.0 -= 1;
        if state.0 == 0 && state.1 {
            let _ = nix::sys::prctl::set_dumpable(true);
        }
    }
}

/// Blocks all signals in this thread. The child starts with its parent's mask, and none of our handlers may run in
/// it. A raw system call, because the C library leaves two signals of its own unblocked.
struct SignalsBlockedGuard {
    old: u64,
}

impl SignalsBlockedGuard {
    fn new() -> Self {
        let mut old = 0;
        set_mask(u64::MAX, Some(&mut old));
        Self { old }
    }
}

impl Drop for SignalsBlockedGuard {
    fn drop(&mut self) {
        set_mask(self.old, None);
    }
}

fn set_mask(new: u64, old: Option<&mut u64>) {
    let old: *mut u64 = old.map_or(std::ptr::null_mut(), std::ptr::from_mut);
    // SAFETY: both sets are 8 bytes, as stated, and live; `old` may be null. The call cannot fail then.
    unsafe {
        libc::syscall(
            libc::SYS_rt_sigprocmask,
            libc::SIG_SETMASK,
            &raw const new,
            old,
            size_of::<u64>(),
        )
    };
}

/// A stack for the child, with an inaccessible page below it.
#[derive(Debug)]
struct ChildStack {
    base: NonNull<c_void>,
}

// SAFETY: plain memory to which no other code has a pointer.
unsafe impl Send for ChildStack {}

impl ChildStack {
    /// Size in bytes, including the guard. The child needs a few hundred bytes; debug builds a few thousand.
    const BYTES: usize = 128 * 1024;
    /// Size of the inaccessible guard in bytes. A multiple of every page size in use.
    const GUARD_BYTES: usize = 64 * 1024;

    fn new() -> io::Result<Self> {
        // SAFETY: a new private mapping at an address of the kernel's choice.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                Self::BYTES,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_STACK,
                -1,
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let stack = Self {
            base: NonNull::new(base).ok_or(io::ErrorKind::OutOfMemory)?,
        };
        // SAFETY: the low end of the mapping just made.
        if unsafe { libc::mprotect(base, Self::GUARD_BYTES, libc::PROT_NONE) } == -1 {
            return Err(io::Error::last_os_error());
        }
        Ok(stack)
    }

    /// The address at which a stack that grows down begins.
    fn top(&self) -> *mut c_void {
        self.base.as_ptr().wrapping_byte_add(Self::BYTES)
    }
}

impl Drop for ChildStack {
    fn drop(&mut self) {
        // SAFETY: our own mapping; no child runs on it, for `clone` has returned.
        unsafe { libc::munmap(self.base.as_ptr(), Self::BYTES) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::CStrings;

    /// Refuses a system call in this thread and its children: always, or only with a third argument.
    fn filter(call: libc::c_long, only_with_flags: bool, action: u32) {
        const LOAD: u32 = libc::BPF_LD | libc::BPF_W | libc::BPF_ABS;
        const JUMP_IF_EQUAL: u32 = libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K;
        const RETURN: u32 = libc::BPF_RET | libc::BPF_K;
        let step = |code: u32, k, jt, jf| libc::sock_filter {
            code: u16::try_from(code).expect("small"),
            jt,
            jf,
            k,
        };
        let number = u32::try_from(call).expect("small");
        // Offset 0: the system call number. Offset 32: the low half of its third argument.
        let no_flags = if only_with_flags { 0 } else { u32::MAX };
        let mut program = [
            step(LOAD, 0, 0, 0),
            step(JUMP_IF_EQUAL, number, 0, 3),
            step(LOAD, 32, 0, 0),
            step(JUMP_IF_EQUAL, no_flags, 1, 0),
            step(RETURN, action, 0, 0),
            step(RETURN, libc::SECCOMP_RET_ALLOW, 0, 0),
        ];
        let program = libc::sock_fprog {
            len: 6,
            filter: program.as_mut_ptr(),
        };
        // SAFETY: plain integers; then a live filter program. Both concern this thread only.
        unsafe {
            assert_eq!(libc::prctl(libc::PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 0);
            assert_eq!(
                libc::prctl(
                    libc::PR_SET_SECCOMP,
                    libc::SECCOMP_MODE_FILTER,
                    &raw const program
                ),
                0
            );
        }
    }

    #[test]
    fn the_descriptor_table_mode_follows_the_seccomp_filters() {
        let errno = |errno: i32| libc::SECCOMP_RET_ERRNO | errno.unsigned_abs();
        let table = [
            (None, FdTableMode::Shared),
            (Some((true, errno(libc::EPERM))), FdTableMode::Copied),
            (
                Some((true, libc::SECCOMP_RET_KILL_PROCESS)),
                FdTableMode::Copied,
            ),
            (Some((false, errno(libc::ENOSYS))), FdTableMode::Inherited),
            (
                Some((false, libc::SECCOMP_RET_KILL_PROCESS)),
                FdTableMode::Inherited,
            ),
        ];
        for (refused, expected) in table {
            let thread = std::thread::spawn(move || {
                if let Some((only_with_flags, action)) = refused {
                    filter(libc::SYS_close_range, only_with_flags, action);
                }
                let spawner = Spawner::new().expect("spawner");
                assert_eq!(spawner.table(), expected);
            });
            thread.join().expect("as expected");
        }
    }

    /// No other test of this program changes users in a spawn.
    #[test]
    fn memory_is_undumpable_until_the_last_child_calls_exec() {
        let is_dumpable = || matches!(nix::sys::prctl::get_dumpable(), Ok(true));
        let before = is_dumpable();
        let held_up = UndumpableGuard::new();
        drop(UndumpableGuard::new());
        assert!(!is_dumpable(), "the child that is held up can be traced");
        drop(held_up);
        assert_eq!(is_dumpable(), before);
    }

    #[test]
    fn staging_uses_low_numbers_and_returns_to_the_null_device() {
        let spawner = Spawner::new().expect("spawner");
        let staging = &spawner.staging;
        let pipe = || OwnedFd::from(std::io::pipe().expect("pipe").1);
        let ends = |has_ready: bool| ChildStdio {
            stdin: Some(pipe()),
            stdout: pipe(),
            stderr: None,
            ready: has_ready.then(|| (pipe(), 3)),
        };
        let link = |fd: &OwnedFd| {
            let number = fd.as_raw_fd();
            std::fs::read_link(format!("/proc/self/fd/{number}")).expect("open")
        };
        for has_ready in [false, true] {
            let ends = ends(has_ready);
            let ready = has_ready.then_some(&staging.ready);
            let used = || staging.ends.iter().chain(ready);
            let staged = StagedStdio::new(staging, &ends).expect("staged");
            for place in used() {
                let number = place.as_raw_fd();
                assert!(number > 2 && number.unsigned_abs() < spawner.first_closed_fd(has_ready));
                assert!(link(place).to_string_lossy().starts_with("pipe:"));
            }
            drop(staged);
            for place in used() {
                assert_eq!(link(place).to_string_lossy(), "/dev/null");
            }
        }
    }

    /// A filter that does not support clone3, like those of older container engines.
    #[test]
    fn a_child_is_created_without_clone3_where_clone3_is_refused() {
        for refusal in [libc::ENOSYS, libc::EPERM] {
            let thread = std::thread::spawn(move || {
                let action = libc::SECCOMP_RET_ERRNO | refusal.unsigned_abs();
                filter(libc::SYS_clone3, false, action);
                let mut spawner = Spawner::with_table(FdTableMode::Shared).expect("spawner");
                let mut argv = CStrings::default();
                for word in ["/bin/grep", "SigIgn", "/proc/self/status"] {
                    argv.push(&[word.as_bytes()]).expect("no NUL");
                }
                let plan = RawPlan {
                    path: std::ffi::CString::new("/bin/grep").expect("no NUL"),
                    argv,
                    envp: CStrings::default(),
                    directory: None,
                    umask: None,
                    limits: Vec::new(),
                    ids: ChildIds::Keep,
                    bounds: crate::sys::ChildBounds::default(),
                    has_session: false,
                    has_keyring: false,
                };
                let (mut reader, writer) = std::io::pipe().expect("pipe");
                let ends = ChildStdio {
                    stdin: None,
                    stdout: writer.into(),
                    stderr: None,
                    ready: None,
                };
                let (_, pidfd) = spawner.spawn(&plan, ends).expect("spawned");
                assert!(!spawner.has_clone3);
                let mut text = String::new();
                std::io::Read::read_to_string(&mut reader, &mut text).expect("read");
                assert_eq!(text, "SigIgn:\t0000000000000000\n");
                assert_eq!(pidfd::wait(&pidfd).expect("ended"), ExitStatus::Exited(0));
            });
            thread.join().expect("as expected");
        }
    }
}
