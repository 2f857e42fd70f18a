//! Reports when files are renamed, removed or created, by inotify.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::safe_open::fd_path;

/// Readable when a watched file may have been renamed or removed, or when a file may have appeared in a watched
/// directory.
#[derive(Debug)]
pub struct FileWatch(Inotify);

impl FileWatch {
    /// Creates an empty watch.
    ///
    /// # Errors
    /// EMFILE: also when the user has too many inotify instances. ENOMEM.
    pub fn new() -> io::Result<Self> {
        let flags = InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK;
        Ok(Self(Inotify::init(flags)?))
    }

    /// Also watches this file, until it is deleted. Its directory is not watched, so other files there cause no
    /// wake-up.
    ///
    /// # Errors
    /// EACCES: the file is not readable. ENOSPC: the user has too many watches. ENOMEM.
    ///
    /// # Source
    /// inotify(7): IN_ATTRIB reports a change of the link count.
    pub fn add(&self, file: &OwnedFd) -> io::Result<()> {
        let events =
            AddWatchFlags::IN_ATTRIB | AddWatchFlags::IN_MOVE_SELF | AddWatchFlags::IN_DELETE_SELF;
        self.0.add_watch(fd_path(file).as_str(), events)?;
        Ok(())
    }

    /// Watches for files that appear in this directory or change their mode, and for the removal of the directory
    /// itself.
    ///
    /// # Errors
    /// ENOENT, ENOTDIR: the directory does not exist. EACCES: it is not readable. ENOSPC: the user has too many
    /// watches. ENOMEM.
    ///
    /// # Source
    /// inotify(7).
    pub fn add_directory(&self, directory: &Path) -> io::Result<()> {
        let events = AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_ATTRIB
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_ONLYDIR;
        self.0.add_watch(directory, events)?;
        Ok(())
    }

    /// Consumes all pending events.
    pub fn drain(&self) {
        // The events do not matter, because the caller checks all files.
        while matches!(self.0.read_events(), Ok(_) | Err(Errno::EINTR)) {}
    }
}

impl AsFd for FileWatch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl AsRawFd for FileWatch {
    fn as_raw_fd(&self) -> RawFd {
        self.0.as_fd().as_raw_fd()
    }
}
