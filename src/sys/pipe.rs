//! How much a pipe holds.
#![expect(
    unsafe_code,
    reason = "FIONREAD is an ioctl, and nix wraps none without unsafe"
)]

use std::io;
use std::os::fd::{AsFd, AsRawFd};

/// How many bytes can be read from the pipe `fd` now.
///
/// # Errors
/// ENOTTY if `fd` is something that cannot tell.
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn a_pipe_tells_what_it_holds() {
        let (reader, mut writer) = io::pipe().expect("pipe");
        assert_eq!(unread(&reader).expect("pipe"), 0);
        writer.write_all(b"12345").expect("room");
        assert_eq!(unread(&reader).expect("pipe"), 5);
        assert!(unread(std::fs::File::open("/dev/null").expect("there")).is_err());
    }
}
