//! Removes AUTO logs that a previous run of the daemon left.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use nix::dir::Dir;
use nix::fcntl::AtFlags;
use nix::sys::stat::{SFlag, fstatat};
use nix::unistd::{UnlinkatFlags, geteuid, unlinkat};

use crate::domain::Line;
use crate::sys::{self, LockKind, safe_open};

/// Marks a directory as used by a daemon with this identifier for its AUTO logs, while the value exists. The mark is a
/// shared file lock on the directory, so it leaves no trace in it.
#[derive(Debug)]
pub struct AutoLogs {
    path: PathBuf,
    identifier: String,
    /// `None`: the directory cannot be opened.
    dir: Option<OwnedFd>,
}

impl AutoLogs {
    /// Takes the lock. Symbolic links in the path are followed by the rules of [`safe_open`] only.
    #[must_use]
    pub fn claim(path: &Path, identifier: &str) -> Self {
        let dir = safe_open::open_directory(path).ok();
        if let Some(dir) = &dir {
            // On a file system without locks, the daemon works as Supervisor does.
            let _ = sys::lock_byte(dir, byte(identifier), LockKind::Shared);
        }
        Self {
            path: path.to_owned(),
            identifier: identifier.to_owned(),
            dir,
        }
    }

    /// Removes the user's own plain files that are named like AUTO logs, unless another daemon with this identifier
    /// uses the directory. Returns lines for the log.
    ///
    /// # Source
    /// Supervisor manual, `[supervisord]`, nocleanup.
    // Differs: only plain files of our own user, because the directory is often /tmp; the identifier is no pattern; and
    // nothing while another daemon has logs of the same names there (Supervisor#494).
    #[must_use]
    pub fn clean_up(&self) -> Vec<Line> {
        let Some(dir) = &self.dir else {
            return vec![Line::CannotClearLogDir {}];
        };
        if sys::is_byte_locked(dir, byte(&self.identifier)).unwrap_or(false) {
            return vec![Line::AutoLogsShared {
                path: self.path.display().to_string(),
            }];
        }
        let listing = dir.try_clone().ok().and_then(|dir| Dir::from_fd(dir).ok());
        let Some(mut listing) = listing else {
            return vec![Line::CannotClearLogDir {}];
        };
        let ours = geteuid().as_raw();
        let mut lines = Vec::new();
        for entry in listing.iter().flatten() {
            let name = entry.file_name();
            let is_auto = |name: &str| is_auto_log(name, &self.identifier);
            let Some(shown) = name.to_str().ok().filter(|name| is_auto(name)) else {
                continue;
            };
            // Do not follow symbolic links.
            let Ok(stat) = fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW) else {
                continue;
            };
            if safe_open::kind(&stat) != SFlag::S_IFREG || stat.st_uid != ours {
                continue;
            }
            match unlinkat(dir, name, UnlinkatFlags::NoRemoveDir) {
                Ok(()) | Err(nix::errno::Errno::ENOENT) => {}
                Err(_) => lines.push(Line::CannotCleanUp {
                    path: self.path.join(shown).display().to_string(),
                }),
            }
        }
        lines
    }
}

fn byte(identifier: &str) -> i64 {
    sys::byte_of(identifier.as_bytes())
}

/// Whether the name is `NAME---IDENTIFIER-RANDOM.log`, with any suffix.
fn is_auto_log(name: &str, identifier: &str) -> bool {
    let marker = format!("---{identifier}-");
    name.match_indices(&marker).any(|(at, _)| {
        let (before, rest) = (&name[..at], &name[at + marker.len()..]);
        let solid = rest.find(char::is_whitespace).unwrap_or(rest.len());
        !before.is_empty()
            && !before.contains('\n')
            && rest[..solid].rfind(".log").is_some_and(|dot| dot > 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::testing::TempDir;

    fn clean_up(dir: &Path, identifier: &str) -> Vec<Line> {
        AutoLogs::claim(dir, identifier).clean_up()
    }

    #[test]
    fn dmn_20_auto_logs_are_recognized_by_name() {
        for (name, expected) in [
            ("cat-stdout---supervisor-abcd1234.log", true),
            ("cat-stdout---supervisor-abcd1234.log.1", true),
            ("cat-stdout---supervisor-abcd1234.logs.txt", true),
            ("---supervisor-abcd1234.log", false),
            ("cat-stdout---supervisor-.log", false),
            ("cat-stdout---supervisor-ab cd.log", false),
            ("cat-stdout---other-abcd1234.log", false),
            ("cat-stdout---supervisor-abcd1234.txt", false),
            ("a b-stdout---supervisor-abcd1234.log", true),
        ] {
            assert_eq!(is_auto_log(name, "supervisor"), expected, "{name}");
        }
        assert!(!is_auto_log("cat---axb-abcd.log", "a.b"), "no pattern");
    }

    #[test]
    fn dmn_21_old_auto_logs_are_removed_and_nothing_else() {
        let dir = TempDir::new("cleanup");
        let file = |name: &str| {
            let path = dir.path(name);
            std::fs::write(&path, "x").expect("written");
            path
        };
        let old = file("cat-stdout---me-aaaaaaaa.log");
        let backup = file("cat-stdout---me-aaaaaaaa.log.1");
        let other = file("cat-stdout---you-aaaaaaaa.log");
        let link = dir.path("cat-stdout---me-cccccccc.log");
        std::os::unix::fs::symlink(&other, &link).expect("linked");
        let directory = dir.path("cat-stdout---me-dddddddd.log");
        std::fs::create_dir(&directory).expect("made");
        let another = AutoLogs::claim(dir.root(), "me");
        assert_eq!(
            clean_up(dir.root(), "me"),
            [Line::AutoLogsShared {
                path: dir.root().display().to_string()
            }]
        );
        assert!(old.exists(), "of a running daemon");
        drop(another);
        assert_eq!(clean_up(dir.root(), "me"), []);
        assert!(!old.exists() && !backup.exists());
        assert!(other.exists() && directory.exists());
        assert!(link.is_symlink());
        assert_eq!(
            clean_up(&dir.path("none"), "me"),
            [Line::CannotClearLogDir {}]
        );
    }

    #[test]
    fn dmn_21_files_of_other_users_stay() {
        if !nix::unistd::geteuid().is_root() {
            eprintln!("skipped: only root can make a file of another user");
            return;
        }
        let dir = TempDir::new("cleanup-strangers");
        let path = dir.path("cat-stdout---me-aaaaaaaa.log");
        std::fs::write(&path, "x").expect("written");
        std::os::unix::fs::chown(&path, Some(12345), None).expect("root may");
        assert_eq!(clean_up(dir.root(), "me"), []);
        assert!(path.exists());
    }
}
