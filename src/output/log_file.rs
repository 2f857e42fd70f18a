//! One log file: open for append, write without blocking on a reader, rotate, reopen, remove.
//!
//! This module knows nothing about processes and counts no losses; the caller decides what an error means.

use std::ffi::OsStr;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, send};
use nix::sys::stat::{Mode, SFlag, fchmod, fstat, stat};
use nix::unistd::{Gid, Uid, Whence, fchown, ftruncate, geteuid, lseek, write};

use super::in_flight_log::{LogMark, mark_of};
use super::log_dates::{self, GZ, LogDates};
use super::memory_log;
use super::own_stream::{self, OwnStreamWriter};
use crate::config::log_options::LogOptions;
use crate::domain::{Bytes, Errno, Wall, is_memory_log};
use crate::sys;
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
    /// How the files are written, named and kept. `None`: all options are the defaults.
    pub(super) options: Option<Arc<LogOptions>>,
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
    /// The path of the open file: that of the rules with the date.
    live: Arc<Path>,
    /// `None`: the file does not depend on the date.
    dates: Option<Box<LogDates>>,
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
    own: Option<Box<OwnStreamWriter>>,
}

impl LogFile {
    /// Opens the file for append. It is created with mode 0666 (0600 if private) less the umask.
    ///
    /// # Errors
    /// As open(2); ELOOP also for a symbolic link that [`safe_open`] does not follow.
    pub(super) fn open(rules: LogRules) -> Result<Self, Errno> {
        let options = rules.options.as_deref();
        let now = sys::now().wall;
        let dates = LogDates::new(&rules.path, options, log_dates::zone, now);
        if let Some(dates) = dates {
            return Self::open_dated(rules, Box::new(dates), now);
        }
        // A plain file that is standard output or standard error has one position for all writers.
        if let Some(Ok(fd)) = own_stream::descriptor(&rules.path)
            && fstat(&fd).is_ok_and(|stat| safe_open::kind(&stat) == SFlag::S_IFREG)
        {
            return Self::with(rules, fd, true).map(Self::own);
        }
        let opened = match open_append(&rules, &rules.path) {
            Ok(fd) => Self::with(rules, fd, false),
            Err(error) => match own_stream::descriptor(&rules.path) {
                // It is a socket or has another owner, so it cannot be opened by name; but it is already open as a
                // standard stream.
                Some(fd) => Self::with(rules, fd?, true),
                None => Err(error),
            },
        };
        opened.map(Self::own)
    }

    /// Makes the file a writer to one of the daemon's own streams, if it is one.
    fn own(mut self) -> Self {
        self.own = own_stream::number(&self.rules.path)
            .map(|number| Box::new(OwnStreamWriter::new(number)));
        self
    }

    fn open_dated(rules: LogRules, mut dates: Box<LogDates>, now: Wall) -> Result<Self, Errno> {
        let live = dates.live(&rules.path);
        dates.prepare(&rules.path, &live)?;
        let fd = open_append(&rules, &live)?;
        if !dates.in_path() {
            // The file has the date of its last line, which may be of an earlier daemon.
            let stat = fstat(&fd).map_err(errno)?;
            let written = Wall(stat.st_mtime.saturating_mul(1_000_000_000));
            if stat.st_size > 0 && written < now {
                dates.set(written);
            }
        }
        let mut file = Self::with(rules, fd, false)?;
        file.live = live;
        // A pipe or a device has no other file for another date.
        file.dates = (file.manner == WriteMode::Plain).then_some(dates);
        Ok(file)
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
            options: None,
        };
        let fd = own_stream::duplicate(std::io::stdout().as_fd())?;
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
        let options = rules.options.as_ref();
        let rotates = rotates && options.is_none_or(|options| options.rotate.by_size);
        let rotate_at = rules.maxbytes.limit().filter(|_| rotates);
        Ok(Self {
            live: rules.path.clone(),
            dates: None,
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

    /// The settings of the file.
    pub(super) const fn rules(&self) -> &LogRules {
        &self.rules
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
        let options = self.rules.options.as_ref();
        let is_asked = options.is_none_or(|options| options.rotate.by_size);
        is_asked
            && self.rules.maxbytes.limit().is_some()
            && self.rotate_at.is_none()
            && !self.seekable
    }

    /// The descriptor, to wait for room.
    pub(super) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// The state of the file before the next chunk, by which the next daemon can tell how much of the chunk was
    /// written. `None`: no plain file, or fstat(2) failed.
    pub(super) fn mark(&self) -> Option<LogMark> {
        let holds = self.own.as_ref().is_some_and(|own| own.holds());
        if self.manner != WriteMode::Plain || self.orphaned || holds {
            return None;
        }
        mark_of(self.fd.as_fd()).ok().flatten()
    }

    /// Writes `data`. Returns how many bytes were written, and why the write stopped early.
    pub(super) fn write(&mut self, data: &[u8]) -> (usize, Option<WriteStop>) {
        if self.orphaned
            && let Ok(fd) = open_append(&self.rules, &self.live)
        {
            self.fd = fd;
            self.orphaned = false;
        }
        let (done, error) = match self.own.take() {
            Some(mut own) => {
                let result = own.write(data, &|data| self.write_once(data));
                self.own = Some(own);
                result
            }
            None => own_stream::write_all(data, &|data| self.write_once(data)),
        };
        let stop = error.map(|error| match error {
            nix::errno::Errno::EAGAIN => WriteStop::Full,
            error => WriteStop::Failed(errno(error)),
        });
        (done, stop)
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
            .map_or_else(Vec::new, |own| own.take_held())
    }

    fn write_once(&self, data: &[u8]) -> nix::Result<usize> {
        #[cfg(test)]
        super::testing::pass(&self.live);
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
        let result = match &self.dates {
            Some(dates) if !dates.in_path() => self.close_dated().map(|()| None),
            _ => self.rotate(),
        };
        match result {
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
            let fd = open_append(&self.rules, &self.live)?;
            ftruncate(&fd, 0).map_err(errno)?;
            self.fd = fd;
            return Ok(None);
        };
        let place = SafePath::resolve(&self.live)?;
        let options = self.rules.options.as_ref();
        let is_compressed = options.is_some_and(|options| options.compress);
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
            if is_compressed {
                let (from, to) = (format!(".{number}{GZ}"), format!(".{}{GZ}", number + 1));
                place.rename_suffix(&from, &to)?;
            }
        }
        place.rename_suffix("", ".1")?;
        self.orphaned = true;
        self.fd = open_append(&self.rules, &self.live)?;
        self.orphaned = false;
        Ok(replaced.flatten())
    }

    fn backup_exists(&self, number: u64) -> bool {
        let mut name = self.live.as_os_str().to_owned();
        name.push(format!(".{number}"));
        let is_there = |name: &OsStr| Path::new(name).symlink_metadata().is_ok();
        if is_there(&name) {
            return true;
        }
        let options = self.rules.options.as_ref();
        name.push(GZ);
        options.is_some_and(|options| options.compress) && is_there(&name)
    }

    /// When the file goes on to that of the next date. `None`: it does not depend on the date.
    pub(super) fn next_date(&self) -> Option<Wall> {
        self.dates.as_ref().map(|dates| dates.until())
    }

    /// Whether the file must go on to that of another date before it is written at `now`.
    pub(super) fn is_date_over(&mut self, now: Wall) -> bool {
        self.dates.as_mut().is_some_and(|dates| dates.is_due(now))
    }

    /// Goes on to the file of another date. An empty file without a date in its name stays.
    ///
    /// # Errors
    /// As open(2), mkdir(2) and rename(2). Writing continues in the open file.
    pub(super) fn next_file(&mut self, now: Wall) -> Result<(), Errno> {
        let Some(mut dates) = self.dates.take() else {
            return Ok(());
        };
        let result = if dates.in_path() {
            dates.set(now);
            let live = dates.live(&self.rules.path);
            let opened = dates.prepare(&self.rules.path, &live);
            opened.and_then(|()| {
                self.fd = open_append(&self.rules, &live)?;
                self.device = fstat(&self.fd).map_err(errno)?.st_dev;
                self.live = live;
                self.rotate_at = self.rotate_at.and(self.rules.maxbytes.limit());
                self.orphaned = false;
                Ok(())
            })
        } else {
            self.dates = Some(dates);
            let is_empty = fstat(&self.fd).is_ok_and(|stat| stat.st_size == 0);
            let result = match is_empty {
                true => Ok(()),
                false => self.close_dated(),
            };
            let Some(kept) = self.dates.take() else {
                return result;
            };
            dates = kept;
            // After an error, the next attempt comes with the next date.
            dates.set(now);
            result
        };
        self.dates = Some(dates);
        result
    }

    /// Renames the file to its name with the date, and with a number if there is such a file. Opens a new one.
    fn close_dated(&mut self) -> Result<(), Errno> {
        let Some(dates) = &self.dates else {
            return Ok(());
        };
        let place = SafePath::resolve(&self.live)?;
        let dated = format!(".{}", dates.date());
        let is_free = |suffix: &str| {
            let compressed = format!("{suffix}{GZ}");
            let names = [place.sibling(suffix), place.sibling(&compressed)];
            names
                .iter()
                .all(|name| name.as_ref().is_ok_and(|name| name.open_path_fd().is_err()))
        };
        let numbered = (1..u64::MAX).map(|number| format!("{dated}.{number}"));
        let suffix = std::iter::once(dated.clone())
            .chain(numbered)
            .find(|suffix| is_free(suffix));
        place.rename_suffix("", &suffix.unwrap_or(dated))?;
        self.orphaned = true;
        self.fd = open_append(&self.rules, &self.live)?;
        self.orphaned = false;
        Ok(())
    }

    /// Whether the path means another file than the open one, or none.
    pub(super) fn is_moved_away(&self) -> bool {
        if self.manner != WriteMode::Plain || self.orphaned || safe_open::is_system_tree(&self.live)
        {
            return false;
        }
        let Ok(open) = fstat(&self.fd) else {
            return false;
        };
        match stat(&*self.live) {
            Ok(named) => (named.st_dev, named.st_ino) != (open.st_dev, open.st_ino),
            Err(error) => error == nix::errno::Errno::ENOENT,
        }
    }

    /// Whether the file is a plain file that keeps an incomplete line until its rest comes.
    pub(super) fn is_plain(&self) -> bool {
        self.manner == WriteMode::Plain && !safe_open::is_system_tree(&self.live)
    }

    /// The path of the open file.
    pub(super) const fn live(&self) -> &Arc<Path> {
        &self.live
    }

    /// The size of the file in bytes. `None`: it is not plain.
    pub(super) fn size(&self) -> Option<u64> {
        mark_of(self.fd.as_fd())
            .ok()
            .flatten()
            .map(|mark| mark.length)
    }

    /// All paths that the file may have been renamed to by rotations, the most probable ones first.
    pub(super) fn former_paths(&self) -> Vec<PathBuf> {
        let mut first = self.live.as_os_str().to_owned();
        first.push(".1");
        let mut paths = vec![self.live.to_path_buf(), PathBuf::from(first)];
        if let Some(dates) = &self.dates {
            let files = dates.files(&self.rules.path);
            paths.extend(files.into_iter().map(|file| file.path));
        }
        paths
    }

    /// The last bytes before `length`, at most `count`.
    ///
    /// # Errors
    /// As open(2) and pread(2).
    pub(super) fn tail(&self, length: u64, count: usize) -> Result<Vec<u8>, Errno> {
        // The open descriptor is for writing only. This path leads to the same file, whatever its name.
        let path = safe_open::fd_path(&self.fd);
        let file = std::fs::File::open(path).map_err(Errno::from)?;
        let count = length.min(count as u64);
        let mut tail = vec![0; usize::try_from(count).unwrap_or(0)];
        file.read_exact_at(&mut tail, length - count)
            .map_err(Errno::from)?;
        Ok(tail)
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
    let path = &*log_dates::live_path(path);
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

/// Opens `path`, which is that of the rules with a date.
fn open_append(rules: &LogRules, path: &Path) -> Result<OwnedFd, Errno> {
    #[cfg(test)]
    super::testing::pass(path);
    // O_NONBLOCK has no effect on plain files. It keeps the open of a pipe without reader or of a terminal from
    // blocking.
    let mut flags = OFlag::O_WRONLY | OFlag::O_APPEND | OFlag::O_CREAT | OFlag::O_NONBLOCK;
    let mut mode = Mode::from_bits_truncate(0o666);
    if rules.private {
        flags |= OFlag::O_NOFOLLOW;
        mode = Mode::from_bits_truncate(0o600);
    }
    let owner = rules.options.as_ref().filter(|options| options.has_owner());
    let Some(options) = owner else {
        let fd = safe_open::safe_open(path, flags, mode)?;
        return check_private(rules, fd, None);
    };
    match safe_open::safe_open(path, flags | OFlag::O_EXCL | OFlag::O_NOFOLLOW, mode) {
        Ok(fd) => {
            set_owner(&fd, options)?;
            Ok(fd)
        }
        Err(error) if error.0 == nix::errno::Errno::EEXIST as i32 => {
            // The owner of a file that exists decides himself, but an AUTO log is made empty before it is opened.
            let fd = safe_open::safe_open(path, flags, mode)?;
            let fd = check_private(rules, fd, options.owner)?;
            let is_new = rules.private && fstat(&fd).map_err(errno)?.st_size == 0;
            if is_new {
                set_owner(&fd, options)?;
            }
            Ok(fd)
        }
        Err(error) => Err(error),
    }
}

/// Another user may have created a file of this name (in /tmp, for example) after a clear, and could read the log.
fn check_private(rules: &LogRules, fd: OwnedFd, owner: Option<u32>) -> Result<OwnedFd, Errno> {
    if rules.private {
        let uid = fstat(&fd).map_err(errno)?.st_uid;
        if uid != geteuid().as_raw() && Some(uid) != owner {
            return Err(safe_open::REFUSED);
        }
    }
    Ok(fd)
}

/// Sets owner and mode of a file that the daemon has just made, by its descriptor.
fn set_owner(fd: &OwnedFd, options: &LogOptions) -> Result<(), Errno> {
    let (uid, gid) = (
        options.owner.map(Uid::from_raw),
        options.group.map(Gid::from_raw),
    );
    if uid.is_some() || gid.is_some() {
        fchown(fd, uid, gid).map_err(errno)?;
    }
    if let Some(mode) = options.mode {
        fchmod(fd, Mode::from_bits_truncate(mode)).map_err(errno)?;
    }
    Ok(())
}

#[cfg(test)]
#[path = "log_file_tests.rs"]
mod tests;
