//! The watch of one executable.

use std::path::PathBuf;
use std::sync::Arc;

use nix::sys::inotify::AddWatchFlags;

use super::directories::{Directories, DirectoryEvent, Owner};
use super::paths::{DirectoryEntry, changes_unseen, symlinks_of, target_of};
use super::stamps::Stamp;
use crate::config::spec::ProcessSpec;
use crate::domain::{Seconds, Tick};
use crate::spawn::CommandFinder;

/// Seconds between two looks at a file that the kernel does not report.
const COMPARE_SECS: Seconds = Seconds(10);
/// Seconds between two looks for a file that does not exist.
const MISSING_SECS: Seconds = Seconds(2);

/// The watch of one executable.
#[derive(Debug)]
pub(super) struct BinaryWatcher {
    owner: Owner,
    spec: Arc<ProcessSpec>,
    finder: CommandFinder,
    /// The executable, as it was found last.
    path: Option<PathBuf>,
    /// The entries of directories that decide which file is executed.
    entries: Vec<DirectoryEntry>,
    /// The file that was there last. `None`: there was none since the watch began.
    stamp: Option<Stamp>,
    /// When to look without an event.
    pub(super) due: Tick,
}

impl BinaryWatcher {
    pub(super) fn new(owner: Owner, spec: Arc<ProcessSpec>, finder: CommandFinder) -> Self {
        Self {
            owner,
            spec,
            finder,
            path: None,
            entries: Vec::new(),
            stamp: None,
            due: Tick::NEVER,
        }
    }

    /// Returns the executable for messages.
    pub(super) fn shown(&self) -> PathBuf {
        self.path.clone().unwrap_or_default()
    }

    /// Returns whether an event can be about this executable.
    pub(super) fn is_concerned(&self, event: &DirectoryEvent) -> bool {
        let Some(name) = &event.name else {
            return true;
        };
        let is_it =
            |entry: &DirectoryEntry| entry.directory == event.directory && entry.name == *name;
        self.entries.iter().any(is_it) && !is_being_written(event)
    }

    /// Finds the executable, watches what leads to it, and returns its path if it is another one than before.
    pub(super) fn look(
        &mut self,
        directories: &mut Option<Directories>,
        now: Tick,
    ) -> Option<PathBuf> {
        let found = self.finder.find(&self.spec).ok();
        let found = found.and_then(|path| std::path::absolute(path).ok());
        let is_found = found.is_some();
        // Without the file, its former place is watched.
        self.path = found.or_else(|| self.path.take());
        let is_seen = self.watch_entries(directories);
        self.due = match (is_found, is_seen) {
            (false, _) => now + MISSING_SECS,
            (true, false) => now + COMPARE_SECS,
            (true, true) => Tick::NEVER,
        };
        let path = self.path.as_ref().filter(|_| is_found)?;
        let meta = std::fs::metadata(path).ok()?;
        let stamp = Stamp::of(&meta);
        let before = self.stamp.replace(stamp)?;
        (before != stamp).then(|| path.clone())
    }

    /// Watches the directories of the file and of the symlinks that lead to it. Returns whether the kernel reports all
    /// their changes.
    fn watch_entries(&mut self, directories: &mut Option<Directories>) -> bool {
        let Some(path) = &self.path else {
            return false;
        };
        let target = target_of(path);
        // Without the file, also the symlinks that led to it are watched.
        let former = match target {
            Some(_) => Vec::new(),
            None => std::mem::take(&mut self.entries),
        };
        let mut entries = symlinks_of(path);
        entries.extend(target);
        entries.extend(former.into_iter().filter(|entry| entry.directory.is_dir()));
        entries.dedup();
        entries.truncate(100);
        let Some(directories) = directories else {
            self.entries = entries;
            return false;
        };
        let mut is_seen = !entries.is_empty();
        for gone in self.entries.iter().filter(|old| {
            let is_there = |entry: &DirectoryEntry| entry.directory == old.directory;
            !entries.iter().any(is_there)
        }) {
            directories.remove_below(self.owner, &gone.directory);
        }
        for entry in &entries {
            is_seen &= directories.add(self.owner, &entry.directory).is_ok()
                && !changes_unseen(&entry.directory);
        }
        self.entries = entries;
        is_seen
    }
}

/// Returns whether the event is about a file that was created to be written. The end of the writing is another event.
pub(super) fn is_being_written(event: &DirectoryEvent) -> bool {
    use std::os::unix::fs::MetadataExt;

    if !event.mask.contains(AddWatchFlags::IN_CREATE) {
        return false;
    }
    let Some(name) = &event.name else {
        return false;
    };
    let meta = event.directory.join(name).symlink_metadata();
    // A second hard link to a file is never written to.
    meta.is_ok_and(|meta| meta.is_file() && meta.nlink() == 1)
}
