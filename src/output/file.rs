//! One log file: opened for append, written without ever blocking on a reader, rotated, opened anew, removed.
//!
//! It knows nothing of processes and counts nothing; who writes decides what an error means.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, send};
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::unistd::{Whence, ftruncate, geteuid, lseek, write};

use super::in_flight_log::{LogMark, mark_of};
use crate::domain::{Bytes, Errno};
use crate::sys::safe_open::{self, SafePath, errno};

/// What one descriptor takes at once without blocking when it only says "there is room" (pipe(7), PIPE_BUF).
const PIECE_BYTES: usize = 4096;
/// Above this many backups, rotation looks for the first gap instead of trying every number.
const BACKUPS_TRIED_MAX: u64 = 1000;

/// Rotation of more backups than this takes long: a rename each.
const BACKUPS_QUICK_MAX: i64 = 16;
/// A file of this size takes long to delete: its blocks and its pages in memory are given back.
const LARGE_BYTES: u64 = 1 << 20;

/// How a file is to be written and kept.
#[derive(Debug, Clone)]
pub(super) struct LogRules {
    /// Its name.
    pub(super) path: Arc<Path>,
    /// Rotate when it has reached this size; ≤ 0: never.
    // Differs: with a negative size the original writes nothing at all, by accident.
    pub(super) maxbytes: Bytes,
    /// How many old ones stay; ≤ 0: none.
    pub(super) backups: i64,
    /// An AUTO log: readable by its owner only, and never a link.
    pub(super) private: bool,
}

/// How to write without blocking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WriteMode {
    /// Nothing ever waits for a reader.
    Plain,
    /// A pipe or terminal under a description of our own, which does not block.
    Nonblocking,
    /// Each send says that it must not block.
    Socket,
    /// A description shared with strangers, who would notice if it stopped blocking: asked before each small piece.
    Shared,
}

/// Why a write ended before all was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WriteStop {
    /// The reader is slow; there will be room later.
    Full,
    /// It failed.
    Failed(Errno),
}

/// What became of a rotation.
#[derive(Debug)]
pub(super) enum Rotation {
    /// The file has not reached its limit.
    NotDue,
    /// It is done. The oldest backup has no name any more; if it is large, it is deleted when this descriptor is closed.
    Done(Option<OwnedFd>),
}

/// An open log.
#[derive(Debug)]
pub(super) struct LogFile {
    rules: LogRules,
    fd: OwnedFd,
    /// The file system that it is on.
    device: u64,
    manner: WriteMode,
    /// Rotate when the position has come here.
    rotate_at: Option<u64>,
    /// It was rotated away and its successor could not be opened yet.
    orphaned: bool,
    seekable: bool,
}

impl LogFile {
    /// Opens it for append; created with mode 0666 (0600 if private) less the umask.
    ///
    /// # Errors
    /// As open(2); ELOOP also for a link that [`place`] will not follow.
    pub(super) fn open(rules: LogRules) -> Result<Self, Errno> {
        match open_append(&rules) {
            Ok(fd) => Self::with(rules, fd, false),
            Err(error) => match own_descriptor(&rules.path) {
                // A socket, or owned by somebody else: it cannot be opened by name, but it is ours already.
                Some(fd) => Self::with(rules, fd?, true),
                None => Err(error),
            },
        }
    }

    /// Standard output of the daemon itself.
    ///
    /// # Errors
    /// EBADF: it is closed.
    pub(super) fn stdout() -> Result<Self, Errno> {
        let rules = LogRules {
            path: Path::new("/dev/stdout").into(),
            maxbytes: Bytes(0),
            backups: 0,
            private: false,
        };
        let fd = duplicate(std::io::stdout().as_fd())?;
        match safe_open::kind(&fstat(&fd).map_err(errno)?) {
            // A description of our own cannot block on what other writers put in between.
            SFlag::S_IFIFO | SFlag::S_IFCHR => Self::open(rules),
            // The position in a plain file is to be shared with standard error.
            _ => Self::with(rules, fd, true),
        }
    }

    fn with(rules: LogRules, fd: OwnedFd, shared: bool) -> Result<Self, Errno> {
        let stat = fstat(&fd).map_err(errno)?;
        let kind = safe_open::kind(&stat);
        let manner = match kind {
            SFlag::S_IFREG | SFlag::S_IFBLK | SFlag::S_IFDIR => WriteMode::Plain,
            SFlag::S_IFSOCK => WriteMode::Socket,
            _ if shared => WriteMode::Shared,
            _ => WriteMode::Nonblocking,
        };
        let seekable = lseek(&fd, 0, Whence::SeekCur).is_ok();
        // Differs: the original fails on the first write to a pipe or terminal that it is told to rotate, and would
        // move the node of /dev/stdout away if that is a file. Neither is rotated here.
        let rotates = kind == SFlag::S_IFREG && !shared && !safe_open::is_system_tree(&rules.path);
        let rotate_at = rules.maxbytes.limit().filter(|_| rotates);
        Ok(Self {
            rules,
            fd,
            device: stat.st_dev,
            manner,
            rotate_at,
            orphaned: false,
            seekable,
        })
    }

    /// The name it was opened by.
    pub(super) fn path(&self) -> &Arc<Path> {
        &self.rules.path
    }

    /// The file system that it was on when it was opened.
    pub(super) const fn device(&self) -> u64 {
        self.device
    }

    /// It should rotate but, being a pipe, terminal or socket, cannot.
    pub(super) fn cannot_rotate(&self) -> bool {
        self.rules.maxbytes.limit().is_some() && self.rotate_at.is_none() && !self.seekable
    }

    /// For waiting until there is room.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// What a successor needs to tell how much of the next chunk arrived; none: it is no plain file, or cannot be asked.
    pub(super) fn mark(&self) -> Option<LogMark> {
        if self.manner != WriteMode::Plain || self.orphaned {
            return None;
        }
        mark_of(self.fd.as_fd()).ok().flatten()
    }

    /// Writes `data` and says how much of it was written, and what stopped it before the end.
    pub(super) fn write(&mut self, data: &[u8]) -> (usize, Option<WriteStop>) {
        if self.orphaned
            && let Ok(fd) = open_append(&self.rules)
        {
            self.fd = fd;
            self.orphaned = false;
        }
        let mut done = 0;
        while done < data.len() {
            match self.write_once(&data[done..]) {
                Ok(0) => return (done, Some(WriteStop::Failed(errno(nix::errno::Errno::EIO)))),
                Ok(count) => done += count,
                Err(nix::errno::Errno::EINTR) => {}
                Err(nix::errno::Errno::EAGAIN) => return (done, Some(WriteStop::Full)),
                Err(error) => return (done, Some(WriteStop::Failed(errno(error)))),
            }
        }
        (done, None)
    }

    fn write_once(&self, data: &[u8]) -> nix::Result<usize> {
        #[cfg(test)]
        super::testing::pass(&self.rules.path);
        match self.manner {
            WriteMode::Plain | WriteMode::Nonblocking => write(&self.fd, data),
            WriteMode::Socket => send(
                self.fd.as_raw_fd(),
                data,
                MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL,
            ),
            WriteMode::Shared => {
                let mut ask = [PollFd::new(self.fd.as_fd(), PollFlags::POLLOUT)];
                if poll(&mut ask, PollTimeout::ZERO)? == 0 {
                    return Err(nix::errno::Errno::EAGAIN);
                }
                write(&self.fd, &data[..data.len().min(PIECE_BYTES)])
            }
        }
    }

    /// The file has reached its limit, or cannot be asked. To be called after each complete chunk.
    pub(super) fn is_rotation_due(&self) -> bool {
        self.rotate_at.is_some_and(|rotate_at| {
            self.position()
                .map_or(true, |position| position >= rotate_at)
        })
    }

    /// How many bytes can be written before a rotation is due. `None`: the file is never rotated.
    pub(super) fn bytes_until_rotation(&self) -> Option<u64> {
        let rotate_at = self.rotate_at?;
        Some(rotate_at.saturating_sub(self.position().unwrap_or(rotate_at)))
    }

    /// A rotation renames so many backups that others would notice.
    pub(super) const fn rotates_slowly(&self) -> bool {
        self.rules.backups > BACKUPS_QUICK_MAX
    }

    /// The position, not a count of ours: another process may write to the file, or have truncated it.
    fn position(&self) -> Result<u64, Errno> {
        let position = lseek(&self.fd, 0, Whence::SeekCur).map_err(errno)?;
        Ok(u64::try_from(position).unwrap_or(0))
    }

    /// Rotates if the file has reached its limit. Returns what became of that.
    ///
    /// # Errors
    /// What stood in the way. Nothing is lost then: writing goes on in the file that was open, and rotation is tried
    /// again after another `maxbytes`.
    ///
    /// # Source
    /// Supervisor manual, `[program:x]`, stdout_logfile_maxbytes and stdout_logfile_backups.
    pub(super) fn rotate_if_due(&mut self) -> Result<Rotation, Errno> {
        let Some(rotate_at) = self.rotate_at else {
            return Ok(Rotation::NotDue);
        };
        let position = self.position()?;
        if position < rotate_at {
            return Ok(Rotation::NotDue);
        }
        let limit = self.rules.maxbytes.limit().unwrap_or(u64::MAX);
        match self.rotate() {
            Ok(replaced) => {
                self.rotate_at = Some(limit);
                Ok(Rotation::Done(replaced))
            }
            Err(error) => {
                self.rotate_at = Some(position.saturating_add(limit));
                Err(error)
            }
        }
    }

    /// Returns the backup that lost its name, if it takes long to delete.
    fn rotate(&mut self) -> Result<Option<OwnedFd>, Errno> {
        let Some(backups) = u64::try_from(self.rules.backups).ok().filter(|&n| n > 0) else {
            let fd = open_append(&self.rules)?;
            ftruncate(&fd, 0).map_err(errno)?;
            self.fd = fd;
            return Ok(None);
        };
        let place = SafePath::resolve(&self.rules.path)?;
        let highest = if backups <= BACKUPS_TRIED_MAX {
            backups - 1
        } else {
            // Differs: numbers above a gap stay where they are, which costs nothing and saves a million renames.
            (1..backups)
                .find(|number| !self.backup_exists(*number))
                .unwrap_or(backups)
                - 1
        };
        // A rename frees the file that it replaces, with the directory locked, unless somebody has it open.
        let is_large = self.rules.maxbytes.limit() >= Some(LARGE_BYTES);
        let replaced = is_large.then(|| place.open_suffix(&format!(".{}", highest + 1)));
        for number in (1..=highest).rev() {
            place.rename_suffix(&format!(".{number}"), &format!(".{}", number + 1))?;
        }
        place.rename_suffix("", ".1")?;
        self.orphaned = true;
        self.fd = open_append(&self.rules)?;
        self.orphaned = false;
        Ok(replaced.flatten())
    }

    fn backup_exists(&self, number: u64) -> bool {
        let mut name = self.rules.path.as_os_str().to_owned();
        name.push(format!(".{number}"));
        Path::new(&name).symlink_metadata().is_ok()
    }

    /// Opens it anew by name.
    ///
    /// # Errors
    /// As open(2); the file that was open stays open.
    pub(super) fn reopen(&mut self) -> Result<(), Errno> {
        if self.manner == WriteMode::Shared || self.manner == WriteMode::Socket {
            return Ok(());
        }
        *self = Self::open(self.rules.clone())?;
        Ok(())
    }
}

/// Removes the log at `path` unless there is none.
///
/// # Errors
/// As unlink(2).
// Differs: the original removes whatever has the name. Here a pipe or a node of /dev stays: others use it.
pub(super) fn remove(path: &Path) -> Result<(), Errno> {
    match std::fs::metadata(path) {
        Ok(meta) if !meta.is_file() && !meta.is_dir() => return Ok(()),
        _ if safe_open::is_system_tree(path) => return Ok(()),
        _ => {}
    }
    match SafePath::resolve(path).and_then(|place| place.unlink()) {
        Err(Errno::NOENT) => Ok(()),
        result => result,
    }
}

/// Creates an AUTO log, empty, for its owner only. That it is there already is no error.
///
/// # Errors
/// As open(2).
pub(super) fn create_private(path: &Path) -> Result<(), Errno> {
    let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
    match safe_open::safe_open(path, flags, Mode::from_bits_truncate(0o600)) {
        Ok(_) => Ok(()),
        Err(Errno(number)) if number == nix::errno::Errno::EEXIST as i32 => Ok(()),
        Err(error) => Err(error),
    }
}

fn open_append(rules: &LogRules) -> Result<OwnedFd, Errno> {
    #[cfg(test)]
    super::testing::pass(&rules.path);
    // O_NONBLOCK means nothing to plain files, and keeps a pipe without reader or a terminal line from holding us.
    let mut flags = OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_CREAT | OFlag::O_NONBLOCK;
    let mut mode = Mode::from_bits_truncate(0o666);
    if rules.private {
        flags |= OFlag::O_NOFOLLOW;
        mode = Mode::from_bits_truncate(0o600);
    }
    let fd = safe_open::safe_open(&rules.path, flags, mode)?;
    // Whoever made the file of this name anew, in /tmp perhaps, after it was cleared, could read what we write.
    if rules.private && fstat(&fd).map_err(errno)?.st_uid != geteuid().as_raw() {
        return Err(safe_open::REFUSED);
    }
    Ok(fd)
}

/// A duplicate of our own standard output or error, if that is what `path` means.
fn own_descriptor(path: &Path) -> Option<Result<OwnedFd, Errno>> {
    match path.to_str()? {
        "/dev/stdout" | "/dev/fd/1" | "/proc/self/fd/1" => {
            Some(duplicate(std::io::stdout().as_fd()))
        }
        "/dev/stderr" | "/dev/fd/2" | "/proc/self/fd/2" => {
            Some(duplicate(std::io::stderr().as_fd()))
        }
        _ => None,
    }
}

fn duplicate(fd: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    // F_DUPFD_CLOEXEC, at 3 or above: not inherited by processes, and never a standard descriptor.
    fd.try_clone_to_owned().map_err(Errno::from)
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
