//! The in-flight log: a record of the bytes that were read from a pipe and are not yet in the log, for the case that
//! the daemon is killed in between.
//!
//! A read removes bytes from the pipe, and until they are written they exist in the daemon's memory only. So that
//! memory is a [`SharedBuffer`], which outlives the daemon, and its header words say what is being done with the bytes:
//!
//! ```text
//!       mark_reading()             mark_read()            mark_flushed()
//!   Idle ────────────▶ Reading ──────────────────▶ Read ──────────────────▶ Idle
//!        instance,      read(2) takes exactly       write(2), rotate
//!        count, log     `count` bytes
//! ```
//!
//! The next daemon reads the state. Idle: nothing was in flight. Read: the log file tells how many of the bytes it has.
//! Reading: the read took place or it did not. Before the read, the buffer is marked with bytes that never occur in
//! text. A read overwrites these marks, and a killing signal does not interrupt a read in the middle.
//!
//! All stores of a killed process are visible, because they went to shared memory, in the order that the atomics
//! demand. The in-flight log does not survive a crash of the machine, but then pipes and programs are gone as well.

use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, SFlag, fstat};
use serde::{Deserialize, Serialize};

use crate::domain::{Channel, Errno, InstanceId, Wall};
use crate::sys::safe_open::{self, errno};
use crate::sys::{self, SharedBuffer};

/// Size of an in-flight log's buffer in bytes: the maximum size of one read.
pub const IN_FLIGHT_LOG_BYTES: usize = super::pipe_reads::READ_BYTES;

/// The first word: identifies the buffer, and the version of its layout.
const MAGIC: u64 = 0x5356_4c45_4447_0001;
/// Number of bytes that are marked at each end of the range to be read.
const MARK_BYTES: usize = 16;
/// Bytes that never occur in UTF-8, so that even a short text cannot look like a mark.
const NEVER_TEXT: [u8; 13] = [
    0xc0, 0xc1, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe, 0xff,
];

/// Indexes of the header words.
mod word {
    pub(super) const MAGIC: usize = 0;
    pub(super) const STATE: usize = 1;
    /// Number of reads since the buffer was made. For debugging.
    pub(super) const TURN: usize = 2;
    /// The slot, combined with the bits below.
    pub(super) const SLOT: usize = 3;
    pub(super) const INCARNATION: usize = 4;
    pub(super) const COUNT: usize = 5;
    pub(super) const DEVICE: usize = 6;
    pub(super) const INODE: usize = 7;
    pub(super) const LENGTH: usize = 8;
    pub(super) const MARK: [usize; 2] = [9, 10];
    /// The time of the chunk, if the log has another form than the bytes.
    pub(super) const TIME: usize = 11;
}

/// Flag bits of [`word::SLOT`], above the slot.
const STDERR: u64 = 1 << 32;
const HAS_LOG: u64 = 1 << 33;
const GUESSED: u64 = 1 << 34;
const IS_RENDERED: u64 = 1 << 35;

const IDLE: u64 = 0;
const READING: u64 = 1;
const READ: u64 = 2;

/// A plain log file before a chunk was appended to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LogMark {
    pub(super) device: u64,
    pub(super) inode: u64,
    /// In bytes.
    pub(super) length: u64,
    /// The time with which the chunk is rendered. `None`: the log gets the bytes as they are.
    #[serde(default)]
    pub(super) rendered_at: Option<Wall>,
}

/// The stream that is about to be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct InFlightEntry {
    pub(super) instance: InstanceId,
    pub(super) channel: Channel,
    /// The log to which the bytes go, unchanged or rendered. `None`: the destination is no plain file, or the bytes are
    /// changed in another way.
    pub(super) log: Option<LogMark>,
}

/// The writing side of an in-flight log.
#[derive(Debug)]
pub(super) struct InFlightLog {
    buffer: SharedBuffer,
    mark: [u8; MARK_BYTES],
    turn: u64,
}

impl InFlightLog {
    /// Initializes an in-flight log in `buffer`. Its previous content is lost.
    ///
    /// # Errors
    /// None on a supported kernel.
    pub(super) fn new(mut buffer: SharedBuffer) -> std::io::Result<Self> {
        let mark = mark(sys::random_seed()?, sys::random_seed()?);
        let (words, _) = buffer.parts();
        let was_one = words[word::MAGIC].load(Ordering::Relaxed) == MAGIC;
        let turn = if was_one {
            words[word::TURN].load(Ordering::Relaxed)
        } else {
            0
        };
        words[word::STATE].store(IDLE, Ordering::Release);
        for (place, half) in word::MARK.into_iter().zip(halves(&mark)) {
            words[place].store(half, Ordering::Release);
        }
        words[word::MAGIC].store(MAGIC, Ordering::Release);
        Ok(Self { buffer, mark, turn })
    }

    /// The buffer to read into.
    pub(super) fn bytes(&mut self) -> &mut [u8] {
        self.buffer.parts().1
    }

    /// Records that the next read will take `count` bytes, from one to the size of the buffer. The pipe holds at least
    /// `count` bytes and has no other reader, so the read takes exactly that many. If `guessed`, the pipe looked empty
    /// and the read may take nothing.
    pub(super) fn mark_reading(&mut self, entry: &InFlightEntry, count: usize, guessed: bool) {
        self.turn += 1;
        let (words, bytes) = self.buffer.parts();
        put_marks(&mut bytes[..count], &self.mark);
        let InstanceId { slot, incarnation } = entry.instance;
        let mut what = u64::from(slot);
        if entry.channel == Channel::Stderr {
            what |= STDERR;
        }
        if guessed {
            what |= GUESSED;
        }
        if let Some(log) = entry.log {
            what |= HAS_LOG;
            words[word::DEVICE].store(log.device, Ordering::Relaxed);
            words[word::INODE].store(log.inode, Ordering::Relaxed);
            words[word::LENGTH].store(log.length, Ordering::Relaxed);
            if let Some(time) = log.rendered_at {
                what |= IS_RENDERED;
                words[word::TIME].store(time.0.cast_unsigned(), Ordering::Relaxed);
            }
        }
        words[word::SLOT].store(what, Ordering::Relaxed);
        words[word::INCARNATION].store(incarnation, Ordering::Relaxed);
        words[word::COUNT].store(count as u64, Ordering::Relaxed);
        words[word::TURN].store(self.turn, Ordering::Relaxed);
        // Release: all stores above, including the marks, come first.
        words[word::STATE].store(READING, Ordering::Release);
    }

    /// Records that the read took `count` bytes. It takes fewer than announced only if the writer made its end a packet
    /// pipe (O_DIRECT, pipe(2)).
    pub(super) fn mark_read(&mut self, count: usize) {
        let (words, _) = self.buffer.parts();
        words[word::COUNT].store(count as u64, Ordering::Release);
        words[word::STATE].store(READ, Ordering::Release);
    }

    /// Records that the bytes are written or counted as lost, or that none were read.
    pub(super) fn mark_flushed(&mut self) {
        let (words, _) = self.buffer.parts();
        words[word::STATE].store(IDLE, Ordering::Release);
    }
}

/// Sixteen bytes that never occur in text, chosen by two random numbers.
fn mark(one: u64, two: u64) -> [u8; MARK_BYTES] {
    let chance = [one.to_le_bytes(), two.to_le_bytes()].concat();
    let mut mark = [0; MARK_BYTES];
    for (byte, chance) in mark.iter_mut().zip(chance) {
        *byte = NEVER_TEXT[usize::from(chance) % NEVER_TEXT.len()];
    }
    mark
}

fn halves(mark: &[u8; MARK_BYTES]) -> [u64; 2] {
    let whole = u128::from_le_bytes(*mark);
    #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
    [whole as u64, (whole >> 64) as u64]
}

/// How many bytes are marked at the beginning and at the end of a range of `count` bytes.
fn marked(count: usize) -> (usize, usize) {
    let head = count.min(MARK_BYTES);
    (head, (count - head).min(MARK_BYTES))
}

fn put_marks(bytes: &mut [u8], mark: &[u8; MARK_BYTES]) {
    let count = bytes.len();
    let (head, tail) = marked(count);
    bytes[..head].copy_from_slice(&mark[..head]);
    bytes[count - tail..].copy_from_slice(&mark[..tail]);
}

/// Why a buffer cannot be read as an in-flight log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InFlightError {
    /// It never was an in-flight log.
    #[error("it was never initialised")]
    None,
    /// It has another version, or comes from another program.
    #[error("it has the format of another version")]
    Version,
    /// Its content is inconsistent.
    #[error("its content is invalid")]
    Nonsense,
}

/// Bytes that were in flight when their daemon was killed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnflushedChunk {
    /// The instance that wrote them.
    #[serde(rename = "life")]
    pub instance: InstanceId,
    /// The stream that they belong to.
    pub channel: Channel,
    /// How much of the read took place (see [`TakenFromPipe`]).
    taken: TakenFromPipe,
    #[serde(with = "super::encoded")]
    data: Vec<u8>,
    log: Option<LogMark>,
}

/// What the buffer tells about a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum TakenFromPipe {
    /// The read was complete.
    Surely,
    /// The marks are overwritten, so the read took place.
    Overwritten,
    /// All marks are intact; the pipe held the bytes.
    Untouched,
    /// All marks are intact; the pipe may have been empty.
    Nothing,
    /// The read took fewer bytes than announced, and how many is unknown.
    InPart,
}

/// What [`UnflushedChunk::recover`] found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveredChunk {
    /// The bytes read from the pipe. Empty: nothing was read.
    pub data: Vec<u8>,
    /// How many bytes at the beginning of `data` the log already has. 0 if that cannot be determined: then the log may
    /// get bytes twice, but it loses none.
    pub written: usize,
    /// Maximum number of bytes that were read and are lost.
    pub lost: usize,
}

impl RecoveredChunk {
    /// The bytes that the log lacks.
    #[must_use]
    pub fn missing(&self) -> &[u8] {
        self.data.get(self.written..).unwrap_or_default()
    }
}

impl UnflushedChunk {
    /// Reads `buffer`. `None`: nothing was in flight. Changes nothing, so that another daemon can read it again if this
    /// one is killed before it has written the missing bytes.
    ///
    /// # Errors
    /// [`InFlightError`]. Nothing can be recovered then.
    pub fn find(buffer: &mut SharedBuffer) -> Result<Option<Self>, InFlightError> {
        let (words, bytes) = buffer.parts();
        let get = |place: usize| AtomicU64::load(&words[place], Ordering::Acquire);
        match get(word::MAGIC) {
            MAGIC => {}
            0 => return Err(InFlightError::None),
            _ => return Err(InFlightError::Version),
        }
        let state = get(word::STATE);
        if state == IDLE {
            return Ok(None);
        }
        let count = usize::try_from(get(word::COUNT)).map_err(|_| InFlightError::Nonsense)?;
        let data = bytes.get(..count).filter(|data| !data.is_empty());
        let data = data.ok_or(InFlightError::Nonsense)?;
        let mut mark = [0; MARK_BYTES];
        for (half, place) in mark.chunks_exact_mut(8).zip(word::MARK) {
            half.copy_from_slice(&get(place).to_le_bytes());
        }
        let (taken, data) = match state {
            READ => (TakenFromPipe::Surely, data),
            READING => compare_marks(data, &mark),
            _ => return Err(InFlightError::Nonsense),
        };
        let what = get(word::SLOT);
        let taken = match taken {
            TakenFromPipe::Untouched if what & GUESSED != 0 => TakenFromPipe::Nothing,
            taken => taken,
        };
        #[expect(
            clippy::cast_possible_truncation,
            reason = "the lower half is the slot"
        )]
        let slot = what as u32;
        Ok(Some(Self {
            instance: InstanceId {
                slot,
                incarnation: get(word::INCARNATION),
            },
            channel: if what & STDERR == 0 {
                Channel::Stdout
            } else {
                Channel::Stderr
            },
            taken,
            data: data.to_vec(),
            log: (what & HAS_LOG != 0).then(|| LogMark {
                device: get(word::DEVICE),
                inode: get(word::INODE),
                length: get(word::LENGTH),
                rendered_at: (what & IS_RENDERED != 0).then(|| Wall(get(word::TIME).cast_signed())),
            }),
        }))
    }

    /// Whether the bytes go to a log file, unchanged or rendered.
    #[must_use]
    pub const fn has_log(&self) -> bool {
        self.log.is_some()
    }

    /// The log before the chunk. `None`: it is no plain file.
    pub(super) const fn mark(&self) -> Option<LogMark> {
        self.log
    }

    /// Compares the bytes with the pipe and the log. `unread`: how many bytes the pipe holds now (see [`sys::unread`]);
    /// `None`: it is gone. `log`: the path of the log, whose first backup is checked too; `None`: there is none. Must
    /// be called before anything is read from the pipe or written to the log.
    #[must_use]
    pub fn recover(self, unread: Option<usize>, log: Option<&Path>) -> RecoveredChunk {
        let count = self.data.len();
        let was_taken = match self.taken {
            TakenFromPipe::Surely | TakenFromPipe::Overwritten => true,
            // The bytes happened to look like the marks; but only a read can have removed bytes from the pipe.
            TakenFromPipe::Nothing => false,
            TakenFromPipe::Untouched => unread.is_some_and(|unread| unread < count),
            TakenFromPipe::InPart => {
                return RecoveredChunk {
                    data: Vec::new(),
                    written: 0,
                    lost: count,
                };
            }
        };
        if !was_taken {
            return RecoveredChunk {
                data: Vec::new(),
                written: 0,
                lost: 0,
            };
        }
        let written = match (self.log, log) {
            (Some(mark), Some(path)) => written(mark, path, &self.data),
            _ => None,
        };
        RecoveredChunk {
            written: written.unwrap_or(0),
            data: self.data,
            lost: 0,
        }
    }
}

/// Compares the marks with the buffer. Returns what they tell about the read, and the bytes that it took.
fn compare_marks<'a>(data: &'a [u8], mark: &[u8; MARK_BYTES]) -> (TakenFromPipe, &'a [u8]) {
    let count = data.len();
    let (head, tail) = marked(count);
    if data[..head] == mark[..head] {
        return (TakenFromPipe::Untouched, data);
    }
    if tail > 0 {
        // Bytes beyond the end of a shorter read are old content of the buffer, perhaps of another program.
        let is_whole = data[count - tail..] != mark[..tail];
        return match is_whole {
            true => (TakenFromPipe::Overwritten, data),
            false => (TakenFromPipe::InPart, data),
        };
    }
    let left = (0..count)
        .rev()
        .take_while(|&at| data[at] == mark[at])
        .count();
    (TakenFromPipe::Overwritten, &data[..count - left])
}

/// How many of the first bytes of `data` are in the file of `mark`, be it the log at `path` or its first backup.
/// `None`: neither is that file.
fn written(mark: LogMark, path: &Path, data: &[u8]) -> Option<usize> {
    let mut backup = path.as_os_str().to_owned();
    backup.push(".1");
    [path.to_owned(), PathBuf::from(backup)]
        .iter()
        .find_map(|path| written_in(mark, path, data).ok().flatten())
}

/// Checks one file. `None`: it is another file than that of `mark`.
fn written_in(mark: LogMark, path: &Path, data: &[u8]) -> Result<Option<usize>, Errno> {
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK;
    let file = std::fs::File::from(safe_open::safe_open(path, flags, Mode::empty())?);
    let Some(now) = mark_of(file.as_fd())? else {
        return Ok(None);
    };
    if (now.device, now.inode) != (mark.device, mark.inode) {
        return Ok(None);
    }
    let Some(grown) = now.length.checked_sub(mark.length) else {
        // A log without backups is truncated when it is full, which happens after the write.
        return Ok(Some(data.len()));
    };
    let there = usize::try_from(grown).map_or(data.len(), |grown| grown.min(data.len()));
    // Compare the bytes, not only their number: if another process wrote to the file meanwhile, write them twice rather
    // than not at all.
    let mut found = vec![0; there];
    file.read_exact_at(&mut found, mark.length)
        .map_err(Errno::from)?;
    Ok(Some(
        found
            .iter()
            .zip(data)
            .take_while(|(one, other)| one == other)
            .count(),
    ))
}

/// Returns the mark of a file in its present state. `None`: it is no plain file.
pub(super) fn mark_of(fd: std::os::fd::BorrowedFd<'_>) -> Result<Option<LogMark>, Errno> {
    let stat = fstat(fd).map_err(errno)?;
    let is_plain = safe_open::kind(&stat) == SFlag::S_IFREG;
    Ok(is_plain.then(|| LogMark {
        device: stat.st_dev,
        inode: stat.st_ino,
        length: u64::try_from(stat.st_size).unwrap_or(0),
        rendered_at: None,
    }))
}

#[cfg(test)]
#[path = "in_flight_log_tests.rs"]
mod tests;
