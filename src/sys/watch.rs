//! Tells when files change their names, or come, by inotify.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::safe_open::fd_path;

/// Readable when one of the watched files may have lost its name, or when a file may have come into a watched directory.
#[derive(Debug)]
pub struct FileWatch(Inotify);

impl FileWatch {
    /// Watches nothing yet.
    ///
    /// # Errors
    /// EMFILE: also when the user has too many of these. ENOMEM.
    pub fn new() -> io::Result<Self> {
        let flags = InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK;
        Ok(Self(Inotify::init(flags)?))
    }

    /// Watches this file too, until it exists no more. Its directory is not watched, so what happens beside it wakes nobody.
    ///
    /// # Errors
    /// EACCES: the file may not be read. ENOSPC: the user has too many watches. ENOMEM.
    ///
    /// # Source
    /// inotify(7): IN_ATTRIB tells a change of the link count.
    pub fn add(&self, file: &OwnedFd) -> io::Result<()> {
        let events =
            AddWatchFlags::IN_ATTRIB | AddWatchFlags::IN_MOVE_SELF | AddWatchFlags::IN_DELETE_SELF;
        self.0.add_watch(fd_path(file).as_str(), events)?;
        Ok(())
    }

    /// Watches for files that come into this directory or change their mode, and for the end of the directory itself.
    ///
    /// # Errors
    /// ENOENT, ENOTDIR: there is no such directory. EACCES: it may not be read. ENOSPC: the user has too many watches.
    /// ENOMEM.
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

    /// Takes all events that have come.
    pub fn drain(&self) {
        // Which of the files it was is not asked: all of them are looked at.
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
