//! Processes by their pidfds: how children ended, and signals to them. Also the strangers that only a pid is known of.
#![expect(
    unsafe_code,
    reason = "waitid and pidfd_send_signal, for nix knows no real-time signals"
)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use crate::domain::{ExitStatus, Signal};

/// A descriptor of the process that has this number now; readable once that has ended. Close-on-exec.
///
/// # Errors
/// ESRCH: there is none. EINVAL, ENOENT: not a process's number, or a thread's. EMFILE, ENOMEM.
///
/// # Source
/// pidfd_open(2).
pub fn open_pidfd(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: no memory involved.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    match RawFd::try_from(fd) {
        // SAFETY: a new descriptor that nobody else knows.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Reaps the child, if it has ended: its pid and how.
///
/// # Errors
/// ECHILD: it is not (or no longer) a child of ours.
///
/// # Source
/// waitid(2), P_PIDFD.
pub fn reap(pidfd: &impl AsFd) -> io::Result<Option<(i32, ExitStatus)>> {
    wait_id(libc::P_PIDFD, number(pidfd), libc::WEXITED | libc::WNOHANG)
}

/// Waits until the child has ended, and reaps it.
pub(super) fn wait(pidfd: &impl AsFd) -> io::Result<ExitStatus> {
    loop {
        match wait_id(libc::P_PIDFD, number(pidfd), libc::WEXITED) {
            Ok(Some((_, status))) => return Ok(status),
            Ok(None) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// The pid of some child that has ended and waits to be reaped, ours or a stranger's (as PID 1 or subreaper we are given
/// orphans). It stays unreaped: one of ours must be reaped by its pidfd, or its status is lost to the one who waits for it.
///
/// # Errors
/// None that a correct caller can cause.
pub fn peek_ended() -> io::Result<Option<i32>> {
    let options = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
    match wait_id(libc::P_ALL, 0, options) {
        Err(error) if error.raw_os_error() == Some(libc::ECHILD) => Ok(None),
        result => Ok(result?.map(|(pid, _)| pid)),
    }
}

/// Reaps a stranger that [`peek_ended`] showed.
///
/// # Errors
/// ECHILD: no child of ours has this pid.
pub fn reap_stranger(pid: i32) -> io::Result<Option<ExitStatus>> {
    let id = libc::id_t::try_from(pid).map_err(|_| io::ErrorKind::InvalidInput)?;
    let result = wait_id(libc::P_PID, id, libc::WEXITED | libc::WNOHANG)?;
    Ok(result.map(|(_, status)| status))
}

/// Sends a signal to the process (not its group). Signal 0 only asks whether it is there; a zombie is.
///
/// # Errors
/// ESRCH: it has been reaped. EPERM: it runs with rights that we have not.
///
/// # Source
/// pidfd_send_signal(2).
pub fn send_signal(pidfd: &impl AsFd, signal: Signal) -> io::Result<()> {
    let no_info = std::ptr::null::<libc::siginfo_t>();
    // SAFETY: an open descriptor; without siginfo no memory is involved.
    let result = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_fd().as_raw_fd(),
            signal.number(),
            no_info,
            0,
        )
    };
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Sends a signal to the process group that the child of this pidfd and pid leads.
///
/// To be called by the thread that reaps. A group is known by number only, and the number is certain to mean our group
/// just as long as its leader is unreaped (a zombie keeps its number): that is asked of the pidfd first, and since nobody
/// else reaps, it stays true until the signal is sent.
///
/// # Errors
/// ESRCH: the leader has been reaped, or has left its group and nobody is in it. EPERM: no member may be signalled.
pub fn send_group_signal(pidfd: &impl AsFd, pid: i32, signal: Signal) -> io::Result<()> {
    // 0 and 1 as a group would mean ourselves, and everybody.
    if pid <= 1 {
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    if let Some(nothing) = Signal::from_number(0) {
        match send_signal(pidfd, nothing) {
            // The leader may have changed its uid; members of its group may still be ours to signal.
            Err(error) if error.raw_os_error() == Some(libc::EPERM) => {}
            result => result?,
        }
    }
    // SAFETY: no memory involved.
    if unsafe { libc::kill(-pid, signal.number()) } == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// A descriptor as waitid takes it. Descriptors are never negative.
fn number(pidfd: &impl AsFd) -> libc::id_t {
    pidfd.as_fd().as_raw_fd().unsigned_abs()
}

fn wait_id(
    kind: libc::idtype_t,
    id: libc::id_t,
    options: i32,
) -> io::Result<Option<(i32, ExitStatus)>> {
    // SAFETY: an all-zero siginfo is a valid one.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    // SAFETY: the struct is live and writable.
    if unsafe { libc::waitid(kind, id, &raw mut info, options) } == -1 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: waitid fills in these fields, or leaves them zero when there is nothing to report.
    let (pid, status) = unsafe { (info.si_pid(), info.si_status()) };
    Ok((pid != 0).then(|| (pid, decode(info.si_code, status))))
}

fn decode(code: i32, status: i32) -> ExitStatus {
    let signal = Signal::from_kernel(status);
    match (code, u8::try_from(status), signal) {
        (libc::CLD_EXITED, Ok(status), _) => ExitStatus::Exited(status),
        (libc::CLD_KILLED, _, Some(signal)) => ExitStatus::Signalled {
            signal,
            dumped: false,
        },
        (libc::CLD_DUMPED, _, Some(signal)) => ExitStatus::Signalled {
            signal,
            dumped: true,
        },
        _ => ExitStatus::Unknown(status),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_opened_by_its_number_while_it_has_one() {
        let mut child = std::process::Command::new("/bin/sleep")
            .arg("1000")
            .spawn()
            .expect("started");
        let pid = i32::try_from(child.id()).expect("small");
        let pidfd = open_pidfd(pid).expect("open");
        let nothing = Signal::from_number(0).expect("accepted");
        send_signal(&pidfd, nothing).expect("it is there");
        child.kill().expect("killed");
        child.wait().expect("reaped");
        let gone = send_signal(&pidfd, nothing).expect_err("gone");
        assert_eq!(gone.raw_os_error(), Some(libc::ESRCH));
        assert!(open_pidfd(0).is_err());
        assert!(open_pidfd(-1).is_err());
    }

    #[test]
    fn log_03_codes_of_the_kernel_become_statuses() {
        let signal = |number| Signal::from_kernel(number).expect("signal");
        for (code, status, expected) in [
            (
                libc::CLD_KILLED,
                33,
                ExitStatus::Signalled {
                    signal: signal(33),
                    dumped: false,
                },
            ),
            (libc::CLD_EXITED, 0, ExitStatus::Exited(0)),
            (libc::CLD_EXITED, 255, ExitStatus::Exited(255)),
            (
                libc::CLD_KILLED,
                9,
                ExitStatus::Signalled {
                    signal: signal(9),
                    dumped: false,
                },
            ),
            (
                libc::CLD_DUMPED,
                11,
                ExitStatus::Signalled {
                    signal: signal(11),
                    dumped: true,
                },
            ),
            (
                libc::CLD_KILLED,
                64,
                ExitStatus::Signalled {
                    signal: signal(64),
                    dumped: false,
                },
            ),
            (libc::CLD_KILLED, 65, ExitStatus::Unknown(65)),
            (libc::CLD_STOPPED, 19, ExitStatus::Unknown(19)),
        ] {
            assert_eq!(decode(code, status), expected);
        }
    }
}
