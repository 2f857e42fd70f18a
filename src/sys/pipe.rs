//! The fill level and the capacity of pipes.
#![expect(
    unsafe_code,
    reason = "FIONREAD is an ioctl, and nix wraps none without unsafe"
)]

use std::io;
use std::os::fd::{AsFd, AsRawFd};

use nix::fcntl::{FcntlArg, fcntl};

/// Number of bytes that can be read from the pipe `fd` now.
///
/// # Errors
/// ENOTTY: `fd` does not support it.
///
/// # Source
/// ioctl_list(2), FIONREAD; pipe(7).
pub fn unread(fd: impl AsFd) -> io::Result<usize> {
    let mut count: libc::c_int = 0;
    // SAFETY: the descriptor is open while it is borrowed, and FIONREAD writes one int through the pointer, which is live.
    let result = unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), libc::FIONREAD, &raw mut count) };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(usize::try_from(count).unwrap_or(0))
}

/// Grows the capacity of the pipe `fd` to at least `bytes`. Returns its capacity in bytes.
///
/// # Errors
/// EPERM: the user has too many large pipes (/proc/sys/fs/pipe-user-pages-soft), or `bytes` is above
/// /proc/sys/fs/pipe-max-size. ENOMEM. EBUSY: the pipe holds more data than the new capacity.
///
/// # Source
/// fcntl(2), F_SETPIPE_SZ; pipe(7).
pub fn grow_pipe(fd: impl AsFd, bytes: usize) -> io::Result<usize> {
    let bytes = libc::c_int::try_from(bytes).unwrap_or(libc::c_int::MAX);
    let size = fcntl(fd, FcntlArg::F_SETPIPE_SZ(bytes))?;
    Ok(usize::try_from(size).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn unread_returns_the_bytes_in_a_pipe() {
        let (reader, mut writer) = io::pipe().expect("pipe");
        assert_eq!(unread(&reader).expect("pipe"), 0);
        writer.write_all(b"12345").expect("room");
        assert_eq!(unread(&reader).expect("pipe"), 5);
        assert!(unread(std::fs::File::open("/dev/null").expect("there")).is_err());
    }

    #[test]
    fn a_pipe_grows_and_keeps_its_bytes() {
        let (reader, mut writer) = io::pipe().expect("pipe");
        writer.write_all(b"12345").expect("room");
        assert_eq!(grow_pipe(&reader, 200_000).expect("granted"), 256 << 10);
        assert_eq!(unread(&reader).expect("pipe"), 5);
        assert!(grow_pipe(&reader, usize::MAX).is_err());
        assert!(grow_pipe(std::fs::File::open("/dev/null").expect("there"), 1).is_err());
    }
}
