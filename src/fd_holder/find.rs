//! An fd holder that runs, by its pid alone: for a daemon whose service manager has forgotten the client's end, or that has
//! none.

use std::path::PathBuf;

use super::client::{FdHolder, FdHolderError, Hello};
use super::process_setup::CLIENT_END;
use super::wire::{NAME, OLD_NAME};
use crate::domain::Signal;
use crate::sys;

impl FdHolder {
    /// Takes the client's end out of the process `pid`, if that is an fd holder of our user. Others are not touched, and what
    /// they say is not believed: the process must bear the name, be our user's in every respect, hold such a socket where
    /// an fd holder holds it, made by our user, and answer with that very pid.
    ///
    /// # Errors
    /// [`FdHolderError::NotOurs`]: it is something else, or has ended. EBADF: it has no such
    /// descriptor. EPERM: we may not look into it (root without
    /// CAP_SYS_PTRACE in some containers; a user where Yama forbids it). Else as [`FdHolder::from_fd`].
    ///
    /// # Source
    /// pidfd_getfd(2); proc_pid_status(5).
    pub fn find(pid: i32) -> Result<(Self, Hello), FdHolderError> {
        // The number may come to mean another process at any time. What is read by number counts only if the one behind
        // the pidfd, which was opened before, is still there after it.
        let pidfd = sys::open_pidfd(pid).map_err(|_| FdHolderError::NotOurs)?;
        let bears_name = is_named(pid);
        let is_ours = owner(pid) == Some([sys::effective_uid(); 4]);
        let nothing = Signal::from_number(0).ok_or(FdHolderError::NotOurs)?;
        if !bears_name || !is_ours || sys::send_signal(&pidfd, nothing).is_err() {
            return Err(FdHolderError::NotOurs);
        }
        // One that somebody has stopped would not answer.
        let _ = sys::send_signal(&pidfd, Signal::CONT);
        let fd = sys::copy_descriptor(&pidfd, CLIENT_END)?;
        let (client, hello) = Self::from_fd(fd)?;
        if hello.pid == pid {
            Ok((client, hello))
        } else {
            Err(FdHolderError::NotOurs)
        }
    }
}

fn file(pid: i32, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{name}"))
}

fn is_named(pid: i32) -> bool {
    let words = std::fs::read(file(pid, "cmdline")).unwrap_or_default();
    let first = words.split(|&byte| byte == 0).next();
    [NAME, OLD_NAME]
        .iter()
        .any(|name| first == Some(name.as_bytes()))
}

/// Its real, effective and saved user, and that of its file accesses.
fn owner(pid: i32) -> Option<[u32; 4]> {
    let status = std::fs::read_to_string(file(pid, "status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    let numbers: Vec<u32> = line
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    numbers.try_into().ok()
}
