//! Reading of log files: parts of them, and what is appended.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// Why a part cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ReadError {
    /// Offset and length do not fit together.
    BadArguments,
    /// It is not there.
    NoFile,
    /// Something else.
    Failed,
}

/// A regular file; what is none, such as a FIFO, might never answer.
fn open_regular(path: &Path) -> io::Result<Option<File>> {
    let file = OpenOptions::new()
        .read(true)
        .custom_flags(nix::libc::O_NONBLOCK | nix::libc::O_NOCTTY)
        .open(path)?;
    Ok(file.metadata()?.is_file().then_some(file))
}

fn read_at(file: &mut File, offset: u64, length: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if length == 0 {
        // Nor need the offset be one that a file can have.
        return Ok(bytes);
    }
    file.seek(SeekFrom::Start(offset))?;
    file.take(length).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A part of a log: `length` bytes from `offset`, to the end if `length` is 0; or with a negative offset the last bytes.
pub(super) fn read(path: &Path, offset: i64, length: i64) -> Result<Vec<u8>, ReadError> {
    if (offset < 0 && length != 0) || length < 0 {
        return Err(ReadError::BadArguments);
    }
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => ReadError::NoFile,
        _ => ReadError::Failed,
    };
    let Some(mut file) = open_regular(path).map_err(failed)? else {
        return Ok(Vec::new());
    };
    let size = file.metadata().map_err(failed)?.len();
    let (from, count) = match (u64::try_from(offset), length.unsigned_abs()) {
        (Ok(from), 0) => (from, size.saturating_sub(from)),
        (Ok(from), count) => (from, count.min(size.saturating_sub(from))),
        (Err(_), _) => {
            let count = offset.unsigned_abs().min(size);
            (size - count, count)
        }
    };
    read_at(&mut file, from, count).map_err(failed)
}

/// The end of a log: its last `length` bytes, its size, and whether it goes beyond `offset + length`.
pub(super) fn tail(path: &Path, offset: i64, length: i64) -> (Vec<u8>, i64, bool) {
    let Ok(Some(mut file)) = open_regular(path) else {
        return (Vec::new(), 0, false);
    };
    let Ok(size) = file.metadata().map(|found| found.len()) else {
        return (Vec::new(), 0, false);
    };
    let size = i64::try_from(size).unwrap_or(i64::MAX);
    let (mut from, mut count) = (offset, length);
    let overflow = size > from.saturating_add(count);
    if overflow {
        from = size - 1;
    }
    if from.saturating_add(count) > size {
        if from > size - 1 {
            count = 0;
        }
        from = size.saturating_sub(count);
    }
    let (from, count) = (from.max(0).unsigned_abs(), count.max(0).unsigned_abs());
    let bytes = read_at(&mut file, from, count).unwrap_or_default();
    (bytes, size, overflow)
}

/// A log as it grows, over renaming and truncation.
#[derive(Debug)]
pub(super) struct Follower {
    path: PathBuf,
    file: File,
    at: u64,
}

impl Follower {
    /// How much of a log that is there already is shown first.
    const START: u64 = 1024;
    /// The longest chunk, in bytes.
    const CHUNK_MAX: u64 = 64 << 10;

    /// Begins at the last [`Self::START`] bytes.
    ///
    /// # Errors
    /// The file cannot be opened, or is no regular one.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = open_regular(path)?.ok_or(io::ErrorKind::InvalidInput)?;
        let at = file.metadata()?.len().saturating_sub(Self::START);
        Ok(Self {
            path: path.to_owned(),
            file,
            at,
        })
    }

    /// What has been appended, at most [`Self::CHUNK_MAX`] bytes; empty: nothing yet.
    // Differs: after a truncation in place it goes on; Supervisor's connection dies with an exception.
    pub(super) fn poll(&mut self) -> Vec<u8> {
        let Ok(size) = self.file.metadata().map(|found| found.len()) else {
            return Vec::new();
        };
        if size < self.at {
            self.at = 0;
            return b"==> File truncated <==\n".to_vec();
        }
        let bytes = read_at(&mut self.file, self.at, Self::CHUNK_MAX).unwrap_or_default();
        if bytes.is_empty() && self.was_replaced() {
            // What was appended before the file got its new name has been read, as far as there is any.
            if let Ok(Some(file)) = open_regular(&self.path) {
                self.file = file;
                self.at = 0;
                return self.poll_opened();
            }
        }
        self.at += bytes.len() as u64;
        bytes
    }

    fn poll_opened(&mut self) -> Vec<u8> {
        let bytes = read_at(&mut self.file, 0, Self::CHUNK_MAX).unwrap_or_default();
        self.at = bytes.len() as u64;
        bytes
    }

    /// Whether the name stands for another file. A name that is gone is waited for.
    fn was_replaced(&self) -> bool {
        let (Ok(ours), Ok(named)) = (self.file.metadata(), std::fs::metadata(&self.path)) else {
            return false;
        };
        (ours.dev(), ours.ino()) != (named.dev(), named.ino())
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::super::bind::tests::Scratch;
    use super::*;

    #[test]
    fn rpc_26_read() {
        let scratch = Scratch::new("read");
        let path = scratch.0.join("log");
        std::fs::write(&path, "0123456789").expect("written");
        let ok = |text: &str| Ok(text.as_bytes().to_vec());
        let table = [
            (0, 0, ok("0123456789")),
            (2, 3, ok("234")),
            (8, 5, ok("89")),
            (-4, 0, ok("6789")),
            (-40, 0, ok("0123456789")),
            (50, 0, ok("")),
            (50, 5, ok("")),
            (-1, 1, Err(ReadError::BadArguments)),
            (0, -1, Err(ReadError::BadArguments)),
            (i64::MIN, 0, ok("0123456789")),
            (i64::MAX, i64::MAX, ok("")),
        ];
        for (offset, length, expected) in table {
            assert_eq!(read(&path, offset, length), expected, "{offset} {length}");
        }
        assert_eq!(read(&scratch.0.join("no"), 0, 0), Err(ReadError::NoFile));
        assert_eq!(read(&scratch.0, 0, 0), Ok(Vec::new()));
    }

    #[test]
    fn rpc_27_tail() {
        let scratch = Scratch::new("tail");
        let path = scratch.0.join("log");
        std::fs::write(&path, "0123456789").expect("written");
        let table = [
            (0, 0, "", true),
            (0, 5, "56789", true),
            (0, 100, "0123456789", false),
            (5, 100, "0123456789", false),
            (9, 100, "0123456789", false),
            (50, 100, "", false),
            (-5, 3, "789", true),
            (i64::MIN, i64::MIN, "", true),
            (i64::MAX, i64::MAX, "", false),
        ];
        for (offset, length, text, overflow) in table {
            let expected = (text.as_bytes().to_vec(), 10, overflow);
            assert_eq!(tail(&path, offset, length), expected, "{offset} {length}");
        }
        assert_eq!(tail(&scratch.0.join("no"), 0, 9), (vec![], 0, false));
    }

    #[test]
    fn rpc_39_follow_over_renaming_truncation_and_removal() {
        let scratch = Scratch::new("follow");
        let path = scratch.0.join("log");
        std::fs::write(&path, vec![b'x'; 3000]).expect("written");
        let mut follower = Follower::open(&path).expect("opened");
        assert_eq!(follower.poll(), vec![b'x'; 1024]);
        assert_eq!(follower.poll(), b"");
        let append = |text: &str| {
            let mut file = OpenOptions::new().append(true).open(&path).expect("opened");
            file.write_all(text.as_bytes()).expect("written");
        };
        append("more");
        assert_eq!(follower.poll(), b"more");
        append("last");
        std::fs::rename(&path, scratch.0.join("log.1")).expect("renamed");
        std::fs::write(&path, "new").expect("written");
        assert_eq!(follower.poll(), b"last");
        assert_eq!(follower.poll(), b"new");
        std::fs::write(&path, "").expect("truncated");
        assert_eq!(follower.poll(), b"==> File truncated <==\n");
        append("again");
        assert_eq!(follower.poll(), b"again");
        std::fs::remove_file(&path).expect("removed");
        assert_eq!(follower.poll(), b"");
    }
}
