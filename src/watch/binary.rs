//! The watch of one executable.

use std::path::PathBuf;
use std::sync::Arc;

use nix::sys::inotify::AddWatchFlags;

use super::directories::{Directories, DirectoryEvent, Owner};
use super::paths::{DirectoryEntry, changes_unseen, entries_of, names_by_directory};
use super::stamps::Stamp;
use crate::config::spec::ProcessSpec;
use crate::domain::{Seconds, Tick};
use crate::spawn::CommandFinder;

/// Seconds between two looks at a file that the kernel does not report.
const COMPARE_SECS: Seconds = Seconds(10);
/// Maximum number of entries that decide which file is executed. A long search path has some dozens.
const ENTRIES_MAX: usize = 500;
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
        let entries = self.find_entries();
        let is_seen = self.watch_entries(entries, directories);
        let found = self.finder.find(&self.spec).ok();
        let found = found.and_then(|path| std::path::absolute(path).ok());
        let is_found = found.is_some();
        // Without the file, messages name its former place.
        self.path = found.or_else(|| self.path.take());
        // What changed before it was watched has no event.
        let is_late = self.find_entries() != self.entries;
        self.due = match (is_found, is_seen) {
            (false, _) => now + MISSING_SECS,
            (true, _) if is_late => now + MISSING_SECS,
            (true, false) => now + COMPARE_SECS,
            (true, true) => Tick::NEVER,
        };
        let path = self.path.as_ref().filter(|_| is_found)?;
        let meta = std::fs::metadata(path).ok()?;
        let stamp = Stamp::of(&meta);
        let before = self.stamp.replace(stamp)?;
        (before != stamp).then(|| path.clone())
    }

    /// Returns the entries that decide which file is executed: the way to the file, and to those files that would come
    /// before it in the search path.
    fn find_entries(&self) -> Vec<DirectoryEntry> {
        let places = self.finder.places(&self.spec).into_iter();
        let places = places.filter_map(|path| std::path::absolute(path).ok());
        let mut entries: Vec<DirectoryEntry> = Vec::new();
        for entry in places.flat_map(|path| entries_of(&path)) {
            if entries.len() < ENTRIES_MAX && !entries.contains(&entry) {
                entries.push(entry);
            }
        }
        entries
    }

    /// Watches `entries`. Returns whether the kernel reports all their changes.
    fn watch_entries(
        &mut self,
        entries: Vec<DirectoryEntry>,
        directories: &mut Option<Directories>,
    ) -> bool {
        let Some(directories) = directories else {
            self.entries = entries;
            return false;
        };
        let wanted = names_by_directory(&entries);
        for gone in names_by_directory(&self.entries).keys() {
            if !wanted.contains_key(gone) {
                directories.remove_below(self.owner, gone);
            }
        }
        let mut is_seen = !entries.is_empty();
        for (directory, names) in wanted {
            is_seen &= directories.add(self.owner, directory, Some(names)).is_ok()
                && !changes_unseen(directory);
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
