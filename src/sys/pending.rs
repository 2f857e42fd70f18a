//! A child between clone and exec, as seen by other threads. The thread that spawns it is blocked in its clone call
//! until the child's exec, however long that takes.
#![expect(
    unsafe_code,
    reason = "borrows a descriptor by its number, and waitid for stopped children"
)]

use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use super::pidfd::{pid_of, send_signal};
use crate::domain::Signal;

/// The name of threads that spawn. A child has its thread's name until it calls exec.
pub const SPAWNER_THREAD: &str = "spawn";

/// Whether the process `pid` is a child of a daemon, this or an earlier one, that has not called exec yet.
///
/// Such a child still has the daemon's program file and the name of a spawning thread. If its daemon is gone, it
/// would still call exec at some time.
#[must_use]
pub fn is_before_exec(pid: i32) -> bool {
    let program = |pid: &str| {
        let link = std::fs::read_link(format!("/proc/{pid}/exe")).ok()?;
        let name = link.file_name()?.to_str()?.to_owned();
        // The program file may have been replaced by another version.
        Some(
            name.strip_suffix(" (deleted)")
                .map(str::to_owned)
                .unwrap_or(name),
        )
    };
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm"));
    name.is_ok_and(|name| name.trim_end() == SPAWNER_THREAD)
        && program("self").is_some_and(|own| program(&pid.to_string()) == Some(own))
}

/// The child between its clone and its exec, if there is one. Clones refer to the same child.
///
/// Its pidfd belongs to the spawning thread. While callers use this value, they must keep that thread from passing
/// the pidfd on: by a lock that the thread takes after the spawn.
#[derive(Debug, Clone)]
pub struct PendingChild(Arc<AtomicI32>);

impl Default for PendingChild {
    fn default() -> Self {
        Self(Arc::new(AtomicI32::new(Self::NONE)))
    }
}

impl PendingChild {
    /// The value when no child is being spawned.
    pub(super) const NONE: RawFd = -1;

    /// The place where the kernel stores the pidfd.
    pub(super) fn slot(&self) -> &AtomicI32 {
        &self.0
    }

    fn with<T>(&self, act: impl FnOnce(BorrowedFd<'_>) -> T) -> Option<T> {
        let number = self.0.load(Ordering::SeqCst);
        // SAFETY: the descriptor is open, because the caller keeps the spawning thread from passing it on.
        (number >= 0).then(|| act(unsafe { BorrowedFd::borrow_raw(number) }))
    }

    /// The child's PID. `None`: there is no child, or no /proc.
    #[must_use]
    pub fn pid(&self) -> Option<i32> {
        self.with(|pidfd| pid_of(&pidfd)).flatten()
    }

    /// Whether there is a child.
    #[must_use]
    pub fn is_there(&self) -> bool {
        self.with(|_| ()).is_some()
    }

    /// Sends a signal to the child.
    ///
    /// # Errors
    /// ESRCH: there is no child. EPERM.
    pub fn signal(&self, signal: Signal) -> io::Result<()> {
        self.with(|pidfd| send_signal(&pidfd, signal))
            .unwrap_or_else(|| Err(io::Error::from_raw_os_error(libc::ESRCH)))
    }

    /// Whether a signal has stopped the child.
    ///
    /// # Source
    /// waitid(2), `WSTOPPED` with `WNOWAIT`.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        let number = libc::id_t::try_from(self.0.load(Ordering::SeqCst));
        number.is_ok_and(|number| {
            // SAFETY: all fields are integers.
            let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
            let options = libc::WSTOPPED | libc::WNOHANG | libc::WNOWAIT;
            // SAFETY: the struct is live and writable.
            let result = unsafe { libc::waitid(libc::P_PIDFD, number, &raw mut info, options) };
            result == 0 && info.si_signo == libc::SIGCHLD
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{end_child, open_pidfd};
    use std::os::fd::AsRawFd as _;

    #[test]
    fn a_child_is_seen_and_signalled_by_its_number() {
        let none = PendingChild::default();
        assert!(!none.is_there() && !none.is_stopped());
        assert_eq!(none.pid(), None);
        let stop = Signal::from_number(i64::from(libc::SIGSTOP)).expect("a signal");
        assert!(none.signal(stop).is_err());

        let mut child = std::process::Command::new("/bin/cat")
            .stdin(std::process::Stdio::piped())
            .spawn()
            .expect("spawned");
        let pid = i32::try_from(child.id()).expect("small");
        let pidfd = open_pidfd(pid).expect("a pidfd");
        let pending = PendingChild::default();
        pending.slot().store(pidfd.as_raw_fd(), Ordering::SeqCst);
        assert_eq!(pending.pid(), Some(pid));
        assert!(!pending.is_stopped());
        let is = |stopped: bool| {
            let limit = std::time::Instant::now() + std::time::Duration::from_secs(20);
            while pending.is_stopped() != stopped {
                assert!(std::time::Instant::now() < limit, "not in time");
                std::thread::yield_now();
            }
        };
        pending.signal(stop).expect("sent");
        is(true);
        // The query does not consume the state.
        is(true);
        pending.signal(Signal::CONT).expect("sent");
        is(false);
        end_child(&pidfd);
        assert!(child.wait().is_err(), "it was not reaped");
    }

    /// A thread's child counts as long as it has the test's program file and the spawner's thread name.
    #[test]
    fn a_child_before_exec_is_recognized_by_program_and_name() {
        let thread = std::thread::Builder::new().name(SPAWNER_THREAD.to_owned());
        let test = thread.spawn(|| {
            assert!(is_before_exec(super::super::thread_id()));
            let mut child = std::process::Command::new("/bin/cat")
                .stdin(std::process::Stdio::piped())
                .spawn()
                .expect("spawned");
            assert!(!is_before_exec(i32::try_from(child.id()).expect("small")));
            drop(child.stdin.take());
            child.wait().expect("ended");
        });
        test.expect("started").join().expect("as expected");
        let own = i32::try_from(std::process::id()).expect("small");
        assert!(!is_before_exec(own));
    }
}
