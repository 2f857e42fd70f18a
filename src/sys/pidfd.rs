//! Pidfds: how children exited, and signals to them. Also orphans, of which only the PID is known.
#![expect(
    unsafe_code,
    reason = "waitid and pidfd_send_signal, for nix knows no real-time signals; calls that it does not know at all"
)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};

use crate::domain::{ExitStatus, Signal};

/// Opens a pidfd of the process that has this PID now. It becomes readable when the process has exited.
/// Close-on-exec.
///
/// # Errors
/// ESRCH: there is no such process. EINVAL, ENOENT: not a PID, or a thread's id. EMFILE, ENOMEM.
///
/// # Source
/// pidfd_open(2).
pub fn open_pidfd(pid: i32) -> io::Result<OwnedFd> {
    // SAFETY: no memory involved.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    match RawFd::try_from(fd) {
        // SAFETY: a new descriptor that no other code knows.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Duplicates the descriptor `number` of another process. Close-on-exec.
///
/// # Errors
/// EPERM: we may not access that process (ptrace(2), `PTRACE_MODE_ATTACH_REALCREDS`). EBADF: it has no such
/// descriptor. ESRCH: it has exited. EMFILE.
///
/// # Source
/// pidfd_getfd(2), Linux 5.6.
pub fn copy_descriptor(pidfd: &impl AsFd, number: RawFd) -> io::Result<OwnedFd> {
    let pidfd = pidfd.as_fd().as_raw_fd();
    // SAFETY: no memory involved.
    let fd = unsafe { libc::syscall(libc::SYS_pidfd_getfd, pidfd, number, 0) };
    match RawFd::try_from(fd) {
        // SAFETY: a new descriptor that no other code knows.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The first version of the kernel's struct about the process of a pidfd. Later versions append fields.
///
/// # Source
/// include/uapi/linux/pidfd.h, `struct pidfd_info`.
#[repr(C)]
#[derive(Default)]
struct PidfdInfo {
    mask: u64,
    cgroup: u64,
    /// Ids of processes, users and groups.
    ids: [u32; 11],
    exit_code: i32,
}

/// `_IOWR(0xFF, 11, struct pidfd_info)`, with the size of the first version.
const PIDFD_GET_INFO: libc::c_ulong = 0xC040_FF0B;
/// Mask bit: requests the exit status, and reports that it is available.
const PIDFD_INFO_EXIT: u64 = 1 << 3;

/// How a process exited. The process need not be our child. `None`: its parent has not reaped it yet. The pidfd must
/// have been opened before the process exited.
///
/// The pidfd becomes readable (POLLIN) when the process has exited, but the status is available only after its parent
/// has reaped it. Then poll also reports POLLHUP. After POLLIN alone, wait for POLLHUP and ask then.
///
/// # Errors
/// `Unsupported`: this kernel cannot report it. Linux 6.13 and 6.14 may say so only after the process was reaped.
///
/// # Source
/// include/uapi/linux/pidfd.h, `PIDFD_GET_INFO` and `PIDFD_INFO_EXIT`, Linux 6.15.
pub fn exit_status(pidfd: &impl AsFd) -> io::Result<Option<ExitStatus>> {
    let mut info = PidfdInfo {
        mask: PIDFD_INFO_EXIT,
        ..PidfdInfo::default()
    };
    let pidfd = pidfd.as_fd().as_raw_fd();
    // SAFETY: the descriptor is open while it is borrowed; the kernel reads and writes the struct, whose size is part of the
    // request's number. On something other than a pidfd the request is unknown, since its letter is pidfs's own.
    if unsafe { libc::ioctl(pidfd, PIDFD_GET_INFO as _, &raw mut info) } == -1 {
        let error = io::Error::last_os_error();
        return match error.raw_os_error() {
            Some(libc::ENOTTY | libc::EINVAL | libc::ESRCH) => {
                Err(io::Error::new(io::ErrorKind::Unsupported, error))
            }
            _ => Err(error),
        };
    }
    Ok((info.mask & PIDFD_INFO_EXIT != 0).then(|| from_wait_status(info.exit_code)))
}

/// Decodes a status in the format of wait(2).
fn from_wait_status(status: i32) -> ExitStatus {
    let (low, high) = (status & 0x7f, (status >> 8) & 0xff);
    match low {
        0 => decode(libc::CLD_EXITED, high),
        _ if status & 0x80 == 0 => decode(libc::CLD_KILLED, low),
        _ => decode(libc::CLD_DUMPED, low),
    }
}

/// The PID of the process of this pidfd. `None`: it has exited and been reaped.
///
/// # Source
/// proc_pid_fdinfo(5).
#[must_use]
pub fn pid_of(pidfd: &impl AsFd) -> Option<i32> {
    let path = format!("/proc/self/fdinfo/{}", pidfd.as_fd().as_raw_fd());
    let text = std::fs::read_to_string(path).ok()?;
    let number = text.lines().find_map(|line| line.strip_prefix("Pid:"))?;
    number.trim().parse().ok().filter(|&pid| pid > 0)
}

/// Reaps the child if it has exited, and returns its PID and exit status. `None`: it has not exited.
///
/// # Errors
/// ECHILD: it is not (or no longer) our child.
///
/// # Source
/// waitid(2), P_PIDFD.
pub fn reap(pidfd: &impl AsFd) -> io::Result<Option<(i32, ExitStatus)>> {
    wait_id(libc::P_PIDFD, number(pidfd), libc::WEXITED | libc::WNOHANG)
}

/// Kills the child, waits until it has exited, and reaps it. Other code may have reaped it.
pub fn end_child(pidfd: &impl AsFd) {
    let _ = send_signal(pidfd, Signal::KILL);
    let _ = wait(pidfd);
}

/// Waits until the child has exited, and reaps it.
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

/// Returns the PID of a child that has exited and waits to be reaped: our own or an orphan (PID 1 and subreapers
/// inherit orphans). It is not reaped. A supervised process must be reaped by its pidfd, or the code that waits for
/// its status loses it. `None`: there is none.
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

/// Reaps an orphan that [`peek_ended`] returned.
///
/// # Errors
/// ECHILD: we have no child with this PID.
pub fn reap_stranger(pid: i32) -> io::Result<Option<ExitStatus>> {
    let id = libc::id_t::try_from(pid).map_err(|_| io::ErrorKind::InvalidInput)?;
    let result = wait_id(libc::P_PID, id, libc::WEXITED | libc::WNOHANG)?;
    Ok(result.map(|(_, status)| status))
}

/// Sends a signal to the process, not to its group. Signal 0 only checks that the process exists; zombies do.
///
/// # Errors
/// ESRCH: it has been reaped. EPERM: we lack the privilege to signal it.
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

/// Sends a signal to the process group that the child of this pidfd and PID leads.
///
/// Only the reaping thread may call it. A group has no pidfd, only a number. The number means our group as long as
/// its leader has not been reaped, because a zombie keeps its PID. The pidfd is checked for that first, and since no
/// other thread reaps, it stays true until the signal is sent.
///
/// # Errors
/// ESRCH: the leader has been reaped, or has left its group and the group is empty. EPERM: no member may be
/// signalled.
pub fn send_group_signal(pidfd: &impl AsFd, pid: i32, signal: Signal) -> io::Result<()> {
    // As groups, 0 and 1 would mean our own group and all processes.
    if pid <= 1 {
        return Err(io::Error::from_raw_os_error(libc::ESRCH));
    }
    if let Some(nothing) = Signal::from_number(0) {
        match send_signal(pidfd, nothing) {
            // The leader may have changed its UID. Other members of its group may still accept our signals.
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

/// A descriptor as waitid expects it. Descriptors are never negative.
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
    fn a_pidfd_is_opened_while_the_process_exists() {
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

    /// Starts a grandchild that runs `script` after a line on its parent's standard input. The parent then reaps it.
    fn grandchild(script: &str) -> (OwnedFd, std::process::Child) {
        let parent = format!("exec 3<&0; sh -c 'read line; {script}' <&3 & echo $!; wait");
        let mut parent = std::process::Command::new("/bin/sh")
            .args(["-c", &parent])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("started");
        let mut line = String::new();
        let stdout = parent.stdout.take().expect("piped");
        io::BufRead::read_line(&mut io::BufReader::new(stdout), &mut line).expect("told");
        let pid = line.trim().parse().expect("a number");
        (open_pidfd(pid).expect("alive"), parent)
    }

    /// Waits until poll reports `what` for the pidfd.
    fn wait_for(pidfd: &OwnedFd, what: nix::poll::PollFlags) {
        use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
        let until = std::time::Instant::now() + std::time::Duration::from_secs(20);
        loop {
            let mut ask = [PollFd::new(pidfd.as_fd(), what & PollFlags::POLLIN)];
            poll(&mut ask, PollTimeout::from(1000_u16)).expect("asked");
            if ask[0].revents().is_some_and(|found| found.contains(what)) {
                return;
            }
            assert!(std::time::Instant::now() < until, "in vain: {what:?}");
        }
    }

    #[test]
    fn the_status_of_a_foreign_child_is_reported_when_it_is_reaped() {
        use std::io::Write as _;
        let killed = ExitStatus::Signalled {
            signal: Signal::KILL,
            dumped: false,
        };
        for (script, expected) in [("exit 42", ExitStatus::Exited(42)), ("kill -9 $$", killed)] {
            let (pidfd, mut parent) = grandchild(script);
            let pid = i32::try_from(parent.id()).expect("small");
            let holder = open_pidfd(pid).expect("alive");
            let told = exit_status(&pidfd);
            if matches!(&told, Err(error) if error.kind() == io::ErrorKind::Unsupported) {
                eprintln!("skipped: this kernel does not tell");
                parent.kill().expect("killed");
                parent.wait().expect("reaped");
                return;
            }
            assert_eq!(told.expect("asked"), None);
            // A stopped parent reaps nothing, so the zombie stays.
            send_signal(&holder, Signal::parse("STOP").expect("a signal")).expect("stopped");
            let mut stdin = parent.stdin.take().expect("piped");
            stdin.write_all(b"now\n").expect("room");
            wait_for(&pidfd, nix::poll::PollFlags::POLLIN);
            assert_eq!(exit_status(&pidfd).expect("asked"), None);
            assert!(reap(&pidfd).is_err(), "it is no child of ours");
            send_signal(&holder, Signal::parse("CONT").expect("a signal")).expect("goes on");
            parent.wait().expect("reaped");
            match exit_status(&pidfd) {
                // Before 6.15 the kernel reports only now that it has no exit status.
                Err(error) if error.kind() == io::ErrorKind::Unsupported => return,
                told => assert_eq!(told.expect("asked"), Some(expected)),
            }
            wait_for(
                &pidfd,
                nix::poll::PollFlags::POLLIN | nix::poll::PollFlags::POLLHUP,
            );
        }
        let null = std::fs::File::open("/dev/null").expect("there");
        let error = exit_status(&null).expect_err("no process");
        assert_eq!(error.kind(), io::ErrorKind::Unsupported);
    }

    #[test]
    fn statuses_are_decoded_as_by_wait() {
        let signalled = |number, dumped| ExitStatus::Signalled {
            signal: Signal::from_kernel(number).expect("signal"),
            dumped,
        };
        for (status, expected) in [
            (0, ExitStatus::Exited(0)),
            (0x2a00, ExitStatus::Exited(42)),
            (0xff00, ExitStatus::Exited(255)),
            (9, signalled(9, false)),
            (0x8b, signalled(11, true)),
            (64, signalled(64, false)),
        ] {
            assert_eq!(from_wait_status(status), expected, "{status:#x}");
        }
    }

    #[test]
    fn a_descriptor_of_another_process_is_the_same_file() {
        use std::io::{Read as _, Write as _};
        let mut child = std::process::Command::new("/bin/cat")
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .expect("started");
        let pidfd = open_pidfd(i32::try_from(child.id()).expect("small")).expect("alive");
        let mut theirs = std::fs::File::from(copy_descriptor(&pidfd, 1).expect("allowed"));
        theirs.write_all(b"through its own end").expect("room");
        drop(theirs);
        assert!(copy_descriptor(&pidfd, 999).is_err());
        drop(child.stdin.take());
        let mut text = String::new();
        let mut stdout = child.stdout.take().expect("piped");
        stdout.read_to_string(&mut text).expect("read");
        assert_eq!(text, "through its own end");
        child.wait().expect("reaped");
        assert!(copy_descriptor(&pidfd, 1).is_err());
    }

    #[test]
    fn log_03_siginfo_codes_become_statuses() {
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
