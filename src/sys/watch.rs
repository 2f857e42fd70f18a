//! Tells when the names of files change, by inotify.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use super::place::by_descriptor;

/// Readable when one of the watched files may have lost its name. The files themselves are watched, not their directories,
/// so what happens beside them wakes nobody.
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

    /// Watches this file too, until it exists no more.
    ///
    /// # Errors
    /// EACCES: the file may not be read. ENOSPC: the user has too many watches. ENOMEM.
    ///
    /// # Source
    /// inotify(7): IN_ATTRIB tells a change of the link count.
    pub fn add(&self, file: &OwnedFd) -> io::Result<()> {
        let events =
            AddWatchFlags::IN_ATTRIB | AddWatchFlags::IN_MOVE_SELF | AddWatchFlags::IN_DELETE_SELF;
        self.0.add_watch(by_descriptor(file).as_str(), events)?;
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
