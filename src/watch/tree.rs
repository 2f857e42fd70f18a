//! The watch of one directory with everything below it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::inotify::AddWatchFlags;

use super::binary::is_being_written;
use super::directories::{Directories, DirectoryEvent, Owner};
use super::paths::{DirectoryEntry, changes_unseen, entries_of, names_by_directory};
use super::stamps::{Stamps, is_counted};
use crate::config::spec::DirectoryWatch;
use crate::domain::{Seconds, Tick};

/// Seconds between two comparisons of stamps.
const COMPARE_SECS: Seconds = Seconds(10);
/// The pause between two comparisons is at least this many times as long as a comparison takes.
const COMPARE_SHARE: u64 = 50;
/// Seconds between two looks for a directory that does not exist.
const MISSING_SECS: Seconds = Seconds(2);

/// The directory to which a path leads. Another directory may take its place, with the same path.
#[derive(Debug, Clone, PartialEq, Eq)]
struct TreeTarget {
    path: PathBuf,
    /// Device and inode.
    file: (u64, u64),
}

impl TreeTarget {
    fn find(root: &Path) -> Option<Self> {
        let path = fs::canonicalize(root).ok()?;
        let meta = fs::metadata(&path).ok()?;
        meta.is_dir().then(|| Self {
            path,
            file: (meta.dev(), meta.ino()),
        })
    }
}

/// The watch of one directory.
#[derive(Debug)]
pub(super) struct TreeWatcher {
    owner: Owner,
    /// As configured.
    root: PathBuf,
    patterns: Vec<String>,
    /// Where `root` leads. `None`: it does not exist.
    target: Option<TreeTarget>,
    /// The entries on the way: directories, and symlinks.
    entries: Vec<DirectoryEntry>,
    /// The stamps of all files, if the kernel does not report all changes.
    stamps: Option<Stamps>,
    /// Why the kernel does not watch the directory, until it was logged.
    pub(super) limit: Option<String>,
    /// When to look without an event.
    pub(super) due: Tick,
}

impl TreeWatcher {
    pub(super) fn new(owner: Owner, spec: &DirectoryWatch) -> Self {
        Self {
            owner,
            root: PathBuf::from(&spec.path),
            patterns: spec.patterns.clone(),
            target: None,
            entries: Vec::new(),
            stamps: None,
            limit: None,
            due: Tick::NEVER,
        }
    }

    /// Returns the directory for messages.
    pub(super) fn shown(&self) -> PathBuf {
        self.root.clone()
    }

    /// Begins the watch, or begins it again after everything may have changed.
    pub(super) fn begin(&mut self, directories: &mut Option<Directories>, now: impl Fn() -> Tick) {
        if let Some(directories) = directories {
            directories.remove_all(self.owner);
        }
        self.stamps = None;
        self.entries = entries_of(&self.root);
        let mut is_seen = directories.is_some();
        if let Some(directories) = directories {
            for (directory, names) in names_by_directory(&self.entries) {
                is_seen &= directories.add(self.owner, directory, Some(names)).is_ok();
            }
        }
        // After that, so that every later change of the way has an event.
        self.target = TreeTarget::find(&self.root);
        let Some(target) = self.target.as_ref().map(|target| target.path.clone()) else {
            self.due = now() + MISSING_SECS;
            return;
        };
        let refused = match directories {
            Some(directories) => self.add_below(directories, &target, &mut Vec::new()).err(),
            None => Some("too many inotify instances".to_owned()),
        };
        if refused.is_none() && !changes_unseen(&target) {
            // What changed on the way before it was watched has no event.
            is_seen &= entries_of(&self.root) == self.entries;
            self.due = match is_seen {
                true => Tick::NEVER,
                false => now() + COMPARE_SECS,
            };
            return;
        }
        if refused.is_some()
            && let Some(directories) = directories
        {
            directories.remove_below(self.owner, &target);
        }
        self.limit = refused;
        let begun = now();
        let (stamps, is_cut) = Stamps::read(&target, &self.patterns);
        if is_cut {
            self.limit = Some("too many files".to_owned());
        }
        self.stamps = Some(stamps);
        self.compare_later(begun, now());
    }

    fn compare_later(&mut self, begun: Tick, now: Tick) {
        let busy = now.nanos_since(begun).saturating_mul(COMPARE_SHARE);
        self.due = (now + COMPARE_SECS).max(Tick(now.0.saturating_add(busy)));
    }

    /// Watches a directory and all directories below it. Adds the files that count to `found`. Symlinks are not
    /// followed.
    fn add_below(
        &self,
        directories: &mut Directories,
        directory: &Path,
        found: &mut Vec<PathBuf>,
    ) -> Result<(), String> {
        let mut ahead = vec![directory.to_owned()];
        while let Some(directory) = ahead.pop() {
            // First the watch: what is created meanwhile is seen twice rather than never.
            if let Err(error) = directories.add(self.owner, &directory, None) {
                if directory.is_dir() {
                    return Err(error);
                }
                continue;
            }
            for entry in fs::read_dir(&directory).into_iter().flatten().flatten() {
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    ahead.push(entry.path());
                } else if found.is_empty() && is_counted(&self.patterns, &entry.file_name()) {
                    found.push(entry.path());
                }
            }
        }
        Ok(())
    }

    /// Handles an event. Returns a changed file. `None`: nothing that counts has changed.
    pub(super) fn handle(
        &mut self,
        event: &DirectoryEvent,
        directories: &mut Option<Directories>,
        now: impl Fn() -> Tick,
    ) -> Option<PathBuf> {
        if self.is_target_moved(event) {
            let before = self.target.take();
            self.begin(directories, now);
            let is_other = self.target.is_some() && self.target != before;
            return is_other.then(|| self.root.clone());
        }
        let target = self.target.as_ref()?.path.clone();
        let Some(name) = &event.name else {
            let is_root = event.directory == target;
            if is_root && event.mask.intersects(ended()) {
                self.target = None;
                self.begin(directories, now);
                // It may be there again already.
                return self.target.is_some().then(|| self.root.clone());
            }
            return None;
        };
        if !event.directory.starts_with(&target) {
            return None;
        }
        let path = event.directory.join(name);
        if event.mask.contains(AddWatchFlags::IN_ISDIR) {
            return self.handle_directory(event, path, directories, now);
        }
        if !is_counted(&self.patterns, name) || is_being_written(event) {
            return None;
        }
        if let Some(stamps) = &mut self.stamps {
            stamps.update(&path);
        }
        Some(path)
    }

    /// Returns whether the path leads to another directory now.
    fn is_target_moved(&self, event: &DirectoryEvent) -> bool {
        let is_it = |entry: &DirectoryEntry| {
            entry.directory == event.directory && event.name.as_ref() == Some(&entry.name)
        };
        self.entries.iter().any(is_it)
            && (TreeTarget::find(&self.root) != self.target || self.target.is_none())
    }

    /// Handles the event of a directory below the watched one.
    fn handle_directory(
        &mut self,
        event: &DirectoryEvent,
        path: PathBuf,
        directories: &mut Option<Directories>,
        now: impl Fn() -> Tick,
    ) -> Option<PathBuf> {
        let known = directories.as_mut()?;
        let arrivals = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
        if !event.mask.intersects(arrivals) {
            known.remove_below(self.owner, &path);
            // The files of a directory that was moved away are gone without events of their own.
            let is_moved = event.mask.contains(AddWatchFlags::IN_MOVED_FROM);
            return is_moved.then_some(path);
        }
        let mut found = Vec::new();
        if self.add_below(known, &path, &mut found).is_err() {
            self.begin(directories, now);
            return Some(path);
        }
        found.pop()
    }

    /// Does what is due without an event. Returns a changed file.
    pub(super) fn look(
        &mut self,
        directories: &mut Option<Directories>,
        now: impl Fn() -> Tick,
    ) -> Option<PathBuf> {
        let before = TreeTarget::find(&self.root);
        if before != self.target || before.is_none() {
            let was_there = self.target.is_some();
            self.begin(directories, now);
            let is_back = self.target.is_some();
            return (is_back || was_there).then(|| self.root.clone());
        }
        let target = before?.path;
        let begun = now();
        let changed = self
            .stamps
            .as_mut()
            .and_then(|stamps| stamps.compare(&target, &self.patterns));
        self.compare_later(begun, now());
        changed
    }
}

/// The events after which a directory is not where it was.
fn ended() -> AddWatchFlags {
    AddWatchFlags::IN_DELETE_SELF
        | AddWatchFlags::IN_MOVE_SELF
        | AddWatchFlags::IN_UNMOUNT
        | AddWatchFlags::IN_IGNORED
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::effects::{WatchId, WatchKind};
    use crate::sys;

    #[test]
    fn too_many_directories_are_compared_instead() {
        let dir = std::env::temp_dir().join(format!("supervisord-tree-{}", std::process::id()));
        fs::create_dir_all(dir.join("a")).expect("made");
        let id = WatchId {
            slot: 0,
            slot_generation: 1,
        };
        let spec = DirectoryWatch {
            path: dir.to_str().expect("UTF-8").to_owned(),
            patterns: vec!["*".to_owned()],
            reaction: crate::config::spec::ChangeReaction::Restart,
        };
        let now = || sys::now().mono;
        let mut tree = TreeWatcher::new((id, WatchKind::Directory), &spec);
        let mut directories = Some(Directories::new().expect("inotify"));
        let count = |directories: &Option<Directories>| {
            directories
                .as_ref()
                .map(Directories::count)
                .unwrap_or_default()
        };
        tree.begin(&mut directories, now);
        // The kernel watches the way to the directory too.
        let above = dir.ancestors().count() - 1;
        assert_eq!((count(&directories), tree.due), (above + 2, Tick::NEVER));
        if let Some(directories) = &mut directories {
            directories.limit(above + 2);
        }
        // A third directory is one too many.
        fs::create_dir_all(dir.join("b")).expect("made");
        tree.begin(&mut directories, now);
        assert_eq!(count(&directories), above);
        let limit = format!("more than {} directories", above + 2);
        assert_eq!(tree.limit, Some(limit));
        assert!(tree.due != Tick::NEVER);
        assert_eq!(tree.look(&mut directories, now), None);
        fs::write(dir.join("b/new"), "1").expect("written");
        assert_eq!(tree.look(&mut directories, now), Some(dir.join("b/new")));
        fs::remove_dir_all(&dir).expect("removed");
        assert_eq!(tree.look(&mut directories, now), Some(dir.clone()));
        assert_eq!(tree.look(&mut directories, now), None);
        fs::create_dir(&dir).expect("made again");
        assert_eq!(tree.look(&mut directories, now), Some(dir.clone()));
        fs::remove_dir_all(&dir).expect("removed");
    }
}
