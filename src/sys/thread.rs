//! Threads of this process by their ids: whether one still exists, and a descriptor that reports its end.
#![expect(
    unsafe_code,
    reason = "calls about threads that neither std nor nix knows"
)]

use std::io::{self, Read as _};
use std::os::fd::{FromRawFd, OwnedFd, RawFd};

/// `PIDFD_THREAD` of include/uapi/linux/pidfd.h, which has the value of `O_EXCL`.
const PIDFD_THREAD: libc::c_int = libc::O_EXCL;

/// The id of the calling thread.
///
/// # Source
/// gettid(2).
#[must_use]
pub fn thread_id() -> i32 {
    // Do not use the C library's function: std refers to it weakly, so a static binary may lack it and jump to
    // address 0.
    // SAFETY: no memory involved; it cannot fail.
    let id = unsafe { libc::syscall(libc::SYS_gettid) };
    // Linux has no larger thread IDs.
    i32::try_from(id).unwrap_or(0)
}

/// Whether this process has a thread with this id. False as soon as the thread has ended, however it ended.
///
/// # Source
/// tgkill(2) with signal 0. The main thread stays a zombie while others live, which only /proc shows
/// (proc_pid_stat(5)).
#[must_use]
pub fn has_thread(id: i32) -> bool {
    // SAFETY: no memory involved, and no signal is sent.
    let is_known = unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), id, 0) == 0 };
    // SAFETY: no memory involved; it cannot fail.
    let is_main = unsafe { libc::getpid() } == id;
    is_known && !(is_main && is_zombie(id))
}

/// Whether the thread is a zombie. Without /proc this is unknown, and the thread counts as alive.
fn is_zombie(id: i32) -> bool {
    // The state follows the number and the name, which have less than thirty bytes. One read: the monitor asks often.
    let mut stat = [0; 128];
    let file = std::fs::File::open(format!("/proc/self/task/{id}/stat"));
    let length = file.and_then(|mut file| file.read(&mut stat)).unwrap_or(0);
    let stat = &stat[..length];
    let name_end = stat.iter().rposition(|&byte| byte == b')');
    let state = name_end.and_then(|end| stat.get(end + 2));
    matches!(state, Some(b'Z' | b'X'))
}

/// Opens a descriptor of the thread `id` of this process. It becomes readable when the thread has ended.
/// Close-on-exec.
///
/// # Errors
/// EINVAL: the kernel is older than 6.9. ESRCH: the thread has ended. EMFILE, ENOMEM.
///
/// # Source
/// pidfd_open(2), `PIDFD_THREAD`.
pub fn open_thread(id: i32) -> io::Result<OwnedFd> {
    // SAFETY: no memory involved.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, id, PIDFD_THREAD) };
    match RawFd::try_from(fd) {
        // SAFETY: a new descriptor that no other code knows.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::{Interest, Poller};
    use std::sync::mpsc::channel;
    use std::time::Duration;

    #[test]
    fn the_exit_of_a_thread_is_detected() {
        let (tell, told) = channel();
        let (release, released) = channel::<()>();
        let thread = std::thread::spawn(move || {
            tell.send(thread_id()).expect("told");
            let _ = released.recv();
        });
        let id = told.recv().expect("an id");
        assert!(has_thread(id));
        let descriptor = open_thread(id);
        drop(release);
        thread.join().expect("joined");
        match descriptor {
            Ok(descriptor) => {
                let mut poller = Poller::new().expect("epoll");
                poller.add(&descriptor, 1, Interest::Read).expect("added");
                let limit = Some(Duration::from_secs(20));
                assert_eq!(poller.wait(limit).expect("waited").count(), 1);
            }
            // The kernel is older than 6.9.
            Err(error) => assert_eq!(error.raw_os_error(), Some(libc::EINVAL)),
        }
        // The kernel wakes `join` a moment before the thread is gone.
        let limit = std::time::Instant::now() + Duration::from_secs(20);
        while has_thread(id) {
            assert!(std::time::Instant::now() < limit, "the thread stays");
            std::thread::yield_now();
        }
    }
}
