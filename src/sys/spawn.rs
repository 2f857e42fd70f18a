//! Makes processes: the parent's side of the clone. What the child does then is in `child.rs`.
//!
//! The child shares our memory, so that nothing is copied whatever our size, and our table of descriptors, so that
//! thousands of them are not copied only to be closed at exec. Its first call is `close_range(first, ∞, UNSHARE)`, which
//! copies only what lies below `first`. What the child needs must therefore lie there: its three ends wait in *staging*
//! descriptors, which are reserved before anything else is open ([`StagingFds`]), hence low, and point at the null device
//! between spawns.
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

/// What becomes of our table of descriptors in a child until its exec. In order of preference.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FdTableMode {
    /// Shared until the child's first call, which copies the low end only. The cost does not grow with our descriptors.
    Shared,
    /// Copied by the clone, closed by the child. For seccomp filters that refuse CLOSE_RANGE_UNSHARE.
    Copied,
    /// Copied by the clone, closed by exec. For seccomp filters that refuse close_range altogether; what we inherited
    /// ourselves is marked close-on-exec when the spawner is made.
    Inherited,
}

/// Whether an error says that this kernel, or a filter, has no clone3: asked once, remembered. Filters that know too little
/// of it answer EPERM, which clone itself never does for these flags.
fn is_no_clone3(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::ENOSYS | libc::EPERM))
}

/// The descriptors through which a child gets its ends, all of them pointing at the null device.
///
/// A child copies the table of descriptors up to the highest of them, and closes what it copied: 5 to 11 µs with sixteen.
/// So they are to be reserved before anything else is open.
#[derive(Debug)]
pub struct StagingFds {
    /// What becomes 0, 1 and 2.
    ends: [OwnedFd; 3],
    /// That of [`ChildStdio::ready`]. Above the others: most children do without.
    ready: OwnedFd,
    /// The null device, for a child without an end.
    null: OwnedFd,
}

impl StagingFds {
    /// Takes the lowest numbers above the standard descriptors.
    ///
    /// # Errors
    /// EMFILE. ENOENT, EACCES: there is no null device.
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

/// Whether no seccomp filter applies to this process, so that a system call does what the kernel can do.
///
/// # Source
/// PR_GET_SECCOMP(2const).
fn is_unfiltered() -> bool {
    // SAFETY: no memory involved.
    (unsafe { libc::prctl(libc::PR_GET_SECCOMP) }) == 0
}

/// Whether the kernel has close_range(2), with CLOSE_RANGE_UNSHARE, which is as old (Linux 5.9).
fn has_close_range() -> bool {
    // SAFETY: no descriptor has this number, so nothing is closed.
    (unsafe { libc::syscall(libc::SYS_close_range, c_uint::MAX, c_uint::MAX, 0) }) == 0
}

/// Makes processes, one at a time. Belongs to one thread: the calls of one spawn must not mingle with another's.
#[derive(Debug)]
pub struct Spawner {
    stack: ChildStack,
    staging: StagingFds,
    table: FdTableMode,
    /// Children can be made by clone3, in a cgroup and without our handlers. Otherwise they see to both themselves.
    has_clone3: bool,
    /// The child that is being made, for other threads.
    pending: PendingChild,
}

impl Spawner {
    /// The same as [`Spawner::staged_in`], with descriptors that are reserved now.
    ///
    /// # Errors
    /// EMFILE, ENOMEM, EAGAIN: no descriptors, no memory, no processes to be had.
    pub fn new() -> io::Result<Self> {
        Self::staged_in(StagingFds::reserve()?)
    }

    /// Finds out which kind of [`FdTableMode`] the kernel and its filters allow: by trying, unless no filter is there.
    ///
    /// To be made before anybody waits for children of unknown pid: the trial makes one, and waits for it.
    ///
    /// # Errors
    /// ENOMEM, EAGAIN: no memory, no processes to be had.
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

    /// A spawner with this kind of table, untried, with descriptors that are reserved now.
    ///
    /// # Errors
    /// As [`Spawner::new`].
    pub fn with_table(table: FdTableMode) -> io::Result<Self> {
        Self::with(table, StagingFds::reserve()?)
    }

    /// A spawner with this kind of table, untried.
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

    /// The child of the spawn that is under way, for other threads.
    #[must_use]
    pub fn pending_child(&self) -> PendingChild {
        self.pending.clone()
    }

    /// The kind of table in use.
    #[must_use]
    pub const fn table(&self) -> FdTableMode {
        self.table
    }

    /// Makes a process of `plan` with `ends` as its descriptors and no others, leader of a process group or a session of its
    /// own, all signals at their defaults and none blocked. Returns its pid and pidfd.
    ///
    /// Returns when the process has called exec, or has ended with status 127 because a step before that failed; in the
    /// latter case it has said so on its descriptor 2, and is to be reaped like any other. Blocks as long as the kernel
    /// blocks the child in `chdir` or `execve` (a dead mount), or somebody with the plan's uid stops it just then.
    ///
    /// # Errors
    /// EAGAIN: too many processes. EMFILE: no descriptor for the pidfd. ENOMEM. No process exists then.
    ///
    /// # Source
    /// clone(2), close_range(2), execve(2), credentials(7), PR_SET_DUMPABLE(2const).
    pub fn spawn(&mut self, plan: &RawPlan, ends: ChildStdio) -> io::Result<(i32, OwnedFd)> {
        self.spawn_in(plan, &ends, None)
    }

    /// The same, in a cgroup from its first moment on, if there is one. The ends are left to the caller, who may want to
    /// try again.
    ///
    /// Where the kernel cannot make a process in a cgroup (no clone3: ENOSYS), the child moves there before anything else,
    /// which costs a lock on all processes of the machine.
    ///
    /// # Errors
    /// Those of [`Spawner::spawn`]. ENOENT, ENODEV: the cgroup is gone. EACCES: it is not ours to fill. EBUSY, EOPNOTSUPP:
    /// it is in no state to hold processes. EAGAIN: its limit of processes is reached.
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
            // Only the groups can fail then, with our own uid.
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
        // From here to the end of the function the staging descriptors hold the child's ends. An end that stayed there
        // would keep its pipe from ever reporting that all writers are gone.
        let _staged = StagedStdio::new(staging, ends)?;
        // Capabilities matter not here: with the daemon's uid, the child gives none up before its exec that would let
        // somebody trace it who may not trace the daemon.
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

    /// The number from which on everything is closed in a child.
    fn first_closed_fd(&self, has_ready: bool) -> c_uint {
        let StagingFds { ends, ready, .. } = &self.staging;
        let ready = has_ready.then_some(ready);
        let highest = ends.iter().chain(ready).map(AsRawFd::as_raw_fd).max();
        highest.map_or(3, |number| number.unsigned_abs() + 1)
    }

    /// Tries a kind of table in a child, for a filter may also kill who makes a call that it does not like.
    fn probe_table(&self, table: FdTableMode) -> io::Result<bool> {
        let work = (table, self.first_closed_fd(false));
        let _blocked = SignalsBlockedGuard::new();
        let work = (&raw const work).cast();
        // SAFETY: `probe` reads this pair, which outlives the call, and only makes system calls.
        match unsafe { self.clone_child(table, &CloneMethod::Clone, child::probe, work) } {
            Ok((_, pidfd)) => Ok(pidfd::wait(&pidfd)? == ExitStatus::Exited(0)),
            // A shortage says nothing about filters.
            Err(error) => match error.raw_os_error() {
                Some(libc::EAGAIN | libc::ENOMEM | libc::EMFILE | libc::ENFILE) => Err(error),
                _ => Ok(false),
            },
        }
    }

    /// Runs `entry(work)` in a child and waits until it has called exec or ended.
    ///
    /// # Safety
    /// `entry` must accept `work`, must keep to what is allowed in a child that shares our memory (see `child.rs`), and
    /// must not return.
    unsafe fn clone_child(
        &self,
        table: FdTableMode,
        how: &CloneMethod<'_>,
        entry: extern "C" fn(*mut c_void) -> c_int,
        work: *const c_void,
    ) -> io::Result<(i32, OwnedFd)> {
        // Written by the kernel before the child runs, so that other threads find it while this one is held up.
        let pidfd = self.pending.slot();
        // SIGCHLD as exit signal makes it a child like any other to waitid, and to whoever listens for orphans.
        let mut flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD | libc::SIGCHLD;
        if table == FdTableMode::Shared {
            flags |= libc::CLONE_FILES;
        }
        if let CloneMethod::Clone3(cgroup) = how {
            // SAFETY: as below; a plain clone and this one differ in where the child begins to count, and in its handlers.
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
        // SAFETY: the stack is ours alone and unused: the last child that ran on it had left it when clone returned
        // (CLONE_VFORK), and `&mut self` keeps other threads off it. `pidfd` is where CLONE_PIDFD stores.
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
        // SAFETY: clone succeeded, so this is a new descriptor, close-on-exec, that nobody else knows.
        Ok((pid, unsafe { OwnedFd::from_raw_fd(pidfd) }))
    }
}

/// By which call a child is made.
enum CloneMethod<'a> {
    /// Without our handlers, and in this cgroup.
    Clone3(Option<&'a Cgroup>),
    /// With them.
    Clone,
}

/// Marks everything that is open now but 0, 1 and 2 as close-on-exec.
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
        // SAFETY: F_SETFD uses no memory. The number may be gone or be another's by now (EBADF is fine): everything that
        // we open ourselves is close-on-exec anyway.
        unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    }
    Ok(())
}

/// The staging descriptors while they hold a child's ends.
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

/// Makes `place` another name of what `target` is, close-on-exec.
fn point(place: &OwnedFd, target: &OwnedFd) -> io::Result<()> {
    // SAFETY: both are open and ours; the number of `place` stays open, only what it means changes.
    let result = unsafe { libc::dup3(target.as_raw_fd(), place.as_raw_fd(), libc::O_CLOEXEC) };
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Nobody may trace or dump us while one of these lives, for a child of ours shares our memory and is another user's already.
///
/// The kernel makes shared memory undumpable by itself when the child changes its ids, if `fs.suid_dumpable` is 0, and
/// leaves it so: it has to be set back either way. That is for the last of them to do: the memory is the same for all
/// spawners, and the child of one may be held up while another's comes and goes.
struct UndumpableGuard;

/// How many there are, and whether the memory was dumpable before the first.
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
        // Nothing panics while it holds the lock.
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

/// All signals are blocked in this thread while this lives. The child starts with its parent's mask, and a handler of
/// ours must not run in it. Raw, because the C library leaves two signals of its own open.
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
    // SAFETY: both sets are 8 bytes, as stated, and live; `old` may be null. It cannot fail so.
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

// SAFETY: plain memory that nobody else has a pointer to.
unsafe impl Send for ChildStack {}

impl ChildStack {
    /// Bytes, the inaccessible end included. The child needs a few hundred; debug builds a few thousand.
    const BYTES: usize = 128 * 1024;
    /// Bytes of the inaccessible end; a multiple of every page size in use.
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

    /// Where a stack that grows down begins.
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

    /// Refuses a call in this thread and its children: always, or only with a third argument.
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
        // Offset 0: the call's number. Offset 32: the low half of its third argument.
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
    fn the_kind_of_table_is_what_the_filters_allow() {
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
    fn memory_is_undumpable_until_the_last_child_has_called_exec() {
        let is_dumpable = || matches!(nix::sys::prctl::get_dumpable(), Ok(true));
        let before = is_dumpable();
        let held_up = UndumpableGuard::new();
        drop(UndumpableGuard::new());
        assert!(!is_dumpable(), "the child that is held up can be traced");
        drop(held_up);
        assert_eq!(is_dumpable(), before);
    }

    #[test]
    fn staging_is_low_and_returns_to_the_null_device() {
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

    /// A filter that knows too little of clone3, as those of older container engines.
    #[test]
    fn a_child_is_made_without_clone3_where_it_is_refused() {
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
