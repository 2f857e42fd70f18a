//! Passes descriptors from one image of this process to the next, and executes the next image.
#![expect(
    unsafe_code,
    reason = "bare numbers become owned descriptors; execve with raw pointers"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use nix::fcntl::{FcntlArg, FdFlag, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};
use nix::unistd::write;

/// Descriptors by name.
pub type NamedFds = BTreeMap<String, OwnedFd>;

/// Inherited descriptors are moved to this number or higher. Low numbers are reserved for the descriptors that every
/// spawn copies (see [`super::Spawner`]).
const FIRST_NUMBER: RawFd = 256;

/// Whether the inherited descriptors have been taken.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// Creates a memory file with these bytes, sealed against changes and positioned at the start. Close-on-exec.
///
/// # Errors
/// ENOMEM, EMFILE.
///
/// # Source
/// memfd_create(2), F_ADD_SEALS(2const).
pub fn sealed_memory(name: &str, bytes: &[u8]) -> io::Result<OwnedFd> {
    let flags = MFdFlags::MFD_CLOEXEC | MFdFlags::MFD_ALLOW_SEALING;
    let memory = memfd_create(name, flags)?;
    let mut rest = bytes;
    while !rest.is_empty() {
        rest = &rest[write(&memory, rest)?..];
    }
    let seals = SealFlag::F_SEAL_WRITE
        | SealFlag::F_SEAL_GROW
        | SealFlag::F_SEAL_SHRINK
        | SealFlag::F_SEAL_SEAL;
    fcntl(memory.as_fd(), FcntlArg::F_ADD_SEALS(seals))?;
    nix::unistd::lseek(&memory, 0, nix::unistd::Whence::SeekSet)?;
    Ok(memory)
}

/// Reads the bytes of a [`sealed_memory`] descriptor, at most `limit`.
///
/// # Errors
/// InvalidData: the descriptor is not sealed, so another process may change it, or it is longer than `limit`.
pub fn read_sealed(memory: &impl AsFd, limit: u64) -> io::Result<Vec<u8>> {
    let seals = fcntl(memory.as_fd(), FcntlArg::F_GET_SEALS).map_err(|error| match error {
        nix::errno::Errno::EBADF => error.into(),
        _ => io::Error::new(io::ErrorKind::InvalidData, "not a sealed memory file"),
    })?;
    if seals & SealFlag::F_SEAL_WRITE.bits() == 0 {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "not sealed"));
    }
    let file = std::fs::File::from(memory.as_fd().try_clone_to_owned()?);
    let size = file.metadata()?.len();
    if size > limit {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "too long"));
    }
    let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
    std::os::unix::fs::FileExt::read_exact_at(&file, &mut bytes, 0)?;
    Ok(bytes)
}

/// Reads and closes a [`sealed_memory`] descriptor that an earlier image of this process left open under this number.
/// Call it before this image opens anything.
///
/// # Errors
/// EBADF: the descriptor is not open, or is 0, 1 or 2. Otherwise as [`read_sealed`]; the descriptor then stays open.
pub fn read_inherited(number: RawFd, limit: u64) -> io::Result<Vec<u8>> {
    if number <= libc::STDERR_FILENO {
        return Err(nix::errno::Errno::EBADF.into());
    }
    // SAFETY: the descriptor is only queried, for the length of the calls; a number that is not open is EBADF.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    let bytes = read_sealed(&borrowed, limit)?;
    // SAFETY: it is open and sealed, so an earlier image left it for us. It was open when this image started, so that
    // no value of ours can own it.
    drop(unsafe { OwnedFd::from_raw_fd(number) });
    Ok(bytes)
}

/// Sets whether these descriptors stay open across the next exec.
///
/// # Errors
/// None that an open descriptor can cause.
pub fn set_inheritable<'a>(
    descriptors: impl IntoIterator<Item = BorrowedFd<'a>>,
    keep: bool,
) -> io::Result<()> {
    let flag = if keep {
        FdFlag::empty()
    } else {
        FdFlag::FD_CLOEXEC
    };
    for fd in descriptors {
        fcntl(fd, FcntlArg::F_SETFD(flag))?;
    }
    Ok(())
}

/// Takes ownership of the descriptors with these numbers, which an earlier image of this process left open. Works
/// once. The descriptors become close-on-exec and may get other numbers.
///
/// Call it before this image opens anything.
///
/// # Errors
/// EBADF: a descriptor is not open, is 0, 1 or 2, or is listed twice. EALREADY: they were taken before. Nothing is
/// taken in these cases.
pub fn take_inherited(numbers: &[(String, RawFd)]) -> io::Result<NamedFds> {
    let mut seen = BTreeSet::new();
    for &(_, number) in numbers {
        if number <= libc::STDERR_FILENO || !seen.insert(number) {
            return Err(nix::errno::Errno::EBADF.into());
        }
        // SAFETY: the descriptor is only queried, for the length of the call; a number that is not open is EBADF.
        fcntl(unsafe { BorrowedFd::borrow_raw(number) }, FcntlArg::F_GETFD)?;
    }
    if TAKEN.swap(true, Ordering::Relaxed) {
        return Err(nix::errno::Errno::EALREADY.into());
    }
    let mut taken = NamedFds::new();
    for (name, number) in numbers {
        // SAFETY: it is open and listed once. It was open when this image started, so that no value of ours can own
        // it; TAKEN keeps it from being taken twice.
        let fd = unsafe { OwnedFd::from_raw_fd(*number) };
        taken.insert(name.clone(), dup_high(fd)?);
    }
    Ok(taken)
}

/// Moves a descriptor to a high number if possible, and makes it close-on-exec.
fn dup_high(fd: OwnedFd) -> io::Result<OwnedFd> {
    // SAFETY: a new descriptor that no other code knows.
    let owned = |number| unsafe { OwnedFd::from_raw_fd(number) };
    match fcntl(fd.as_fd(), FcntlArg::F_DUPFD_CLOEXEC(FIRST_NUMBER)) {
        Ok(number) => Ok(owned(number)),
        Err(_) => {
            fcntl(fd.as_fd(), FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
            Ok(fd)
        }
    }
}

/// The number of a descriptor, to be passed to the next image.
#[must_use]
pub fn raw_fd_number(fd: &impl AsFd) -> RawFd {
    fd.as_fd().as_raw_fd()
}

/// Replaces this image by the program at `path`. Returns only if that fails; nothing has changed then.
///
/// Other threads end without running destructors. The signal mask and pending signals are kept.
///
/// # Source
/// execve(2).
#[must_use]
pub fn replace_image(
    path: &Path,
    arguments: &[impl AsRef<OsStr>],
    environment: &[(impl AsRef<OsStr>, impl AsRef<OsStr>)],
) -> io::Error {
    let text = |bytes: Vec<u8>| CString::new(bytes).map_err(io::Error::from);
    let joined =
        |name: &OsStr, value: &OsStr| text([name.as_bytes(), b"=", value.as_bytes()].concat());
    let made = (|| {
        let path = text(path.as_os_str().as_bytes().to_vec())?;
        let arguments = arguments
            .iter()
            .map(|word| text(word.as_ref().as_bytes().to_vec()))
            .collect::<io::Result<Vec<_>>>()?;
        let environment = environment
            .iter()
            .map(|(name, value)| joined(name.as_ref(), value.as_ref()))
            .collect::<io::Result<Vec<_>>>()?;
        io::Result::Ok((path, arguments, environment))
    })();
    let (path, arguments, environment) = match made {
        Ok(made) => made,
        Err(error) => return error,
    };
    let pointers = |list: &[CString]| {
        let mut pointers: Vec<_> = list.iter().map(|text| text.as_ptr()).collect();
        pointers.push(std::ptr::null());
        pointers
    };
    let (argv, envp) = (pointers(&arguments), pointers(&environment));
    // SAFETY: all three are terminated by null or NUL and live until the call returns, which it does only on failure.
    unsafe { libc::execve(path.as_ptr(), argv.as_ptr(), envp.as_ptr()) };
    io::Error::last_os_error()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::IntoRawFd;

    #[test]
    fn sealed_bytes_can_be_read_repeatedly_and_never_change() {
        let memory = sealed_memory("test", b"state").expect("made");
        for _ in 0..2 {
            assert_eq!(read_sealed(&memory, 5).expect("read"), b"state");
        }
        assert!(read_sealed(&memory, 4).is_err());
        assert!(write(&memory, b"x").is_err());
        let open = std::fs::File::open("/dev/null").expect("there");
        assert!(read_sealed(&open, 5).is_err());
        let unsealed = memfd_create("test", MFdFlags::MFD_CLOEXEC).expect("made");
        assert!(read_sealed(&unsealed, 5).is_err());
    }

    #[test]
    fn inherited_descriptors_are_taken_once_and_close_on_exec() {
        // One test, because a process can take them only once.
        let (reader, writer) = io::pipe().expect("pipe");
        set_inheritable([reader.as_fd()], true).expect("open");
        let number = reader.into_raw_fd();
        let name = |number| vec![("a".to_owned(), number)];
        for bad in [0, -1, 9999] {
            assert!(take_inherited(&name(bad)).is_err(), "{bad}");
        }
        let twice = [name(number), name(number)].concat();
        assert!(take_inherited(&twice).is_err());
        let taken = take_inherited(&name(number)).expect("taken");
        let fd = &taken["a"];
        assert!(fd.as_raw_fd() >= FIRST_NUMBER);
        let flags = fcntl(fd.as_fd(), FcntlArg::F_GETFD).expect("open");
        assert_eq!(flags, FdFlag::FD_CLOEXEC.bits());
        assert!(take_inherited(&name(raw_fd_number(&writer))).is_err());
    }

    #[test]
    fn a_program_that_cannot_be_executed_changes_nothing() {
        let none: [(&str, &str); 0] = [];
        let error = replace_image(Path::new("/dev/null"), &["x"], &none);
        assert_eq!(error.raw_os_error(), Some(libc::EACCES));
        let error = replace_image(Path::new("/bin/true"), &["x\0y"], &none);
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
    }
}
