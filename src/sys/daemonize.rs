//! Leaving the terminal. The order of the steps is the daemon's; between them it logs.
#![expect(unsafe_code, reason = "fork")]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use nix::sys::stat::{Mode, umask};
use nix::unistd::{ForkResult, fork, setsid};

/// Goes on in a new process; the old one ends with status 0 at once, without running anything. Returns in the new one.
///
/// # Errors
/// EBUSY: we have threads already, which would be lost. EAGAIN, ENOMEM: no process to be had; we are the old one still.
///
/// # Source
/// fork(2).
pub fn into_background() -> io::Result<()> {
    if threads()? != 1 {
        return Err(io::Error::from_raw_os_error(libc::EBUSY));
    }
    // SAFETY: there is no other thread, so nothing is left half-done in the copy.
    match unsafe { fork() }? {
        ForkResult::Child => Ok(()),
        // SAFETY: ends without running exit handlers, which are the new process's now.
        ForkResult::Parent { .. } => unsafe { libc::_exit(0) },
    }
}

/// Becomes the leader of a new session, without a terminal.
///
/// # Errors
/// EPERM: we lead a process group already.
pub fn new_session() -> io::Result<()> {
    setsid()?;
    Ok(())
}

/// Points descriptors 0, 1 and 2 at the null device.
///
/// # Errors
/// It cannot be opened.
pub fn detach_stdio() -> io::Result<()> {
    let null: OwnedFd = File::options()
        .read(true)
        .write(true)
        .open("/dev/null")?
        .into();
    for number in 0..=2 {
        if number != null.as_raw_fd() {
            point(number, &null)?;
        }
    }
    if null.as_raw_fd() <= 2 {
        // It has become one of the three itself: it must stay open, across exec too.
        keep(null);
    }
    Ok(())
}

/// Opens the null device wherever descriptors 0, 1 and 2 are closed, so that nothing we open gets a number that
/// everybody takes for a standard stream. The first thing a daemon does.
///
/// # Errors
/// It cannot be opened.
pub fn ensure_stdio() -> io::Result<()> {
    loop {
        let null: OwnedFd = File::options()
            .read(true)
            .write(true)
            .open("/dev/null")?
            .into();
        if null.as_raw_fd() > 2 {
            return Ok(());
        }
        keep(null);
    }
}

/// Sets the mask of file modes.
pub fn set_umask(mask: u32) {
    umask(Mode::from_bits_truncate(mask));
}

fn point(number: RawFd, target: &OwnedFd) -> io::Result<()> {
    // SAFETY: replaces a standard stream, which nobody owns.
    let result = unsafe { libc::dup2(target.as_raw_fd(), number) };
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Leaves a standard stream open for ever.
fn keep(stream: OwnedFd) {
    use std::os::fd::IntoRawFd;
    let number = stream.into_raw_fd();
    // SAFETY: F_SETFD uses no memory.
    unsafe { libc::fcntl(number, libc::F_SETFD, 0) };
}

/// How many threads we have.
fn threads() -> io::Result<usize> {
    Ok(std::fs::read_dir("/proc/self/task")?.count())
}
