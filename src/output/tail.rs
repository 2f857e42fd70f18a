//! Reads parts of a log for the `read…` and `tail…` methods.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

use nix::fcntl::OFlag;
use nix::sys::stat::Mode;

use super::log_dates;
use super::memory_log;
use crate::domain::is_memory_log;
use crate::sys::safe_open;

/// Maximum bytes that one call returns.
// Differs: Supervisor reads any amount into memory, and copies it several times for the answer.
pub const READ_BYTES_MAX: u64 = 64 << 20;

/// Why a log cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// A negative length, or a negative offset with a length.
    #[error("bad arguments")]
    BadArguments,
    /// The file does not exist.
    #[error("no such file")]
    NoFile,
    /// The file cannot be read.
    #[error("cannot be read")]
    Failed,
}

/// Returns `length` bytes of `path` from `offset`; `length` 0: all bytes from there. A negative `offset` without
/// length: that many bytes at the end. Beyond the end of the file: nothing. A file that is not a plain file reads as
/// empty. At most [`READ_BYTES_MAX`] bytes.
///
/// # Errors
/// See [`ReadError`].
///
/// # Source
/// Supervisor manual, `readLog` and `readProcessStdoutLog`.
pub fn read(path: &Path, offset: i64, length: i64) -> Result<Vec<u8>, ReadError> {
    let opened = open(path);
    if opened.is_err() && log_dates::live_path(path).metadata().is_err() {
        return Err(ReadError::NoFile);
    }
    if length < 0 || (offset < 0 && length != 0) {
        return Err(ReadError::BadArguments);
    }
    let Some((file, size)) = opened.map_err(|_| ReadError::Failed)? else {
        return Ok(Vec::new());
    };
    let (from, count) = if offset < 0 {
        let count = offset.unsigned_abs().min(size).min(READ_BYTES_MAX);
        (size - count, count)
    } else {
        let from = offset.unsigned_abs().min(size);
        let wanted = if length == 0 {
            u64::MAX
        } else {
            length.unsigned_abs()
        };
        (from, wanted.min(size - from).min(READ_BYTES_MAX))
    };
    slice(&file, from, count).map_err(|_| ReadError::Failed)
}

/// Returns the last bytes of `path` in the way of `tail…Log`: the bytes, the file's size, and whether the file has more
/// than `offset` and `length` cover. A missing file reads as empty. At most [`READ_BYTES_MAX`] bytes.
///
/// # Source
/// Supervisor manual, `tailProcessStdoutLog`; the arithmetic is that of 4.3.0, which differs from the manual.
#[must_use]
pub fn tail(path: &Path, offset: i64, length: i64) -> (Vec<u8>, i64, bool) {
    let Ok(Some((file, size))) = open(path) else {
        return (Vec::new(), 0, false);
    };
    let (from, count, overflow) = window(size, offset, length);
    let (from, count) = if count > READ_BYTES_MAX {
        (from + (count - READ_BYTES_MAX), READ_BYTES_MAX)
    } else {
        (from, count)
    };
    match slice(&file, from, count) {
        Ok(data) => (data, i64::try_from(size).unwrap_or(i64::MAX), overflow),
        Err(_) => (Vec::new(), 0, false),
    }
}

/// A whole log, read in parts. Bytes that are appended meanwhile do not belong to it.
#[derive(Debug)]
pub struct WholeLog {
    file: File,
    size: u64,
    position: u64,
}

impl WholeLog {
    /// Maximum bytes of one part.
    const PART_BYTES_MAX: u64 = 256 << 10;

    /// Opens a log.
    ///
    /// # Errors
    /// [`ReadError::NoFile`]; [`ReadError::Failed`], also for what is no plain file.
    pub fn open(path: &Path) -> Result<Self, ReadError> {
        match open(path) {
            Ok(Some((file, size))) => Ok(Self {
                file,
                size,
                position: 0,
            }),
            Err(_) if log_dates::live_path(path).metadata().is_err() => Err(ReadError::NoFile),
            Ok(None) | Err(_) => Err(ReadError::Failed),
        }
    }

    /// Its size when it was opened, in bytes.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Returns the next part. Empty: the end, or the file has become shorter.
    ///
    /// # Errors
    /// As pread(2), such as EIO.
    pub fn next_part(&mut self) -> io::Result<Vec<u8>> {
        let count = (self.size - self.position).min(Self::PART_BYTES_MAX);
        let part = slice(&self.file, self.position, count)?;
        self.position += part.len() as u64;
        Ok(part)
    }
}

/// Returns which bytes to read (offset, count) from a file of `size` bytes, and the overflow flag.
fn window(size: u64, offset: i64, length: i64) -> (u64, u64, bool) {
    let size_wide = i128::from(size);
    let mut offset = i128::from(offset);
    let mut length = i128::from(length);
    let overflow = size_wide > offset + length;
    if overflow {
        offset = size_wide - 1;
    }
    if offset + length > size_wide {
        if offset > size_wide - 1 {
            length = 0;
        }
        offset = size_wide - length;
    }
    let offset = u64::try_from(offset.max(0)).unwrap_or(u64::MAX).min(size);
    let length = u64::try_from(length.max(0)).unwrap_or(u64::MAX);
    (offset, length.min(size - offset), overflow)
}

/// Opens a file and returns its size. `None`: it is no plain file, so reading it might never end.
pub(super) fn open(path: &Path) -> io::Result<Option<(File, u64)>> {
    if is_memory_log(path) {
        let log = memory_log::find(path).ok_or(io::ErrorKind::NotFound)?;
        let file = log.open()?;
        let size = file.metadata()?.len();
        return Ok(Some((file, size)));
    }
    // The same rules as for writing logs: a symbolic link that another user planted must not give access to a file.
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK;
    let file = safe_open::safe_open(&log_dates::live_path(path), flags, Mode::empty())
        .map(File::from)
        .map_err(|error| io::Error::from_raw_os_error(error.0))?;
    let meta = file.metadata()?;
    if meta.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(meta.is_file().then_some((file, meta.len())))
}

/// Returns `count` bytes from `from`, or fewer if the file has become shorter meanwhile.
pub(super) fn slice(file: &File, from: u64, count: u64) -> io::Result<Vec<u8>> {
    let mut data = vec![0; usize::try_from(count).unwrap_or(usize::MAX)];
    let mut done = 0;
    while done < data.len() {
        match file.read_at(&mut data[done..], from + done as u64) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    data.truncate(done);
    Ok(data)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::testing::TempDir;

    #[test]
    fn rpc_26_reads_follow_supervisors_table() {
        let dir = TempDir::new("read");
        let path = dir.path("log");
        std::fs::write(&path, b"0123456789").expect("written");
        for (offset, length, expected) in [
            (0, 0, Ok("0123456789")),
            (0, 4, Ok("0123")),
            (3, 4, Ok("3456")),
            (3, 0, Ok("3456789")),
            (3, i64::MAX, Ok("3456789")),
            (10, 0, Ok("")),
            (99, 5, Ok("")),
            (-3, 0, Ok("789")),
            (-99, 0, Ok("0123456789")),
            (i64::MIN, 0, Ok("0123456789")),
            (-3, 2, Err(ReadError::BadArguments)),
            (0, -1, Err(ReadError::BadArguments)),
            (-3, -1, Err(ReadError::BadArguments)),
        ] {
            let expected = expected.map(|text| text.as_bytes().to_vec());
            assert_eq!(
                read(&path, offset, length),
                expected,
                "({offset}, {length})"
            );
        }
        assert_eq!(
            read(&dir.path("none"), 0, -1),
            Err(ReadError::NoFile),
            "that it is not there comes first"
        );
        assert_eq!(read(dir.root(), 0, 0), Err(ReadError::Failed));
        assert_eq!(read(Path::new("/dev/zero"), 0, 0), Ok(Vec::new()));
    }

    #[test]
    fn a_whole_log_is_read_in_parts_up_to_its_size_at_the_beginning() {
        let dir = TempDir::new("whole");
        let path = dir.path("log");
        let bytes: Vec<u8> = (0..600_000_u32).map(|n| n.to_le_bytes()[0]).collect();
        std::fs::write(&path, &bytes).expect("written");
        let mut log = WholeLog::open(&path).expect("opened");
        assert_eq!(log.size(), 600_000);
        let mut read = log.next_part().expect("read");
        let mut file = File::options().append(true).open(&path).expect("opened");
        io::Write::write_all(&mut file, b"later").expect("written");
        loop {
            match log.next_part().expect("read") {
                part if part.is_empty() => break,
                part => read.extend(part),
            }
        }
        assert!(read == bytes);
        let none = WholeLog::open(&dir.path("none")).err();
        assert_eq!(none, Some(ReadError::NoFile));
        let directory = WholeLog::open(dir.root()).err();
        assert_eq!(directory, Some(ReadError::Failed));
    }

    #[test]
    fn rpc_27_tail_follows_supervisors_arithmetic() {
        let dir = TempDir::new("tail");
        let path = dir.path("log");
        std::fs::write(&path, b"0123456789").expect("written");
        for (offset, length, data, overflow) in [
            (0, 0, "", true),
            (0, 5, "56789", true),
            (0, 100, "0123456789", false),
            (5, 100, "0123456789", false),
            (9, 100, "0123456789", false),
            (50, 100, "", false),
            (-5, 3, "789", true),
            (0, 10, "0123456789", false),
            (5, 5, "56789", false),
            (0, -5, "", true),
            (i64::MAX, i64::MAX, "", false),
            (i64::MIN, i64::MIN, "", true),
        ] {
            assert_eq!(
                tail(&path, offset, length),
                (data.as_bytes().to_vec(), 10, overflow),
                "({offset}, {length})"
            );
        }
        assert_eq!(tail(&dir.path("none"), 5, 5), (Vec::new(), 0, false));
    }

    #[test]
    fn a_link_of_another_user_is_not_read() {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: only root can plant files of other users");
            return;
        }
        let dir = TempDir::new("read-planted");
        std::fs::write(dir.path("secret"), "secret").expect("written");
        let log = dir.path("log");
        std::os::unix::fs::symlink(dir.path("secret"), &log).expect("linked");
        std::os::unix::fs::lchown(&log, Some(12345), None).expect("root may");
        assert_eq!(read(&log, 0, 0), Err(ReadError::Failed));
        assert_eq!(tail(&log, 0, 100).0, b"");
    }

    #[test]
    fn a_pipe_reads_as_empty_without_blocking() {
        let dir = TempDir::new("read-fifo");
        let path = dir.path("log");
        nix::unistd::mkfifo(&path, nix::sys::stat::Mode::S_IRWXU).expect("made");
        assert_eq!(read(&path, 0, 0), Ok(Vec::new()));
        assert_eq!(tail(&path, 0, 10), (Vec::new(), 0, false));
    }
}
