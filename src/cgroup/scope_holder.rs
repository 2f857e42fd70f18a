//! What holds the scope of all programs, which would be gone with its last process: the fd holder, which outlives the daemon.
//! A successor finds the scope by it, and it by the scope.

use std::time::Duration;

use crate::domain::Signal;
use crate::fd_holder::{FdHolder, FdHolderError};
use crate::sys::{self, Cgroup, Interest, Poller};

/// Its directory in the scope.
pub(super) const DIRECTORY: &str = ".hold";
/// How long it may take to end.
const END_WAIT: Duration = Duration::from_secs(2);

/// Starts one; answers its number, and the way to talk to it. It is a child of ours until we end.
///
/// # Errors
/// As for making a process; or it does not answer.
pub(super) fn start_holder() -> Result<(i32, FdHolder), FdHolderError> {
    let started = FdHolder::start()?;
    Ok((started.pid, started.client))
}

/// The fd holder that holds `scope`, if it is one that we can talk to.
pub(super) fn holder_in(scope: &Cgroup) -> Option<FdHolder> {
    let pids = scope.open(DIRECTORY).and_then(|held| held.pids());
    let found = pids.unwrap_or_default().into_iter();
    for pid in found {
        match FdHolder::find(pid) {
            Ok((holder, _)) => return Some(holder),
            // It has pipes of programs open that it never reads, and programs that write to them would wait for ever.
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
            // The number may be another's by now; the descriptor cannot become another's.
            && directory.pids().is_ok_and(|pids| pids.contains(&pid))
        {
            let _ = sys::send_signal(&pidfd, signal);
        }
    }
}

/// Ends whoever holds the scope. The directory goes with it.
pub(super) fn end_holders(scope: &Cgroup) {
    let Ok(directory) = scope.open(DIRECTORY) else {
        return;
    };
    for pid in directory.pids().unwrap_or_default() {
        end_holder(scope, pid);
    }
    // The scope, and this with it, may be gone already.
    let _ = scope.remove(DIRECTORY);
}

/// Ends one that holds the scope.
fn end_holder(scope: &Cgroup, pid: i32) {
    let Ok(directory) = scope.open(DIRECTORY) else {
        return;
    };
    if let Ok(pidfd) = sys::open_pidfd(pid) {
        // The number may be another's by now; the descriptor cannot become another's.
        if !directory.pids().is_ok_and(|pids| pids.contains(&pid)) {
            return;
        }
        if sys::send_signal(&pidfd, Signal::KILL).is_ok()
            && let Ok(mut poller) = Poller::new()
            && poller.add(&pidfd, 0, Interest::Read).is_ok()
        {
            // Late or not, nothing more can be done.
            let _ = poller.wait(Some(END_WAIT)).map(Iterator::count);
        }
        // Where it is not our child, it is another's to reap.
        let _ = sys::reap(&pidfd);
    }
}
