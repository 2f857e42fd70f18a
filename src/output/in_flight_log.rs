//! What became of the last bytes that were read from a pipe, if the daemon is killed before they are in the log.
//!
//! A read takes bytes out of the pipe for good, and until they are written they are in our memory only. So that memory is a
//! [`SharedBuffer`], which outlives us, and its words say what is being done with it:
//!
//! ```text
//!          reading()                  have_read()              settle()
//!   Idle ─────────────▶ Reading ─────────────────▶ Read ───────────────────▶ Idle
//!         whose, how     read(2) takes exactly      write(2), rotate
//!         many, where    so many
//! ```
//!
//! Found Idle, nothing is open. Found Read, the log says how many of the bytes it has. Found Reading, the bytes were taken
//! or they were not: before the read, its place is marked with bytes that no text has, and a read, which the kernel does
//! not break off in the middle for a signal that kills, overwrites the marks.
//!
//! A killed process's stores are all there, for they went to memory that others share, and none came before an earlier one
//! that it was ordered behind. What this is not for is the machine's end: then pipes and programs are gone as well.

use std::os::fd::AsFd as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use nix::fcntl::OFlag;
use nix::sys::stat::{Mode, SFlag, fstat};
use serde::{Deserialize, Serialize};

use crate::domain::{Channel, Errno, InstanceId};
use crate::sys::safe_open::{self, errno};
use crate::sys::{self, SharedBuffer};

/// The room of an in-flight log that the output thread works with, in bytes: as much as one read takes.
pub const IN_FLIGHT_LOG_BYTES: usize = super::reactor::READ_BYTES;

/// The first word: what this is, and the version of what follows.
const MAGIC: u64 = 0x5356_4c45_4447_0001;
/// How many bytes are marked at the beginning and at the end of what will be read.
const MARK_BYTES: usize = 16;
/// Bytes that never occur in UTF-8, so that text cannot look like a mark however short it is.
const NEVER_TEXT: [u8; 13] = [
    0xc0, 0xc1, 0xf5, 0xf6, 0xf7, 0xf8, 0xf9, 0xfa, 0xfb, 0xfc, 0xfd, 0xfe, 0xff,
];

/// Places of the words.
mod word {
    pub(super) const MAGIC: usize = 0;
    pub(super) const STATE: usize = 1;
    /// Turns since the buffer was made, for looking at it.
    pub(super) const TURN: usize = 2;
    /// Slot, with the bits below.
    pub(super) const SLOT: usize = 3;
    pub(super) const INCARNATION: usize = 4;
    pub(super) const COUNT: usize = 5;
    pub(super) const DEVICE: usize = 6;
    pub(super) const INODE: usize = 7;
    pub(super) const LENGTH: usize = 8;
    pub(super) const MARK: [usize; 2] = [9, 10];
}

/// Bits of [`word::SLOT`] above the slot.
const STDERR: u64 = 1 << 32;
const HAS_LOG: u64 = 1 << 33;
const GUESSED: u64 = 1 << 34;

const IDLE: u64 = 0;
const READING: u64 = 1;
const READ: u64 = 2;

/// A plain file before a chunk was appended to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LogMark {
    pub(super) device: u64,
    pub(super) inode: u64,
    /// In bytes.
    pub(super) length: u64,
}

/// Whose bytes are to be read.
#[derive(Debug, Clone, Copy)]
pub(super) struct InFlightEntry {
    pub(super) instance: InstanceId,
    pub(super) channel: Channel,
    /// Where they will go, byte for byte; none: to something that cannot be asked what it has, or not as they are.
    pub(super) log: Option<LogMark>,
}

/// The writer's side.
#[derive(Debug)]
pub(super) struct InFlightLog {
    buffer: SharedBuffer,
    mark: [u8; MARK_BYTES],
    turn: u64,
}

impl InFlightLog {
    /// Begins an in-flight log in `buffer`. What it said before is settled by that.
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

    /// Where to read to.
    pub(super) fn bytes(&mut self) -> &mut [u8] {
        self.buffer.parts().1
    }

    /// The next read will take `count` bytes, from one to as many as there is room for. The pipe has them, and nobody else
    /// reads from it, so it will be exactly those; unless this is `guessed`, and it may have none.
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
        }
        words[word::SLOT].store(what, Ordering::Relaxed);
        words[word::INCARNATION].store(incarnation, Ordering::Relaxed);
        words[word::COUNT].store(count as u64, Ordering::Relaxed);
        words[word::TURN].store(self.turn, Ordering::Relaxed);
        // Not before any of the stores above, the marks too.
        words[word::STATE].store(READING, Ordering::Release);
    }

    /// It took `count`, which is fewer only if the writer has made its end a pipe of packets (O_DIRECT, pipe(2)).
    pub(super) fn mark_read(&mut self, count: usize) {
        let (words, _) = self.buffer.parts();
        words[word::COUNT].store(count as u64, Ordering::Release);
        words[word::STATE].store(READ, Ordering::Release);
    }

    /// The bytes are where they belong, or counted as lost; or none were read.
    pub(super) fn mark_flushed(&mut self) {
        let (words, _) = self.buffer.parts();
        words[word::STATE].store(IDLE, Ordering::Release);
    }
}

/// Sixteen bytes that never occur in text, as these numbers choose them.
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

/// How many bytes are marked at the beginning, and at the end, of `count`.
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

/// Why a buffer is no in-flight log that this version can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InFlightError {
    /// It was never one.
    #[error("it was never initialised")]
    None,
    /// Of another version, or not of us at all.
    #[error("it has the format of another version")]
    Version,
    /// It says what no in-flight log says.
    #[error("its content is invalid")]
    Nonsense,
}

/// Bytes that were under way when the writer was killed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnflushedChunk {
    /// Whose.
    #[serde(rename = "life")]
    pub instance: InstanceId,
    /// From which of its pipes.
    pub channel: Channel,
    /// As far as is known: see [`Taken`].
    taken: TakenFromPipe,
    #[serde(with = "super::output_state::encoded")]
    data: Vec<u8>,
    log: Option<LogMark>,
}

/// What is known of a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum TakenFromPipe {
    /// It is over.
    Surely,
    /// Its marks are overwritten, so it took place.
    Overwritten,
    /// Its marks are all there, and it was to take what the pipe had.
    Untouched,
    /// The same, and the pipe may have had nothing.
    Nothing,
    /// It took fewer than it was to, and how many is not known.
    InPart,
}

/// What is to be done for bytes that were under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecoveredChunk {
    /// What was read from the pipe; empty if nothing was.
    pub data: Vec<u8>,
    /// How many bytes at the beginning of `data` the log has already. 0 where nobody can tell: what is then written anew may
    /// stand there twice, but nothing is lost.
    pub written: usize,
    /// Bytes that were read and are gone, at most.
    pub lost: usize,
}

impl RecoveredChunk {
    /// What is to be written to the log.
    #[must_use]
    pub fn missing(&self) -> &[u8] {
        self.data.get(self.written..).unwrap_or_default()
    }
}

impl UnflushedChunk {
    /// What `buffer` says; none: nothing was under way. Changes nothing, so that it can be asked again if the successor is
    /// killed too before it has written what was missing.
    ///
    /// # Errors
    /// [`InFlightError`]; nothing can be recovered then.
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
            }),
        }))
    }

    /// The log has them byte for byte, as far as it has them.
    #[must_use]
    pub const fn has_log(&self) -> bool {
        self.log.is_some()
    }

    /// Compares with what the pipe holds now (see [`sys::unread`]; none: it is gone) and with the log of this name and its
    /// first backup (none: it has none). To be asked before anything is read from the pipe or written to the log.
    #[must_use]
    pub fn recover(self, unread: Option<usize>, log: Option<&Path>) -> RecoveredChunk {
        let count = self.data.len();
        let was_taken = match self.taken {
            TakenFromPipe::Surely | TakenFromPipe::Overwritten => true,
            // Only by a read can a pipe have lost some of what it had; the bytes must happen to look like the marks.
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

/// What the marks say of a read, and the bytes that it took.
fn compare_marks<'a>(data: &'a [u8], mark: &[u8; MARK_BYTES]) -> (TakenFromPipe, &'a [u8]) {
    let count = data.len();
    let (head, tail) = marked(count);
    if data[..head] == mark[..head] {
        return (TakenFromPipe::Untouched, data);
    }
    if tail > 0 {
        // Bytes behind the end of a read that took less are what this place held before: another program's, perhaps.
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

/// How many of the first bytes of `data` are in the file that `mark` means, if it is this log or its first backup.
fn written(mark: LogMark, path: &Path, data: &[u8]) -> Option<usize> {
    let mut backup = path.as_os_str().to_owned();
    backup.push(".1");
    [path.to_owned(), PathBuf::from(backup)]
        .iter()
        .find_map(|path| written_in(mark, path, data).ok().flatten())
}

/// The same for one file; none: it is another.
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
        // A log without backups is cut when it is full, which happens after the write.
        return Ok(Some(data.len()));
    };
    let there = usize::try_from(grown).map_or(data.len(), |grown| grown.min(data.len()));
    // Compared, not only counted: if somebody else has written to the file meanwhile, rather twice than not at all.
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

/// Marks a file as it is now; none: it is no plain file.
pub(super) fn mark_of(fd: std::os::fd::BorrowedFd<'_>) -> Result<Option<LogMark>, Errno> {
    let stat = fstat(fd).map_err(errno)?;
    let is_plain = safe_open::kind(&stat) == SFlag::S_IFREG;
    Ok(is_plain.then(|| LogMark {
        device: stat.st_dev,
        inode: stat.st_ino,
        length: u64::try_from(stat.st_size).unwrap_or(0),
    }))
}

#[cfg(test)]
#[path = "in_flight_log_tests.rs"]
mod tests;
