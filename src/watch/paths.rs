//! Where paths lead, and which changes of the file system can change that.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Component, Path, PathBuf};

use nix::sys::statfs::statfs;

/// Maximum number of symlinks in a path, as in the kernel.
const LINKS_MAX: usize = 40;

/// An entry of a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct DirectoryEntry {
    /// The directory, without symlinks.
    pub(super) directory: PathBuf,
    /// The name of the entry.
    pub(super) name: OsString,
}

/// Returns the entries that decide where the absolute `path` leads: each directory, symlink and file on the way, and the
/// first that does not exist.
pub(super) fn entries_of(path: &Path) -> Vec<DirectoryEntry> {
    let mut found = Vec::new();
    let mut ahead: Vec<OsString> = Vec::new();
    push_parts(&mut ahead, path);
    let mut here = PathBuf::from("/");
    let mut links = 0;
    while let Some(part) = ahead.pop() {
        if part == ".." {
            here.pop();
            continue;
        }
        let next = here.join(&part);
        found.push(DirectoryEntry {
            directory: here.clone(),
            name: part,
        });
        let Ok(meta) = fs::symlink_metadata(&next) else {
            break;
        };
        if !meta.is_symlink() {
            here = next;
            continue;
        }
        links += 1;
        let Ok(target) = fs::read_link(&next) else {
            break;
        };
        if links >= LINKS_MAX {
            break;
        }
        if target.is_absolute() {
            here = PathBuf::from("/");
        }
        push_parts(&mut ahead, &target);
    }
    found
}

/// Returns the names in each directory of `entries`.
pub(super) fn names_by_directory(entries: &[DirectoryEntry]) -> BTreeMap<&Path, Vec<OsString>> {
    let mut names: BTreeMap<&Path, Vec<OsString>> = BTreeMap::new();
    for entry in entries {
        let names = names.entry(&entry.directory).or_default();
        if !names.contains(&entry.name) {
            names.push(entry.name.clone());
        }
    }
    names
}

/// Pushes the parts of a path so that the first one is popped first.
fn push_parts(ahead: &mut Vec<OsString>, path: &Path) {
    let parts: Vec<OsString> = path
        .components()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
        .map(|part| part.as_os_str().to_owned())
        .collect();
    ahead.extend(parts.into_iter().rev());
}

/// Returns whether files below `path` can change without the kernel reporting it, because other machines or the kernel
/// itself change them.
///
/// # Source
/// statfs(2), inotify(7) "Limitations and caveats".
pub(super) fn changes_unseen(path: &Path) -> bool {
    const NFS: u32 = 0x6969;
    const FUSE: u32 = 0x6573_5546;
    const SMB: u32 = 0x517b;
    const SMB2: u32 = 0xfe53_4d42;
    const CIFS: u32 = 0xff53_4d42;
    const AFS: u32 = 0x5346_414f;
    const CEPH: u32 = 0x00c3_6400;
    const PLAN_9: u32 = 0x0102_1997;
    const PROC: u32 = 0x9fa0;
    const SYSFS: u32 = 0x6265_6572;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "the kernel's numbers have 32 bits"
    )]
    let kind = statfs(path).map_or(0, |found| found.filesystem_type().0 as u32);
    [NFS, FUSE, SMB, SMB2, CIFS, AFS, CEPH, PLAN_9, PROC, SYSFS].contains(&kind)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn every_step_of_a_path_is_found() {
        let dir = std::env::temp_dir().join(format!("supervisord-paths-{}", std::process::id()));
        fs::create_dir_all(dir.join("releases/1/bin")).expect("made");
        let dir = fs::canonicalize(dir).expect("there");
        fs::write(dir.join("releases/1/bin/app"), "").expect("written");
        symlink("releases/1", dir.join("current")).expect("linked");
        symlink("../current/bin/app", dir.join("releases/app")).expect("linked");
        // Without the directories above.
        let entries = |path: &Path| {
            let below = |entry: &DirectoryEntry| entry.directory.starts_with(&dir);
            let shown = |entry: DirectoryEntry| {
                let directory = entry.directory.strip_prefix(&dir).expect("below");
                directory
                    .join(entry.name)
                    .to_str()
                    .expect("UTF-8")
                    .to_owned()
            };
            let found = entries_of(path).into_iter();
            found.filter(below).map(shown).collect::<Vec<_>>()
        };
        let target = [
            "current",
            "releases",
            "releases/1",
            "releases/1/bin",
            "releases/1/bin/app",
        ];
        assert_eq!(entries(&dir.join("current/bin/app")), target);
        let linked = [&["releases", "releases/app"][..], &target].concat();
        assert_eq!(entries(&dir.join("releases/app")), linked);
        assert_eq!(
            entries(&dir.join("none/app")),
            ["none"],
            "the first that is missing"
        );
        let all = entries_of(&dir.join("none"));
        assert_eq!(all[0].directory, Path::new("/"));
        let names = names_by_directory(&all);
        assert_eq!(names.get(&*dir), Some(&vec![OsString::from("none")]));
        symlink("loop", dir.join("loop")).expect("linked");
        assert_eq!(entries(&dir.join("loop")).len(), LINKS_MAX);
        assert!(changes_unseen(Path::new("/proc")));
        fs::remove_dir_all(dir).expect("removed");
    }
}
