//! Follows a growing log like `tail -f`. Never blocks; the caller decides how often to poll.

use std::fmt;
use std::fs::{File, Metadata};
use std::io;
use std::num::ParseIntError;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use super::log_dates::live_path;
use super::tail::{open, slice};
use crate::domain::is_memory_log;

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

/// Above this number, [`Follower::resume`] looks for no older backup.
const BACKUPS_SEARCHED_MAX: u32 = 100;

/// Which file a position belongs to: a log that was rotated is another file with the same name. It outlasts the
/// descriptor, so the time of creation is a part of it: a kernel uses inode numbers again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogFileId {
    device: u64,
    inode: u64,
    /// Nanoseconds since the epoch; 0 on a file system that does not store it.
    created: u128,
}

impl LogFileId {
    /// The identity of the file at `path`. `None`: there is none, or it cannot be examined.
    #[must_use]
    pub fn at(path: &Path) -> Option<Self> {
        if is_memory_log(path) {
            let (file, _) = open(path).ok()??;
            return file.metadata().ok().map(|meta| Self::of(&meta));
        }
        live_path(path).metadata().ok().map(|meta| Self::of(&meta))
    }

    fn of(meta: &Metadata) -> Self {
        let created = meta.created().ok();
        let created = created.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
        Self {
            device: meta.dev(),
            inode: meta.ino(),
            created: created.map_or(0, |since| since.as_nanos()),
        }
    }
}

/// When the log at `path` was last changed. `None`: there is none, it is no file, or its file system does not know.
#[must_use]
pub fn log_modified(path: &Path) -> Option<SystemTime> {
    match is_memory_log(path) {
        true => None,
        false => live_path(path).metadata().ok()?.modified().ok(),
    }
}

/// Three hexadecimal numbers, as [`LogFileId::from_str`] reads them.
impl fmt::Display for LogFileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}-{:x}", self.device, self.inode, self.created)
    }
}

impl FromStr for LogFileId {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        let mut parts = text.splitn(3, '-').map(str::to_owned);
        let mut part = || parts.next().unwrap_or_default();
        Ok(Self {
            device: u64::from_str_radix(&part(), 16)?,
            inode: u64::from_str_radix(&part(), 16)?,
            created: u128::from_str_radix(&part(), 16)?,
        })
    }
}

/// A file that is followed by its name.
#[derive(Debug)]
pub struct Follower {
    path: PathBuf,
    file: File,
    id: LogFileId,
    position: u64,
}

impl Follower {
    /// Starts 1024 bytes before the end, or at the beginning of a shorter file.
    ///
    /// # Errors
    /// As open(2); `InvalidInput` if it is no plain file.
    pub fn open(path: &Path) -> io::Result<Self> {
        let (file, size) = open(path)?.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Self {
            path: path.to_owned(),
            id: LogFileId::of(&file.metadata()?),
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

    /// Continues where a reader stopped: at `position` of the file `id`. If the log was rotated meanwhile, starts with
    /// what the reader has not seen of that file, which is a backup now; without a rest with the beginning of the next
    /// newer file. If that file is gone, starts at the beginning of the log.
    ///
    /// # Errors
    /// As [`Follower::open`].
    pub fn resume(path: &Path, id: LogFileId, position: u64) -> io::Result<Self> {
        let mut newer = Self::open_from(path, 0)?;
        if newer.id == id {
            newer.position = position;
            return Ok(newer);
        }
        for number in 1..=BACKUPS_SEARCHED_MAX {
            let mut name = live_path(path).as_os_str().to_owned();
            name.push(format!(".{number}"));
            let Ok(mut backup) = Self::open_from(Path::new(&name), 0) else {
                break;
            };
            path.clone_into(&mut backup.path);
            if backup.id == id {
                let is_read = backup.file.metadata()?.len() <= position;
                backup.position = position;
                return Ok(if is_read { newer } else { backup });
            }
            newer = backup;
        }
        Self::open_from(path, 0)
    }

    /// The file that is being read. It changes when [`Follower::poll`] goes on to the next file.
    #[must_use]
    pub const fn id(&self) -> LogFileId {
        self.id
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
        let Ok(meta) = live_path(&self.path).metadata() else {
            return Ok(Chunk::Nothing);
        };
        if LogFileId::of(&meta) == self.id {
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
        self.id = LogFileId::of(&file.metadata()?);
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
    fn goes_on_over_rotations_while_nobody_reads() {
        let dir = TempDir::new("follow-resume");
        let path = dir.path("log");
        let rotate = || {
            for number in (1..3).rev() {
                // A backup that is not there yet is not renamed.
                let _ = std::fs::rename(
                    dir.path(&format!("log.{number}")),
                    dir.path(&format!("log.{}", number + 1)),
                );
            }
            std::fs::rename(&path, dir.path("log.1")).expect("renamed");
        };
        append(&path, "one\ntwo\n");
        let first = Follower::open(&path).expect("opened").id();
        assert_eq!(first.to_string().parse(), Ok(first));
        append(&path, "three\n");
        rotate();
        append(&path, "four\n");
        rotate();
        append(&path, "five\n");
        // Each file as a reader sees it who stops at the end of each.
        let mut log = Follower::resume(&path, first, 4).expect("opened");
        assert_eq!(log.id(), first);
        assert_eq!(log.poll().expect("read"), bytes("two\nthree\n"));
        let mut log = Follower::resume(&path, first, 14).expect("opened");
        let second = log.id();
        assert_eq!(log.poll().expect("read"), bytes("four\n"));
        let mut log = Follower::resume(&path, second, 5).expect("opened");
        assert_eq!(log.poll().expect("read"), bytes("five\n"));
        assert_eq!(log.id(), Follower::open(&path).expect("opened").id());
        // A file that is gone: the log from its beginning, though it is longer than the position.
        std::fs::remove_file(dir.path("log.2")).expect("removed");
        let mut log = Follower::resume(&path, first, 2).expect("opened");
        assert_eq!(log.poll().expect("read"), bytes("five\n"));
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
