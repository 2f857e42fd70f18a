//! One log file: open for append, write without blocking on a reader, rotate, reopen, remove.
//!
//! This module knows nothing about processes and counts no losses; the caller decides what an error means.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::sync::Arc;

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, send};
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::unistd::{Whence, ftruncate, geteuid, lseek, write};

use super::in_flight_log::{LogMark, mark_of};
use super::memory_log;
use super::own_stream::{self, OwnStreamWriter};
use crate::domain::{Bytes, Errno, is_memory_log};
use crate::sys::safe_open::{self, SafePath, errno};

/// Maximum bytes that a descriptor takes without blocking when poll(2) reports room (PIPE_BUF, pipe(7)).
const PIECE_BYTES: usize = 4096;
/// Above this many backups, rotation looks for the first unused number instead of trying every number.
const BACKUPS_TRIED_MAX: u64 = 1000;

/// Rotation with more backups than this is slow: it renames each of them.
const BACKUPS_QUICK_MAX: i64 = 16;
/// A file of this size, in bytes, is slow to delete: the kernel must free its blocks and cached pages.
const LARGE_BYTES: u64 = 1 << 20;

/// The settings of a log file.
#[derive(Debug, Clone)]
pub(super) struct LogRules {
    /// The path of the file.
    pub(super) path: Arc<Path>,
    /// Rotate when the file has reached this size; ≤ 0: never.
    // Differs: Supervisor accidentally writes nothing if the size is negative.
    pub(super) maxbytes: Bytes,
    /// Number of old files to keep; ≤ 0: none.
    pub(super) backups: i64,
    /// An AUTO log: mode 0600, and never a symbolic link.
    pub(super) private: bool,
}

/// How to write without blocking.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum WriteMode {
    /// A write never waits for a reader.
    Plain,
    /// A pipe or terminal with a file description of our own, which has O_NONBLOCK.
    Nonblocking,
    /// Each send has MSG_DONTWAIT.
    Socket,
    /// A file description shared with other processes, which would notice O_NONBLOCK: poll before each small write.
    Shared,
}

/// Why a write ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum WriteStop {
    /// The reader is slow; there will be room later.
    Full,
    /// The write failed.
    Failed(Errno),
}

/// The result of a rotation.
#[derive(Debug)]
pub(super) enum Rotation {
    /// The file has not reached its limit.
    NotDue,
    /// The rotation is done. If the oldest backup is large, it comes along as a descriptor; closing that deletes the
    /// file.
    Done(Option<OwnedFd>),
}

/// An open log file.
#[derive(Debug)]
pub(super) struct LogFile {
    rules: LogRules,
    fd: OwnedFd,
    /// The device (`st_dev`) of the file.
    device: u64,
    manner: WriteMode,
    /// The position at which to rotate. `None`: never.
    rotate_at: Option<u64>,
    /// The file was renamed by a rotation, and the new one could not be opened yet.
    orphaned: bool,
    seekable: bool,
    /// `None`: it is not one of the daemon's own streams.
    own: Option<OwnStreamWriter>,
}

impl LogFile {
    /// Opens the file for append. It is created with mode 0666 (0600 if private) less the umask.
    ///
    /// # Errors
    /// As open(2); ELOOP also for a symbolic link that [`safe_open`] does not follow.
    pub(super) fn open(rules: LogRules) -> Result<Self, Errno> {
        // A plain file that is standard output or standard error has one position for all writers.
        if let Some(Ok(fd)) = own_descriptor(&rules.path)
            && fstat(&fd).is_ok_and(|stat| safe_open::kind(&stat) == SFlag::S_IFREG)
        {
            return Self::with(rules, fd, true).map(Self::own);
        }
        let is_own = own_stream::number(&rules.path).is_some();
        let opened = match open_append(&rules) {
            Ok(fd) => Self::with(rules, fd, false),
            Err(error) => match own_descriptor(&rules.path) {
                // It is a socket or has another owner, so it cannot be opened by name; but it is already open as a
                // standard stream.
                Some(fd) => Self::with(rules, fd?, true),
                None => Err(error),
            },
        };
        match is_own {
            true => opened.map(Self::own),
            false => opened,
        }
    }

    /// Makes the file a writer to one of the daemon's own streams.
    fn own(mut self) -> Self {
        self.own = own_stream::number(&self.rules.path).map(OwnStreamWriter::new);
        self
    }

    /// The daemon's standard output.
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
            // With its own file description it cannot block, whatever other writers do.
            SFlag::S_IFIFO | SFlag::S_IFCHR => Self::open(rules),
            // A plain file must share its position with standard error.
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
        // Differs: Supervisor fails on the first write to a pipe or terminal that has a size limit, and would rename
        // the node behind /dev/stdout if that is a file. Here neither is rotated.
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
            own: None,
        })
    }

    /// The path by which the file was opened.
    pub(super) fn path(&self) -> &Arc<Path> {
        &self.rules.path
    }

    /// The device (`st_dev`) of the file when it was opened.
    pub(super) const fn device(&self) -> u64 {
        self.device
    }

    /// Whether the settings demand rotation but the file is a pipe, terminal or socket.
    pub(super) fn cannot_rotate(&self) -> bool {
        self.rules.maxbytes.limit().is_some() && self.rotate_at.is_none() && !self.seekable
    }

    /// The descriptor, to wait for room.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The state of the file before the next chunk, by which the next daemon can tell how much of the chunk was
    /// written. `None`: no plain file, or fstat(2) failed.
    pub(super) fn mark(&self) -> Option<LogMark> {
        let holds = self.own.as_ref().is_some_and(OwnStreamWriter::holds);
        if self.manner != WriteMode::Plain || self.orphaned || holds {
            return None;
        }
        mark_of(self.fd.as_fd()).ok().flatten()
    }

    /// Writes `data`. Returns how many bytes were written, and why the write stopped early.
    pub(super) fn write(&mut self, data: &[u8]) -> (usize, Option<WriteStop>) {
        if self.orphaned
            && let Ok(fd) = open_append(&self.rules)
        {
            self.fd = fd;
            self.orphaned = false;
        }
        if let Some(mut own) = self.own.take() {
            let (done, error) = own.write(data, &|data| self.write_once(data));
            self.own = Some(own);
            return match error {
                None => (done, None),
                Some(nix::errno::Errno::EAGAIN) => (done, Some(WriteStop::Full)),
                Some(error) => (done, Some(WriteStop::Failed(errno(error)))),
            };
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

    /// Writes the beginning of a line that is held for one of the daemon's own streams, at the end of a stream.
    pub(super) fn finish(&mut self) {
        if let Some(mut own) = self.own.take() {
            own.finish(&|data| self.write_once(data));
        }
    }

    /// Takes the beginning of a line that is held for one of the daemon's own streams.
    pub(super) fn take_held(&mut self) -> Vec<u8> {
        self.own
            .as_mut()
            .map_or_else(Vec::new, OwnStreamWriter::take_held)
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

    /// Whether the file has reached its limit, or its position is unknown. Call it after each complete chunk.
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

    /// Whether a rotation renames more backups than [`BACKUPS_QUICK_MAX`], which would delay other work.
    pub(super) const fn rotates_slowly(&self) -> bool {
        self.rules.backups > BACKUPS_QUICK_MAX
    }

    /// The kernel's position, not a count of our own: another process may write to the file or may have truncated it.
    fn position(&self) -> Result<u64, Errno> {
        let position = lseek(&self.fd, 0, Whence::SeekCur).map_err(errno)?;
        Ok(u64::try_from(position).unwrap_or(0))
    }

    /// Rotates the file if it has reached its limit.
    ///
    /// # Errors
    /// The error that prevented the rotation. Nothing is lost: writing continues in the open file, and the next attempt
    /// comes after another `maxbytes`.
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

    /// Returns the backup that lost its name, if it is slow to delete.
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
            // Differs: backups above an unused number keep their numbers, which saves up to a million renames.
            (1..backups)
                .find(|number| !self.backup_exists(*number))
                .unwrap_or(backups)
                - 1
        };
        // A rename frees the file it replaces while the directory is locked, unless that file is open somewhere.
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

    /// Opens the file again by name.
    ///
    /// # Errors
    /// As open(2). The old file stays open.
    pub(super) fn reopen(&mut self) -> Result<(), Errno> {
        if self.manner == WriteMode::Shared
            || self.manner == WriteMode::Socket
            || self.own.is_some()
        {
            return Ok(());
        }
        *self = Self::open(self.rules.clone())?;
        Ok(())
    }
}

/// Removes the log at `path`. A missing file is no error.
///
/// # Errors
/// As unlink(2).
// Differs: Supervisor removes any kind of file. Here a pipe or a device node stays, because others use it.
pub(super) fn remove(path: &Path) -> Result<(), Errno> {
    if is_memory_log(path) {
        return match memory_log::find(path) {
            Some(log) => log.clear().map_err(|error| Errno::from(&error)),
            None => Ok(()),
        };
    }
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

/// Creates an AUTO log, empty, mode 0600. An existing file is no error.
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
    // O_NONBLOCK has no effect on plain files. It keeps the open of a pipe without reader or of a terminal from
    // blocking.
    let mut flags = OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_CREAT | OFlag::O_NONBLOCK;
    let mut mode = Mode::from_bits_truncate(0o666);
    if rules.private {
        flags |= OFlag::O_NOFOLLOW;
        mode = Mode::from_bits_truncate(0o600);
    }
    let fd = safe_open::safe_open(&rules.path, flags, mode)?;
    // Another user may have created a file of this name (in /tmp, for example) after a clear, and could read the log.
    if rules.private && fstat(&fd).map_err(errno)?.st_uid != geteuid().as_raw() {
        return Err(safe_open::REFUSED);
    }
    Ok(fd)
}

/// A duplicate of the daemon's standard output or standard error, if `path` names one of them.
fn own_descriptor(path: &Path) -> Option<Result<OwnedFd, Errno>> {
    Some(match own_stream::number(path)? {
        0 => duplicate(std::io::stdout().as_fd()),
        _ => duplicate(std::io::stderr().as_fd()),
    })
}

fn duplicate(fd: BorrowedFd<'_>) -> Result<OwnedFd, Errno> {
    // F_DUPFD_CLOEXEC at 3 or above: child processes do not inherit it, and it is never a standard descriptor.
    fd.try_clone_to_owned().map_err(Errno::from)
}

#[cfg(test)]
#[path = "log_file_tests.rs"]
mod tests;
