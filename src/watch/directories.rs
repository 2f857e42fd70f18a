//! The directories that the kernel watches, for several owners each.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify, InotifyEvent, WatchDescriptor};

use crate::effects::{WatchId, WatchKind};

/// Maximum number of directories of one owner.
const PER_OWNER_MAX: usize = 8192;
/// Maximum number of directories of all owners.
const ALL_MAX: usize = 65_536;
/// Maximum number of reads of events in a row. Each returns some dozens of events.
const READS_MAX: usize = 4096;

/// Who watches a directory.
pub(super) type Owner = (WatchId, WatchKind);

/// Something happened in a watched directory, or to the directory itself.
#[derive(Debug, Clone)]
pub(super) struct DirectoryEvent {
    pub(super) owner: Owner,
    /// The path with which the owner added the directory.
    pub(super) directory: PathBuf,
    /// The entry. `None`: the event is about the directory itself.
    pub(super) name: Option<OsString>,
    pub(super) mask: AddWatchFlags,
}

/// One owner of a watched directory.
#[derive(Debug)]
struct DirectoryOwner {
    owner: Owner,
    /// The path with which the owner added the directory.
    directory: PathBuf,
    /// The entries that the owner wants to hear of. `None`: all. Thousands of programs may watch the way to their
    /// executables, of which a busy directory such as /tmp is a part.
    names: Option<Vec<OsString>>,
}

impl DirectoryOwner {
    fn wants(&self, event: &InotifyEvent) -> bool {
        match (&self.names, &event.name) {
            (Some(names), Some(name)) => names.contains(name),
            _ => true,
        }
    }
}

/// The directories that the kernel watches.
#[derive(Debug)]
pub(super) struct Directories {
    inotify: Inotify,
    owners: HashMap<WatchDescriptor, Vec<DirectoryOwner>>,
    paths: HashMap<Owner, HashMap<PathBuf, WatchDescriptor>>,
    per_owner_max: usize,
}

impl Directories {
    /// # Errors
    /// EMFILE: also when the user has too many inotify instances. ENOMEM.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            inotify: Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?,
            owners: HashMap::new(),
            paths: HashMap::new(),
            per_owner_max: PER_OWNER_MAX,
        })
    }

    /// Watches a directory for an owner. `names`: the entries that the owner wants to hear of, instead of those before;
    /// `None`: all.
    ///
    /// # Errors
    /// Why it cannot be watched.
    ///
    /// # Source
    /// inotify(7).
    pub(super) fn add(
        &mut self,
        owner: Owner,
        directory: &Path,
        names: Option<Vec<OsString>>,
    ) -> Result<(), String> {
        let has = self.paths.get(&owner).map_or(0, HashMap::len);
        if has >= self.per_owner_max {
            return Err(format!("more than {} directories", self.per_owner_max));
        }
        if self.owners.len() >= ALL_MAX {
            return Err(format!("more than {ALL_MAX} directories of all programs"));
        }
        let events = AddWatchFlags::IN_CLOSE_WRITE
            | AddWatchFlags::IN_CREATE
            | AddWatchFlags::IN_DELETE
            | AddWatchFlags::IN_MOVED_FROM
            | AddWatchFlags::IN_MOVED_TO
            | AddWatchFlags::IN_DELETE_SELF
            | AddWatchFlags::IN_MOVE_SELF
            | AddWatchFlags::IN_ONLYDIR
            | AddWatchFlags::IN_DONT_FOLLOW;
        let found = self.inotify.add_watch(directory, events);
        let descriptor = found.map_err(|error| match error {
            Errno::ENOSPC => "the limit fs.inotify.max_user_watches is reached".to_owned(),
            error => error.desc().to_owned(),
        })?;
        let paths = self.paths.entry(owner).or_default();
        if let Some(old) = paths.insert(directory.to_owned(), descriptor)
            && old != descriptor
        {
            self.release(old, owner, directory);
        }
        let owners = self.owners.entry(descriptor).or_default();
        let mut known = owners.iter_mut();
        match known.find(|known| known.owner == owner && known.directory == directory) {
            Some(known) => known.names = names,
            None => owners.push(DirectoryOwner {
                owner,
                directory: directory.to_owned(),
                names,
            }),
        }
        Ok(())
    }

    /// Ends the watches of an owner for a directory and all directories below it.
    pub(super) fn remove_below(&mut self, owner: Owner, directory: &Path) {
        let Some(paths) = self.paths.get_mut(&owner) else {
            return;
        };
        let below: Vec<(PathBuf, WatchDescriptor)> = paths
            .extract_if(|path, _| path.starts_with(directory))
            .collect();
        for (path, descriptor) in below {
            self.release(descriptor, owner, &path);
        }
    }

    /// Ends all watches of an owner.
    pub(super) fn remove_all(&mut self, owner: Owner) {
        for (path, descriptor) in self.paths.remove(&owner).unwrap_or_default() {
            self.release(descriptor, owner, &path);
        }
    }

    fn release(&mut self, descriptor: WatchDescriptor, owner: Owner, path: &Path) {
        let Some(owners) = self.owners.get_mut(&descriptor) else {
            return;
        };
        owners.retain(|known| known.owner != owner || known.directory != path);
        if owners.is_empty() {
            self.owners.remove(&descriptor);
            // EINVAL: the directory is gone, and its watch with it.
            let _ = self.inotify.rm_watch(descriptor);
        }
    }

    /// Reads the pending events. `None` as an item: the kernel has dropped events.
    pub(super) fn read(&mut self) -> Vec<Option<DirectoryEvent>> {
        let mut found = Vec::new();
        for _ in 0..READS_MAX {
            let events = match self.inotify.read_events() {
                Ok(events) => events,
                Err(Errno::EINTR) => continue,
                Err(_) => break,
            };
            for event in events {
                if event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
                    found.push(None);
                    continue;
                }
                let is_gone = event.mask.contains(AddWatchFlags::IN_IGNORED);
                let Some(owners) = self.owners.get(&event.wd) else {
                    continue;
                };
                for known in owners.iter().filter(|known| known.wants(&event)) {
                    if is_gone && let Some(paths) = self.paths.get_mut(&known.owner) {
                        paths.remove(&known.directory);
                    }
                    found.push(Some(DirectoryEvent {
                        owner: known.owner,
                        directory: known.directory.clone(),
                        name: event.name.clone(),
                        mask: event.mask,
                    }));
                }
                if is_gone {
                    self.owners.remove(&event.wd);
                }
            }
        }
        found
    }
}

impl AsFd for Directories {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}

#[cfg(test)]
impl Directories {
    /// Limits the number of directories of one owner.
    pub(super) fn limit(&mut self, per_owner_max: usize) {
        self.per_owner_max = per_owner_max;
    }

    /// The number of directories that the kernel watches.
    pub(super) fn count(&self) -> usize {
        self.owners.len()
    }
}
