//! Follows a growing log like `tail -f`. Never blocks; the caller decides how often to poll.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::tail::{open, slice};

/// Number of bytes before the end of the file at which following starts.
const HEAD_BYTES: u64 = 1024;
/// Maximum bytes of one poll. The next poll returns further bytes.
const CHUNK_BYTES_MAX: u64 = 256 << 10;

/// The result of one poll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Chunk {
    /// There are no new bytes.
    Nothing,
    /// New bytes.
    Bytes(Vec<u8>),
    /// The file has become shorter, and the next poll reads it from its beginning. Users see [`Chunk::TRUNCATED`].
    Truncated,
}

impl Chunk {
    /// The text that users see in place of the lost bytes.
    pub const TRUNCATED: &'static str = "==> File truncated <==\n";
}

/// A file that is followed by its name.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    file: File,
    identity: (u64, u64),
    position: u64,
}

impl Follower {
    /// Starts 1024 bytes before the end, or at the beginning of a shorter file.
    ///
    /// # Errors
    /// As open(2); `InvalidInput` if it is no plain file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let (file, size) = open(path)?.ok_or(io::ErrorKind::InvalidInput)?;
        let meta = file.metadata()?;
        Ok(Self {
            path: path.to_owned(),
            identity: (meta.dev(), meta.ino()),
            file,
            position: size.saturating_sub(HEAD_BYTES),
        })
    }

    /// Starts at `position`, where the reader stopped earlier. If the file is shorter than that, the first poll returns
    /// [`Chunk::Truncated`] and following starts at the beginning.
    ///
    /// # Errors
    /// As [`Follower::open`].
    pub fn open_from(path: &Path, position: u64) -> io::Result<Self> {
        let mut follower = Self::open(path)?;
        follower.position = position;
        Ok(follower)
    }

    /// When the file was last changed, in seconds since the epoch.
    ///
    /// # Errors
    /// EIO.
    pub fn modified(&self) -> io::Result<i64> {
        Ok(self.file.metadata()?.mtime())
    }

    /// Returns new bytes. If the file was replaced, it is first read to its end, then the new file from its beginning.
    /// A removed file is still followed.
    ///
    /// # Errors
    /// As fstat(2) and pread(2), such as EIO.
    // Differs: Supervisor loses bytes that were written between its last poll and a rotation, and fails on truncation.
    pub fn poll(&mut self) -> io::Result<Chunk> {
        match self.read_more()? {
            Chunk::Nothing => {}
            found => return Ok(found),
        }
        let Ok(meta) = self.path.metadata() else {
            return Ok(Chunk::Nothing);
        };
        if (meta.dev(), meta.ino()) == self.identity {
            return Ok(Chunk::Nothing);
        }
        // The old file may have grown between the last read and its replacement.
        match self.read_more()? {
            Chunk::Nothing => {}
            found => return Ok(found),
        }
        let Ok(Some((file, _))) = open(&self.path) else {
            return Ok(Chunk::Nothing);
        };
        let meta = file.metadata()?;
        self.identity = (meta.dev(), meta.ino());
        self.file = file;
        self.position = 0;
        self.read_more()
    }

    fn read_more(&mut self) -> io::Result<Chunk> {
        let size = self.file.metadata()?.len();
        if size < self.position {
            self.position = 0;
            return Ok(Chunk::Truncated);
        }
        let count = (size - self.position).min(CHUNK_BYTES_MAX);
        if count == 0 {
            return Ok(Chunk::Nothing);
        }
        let data = slice(&self.file, self.position, count)?;
        if data.is_empty() {
            return Ok(Chunk::Nothing);
        }
        self.position += data.len() as u64;
        Ok(Chunk::Bytes(data))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::testing::TempDir;
    use std::io::Write;

    fn bytes(text: &str) -> Chunk {
        Chunk::Bytes(text.as_bytes().to_vec())
    }

    fn append(path: &Path, text: &str) {
        let mut file = std::fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(path)
            .expect("opened");
        file.write_all(text.as_bytes()).expect("written");
    }

    #[test]
    fn rpc_38_starts_at_most_1024_bytes_before_the_end() {
        let dir = TempDir::new("follow-head");
        let path = dir.path("log");
        std::fs::write(&path, "x".repeat(1023)).expect("written");
        let whole = Follower::open(&path).and_then(|mut log| log.poll());
        assert_eq!(whole.expect("read"), bytes(&"x".repeat(1023)));
        std::fs::write(&path, format!("a{}", "x".repeat(1024))).expect("written");
        let last = Follower::open(&path).and_then(|mut log| log.poll());
        assert_eq!(last.expect("read"), bytes(&"x".repeat(1024)));
    }

    #[test]
    fn rpc_39_follows_over_rename_truncation_and_removal() {
        let dir = TempDir::new("follow");
        let path = dir.path("log");
        append(&path, "one\n");
        let mut log = Follower::open(&path).expect("opened");
        assert_eq!(log.poll().expect("read"), bytes("one\n"));
        assert_eq!(log.poll().expect("read"), Chunk::Nothing);
        append(&path, "two\n");
        std::fs::rename(&path, dir.path("log.1")).expect("renamed");
        append(&path, "three\n");
        assert_eq!(log.poll().expect("read"), bytes("two\n"), "nothing is lost");
        assert_eq!(log.poll().expect("read"), bytes("three\n"));
        std::fs::write(&path, "4\n").expect("written");
        assert_eq!(log.poll().expect("read"), Chunk::Truncated);
        assert_eq!(log.poll().expect("read"), bytes("4\n"));
        let mut open = std::fs::OpenOptions::new()
            .append(true)
            .open(&path)
            .expect("opened");
        std::fs::remove_file(&path).expect("removed");
        open.write_all(b"five\n").expect("written");
        assert_eq!(log.poll().expect("read"), bytes("five\n"));
        append(&path, "six\n");
        assert_eq!(log.poll().expect("read"), bytes("six\n"));
    }

    #[test]
    fn follow_continues_at_the_given_offset() {
        let dir = TempDir::new("follow-from");
        let path = dir.path("log");
        append(&path, "onetwo");
        let mut log = Follower::open_from(&path, 3).expect("opened");
        assert_eq!(log.poll().expect("read"), bytes("two"));
        let mut log = Follower::open_from(&path, 7).expect("opened");
        assert_eq!(log.poll().expect("read"), Chunk::Truncated);
        assert_eq!(log.poll().expect("read"), bytes("onetwo"));
    }

    #[test]
    fn large_output_comes_in_bounded_chunks() {
        let dir = TempDir::new("follow-much");
        let path = dir.path("log");
        append(&path, "");
        let mut log = Follower::open(&path).expect("opened");
        append(&path, &"x".repeat(600 << 10));
        let mut seen = 0;
        while let Chunk::Bytes(data) = log.poll().expect("read") {
            assert!(data.len() as u64 <= CHUNK_BYTES_MAX);
            seen += data.len();
        }
        assert_eq!(seen, 600 << 10);
    }
}
