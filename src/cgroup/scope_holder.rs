//! The process that keeps the scope alive, which would vanish with its last process: the fd holder, which outlives the
//! daemon. The next daemon finds the fd holder through the scope.

use std::time::Duration;

use crate::domain::Signal;
use crate::fd_holder::{FdHolder, FdHolderError};
use crate::sys::{self, Cgroup, Interest, Poller};

/// The directory of the fd holder in the scope.
pub(super) const DIRECTORY: &str = ".hold";
/// How long the fd holder may take to exit.
const END_WAIT: Duration = Duration::from_secs(2);

/// Starts an fd holder. Returns its pid and its client. It is a child of the daemon.
///
/// # Errors
/// As fork(2); or it does not answer.
pub(super) fn start_holder() -> Result<(i32, FdHolder), FdHolderError> {
    let started = FdHolder::start()?;
    Ok((started.pid, started.client))
}

/// The fd holder in `scope`, if it can be used.
pub(super) fn holder_in(scope: &Cgroup) -> Option<FdHolder> {
    let pids = scope.open(DIRECTORY).and_then(|held| held.pids());
    let found = pids.unwrap_or_default().into_iter();
    for pid in found {
        match FdHolder::find(pid) {
            Ok((holder, _)) => return Some(holder),
            // It holds pipes of programs that nobody reads any more, so programs that write to them would block
            // forever.
            Err(FdHolderError::Late) => end_holder(scope, pid),
            Err(_) => {}
        }
    }
    None
}

/// Sends a signal to all processes that hold the scope.
pub(super) fn signal_all(scope: &Cgroup, signal: Signal) {
    let Ok(directory) = scope.open(DIRECTORY) else {
        return;
    };
    for pid in directory.pids().unwrap_or_default() {
        if let Ok(pidfd) = sys::open_pidfd(pid)
            // The pid may have been reused before the pidfd was opened, but not since.
            && directory.pids().is_ok_and(|pids| pids.contains(&pid))
        {
            let _ = sys::send_signal(&pidfd, signal);
        }
    }
}

/// Kills all processes that hold the scope, and removes their directory.
pub(super) fn end_holders(scope: &Cgroup) {
    let Ok(directory) = scope.open(DIRECTORY) else {
        return;
    };
    for pid in directory.pids().unwrap_or_default() {
        end_holder(scope, pid);
    }
    // The scope and the directory in it may already be gone.
    let _ = scope.remove(DIRECTORY);
}

/// Kills one process that holds the scope.
fn end_holder(scope: &Cgroup, pid: i32) {
    let Ok(directory) = scope.open(DIRECTORY) else {
        return;
    };
    if let Ok(pidfd) = sys::open_pidfd(pid) {
        // The pid may have been reused before the pidfd was opened, but not since.
        if !directory.pids().is_ok_and(|pids| pids.contains(&pid)) {
            return;
        }
        if sys::send_signal(&pidfd, Signal::KILL).is_ok()
            && let Ok(mut poller) = Poller::new()
            && poller.add(&pidfd, 0, Interest::Read).is_ok()
        {
            // If it does not exit in time, nothing more can be done.
            let _ = poller.wait(Some(END_WAIT)).map(Iterator::count);
        }
        // If it is not a child of this daemon, its parent reaps it.
        let _ = sys::reap(&pidfd);
    }
}
