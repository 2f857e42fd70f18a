//! Finds a running fd holder by its pid alone: for a daemon whose service manager has lost the client's end, or that
//! has no service manager.

use std::path::PathBuf;

use super::client::{FdHolder, FdHolderError, Hello};
use super::process_setup::CLIENT_END;
use super::wire::{NAME, OLD_NAME};
use crate::domain::Signal;
use crate::sys;

impl FdHolder {
    /// Takes the client's end out of the process `pid`, if that is an fd holder of this user. Other processes are not
    /// touched or trusted: the process must have the name, have only this user's uids, hold a socket made by this user
    /// at the fixed descriptor number, and answer with that pid.
    ///
    /// # Errors
    /// [`FdHolderError::NotOurs`]: it is another process, or has exited. EBADF: it has no such descriptor. EPERM:
    /// ptrace access is denied (root without CAP_SYS_PTRACE in some containers; other users by Yama). Otherwise as
    /// [`FdHolder::from_fd`].
    ///
    /// # Source
    /// pidfd_getfd(2); proc_pid_status(5).
    pub fn find(pid: i32) -> Result<(Self, Hello), FdHolderError> {
        // The pid may be reused at any time. Information that was read by pid counts only if the process of the pidfd,
        // which was opened before, still exists afterwards.
        let pidfd = sys::open_pidfd(pid).map_err(|_| FdHolderError::NotOurs)?;
        let bears_name = is_named(pid);
        let is_ours = owner(pid) == Some([sys::effective_uid(); 4]);
        let nothing = Signal::from_number(0).ok_or(FdHolderError::NotOurs)?;
        if !bears_name || !is_ours || sys::send_signal(&pidfd, nothing).is_err() {
            return Err(FdHolderError::NotOurs);
        }
        // A stopped process would not answer.
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

/// Its real, effective, saved and file system uid.
fn owner(pid: i32) -> Option<[u32; 4]> {
    let status = std::fs::read_to_string(file(pid, "status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    let numbers: Vec<u32> = line
        .split_whitespace()
        .filter_map(|word| word.parse().ok())
        .collect();
    numbers.try_into().ok()
}
