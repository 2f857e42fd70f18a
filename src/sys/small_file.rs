//! Reads small regular files that users name in a configuration.

use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::sys::stat::{FileStat, Mode, SFlag, fstat};
use nix::unistd::geteuid;

use super::safe_open::{SafePath, describe_target, errno, kind, safe_open};
use crate::domain::Errno;

/// Why a file cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SmallFileError {
    /// It does not exist.
    #[error("the file does not exist")]
    Missing,
    /// It is not a regular file, but this.
    #[error("it is {0}, not a regular file")]
    NotRegular(String),
    /// It belongs to this user, not to root or the user of this process.
    #[error("it belongs to uid {0} (it must belong to root or to the user of supervisord)")]
    ForeignOwner(u32),
    /// Others than its owner have access to it, with this mode.
    #[error("others can access it, its mode is {0:04o} (chmod it to 0600)")]
    NotPrivate(u32),
    /// It is larger than this number of bytes.
    #[error("it is larger than {0} bytes")]
    TooLarge(usize),
    /// The system refuses.
    #[error("{0}")]
    Refused(Errno),
}

/// Reads a regular file of at most `max` bytes. It opens the file once, without waiting for the writer of a FIFO, and
/// follows links as [`safe_open`] does.
///
/// # Errors
/// See [`SmallFileError`].
pub fn read_small_file(path: &Path, max: usize) -> Result<Vec<u8>, SmallFileError> {
    let (file, _) = open_regular(path)?;
    read_bounded(file, max)
}

/// A version of a file. Another version has another stamp, unless the clock was set back meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FileStamp {
    inode: (u64, u64),
    size: i64,
    /// Seconds and nanoseconds of the last change, also of owner and mode.
    changed: (i64, i64),
}

/// Reads a file with secrets like [`read_small_file`] if it is not the version `known`, and returns its version. `None`:
/// it is that version. The file must belong to root or to the user of this process, and others must have no access.
///
/// # Errors
/// See [`SmallFileError`].
pub fn read_secret_file(
    path: &Path,
    max: usize,
    known: Option<FileStamp>,
) -> Result<Option<(FileStamp, Vec<u8>)>, SmallFileError> {
    let (file, stat) = open_regular(path)?;
    let stamp = FileStamp {
        inode: (stat.st_dev, stat.st_ino),
        size: stat.st_size,
        changed: (stat.st_ctime, stat.st_ctime_nsec),
    };
    if known == Some(stamp) {
        return Ok(None);
    }
    if stat.st_uid != 0 && stat.st_uid != geteuid().as_raw() {
        return Err(SmallFileError::ForeignOwner(stat.st_uid));
    }
    if stat.st_mode & 0o077 != 0 {
        return Err(SmallFileError::NotPrivate(stat.st_mode & 0o7777));
    }
    Ok(Some((stamp, read_bounded(file, max)?)))
}

fn refused(error: Errno) -> SmallFileError {
    match error.0 {
        libc::ENOENT => SmallFileError::Missing,
        _ => SmallFileError::Refused(error),
    }
}

fn open_regular(path: &Path) -> Result<(File, FileStat), SmallFileError> {
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK;
    let file = safe_open(path, flags, Mode::empty()).map_err(refused)?;
    let stat = fstat(&file).map_err(|error| refused(errno(error)))?;
    if kind(&stat) != SFlag::S_IFREG {
        let what = describe_target(path, kind(&stat));
        return Err(SmallFileError::NotRegular(what));
    }
    Ok((File::from(file), stat))
}

/// Reads at most `max` bytes from the present position.
pub(super) fn read_bounded(file: File, max: usize) -> Result<Vec<u8>, SmallFileError> {
    // Files of /proc have size 0, so the size alone decides nothing.
    let mut bytes = Vec::new();
    let limit = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    let read = file.take(limit).read_to_end(&mut bytes);
    read.map_err(|error| refused(Errno::from(&error)))?;
    if bytes.len() > max {
        return Err(SmallFileError::TooLarge(max));
    }
    Ok(bytes)
}

/// The end of the name of a file that is being written.
const UNFINISHED: &str = ".new";

/// Writes a file beside the old one and replaces that, so that a crash leaves one of them. It follows links as
/// [`safe_open`] does. Everybody may read the file.
///
/// # Errors
/// EACCES, ENOSPC, EROFS, …
pub fn replace_small_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let all = Mode::S_IRUSR | Mode::S_IWUSR | Mode::S_IRGRP | Mode::S_IROTH;
    replace_file(path, bytes, all)
}

/// Like [`replace_small_file`], but only the user of this process may read the file.
///
/// # Errors
/// As [`replace_small_file`].
pub fn replace_secret_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    replace_file(path, bytes, Mode::S_IRUSR | Mode::S_IWUSR)
}

fn replace_file(path: &Path, bytes: &[u8], mode: Mode) -> io::Result<()> {
    let refused = |error: Errno| io::Error::from_raw_os_error(error.0);
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(UNFINISHED);
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_NOFOLLOW | OFlag::O_NONBLOCK;
    let file = safe_open(Path::new(&unfinished), flags, mode).map_err(refused)?;
    // The file may be left from a crash, with another mode.
    nix::sys::stat::fchmod(&file, mode)?;
    let mut file = File::from(file);
    file.set_len(0)?;
    file.write_all(bytes)?;
    // The rename must not reach the disk before the content.
    file.sync_data()?;
    let place = SafePath::resolve(path);
    place
        .and_then(|place| place.rename_suffix(UNFINISHED, ""))
        .map_err(refused)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn secret_files_are_private_and_read_when_they_change() {
        use std::os::unix::fs::{PermissionsExt as _, chown};
        let dir = std::env::temp_dir().join(format!("supervisord-secret-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("directory");
        let path = dir.join("secret");
        std::fs::write(&path, "a").expect("written");
        let chmod = |mode| {
            let mode = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(&path, mode).expect("changed");
        };
        let read = |known| read_secret_file(&path, 9, known).map_err(|error| error.to_string());
        for mode in [0o644, 0o640, 0o604, 0o610] {
            chmod(mode);
            let error = read(None).expect_err("refused");
            let expected =
                format!("others can access it, its mode is {mode:04o} (chmod it to 0600)");
            assert_eq!(error, expected);
        }
        chmod(0o400);
        let (stamp, bytes) = read(None).expect("read").expect("first");
        assert_eq!(bytes, b"a");
        assert_eq!(read(Some(stamp)), Ok(None));
        std::fs::remove_file(&path).expect("removed");
        assert_eq!(read(Some(stamp)), Err("the file does not exist".to_owned()));
        std::fs::write(&path, "bc").expect("written");
        chmod(0o600);
        let (other, bytes) = read(Some(stamp)).expect("read").expect("another");
        assert_eq!(bytes, b"bc");
        assert_ne!(other, stamp);
        if geteuid().is_root() {
            chown(&path, Some(12_345), None).expect("changed");
            let error = read(None).expect_err("refused");
            assert!(error.starts_with("it belongs to uid 12345 "), "{error}");
        }
        std::fs::remove_dir_all(dir).expect("removed");
    }

    #[test]
    fn only_small_regular_files_are_read() {
        let dir = std::env::temp_dir().join(format!("supervisord-small-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("directory");
        let path = |name: &str| -> PathBuf { dir.join(name) };
        std::fs::write(path("small"), "abc").expect("written");
        let large = File::create(path("large")).expect("made");
        large.set_len(100 << 20).expect("sparse");
        nix::unistd::mkfifo(&path("fifo"), Mode::S_IRWXU).expect("made");
        let read = |path: &Path| read_small_file(path, 3).map_err(|error| error.to_string());
        assert_eq!(read(&path("small")), Ok(b"abc".to_vec()));
        for (path, error) in [
            (path("none"), "the file does not exist"),
            (path("large"), "it is larger than 3 bytes"),
            (path("fifo"), "it is a FIFO, not a regular file"),
            (dir.clone(), "it is a directory, not a regular file"),
            (
                PathBuf::from("/dev/zero"),
                "it is a device, not a regular file",
            ),
        ] {
            assert_eq!(read(&path), Err(error.to_owned()), "{}", path.display());
        }
        std::fs::remove_dir_all(dir).expect("removed");
    }
}
