//! Locks on single bytes of a file or directory. The kernel releases a lock when its process ends, however it ends.

use std::io;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

/// The kind of a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockKind {
    /// No other process may hold a lock. The file must be open for writing.
    Exclusive,
    /// Other processes may hold shared locks. The file must be open for reading and may be a directory.
    Shared,
}

/// The byte offset for `name`. The offsets are beyond any real file, and two names hardly ever share one.
///
/// # Source
/// FNV-1a, which returns the same number in every build.
#[must_use]
pub fn byte_of(name: &[u8]) -> i64 {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for &byte in name {
        hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    }
    i64::try_from(hash >> 2).unwrap_or(0)
}

/// Locks one byte until the file is closed. Returns false if another holder prevents that.
///
/// # Errors
/// ENOLCK, EBADF, EINVAL: the file system does not support locks, or the file's open mode does not fit.
///
/// # Source
/// fcntl_locking(2), open file description locks.
pub fn lock_byte(file: &impl AsFd, byte: i64, kind: LockKind) -> io::Result<bool> {
    match fcntl(file.as_fd(), FcntlArg::F_OFD_SETLK(&region(byte, kind))) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Whether another holder has a lock of either kind on this byte.
///
/// # Errors
/// As [`lock_byte`].
pub fn is_byte_locked(file: &impl AsFd, byte: i64) -> io::Result<bool> {
    let mut found = region(byte, LockKind::Exclusive);
    fcntl(file.as_fd(), FcntlArg::F_OFD_GETLK(&mut found))?;
    Ok(i32::from(found.l_type) != libc::F_UNLCK)
}

fn region(byte: i64, kind: LockKind) -> libc::flock {
    let kind = match kind {
        LockKind::Exclusive => libc::F_WRLCK,
        LockKind::Shared => libc::F_RDLCK,
    };
    libc::flock {
        l_type: i16::try_from(kind).unwrap_or(0),
        l_whence: 0,
        l_start: byte,
        l_len: 1,
        l_pid: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{File, OpenOptions};

    #[test]
    fn a_byte_of_a_file_has_one_owner() {
        let path = std::env::temp_dir().join(format!("byte-lock-{}", std::process::id()));
        let open = || {
            let mut options = OpenOptions::new();
            options.read(true).write(true).create(true).truncate(false);
            options.open(&path).expect("opened")
        };
        let (first, second) = (open(), open());
        let byte = byte_of(b"a");
        assert_ne!(byte, byte_of(b"b"));
        assert!(lock_byte(&first, byte, LockKind::Exclusive).expect("locked"));
        assert!(!lock_byte(&second, byte, LockKind::Exclusive).expect("asked"));
        assert!(is_byte_locked(&second, byte).expect("asked"));
        assert!(!is_byte_locked(&first, byte).expect("asked"), "its own");
        assert!(!is_byte_locked(&second, byte_of(b"b")).expect("asked"));
        drop(first);
        assert!(lock_byte(&second, byte, LockKind::Exclusive).expect("locked"));
        std::fs::remove_file(path).expect("removed");
    }

    #[test]
    fn a_byte_of_a_directory_is_shared() {
        let path = std::env::temp_dir().join(format!("byte-lock-dir-{}", std::process::id()));
        std::fs::create_dir(&path).expect("made");
        let open = || File::open(&path).expect("opened");
        let (first, second, third) = (open(), open(), open());
        assert!(lock_byte(&first, 7, LockKind::Shared).expect("locked"));
        assert!(lock_byte(&second, 7, LockKind::Shared).expect("locked"));
        assert!(is_byte_locked(&first, 7).expect("asked"));
        drop(first);
        assert!(!is_byte_locked(&second, 7).expect("asked"));
        assert!(is_byte_locked(&third, 7).expect("asked"));
        std::fs::remove_dir(path).expect("removed");
    }
}
