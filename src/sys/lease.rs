//! File leases, for tests of code that blocks on a file. A lease makes every open or exec of the file wait for up to
//! /proc/sys/fs/lease-break-time seconds.
#![expect(unsafe_code, reason = "fcntl, in tests only")]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use std::path::Path;

/// `F_SETSIG` of include/uapi/asm-generic/fcntl.h.
const F_SETSIG: libc::c_int = 10;

/// A write lease. Dropping it releases the lease.
pub(crate) struct FileLease(File);

impl FileLease {
    /// Takes a write lease.
    ///
    /// # Errors
    /// EAGAIN: another process has the file open. EACCES: the file belongs to another user.
    pub(crate) fn acquire(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let number = file.as_raw_fd();
        // Use a signal that is ignored by default, because the default signal for a broken lease would end the test.
        // SAFETY: an open descriptor, and no memory involved.
        let result = unsafe {
            match libc::fcntl(number, F_SETSIG, libc::SIGURG) {
                -1 => -1,
                _ => libc::fcntl(number, libc::F_SETLEASE, libc::F_WRLCK),
            }
        };
        if result == -1 {
            return Err(io::Error::last_os_error());
        }
        Ok(Self(file))
    }
}

impl Drop for FileLease {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { libc::fcntl(self.0.as_raw_fd(), libc::F_SETLEASE, libc::F_UNLCK) };
    }
}
