//! Stamps of files: what differs after a change.

use std::collections::HashMap;
use std::fs::Metadata;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::config::matches_name;
use crate::domain::from_bytes;

/// Maximum number of files below one directory whose stamps are compared. Each takes about 20 bytes.
pub(super) const FILES_MAX: usize = 1 << 18;

/// What identifies the content of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Stamp {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

impl Stamp {
    pub(super) fn of(meta: &Metadata) -> Self {
        Self {
            device: meta.dev(),
            inode: meta.ino(),
            size: meta.size(),
            modified: (meta.mtime(), meta.mtime_nsec()),
        }
    }
}

/// Returns whether a file counts: a pattern matches its name, and only a leading dot matches a leading dot.
pub(super) fn is_counted(patterns: &[String], name: &std::ffi::OsStr) -> bool {
    let name = from_bytes(name.as_bytes());
    patterns
        .iter()
        .filter(|pattern| pattern.starts_with('.') || !name.starts_with('.'))
        .any(|pattern| matches_name(pattern, &name))
}

/// The stamps of all files that count below a directory. Paths and stamps are hashes, because there may be many.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Stamps(HashMap<u64, u64>);

fn hash_of(value: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    value.hash(&mut hasher);
    hasher.finish()
}

impl Stamps {
    /// Reads the stamps of the files that count. Symlinks are not followed. The second value: there are more files.
    pub(super) fn read(root: &Path, patterns: &[String]) -> (Self, bool) {
        let mut found = Self::default();
        let mut directories = vec![root.to_owned()];
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(&directory)
                .into_iter()
                .flatten()
                .flatten()
            {
                let Ok(kind) = entry.file_type() else {
                    continue;
                };
                if kind.is_dir() {
                    directories.push(entry.path());
                } else if is_counted(patterns, &entry.file_name()) {
                    if found.0.len() >= FILES_MAX {
                        return (found, true);
                    }
                    found.update(&entry.path());
                }
            }
        }
        (found, false)
    }

    /// Reads the stamp of one file again.
    pub(super) fn update(&mut self, path: &Path) {
        match path.symlink_metadata() {
            Ok(meta) => self.0.insert(hash_of(&path), hash_of(&Stamp::of(&meta))),
            Err(_) => self.0.remove(&hash_of(&path)),
        };
    }

    /// Reads all stamps again. Returns a changed file, or the directory if files are gone. `None`: nothing has changed.
    pub(super) fn compare(&mut self, root: &Path, patterns: &[String]) -> Option<PathBuf> {
        let (new, _) = Self::read(root, patterns);
        if new == *self {
            return None;
        }
        let old = std::mem::replace(self, new);
        Some(self.first_difference(&old, root, patterns))
    }

    /// Finds a file whose stamp differs from that in `old`.
    fn first_difference(&self, old: &Self, root: &Path, patterns: &[String]) -> PathBuf {
        let mut directories = vec![root.to_owned()];
        while let Some(directory) = directories.pop() {
            for entry in std::fs::read_dir(&directory)
                .into_iter()
                .flatten()
                .flatten()
            {
                let path = entry.path();
                if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                    directories.push(path);
                } else if is_counted(patterns, &entry.file_name()) {
                    let key = hash_of(&path.as_path());
                    if old.0.get(&key) != self.0.get(&key) {
                        return path;
                    }
                }
            }
        }
        root.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn g26_patterns_match_names_as_in_a_shell() {
        let patterns =
            |list: &[&str]| -> Vec<String> { list.iter().map(|&item| item.to_owned()).collect() };
        let counts = |list: &[&str], name: &str| is_counted(&patterns(list), name.as_ref());
        assert!(counts(&["*"], "a") && !counts(&["*"], ".a.swp"));
        assert!(counts(&["*.html", "*.[jt]s"], "a.ts") && !counts(&["*.html", "*.js"], "a.jsx"));
        assert!(counts(&[".*"], ".env") && !counts(&["?.py"], "ab.py"));
    }

    #[test]
    fn compared_stamps_name_what_has_changed() {
        let dir = std::env::temp_dir().join(format!("supervisord-stamps-{}", std::process::id()));
        std::fs::create_dir_all(dir.join("deep")).expect("made");
        let all = ["*.py".to_owned()];
        let (a, b) = (dir.join("a.py"), dir.join("deep/b.py"));
        std::fs::write(&a, "1").expect("written");
        let (mut stamps, is_cut) = Stamps::read(&dir, &all);
        assert!(!is_cut);
        assert_eq!(stamps.compare(&dir, &all), None);
        std::fs::write(&b, "1").expect("written");
        assert_eq!(stamps.compare(&dir, &all), Some(b.clone()));
        std::fs::write(&a, "22").expect("written");
        std::fs::write(dir.join("c.txt"), "1").expect("written");
        assert_eq!(stamps.compare(&dir, &all), Some(a.clone()));
        std::fs::write(&a, "333").expect("written");
        stamps.update(&a);
        assert_eq!(stamps.compare(&dir, &all), None);
        std::fs::remove_file(&b).expect("removed");
        assert_eq!(stamps.compare(&dir, &all), Some(dir.clone()));
        std::fs::remove_dir_all(dir).expect("removed");
    }
}
